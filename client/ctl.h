/* SPDX-License-Identifier: MIT */
/*
 * What the files of ktlsctl share: what the command line said, tables of options, and how a failure
 * is told. ktlsctl stands on ktls.h alone, as any other program does.
 */
#pragma once

#include "client/ktls.h"

#include <stddef.h>

struct ctl {
	const char *socket; /* NULL: the library's default */
	struct ktls *k;
	const char *target; /* HOST:PORT */
	char **command; /* ends in NULL; empty: none */
	bool stdio, verbose, help, version;
};

/* One option: set by ask if the request takes it as it stands, else by set. Both: -1 with errno. */
struct ctl_option {
	const char *name;
	char letter;
	const char *value; /* what it is called in the help; NULL: a flag */
	int (*ask)(struct ktls *k, const char *value);
	int (*set)(struct ctl *ctl, const char *value);
	const char *sentence;
	const char *expected; /* what EINVAL means */
};

struct ctl_syntax {
	const struct ctl_option *options;
	size_t n;
	/* NULL: the first operand ends the options. */
	int (*operand)(struct ctl *ctl, const char *value);
};

/*
 * Parses argv[1] and on. What follows "--", or begins with the first operand, is ctl->command. -1:
 * told on stderr. An option may stand before or after an operand.
 */
int ctl_parse(struct ctl *ctl, const struct ctl_syntax *syntax, int argc, char **argv);
void ctl_print_options(const struct ctl_syntax *syntax);

/* One line on stderr. Returns KTLS_WHO_CALLER. */
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same of a request that failed; the exit status it calls for. */
int ctl_failure(const struct ktls *k);

/* The subcommands: their exit status. */
int ctl_connect(struct ctl *ctl, int argc, char **argv);

/* Runs ctl->command with the socket as descriptor 3, and as its stdin and stdout as well if
 * ctl->stdio. Returns on failure. */
int ctl_exec(const struct ctl *ctl, int sock);
