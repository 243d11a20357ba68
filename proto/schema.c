/* SPDX-License-Identifier: MIT */
#include "proto/schema.h"
#include "proto/util.h"

#include <stdint.h>
#include <string.h>

/* Where a row's value lives. */
#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define SCHEMA(symbol, name, rows)								\
	struct proto_schema symbol = { .type = name, .fields = rows, .n = array_size(rows) }

static const char *judge_host(const char *text)
{
	return proto_host_valid(text) ? NULL : "is neither a DNS name nor an IP address";
}

/* RFC 6066, 3: no literal addresses, no dot at the end. */
static const char *judge_server_name(const char *text)
{
	if (!proto_dns_name_valid(text))
		return "is not a DNS name";
	return text[strlen(text) - 1] == '.' ? "ends in a dot" : NULL;
}

/* @SECLEVEL would lower what the configuration demands, @STRENGTH reorder it. */
static const char *judge_ciphers(const char *text)
{
	return strchr(text, '@') ? "contains a command (@)" : NULL;
}

static const char *judge_alpn(const char *text)
{
	char escaped[4 * PROTO_ALPN_NAME_MAX + 1];
	size_t length = strlen(text);

	if (length < 1 || length > PROTO_ALPN_NAME_MAX)
		return "has a name that is not 1 to 255 bytes long";
	proto_escape(escaped, sizeof(escaped), text);
	return strcmp(escaped, text) == 0 ? NULL : "has a name with control characters";
}

static const char *judge_suite(const char *text)
{
	size_t length = strlen(text);

	return length >= 1 && length <= PROTO_SUITE_NAME_MAX &&
	       strspn(text, "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz") == length ?
	       NULL : "has one that is no name of a suite";
}

static const struct proto_word verify_words[] = {
	{ "full", PROTO_VERIFY_FULL },
	{ "chain", PROTO_VERIFY_CHAIN },
	{ "none", PROTO_VERIFY_NONE },
	{ NULL, 0 },
};

static const struct proto_word io_words[] = {
	{ "plain", PROTO_IO_PLAIN },
	{ "aware", PROTO_IO_AWARE },
	{ NULL, 0 },
};

static const struct proto_word version_words[] = {
	{ "1.2", PROTO_VERSION_TLS12 },
	{ "1.3", PROTO_VERSION_TLS13 },
	{ NULL, 0 },
};

static const struct proto_field call_fields[] = {
	{ "method", PROTO_KIND_STRING, PROTO_REQUIRED, AT(struct proto_envelope, method),
	  .least = 1, .most = PROTO_MESSAGE_MAX },
	{ "parameters", PROTO_KIND_PARAMETERS, PROTO_OPTIONAL },
	{ "oneway", PROTO_KIND_BOOL, PROTO_OPTIONAL, AT(struct proto_envelope, oneway) },
	{ "more", PROTO_KIND_BOOL, PROTO_OPTIONAL, AT(struct proto_envelope, more) },
	{ "upgrade", PROTO_KIND_BOOL, PROTO_OPTIONAL, AT(struct proto_envelope, upgrade) },
};

static const struct proto_field reply_fields[] = {
	{ "error", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_envelope, error),
	  .least = 1, .most = PROTO_MESSAGE_MAX },
	{ "parameters", PROTO_KIND_PARAMETERS, PROTO_OPTIONAL },
};

static const struct proto_field trust_fields[] = {
	{ "ca", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_trust, ca),
	  .least = 1, .most = PROTO_CA_MAX },
	{ "store", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_trust, store),
	  .least = 1, .most = PROTO_NAME_MAX },
	{ "pins", PROTO_KIND_PINS, PROTO_OPTIONAL, .least = 1, .most = PROTO_PINS_MAX },
	{ "name", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_trust, name),
	  .least = 1, .most = PROTO_HOST_MAX, .judge = judge_host },
	{ "verify", PROTO_KIND_WORD, PROTO_OPTIONAL, AT(struct proto_trust, verify),
	  .words = verify_words },
};

static const SCHEMA(schema_trust, "Trust", trust_fields);

static const struct proto_field policy_fields[] = {
	{ "name", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_policy, name),
	  .least = 1, .most = PROTO_NAME_MAX },
	{ "minVersion", PROTO_KIND_WORD, PROTO_OPTIONAL, AT(struct proto_policy, min_version),
	  .words = version_words },
	{ "maxVersion", PROTO_KIND_WORD, PROTO_OPTIONAL, AT(struct proto_policy, max_version),
	  .words = version_words },
	{ "ciphers", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_policy, ciphers),
	  .least = 1, .most = PROTO_CIPHERS_MAX, .judge = judge_ciphers },
	{ "ciphersuites", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_policy, ciphersuites),
	  .least = 1, .most = PROTO_CIPHERS_MAX, .judge = judge_ciphers },
	{ "groups", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_policy, groups),
	  .least = 1, .most = PROTO_CIPHERS_MAX, .judge = judge_ciphers },
	{ "signatureAlgorithms", PROTO_KIND_STRING, PROTO_OPTIONAL,
	  AT(struct proto_policy, signature_algorithms),
	  .least = 1, .most = PROTO_CIPHERS_MAX, .judge = judge_ciphers },
};

static const SCHEMA(schema_policy, "Policy", policy_fields);

static const struct proto_field connect_fields[] = {
	{ "host", PROTO_KIND_STRING, PROTO_REQUIRED, AT(struct proto_connect, host),
	  .least = 1, .most = PROTO_HOST_MAX, .judge = judge_host },
	{ "port", PROTO_KIND_INTEGER, PROTO_REQUIRED, AT(struct proto_connect, port),
	  .least = 1, .most = 65535 },
	{ "trust", PROTO_KIND_OBJECT, PROTO_OPTIONAL, AT(struct proto_connect, trust),
	  .schema = &schema_trust },
	{ "policy", PROTO_KIND_OBJECT, PROTO_OPTIONAL, AT(struct proto_connect, policy),
	  .schema = &schema_policy },
	{ "serverName", PROTO_KIND_STRING, PROTO_OPTIONAL, AT(struct proto_connect, server_name),
	  .least = 1, .most = PROTO_HOST_MAX, .judge = judge_server_name },
	{ "alpn", PROTO_KIND_STRINGS, PROTO_OPTIONAL, AT(struct proto_connect, alpn),
	  .least = 1, .most = PROTO_ALPN_MAX, .judge = judge_alpn },
	{ "io", PROTO_KIND_WORD, PROTO_OPTIONAL, AT(struct proto_connect, io), .words = io_words },
	{ "timeoutMs", PROTO_KIND_INTEGER, PROTO_OPTIONAL, AT(struct proto_connect, timeout_ms),
	  .least = PROTO_TIMEOUT_MIN_MS, .most = PROTO_TIMEOUT_MAX_MS },
};

#define SESSION_TEXT(name, presence, member)							\
	{ name, PROTO_KIND_TEXT, presence, AT(struct proto_session, member),			\
	  .most = sizeof(((struct proto_session *)NULL)->member) }
#define TIMING(name)										\
	{ #name, PROTO_KIND_INTEGER, PROTO_REQUIRED, AT(struct proto_timings, name),		\
	  .most = INT64_MAX }

static const struct proto_field peer_fields[] = {
	SESSION_TEXT("subject", PROTO_REQUIRED, peer_subject),
	SESSION_TEXT("certSha256", PROTO_REQUIRED, peer_cert_sha256),
	SESSION_TEXT("spkiSha256", PROTO_REQUIRED, peer_spki_sha256),
	SESSION_TEXT("notAfter", PROTO_REQUIRED, peer_not_after),
};

static const SCHEMA(schema_peer, "Peer", peer_fields);

static const struct proto_field timings_fields[] = {
	TIMING(resolve), TIMING(connect), TIMING(handshake), TIMING(install), TIMING(total),
};

const SCHEMA(proto_schema_timings, "Timings", timings_fields);

static const struct proto_field session_fields[] = {
	SESSION_TEXT("version", PROTO_REQUIRED, version),
	SESSION_TEXT("cipher", PROTO_REQUIRED, cipher),
	SESSION_TEXT("kernelCipher", PROTO_NULLABLE, kernel_cipher),
	SESSION_TEXT("group", PROTO_NULLABLE, group),
	SESSION_TEXT("alpn", PROTO_NULLABLE, alpn),
	SESSION_TEXT("address", PROTO_REQUIRED, address),
	SESSION_TEXT("verifiedBy", PROTO_REQUIRED, verified_by),
	{ "peer", PROTO_KIND_OBJECT, PROTO_REQUIRED, .schema = &schema_peer },
	{ "resumed", PROTO_KIND_BOOL, PROTO_REQUIRED, AT(struct proto_session, resumed) },
	{ "timings", PROTO_KIND_OBJECT, PROTO_REQUIRED, AT(struct proto_session, timings),
	  .schema = &proto_schema_timings },
};

static const SCHEMA(schema_session, "Session", session_fields);

static const struct proto_field connected_fields[] = {
	{ "fileDescriptor", PROTO_KIND_INTEGER, PROTO_REQUIRED,
	  AT(struct proto_connected, fd_index), .most = INT32_MAX },
	{ "session", PROTO_KIND_OBJECT, PROTO_REQUIRED, AT(struct proto_connected, session),
	  .schema = &schema_session },
};

static const struct proto_field probed_fields[] = {
	{ "session", PROTO_KIND_OBJECT, PROTO_REQUIRED, AT(struct proto_probed, session),
	  .schema = &schema_session },
	{ "offered", PROTO_KIND_STRINGS, PROTO_REQUIRED, AT(struct proto_probed, probe.offered),
	  .least = 1, .most = PROTO_SUITES_MAX, .judge = judge_suite },
	{ "offloadable", PROTO_KIND_STRINGS, PROTO_REQUIRED,
	  AT(struct proto_probed, probe.offloadable),
	  .most = PROTO_SUITES_MAX, .judge = judge_suite },
	{ "takesOver", PROTO_KIND_BOOL, PROTO_REQUIRED, AT(struct proto_probed, probe.takes_over) },
	{ "trace", PROTO_KIND_OBJECT, PROTO_REQUIRED, AT(struct proto_probed, probe.trace),
	  .schema = &proto_schema_trace },
};

const SCHEMA(proto_schema_call, NULL, call_fields);
const SCHEMA(proto_schema_reply, NULL, reply_fields);
const SCHEMA(proto_schema_connect, NULL, connect_fields);
const SCHEMA(proto_schema_connected, NULL, connected_fields);
const SCHEMA(proto_schema_probed, NULL, probed_fields);
