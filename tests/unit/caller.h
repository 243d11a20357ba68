/* SPDX-License-Identifier: MIT */
/* The other end of a caller's connection: it sends what it likes, and reads when it likes. */
#pragma once

#include "tests/unit/stages.h"

#include <linux/limits.h>
#include <poll.h>

#define CALLER_FDS 8

struct caller {
	int fd;
	ev_io io;
	char buffer[256 * 1024];
	size_t have;
	int fds[CALLER_FDS];
	size_t n_fds;
	bool ended;		/* by the service */
};

#define GET_INFO "{\"method\":\"org.varlink.service.GetInfo\"}"
#define GET_INTERFACE                                                                          \
	"{\"method\":\"org.varlink.service.GetInterfaceDescription\","                         \
	"\"parameters\":{\"interface\":\"io.ktlsd\"}}"
#define CONNECT_TO(host)                                                                       \
	"{\"method\":\"io.ktlsd.Connect\",\"parameters\":{\"host\":\"" host "\",\"port\":443}}"
#define CONNECT CONNECT_TO("host.example")
#define INVALID_PARAMETER "org.varlink.service.InvalidParameter"

static inline void caller_keep_fds(struct caller *caller, struct msghdr *message)
{
	struct cmsghdr *header;
	int fd;

	assert_false(message->msg_flags & MSG_CTRUNC);
	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
		for (size_t at = CMSG_LEN(0); at < header->cmsg_len; at += sizeof(int)) {
			memcpy(&fd, (char *)header + at, sizeof(fd));
			assert_true(caller->n_fds < CALLER_FDS);
			caller->fds[caller->n_fds++] = fd;
		}
}

static inline void on_caller(EV_P_ ev_io *io, int events)
{
	struct caller *caller = container_of(io, struct caller, io);
	char control[CMSG_SPACE(CALLER_FDS * sizeof(int))];
	struct iovec data = {
		.iov_base = caller->buffer + caller->have,
		.iov_len = sizeof(caller->buffer) - caller->have,
	};
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(caller->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == EAGAIN)
		return;
	caller->ended = n <= 0;
	if (n <= 0)
		return ev_io_stop(EV_A_ io);
	caller->have += (size_t)n;
	caller_keep_fds(caller, &message);
}

static inline void caller_read(struct caller *caller)
{
	ev_io_start(play.loop, &caller->io);
}

/* Takes over fd, which is non-blocking. */
static inline void caller_init(struct caller *caller, int fd)
{
	memset(caller, 0, offsetof(struct caller, buffer));
	caller->fd = fd;
	caller->have = caller->n_fds = 0;
	caller->ended = false;
	ev_io_init(&caller->io, on_caller, fd, EV_READ);
	caller_read(caller);
}

static inline void caller_hang_up(struct caller *caller)
{
	ev_io_stop(play.loop, &caller->io);
	for (size_t i = 0; i < caller->n_fds; i++)
		close_fd(&caller->fds[i]);
	caller->n_fds = 0;
	close_fd(&caller->fd);
}

static inline void caller_send_bytes(struct caller *caller, const void *bytes, size_t n)
{
	assert_int_equal(send(caller->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT), n);
}

/* One call, with the NUL that ends it. */
static inline void caller_send(struct caller *caller, const char *text)
{
	caller_send_bytes(caller, text, strlen(text) + 1);
}

#define SCM_MAX_FD 253

static inline void caller_send_with_fds(struct caller *caller, const char *bytes, size_t length,
					int fd, size_t n)
{
	static union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(SCM_MAX_FD * sizeof(int))];
	} control;
	struct iovec data = { .iov_base = (void *)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
					   .cmsg_len = CMSG_LEN(n * sizeof(int)) };
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(caller->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT), length);
}

/* --- what came */

static inline bool has_message(void *arg)
{
	struct caller *caller = arg;

	return caller->ended || memchr(caller->buffer, '\0', caller->have);
}

/* The next message; its text is good until the one after it is asked for. */
static inline const char *caller_receive(struct caller *caller)
{
	static char message[sizeof(caller->buffer)];
	size_t length;

	run_until(play.loop, has_message, caller);
	if (!memchr(caller->buffer, '\0', caller->have))
		fail_msg("the service has hung up");
	length = strlen(caller->buffer) + 1;
	memcpy(message, caller->buffer, length);
	memmove(caller->buffer, caller->buffer + length, caller->have - length);
	caller->have -= length;
	return message;
}

/* The next message has all of these in it. */
#define expect_reply(caller, ...)                                                              \
	expect_reply_with(caller, (const char *const[]){ __VA_ARGS__, NULL })

static inline void expect_reply_with(struct caller *caller, const char *const *parts)
{
	const char *text = caller_receive(caller);

	for (; *parts; parts++)
		if (!strstr(text, *parts))
			fail_msg("no %s in %s", *parts, text);
}

static inline void expect_info(struct caller *caller)
{
	expect_reply(caller, "\"product\":\"ktlsd\"", "\"interfaces\":");
}

static inline void expect_error(struct caller *caller, const char *error, const char *stage)
{
	char name[128], where[64];

	snprintf(name, sizeof(name), "\"error\":\"%s\"", error);
	snprintf(where, sizeof(where), "\"stage\":\"%s\"", stage);
	expect_reply(caller, name, stage ? where : name);
}

/* The socket of a reply that hands one over; nothing else came with it. */
static inline int expect_socket_reply(struct caller *caller)
{
	expect_reply(caller, "\"fileDescriptor\":0", "\"session\":{", "\"version\":\"TLSv1.2\"",
		     "\"timings\":{");
	assert_int_equal(caller->n_fds, 1);
	caller->n_fds = 0;
	return caller->fds[0];
}

/* The connection that was handed over works, and whatever the service had of it is closed. */
static inline void expect_connected(int fd)
{
	close_fd(&play.copy);
	assert_int_equal(fcntl(fd, F_GETFL), O_RDWR);
	assert_string_equal(far_end_sees(play.far_end, 0), "");
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	assert_string_equal(far_end_sees(play.far_end, PATIENCE), "bytes");
	close_fd(&fd);
	assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
}
