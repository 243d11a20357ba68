/* SPDX-License-Identifier: MIT */
/* tests: proto/call.c */
/* tests: proto/decode.c */
/* tests: proto/schema.c */
/* tests: proto/method.c */
#include "tests/unit/calls.h"

#include <stdio.h>
#include <string.h>

#define LABEL "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXY"

static void test_least(void **state)
{
	struct proto_call call;
	struct proto_status status;

	memset(&call, '#', sizeof(call));
	assert_int_equal(decode(&call, golden_least, &status), PROTO_DECODE_OK);
	assert_int_equal(call.method, PROTO_METHOD_CONNECT);
	assert_false(call.oneway);
	assert_null(call.interface);
	assert_string_equal(call.connect.host, "example.org");
	assert_int_equal(call.connect.port, 443);
	assert_null(call.connect.trust.ca);
	assert_null(call.connect.trust.store);
	assert_int_equal(call.connect.trust.n_pins, 0);
	assert_null(call.connect.trust.name);
	assert_int_equal(call.connect.trust.verify, PROTO_VERIFY_FULL);
	assert_int_equal(call.connect.policy.min_version, PROTO_VERSION_UNSET);
	assert_int_equal(call.connect.policy.max_version, PROTO_VERSION_UNSET);
	assert_null(call.connect.server_name);
	assert_int_equal(call.connect.alpn.n, 0);
	assert_int_equal(call.connect.io, PROTO_IO_PLAIN);
	assert_int_equal(call.connect.timeout_ms, PROTO_TIMEOUT_DEFAULT_MS);
	proto_call_deinit(&call);
}

static void test_all(void **state)
{
	struct proto_connect *c;
	struct proto_call call;
	struct proto_status status;

	assert_int_equal(decode(&call, golden_all, &status), PROTO_DECODE_OK);
	c = &call.connect;
	assert_string_equal(c->trust.ca,
			    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	assert_string_equal(c->trust.store, "system");
	assert_int_equal(c->trust.n_pins, 2);
	assert_int_equal(c->trust.pins[0].kind, PROTO_PIN_CERT);
	assert_int_equal(c->trust.pins[1].kind, PROTO_PIN_SPKI);
	for (int i = 0; i < 32; i++)
		assert_int_equal(c->trust.pins[1].sha256[i], i);
	assert_string_equal(c->trust.name, "2001:db8::1");
	assert_int_equal(c->trust.verify, PROTO_VERIFY_CHAIN);
	assert_string_equal(c->policy.name, "modern");
	assert_int_equal(c->policy.min_version, PROTO_VERSION_TLS12);
	assert_int_equal(c->policy.max_version, PROTO_VERSION_TLS13);
	assert_string_equal(c->policy.ciphers, "ECDHE+AESGCM:!aNULL");
	assert_string_equal(c->policy.ciphersuites, "TLS_AES_128_GCM_SHA256");
	assert_string_equal(c->policy.groups, "X25519:P-384");
	assert_string_equal(c->policy.signature_algorithms, "rsa_pss_rsae_sha256:ECDSA+SHA256");
	assert_string_equal(c->server_name, "sni.example.org");
	assert_int_equal(c->alpn.n, 3);
	assert_string_equal(c->alpn.items[1], "http/1.1");
	assert_int_equal(c->io, PROTO_IO_AWARE);
	assert_int_equal(c->timeout_ms, 12345);
	proto_call_deinit(&call);
}

static void test_escapes_and_nulls(void **state)
{
	struct proto_call call;
	struct proto_status status;

	assert_int_equal(decode(&call, golden_escapes, &status), PROTO_DECODE_OK);
	assert_string_equal(call.connect.host, "a.b");
	assert_string_equal(call.connect.trust.store, "\"\\/\b\f\n\r\t\xe2\x82\xac"
			    "\xf0\x9f\x98\x80\xe2\x82\xac");
	proto_call_deinit(&call);
}

static void test_taken(void **state)
{
	static const char *const cases[] = {
		CONNECT("\"host\":\"a\",\"port\":65535,\"timeoutMs\":1"),
		CONNECT(GOOD ",\"timeoutMs\":120000"),
		CONNECT(GOOD ",\"trust\":{},\"policy\":{}"),
		CONNECT(GOOD ",\"trust\":{\"ca\":null,\"pins\":null,\"verify\":null}"),
		CONNECT(GOOD ",\"trust\":{\"verify\":\"none\"}"),
		CONNECT(GOOD ",\"trust\":{\"pins\":[" PIN "]}"),
		CONNECT(GOOD ",\"policy\":{\"maxVersion\":\"1.3\"}"),
		CONNECT(GOOD ",\"policy\":{\"minVersion\":\"1.2\",\"maxVersion\":\"1.2\"}"),
		CONNECT(GOOD ",\"io\":\"plain\",\"policy\":{\"minVersion\":\"1.2\"}"),
		"{\"method\":\"org.varlink.service.GetInfo\"}",
		"{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":null}",
		"{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{},\"more\":true}",
		"{\"method\":\"org.varlink.service.GetInfo\",\"oneway\":true}",
		PROBE(GOOD ",\"policy\":{\"minVersion\":\"1.2\"}"),
		"{\"method\":\"io.ktlsd.Probe\",\"oneway\":true,\"parameters\":{" GOOD "}}",
	};

	for (size_t i = 0; i < array_size(cases); i++)
		expect_taken(cases[i]);
}

static const struct {
	const char *parameters, *at_fault;
} refused[] = {
	/* who and where */
	{ "", "host" }, { "\"port\":1", "host" }, { "\"host\":null,\"port\":1", "host" },
	{ "\"host\":1,\"port\":1", "host" }, { "\"host\":[\"a\"],\"port\":1", "host" },
	{ "\"host\":\"\",\"port\":1", "host" }, { "\"host\":\"a..b\",\"port\":1", "host" },
	{ "\"host\":\"a\"", "port" }, { "\"host\":\"a\",\"port\":null", "port" },
	{ "\"host\":\"a\",\"port\":0", "port" }, { "\"host\":\"a\",\"port\":-1", "port" },
	{ "\"host\":\"a\",\"port\":65536", "port" }, { "\"host\":\"a\",\"port\":65979", "port" },
	{ "\"host\":\"a\",\"port\":4294967739", "port" },
	{ "\"host\":\"a\",\"port\":1e99", "port" },
	{ "\"host\":\"a\",\"port\":443.0", "port" }, { "\"host\":\"a\",\"port\":443.9", "port" },
	{ "\"host\":\"a\",\"port\":4e2", "port" }, { "\"host\":\"a\",\"port\":\"443\"", "port" },
	{ "\"host\":\"a\",\"port\":true", "port" }, { "\"host\":\"a\",\"port\":[443]", "port" },
	{ "\"host\":\"a\",\"port\":99999999999999999999", "port" },
	{ "\"host\":\"a\",\"port\":18446744073709552059", "port" },
	{ "\"host\":\"a\",\"port\":-18446744073709551173", "port" },
	{ "\"host\":\"a\",\"host\":\"a\",\"port\":1", "host" },
	{ "\"host\":\"bank.example\\u0000.evil.example\",\"port\":1", "host" },
	{ "\"host\":\"\\ud800\",\"port\":1", "host" }, { "\"host\":\"\xff\",\"port\":1", "host" },
	{ GOOD ",\"Host\":\"a\"", "Host" }, { GOOD ",\"ca_file\":\"/etc/x\"", "ca_file" },
	{ GOOD ",\"\":1", "" }, { GOOD ",\"x\\ny\":1", "x\\x0ay" },
	{ GOOD ",\"unknown\":null", "unknown" },
	{ GOOD ",\"serverName\":\"192.0.2.1\"", "serverName" },
	{ GOOD ",\"serverName\":\"\"", "serverName" },
	{ GOOD ",\"serverName\":\"::1\"", "serverName" },
	{ GOOD ",\"serverName\":\"a.\"", "serverName" },
	{ GOOD ",\"alpn\":[]", "alpn" }, { GOOD ",\"alpn\":\"h2\"", "alpn" },
	{ GOOD ",\"alpn\":[\"\"]", "alpn" }, { GOOD ",\"alpn\":[\"h2\",null]", "alpn" },
	{ GOOD ",\"alpn\":[\"h2\",2]", "alpn" }, { GOOD ",\"alpn\":[\"h2\",\"a\\u0001\"]", "alpn" },
	{ GOOD ",\"io\":\"both\"", "io" }, { GOOD ",\"io\":\"\"", "io" },
	{ GOOD ",\"io\":0", "io" },
	{ GOOD ",\"timeoutMs\":0", "timeoutMs" }, { GOOD ",\"timeoutMs\":120001", "timeoutMs" },
	{ GOOD ",\"timeoutMs\":-1", "timeoutMs" }, { GOOD ",\"timeoutMs\":\"1\"", "timeoutMs" },
	/* whom to believe */
	{ GOOD ",\"trust\":[]", "trust" }, { GOOD ",\"trust\":\"system\"", "trust" },
	{ GOOD ",\"trust\":{\"caFile\":\"/proc/self/fd/3\"}", "trust.caFile" },
	{ GOOD ",\"trust\":{\"ca\":\"\"}", "trust.ca" },
	{ GOOD ",\"trust\":{\"ca\":1}", "trust.ca" },
	{ GOOD ",\"trust\":{\"ca\":\"a\\u0000b\"}", "trust.ca" },
	{ GOOD ",\"trust\":{\"store\":\"\"}", "trust.store" },
	{ GOOD ",\"trust\":{\"store\":\"" LABEL "xx\"}", "trust.store" },
	{ GOOD ",\"trust\":{\"name\":\"*.x\"}", "trust.name" },
	{ GOOD ",\"trust\":{\"verify\":\"Full\"}", "trust.verify" },
	{ GOOD ",\"trust\":{\"verify\":true}", "trust.verify" },
	{ GOOD ",\"trust\":{\"pins\":[]}", "trust.pins" },
	{ GOOD ",\"trust\":{\"pins\":{}}", "trust.pins" },
	{ GOOD ",\"trust\":{\"pins\":" PIN "}", "trust.pins" },
	{ GOOD ",\"trust\":{\"pins\":[" PIN ",1]}", "trust.pins" },
	{ GOOD ",\"trust\":{\"pins\":[" PIN ",\"" HEX64 "\"]}", "trust.pins" },
	{ GOOD ",\"trust\":{\"pins\":[\"\"]}", "trust.pins" },
	/* what may be */
	{ GOOD ",\"policy\":1", "policy" }, { GOOD ",\"policy\":{\"x\":1}", "policy.x" },
	{ GOOD ",\"policy\":{\"name\":\"\"}", "policy.name" },
	{ GOOD ",\"policy\":{\"minVersion\":\"1.1\"}", "policy.minVersion" },
	{ GOOD ",\"policy\":{\"minVersion\":1.2}", "policy.minVersion" },
	{ GOOD ",\"policy\":{\"minVersion\":\"1.3\"}", "policy.minVersion" },
	{ GOOD ",\"io\":\"aware\",\"policy\":{\"minVersion\":\"1.3\"}", "policy.minVersion" },
	{ GOOD ",\"policy\":{\"maxVersion\":\"1.2\",\"minVersion\":\"1.3\"}", "policy.minVersion" },
	{ GOOD ",\"policy\":{\"maxVersion\":\"TLSv1.2\"}", "policy.maxVersion" },
	{ GOOD ",\"policy\":{\"ciphers\":\"\"}", "policy.ciphers" },
	{ GOOD ",\"policy\":{\"ciphers\":\"ALL:@SECLEVEL=0\"}", "policy.ciphers" },
	{ GOOD ",\"policy\":{\"ciphers\":\"@STRENGTH\"}", "policy.ciphers" },
	{ GOOD ",\"policy\":{\"ciphersuites\":\"x@y\"}", "policy.ciphersuites" },
	{ GOOD ",\"policy\":{\"groups\":\"@\"}", "policy.groups" },
	{ GOOD ",\"policy\":{\"signatureAlgorithms\":[\"x\"]}", "policy.signatureAlgorithms" },
};

static void test_refused(void **state)
{
	char text[1024];

	for (size_t i = 0; i < array_size(refused); i++) {
		snprintf(text, sizeof(text), CONNECT("%s"), refused[i].parameters);
		expect_refused(text, refused[i].at_fault);
		snprintf(text, sizeof(text), PROBE("%s"), refused[i].parameters);
		expect_refused(text, refused[i].at_fault);
	}
}

/* Everything that a Connect may say, and it means the same. */
static void test_probe(void **state)
{
	struct proto_status status;
	struct proto_call call;
	char text[sizeof(golden_all)], *probe, *connect;
	size_t length;

	snprintf(text, sizeof(text), "{\"method\":\"io.ktlsd.Probe\"%s", strchr(golden_all, ','));
	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_OK);
	assert_int_equal(call.method, PROTO_METHOD_PROBE);
	probe = proto_connect_encode(&call.connect, &length);
	proto_call_deinit(&call);
	assert_int_equal(decode(&call, golden_all, &status), PROTO_DECODE_OK);
	connect = proto_connect_encode(&call.connect, &length);
	proto_call_deinit(&call);
	assert_string_equal(probe, connect);
	free(probe);
	free(connect);
}

static void test_envelope(void **state)
{
	static const struct {
		const char *text, *at_fault;
	} cases[] = {
		{ "{}", "method" }, { "{\"method\":null}", "method" },
		{ "{\"method\":1}", "method" },
		{ "{\"method\":\"\"}", "method" }, { "{\"method\":\"Connect\"}", "method" },
		{ "{\"method\":\"io.ktlsd.\"}", "method" },
		{ "{\"method\":\".Connect\"}", "method" },
		{ "{\"method\":\"a.B\",\"method\":\"a.B\"}", "method" },
		{ "{\"method\":\"a.B\",\"parameters\":[]}", "parameters" },
		{ "{\"method\":\"a.B\",\"oneway\":1}", "oneway" },
		{ "{\"method\":\"a.B\",\"more\":\"true\"}", "more" },
		{ "{\"method\":\"a.B\",\"upgrade\":{}}", "upgrade" },
		{ "{\"method\":\"a.B\",\"fds\":1}", "fds" },
		{ "{\"method\":\"\xff.B\"}", "method" },
		{ "{\"method\":\"io.ktlsd.Connect\"}", "host" },
		{ "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{\"x\":1}}", "x" },
		{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}", "interface" },
	};

	for (size_t i = 0; i < array_size(cases); i++)
		expect_refused(cases[i].text, cases[i].at_fault);
}

static void test_what_there_is_not(void **state)
{
	static const struct {
		const char *text;
		enum proto_error error;
		const char *subject;
	} cases[] = {
		{ "{\"method\":\"io.ktlsd.Upgrade\"}", PROTO_METHOD_NOT_FOUND, "io.ktlsd.Upgrade" },
		{ "{\"method\":\"io.ktlsd.connect\"}", PROTO_METHOD_NOT_FOUND, "io.ktlsd.connect" },
		{ "{\"method\":\"org.varlink.service.X\"}", PROTO_METHOD_NOT_FOUND,
		  "org.varlink.service.X" },
		{ "{\"method\":\"io.ktls.Connect\"}", PROTO_INTERFACE_NOT_FOUND, "io.ktls" },
		{ "{\"method\":\"io.ktlsd.x.Connect\"}", PROTO_INTERFACE_NOT_FOUND, "io.ktlsd.x" },
		{ "{\"method\":\"a\\n.B\"}", PROTO_INTERFACE_NOT_FOUND, "a\\x0a" },
		{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		  "\"parameters\":{\"interface\":\"io.x\"}}", PROTO_INTERFACE_NOT_FOUND, "io.x" },
	};
	struct proto_status status;
	struct proto_call call;

	for (size_t i = 0; i < array_size(cases); i++) {
		assert_int_equal(decode(&call, cases[i].text, &status), PROTO_DECODE_REFUSED);
		assert_int_equal(status.error, cases[i].error);
		assert_string_equal(status.parameter, cases[i].subject);
		assert_non_null(strstr(status.message, cases[i].subject));
	}
}

static void test_who_wants_a_refusal(void **state)
{
	static const struct {
		const char *text;
		bool oneway;
	} cases[] = {
		{ "{\"method\":\"a.B\"}", false },
		{ "{\"method\":\"a.B\",\"oneway\":false}", false },
		{ "{\"method\":\"a.B\",\"oneway\":true}", true },
		{ "{\"method\":\"a.B\",\"oneway\":true,\"x\":\"\xff\"}", true },
		{ "{\"method\":1,\"oneway\":true}", true },
		{ "{\"method\":\"a.B\",\"oneway\":1}", false },
		{ "{\"oneway\":true,\"method\":\"io.ktlsd.Probe\"}", true },
		{ "{\"oneway\":true,\"method\":\"io.ktlsd.Connect\"}", false },
		{ "{\"oneway\":true,\"method\":\"io.ktlsd.Connect\","
		  "\"parameters\":{" GOOD "}}", false },
	};
	struct proto_status status;
	struct proto_call call;
	bool oneway;

	for (size_t i = 0; i < array_size(cases); i++) {
		oneway = !cases[i].oneway;
		assert_int_equal(proto_call_decode(&call, cases[i].text, strlen(cases[i].text),
						   &status, &oneway), PROTO_DECODE_REFUSED);
		assert_int_equal(oneway, cases[i].oneway);
	}
	assert_string_equal(status.parameter, "oneway");
}

static void test_closed(void **state)
{
	static const char *const cases[] = {
		"", "[]", "x", "{\"method\":}", "{\"method\":\"io.ktlsd.Connect\"",
		"\xef\xbb\xbf{}",
		CONNECT(GOOD) "x", CONNECT(GOOD ",\"x\":NaN"),
		CONNECT(GOOD ",\"x\":[[[[[[[]]]]]]]"),
	};
	struct proto_status status;
	struct proto_call call;

	for (size_t i = 0; i < array_size(cases); i++)
		assert_int_equal(decode(&call, cases[i], &status), PROTO_DECODE_CLOSE);
}

static void test_the_reason_is_told(void **state)
{
	struct proto_status status;
	struct proto_call call;

	decode(&call, CONNECT(GOOD ",\"io\":\"aware\",\"policy\":{\"minVersion\":\"1.3\"}"),
	       &status);
	assert_non_null(strstr(status.message, "cannot do TLS 1.3 yet"));
	decode(&call, CONNECT(GOOD ",\"trust\":{\"verify\":\"yes\"}"), &status);
	assert_string_equal(status.message,
			    "trust.verify is none of \"full\", \"chain\", \"none\"");
	decode(&call, CONNECT("\"host\":\"a\",\"port\":0"), &status);
	assert_string_equal(status.message, "port is not in 1 to 65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_escapes_and_nulls),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_what_there_is_not),
		cmocka_unit_test(test_who_wants_a_refusal),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_the_reason_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
