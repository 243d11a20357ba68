/* SPDX-License-Identifier: MIT */
#include "tests/unit/calls.h"

#include <stdio.h>

/* A call with n bytes of text somewhere in it. */
static char *with_text(const char *before, size_t n, const char *after)
{
	char *text = malloc(strlen(before) + n + strlen(after) + 1);
	char *at = stpcpy(text, before);

	memset(at, 'x', n);
	strcpy(at + n, after);
	return text;
}

static void test_lengths(void **state)
{
	static const struct {
		const char *before, *after, *parameter;
		size_t most;
	} cases[] = {
		{ "\"trust\":{\"ca\":\"", "\"}", "trust.ca", PROTO_CA_MAX },
		{ "\"trust\":{\"store\":\"", "\"}", "trust.store", PROTO_NAME_MAX },
		{ "\"policy\":{\"name\":\"", "\"}", "policy.name", PROTO_NAME_MAX },
		{ "\"policy\":{\"ciphers\":\"", "\"}", "policy.ciphers", PROTO_CIPHERS_MAX },
		{ "\"policy\":{\"ciphersuites\":\"", "\"}", "policy.ciphersuites",
		  PROTO_CIPHERS_MAX },
		{ "\"policy\":{\"groups\":\"", "\"}", "policy.groups", PROTO_CIPHERS_MAX },
		{ "\"policy\":{\"signatureAlgorithms\":\"", "\"}", "policy.signatureAlgorithms",
		  PROTO_CIPHERS_MAX },
		{ "\"alpn\":[\"a\",\"", "\"]", "alpn", PROTO_ALPN_NAME_MAX },
	};
	char before[256], after[16], *text;

	for (size_t i = 0; i < array_size(cases); i++) {
		snprintf(before, sizeof(before),
			 "{\"method\":\"io.ktlsd.Connect\",\"parameters\":{" GOOD ",%s",
			 cases[i].before);
		snprintf(after, sizeof(after), "%s}}", cases[i].after);
		text = with_text(before, cases[i].most, after);
		expect_taken(text);
		free(text);
		text = with_text(before, cases[i].most + 1, after);
		expect_refused(text, cases[i].parameter);
		free(text);
	}
}

static void test_counts(void **state)
{
	static const struct {
		const char *before, *element, *after, *parameter;
		size_t most;
	} cases[] = {
		{ "\"trust\":{\"pins\":[", PIN, "]}", "trust.pins", PROTO_PINS_MAX },
		{ "\"alpn\":[", "\"h2\"", "]", "alpn", PROTO_ALPN_MAX },
	};
	char text[8192];
	size_t n;

	for (size_t i = 0; i < array_size(cases); i++) {
		for (size_t elements = 1; elements <= cases[i].most + 1; elements++) {
			n = (size_t)sprintf(text, "{\"method\":\"io.ktlsd.Connect\","
					    "\"parameters\":{" GOOD ",%s", cases[i].before);
			for (size_t j = 0; j < elements; j++)
				n += (size_t)sprintf(text + n, "%s%s", j ? "," : "",
						     cases[i].element);
			sprintf(text + n, "%s}}", cases[i].after);
			if (elements <= cases[i].most)
				expect_taken(text);
			else
				expect_refused(text, cases[i].parameter);
		}
	}
}

static void test_message_size(void **state)
{
	struct proto_status status;
	struct proto_call call;
	char *text;
	size_t n = strlen("{\"method\":\"a.B\"}");

	text = with_text("{\"method\":\"a.B", PROTO_MESSAGE_MAX - n, "\"}");
	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_REFUSED);
	assert_int_equal(status.error, PROTO_INTERFACE_NOT_FOUND);
	free(text);
	text = with_text("{\"method\":\"a.B", PROTO_MESSAGE_MAX - n + 1, "\"}");
	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_CLOSE);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_message_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
