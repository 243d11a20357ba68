/* SPDX-License-Identifier: MIT */
/* What connect and others are asked for alike: HOST:PORT, and the options of a request. */
#include "client/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 255 /* more than any host has, for the library to refuse */

static int invalid(void)
{
	errno = EINVAL;
	return -1;
}

struct word {
	const char *text;
	int number;
};

/* The number of a word in a list that ends with NULL; -1 with errno. */
static int word_number(const struct word *words, const char *text)
{
	for (; words->text; words++)
		if (strcmp(words->text, text) == 0)
			return words->number;
	return invalid();
}

static int ask_verify(struct ktls *k, const char *value)
{
	static const struct word words[] = {
		{ "full", KTLS_VERIFY_FULL },
		{ "chain", KTLS_VERIFY_CHAIN },
		{ "none", KTLS_VERIFY_NONE },
		{ NULL, 0 },
	};
	int number = word_number(words, value);

	return number < 0 ? -1 : ktls_set_verify(k, (enum ktls_verify)number);
}

static int ask_io(struct ktls *k, const char *value)
{
	static const struct word words[] = { { "plain", KTLS_IO_PLAIN },
					     { "aware", KTLS_IO_AWARE },
					     { NULL, 0 } };
	int number = word_number(words, value);

	return number < 0 ? -1 : ktls_set_io(k, (enum ktls_io)number);
}

static const struct word tls_versions[] = { { "1.2", KTLS_TLS_1_2 },
					    { "1.3", KTLS_TLS_1_3 },
					    { NULL, 0 } };

static int ask_min_version(struct ktls *k, const char *value)
{
	int number = word_number(tls_versions, value);

	return number < 0 ? -1 : ktls_set_min_version(k, (enum ktls_tls)number);
}

static int ask_max_version(struct ktls *k, const char *value)
{
	int number = word_number(tls_versions, value);

	return number < 0 ? -1 : ktls_set_max_version(k, (enum ktls_tls)number);
}

static int ask_timeout(struct ktls *k, const char *value)
{
	char *end;
	double seconds;

	if (!*value || value[strspn(value, "0123456789.")])
		return invalid();
	seconds = strtod(value, &end);
	if (*end || seconds < 0.001 || seconds > 3600)
		return invalid();
	return ktls_set_timeout(k, (unsigned int)(seconds * 1000 + 0.5));
}

int ctl_set_target(struct ctl *ctl, const char *value)
{
	if (ctl->target) {
		ctl_usage("%s: one HOST:PORT only; a command follows --", value);
		return -1;
	}
	ctl->target = value;
	return 0;
}

#define PIN "cert-sha256:HEX or spki-sha256:HEX of 64 digits, at most 16 times"
#define LIST "OpenSSL's syntax, at most 1024 bytes"

static const struct ctl_option options[] = {
	{ "ca", 0, "FILE", ktls_set_ca_file, NULL, "trust the CA certificates of this PEM file",
	  "a file with PEM certificates" },
	{ "store", 0, "NAME", ktls_set_store, NULL,
	  "trust a store of ktlsd's configuration (system)", "a name" },
	{ "pin", 0, "PIN", ktls_add_pin, NULL, "accept this certificate or key; may be repeated",
	  PIN },
	{ "name", 0, "NAME", ktls_set_name, NULL, "the name that the certificate must carry (HOST)",
	  "a name or address" },
	{ "verify", 0, "WHAT", ask_verify, NULL, "full (chain and name), chain or none",
	  "full, chain or none",
	  "full chain none" },
	{ "server-name", 0, "NAME", ktls_set_server_name, NULL,
	  "the name sent in the handshake (HOST)", "a name" },
	{ "alpn", 0, "PROTOCOL", ktls_add_alpn, NULL,
	  "offer this protocol; may be repeated, best first",
	  "a protocol of 1 to 255 bytes, at most 16 times" },
	{ "policy", 0, "NAME", ktls_set_policy, NULL, "a policy of ktlsd's configuration",
	  "a name" },
	{ "min-version", 0, "VERSION", ask_min_version, NULL, "1.2 or 1.3", "1.2 or 1.3",
	  "1.2 1.3" },
	{ "max-version", 0, "VERSION", ask_max_version, NULL, "1.2 or 1.3", "1.2 or 1.3",
	  "1.2 1.3" },
	{ "ciphers", 0, "LIST", ktls_set_ciphers, NULL, "narrow the ciphers of TLS 1.2", LIST },
	{ "ciphersuites", 0, "LIST", ktls_set_ciphersuites, NULL, "narrow the ciphers of TLS 1.3",
	  LIST },
	{ "groups", 0, "LIST", ktls_set_groups, NULL,
	  "narrow the groups (curves) of the key exchange", LIST },
	{ "signature-algorithms", 0, "LIST", ktls_set_signature_algorithms, NULL,
	  "narrow the signature algorithms", LIST },
	{ "io", 0, "HOW", ask_io, NULL, "plain or aware: what is done with the socket",
	  "plain or aware", "plain aware" },
	{ "timeout", 0, "SECONDS", ask_timeout, NULL, "how long ktlsd may take for it all (20)",
	  "0.001 to 120 seconds" },
};

const struct ctl_syntax ctl_request_syntax = {
	options, sizeof(options) / sizeof(*options), ctl_set_target, &ctl_help_syntax,
};

/* The host's part of HOST:PORT or [HOST]:PORT, which goes to host. NULL: it is neither. */
static const char *split_target(const char *target, char host[static HOST_MAX + 1])
{
	const char *colon = strrchr(target, ':'), *from = target, *to = colon;

	if (!colon)
		return NULL;
	if (*target == '[') {
		from++;
		to--;
	}
	if (to <= from || to - from > HOST_MAX || (from != target && *to != ']'))
		return NULL;
	if (from == target && memchr(from, ':', to - from))
		return NULL;
	*(char *)mempcpy(host, from, to - from) = '\0';
	return colon + 1;
}

static int ask_port(struct ktls *k, const char *text)
{
	if (!*text || strlen(text) > 5 || text[strspn(text, "0123456789")] || atoi(text) == 0)
		return invalid();
	return ktls_set_port(k, atoi(text));
}

int ctl_ask_target(struct ctl *ctl)
{
	char host[HOST_MAX + 1];
	const char *port = split_target(ctl->target, host);

	if (!port)
		return ctl_usage("%s: takes HOST:PORT, an IPv6 address as [ADDRESS]:PORT",
				 ctl->target);
	if (ktls_set_host(ctl->k, host) < 0)
		return ctl_usage("%s: no host name and no address", host);
	if (ask_port(ctl->k, port) < 0)
		return ctl_usage("%s: a port is a number from 1 to 65535", port);
	return 0;
}
