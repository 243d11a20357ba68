/* SPDX-License-Identifier: MIT */
/* A socket pair with a writer at one end and a reader at the other. */
#pragma once

#include "tests/unit/unit.h"

#include "proto/frame.h"

#include <string.h>
#include <sys/socket.h>

#define KIB 1024
#define NO_FD (-1)

struct wire {
	int ends[2];	/* 0: the writer's; 1: the reader's */
	struct proto_writer writer;
	struct proto_reader reader;
};

static inline void wire_init(struct wire *wire, bool take_fd)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire->ends), 0);
	proto_writer_init(&wire->writer);
	proto_reader_init(&wire->reader, take_fd);
}

static inline void wire_deinit(struct wire *wire)
{
	proto_writer_deinit(&wire->writer);
	proto_reader_deinit(&wire->reader);
	proto_reader_deinit(&wire->reader);
	close_fd(&wire->ends[0]);
	close_fd(&wire->ends[1]);
}

/* Bytes as they are, past the writer. */
static inline void wire_send(struct wire *wire, const char *bytes, size_t n)
{
	assert_int_equal(send(wire->ends[0], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL), n);
}

static inline void wire_put(struct wire *wire, const char *text, int fd)
{
	proto_writer_put(&wire->writer, strdup(text), strlen(text), fd);
}

static inline enum proto_frame wire_fill(struct wire *wire)
{
	return proto_reader_fill(&wire->reader, wire->ends[1]);
}

static inline void expect_next(struct wire *wire, const char *text)
{
	size_t length = SIZE_MAX;
	const char *got = proto_reader_next(&wire->reader, &length);

	assert_non_null(got);
	assert_int_equal(length, strlen(text));
	assert_string_equal(got, text);
}

static inline void expect_none(struct wire *wire)
{
	size_t length;

	assert_null(proto_reader_next(&wire->reader, &length));
}
