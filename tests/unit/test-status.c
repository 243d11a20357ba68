/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "proto/status.h"
#include "proto/utf8.h"

#include <stdio.h>
#include <string.h>

#define LAST PROTO_INTERNAL_ERROR

static void test_every_number_has_its_row(void **state)
{
	const struct proto_error_info *info, *other;

	for (int i = 1; i <= LAST; i++) {
		info = proto_error_info((enum proto_error)i);
		assert_non_null(info);
		assert_true(info->text[0] != '\0');
		assert_in_range(info->who, PROTO_WHO_CALLER, PROTO_WHO_INTERNAL);
		assert_int_not_equal(info->sys_errno, 0);
		assert_int_equal(proto_error_from_wire(info->wire), i);
		for (int j = 1; j < i; j++) {
			other = proto_error_info((enum proto_error)j);
			assert_string_not_equal(info->symbol, other->symbol);
			assert_string_not_equal(info->wire, other->wire);
		}
	}
}

static void test_numbers_without_row(void **state)
{
	assert_null(proto_error_info(PROTO_OK));
	assert_null(proto_error_info((enum proto_error)(LAST + 1)));
	assert_null(proto_error_info((enum proto_error)-1));
	assert_int_equal(proto_error_from_wire("io.ktlsd.Nonesuch"), PROTO_OK);
	assert_int_equal(proto_error_from_wire("io.ktlsd.busy"), PROTO_OK);
	assert_int_equal(proto_error_from_wire(""), PROTO_OK);
}

static void test_stages(void **state)
{
	for (int i = PROTO_STAGE_POLICY; i <= PROTO_STAGE_INSTALL; i++)
		assert_int_equal(proto_stage_from_name(proto_stage_name((enum proto_stage)i)), i);
	assert_string_equal(proto_stage_name(PROTO_STAGE_HANDSHAKE), "handshake");
	assert_null(proto_stage_name(PROTO_STAGE_NONE));
	assert_null(proto_stage_name((enum proto_stage)(PROTO_STAGE_INSTALL + 1)));
	assert_int_equal(proto_stage_from_name("Policy"), PROTO_STAGE_NONE);
}

static void test_errno_there_and_back(void **state)
{
	char buffer[24];

	for (int i = 1; i <= 4095; i++)
		assert_int_equal(proto_errno_from_name(proto_errno_name(i, buffer)), i);
	assert_string_equal(proto_errno_name(ECONNREFUSED, buffer), "ECONNREFUSED");
	assert_string_equal(proto_errno_name(4000, buffer), "E4000");
	assert_null(proto_errno_name(0, buffer));
}

static void test_errno_names(void **state)
{
	static const struct {
		const char *name;
		int number;
	} cases[] = {
		{ "EWOULDBLOCK", EAGAIN }, { "ENOTSUP", EOPNOTSUPP }, { "EDEADLOCK", EDEADLK },
		{ "E4095", 4095 }, { "E4096", 0 }, { "E99999999999999999999", 0 },
		{ "E", 0 }, { "E0", 0 }, { "E01", 0 }, { "E-1", 0 }, { "E1x", 0 }, { "", 0 },
		{ "econnrefused", 0 }, { "EBOGUS", 0 }, { "0", 0 }, { NULL, 0 },
	};

	for (size_t i = 0; i < array_size(cases); i++)
		assert_int_equal(proto_errno_from_name(cases[i].name), cases[i].number);
}

static void test_escape(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "", "" },
		{ "plain text, \"quoted\" \\ and so on", "plain text, \"quoted\" \\ and so on" },
		{ "line\nbreak\r\t", "line\\x0abreak\\x0d\\x09" },
		{ "\033[31mred\177", "\\x1b[31mred\\x7f" },
		{ "M\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x94\x92",
		  "M\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x94\x92" },
		{ "C1 \xc2\x85 and \xc2\x9f, not \xc2\xa0",
		"C1 \\xc2\\x85 and \\xc2\\x9f, not \xc2\xa0" },
		{ "latin \xfc 1", "latin \\xfc 1" },
		{ "overlong \xc0\xaf \xe0\x80\xaf", "overlong \\xc0\\xaf \\xe0\\x80\\xaf" },
		{ "surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80" },
		{ "above \xf4\x90\x80\x80", "above \\xf4\\x90\\x80\\x80" },
		{ "begun \xe2\x82", "begun \\xe2\\x82" },
		{ "turned \xe2\x80\xae, broken \xe2\x80\xa8",
		  "turned \\xe2\\x80\\xae, broken \\xe2\\x80\\xa8" },
	};
	char to[256];

	for (size_t i = 0; i < array_size(cases); i++) {
		proto_escape(to, sizeof(to), cases[i].from);
		assert_string_equal(to, cases[i].to);
	}
}

static void test_escape_cuts(void **state)
{
	static const struct {
		size_t size;
		const char *from, *to;
	} cases[] = {
		{ 9, "12345678", "12345678" }, { 8, "12345678", "1234..." },
		{ 8, "1234567\n", "1234..." }, { 8, "123\n", "123\\x0a" }, { 7, "123\n", "123..." },
		{ 6, "\n\n", "..." }, { 7, "\xe2\x82\xac\xe2\x82\xac", "\xe2\x82\xac\xe2\x82\xac" },
		{ 7, "\xe2\x82\xac\xe2\x82\xacx", "\xe2\x82\xac..." },
		{ 6, "\xe2\x82\xac\xe2\x82\xacx", "..." }, { 4, "12345", "..." },
		{ 3, "12345", ".." }, { 1, "12345", "" }, { 1, "", "" },
	};
	char to[16];

	for (size_t i = 0; i < array_size(cases); i++) {
		memset(to, '#', sizeof(to));
		proto_escape(to, cases[i].size, cases[i].from);
		assert_string_equal(to, cases[i].to);
		assert_int_equal(to[cases[i].size], '#');
	}
	to[0] = '#';
	proto_escape(to, 0, "text");
	assert_int_equal(to[0], '#');
}

static void test_set_fills_everything(void **state)
{
	struct proto_status status;

	memset(&status, '#', sizeof(status));
	assert_int_equal(proto_status_set(&status, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT,
					  ECONNREFUSED, "%s\nsaid no", "192.0.2.1:443"),
			 PROTO_CONNECT_FAILED);
	assert_int_equal(status.error, PROTO_CONNECT_FAILED);
	assert_int_equal(status.stage, PROTO_STAGE_CONNECT);
	assert_int_equal(status.sys_errno, ECONNREFUSED);
	assert_false(status.retry);
	assert_string_equal(status.message, "192.0.2.1:443\\x0asaid no");
	assert_string_equal(status.parameter, "");
	assert_string_equal(status.alert, "");
	assert_string_equal(status.x509, "");
}

static void test_set_without_text_takes_the_table(void **state)
{
	struct proto_status status;

	proto_status_set(&status, PROTO_BUSY, PROTO_STAGE_NONE, 0, NULL);
	assert_string_equal(status.message, proto_error_info(PROTO_BUSY)->text);
}

static void test_set_cuts(void **state)
{
	struct proto_status status;
	char text[2 * PROTO_TEXT_MAX + 1];

	for (size_t length = PROTO_TEXT_MAX - 2; length < sizeof(text); length++) {
		memset(text, 'x', length);
		text[length] = '\0';
		proto_status_set(&status, PROTO_BUSY, PROTO_STAGE_NONE, 0, "%s", text);
		if (length < PROTO_TEXT_MAX)
			assert_string_equal(status.message, text);
		else
			assert_string_equal(status.message + PROTO_TEXT_MAX - 5, "x...");
	}
}

static void test_invalid_names_the_parameter(void **state)
{
	struct proto_status status;

	memset(&status, '#', sizeof(status));
	assert_int_equal(proto_status_invalid(&status, "trust.pins", "%s %d", "no", 7),
			 PROTO_INVALID_PARAMETER);
	assert_string_equal(status.parameter, "trust.pins");
	assert_string_equal(status.message, "no 7");
	assert_int_equal(status.stage, PROTO_STAGE_NONE);
	proto_status_invalid(&status, "a\nb", NULL);
	assert_string_equal(status.parameter, "a\\x0ab");
	assert_string_equal(status.message, proto_error_info(PROTO_INVALID_PARAMETER)->text);
}

static void test_utf8_every_code(void **state)
{
	char text[4];
	uint32_t code;
	size_t n;

	for (uint32_t c = 0; c <= 0x10ffff; c += c < 0x11000 ? 1 : 251) {
		if (c == 0xd800)
			c = 0xe000;
		n = proto_utf8_encode(text, c);
		assert_int_equal(proto_utf8_decode(text, text + n, &code), n);
		assert_int_equal(code, c);
		assert_int_equal(proto_utf8_decode(text, text + n - 1, &code), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number_has_its_row),
		cmocka_unit_test(test_numbers_without_row),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_errno_there_and_back),
		cmocka_unit_test(test_errno_names),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_cuts),
		cmocka_unit_test(test_set_fills_everything),
		cmocka_unit_test(test_set_without_text_takes_the_table),
		cmocka_unit_test(test_set_cuts),
		cmocka_unit_test(test_invalid_names_the_parameter),
		cmocka_unit_test(test_utf8_every_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
