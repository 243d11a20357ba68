/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=geteuid,--wrap=getegid,--wrap=getgroups,--wrap=getpwuid,--wrap=getgrgid */
#include "tests/unit/unit.h"

#include "client/ctl-membership.c"

enum { ALICE = 1000, KTLS = 500, OTHERS = 600 };

static struct {
	bool known;	/* who has which number */
	bool listed;
	gid_t primary, other;
} fake;

uid_t __wrap_geteuid(void);
gid_t __wrap_getegid(void);
int __wrap_getgroups(int n, gid_t *groups);
struct passwd *__wrap_getpwuid(uid_t uid);
struct group *__wrap_getgrgid(gid_t gid);

uid_t __wrap_geteuid(void)
{
	return ALICE;
}

gid_t __wrap_getegid(void)
{
	return fake.primary;
}

int __wrap_getgroups(int n, gid_t *groups)
{
	assert_true(n >= 2);
	groups[0] = OTHERS;
	groups[1] = fake.other;
	return 2;
}

struct passwd *__wrap_getpwuid(uid_t uid)
{
	static char name[] = "alice";
	static struct passwd alice = { .pw_name = name };

	assert_int_equal(uid, ALICE);
	return fake.known ? &alice : NULL;
}

struct group *__wrap_getgrgid(gid_t gid)
{
	static char name[] = "ktls", ali[] = "ali", alice[] = "alice";
	static char *members[] = { ali, alice, NULL };
	static struct group ktls = { .gr_name = name, .gr_mem = members };

	assert_int_equal(gid, KTLS);
	members[1] = fake.listed ? alice : NULL;
	return fake.known ? &ktls : NULL;
}

static const struct {
	bool known, listed;
	gid_t primary, other;
	const char *user, *group;
	bool in, is_listed;
} rows[] = {
	{ true, false, OTHERS, OTHERS, "alice", "ktls", false, false },
	{ true, true, OTHERS, OTHERS, "alice", "ktls", false, true },
	{ true, true, OTHERS, KTLS, "alice", "ktls", true, true },
	{ true, false, KTLS, OTHERS, "alice", "ktls", true, false },
	{ false, true, OTHERS, KTLS, "uid 1000", "gid 500", true, false },
};

static void test_membership(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct membership who;

		fake.known = rows[i].known;
		fake.listed = rows[i].listed;
		fake.primary = rows[i].primary;
		fake.other = rows[i].other;
		membership_of(&who, KTLS);
		assert_string_equal(who.user, rows[i].user);
		assert_string_equal(who.group, rows[i].group);
		assert_int_equal(who.in, rows[i].in);
		assert_int_equal(who.listed, rows[i].is_listed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_membership),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
