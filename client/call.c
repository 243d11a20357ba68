/* SPDX-License-Identifier: MIT */
#include "client/internal.h"
#include "proto/util.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a full queue of the service's is left alone; poll(2) cannot tell when it has room. */
#define REACH_AGAIN_MS 10

/* There is such a directory where systemd runs the machine: sd_booted(3). */
#define SYSTEMD "/run/systemd/system/"

/* What a step of one state comes to. */
enum { CALL_FAILS = -1, CALL_WAITS = 0, CALL_GOES_ON = 1 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void call_stop(struct ktls *k, enum call_state state)
{
	k->state = state;
	close_fd(&k->sock);
	proto_writer_deinit(&k->writer);
	proto_reader_deinit(&k->reader);
}

int call_fail(struct ktls *k, enum ktls_status status, const char *stage, int err,
	      const char *format, ...)
{
	char text[PROTO_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	proto_escape(k->failure.message, sizeof(k->failure.message), text);
	k->status = status;
	k->stage = stage;
	k->failure.sys_errno = err;
	k->failure.retry = outcome_find(status)->who == KTLS_WHO_RETRY;
	call_stop(k, CALL_FAILED);
	errno = err ?: outcome_find(status)->sys_errno;
	return -1;
}

static int call_incomplete(struct ktls *k, const char *parameter)
{
	strcpy(k->failure.parameter, parameter);
	return call_fail(k, KTLS_INVALID_PARAMETER, "request", 0, "no %s was set", parameter);
}

int call_refused(struct ktls *k, const struct proto_status *status)
{
	k->failure = *status;
	k->status = (enum ktls_status)status->error;
	k->stage = proto_stage_name(status->stage) ?: "request";
	call_stop(k, CALL_FAILED);
	errno = status->sys_errno ?: outcome_find(k->status)->sys_errno;
	return CALL_FAILS;
}

int call_done(struct ktls *k)
{
	call_stop(k, CALL_THERE);
	return CALL_GOES_ON;
}

/* Where the service is as it was installed, it is known how it is started. */
static const char *unreachable_hint(const struct ktls *k, int err)
{
	static const struct {
		int err;
		const char *under_systemd, *by_hand, *elsewhere;
	} hints[] = {
		{ ENOENT, "; as root, run systemctl enable --now ktlsd.socket", "; as root, run ktlsd",
		  "; does ktlsd run, and listen there?" },
		{ ECONNREFUSED, "; as root, run systemctl restart ktlsd.socket", "; as root, run ktlsd",
		  "; does ktlsd run, and listen there?" },
		{ EACCES, "; are this user and this session in the group ktls?",
		  "; are this user and this session in the group ktls?",
		  "; are this user and this session in the service's group?" },
	};

	for (size_t i = 0; i < array_size(hints); i++) {
		if (hints[i].err != err)
			continue;
		if (strcmp(k->service.sun_path, KTLS_SOCKET) != 0)
			return hints[i].elsewhere;
		return access(SYSTEMD, F_OK) == 0 ? hints[i].under_systemd : hints[i].by_hand;
	}
	return "";
}

static int call_unreachable(struct ktls *k, int err)
{
	const char *hint = unreachable_hint(k, err);

	errno = err;
	return call_fail(k, KTLS_UNREACHABLE, "service", err, "cannot reach %s: %m%s",
			 k->service.sun_path, hint);
}

static int call_reach(struct ktls *k)
{
	if (connect(k->sock, (const struct sockaddr *)&k->service, sizeof(k->service)) == 0) {
		k->state = CALL_SENDING;
		return CALL_GOES_ON;
	}
	if (errno != EAGAIN && errno != EINTR)
		return call_unreachable(k, errno);
	k->again = now_ms() + REACH_AGAIN_MS;
	return CALL_WAITS;
}

static int call_send(struct ktls *k)
{
	if (proto_writer_flush(&k->writer, k->sock) == PROTO_FRAME_AGAIN)
		return CALL_WAITS;
	/* All sent, or not: a service that hangs up on a request may have said why before. */
	k->state = CALL_RECEIVING;
	return CALL_GOES_ON;
}

static int call_lost(struct ktls *k, int err)
{
	bool begun = proto_reader_begun(&k->reader);

	return call_fail(k, KTLS_LOST, "service", err, "the service hung up %s",
			 begun ? "in the middle of its answer" : "without an answer");
}

static int call_unread(struct ktls *k, enum proto_frame frame, int err)
{
	if (frame == PROTO_FRAME_END)
		return call_lost(k, 0);
	if (frame == PROTO_FRAME_TOO_LARGE)
		return call_fail(k, KTLS_PROTOCOL, "service", 0,
				 "the answer is larger than an answer can be");
	if (err == ECONNRESET || err == EPIPE)
		return call_lost(k, err);
	errno = err;
	return call_fail(k, KTLS_LOCAL, "service", err, "cannot receive the answer: %m");
}

static int call_there(struct ktls *k, const struct proto_session *session)
{
	const char *why;

	if (handover_check(k->reader.fd, k->getsockopt, &why) < 0) {
		int err = errno;

		shutdown(k->reader.fd, SHUT_RDWR);
		return call_fail(k, KTLS_NOT_ENCRYPTED, "handover", err,
				 "the socket received is refused: %s", why);
	}
	k->session = *session;
	k->tls = steal_fd(&k->reader.fd);
	return call_done(k);
}

bool call_overtold(struct ktls *k)
{
	if (!proto_reader_begun(&k->reader) && !proto_reader_waiting(&k->reader))
		return false;
	call_fail(k, KTLS_PROTOCOL, "service", 0, "the service said more than its answer");
	return true;
}

/* The kernel drops a descriptor for which this process has no room, and does not say so. */
static int call_without_socket(struct ktls *k)
{
	_cleanup_fd_ int room = fcntl(k->sock, F_DUPFD_CLOEXEC, 0);

	if (room < 0)
		return call_fail(k, KTLS_LOCAL, "handover", errno,
				 "no descriptor is left for the socket: %m");
	return call_fail(k, KTLS_PROTOCOL, "service", 0,
			 "the answer names a socket that did not come with it");
}

/* The answer to Connect. */
static int call_connected(struct ktls *k, const char *text, size_t length)
{
	struct proto_session session;
	struct proto_status status;
	int fd_index;

	switch (proto_reply_decode(text, length, &session, &fd_index, &status)) {
	case PROTO_DECODE_REFUSED:
		return call_refused(k, &status);
	case PROTO_DECODE_NO_MEMORY:
		return call_fail(k, KTLS_LOCAL, "service", ENOMEM, "no memory for the answer");
	case PROTO_DECODE_CLOSE:
		return call_fail(k, KTLS_PROTOCOL, "service", 0,
				 "the answer is not one of ktlsd's");
	case PROTO_DECODE_OK:
		break;
	}
	if (call_overtold(k))
		return CALL_FAILS;
	if (k->reader.fd < 0 || fd_index != 0)
		return call_without_socket(k);
	return call_there(k, &session);
}

static int call_answer(struct ktls *k, const char *text, size_t length)
{
	return k->method ? ask_answer(k, text, length) : call_connected(k, text, length);
}

static int call_receive(struct ktls *k)
{
	enum proto_frame frame;
	const char *text;
	size_t length;

	while ((frame = proto_reader_fill(&k->reader, k->sock)) == PROTO_FRAME_OK) {
		text = proto_reader_next(&k->reader, &length);
		if (text)
			return call_answer(k, text, length);
	}
	return frame == PROTO_FRAME_AGAIN ? CALL_WAITS : call_unread(k, frame, errno);
}

/* States that are under way have a step, and wait for the socket if they have events. */
static const struct {
	int (*step)(struct ktls *k);
	int events;
} states[N_CALL_STATES] = {
	[CALL_REACHING] = { call_reach, 0 },
	[CALL_SENDING] = { call_send, POLLOUT },
	[CALL_RECEIVING] = { call_receive, POLLIN },
};

static int call_late(struct ktls *k)
{
	unsigned int ms = k->request.timeout_ms + KTLS_MARGIN_MS;

	if (k->state == CALL_REACHING)
		return call_fail(k, KTLS_SILENT, "service", ETIMEDOUT,
				 "%s accepted no caller for %u ms", k->service.sun_path, ms);
	return call_fail(k, KTLS_SILENT, "service", ETIMEDOUT,
			 "the service gave no answer for %u ms; is it full, or does it not start?", ms);
}

int call_begin(struct ktls *k, char *text, size_t length)
{
	if (!text)
		return call_fail(k, KTLS_LOCAL, "request", ENOMEM, "no memory for the request");
	proto_writer_put(&k->writer, text, length, -1);
	k->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->sock < 0)
		return call_fail(k, KTLS_LOCAL, "service", errno, "cannot make a socket: %m");
	k->state = CALL_REACHING;
	k->again = now_ms();
	k->deadline = k->again + k->request.timeout_ms + KTLS_MARGIN_MS;
	return 0;
}

int call_complete(struct ktls *k)
{
	if (!k->request.host)
		return call_incomplete(k, "host");
	return k->request.port ? 0 : call_incomplete(k, "port");
}

int ktls_start(struct ktls *k)
{
	size_t length;
	char *text;

	if (k->state != CALL_NEW) {
		errno = EBUSY;
		return -1;
	}
	if (call_complete(k) < 0)
		return -1;
	text = proto_connect_encode(&k->request, &length);
	return call_begin(k, text, length);
}

int ktls_fd(const struct ktls *k)
{
	return states[k->state].events ? k->sock : -1;
}

int ktls_events(const struct ktls *k)
{
	return states[k->state].events;
}

int ktls_timeout(const struct ktls *k)
{
	int64_t until = k->deadline, now;

	if (!states[k->state].step)
		return -1;
	if (k->state == CALL_REACHING && k->again < until)
		until = k->again;
	now = now_ms();
	return until > now ? until - now : 0;
}

static int call_state(struct ktls *k)
{
	if (k->state == CALL_THERE)
		return 1;
	errno = EINVAL;
	if (k->state == CALL_FAILED)
		errno = k->failure.sys_errno ?: outcome_find(k->status)->sys_errno;
	return -1;
}

int ktls_step(struct ktls *k)
{
	int r = CALL_GOES_ON;

	while (r == CALL_GOES_ON && states[k->state].step)
		r = states[k->state].step(k);
	if (!states[k->state].step)
		return call_state(k);
	return now_ms() < k->deadline ? 0 : call_late(k);
}

int ktls_take(struct ktls *k)
{
	if (k->tls < 0) {
		errno = ENOTCONN;
		return -1;
	}
	return steal_fd(&k->tls);
}
