/* SPDX-License-Identifier: MIT */
#include "client/ctl-tlsstat.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *meaning;
} counters[] = {
	{ "TlsCurrTxSw", "open sockets that send, encrypted by the processor" },
	{ "TlsCurrRxSw", "open sockets that receive, decrypted by the processor" },
	{ "TlsCurrTxDevice", "open sockets that send, encrypted by the network card" },
	{ "TlsCurrRxDevice", "open sockets that receive, decrypted by the network card" },
	{ "TlsTxSw", "sockets so far that sent, encrypted by the processor" },
	{ "TlsRxSw", "sockets so far that received, decrypted by the processor" },
	{ "TlsTxDevice", "sockets so far that sent, encrypted by the network card" },
	{ "TlsRxDevice", "sockets so far that received, decrypted by the network card" },
	{ "TlsDecryptError", "records that could not be decrypted: damaged, forged, or a wrong key" },
	{ "TlsRxDeviceResync", "times that a network card lost its place in the stream" },
	{ "TlsDecryptRetry", "TLS 1.3 records decrypted twice: padded, or no data" },
	{ "TlsRxNoPadViolation", "TLS 1.3 records with padding that TLS_RX_EXPECT_NO_PAD ruled out" },
	{ "TlsRxRekeyOk", "keys of receiving sockets that were renewed" },
	{ "TlsRxRekeyError", "keys of receiving sockets that could not be renewed" },
	{ "TlsTxRekeyOk", "keys of sending sockets that were renewed" },
	{ "TlsTxRekeyError", "keys of sending sockets that could not be renewed" },
	{ "TlsRxRekeyReceived", "times that a peer announced a new key" },
};

static struct json_object *meaning_of(const char *name)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		if (strcmp(counters[i].name, name) == 0)
			return json_object_new_string(counters[i].meaning);
	return NULL;
}

static void add_row(struct json_object *rows, const char *name, unsigned long long value)
{
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "name", json_object_new_string(name));
	json_object_object_add(row, "value", json_object_new_uint64(value));
	json_object_object_add(row, "meaning", meaning_of(name));
	json_object_array_add(rows, row);
}

struct json_object *ctl_tlsstat(const char *path)
{
	struct json_object *rows;
	unsigned long long value;
	char line[256], name[64], rest;
	FILE *file = fopen(path, "re");

	if (!file)
		return NULL;
	rows = json_object_new_array();
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[A-Za-z0-9] %llu %c", name, &value, &rest) == 2)
			add_row(rows, name, value);
	fclose(file);
	return rows;
}
