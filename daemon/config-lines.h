/* SPDX-License-Identifier: MIT */
/*
 * One file of the configuration as a row of events: sections, and keys with their values, from
 * inih. Whatever line is neither is told with its number, and does not hide the next.
 *
 * What of inih might surprise is kept from it. It cuts the names of sections at 49 bytes and says
 * nothing of a section without keys, so section lines don't reach it. It takes an indented line
 * for more of the value before, so indentation is dropped. It takes `:` for `=`, what stands behind
 * a blank and a `;` for a comment, and the second half of a long line for a line: all of that is
 * a fault here.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* A path of 4095 bytes has room, and a file without end has one. */
#define CONFIG_LINE_MAX 8192
#define CONFIG_FILE_MAX (1024 * 1024)

struct config_lines {
	/* What stands between [ and ]; NULL: that is unclear. */
	void (*on_section)(struct config_lines *lines, const char *text);
	/* The value may be empty. */
	void (*on_entry)(struct config_lines *lines, const char *key, const char *value);
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

/* FILE:LINE: SUBJECT: MESSAGE, with what came from the file escaped; subject NULL: without it. */
void config_lines_fault(struct config_lines *lines, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
