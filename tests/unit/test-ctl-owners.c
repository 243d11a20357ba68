/* SPDX-License-Identifier: MIT */
#include "client/ctl-owners.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <grp.h>

#define NOBODY 65534

/* A tree that stands for /proc; the test's directory is there as long as the test runs. */
static char proc[] = "/tmp/test-ctl-owners.XXXXXX";

static int setup(void **state)
{
	strcpy(proc + strlen(proc) - 6, "XXXXXX");
	assert_non_null(mkdtemp(proc));
	assert_int_equal(chmod(proc, 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", proc);
	return system(command);
}

/* PROC/PID, or PROC/PID/a, or PROC/PID/a/b. */
static const char *path(const char *pid, const char *a, const char *b)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s%s%s%s%s", proc, pid, a ? "/" : "", a ?: "",
		 b ? "/" : "", b ?: "");
	return text;
}

static void put_comm(const char *pid, const char *command)
{
	FILE *file = fopen(path(pid, "comm", NULL), "w");

	assert_non_null(file);
	fputs(command, file);
	assert_int_equal(fclose(file), 0);
}

/* command: NULL: it cannot be read any more. */
static void put_process(const char *pid, const char *command)
{
	assert_int_equal(mkdir(path(pid, NULL, NULL), 0755), 0);
	assert_int_equal(mkdir(path(pid, "fd", NULL), 0755), 0);
	if (command)
		put_comm(pid, command);
}

static void put_link(const char *pid, const char *fd, const char *link)
{
	assert_int_equal(symlink(link, path(pid, "fd", fd)), 0);
}

static struct json_object *sockets_new(const int64_t *inodes, size_t n)
{
	struct json_object *sockets = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		struct json_object *socket = json_object_new_object();

		json_object_object_add(socket, "inode", json_object_new_int64(inodes[i]));
		json_object_array_add(sockets, socket);
	}
	return sockets;
}

/* Takes the sockets. Each one's processes as "pid command", ";" behind a socket. */
static void check(struct json_object *sockets, const char *wanted)
{
	static char text[8192];

	*text = '\0';
	for (size_t i = 0; i < json_object_array_length(sockets); i++) {
		struct json_object *processes = json_object_object_get(
			json_object_array_get_idx(sockets, i), "processes");

		assert_true(json_object_is_type(processes, json_type_array));
		for (size_t j = 0; j < json_object_array_length(processes); j++) {
			struct json_object *p = json_object_array_get_idx(processes, j);

			sprintf(text + strlen(text), "%d %s ",
				json_object_get_int(json_object_object_get(p, "pid")),
				json_object_get_string(json_object_object_get(p, "command")));
		}
		strcat(text, ";");
	}
	assert_string_equal(text, wanted);
	json_object_put(sockets);
}

/* How many descriptors this process has. */
static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static void test_owners(void **state)
{
	static const int64_t inodes[] = { 4000000001, 7, 30, 0 };
	struct json_object *sockets = sockets_new(inodes, array_size(inodes));
	int before = count_descriptors();
	bool hidden = true;

	put_process("1", "init\n");
	put_process("10", "ten\n");
	put_process("9", "nine\n");
	put_process("100", "a hundred");
	put_process("self", "self\n");
	put_process("12x", "no number\n");
	put_process("9999999999", "no pid\n");
	put_process("11", NULL);
	put_link("10", "3", "socket:[7]");
	put_link("10", "4", "/dev/null");
	put_link("10", "5", "socket:[4000000001]");
	put_link("10", "6", "socket:[7]");
	put_link("9", "0", "socket:[7]");
	put_link("9", "1", "socket:[0]");
	put_link("9", "2", "pipe:[30]");
	put_link("100", "7", "socket:[7]");
	put_link("100", "8", "socket:[8]");
	put_link("self", "3", "socket:[7]");
	put_link("12x", "3", "socket:[7]");
	put_link("9999999999", "3", "socket:[7]");
	put_link("11", "3", "socket:[7]");
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	assert_int_equal(count_descriptors(), before);
	check(sockets, "10 ten ;9 nine 10 ten 100 a hundred ;;;");
	assert_false(hidden);
}

/* Links that look like a socket's, and are none. */
static void test_links(void **state)
{
	static const char *const links[] = {
		"socket:[7", "socket:7]", "socket:[7]x", "socket:[]", "socket:[7 (deleted)]", "xsocket:[7]", "socket:",
		"socket:[18446744073709551623]", "socket:[99999999999999999999]", "socket:[-7]", "anon_inode:[7]", "7",
	};
	static const int64_t inode = 7;
	struct json_object *sockets = sockets_new(&inode, 1);
	bool hidden;

	put_process("1", "one\n");
	for (size_t i = 0; i < array_size(links); i++) {
		char fd[16];

		snprintf(fd, sizeof(fd), "%zu", i);
		put_link("1", fd, links[i]);
	}
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	check(sockets, ";");
}

static void test_commands(void **state)
{
	static const struct {
		const char *comm, *command;
	} rows[] = {
		{ "two words\n", "1 two words ;" },
		{ "\033[31mred\n", "1 ?[31mred ;" },
		{ "\303\244\177\t\n", "1 ???? ;" },
		{ "first\nsecond\n", "1 first ;" },
		{ "", ";" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
		  "1 012345678901234567890123456789012345678901234567890123456789012 ;" },
	};
	static const int64_t inode = 7;

	put_process("1", "x");
	put_link("1", "3", "socket:[7]");
	for (size_t i = 0; i < array_size(rows); i++) {
		struct json_object *sockets = sockets_new(&inode, 1);
		bool hidden;

		put_comm("1", rows[i].comm);
		assert_int_equal(owners_add(sockets, proc, &hidden), 0);
		check(sockets, rows[i].command);
	}
}

/* At most so many of one socket, the others of no other. */
static void test_many(void **state)
{
	static const int64_t inodes[] = { 7, 8 };
	struct json_object *sockets = sockets_new(inodes, 2), *first;
	bool hidden;

	for (int i = 1; i <= OWNERS_MAX + 3; i++) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", i);
		put_process(pid, "x");
		put_link(pid, "3", "socket:[7]");
	}
	put_link("67", "4", "socket:[8]");
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	first = json_object_object_get(json_object_array_get_idx(sockets, 0), "processes");
	assert_int_equal(json_object_array_length(first), OWNERS_MAX);
	first = json_object_object_get(json_object_array_get_idx(sockets, 1), "processes");
	assert_int_equal(json_object_array_length(first), 1);
	json_object_put(sockets);
}

/* What ends while it is looked at: without descriptors, without a name, or all of it. */
static void test_vanished(void **state)
{
	static const int64_t inode = 7;
	struct json_object *sockets = sockets_new(&inode, 1);
	bool hidden = true;

	put_process("1", NULL);
	put_link("1", "3", "socket:[7]");
	put_process("2", "two\n");
	assert_int_equal(rmdir(path("2", "fd", NULL)), 0);
	put_process("3", "three\n");
	put_link("3", "3", "socket:[7]");
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	check(sockets, "3 three ;");
	assert_false(hidden);
}

/* Of another user, as nobody is told: what can be seen is told all the same. */
static void look_as_nobody(void)
{
	static const int64_t inode = 7;
	struct json_object *sockets = sockets_new(&inode, 1);
	bool hidden = false;

	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(1);
	if (owners_add(sockets, proc, &hidden) < 0)
		_exit(2);
	if (json_object_array_length(json_object_object_get(json_object_array_get_idx(sockets, 0),
							    "processes")) != 1)
		_exit(3);
	json_object_put(sockets);
	_exit(hidden ? 0 : 4);
}

static void test_hidden(void **state)
{
	int status;
	pid_t pid;

	put_process("1", "one\n");
	put_link("1", "3", "socket:[7]");
	put_process("2", "two\n");
	put_link("2", "3", "socket:[7]");
	assert_int_equal(chmod(path("2", "fd", NULL), 0), 0);
	pid = fork();
	if (pid == 0)
		look_as_nobody();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A link that cannot be read, though it is there. */
static void test_no_link(void **state)
{
	static const int64_t inode = 7;
	struct json_object *sockets = sockets_new(&inode, 1);
	bool hidden = false;

	put_process("1", "one\n");
	assert_int_equal(mkdir(path("1", "fd", "3"), 0700), 0);
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	assert_true(hidden);
	check(sockets, ";");
}

/* As with hidepid=2, where others' processes are not even listed. */
static void test_no_process_1(void **state)
{
	static const int64_t inode = 7;
	struct json_object *sockets = sockets_new(&inode, 1);
	bool hidden = false;

	put_process("2", "two\n");
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	assert_true(hidden);
	check(sockets, ";");
}

static void test_no_proc(void **state)
{
	struct json_object *sockets = sockets_new(NULL, 0);
	bool hidden = false;

	assert_int_equal(owners_add(sockets, "/nowhere", &hidden), -ENOENT);
	assert_int_equal(owners_add(sockets, "/dev/null", &hidden), -ENOTDIR);
	assert_int_equal(owners_add(sockets, proc, &hidden), 0);
	json_object_put(sockets);
}

/* The machine's own, with a socket of ours that a child has as well. */
static void test_real(void **state)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), gate[2];
	struct json_object *sockets, *processes;
	struct stat facts;
	bool hidden;
	int64_t inode;
	pid_t child;

	assert_true(sock >= 0);
	assert_int_equal(pipe(gate), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(gate[1]);
		_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(fstat(sock, &facts), 0);
	inode = facts.st_ino;
	sockets = sockets_new(&inode, 1);
	assert_int_equal(owners_add(sockets, "/proc", &hidden), 0);
	processes = json_object_object_get(json_object_array_get_idx(sockets, 0), "processes");
	assert_int_equal(json_object_array_length(processes), 2);
	for (size_t i = 0; i < 2; i++) {
		int pid = json_object_get_int(
			json_object_object_get(json_object_array_get_idx(processes, i), "pid"));

		assert_true(pid == child || pid == getpid());
	}
	json_object_put(sockets);
	close(gate[1]);
	close(gate[0]);
	close(sock);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vanished, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_process_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_proc, setup, teardown),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
