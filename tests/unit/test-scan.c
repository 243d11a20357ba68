/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "tests/unit/unit.h"

#include "proto/scan.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SMILE "\xf0\x9f\x98\x80"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);

static size_t allocations;

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *block, size_t size)
{
	allocations++;
	return __real_realloc(block, size);
}

/* The text in a block of its own size, so that a sanitizer sees a step beyond its end. */
static bool scan_exactly(struct proto_scan *scan, const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);
	bool json;

	memcpy(copy, text, length);
	json = proto_scan(scan, copy, length, PROTO_MEMBERS_MAX);
	free(copy);
	return json;
}

static bool scan_text(struct proto_scan *scan, const char *text)
{
	return scan_exactly(scan, text, strlen(text));
}

static bool json_c_takes(const char *text)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	json_tokener_free(tokener);
	return json_object_put(object);
}

static const char *const good[] = {
	"{}", " {} ", "\t\r\n{ \n}\n", "{\"a\":{}}", "{\"a\":[]}", "{\"\":0}", "{\"a\":[[],[{}]]}",
	"{\"a\":0,\"b\":-0,\"c\":1.5,\"d\":1e5,\"e\":-1.25E-10,\"f\":10E+3}",
	"{\"a\":true , \"b\" : false,\"c\"\n:null}",
	"{\"a\":\"\"}", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uabCD\"}",
	"{\"a\":\"\xc3\xbc\xe2\x82\xac" SMILE "\x7f\"}", "{\"a\":\"\\ud83d\\ude00\\uD83D\\uDE00\"}",
	"{\"a\":[1,2,3,\"x\",{\"a\":1}],\"b\":{\"a\":1}}",
	"{\"a\":99999999999999999999999999999999999999999999999999}",
	"{\"a\":\"0123456\\u0041 0123456789abcdef 0123456789abcde\\\\\"}",
};

static void test_json(void **state)
{
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(good); i++) {
		assert_true(scan_text(&scan, good[i]));
		assert_null(scan.fault);
		assert_true(json_c_takes(good[i]));
	}
}

static const char *const bad[] = {
	"", " ", "[]", "5", "\"x\"", "null", "true", "{", "}", "{}{}", "{} x", "{},", "{}\v",
	"\xef\xbb\xbf{}", "{'a':1}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1,}",
	"{,}",
	"{\"a\":1 \"b\":2}", "{\"a\":1;\"b\":2}", "{\"a\":1,,\"b\":2}", "{\"a\"::1}", "{1:2}",
	"{null:2}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":[1}",
	"{\"a\":{]}", "{\"a\":1]", "{\"a\":(1)}",
	"{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":-Infinity}", "{\"a\":nul}", "{\"a\":nulll}",
	"{\"a\":True}", "{\"a\":tru", "{\"a\":undefined}",
	"{\"a\":01}", "{\"a\":-01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":5.}", "{\"a\":-}",
	"{\"a\":1e}", "{\"a\":1e+}", "{\"a\":1.e5}", "{\"a\":0x10}", "{\"a\":1_0}", "{\"a\":--1}",
	"{\"a\":1e5.5}", "{\"a\":1",
	"{\"a\":'x'}", "{\"a\":\"x}", "{\"a\":\"x", "{\"a\":\"x\\\"}", "{\"a\":\"\\",
	"{\"a\":\"\n\"}",
	"{\"a\":\"\t\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\\x41\"}", "{\"a\":\"\\'\"}",
	"{\"a\":\"\\U0041\"}",
	"{\"a\":\"\\u004\"}", "{\"a\":\"\\u004g\"}", "{\"a\":\"\\u\"}", "{\"a\":\"\\u00",
	"{\"a\":\"\\uD83D\\u\"}",
	"{\"a\":\"\\uD83D\\uDE0x\"}", "{\"a\":\"\\u+041\"}", "{\"a\":\"\\u 041\"}",
	"{/**/}", "{\"a\":1//\n}", "{\"a\":1}#", "{\"a\":1/**/}", "\xc2\xa0{}", "{\xe2\x80\xa8}",
};

static void test_not_json(void **state)
{
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(bad); i++)
		if (scan_text(&scan, bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void test_nul_byte_is_not_json(void **state)
{
	static const char inside[] = "{\"a\":\"\0\"}", between[] = "{\"a\":\0 1}";
	static const char behind[] = "{}\0", escape[] = "{\"a\":\"\\\0\"}";
	static const char hex[] = "{\"a\":\"\\u00\0 0\"}";
	struct proto_scan scan;

	assert_false(scan_exactly(&scan, inside, sizeof(inside) - 1));
	assert_false(scan_exactly(&scan, between, sizeof(between) - 1));
	assert_false(scan_exactly(&scan, behind, sizeof(behind) - 1));
	assert_false(scan_exactly(&scan, escape, sizeof(escape) - 1));
	assert_false(scan_exactly(&scan, hex, sizeof(hex) - 1));
}

#define LONG_KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"	/* 63 */
#define IN(members) "{\"parameters\":{" members "}}"

static const struct {
	const char *text, *fault, *path;
} faults[] = {
	{ "{\"a\":\"\xff\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"\xc0\xaf\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"\xed\xa0\x80\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"\xf4\x90\x80\x80\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"\xe2\x82\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"\x80\"}", "is not UTF-8", "a" },
	{ "{\"a\":\"bank\\u0000.evil\"}", "contains NUL", "a" },
	{ "{\"a\":\"\\ud800\"}", "contains half of a surrogate pair", "a" },
	{ "{\"a\":\"\\udc00\"}", "contains half of a surrogate pair", "a" },
	{ "{\"a\":\"\\ud800\\ud800\\udc00\"}", "contains half of a surrogate pair", "a" },
	{ "{\"a\":\"\\ud800\\u0041\"}", "contains half of a surrogate pair", "a" },
	{ "{\"a\":\"\\ude00\\ud83d\"}", "contains half of a surrogate pair", "a" },
	{ "{\"a\":1,\"a\":1}", "is given twice", "a" },
	{ "{\"a\":1,\"b\":1,\"\\u0061\":1}", "is given twice", "a" },
	{ "{\"method\":1,\"parameters\":{},\"method\":1}", "is given twice", "method" },
	{ "{\"\":1,\"\":1}", "is given twice", "" },
	{ IN("\"host\":\"a\",\"host\":\"a\""), "is given twice", "host" },
	{ IN("\"host\":\"a\",\"h\\u006fst\":\"b\""), "is given twice", "host" },
	{ IN("\"trust\":{\"ca\":1,\"ca\":1}"), "is given twice", "trust.ca" },
	{ IN("\"trust\":{\"pins\":[\"a\",\"\\u0000\"]}"), "contains NUL", "trust.pins" },
	{ IN("\"alpn\":[\"\xff\"]"), "is not UTF-8", "alpn" },
	{ IN("\"a\":[[{\"b\":\"\xff\"}]]"), "is not UTF-8", "a.b" },
	{ IN("\"a\":{},\"b\":\"\xff\""), "is not UTF-8", "b" },
	{ "{\"a\":{\"parameters\":\"\xff\"}}", "is not UTF-8", "a.parameters" },
	{ "{\"parameters\":\"\xff\"}", "is not UTF-8", "parameters" },
	{ "{\"parameters\":[\"\xff\"]}", "is not UTF-8", "parameters" },
	{ IN("\"h\xffst\":1"), "is not UTF-8", "h\\xffst" },
	{ IN("\"host\\u0000x\":1"), "contains NUL", "host\\x00x" },
	{ IN("\"" LONG_KEY "xx\":1"), "has a name that is too long",
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab..." },
	{ IN("\"a\":\"\xff\",\"b\":\"\\u0000\""), "is not UTF-8", "a" },
};

static void test_faults(void **state)
{
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(faults); i++) {
		assert_true(scan_text(&scan, faults[i].text));
		if (!scan.fault)
			fail_msg("no fault: %s", faults[i].text);
		assert_string_equal(scan.fault, faults[i].fault);
		assert_string_equal(scan.path, faults[i].path);
	}
}

/* A fault in what turns out to be no JSON is none. */
static void test_fault_and_not_json(void **state)
{
	char text[256];
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(faults); i++) {
		assert_true(strlen(faults[i].text) < sizeof(text) - 1);
		strcat(strcpy(text, faults[i].text), "x");
		assert_false(scan_text(&scan, text));
	}
}

static void test_no_fault(void **state)
{
	static const char *const cases[] = {
		IN("\"a\":{\"a\":{\"a\":1}}"), IN("\"a\":{\"x\":1},\"b\":{\"x\":1}"),
		IN("\"a\":[{\"x\":1},{\"x\":1}]"), IN("\"a\":1,\"A\":1,\"aa\":1,\"\":1"),
		IN("\"" LONG_KEY "x\":1,\"" LONG_KEY "y\":1"), "{\"\\u0001\":1,\"\\u0002\":1}",
	};
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(cases); i++) {
		assert_true(scan_text(&scan, cases[i]));
		assert_null(scan.fault);
	}
}

static void test_what_is_counted(void **state)
{
	static const struct {
		const char *text;
		size_t members, bytes;
	} cases[] = {
		{ "{}", 0, 0 }, { "{\"a\":1}", 1, 1 },
		{ "{\"a\":[1,[],{}],\"bc\":{\"d\":\"ef\"}}", 6, 6 },
		{ "{\"\\u0061\":\"\\n\\u00e9\\u20ac\\ud83d\\ude00\"}", 1, 1 + 1 + 2 + 3 + 4 },
		{ "{\"\xc3\xa9\":\"\xe2\x82\xac" SMILE "\"}", 1, 2 + 3 + 4 },
	};
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(cases); i++) {
		assert_true(scan_text(&scan, cases[i].text));
		assert_int_equal(scan.members, cases[i].members);
		assert_int_equal(scan.text, cases[i].bytes);
	}
}

static void test_depth(void **state)
{
	char text[2 * PROTO_DEPTH_MAX + 16];
	struct proto_scan scan;
	size_t n;

	for (size_t depth = 1; depth <= PROTO_DEPTH_MAX + 2; depth++) {
		n = (size_t)sprintf(text, "{\"a\":");
		memset(text + n, '[', depth - 1);
		memset(text + n + depth - 1, ']', depth - 1);
		strcpy(text + n + 2 * (depth - 1), depth > 1 ? "}" : "1}");
		assert_int_equal(scan_text(&scan, text), depth <= PROTO_DEPTH_MAX);
	}
}

/* n times one member, numbered where it has a name, inside of what opens and closes it. */
static char *repeat(const char *open, const char *member, size_t n, const char *close)
{
	size_t room = strlen(open) + n * (strlen(member) + 24) + strlen(close) + 1;
	char *text = malloc(room), *at = stpcpy(text, open);

	for (size_t i = 0; i < n; i++) {
		at += sprintf(at, "%s", i ? "," : "");
		at += *member == '#' ? sprintf(at, "\"%zu\"%s", i, member + 1) :
		      sprintf(at, "%s", member);
	}
	strcpy(at, close);
	return text;
}

static void test_members(void **state)
{
	static const struct {
		const char *open, *member, *close;
		size_t beside;
	} cases[] = {
		{ "{", "#:1", "}", 0 }, { "{\"a\":[", "1", "]}", 1 }, { "{\"a\":[", "{}", "]}", 1 },
		{ "{\"a\":{\"b\":[1,2]},\"c\":{", "#:[]", "}}", 5 },
	};
	struct proto_scan scan;
	char *text;

	for (size_t i = 0; i < array_size(cases); i++) {
		for (size_t n = PROTO_MEMBERS_MAX - 8; n < PROTO_MEMBERS_MAX + 8; n++) {
			text = repeat(cases[i].open, cases[i].member, n, cases[i].close);
			assert_int_equal(scan_text(&scan, text),
					 n + cases[i].beside <= PROTO_MEMBERS_MAX);
			free(text);
		}
	}
}

/* A reply may have more. */
static void test_members_of_a_reply(void **state)
{
	struct proto_scan scan;

	for (size_t n = PROTO_MEMBERS_MAX; n < PROTO_REPLY_MEMBERS_MAX + 8; n++) {
		char *text = repeat("{\"a\":[", "1", n, "]}");

		assert_int_equal(proto_scan(&scan, text, strlen(text), PROTO_REPLY_MEMBERS_MAX),
				 n + 1 <= PROTO_REPLY_MEMBERS_MAX);
		free(text);
		text = repeat("{", "#:1", n, "}");
		assert_int_equal(proto_scan(&scan, text, strlen(text), PROTO_REPLY_MEMBERS_MAX),
				 n <= PROTO_REPLY_MEMBERS_MAX);
		free(text);
	}
}

/* Names are kept as long as their object is open: many objects may have a few each, not one many. */
static void test_names_at_once(void **state)
{
	static const struct {
		const char *open, *member, *close;
		size_t around, most;
	} cases[] = {
		{ "{\"a\":[", "{\"a\":1,\"b\":2,\"c\":{\"a\":3}}", "]}", 0, SIZE_MAX },
		{ "{", "#:1", "}", 0, PROTO_OPEN_KEYS_MAX },
		{ "{\"x\":1,\"y\":{", "#:{\"a\":1}", "}}", 2, PROTO_OPEN_KEYS_MAX - 1 },
		{ "{\"a\":[{\"b\":1},{", "#:1", "}]}", 1, PROTO_OPEN_KEYS_MAX },
	};
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(cases); i++) {
		for (size_t n = PROTO_OPEN_KEYS_MAX - 8; n < PROTO_OPEN_KEYS_MAX + 8; n++) {
			char *text = repeat(cases[i].open, cases[i].member, n, cases[i].close);

			assert_int_equal(proto_scan(&scan, text, strlen(text),
						    PROTO_REPORT_MEMBERS_MAX),
					 n + cases[i].around <= cases[i].most);
			free(text);
		}
	}
}

/* In whatever lies between them. */
static void test_doubled_names(void **state)
{
	static const struct {
		const char *text, *path;
	} cases[] = {
		{ "{\"a\":{\"b\":1,\"c\":[{\"d\":1}],\"b\":2}}", "a.b" },
		{ "{\"a\":{\"b\":{\"b\":1}},\"c\":1,\"a\":2}", "a" },
		{ "{\"a\":[{\"b\":1},{\"b\":1,\"b\":2}]}", "a.b" },
		{ "{\"a\":[{\"b\":1},{\"b\":1}],\"b\":{\"a\":{\"b\":1}}}", NULL },
	};
	struct proto_scan scan;

	for (size_t i = 0; i < array_size(cases); i++) {
		assert_true(scan_text(&scan, cases[i].text));
		if (cases[i].path) {
			assert_string_equal(scan.fault, "is given twice");
			assert_string_equal(scan.path, cases[i].path);
		} else {
			assert_null(scan.fault);
		}
	}
}

static double seconds(clock_t since)
{
	return (double)(clock() - since) / CLOCKS_PER_SEC;
}

/* A walk over the text at the pace of this build, be it under a sanitizer or an emulator. */
static double walk(const char *text, size_t length)
{
	clock_t since = clock();
	volatile size_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = sum + (unsigned char)text[i];
	return seconds(since);
}

/* The hostile, each as large as a message may be: a piece over and over, and how it begins. */
static const struct {
	const char *open, *piece;
} hostile[] = {
	{ "{\"a\":[", "{}," }, { "", "[" }, { "{\"a\":", "[" }, { "", "{\"a\":" },
	{ "{\"a\":[", "0," },
	{ "{\"a\":[", "[]," }, { "{\"a\":[", "\"\"," }, { "{\"a\":\"", "\\u0041" },
	{ "{\"a\":\"", "x" },
	{ "{\"a\":\"", "\xff" }, { "{\"a\":\"", "\\ud800" }, { "{\"a\":\"", "\xe2\x82\xac" },
	{ "", " " },
	{ "{\"a\":", "9" }, { "{\"", "k" }, { "{\"", "\\n" },
	{ "{", "\"aaaaaaaaaaaaaaaaaaaaaaaaaa\":0," },
	{ "{\"a\":\"", "\\ud800\\u0041" }, { "{\"a\":\"", "\\" },
};

static void test_hostile_costs_nothing(void **state)
{
	char *text = malloc(PROTO_MESSAGE_MAX + 64);
	struct proto_scan scan;
	double limit, took;
	clock_t since;
	size_t n;

	for (size_t i = 0; i < array_size(hostile); i++) {
		n = (size_t)sprintf(text, "%s", hostile[i].open);
		while (n < PROTO_MESSAGE_MAX)
			n += (size_t)sprintf(text + n, "%s", hostile[i].piece);
		limit = 40 * walk(text, PROTO_MESSAGE_MAX);
		limit = limit > 0.020 ? limit : 0.020;
		allocations = 0;
		since = clock();
		assert_false(proto_scan(&scan, text, PROTO_MESSAGE_MAX, PROTO_MEMBERS_MAX));
		took = seconds(since);
		assert_int_equal(allocations, 0);
		if (took > limit)
			fail_msg("%s%s...: %f s", hostile[i].open, hostile[i].piece, took);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_nul_byte_is_not_json),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_fault_and_not_json),
		cmocka_unit_test(test_no_fault),
		cmocka_unit_test(test_what_is_counted),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_members_of_a_reply),
		cmocka_unit_test(test_names_at_once),
		cmocka_unit_test(test_doubled_names),
		cmocka_unit_test(test_hostile_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
