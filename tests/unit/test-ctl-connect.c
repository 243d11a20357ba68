/* SPDX-License-Identifier: MIT */
/* tests: client/ktlsctl.c is a program, which test-ktlsctl.py runs */
/* link: -Wl,--wrap=ktls_connect,--wrap=close */
#include "tests/unit/unit.h"

#include "client/ctl-connect.c"
#include "client/internal.h"

const struct ctl_syntax ctl_request_syntax;

#define SOCK 1000 /* no descriptor of this process */

/* What lies below is played: what it gives, and what was called. */
static struct {
	int target, sock, relayed, ran;
	char calls[64];
} play;

static void call(const char *name)
{
	strcat(strcat(play.calls, name), ";");
}

int ctl_usage(const char *format, ...)
{
	call("usage");
	return KTLS_WHO_CALLER;
}

int ctl_set_target(struct ctl *ctl, const char *value)
{
	fail();
	return 0;
}

int ctl_ask_target(struct ctl *ctl)
{
	call("target");
	return play.target;
}

int __wrap_ktls_connect(struct ktls *k);

int __wrap_ktls_connect(struct ktls *k)
{
	call("connect");
	return play.sock;
}

int ctl_failure(const struct ctl *ctl)
{
	call("failure");
	return KTLS_WHO_PEER;
}

void relay_init(struct relay *of, int sock, int in, int out)
{
	assert_int_equal(sock, SOCK);
	assert_int_equal(in, STDIN_FILENO);
	assert_int_equal(out, STDOUT_FILENO);
	strcpy(of->message, "stage: text");
}

int relay_run(struct relay *of)
{
	call("relay");
	return play.relayed;
}

int ctl_exec(const struct ctl *ctl, int sock)
{
	assert_int_equal(sock, SOCK);
	call("exec");
	return play.ran;
}

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (fd != SOCK)
		return __real_close(fd);
	call("close");
	return 0;
}

static char *const nothing[] = { NULL }, *const program[] = { (char *)"program", NULL };

static const struct {
	const char *name, *target;
	char *const *command;
	bool stdio;
	int asked, sock, below; /* what ctl_ask_target, ktls_connect, relay_run or ctl_exec give */
	int status;
	const char *calls;
} lines[] = {
	{ "relay", "a:1", nothing, false, 0, SOCK, 0, 0, "target;connect;relay;close;" },
	{ "cut", "a:1", nothing, false, 0, SOCK, 3, 3, "target;connect;relay;close;" },
	{ "command", "a:1", program, false, 0, SOCK, 127, 127, "target;connect;exec;close;" },
	{ "stdio", "a:1", program, true, 0, SOCK, 126, 126, "target;connect;exec;close;" },
	{ "failure", "a:1", program, false, 0, -1, 0, 3, "target;connect;failure;" },
	{ "wrong target", "a", nothing, false, 1, SOCK, 0, 1, "target;" },
	{ "no target", NULL, nothing, false, 0, SOCK, 0, 1, "usage;" },
	{ "stdio of none", "a:1", nothing, true, 0, SOCK, 0, 1, "usage;" },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct ctl ctl = { .target = lines[i].target, .command = (char **)lines[i].command,
				   .stdio = lines[i].stdio, .k = ktls_new() };

		print_message("# %s\n", lines[i].name);
		memset(&play, 0, sizeof(play));
		play.target = lines[i].asked;
		play.sock = lines[i].sock;
		play.relayed = play.ran = lines[i].below;
		assert_int_equal(ctl_connect.run(&ctl), lines[i].status);
		assert_string_equal(play.calls, lines[i].calls);
		ktls_free(ctl.k);
	}
}

static void test_flags(void **state)
{
	struct ctl ctl = { 0 };

	assert_int_equal(set_stdio(&ctl, NULL), 0);
	assert_true(ctl.stdio && !ctl.verbose);
	assert_int_equal(set_verbose(&ctl, NULL), 0);
	assert_true(ctl.verbose);
	assert_true(ctl_connect.runs_another);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
