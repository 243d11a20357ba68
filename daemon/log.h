/* SPDX-License-Identifier: MIT */
/*
 * One line at a time to stderr, with systemd's priority prefix when that goes to the journal
 * (sd-daemon(3)). It never blocks: a line for which there is no room is lost, and counted, and the
 * next one that gets through tells how many were. What would break a line or a terminal is escaped
 * here, so callers and peers may be quoted as they are.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

/* Under PIPE_BUF, so that a line gets into a pipe whole or not at all. */
#define LOG_LINE_MAX 2048

struct log {
	int fd;			/* -1: there is nowhere to write to, and every line is lost */
	bool own_fd;		/* opened by us */
	bool is_socket;
	bool journal;
	unsigned long dropped;	/* lines lost since the last that got through */
};

/* fd stays the caller's, and open as long as the log is used. */
void log_init(struct log *log, int fd);
void log_deinit(struct log *log);

void log_line(struct log *log, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
