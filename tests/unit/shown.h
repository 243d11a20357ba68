/* SPDX-License-Identifier: MIT */
/* What a command of ktlsctl writes on stdout. */
#pragma once

#include "client/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* To be freed. *status: the command's. */
static inline char *shown(const struct ctl_command *command, struct ctl *ctl, int *status)
{
	int file = memfd_create("stdout", MFD_CLOEXEC), before;
	char *text = calloc(1, 65536);

	fflush(stdout);
	before = dup(STDOUT_FILENO);
	assert_true(file >= 0 && before >= 0 && text);
	assert_int_equal(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
	*status = command->run(ctl);
	fflush(stdout);
	assert_int_equal(dup2(before, STDOUT_FILENO), STDOUT_FILENO);
	assert_true(pread(file, text, 65535, 0) >= 0);
	close(file);
	close(before);
	return text;
}

/* Each run of blanks as one, none at a line's end: tables are compared by their words. */
static inline void squeeze(char *text)
{
	char *out = text;

	for (char *in = text; *in; in++)
		if (*in != ' ' || (in[1] != ' ' && in[1] != '\n' && in[1] && out != text && out[-1] != '\n'))
			*out++ = *in;
	*out = '\0';
}
