/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct ctl_command *const commands[] = {
	&ctl_connect,
	&ctl_probe,
	&ctl_ciphers,
	&ctl_sockets,
	&ctl_status,
	&ctl_metrics,
	&ctl_doctor,
	&ctl_completion,
	NULL,
};

static int set_version(struct ctl *ctl, const char *value)
{
	ctl->version = true;
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "version", .set = set_version, .sentence = "show the version" },
};

static const struct ctl_syntax syntax = {
	options, sizeof(options) / sizeof(*options), NULL, &ctl_help_syntax,
};

static int flushed(void)
{
	return ctl_flush() < 0 ? KTLS_WHO_CALLER : KTLS_WHO_NOBODY;
}

static int print_help(void)
{
	printf("Usage: ktlsctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
	       "Connections under kernel TLS from ktlsd, and whether they can be had here.\n\n");
	for (size_t i = 0; commands[i]; i++)
		printf("  %-11s %-16s %s\n", commands[i]->name, commands[i]->operands,
		       commands[i]->sentence);
	printf("\n");
	ctl_print_options(&syntax);
	printf("\n`ktlsctl COMMAND --help` shows the options of a command; ktlsctl(1) tells it "
	       "all.\n");
	return flushed();
}

static int print_command_help(const struct ctl_command *command)
{
	printf("Usage: ktlsctl %s%s%s [OPTION...]%s\n\n%s\n\n", command->name,
	       *command->operands ? " " : "", command->operands,
	       command->runs_another ? " [-- COMMAND...]" : "", command->about);
	ctl_print_options(command->syntax);
	return flushed();
}

static int print_version(void)
{
	printf("ktlsctl %s\n", ktls_library_version());
	return flushed();
}

static const struct ctl_command *find_command(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i];
	return NULL;
}

static int run_command(struct ctl *ctl, const struct ctl_command *command, int argc, char **argv)
{
	if (ctl_parse(ctl, command->syntax, argc, argv) < 0)
		return KTLS_WHO_CALLER;
	if (ctl->help)
		return print_command_help(command);
	if (*ctl->command && !command->runs_another)
		return ctl_usage("%s: takes no %s; try `ktlsctl %s --help`", command->name,
				 *ctl->command, command->name);
	if (ktls_set_socket(ctl->k, ctl->socket) < 0)
		return ctl_usage("--socket %s: %s", ctl->socket, strerror(errno));
	return command->run(ctl);
}

static int run(struct ctl *ctl)
{
	const struct ctl_command *command;
	char **argv = ctl->command;
	int argc = 0, status;

	if (!*argv)
		return ctl_usage("no command; try `ktlsctl --help`");
	while (argv[argc])
		argc++;
	command = find_command(argv[0]);
	if (!command)
		return ctl_usage("%s: no such command; try `ktlsctl --help`", argv[0]);
	ctl->k = ktls_new();
	if (!ctl->k) {
		fprintf(stderr, "ktlsctl: request: %s (%s)\n", strerror(errno),
			ktls_status_name(KTLS_LOCAL));
		return KTLS_WHO_INTERNAL;
	}
	status = run_command(ctl, command, argc, argv);
	ctl->k = ktls_free(ctl->k);
	return status;
}

/* A socket must never come to lie where a library or a command expects stdin, stdout or stderr. Into
 * a stdout that is closed nothing can be written. */
static void open_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", (fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) | O_NOCTTY) != fd)
			_exit(KTLS_WHO_INTERNAL);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .program = commands, .syntax = &syntax,
			   .environment = secure_getenv("KTLSD_SOCKET") };

	open_standard_descriptors();
	if (ctl.environment && !*ctl.environment)
		ctl.environment = NULL;
	ctl.socket = ctl.environment;
	if (ctl_parse(&ctl, &syntax, argc, argv) < 0)
		return KTLS_WHO_CALLER;
	if (ctl.help)
		return print_help();
	if (ctl.version)
		return print_version();
	return run(&ctl);
}
