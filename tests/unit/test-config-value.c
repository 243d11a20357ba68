/* SPDX-License-Identifier: MIT */
#include "daemon/config-list.h"
#include "daemon/config-value.h"
#include "proto/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

union value {
	bool flag;
	unsigned int number;
	char *text;
};

static enum value_error parse(enum value_kind kind, unsigned int min, unsigned int max,
			      const char *text, union value *value)
{
	const struct value_type type = { kind, min, max };

	return value_parse(&type, NULL, text, value);
}

static void check_number_edges(enum value_kind kind, unsigned int min, unsigned int max)
{
	const struct {
		long long number;
		enum value_error error;
	} edges[] = { { min, VALUE_OK }, { max, VALUE_OK },
		      { min - 1LL, min ? VALUE_OUT_OF_RANGE : VALUE_MALFORMED },
		      { max + 1LL, VALUE_OUT_OF_RANGE } };

	for (size_t i = 0; i < array_size(edges); i++) {
		union value value = { .number = 4711 };
		char text[32];

		snprintf(text, sizeof(text), "%lld%s", edges[i].number,
			 kind == VALUE_TIME ? "ms" : "");
		assert_int_equal(parse(kind, min, max, text, &value), edges[i].error);
		assert_int_equal(value.number, edges[i].error ? 4711 : edges[i].number);
	}
}

static void check_text_edges(enum value_kind kind, unsigned int min, unsigned int max)
{
	_cleanup_free_ char *text = malloc(max + 2);
	union value value = { 0 };

	assert_non_null(text);
	memset(text, '/', max + 2);
	text[max + 1] = '\0';
	assert_int_equal(parse(kind, min, max, text, &value), VALUE_OUT_OF_RANGE);
	assert_null(value.text);
	text[max] = '\0';
	assert_int_equal(parse(kind, min, max, text, &value), VALUE_OK);
	assert_string_equal(value.text, text);
	assert_int_equal(parse(kind, min, max, text + max - min, &value), VALUE_OK);
	assert_int_equal(strlen(value.text), min);
	assert_int_not_equal(parse(kind, min, max, text + max, &value), VALUE_OK);
	assert_int_equal(strlen(value.text), min);
	free(value.text);
}

static void check_flag_edges(enum value_kind kind, unsigned int min, unsigned int max)
{
	static const struct {
		const char *text;
		int meaning;
	} words[] = {
		{ "yes", 1 }, { "true", 1 }, { "on", 1 }, { "1", 1 }, { "y", 1 }, { "t", 1 },
		{ "YES", 1 }, { "no", 0 }, { "false", 0 }, { "off", 0 }, { "0", 0 }, { "n", 0 },
		{ "f", 0 }, { "Off", 0 }, { "2", -1 }, { "yess", -1 }, { "ye", -1 }, { "", -1 },
	};

	for (size_t i = 0; i < array_size(words); i++) {
		union value value = { .flag = words[i].meaning != 1 };

		assert_int_equal(parse(kind, min, max, words[i].text, &value),
				 !*words[i].text ? VALUE_EMPTY :
				 words[i].meaning < 0 ? VALUE_MALFORMED : VALUE_OK);
		assert_int_equal(value.flag, words[i].meaning != 0);
	}
}

static void check_action_edges(enum value_kind kind, unsigned int min, unsigned int max)
{
	union value value = { .flag = true };

	assert_int_equal(parse(kind, min, max, "allow", &value), VALUE_OK);
	assert_false(value.flag);
	assert_int_equal(parse(kind, min, max, "deny", &value), VALUE_OK);
	assert_true(value.flag);
	assert_int_equal(parse(kind, min, max, "allow ", &value), VALUE_MALFORMED);
	assert_int_equal(parse(kind, min, max, "", &value), VALUE_EMPTY);
	assert_true(value.flag);
}

/* All lists are of one shape. A word that is good for all of them does not exist. */
static void check_words_edges(enum value_kind kind, unsigned int min, unsigned int max)
{
	const char *word = kind == VALUE_NETWORKS ? "::1" : kind == VALUE_HOSTS ? "a" : "7";
	const struct value_type type = { kind, min, max };
	_cleanup_free_ char *text = malloc(max + 2);
	struct config_words list = { 0 };

	assert_non_null(text);
	memset(text, ' ', max + 2);
	memcpy(text, word, strlen(word));
	text[max + 1] = '\0';
	assert_int_equal(value_parse(&type, NULL, text, &list), VALUE_OUT_OF_RANGE);
	assert_null(list.items);
	text[max] = '\0';
	assert_int_equal(value_parse(&type, NULL, text, &list), VALUE_OK);
	assert_int_equal(list.n, 1);
	assert_int_equal(value_parse(&type, NULL, " \t", &list), VALUE_EMPTY);
	assert_int_equal(list.n, 1);
	value_free(&type, &list);
	assert_null(list.items);
	assert_int_equal(list.n, 0);
}

static void (*const check_edges[])(enum value_kind kind, unsigned int min, unsigned int max) = {
	[VALUE_FLAG] = check_flag_edges,
	[VALUE_ACTION] = check_action_edges,
	[VALUE_COUNT] = check_number_edges,
	[VALUE_TIME] = check_number_edges,
	[VALUE_PATH] = check_text_edges,
	[VALUE_UIDS] = check_words_edges,
	[VALUE_GIDS] = check_words_edges,
	[VALUE_HOSTS] = check_words_edges,
	[VALUE_NETWORKS] = check_words_edges,
	[VALUE_PORTS] = check_words_edges,
	[VALUE_NAMES] = check_words_edges,
	[VALUE_CIPHERS] = check_text_edges,
	[VALUE_GROUPS] = check_text_edges,
	[VALUE_SIGALGS] = check_text_edges,
};

static void test_edges(void **state)
{
#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)			\
	check_edges[VALUE_##kind](VALUE_##kind, min, max);
#include "daemon/options.def"
#undef OPTION
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		unsigned int ms;	/* 0: it is none */
	} times[] = {
		{ "5", 5000 }, { "5s", 5000 }, { "5 s", 5000 }, { "0.5", 500 }, { "0.001", 1 },
		{ "0.1", 100 }, { "00.10", 100 }, { "1.005", 1005 }, { "250ms", 250 },
		{ "1.0ms", 1 }, { "2min", 120000 }, { "0.25min", 15000 }, { "2 min", 120000 },
		{ "0.0005min", 30 }, { "5.", 0 }, { ".5", 0 }, { "0.0005", 0 }, { "1.5ms", 0 },
		{ "5h", 0 }, { "5 m", 0 }, { "1min 30s", 0 }, { "-1", 0 }, { "+1", 0 },
		{ "1e3", 0 }, { "1,5", 0 }, { "0x1", 0 }, { "ms", 0 }, { "5sx", 0 },
		{ "nan", 0 }, { "inf", 0 },
		{ "99999999999", 0 }, { "0.00000000001", 0 }, { "1..5", 0 }, { "5S", 0 },
	};

	for (size_t i = 0; i < array_size(times); i++) {
		union value value = { 0 };

		assert_int_equal(parse(VALUE_TIME, 1, 86400000, times[i].text, &value),
				 times[i].ms ? VALUE_OK : VALUE_MALFORMED);
		assert_int_equal(value.number, times[i].ms);
	}
}

/* What is wrong is told whole, however long the value; a list is judged by its names. */
static void test_explanations(void **state)
{
	_cleanup_(names_freep) struct names *names = names_new();
	char value[2000], wrong[512];
	static const struct {
		struct value_type type;
		const char *end;
	} rows[] = {
		{ { VALUE_FLAG, 0, 0 }, "xxx...\" is not yes or no" },
		{ { VALUE_PATH, 1, 4095 }, "xxx...\" is not an absolute path" },
		{ { VALUE_ACTION, 0, 0 }, "xxx...\" is not allow or deny" },
		{ { VALUE_UIDS, 1, 1024 }, "xxx...\" is not 1 to 1024 bytes long" },
		{ { VALUE_UIDS, 1, 4096 }, "xxx...\" is no user of this machine" },
		{ { VALUE_GIDS, 1, 4096 }, "xxx...\" is no group of this machine" },
		{ { VALUE_CIPHERS, 1, 1024 }, "xxx...\" is not 1 to 1024 bytes long" },
		{ { VALUE_GROUPS, 1, 4095 }, "xxx\" is not a name that is known here" },
	};

	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (size_t i = 0; i < array_size(rows); i++) {
		union value to = { 0 };
		enum value_error error = value_parse(&rows[i].type, names, value, &to);

		assert_int_not_equal(error, VALUE_OK);
		value_explain(&rows[i].type, names, value, error, wrong, sizeof(wrong));
		assert_in_range(strlen(wrong), strlen(rows[i].end), 200);
		assert_string_equal(wrong + strlen(wrong) - strlen(rows[i].end), rows[i].end);
	}
}

/* Every default of the table is taken by OpenSSL, too. */
static void test_default_lists(void **state)
{
	_cleanup_(names_freep) struct names *names = names_new();
	unsigned int lists = 0;

#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)			\
	if (VALUE_##kind >= VALUE_CIPHERS) {							\
		const struct value_type type = { VALUE_##kind, min, max };			\
		union value value = { 0 };							\
												\
		assert_int_equal(value_parse(&type, names, fallback, &value), VALUE_OK);	\
		free(value.text);								\
		lists++;									\
	}
#include "daemon/options.def"
#undef OPTION
	assert_int_equal(lists, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_default_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
