/* SPDX-License-Identifier: MIT */
/*
 * One line at a time to stderr. Where that goes to the journal, it is an entry of journald's own
 * protocol instead, with fields; and where journald's socket takes none, the line again, with
 * systemd's priority prefix (sd-daemon(3)). It never blocks: a line for which there is no room is
 * lost, and counted, and the next one that gets through tells how many were. What would break a
 * line, a field or a terminal is escaped here, so callers and peers may be quoted as they are.
 */
#pragma once

#include "daemon/journal.h"

#include <stdbool.h>
#include <syslog.h>

/* Under PIPE_BUF, so that a line gets into a pipe whole or not at all. */
#define LOG_LINE_MAX 2048
/* The value of a field: a host's name, escaped where it is none, fits. */
#define LOG_VALUE_MAX 256

/* NULL or empty: it is left out. */
struct log_field {
	const char *name, *value;
};

struct log {
	int fd;			/* -1: there is nowhere to write to, and every line is lost */
	bool own_fd;		/* opened by us */
	bool is_socket;
	bool is_journal;
	struct journal journal; /* where is_journal */
	unsigned long dropped;	/* lines lost since the last that got through */
};

/* fd stays the caller's, and open as long as the log is used. */
void log_init(struct log *log, int fd);
void log_deinit(struct log *log);

void log_line(struct log *log, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with fields, of which a line on stderr tells nothing; message_id, one of events.h, or
 * NULL. */
void log_record(struct log *log, int priority, const char *message_id,
		const struct log_field *fields, size_t n, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
