/* SPDX-License-Identifier: MIT */
/*
 * One file of the configuration as a row of events: sections, and keys with their values, from inih. Whatever line is neither
 * is told with its number, and does not hide the next.
 *
 * What of inih might surprise is kept from it: it cuts section names at 49 bytes and is silent about a section without keys, so
 * section lines don't reach it; it takes an indented line for more of the value before, `:` for `=`, and whatever follows a
 * blank and a `;` for a comment, so indentation is dropped and the others are faults; it cuts long lines in two.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* A path of 4095 bytes has room. A file without end must not keep the daemon from starting, or from saying why it doesn't. */
#define CONFIG_LINE_MAX 8192
#define CONFIG_FILE_MAX (1024 * 1024)

struct config_lines {
	void (*on_section)(struct config_lines *lines, const char *text);	/* what is between [ and ]; NULL: unclear */
	void (*on_entry)(struct config_lines *lines, const char *key, const char *value);	/* the value is not empty */
	FILE *errors;
	unsigned int faults;
	bool no_memory;
	/* of the file being read */
	FILE *file;
	const char *path;
	unsigned int line;
	size_t bytes;
	bool handed;	/* inih has been given a line and has not called back with it */
};

/* Reads path to its end; may be called again for the next file. optional: it need not be there. */
void config_lines_read(struct config_lines *lines, const char *path, bool optional);

/* Tells FILE:LINE: SUBJECT: MESSAGE, what came from the file being escaped; subject NULL: without it. */
void config_lines_fault(struct config_lines *lines, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
