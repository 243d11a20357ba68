/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=geteuid,--wrap=group_member,--wrap=getpwuid,--wrap=getgrgid */
#include "tests/unit/unit.h"

#include "client/ctl-membership.c"

enum { ALICE = 1000, KTLS = 500 };

static struct {
	bool known;	/* who has which number */
	bool listed;
	bool member;
} fake;

uid_t __wrap_geteuid(void);
int __wrap_group_member(gid_t gid);
struct passwd *__wrap_getpwuid(uid_t uid);
struct group *__wrap_getgrgid(gid_t gid);

uid_t __wrap_geteuid(void)
{
	return ALICE;
}

int __wrap_group_member(gid_t gid)
{
	assert_int_equal(gid, KTLS);
	return fake.member;
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
	bool known, listed, member;
	const char *user, *group;
	bool is_listed;
} rows[] = {
	{ true, false, false, "alice", "ktls", false },
	{ true, true, false, "alice", "ktls", true },
	{ true, true, true, "alice", "ktls", true },
	{ true, false, true, "alice", "ktls", false },
	{ false, true, true, "1000", "gid 500", false },
};

static void test_membership(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct membership who;

		fake.known = rows[i].known;
		fake.listed = rows[i].listed;
		fake.member = rows[i].member;
		membership_of(&who, KTLS);
		assert_string_equal(who.user, rows[i].user);
		assert_string_equal(who.group, rows[i].group);
		assert_int_equal(who.in, rows[i].member);
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
