/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-exec.c"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Runs a script with the one end of a socket. The exit status; output gets what came out of it. */
static int run(bool stdio, int number, const char *const *command, char *output, size_t size)
{
	struct ctl ctl = { .command = (char **)command, .stdio = stdio };
	int pair[2], status;
	ssize_t n, got = 0;
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* In a plain process, so that cmocka has no hand in it. */
		int sock = number < 0 ? pair[1] : dup3(pair[1], number, O_CLOEXEC);

		if (!freopen("/dev/null", "w", stderr))
			_exit(99);
		_exit(ctl_exec(&ctl, sock));
	}
	close(pair[1]);
	while ((n = read(pair[0], output + got, size - 1 - got)) > 0)
		got += n;
	output[got] = '\0';
	close(pair[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_script(bool stdio, int number, const char *script, char *output, size_t size)
{
	const char *const command[] = { "sh", "-c", script, NULL };

	return run(stdio, number, command, output, size);
}

static void test_descriptor_and_environment(void **state)
{
	char output[256];

	/* Descriptor 3 is the socket wherever it was before, itself included. */
	for (int number = -1; number <= 9; number += number < 0 ? 4 : 6) {
		assert_int_equal(run_script(false, number,
			"echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)) >&3; exit 7",
			output, sizeof(output)), 7);
		assert_string_equal(output, "1 ktls 0\n");
	}
}

/* Nothing else of ours: the one socket in the place where it is expected, and not where it was. */
static void test_no_other_copy(void **state)
{
	char output[256];

	assert_int_equal(run_script(false, 9, "for fd in 0 1 2 9; do "
			 "test /proc/self/fd/$fd -ef /proc/self/fd/3 && echo $fd >&3; done; exit 0",
			 output, sizeof(output)), 0);
	assert_string_equal(output, "");
}

static void test_stdio(void **state)
{
	char output[256];

	assert_int_equal(run_script(true, -1, "for fd in 0 1 2; do "
			 "test /proc/self/fd/$fd -ef /proc/self/fd/3 && echo $fd; done; exit 0",
			 output, sizeof(output)), 0);
	assert_string_equal(output, "0\n1\n");
}

/* A relay ignores SIGPIPE; a command must have it as ktlsctl had. */
static void test_sigpipe(void **state)
{
	char output[256];

	assert_int_equal(run_script(false, -1, "grep SigIgn: /proc/self/status >&3",
				    output, sizeof(output)), 0);
	assert_int_equal(strtoull(strchr(output, ':') + 1, NULL, 16) >> (SIGPIPE - 1) & 1, 0);
}

static void test_not_there(void **state)
{
	const char *const missing[] = { "/nonexistent/program", NULL };
	const char *const directory[] = { "/", NULL };
	char output[256];

	assert_int_equal(run(false, -1, missing, output, sizeof(output)), 127);
	assert_int_equal(run(false, -1, directory, output, sizeof(output)), 126);
	assert_string_equal(output, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor_and_environment),
		cmocka_unit_test(test_no_other_copy),
		cmocka_unit_test(test_stdio),
		cmocka_unit_test(test_sigpipe),
		cmocka_unit_test(test_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
