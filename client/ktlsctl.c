/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const char *sentence;
} commands[] = {
	{ "connect", ctl_connect,
	  "get a connection under kernel TLS, and relay it or hand it to a command" },
};

static int set_socket(struct ctl *ctl, const char *value)
{
	ctl->socket = value;
	return 0;
}

static int set_help(struct ctl *ctl, const char *value)
{
	ctl->help = true;
	return 0;
}

static int set_version(struct ctl *ctl, const char *value)
{
	ctl->version = true;
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "socket",
	  .value = "PATH",
	  .set = set_socket,
	  .sentence = "where ktlsd listens (" KTLS_SOCKET ")" },
	{ .name = "help", .letter = 'h', .set = set_help, .sentence = "show this" },
	{ .name = "version", .set = set_version, .sentence = "show the version" },
};

static const struct ctl_syntax syntax = { options, sizeof(options) / sizeof(*options), NULL };

static int print_help(void)
{
	printf("Usage: ktlsctl [OPTION...] COMMAND [ARGUMENT...]\n\nAsks ktlsd for connections "
	       "under kernel TLS.\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		printf("  %-28s %s\n", commands[i].name, commands[i].sentence);
	printf("\n");
	ctl_print_options(&syntax);
	printf("\n`ktlsctl COMMAND --help` shows the options of a command; ktlsctl(1) tells it "
	       "all.\n");
	return fflush(stdout) ? KTLS_WHO_CALLER : KTLS_WHO_NOBODY;
}

static int print_version(void)
{
	printf("ktlsctl %s\n", ktls_library_version());
	return fflush(stdout) ? KTLS_WHO_CALLER : KTLS_WHO_NOBODY;
}

static int run(struct ctl *ctl)
{
	char **argv = ctl->command;
	int argc = 0;

	if (!*argv)
		return ctl_usage("no command; try `ktlsctl --help`");
	while (argv[argc])
		argc++;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(ctl, argc, argv);
	return ctl_usage("%s: no such command; try `ktlsctl --help`", argv[0]);
}

/* A socket must never come to lie where a library or a command expects stdin, stdout or stderr. */
static void open_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", O_RDWR | O_NOCTTY) != fd)
			abort();
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .socket = secure_getenv("KTLSD_SOCKET") };

	open_standard_descriptors();
	if (ctl.socket && !*ctl.socket)
		ctl.socket = NULL;
	if (ctl_parse(&ctl, &syntax, argc, argv) < 0)
		return KTLS_WHO_CALLER;
	if (ctl.help)
		return print_help();
	if (ctl.version)
		return print_version();
	return run(&ctl);
}
