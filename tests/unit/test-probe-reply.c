/* SPDX-License-Identifier: MIT */
/* tests: proto/encode.c */
/* The reply to Probe, written by hand and read by its rows: whoever has them can read it. */
#include "tests/unit/unit.h"

#include "proto/decode.h"
#include "proto/tree.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define SUITE "ECDHE-RSA-AES256-GCM-SHA384"
#define CBC "AES128-SHA"

#define TRACE(attempts, chain) ",\"trace\":{\"attempts\":[" attempts "],\"chain\":[" chain "],"	\
	"\"timings\":{\"resolve\":0,\"connect\":0,\"handshake\":0,\"install\":0,\"total\":0}}"

#define SESSION(kernel)									\
	"\"session\":{\"version\":\"TLSv1.2\",\"cipher\":\"" CBC "\",\"kernelCipher\":" kernel	\
	",\"group\":null,\"alpn\":null,\"address\":\"192.0.2.1:443\",\"verifiedBy\":\"pin\","	\
	"\"peer\":{\"subject\":\"CN=x\",\"certSha256\":\"00\",\"spkiSha256\":\"ff\","		\
	"\"notAfter\":\"2027-01-31T12:00:00Z\"},\"resumed\":false,"				\
	"\"timings\":{\"resolve\":1,\"connect\":2,\"handshake\":3,\"install\":0,\"total\":9}}"

static const struct proto_session session = {
	.version = "TLSv1.2", .cipher = CBC, .address = "192.0.2.1:443", .verified_by = "pin",
	.peer_subject = "CN=x", .peer_cert_sha256 = "00", .peer_spki_sha256 = "ff",
	.peer_not_after = "2027-01-31T12:00:00Z",
	.timings = { .resolve = 1, .connect = 2, .handshake = 3, .total = 9 },
};

static struct proto_strings names(size_t n, const char *name)
{
	struct proto_strings strings = { .items = calloc(n + 1, sizeof(char *)), .n = n };

	for (size_t i = 0; i < n; i++)
		strings.items[i] = strdup(name);
	return strings;
}

static enum proto_decoded decode(struct proto_probed *probed, const char *text)
{
	struct proto_status ignored;
	struct json_object *tree;
	struct proto_scan scan;
	enum proto_decoded decoded = proto_tree_read(&tree, &scan, text, strlen(text),
						     PROTO_REPLY_MEMBERS_MAX);

	*probed = (struct proto_probed){ .probe = { .takes_over = false } };
	if (decoded != PROTO_DECODE_OK)
		return decoded;
	decoded = proto_decode(&proto_schema_probed, probed,
			       json_object_object_get(tree, "parameters"), true, &ignored);
	json_object_put(tree);
	return decoded;
}

static void expect_encoded(const struct proto_session *of, const struct proto_probe *probe,
			   const char *expected)
{
	size_t length;
	char *text = proto_probe_encode(of, probe, &length);

	assert_string_equal(text, expected);
	assert_int_equal(length, strlen(expected));
	free(text);
}

/* A kernel that takes none of it: the list is there and empty, and the cipher has no name. */
static void test_nothing_taken(void **state)
{
	struct proto_probe probe = { .offered = names(2, CBC) };

	expect_encoded(&session, &probe, "{\"parameters\":{" SESSION("null")
		       ",\"offered\":[\"" CBC "\",\"" CBC "\"],\"offloadable\":[],"
		       "\"takesOver\":false" TRACE("", "") "}}");
	proto_probe_deinit(&probe);
	assert_null(probe.offered.items);
	proto_probe_deinit(&probe);
}

static void test_some_taken(void **state)
{
	struct proto_probe probe = { .offered = names(1, SUITE), .offloadable = names(1, SUITE),
				     .takes_over = true };
	struct proto_session other = session;

	strcpy(other.kernel_cipher, "aes-gcm-256");
	expect_encoded(&other, &probe, "{\"parameters\":{" SESSION("\"aes-gcm-256\"")
		       ",\"offered\":[\"" SUITE "\"],\"offloadable\":[\"" SUITE "\"],"
		       "\"takesOver\":true" TRACE("", "") "}}");
	proto_probe_deinit(&probe);
}

/* What was seen is told of success and of failure alike. */
static void test_trace(void **state)
{
	static struct proto_attempt attempts[] = {
		{ "[2001:db8::1]:443", PROTO_ATTEMPT_FAILED, ENETUNREACH, 0, 12 },
		{ "192.0.2.1:443", PROTO_ATTEMPT_CONNECTED, 0, 13, 500 },
	};
	static char name[] = "server.test", *dns_names[] = { name };
	static struct proto_certificate leaf = {
		"CN=x", "CN=ca", { dns_names, 1 }, "2026-01-01T00:00:00Z", "2027-01-31T12:00:00Z",
		"RSA 2048", "sha256WithRSAEncryption", "00", "ff", "X509_V_ERR_CERT_HAS_EXPIRED",
	};
	const struct proto_trace trace = {
		{ attempts, array_size(attempts) }, { &leaf, 1 }, { .connect = 513 },
	};
	struct proto_status status;
	size_t length;
	char *text;

	proto_status_set(&status, PROTO_CERTIFICATE_REJECTED, PROTO_STAGE_HANDSHAKE, 0, "no");
	text = proto_probe_failure_encode(&status, &trace, &length);
	assert_string_equal(text, "{\"error\":\"io.ktlsd.CertificateRejected\",\"parameters\":{"
		"\"stage\":\"handshake\",\"message\":\"no\",\"errno\":null,\"retry\":false,\"trace\":{"
		"\"attempts\":[{\"address\":\"[2001:db8::1]:443\",\"state\":\"failed\",\"errno\":\"ENETUNREACH\","
		"\"begun\":0,\"took\":12},{\"address\":\"192.0.2.1:443\",\"state\":\"connected\",\"errno\":null,"
		"\"begun\":13,\"took\":500}],\"chain\":[{\"subject\":\"CN=x\",\"issuer\":\"CN=ca\","
		"\"names\":[\"server.test\"],\"notBefore\":\"2026-01-01T00:00:00Z\","
		"\"notAfter\":\"2027-01-31T12:00:00Z\",\"key\":\"RSA 2048\","
		"\"signature\":\"sha256WithRSAEncryption\",\"certSha256\":\"00\",\"spkiSha256\":\"ff\","
		"\"problem\":\"X509_V_ERR_CERT_HAS_EXPIRED\"}],\"timings\":{\"resolve\":0,\"connect\":513,"
		"\"handshake\":0,\"install\":0,\"total\":0}}}}");
	assert_int_equal(length, strlen(text));
	free(text);
}

/* The longest reply there is, and the empty list, there and back. */
static void test_and_back(void **state)
{
	for (size_t n = 0; n <= PROTO_SUITES_MAX; n += PROTO_SUITES_MAX) {
		struct proto_probe probe = { .offered = names(PROTO_SUITES_MAX, SUITE),
					     .offloadable = names(n, CBC), .takes_over = n };
		struct proto_probed probed;
		size_t length;
		char *text = proto_probe_encode(&session, &probe, &length);

		assert_int_equal(decode(&probed, text), PROTO_DECODE_OK);
		assert_int_equal(probed.probe.offered.n, PROTO_SUITES_MAX);
		assert_string_equal(probed.probe.offered.items[PROTO_SUITES_MAX - 1], SUITE);
		assert_int_equal(probed.probe.offloadable.n, n);
		assert_int_equal(probed.probe.takes_over, n > 0);
		assert_memory_equal(&probed.session, &session, sizeof(session));
		proto_probe_deinit(&probed.probe);
		proto_probe_deinit(&probe);
		free(text);
	}
}

#define REPLY(offered, offloadable) "{\"parameters\":{" SESSION("null") ",\"offered\":" offered		\
	",\"offloadable\":" offloadable ",\"takesOver\":false" TRACE("", "") "}}"

static void test_no_reply_of_ours(void **state)
{
	static const char *const cases[] = {
		REPLY("[]", "[]"), REPLY("null", "[]"), REPLY("[\"a\"]", "null"),
		REPLY("[\"\"]", "[]"), REPLY("[\"a\\u001b[31m\"]", "[]"), REPLY("[\"a b\"]", "[]"),
		REPLY("[1]", "[]"), REPLY("\"a\"", "[]"), REPLY("[\"a\"]", "[[]]"),
		REPLY("[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]", "[]"),
	};
	struct proto_probed probed;

	for (size_t i = 0; i < array_size(cases); i++) {
		if (decode(&probed, cases[i]) != PROTO_DECODE_REFUSED)
			fail_msg("taken: %s", cases[i]);
		proto_probe_deinit(&probed.probe);
	}
	assert_int_equal(decode(&probed, REPLY("[\"a\"]", "[]")), PROTO_DECODE_OK);
	proto_probe_deinit(&probed.probe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_taken),
		cmocka_unit_test(test_some_taken),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_and_back),
		cmocka_unit_test(test_no_reply_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
