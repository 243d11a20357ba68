/* SPDX-License-Identifier: MIT */
#include "tests/unit/journald.h"
#include "tests/unit/process.h"

#include <sys/resource.h>

struct scene {
	struct journald journald;
	struct journal journal;
	struct journal_entry entry;
	struct heard heard;
};

static void scene_init(struct scene *scene)
{
	journald_init(&scene->journald);
	assert_true(journal_init(&scene->journal, scene->journald.path));
	scene->entry.n = 0;
}

static void scene_deinit(struct scene *scene)
{
	journal_deinit(&scene->journal);
	journald_deinit(&scene->journald);
}

static bool send_message(struct scene *scene, const char *message)
{
	scene->entry.n = 0;
	journal_add(&scene->entry, "MESSAGE", message);
	return journal_send(&scene->journal, &scene->entry);
}

static void expect_message(struct scene *scene, const char *message)
{
	assert_true(journald_read(&scene->journald, &scene->heard));
	assert_int_equal(scene->heard.n, 1);
	expect_field(&scene->heard, "MESSAGE", message);
}

static void test_bytes(void **state)
{
	static const char bytes[] = "MESSAGE=a b=c\nEMPTY=\n"
				    "LINES\n\x0c\0\0\0\0\0\0\0" "x\nPRIORITY=0\nPRIORITY=6\n";
	_cleanup_(scene_deinit) struct scene scene;

	scene_init(&scene);
	journald_run(&scene.journald);
	journal_add(&scene.entry, "MESSAGE", "a b=c");
	journal_add(&scene.entry, "EMPTY", "");
	journal_add(&scene.entry, "LINES", "x\nPRIORITY=0");
	journal_add(&scene.entry, "PRIORITY", "6");
	assert_true(journal_send(&scene.journal, &scene.entry));
	assert_true(journald_read(&scene.journald, &scene.heard));
	assert_int_equal(scene.heard.length, sizeof(bytes) - 1);
	assert_memory_equal(scene.heard.bytes, bytes, sizeof(bytes) - 1);
	expect_field(&scene.heard, "LINES", "x\nPRIORITY=0");
	expect_field(&scene.heard, "PRIORITY", "6");
	assert_int_equal(journald_drain(&scene.journald, &scene.heard), 0);
}

/* Its length has all its bytes, least first. */
static void test_long_value_of_lines(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	char value[0x345];

	scene_init(&scene);
	journald_run(&scene.journald);
	memset(value, '\n', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	assert_true(send_message(&scene, value));
	expect_message(&scene, value);
}

/* It may come later than we do, go, and come again. */
static void test_receiver_restarts(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;

	scene_init(&scene);
	assert_false(send_message(&scene, "nobody"));
	assert_int_equal(errno, ENOENT);
	for (int i = 0; i < 3; i++) {
		journald_run(&scene.journald);
		assert_true(send_message(&scene, "somebody"));
		expect_message(&scene, "somebody");
		journald_die(&scene.journald);
		assert_false(send_message(&scene, "nobody"));
		assert_int_equal(errno, ECONNREFUSED);
	}
}

static void test_never_waits(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	unsigned int sent = 0;

	scene_init(&scene);
	journald_run(&scene.journald);
	alarm(20);	/* where it waits, it waits for good */
	while (sent < 100000 && send_message(&scene, "x"))
		sent++;
	assert_true(errno == EAGAIN);
	assert_in_range(sent, 1, 99999);
	assert_false(send_message(&scene, "x"));
	alarm(0);
	assert_int_equal(journald_drain(&scene.journald, &scene.heard), sent);
	assert_true(send_message(&scene, "again"));
	expect_message(&scene, "again");
	assert_int_equal(fcntl(scene.journal.fd, F_GETFL) & O_NONBLOCK, 0);
}

/* What has no room is left out, and nothing is written where there is none. */
static void test_too_much(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	char value[4000];

	scene_init(&scene);
	journald_run(&scene.journald);
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 10; i++)
		journal_add(&scene.entry, "LONG", value);
	journal_add(&scene.entry, "SHORT", "short");
	assert_int_equal(scene.entry.n, JOURNAL_ENTRY_MAX / sizeof(value) + 1);
	assert_true(journal_send(&scene.journal, &scene.entry));
	assert_true(journald_read(&scene.journald, &scene.heard));
	assert_int_equal(scene.heard.n, scene.entry.n);
	expect_field(&scene.heard, "SHORT", "short");

	scene.entry.n = 0;
	for (int i = 0; i < 2 * JOURNAL_FIELDS_MAX; i++)
		journal_add(&scene.entry, "SHORT", "short");
	assert_int_equal(scene.entry.n, JOURNAL_FIELDS_MAX);
}

/* To the last byte, and not beyond. */
static void test_full_to_the_byte(void **state)
{
	static char value[JOURNAL_ENTRY_MAX];
	const size_t most = JOURNAL_ENTRY_MAX - sizeof("A=");
	struct journal_entry entry;

	for (size_t length = most - 1; length <= most + 2; length++) {
		memset(value, 'x', length);
		value[length] = '\0';
		entry.n = 0;
		journal_add(&entry, "A", value);
		assert_int_equal(entry.n, length <= most);
		value[0] = '\n';	/* and with room for its length */
		value[length - 8] = '\0';
		entry.n = 0;
		journal_add(&entry, "A", value);
		assert_int_equal(entry.n, length <= most);
	}
}

/* A socket may take less than is usual: the first fields come, whole. */
static void test_cut(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	char value[1000];
	int least = 1;

	scene_init(&scene);
	journald_run(&scene.journald);
	assert_int_equal(setsockopt(scene.journal.fd, SOL_SOCKET, SO_SNDBUF, &least,
				    sizeof(least)), 0);
	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	journal_add(&scene.entry, "MESSAGE", "first");
	for (int i = 0; i < 12; i++)
		journal_add(&scene.entry, "LONG", value);
	assert_true(journal_send(&scene.journal, &scene.entry));
	assert_true(journald_read(&scene.journald, &scene.heard));
	expect_field(&scene.heard, "MESSAGE", "first");
	assert_in_range(scene.heard.n, 1, 6);

	memset(value, 'x', sizeof(value) - 1);
	scene.entry.n = 0;
	for (int i = 0; i < 12; i++)
		journal_add(&scene.entry, "LONG", value);
	scene.entry.n = 1;
	scene.entry.ends[0] = scene.entry.ends[11];	/* one field, and already too long */
	assert_false(journal_send(&scene.journal, &scene.entry));
	assert_int_equal(errno, EMSGSIZE);
}

/* A process that can open nothing any more, nor be given anything, writes on. */
static void test_without_another_descriptor(void **state)
{
	_cleanup_(scene_deinit) struct scene scene;
	struct rlimit files;
	int status;
	pid_t pid;

	scene_init(&scene);
	journald_run(&scene.journald);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	pid = fork();
	if (pid == 0) {
		files.rlim_cur = 0;
		setrlimit(RLIMIT_NOFILE, &files);
		_exit(!(open("/dev/null", O_RDONLY) < 0 && send_message(&scene, "child")));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_message(&scene, "child");
}

static void test_none(void **state)
{
	size_t descriptors = count_descriptors();
	char path[200];
	struct scene scene;

	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_false(journal_init(&scene.journal, path));
	assert_false(send_message(&scene, "x"));
	assert_int_equal(errno, EBADF);
	journal_deinit(&scene.journal);
	assert_true(journal_init(&scene.journal, "/nonexistent"));
	assert_int_equal(fcntl(scene.journal.fd, F_GETFD), FD_CLOEXEC);
	scene.entry.n = 0;
	assert_false(journal_send(&scene.journal, &scene.entry));
	journal_deinit(&scene.journal);
	journal_deinit(&scene.journal);
	assert_int_equal(count_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_long_value_of_lines),
		cmocka_unit_test(test_receiver_restarts),
		cmocka_unit_test(test_never_waits),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_full_to_the_byte),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_without_another_descriptor),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
