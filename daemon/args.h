/* SPDX-License-Identifier: MIT */
/* The command line of ktlsd: one table, from which the help comes too. */
#pragma once

#include <stdbool.h>

#define ARGS_BAD_USAGE 2

struct args {
	const char *config;	/* NULL: the files of SYSCONFDIR/ktlsd */
	const char *socket;	/* NULL: the default path */
	bool check_config;
	int exit_status;	/* of a command line after which nothing is to be run */
};

/* False: all has been said, on stdout or stderr, and there is nothing left to do but to exit. */
bool args_parse(struct args *args, int argc, char **argv);
