/* SPDX-License-Identifier: MIT */
/* What stands for systemd-journald: its socket, and its reading of what comes in there. */
#pragma once

#include "tests/unit/loop.h"

#include "daemon/journal.h"

#include <endian.h>

struct journald {
	char directory[32], path[64];
	int fd; /* -1: it does not run */
};

/* One entry, as it came and as it is understood. */
struct heard {
	char bytes[2 * JOURNAL_ENTRY_MAX];
	size_t length;
	size_t n;
	struct {
		char name[64], value[4096];
	} fields[JOURNAL_FIELDS_MAX];
};

static inline void journald_run(struct journald *journald)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, journald->path);
	unlink(journald->path);
	journald->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(journald->fd >= 0);
	assert_int_equal(bind(journald->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* Its socket stays behind, as that of one that was killed. */
static inline void journald_die(struct journald *journald)
{
	close_fd(&journald->fd);
}

static inline void journald_init(struct journald *journald)
{
	strcpy(journald->directory, "/tmp/ktls-journald-XXXXXX");
	assert_non_null(mkdtemp(journald->directory));
	snprintf(journald->path, sizeof(journald->path), "%s/socket", journald->directory);
	journald->fd = -1;
}

static inline void journald_deinit(struct journald *journald)
{
	journald_die(journald);
	unlink(journald->path);
	assert_int_equal(rmdir(journald->directory), 0);
}

/* The value's bytes, wherever they end. */
static inline const char *heard_value(struct heard *heard, const char *at, size_t length)
{
	char *value = heard->fields[heard->n].value;

	assert_true(length < sizeof(heard->fields[0].value));
	memcpy(value, at, length);
	value[length] = '\0';
	heard->n++;
	return at + length;
}

/* systemd.io/JOURNAL_NATIVE_PROTOCOL: what does not hold to it fails. */
static inline void heard_parse(struct heard *heard)
{
	const char *at = heard->bytes, *end = at + heard->length;
	uint64_t length;

	heard->n = 0;
	while (at < end) {
		size_t name = strcspn(at, "=\n");

		assert_true(heard->n < JOURNAL_FIELDS_MAX);
		assert_in_range(name, 1, sizeof(heard->fields[0].name) - 1);
		assert_int_equal(strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), name);
		assert_true(*at != '_' && at + name < end);
		memcpy(heard->fields[heard->n].name, at, name);
		heard->fields[heard->n].name[name] = '\0';
		at += name + 1;
		if (at[-1] == '=') {
			at = heard_value(heard, at, strcspn(at, "\n"));
		} else {
			memcpy(&length, at, sizeof(length));
			at = heard_value(heard, at + sizeof(length), le64toh(length));
		}
		assert_true(at < end && *at == '\n');
		at++;
	}
}

/* The next entry that is there. */
static inline bool journald_read(const struct journald *journald, struct heard *heard)
{
	ssize_t n = recv(journald->fd, heard->bytes, sizeof(heard->bytes) - 1, MSG_TRUNC);

	if (n < 0)
		return false;
	assert_true((size_t)n < sizeof(heard->bytes));
	heard->bytes[n] = '\0';
	heard->length = (size_t)n;
	heard_parse(heard);
	return true;
}

/* NULL: there is no such field. Two of them are a fault. */
static inline const char *heard_field(const struct heard *heard, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < heard->n; i++)
		if (strcmp(heard->fields[i].name, name) == 0) {
			assert_null(value);
			value = heard->fields[i].value;
		}
	return value;
}

static inline void expect_field(const struct heard *heard, const char *name, const char *value)
{
	const char *found = heard_field(heard, name);

	if (!found || strcmp(found, value) != 0)
		fail_msg("%s is %s, not %s", name, found ?: "missing", value);
}

static inline unsigned int journald_drain(const struct journald *journald, struct heard *heard)
{
	unsigned int n = 0;

	while (journald_read(journald, heard))
		n++;
	return n;
}
