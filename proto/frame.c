/* SPDX-License-Identifier: MIT */
#include "proto/frame.h"
#include "proto/util.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#define READ_FIRST 4096
#define READ_LEAST 1024
/* All that may wait, and one byte more by which it is seen to be too much. */
#define READ_MAX ((size_t)PROTO_MESSAGE_MAX + 1 + PROTO_PIPELINE_BYTES_MAX + 1)

/* What one descriptor takes. The padding would hold a second one, but for the length told. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static enum proto_frame frame_failed(void)
{
	switch (errno) {
	case EAGAIN:
	case EINTR:
		return PROTO_FRAME_AGAIN;
	case ECONNRESET:
	case EPIPE:
		return PROTO_FRAME_END;
	default:
		return PROTO_FRAME_FAILED;
	}
}

void proto_reader_init(struct proto_reader *reader, bool take_fd)
{
	*reader = (struct proto_reader){ .take_fd = take_fd, .fd = -1 };
}

static void free_wiped(char *bytes, size_t size)
{
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
}

void proto_reader_deinit(struct proto_reader *reader)
{
	free_wiped(reader->buffer, reader->size);
	close_fd(&reader->fd);
	proto_reader_init(reader, reader->take_fd);
}

static void reader_move(struct proto_reader *reader, char *to)
{
	memmove(to, reader->buffer + reader->start, reader->end - reader->start);
	reader->end -= reader->start;
	reader->begun -= reader->start;
	reader->start = 0;
}

static bool reader_grow(struct proto_reader *reader)
{
	size_t size = reader->size ? reader->size * 2 : READ_FIRST;
	char *buffer;

	if (size > READ_MAX)
		size = READ_MAX;
	buffer = malloc(size);
	if (!buffer)
		return false;
	if (reader->buffer)
		reader_move(reader, buffer);
	free_wiped(reader->buffer, reader->size);
	reader->buffer = buffer;
	reader->size = size;
	return true;
}

/* Room for a read. Moving only once half of the buffer has been read keeps the copying linear. */
static enum proto_frame reader_make_room(struct proto_reader *reader)
{
	if (reader->start == reader->end)
		reader->start = reader->end = reader->begun = 0;
	if (reader->size - reader->end >= READ_LEAST)
		return PROTO_FRAME_OK;
	if (reader->start > reader->size / 2 || (reader->size == READ_MAX && reader->start))
		reader_move(reader, reader->buffer);
	else if (reader->size < READ_MAX && !reader_grow(reader))
		return errno = ENOMEM, PROTO_FRAME_FAILED;
	return reader->end < reader->size ? PROTO_FRAME_OK : PROTO_FRAME_TOO_LARGE;
}

static void keep_one_fd(struct proto_reader *reader, const struct cmsghdr *header)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
		if (reader->fd < 0)
			reader->fd = steal_fd(&fd);
		close_fd(&fd);
	}
}

static void take_control(struct proto_reader *reader, struct msghdr *message)
{
	struct cmsghdr *header;

	if (!reader->take_fd) {
		if (message->msg_flags & MSG_CTRUNC)
			reader->fd_refused = true;
		return;
	}
	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			keep_one_fd(reader, header);
}

/* Finds the ends of messages in what has just come in, and in nothing else. */
static enum proto_frame reader_count(struct proto_reader *reader, size_t n)
{
	const char *from = reader->buffer + reader->end, *nul;
	const char *end = from + n;

	reader->end += n;
	while ((nul = memchr(from, '\0', (size_t)(end - from)))) {
		if ((size_t)(nul - reader->buffer) - reader->begun > PROTO_MESSAGE_MAX)
			return PROTO_FRAME_TOO_LARGE;
		from = nul + 1;
		reader->begun = (size_t)(from - reader->buffer);
		reader->waiting++;
	}
	if (reader->end - reader->begun > PROTO_MESSAGE_MAX ||
	    reader->waiting > 1 + PROTO_PIPELINE_MAX)
		return PROTO_FRAME_TOO_LARGE;
	return PROTO_FRAME_OK;
}

enum proto_frame proto_reader_fill(struct proto_reader *reader, int sock)
{
	enum proto_frame room = reader_make_room(reader);
	union control control;
	struct iovec data;
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	ssize_t n;

	if (room != PROTO_FRAME_OK)
		return room;
	data.iov_base = reader->buffer + reader->end;
	data.iov_len = reader->size - reader->end;
	if (reader->take_fd) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_LEN(sizeof(int));
	}
	n = recvmsg(sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return frame_failed();
	take_control(reader, &message);
	return n ? reader_count(reader, (size_t)n) : PROTO_FRAME_END;
}

const char *proto_reader_next(struct proto_reader *reader, size_t *length)
{
	const char *text;

	if (!reader->waiting)
		return NULL;
	text = reader->buffer + reader->start;
	*length = strlen(text);
	reader->start += *length + 1;
	reader->waiting--;
	return text;
}

void proto_reader_rest(struct proto_reader *reader)
{
	if (reader->start != reader->end)
		return;
	free_wiped(reader->buffer, reader->size);
	reader->buffer = NULL;
	reader->start = reader->end = reader->begun = reader->size = 0;
}

size_t proto_reader_waiting(const struct proto_reader *reader)
{
	return reader->waiting;
}

bool proto_reader_begun(const struct proto_reader *reader)
{
	return reader->begun < reader->end;
}

void proto_writer_init(struct proto_writer *writer)
{
	*writer = (struct proto_writer){ .fd = -1 };
}

void proto_writer_deinit(struct proto_writer *writer)
{
	free_wiped(writer->text, writer->length);
	close_fd(&writer->fd);
	proto_writer_init(writer);
}

void proto_writer_put(struct proto_writer *writer, char *text, size_t length, int fd)
{
	assert(proto_writer_idle(writer));
	*writer = (struct proto_writer){ .text = text, .length = length + 1, .fd = fd };
}

bool proto_writer_idle(const struct proto_writer *writer)
{
	return !writer->text;
}

static void attach_fd(struct msghdr *message, union control *control, int fd)
{
	memset(control, 0, sizeof(*control));
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control->header), &fd, sizeof(int));
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(sizeof(int));
}

static ssize_t writer_send(struct proto_writer *writer, int sock)
{
	struct iovec data = {
		.iov_base = writer->text + writer->sent,
		.iov_len = writer->length - writer->sent,
	};
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (writer->fd >= 0)
		attach_fd(&message, &control, writer->fd);
	n = sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		close_fd(&writer->fd);
	return n;
}

enum proto_frame proto_writer_flush(struct proto_writer *writer, int sock)
{
	ssize_t n;

	while (writer->sent < writer->length) {
		n = writer_send(writer, sock);
		if (n < 0)
			return frame_failed();
		writer->sent += (size_t)n;
	}
	proto_writer_deinit(writer);
	return PROTO_FRAME_OK;
}
