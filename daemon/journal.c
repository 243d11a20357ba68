/* SPDX-License-Identifier: MIT */
#include "daemon/journal.h"

#include "proto/util.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

bool journal_init(struct journal *journal, const char *path)
{
	*journal = (struct journal){ .fd = -1, .address.sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(journal->address.sun_path))
		return false;
	strcpy(journal->address.sun_path, path);
	journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return journal->fd >= 0;
}

void journal_deinit(struct journal *journal)
{
	close_fd(&journal->fd);
}

/*
 * NAME=value and a newline; or, where the value has a newline itself, NAME, a newline, its length in
 * 64 bits, little end first, the value and a newline.
 */
void journal_add(struct journal_entry *entry, const char *name, const char *value)
{
	size_t begin = entry->n ? entry->ends[entry->n - 1] : 0;
	size_t name_length = strlen(name), length = strlen(value);
	uint64_t prefix = htole64(length);
	bool prefixed = memchr(value, '\n', length) != NULL;
	size_t all = name_length + 1 + (prefixed ? sizeof(prefix) : 0) + length + 1;
	char *to = entry->bytes + begin;

	if (entry->n == JOURNAL_FIELDS_MAX || all > sizeof(entry->bytes) - begin)
		return;
	to = mempcpy(to, name, name_length);
	*to++ = prefixed ? '\n' : '=';
	if (prefixed)
		to = mempcpy(to, &prefix, sizeof(prefix));
	to = mempcpy(to, value, length);
	*to = '\n';
	entry->ends[entry->n++] = begin + all;
}

bool journal_send(const struct journal *journal, const struct journal_entry *entry)
{
	const struct sockaddr *address = (const struct sockaddr *)&journal->address;
	ssize_t sent = -1;

	errno = EBADF;
	if (journal->fd < 0)
		return false;
	errno = EMSGSIZE;
	for (size_t n = entry->n; n > 0 && sent < 0 && errno == EMSGSIZE; n /= 2)
		sent = sendto(journal->fd, entry->bytes, entry->ends[n - 1],
			      MSG_DONTWAIT | MSG_NOSIGNAL, address, sizeof(journal->address));
	return sent >= 0;
}
