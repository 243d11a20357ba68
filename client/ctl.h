/* SPDX-License-Identifier: MIT */
/*
 * What the files of ktlsctl share: its commands and their options, as tables from which parser, help
 * and completion come, and how a failure is told. ktlsctl stands on ktls.h alone, as any other program
 * does.
 */
#pragma once

#include "client/ktls.h"

#include <stddef.h>

struct ctl {
	const struct ctl_command *const *program; /* all commands; NULL after the last */
	const struct ctl_syntax *syntax; /* what may stand before one */
	const char *socket; /* NULL: the library's default */
	const char *environment; /* what KTLSD_SOCKET says; NULL: nothing */
	struct ktls *k;
	const char *target; /* HOST:PORT */
	const char *operand; /* of a command that has another one */
	char **command; /* ends in NULL; empty: none */
	double interval; /* of --watch, seconds; 0: once */
	bool stdio, verbose, json, quick, help, version;
	bool probing; /* what a probe shows is shown */
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
	const char *words; /* all values there are, "full chain none"; NULL: any */
};

struct ctl_syntax {
	const struct ctl_option *options;
	size_t n;
	/* NULL: the first operand ends the options. */
	int (*operand)(struct ctl *ctl, const char *value);
	const struct ctl_syntax *more; /* options that it shares with others; NULL: none */
};

struct ctl_command {
	const char *name;
	const char *operands; /* in the help, "HOST:PORT"; "a|b": one of these; "": none */
	const char *sentence; /* of the list of commands */
	const char *about; /* of its own help */
	const struct ctl_syntax *syntax;
	int (*run)(struct ctl *ctl); /* the exit status */
	bool runs_another; /* takes "-- COMMAND..." */
};

/* A row of a command's options, where it shows a document. */
#define CTL_JSON_OPTION									\
	{ .name = "json", .letter = 'j', .set = ctl_set_json,					\
	  .sentence = "one JSON object, for scripts" }
int ctl_set_json(struct ctl *ctl, const char *value);

/* The commands. ctl->k is there, its socket set, and the command line was parsed by the syntax. */
extern const struct ctl_command ctl_connect, ctl_probe, ctl_ciphers, ctl_sockets, ctl_status, ctl_metrics,
	ctl_doctor, ctl_completion;

/* --help and --json, for any command. */
extern const struct ctl_syntax ctl_help_syntax, ctl_json_syntax;
/* Of a request, and HOST:PORT. */
extern const struct ctl_syntax ctl_request_syntax;
int ctl_set_target(struct ctl *ctl, const char *value);
/* Gives HOST and PORT to the request. 0, or the exit status, told on stderr. */
int ctl_ask_target(struct ctl *ctl);

/*
 * Parses argv[1] and on. What follows "--", or begins with the first operand, is ctl->command. -1:
 * told on stderr. An option may stand before or after an operand.
 */
int ctl_parse(struct ctl *ctl, const struct ctl_syntax *syntax, int argc, char **argv);
/* The i-th option of the syntax and of those that it shares; NULL after the last. */
const struct ctl_option *ctl_option_at(const struct ctl_syntax *syntax, size_t i);
void ctl_print_options(const struct ctl_syntax *syntax);

/* What could not be written to stdout was not done: -1, told on stderr. */
int ctl_flush(void);
/* One line on stderr. Returns KTLS_WHO_CALLER. */
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same of a call that failed, with the next step; the exit status it calls for. */
int ctl_failure(const struct ctl *ctl);

/* Runs ctl->command with the socket as descriptor 3, and as its stdin and stdout as well if
 * ctl->stdio. Returns on failure. */
int ctl_exec(const struct ctl *ctl, int sock);
