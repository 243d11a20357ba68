/* SPDX-License-Identifier: MIT */
/* tests: proto/call.c */
/* tests: proto/encode.c */
/* tests: proto/tree.c */
/* Calls of any method, and their answers, of which nothing is known but that they are answers. */
#include "tests/unit/calls.h"

#include <stdio.h>

static enum proto_decoded answered(const char *text, char **told, struct proto_status *status)
{
	*told = (char *)"none";
	return proto_answer_decode(text, strlen(text), told, status);
}

/* What is told of the parameters. */
static void expect_told(const char *parameters, const char *expected)
{
	struct proto_status status;
	char text[2048], *told;

	snprintf(text, sizeof(text), " { \"parameters\" : %s }\n", parameters);
	if (answered(text, &told, &status) != PROTO_DECODE_OK)
		fail_msg("not taken: %s", text);
	assert_string_equal(told, expected);
	free(told);
	snprintf(text, sizeof(text), "{\"parameters\":%s,\"error\":\"io.ktlsd.Busy\"}", parameters);
	assert_int_equal(answered(text, &told, &status), PROTO_DECODE_REFUSED);
	assert_int_equal(status.error, PROTO_BUSY);
	assert_string_equal(told, expected);
	free(told);
}

static void test_told(void **state)
{
	static const char *const same[] = {
		"{}", "{\"a\":[]}", "{\"a\":[1,{\"b\":{}},null,[true,false]],\"c\":null}",
		"{\"a\":0,\"b\":-1,\"c\":9223372036854775807,\"d\":-9223372036854775808}",
		"{\"a\":9223372036854775808,\"b\":18446744073709551615}",
		"{\"a\":1.50,\"b\":-2e3,\"c\":1E400,\"d\":0.1}",
		"{\"a\":\"\",\"\":\"b\",\"c\\\"\\\\\\n\":\"\\\"\\\\\\n\\r\\t\\u0001/\xc3\xbc\"}",
		"{\"b\":1,\"a\":2,\"parameters\":{\"error\":\"x\"}}",
	};

	for (size_t i = 0; i < array_size(same); i++)
		expect_told(same[i], same[i]);
	expect_told("{ \"a\" : [ 1 , 2 ] ,\n\t\"b\" : { \"c\" : null } }",
		    "{\"a\":[1,2],\"b\":{\"c\":null}}");
	expect_told("{\"\\u0061\\/\":\"\\u0062\\/\\u00fc\\ud83d\\ude00\\b\"}",
		    "{\"a/\":\"b/\xc3\xbc\xf0\x9f\x98\x80\\u0008\"}");
}

static void test_no_parameters(void **state)
{
	static const char *const errors[] = {
		"{\"error\":\"io.ktlsd.Busy\"}", "{\"error\":\"io.ktlsd.Busy\",\"parameters\":null}",
	};
	static const char *const replies[] = {
		"", "{}", "[]", "{\"parameters\":null}", "{\"parameters\":[]}",
		"{\"parameters\":1}", "{\"parameters\":\"{}\"}", "{\"parameters\":{}",
		"{\"parameters\":{}}{}", "{\"error\":1,\"parameters\":{}}",
		"{\"error\":\"\",\"parameters\":{}}", "{\"parameters\":{\"a\":1,\"a\":1}}",
		"{\"parameters\":{\"a\":\"\\u0000\"}}", "{\"parameters\":{\"a\":\"\xff\"}}",
		"{\"error\":\"io.ktlsd.Busy\",\"parameters\":1}",
	};
	struct proto_status status;
	char *told;

	for (size_t i = 0; i < array_size(errors); i++) {
		assert_int_equal(answered(errors[i], &told, &status), PROTO_DECODE_REFUSED);
		assert_int_equal(status.error, PROTO_BUSY);
		assert_null(told);
	}
	for (size_t i = 0; i < array_size(replies); i++) {
		if (answered(replies[i], &told, &status) != PROTO_DECODE_CLOSE)
			fail_msg("taken: %s", replies[i]);
		assert_null(told);
	}
}

/* {"parameters":{"a":[...]}} with n of a piece; free() it. */
static char *with_pieces(const char *piece, size_t n)
{
	char *text = malloc(n * (strlen(piece) + 1) + 64), *at;

	assert_non_null(text);
	at = stpcpy(text, "{\"parameters\":{\"a\":[");
	for (size_t i = 0; i < n; i++)
		at = stpcpy(stpcpy(at, i ? "," : ""), piece);
	strcpy(at, "]}}");
	return text;
}

/* Of many objects as of many numbers: the most that there may be, and one more. */
static void test_members(void **state)
{
	static const struct {
		const char *piece;
		size_t members;
	} cases[] = {
		{ "1", 1 }, { "{}", 1 }, { "{\"b\":1}", 2 },
		{ "{\"b\":1,\"c\":2,\"d\":3,\"e\":{\"b\":4,\"c\":5}}", 7 },
	};
	struct proto_status status;

	for (size_t i = 0; i < array_size(cases); i++) {
		size_t most = (PROTO_REPORT_MEMBERS_MAX - 2) / cases[i].members;

		for (size_t n = most; n <= most + 1; n++) {
			char *text = with_pieces(cases[i].piece, n), *told;

			assert_int_equal(answered(text, &told, &status),
					 n == most ? PROTO_DECODE_OK : PROTO_DECODE_CLOSE);
			if (n == most)
				assert_int_equal(strlen(told), strlen(text) - 15);
			else
				assert_null(told);
			if (n == most)
				free(told);
			free(text);
		}
	}
}

static void test_question(void **state)
{
	struct proto_status status;
	struct proto_call call;
	size_t length;
	char *text = proto_question_encode("io.ktlsd.GetStatus", NULL, &length);

	assert_string_equal(text, "{\"method\":\"io.ktlsd.GetStatus\"}");
	assert_int_equal(length, strlen(text));
	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_OK);
	assert_int_equal(call.method, PROTO_METHOD_GET_STATUS);
	proto_call_deinit(&call);
	free(text);
}

/* Everything that Connect may be asked. */
static void test_question_with_parameters(void **state)
{
	struct proto_status status;
	struct proto_call call;
	size_t length, all;
	char *text, *connect;

	assert_int_equal(decode(&call, golden_all, &status), PROTO_DECODE_OK);
	connect = proto_connect_encode(&call.connect, &all);
	text = proto_question_encode("io.ktlsd.Probe", &call.connect, &length);
	proto_call_deinit(&call);
	assert_int_equal(length, strlen(text));
	assert_int_equal(length + strlen("Connect"), all + strlen("Probe"));
	assert_string_equal(strstr(text, ",\"parameters\""), strstr(connect, ",\"parameters\""));
	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_OK);
	assert_int_equal(call.method, PROTO_METHOD_PROBE);
	assert_string_equal(call.connect.trust.name, "2001:db8::1");
	proto_call_deinit(&call);
	free(connect);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_no_parameters),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_question_with_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
