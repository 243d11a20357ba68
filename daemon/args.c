/* SPDX-License-Identifier: MIT */
#include "daemon/args.h"

#include "proto/util.h"

#include <getopt.h>
#include <stdio.h>

#ifndef KTLSD_VERSION
#define KTLSD_VERSION "(unversioned)"
#endif

static void set_config(struct args *args, const char *value)
{
	args->config = value;
}

static void set_socket(struct args *args, const char *value)
{
	args->socket = value;
}

static void set_check_config(struct args *args, const char *value)
{
	args->check_config = true;
}

static void print_help(void);

static void print_version(void)
{
	puts("ktlsd " KTLSD_VERSION);
}

static const struct {
	const char *name;
	const char *argument;	/* NULL: it takes none */
	const char *sentence;
	void (*set)(struct args *args, const char *value);
	void (*print)(void);	/* it answers, and nothing is run */
} table[] = {
	{ "config", "FILE", "Read FILE alone, not the files of the system.", .set = set_config },
	{ "socket", "PATH", "Listen on PATH, if systemd has passed no socket.", .set = set_socket },
	{ "check-config", NULL, "Read the configuration, tell what is wrong with it, and exit.",
	  .set = set_check_config },
	{ "version", NULL, "Print the version and exit.", .print = print_version },
	{ "help", NULL, "Print this help and exit.", .print = print_help },
};

static void print_help(void)
{
	puts("Usage: ktlsd [OPTION...]\n"
	     "Connects to TLS servers for others, and hands them sockets on which the kernel does "
	     "the TLS.\n");
	for (size_t i = 0; i < array_size(table); i++) {
		const char *argument = table[i].argument;
		int width = printf("  --%s%s%s", table[i].name, argument ? " " : "",
				   argument ? argument : "");

		printf("%*s%s\n", 20 - width, "", table[i].sentence);
	}
	puts("\nSee ktlsd(8) and ktlsd.conf(5).");
}

static bool bad_usage(struct args *args, const char *what, const char *why)
{
	fprintf(stderr, "ktlsd: %s: %s; try ktlsd --help\n", what, why);
	args->exit_status = ARGS_BAD_USAGE;
	return false;
}

/* Row i has the value i + 1: below the characters that getopt itself returns. */
_Static_assert(array_size(table) < ':', "too many options");

static void fill_options(struct option options[static array_size(table) + 1])
{
	for (size_t i = 0; i < array_size(table); i++)
		options[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].argument ? required_argument : no_argument,
			.val = i + 1,
		};
	options[array_size(table)] = (struct option){ 0 };
}

bool args_parse(struct args *args, int argc, char **argv)
{
	const int n = array_size(table);
	struct option options[array_size(table) + 1];
	int c, at = 1;

	*args = (struct args){ 0 };
	fill_options(options);
	optind = 0;
	while ((c = getopt_long(argc, argv, "+:", options, NULL)) > 0) {
		if (c == ':')
			return bad_usage(args, argv[at], "needs an argument");
		if (c == '?')
			return bad_usage(args, argv[at], optopt > 0 && optopt <= n ?
					 "takes no argument" : "no such option");
		if (table[c - 1].print) {
			table[c - 1].print();
			return false;
		}
		table[c - 1].set(args, optarg);
		at = optind;
	}
	return argv[optind] ? bad_usage(args, argv[optind], "ktlsd takes options only") : true;
}
