/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=setresuid,--wrap=setresgid,--wrap=setgroups */
#include "tests/unit/own-files.h"
#include "tests/unit/process.h"

#include "daemon/privileges.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define KTLSD 4322
#define KTLSD_GROUP 4323
#define NOBODY 65534

#define WITH_ROOT "root:x:0:0:root:/root:/bin/sh\n"
#define WITH_NOBODY WITH_ROOT "nobody:x:65534:65534:nobody:/:/bin/false\n"
#define WITH_KTLSD WITH_NOBODY "ktlsd:x:4322:4323:ktlsd:/:/bin/false\n"

int __real_setresuid(uid_t real, uid_t effective, uid_t saved);
int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved);
int __real_setresgid(gid_t real, gid_t effective, gid_t saved);
int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved);
int __real_setgroups(size_t n, const gid_t *groups);
int __wrap_setgroups(size_t n, const gid_t *groups);

static enum { NOTHING_FAILS, SETRESUID, SETRESGID, SETGROUPS } failing;

int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	if (failing == SETRESUID)
		return errno = EAGAIN, -1;
	if (__real_setresuid(real, effective, saved) < 0)
		return -1;
	/* As with fs.suid_dumpable 1, which is not the test's to set: it is the whole machine's. */
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved)
{
	return failing == SETRESGID ? errno = EPERM, -1 : __real_setresgid(real, effective, saved);
}

int __wrap_setgroups(size_t n, const gid_t *groups)
{
	return failing == SETGROUPS ? errno = EPERM, -1 : __real_setgroups(n, groups);
}

/* --- in a process of its own, which cannot come back */

struct seen {
	bool dropped;
	uid_t uids[3];
	gid_t gids[3];
	int n_groups, dumpable, no_new_privs;
	bool capable, came_back;
	char log[512];
};

static void look(struct seen *seen)
{
	char status[4096], *line;
	unsigned long long capabilities = ~0ULL;

	getresuid(&seen->uids[0], &seen->uids[1], &seen->uids[2]);
	getresgid(&seen->gids[0], &seen->gids[1], &seen->gids[2]);
	seen->n_groups = getgroups(0, NULL);
	seen->dumpable = prctl(PR_GET_DUMPABLE);
	seen->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (read_proc(getpid(), "status", status, sizeof(status)) &&
	    (line = strstr(status, "CapPrm:")))
		sscanf(line, "CapPrm: %llx", &capabilities);
	seen->capable = capabilities != 0;
	seen->came_back = setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0;
}

static void drop_as(uid_t start, struct seen *seen, int out)
{
	static const gid_t groups[] = { 0, 4, 27 };
	struct log log;
	int pipes[2];
	ssize_t n;

	if (__real_setgroups(array_size(groups), groups) < 0 ||
	    pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		_exit(1);
	if (start && (__real_setresgid(start, start, start) < 0 ||
		      __real_setresuid(start, start, start) < 0))
		_exit(1);
	log_init(&log, pipes[1]);
	seen->dropped = privileges_drop(&log);
	log_deinit(&log);
	n = read(pipes[0], seen->log, sizeof(seen->log) - 1);
	seen->log[n > 0 ? n : 0] = '\0';
	look(seen);
	_exit(write(out, seen, sizeof(*seen)) == sizeof(*seen) ? 0 : 1);
}

static struct seen drop(uid_t start, const char *users)
{
	struct seen seen = { .dropped = false };
	int pipes[2], status;
	pid_t pid;

	write_file("passwd", users);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		drop_as(start, &seen, pipes[1]);
	close_fd(&pipes[1]);
	assert_int_equal(read(pipes[0], &seen, sizeof(seen)), sizeof(seen));
	close_fd(&pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return seen;
}

static void expect_user(const struct seen *seen, uid_t uid, gid_t gid)
{
	assert_true(seen->dropped);
	assert_string_equal(seen->log, "");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(seen->uids[i], uid);
		assert_int_equal(seen->gids[i], gid);
	}
	assert_int_equal(seen->n_groups, 0);
	assert_int_equal(seen->dumpable, 0);
	assert_int_equal(seen->no_new_privs, 1);
	assert_false(seen->capable);
	assert_false(seen->came_back);
}

/* --- tests */

static void test_the_user_of_its_own(void **state)
{
	struct seen seen = drop(0, WITH_KTLSD);

	expect_user(&seen, KTLSD, KTLSD_GROUP);
}

static void test_nobody(void **state)
{
	struct seen seen = drop(0, WITH_NOBODY);

	expect_user(&seen, NOBODY, NOBODY);
}

static const char *const wrong_users[] = {
	WITH_ROOT,
	WITH_ROOT "nobody:x:0:0:nobody:/:/bin/false\n",
	WITH_NOBODY "ktlsd:x:0:4323:ktlsd:/:/bin/false\n",
};

static void test_no_user_to_become(void **state)
{
	for (size_t i = 0; i < array_size(wrong_users); i++) {
		struct seen seen = drop(0, wrong_users[i]);

		assert_false(seen.dropped);
		assert_non_null(strstr(seen.log, "ktlsd"));
		assert_int_equal(seen.uids[1], 0);
	}
}

static void test_what_fails(void **state)
{
	for (failing = SETRESUID; failing <= SETGROUPS; failing++) {
		struct seen seen = drop(0, WITH_KTLSD);

		assert_false(seen.dropped);
		assert_non_null(strstr(seen.log, "cannot become user ktlsd"));
	}
	failing = NOTHING_FAILS;
}

/* There is nothing to give up, and nobody to become; but no program that it runs may have more. */
static void test_started_as_somebody_else(void **state)
{
	struct seen seen = drop(1234, WITH_KTLSD);

	assert_true(seen.dropped);
	assert_string_equal(seen.log, "");
	assert_int_equal(seen.uids[0], 1234);
	assert_int_equal(seen.uids[2], 1234);
	assert_int_equal(seen.gids[1], 1234);
	assert_int_equal(seen.no_new_privs, 1);
}

/* Even as root. */
static void test_capabilities(void **state)
{
	struct seen *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct log log;
	int status;
	pid_t pid;

	assert_true(seen != MAP_FAILED);
	log_init(&log, -1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		look(seen);
		if (!seen->capable)
			_exit(1);
		seen->dropped = privileges_drop_capabilities(&log);
		look(seen);
		/* a second time there is nothing to do */
		_exit(privileges_drop_capabilities(&log) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(seen->dropped);
	assert_false(seen->capable);
	assert_int_equal(seen->uids[1], 0);
	munmap(seen, sizeof(*seen));
}

static int files_init(void **state)
{
	own_files_init(0);
	replace_etc("passwd", WITH_KTLSD);
	replace_etc("nsswitch.conf", "passwd: files\ngroup: files\n");
	return 0;
}

static int files_deinit(void **state)
{
	own_files_deinit();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_user_of_its_own),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_no_user_to_become),
		cmocka_unit_test(test_what_fails),
		cmocka_unit_test(test_started_as_somebody_else),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, files_init, files_deinit);
}
