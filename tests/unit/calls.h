/* SPDX-License-Identifier: MIT */
/* Connect calls that are right, from the least to one with everything in it, verdicts on any. */
#pragma once

#include "tests/unit/unit.h"

#include "proto/message.h"

#include <string.h>

#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define CONNECT(parameters) "{\"method\":\"io.ktlsd.Connect\",\"parameters\":{" parameters "}}"
#define PROBE(parameters) "{\"method\":\"io.ktlsd.Probe\",\"parameters\":{" parameters "}}"

#define GOOD "\"host\":\"a\",\"port\":1"
#define PIN "\"cert-sha256:" HEX64 "\""

static const char golden_least[] = CONNECT("\"host\":\"example.org\",\"port\":443");

static const char golden_all[] = CONNECT(
	"\"host\":\"example.org\",\"port\":8443,"
	"\"trust\":{\"ca\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\","
	"\"store\":\"system\",\"pins\":[\"cert-sha256:" HEX64 "\",\"spki-sha256:" HEX64 "\"],"
	"\"name\":\"2001:db8::1\",\"verify\":\"chain\"},"
	"\"policy\":{\"name\":\"modern\",\"minVersion\":\"1.2\",\"maxVersion\":\"1.3\","
	"\"ciphers\":\"ECDHE+AESGCM:!aNULL\",\"ciphersuites\":\"TLS_AES_128_GCM_SHA256\","
	"\"groups\":\"X25519:P-384\",\"signatureAlgorithms\":\"rsa_pss_rsae_sha256:ECDSA+SHA256\"},"
	"\"serverName\":\"sni.example.org\",\"alpn\":[\"h2\",\"http/1.1\",\"\xc3\xbc\"],"
	"\"io\":\"aware\",\"timeoutMs\":12345");

static const char golden_escapes[] =
	" { \"parameters\" : {\"h\\u006fst\" : \"\\u0061\\u002eb\" , \"port\":1,"
	"\"trust\":{\"store\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\ud83d\\ude00\xe2\x82\xac\"},"
	"\"policy\":null,\"alpn\":null,\"io\":null},\"more\":false,\"upgrade\":true,"
	"\"oneway\":false, \"method\" : \"io.ktlsd.C\\u006fnnect\" }\n";

static const char *const golden[] = { golden_least, golden_all, golden_escapes };

static inline enum proto_decoded decode(struct proto_call *call, const char *text,
					struct proto_status *status)
{
	bool oneway;

	return proto_call_decode(call, text, strlen(text), status, &oneway);
}

static inline void expect_refused(const char *text, const char *parameter)
{
	struct proto_call call = { .method = PROTO_METHOD_CONNECT };
	struct proto_status status;

	if (decode(&call, text, &status) != PROTO_DECODE_REFUSED)
		fail_msg("not refused: %s", text);
	assert_int_equal(status.error, PROTO_INVALID_PARAMETER);
	if (strcmp(status.parameter, parameter) != 0)
		fail_msg("%s, not %s: %s", status.parameter, parameter, text);
	assert_true(strlen(status.message) > strlen("is"));
	assert_null(call.connect.host);
}

static inline void expect_taken(const char *text)
{
	struct proto_call call;
	struct proto_status status;

	if (decode(&call, text, &status) != PROTO_DECODE_OK)
		fail_msg("%s: %s", status.message, text);
	proto_call_deinit(&call);
	proto_call_deinit(&call);
}
