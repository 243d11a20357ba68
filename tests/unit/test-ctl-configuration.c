/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=readlink,--wrap=geteuid */
#include "client/ctl-configuration.c"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>

static struct {
	char directory[64]; /* of which ktlsctl is in bin */
	uid_t uid;
	bool unknown; /* where this program is */
} fake;

ssize_t __wrap_readlink(const char *path, char *buffer, size_t size);
uid_t __wrap_geteuid(void);

ssize_t __wrap_readlink(const char *path, char *buffer, size_t size)
{
	assert_string_equal(path, "/proc/self/exe");
	return fake.unknown ? -1 : snprintf(buffer, size, "%s/bin/ktlsctl", fake.directory);
}

uid_t __wrap_geteuid(void)
{
	return fake.uid;
}

static void make(const char *name, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fake.directory, name);
	assert_int_equal(mkdir(path, mode), 0);
}

/* A ktlsd that is a script, which also tells how it was called. */
static void write_ktlsd(const char *place, const char *script)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fake.directory, place);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "#!/bin/sh\ntest \"$*\" = --check-config || exit 9\n%s\n", script);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

static struct configuration check(void)
{
	struct configuration configuration;

	memset(&configuration, 'x', sizeof(configuration));
	configuration_check(&configuration);
	return configuration;
}

static struct configuration check_script(const char *script)
{
	write_ktlsd("sbin/ktlsd", script);
	return check();
}

static void check_state(const char *script, int state)
{
	struct configuration configuration = check_script(script);

	assert_int_equal(configuration.state, state);
	assert_int_equal(configuration.faults, 0);
	assert_string_equal(configuration.first, "");
}

static void test_good(void **state)
{
	check_state("exit 0", CONFIGURATION_GOOD);
	check_state("echo a warning >&2; exit 0", CONFIGURATION_GOOD);
}

/* As a parent may have left it. */
static void test_nobody_waits(void **state)
{
	assert_ptr_not_equal(signal(SIGCHLD, SIG_IGN), SIG_ERR);
	check_state("exit 0", CONFIGURATION_GOOD);
}

static void test_faults(void **state)
{
	struct configuration configuration = check_script("echo no >&1; echo a.conf:2: Key: why >&2; exit 1");

	assert_int_equal(configuration.state, CONFIGURATION_FAULTY);
	assert_int_equal(configuration.faults, 1);
	assert_string_equal(configuration.first, "a.conf:2: Key: why");
	configuration = check_script("printf 'one\\ntwo\\n' >&2; exec sh -c 'echo three >&2; exit 1'");
	assert_int_equal(configuration.faults, 3);
	assert_string_equal(configuration.first, "one");
	/* More than anybody has room for: it is read on, or ktlsd would wait. */
	configuration = check_script("i=0; while test $i -lt 4000; do echo 0123456789; i=$((i+1)); done >&2; exit 1");
	assert_int_equal(configuration.state, CONFIGURATION_FAULTY);
	assert_int_equal(configuration.faults, (OUTPUT_MAX - 1 + 10) / 11);
}

static void test_unreadable(void **state)
{
	static const char script[] = "echo 'a.conf: Permission denied' >&2; exit 1";
	struct configuration configuration;

	fake.uid = 1000;
	configuration = check_script(script);
	assert_int_equal(configuration.state, CONFIGURATION_UNREADABLE);
	/* To root nothing is denied that is not denied to the service as well. */
	fake.uid = 0;
	configuration = check_script(script);
	assert_int_equal(configuration.state, CONFIGURATION_FAULTY);
}

static void test_strange(void **state)
{
	check_state("echo what >&2; exit 2", CONFIGURATION_UNCHECKED);
	check_state("kill -KILL $$", CONFIGURATION_UNCHECKED);
}

/* Its time is bounded, whatever it does. */
static void test_late(void **state)
{
	int64_t began = now_ms();

	check_state("exec sleep 60", CONFIGURATION_UNCHECKED);
	assert_in_range(now_ms() - began, PATIENCE_MS, PATIENCE_MS + 3000);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fake.directory, name);
	assert_int_equal(remove(path), 0);
}

static void test_places(void **state)
{
	write_ktlsd("sbin/ktlsd", "exit 0");
	write_ktlsd("bin/ktlsd", "echo built >&2; exit 1");
	assert_int_equal(check().state, CONFIGURATION_GOOD);
	remove_file("sbin/ktlsd");
	assert_int_equal(check().state, CONFIGURATION_FAULTY);
	remove_file("bin/ktlsd");
	assert_int_equal(check().state, CONFIGURATION_UNCHECKED);
	make("bin/ktlsd", 0755); /* that is no program */
	assert_int_equal(check().state, CONFIGURATION_UNCHECKED);
	remove_file("bin/ktlsd");
	fake.unknown = true;
	assert_int_equal(check().state, CONFIGURATION_UNCHECKED);
	fake.unknown = false;
}

static int set_up(void **state)
{
	strcpy(fake.directory, "/tmp/ktls-unit-XXXXXX");
	assert_non_null(mkdtemp(fake.directory));
	make("bin", 0755);
	make("sbin", 0755);
	return 0;
}

static int tear_down(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sbin/ktlsd", fake.directory);
	unlink(path);
	remove_file("sbin");
	remove_file("bin");
	return rmdir(fake.directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strange, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
