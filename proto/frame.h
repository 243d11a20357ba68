/* SPDX-License-Identifier: MIT */
/*
 * Framing: messages ended by one NUL over an AF_UNIX stream, a descriptor on the first byte of the
 * message it belongs to (as systemd's Varlink does it). Neither side ever blocks in here.
 */
#pragma once

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>

enum proto_frame {
	PROTO_FRAME_OK,		/* reader: more bytes are there; writer: everything is out */
	PROTO_FRAME_AGAIN,	/* wait for the socket */
	PROTO_FRAME_END,	/* the other side has closed, or has hung up with bytes unread */
	PROTO_FRAME_TOO_LARGE,	/* a message over PROTO_MESSAGE_MAX, or too many waiting */
	PROTO_FRAME_FAILED,	/* errno says why */
};

struct proto_reader {
	char *buffer;
	size_t start, end, size;	/* bytes [start, end) are unread */
	size_t begun;			/* [start, begun) is whole messages, */
	size_t waiting;			/* so many of them */
	bool take_fd;			/* the library: descriptors are welcome, one is kept */
	int fd;				/* that one, owned by the reader; -1 */
	bool fd_refused;		/* the daemon: one came, and the kernel dropped it */
};

void proto_reader_init(struct proto_reader *reader, bool take_fd);
/* Wipes the buffer, closes the descriptor. May be called twice. */
void proto_reader_deinit(struct proto_reader *reader);

/*
 * One recvmsg(). With take_fd false there is no room for control data: the kernel drops what was
 * sent and says MSG_CTRUNC, so that no descriptor of a caller's is ever installed here, not even
 * for the time of a close(), which may block.
 *
 * It holds 1 + PROTO_PIPELINE_MAX whole messages, since the first of them may be about to begin:
 * while a call is under way, its owner looks at proto_reader_waiting() himself. In bytes it holds
 * one of the largest and PROTO_PIPELINE_BYTES_MAX behind it.
 */
enum proto_frame proto_reader_fill(struct proto_reader *reader, int sock);

/* The next whole message, terminated, valid until the next fill; NULL: none yet. */
const char *proto_reader_next(struct proto_reader *reader, size_t *length);
/* Gives the buffer back if there is nothing in it: most of its time a connection waits. */
void proto_reader_rest(struct proto_reader *reader);
/* Whole messages that wait, and whether an incomplete one has begun. */
size_t proto_reader_waiting(const struct proto_reader *reader);
bool proto_reader_begun(const struct proto_reader *reader);

struct proto_writer {
	char *text;
	size_t length, sent;		/* length counts the NUL */
	int fd;				/* goes out on the first byte; owned until then; -1 */
};

void proto_writer_init(struct proto_writer *writer);
/* Wipes and frees the text, closes the descriptor. May be called twice. */
void proto_writer_deinit(struct proto_writer *writer);

/* Takes over text (malloc, ended by its NUL, which length counts not) and fd (-1: none). The writer
 * must be idle. */
void proto_writer_put(struct proto_writer *writer, char *text, size_t length, int fd);
bool proto_writer_idle(const struct proto_writer *writer);
/* Sends what the socket takes. OK: all out, the writer is idle, and our copy of the descriptor is
 * closed. No SIGPIPE comes of it. */
enum proto_frame proto_writer_flush(struct proto_writer *writer, int sock);
