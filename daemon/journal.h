/* SPDX-License-Identifier: MIT */
/*
 * Entries for systemd-journald in its native protocol: one datagram each, of fields. It is spoken
 * here, and not by sd_journal_sendv(3), because that waits when journald does not read, and writing
 * the log must never hold up the service. Nor is an entry that is too long passed as a file: it is
 * cut, so that who writes needs no file, and may be forbidden to make one.
 *
 * The socket is made at the start, and inherited by processes that may make none; it is not
 * connected, since journald may be restarted at any time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Some thirty fields of what fits into one of the log; far below what a socket buffers. */
#define JOURNAL_ENTRY_MAX (16 * 1024)
#define JOURNAL_FIELDS_MAX 48

struct journal {
	int fd; /* -1: there is none, and nothing is ever sent */
	struct sockaddr_un address;
};

struct journal_entry {
	size_t n; /* fields */
	size_t ends[JOURNAL_FIELDS_MAX];
	char bytes[JOURNAL_ENTRY_MAX];
};

/* path: of journald's socket, which need not be there. False: no socket can be made, or the path is
 * too long. */
bool journal_init(struct journal *journal, const char *path);
void journal_deinit(struct journal *journal);

/* Adds a field to an entry that begins as n = 0. One that has no room any more is left out: what
 * counts comes first. The name is of A to Z, 0 to 9 and _; the value may be anything. */
void journal_add(struct journal_entry *entry, const char *name, const char *value);

/* False, with errno: journald is not there, or does not read. Never waits. */
bool journal_send(const struct journal *journal, const struct journal_entry *entry);
