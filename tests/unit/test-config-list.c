/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=reallocarray,--wrap=strdup,--wrap=getpwnam */
#include "tests/unit/unit.h"

#include "daemon/config-list.h"
#include "proto/util.h"

#include <pwd.h>
#include <string.h>

static unsigned int fail_at;

static bool fails(void)
{
	return fail_at && !--fail_at;
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

struct passwd *__wrap_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name)
{
	static struct passwd user = { .pw_uid = 4711 };

	return strcmp(name, "7of9") ? NULL : &user;
}

/* A name that begins with a digit is a name; only digits are a number. */
static void test_users(void **state)
{
	struct config_ids ids = { 0 };
	char *wrong;

	assert_int_equal(config_list_parse(VALUE_UIDS, " 7of9  12\t4294967294 ", &ids, &wrong),
			 VALUE_OK);
	assert_int_equal(ids.n, 3);
	assert_int_equal(ids.items[0], 4711);
	assert_int_equal(ids.items[1], 12);
	assert_int_equal(ids.items[2], 4294967294u);
	assert_int_equal(config_list_parse(VALUE_UIDS, "12 7of10", &ids, &wrong), VALUE_MALFORMED);
	assert_string_equal(wrong, "\"7of10\" is no user of this machine");
	free(wrong);
	assert_int_equal(ids.n, 3);
	config_list_free(VALUE_UIDS, &ids);
	assert_null(ids.items);
}

static void test_host_patterns(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool matches;
	} rows[] = {
		{ "example.org", "example.org", true },
		{ "example.org", "EXAMPLE.Org", true },
		{ "example.org", "example.org.", true },
		{ "Example.org.", "example.org", true },
		{ "example.org", "www.example.org", false },
		{ "example.org", "example.orga", false },
		{ "example.org", "example.or", false },
		{ "example.org", "xexample.org", false },
		{ "example.org", "", false },
		{ "*.example.org", "www.example.org", true },
		{ "*.example.org", "a.b.example.org", true },
		{ "*.example.org", "WWW.EXAMPLE.ORG.", true },
		{ "*.Example.org.", "www.example.org", true },
		{ "*.example.org", "example.org", false },
		{ "*.example.org", ".example.org", false },
		{ "*.example.org", "wwwexample.org", false },
		{ "*.example.org", "www.example.org.evil.test", false },
		{ "*.example.org", "example.org..", false },
		{ "*.org", "example.org", true },
		{ "*.org", "org", false },
	};

	for (size_t i = 0; i < array_size(rows); i++)
		if (config_host_matches(rows[i].pattern, rows[i].host) != rows[i].matches)
			fail_msg("%s and %s", rows[i].pattern, rows[i].host);
}

static void test_every_allocation_may_fail(void **state)
{
	static const enum value_kind kinds[] = { VALUE_UIDS, VALUE_HOSTS, VALUE_NETWORKS,
						 VALUE_PORTS, VALUE_NAMES };

	for (size_t i = 0; i < array_size(kinds); i++) {
		const char *text = kinds[i] == VALUE_NETWORKS ? "any ::1" :
				   kinds[i] == VALUE_HOSTS    ? "a b c" : "1 2 3";
		struct config_words list = { 0 };
		enum value_error error = VALUE_NO_MEMORY;
		char *wrong;

		for (unsigned int n = 1; error == VALUE_NO_MEMORY; n++) {
			assert_null(list.items);
			fail_at = n;
			error = config_list_parse(kinds[i], text, &list, &wrong);
			assert_in_range(n, 1, 8);
		}
		assert_true(fail_at > 0);
		fail_at = 0;
		assert_int_equal(error, VALUE_OK);
		assert_int_equal(list.n, 3);
		config_list_free(kinds[i], &list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_host_patterns),
		cmocka_unit_test(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
