/* SPDX-License-Identifier: MIT */
#include "client/ctl-relay.h"
#include "client/ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* RFC 5246, 6.2.1, 7.2, 7.4; RFC 8446, 4. */
enum { RECORD_NONE = 0, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };
enum { ALERT_WARNING = 1, ALERT_CLOSE_NOTIFY = 0 };
enum { HANDSHAKE_HELLO_REQUEST = 0, HANDSHAKE_NEW_SESSION_TICKET = 4 };

/* What a receiving step comes to, when it is not an exit status. */
enum { RELAY_ON = -1 };

static const struct {
	unsigned char number;
	const char *name;
} alerts[] = {
	{ 10, "unexpected_message" },	 { 20, "bad_record_mac" },
	{ 21, "decryption_failed" },	 { 22, "record_overflow" },
	{ 40, "handshake_failure" },	 { 42, "bad_certificate" },
	{ 45, "certificate_expired" },	 { 46, "certificate_unknown" },
	{ 47, "illegal_parameter" },	 { 48, "unknown_ca" },
	{ 49, "access_denied" },	 { 50, "decode_error" },
	{ 51, "decrypt_error" },	 { 70, "protocol_version" },
	{ 71, "insufficient_security" }, { 80, "internal_error" },
	{ 90, "user_canceled" },	 { 100, "no_renegotiation" },
	{ 116, "certificate_required" },
};

void relay_init(struct relay *relay, int sock, int in, int out)
{
	relay->sock = sock;
	relay->in = in;
	relay->out = out;
	relay->recvmsg = recvmsg;
	relay->sendmsg = sendmsg;
	relay->message[0] = '\0';
	relay->cut = false;
	relay->up.in_errno = relay->up.sock_errno = 0;
	relay->up.unsent = 0;
	relay->up.done = false;
}

__attribute__((format(printf, 3, 4)))
static int relay_fail(struct relay *relay, enum ktls_who who, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(relay->message, sizeof(relay->message), format, ap);
	va_end(ap);
	return who;
}

/* Whether a read or write that failed is worth another. Descriptors that others share may be
 * non-blocking. */
static int again(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (errno == EAGAIN)
		return poll(&p, 1, -1) >= 0 || errno == EINTR;
	return errno == EINTR;
}

static int send_data(struct relay *relay, char *data, size_t length)
{
	struct iovec part = { .iov_base = data, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	while (part.iov_len) {
		n = relay->sendmsg(relay->sock, &message, MSG_NOSIGNAL);
		if (n < 0 && !again(relay->sock, POLLOUT))
			return -1;
		if (n < 0)
			continue;
		part.iov_base = (char *)part.iov_base + n;
		part.iov_len -= n;
	}
	return 0;
}

static int send_close_notify(struct relay *relay, int flags)
{
	unsigned char alert[] = { ALERT_WARNING, ALERT_CLOSE_NOTIFY };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(1)];
	} control = {
		.header.cmsg_level = SOL_TLS,
		.header.cmsg_type = TLS_SET_RECORD_TYPE,
		.header.cmsg_len = CMSG_LEN(1),
	};
	struct iovec part = { .iov_base = alert, .iov_len = sizeof(alert) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*CMSG_DATA(&control.header) = RECORD_ALERT;
	do
		n = relay->sendmsg(relay->sock, &message, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

/* All of relay->in. -1: which of the two descriptors failed is in relay->up. */
static int relay_up(struct relay *relay)
{
	struct relay_up *up = &relay->up;
	ssize_t n;

	while ((n = read(relay->in, up->buffer, sizeof(up->buffer))) != 0) {
		if (n < 0 && !again(relay->in, POLLIN)) {
			up->in_errno = errno;
			return -1;
		}
		up->unsent = n > 0 ? n : 0;
		if (n > 0 && send_data(relay, up->buffer, n) < 0) {
			up->sock_errno = errno;
			return -1;
		}
		up->unsent = 0;
	}
	if (send_close_notify(relay, 0) < 0) {
		up->sock_errno = errno;
		return -1;
	}
	up->done = true;
	return 0;
}

/* A failure ends the other direction too; what has arrived by then can still be read. */
static void *relay_up_thread(void *data)
{
	struct relay *relay = data;
	int how = relay_up(relay) < 0 ? SHUT_RDWR : SHUT_WR;

	shutdown(relay->sock, how);
	return NULL;
}

/* One record's worth, and its type; NONE with 0 bytes is the end of the TCP stream, with DATA
 * merely an empty record. */
static ssize_t receive(struct relay *relay, unsigned char *type)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(1)];
	} control;
	struct iovec part = { .iov_base = relay->buffer, .iov_len = sizeof(relay->buffer) };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t n = relay->recvmsg(relay->sock, &message, 0);

	*type = RECORD_NONE;
	if (n < 0)
		return n;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_TLS && header->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(header);
	return n;
}

static int take_data(struct relay *relay, size_t length)
{
	const char *data = relay->buffer;
	ssize_t n;

	while (length) {
		n = write(relay->out, data, length);
		if (n < 0 && !again(relay->out, POLLOUT))
			return relay_fail(relay, KTLS_WHO_CALLER, "stdout: %s", strerror(errno));
		if (n < 0)
			continue;
		data += n;
		length -= n;
	}
	return RELAY_ON;
}

static int take_alert(struct relay *relay, size_t length)
{
	unsigned char level = relay->buffer[0], number = relay->buffer[1];

	if (length != 2)
		return relay_fail(relay, KTLS_WHO_PEER, "peer: it sent a malformed alert");
	if (number == ALERT_CLOSE_NOTIFY)
		return KTLS_WHO_NOBODY;
	if (level == ALERT_WARNING)
		return RELAY_ON;
	for (size_t i = 0; i < sizeof(alerts) / sizeof(*alerts); i++)
		if (alerts[i].number == number)
			return relay_fail(relay, KTLS_WHO_PEER,
					  "peer: it ended the session by the alert %s",
					  alerts[i].name);
	return relay_fail(relay, KTLS_WHO_PEER, "peer: it ended the session by the alert %d",
			  number);
}

/* Tickets and a wish to negotiate again may be passed over (RFC 5246, 7.4.1.1), new keys not. */
static int take_handshake(struct relay *relay, size_t length)
{
	if (length && (relay->buffer[0] == HANDSHAKE_HELLO_REQUEST ||
		       relay->buffer[0] == HANDSHAKE_NEW_SESSION_TICKET))
		return RELAY_ON;
	return relay_fail(relay, KTLS_WHO_PEER,
			  "peer: it wants to change keys, which cannot be done here");
}

/* The peer's end before its close_notify, or an error in its stead. */
static int take_break(struct relay *relay, int err)
{
	if (err == EBADMSG || err == EINVAL || err == EMSGSIZE)
		return relay_fail(relay, KTLS_WHO_PEER,
				  "peer: it sent no record of this session: %s", strerror(err));
	if (err)
		return relay_fail(relay, KTLS_WHO_PEER, "peer: %s", strerror(err));
	relay->cut = true;
	return relay_fail(relay, KTLS_WHO_PEER,
			  "peer: it ended without close_notify; what came may be cut off");
}

static int relay_down(struct relay *relay)
{
	unsigned char type;
	ssize_t n = receive(relay, &type);

	if (n < 0)
		return again(relay->sock, POLLIN) ? RELAY_ON : take_break(relay, errno);
	if (type == RECORD_DATA)
		return take_data(relay, n);
	if (type == RECORD_ALERT)
		return take_alert(relay, n);
	if (type == RECORD_HANDSHAKE)
		return take_handshake(relay, n);
	if (type == RECORD_NONE && n == 0)
		return take_break(relay, 0);
	return relay_fail(relay, KTLS_WHO_PEER, "peer: it sent a record of the unknown type %d",
			  type);
}

/*
 * Whether there was more to say when the peer ended: under TLS 1.2 its close_notify ends both
 * directions (RFC 5246, 7.2.1). A stdin that is merely open is no loss.
 */
static bool interrupted(const struct relay *relay)
{
	int waiting = 0;

	if (relay->up.unsent)
		return true;
	return ioctl(relay->in, FIONREAD, &waiting) == 0 && waiting > 0;
}

/*
 * Both directions have ended. Of two failures the one at the root is told: an error of the stream,
 * such as a reset, may show up in the sending direction alone, and the receiving one then sees no
 * more than an end.
 */
static int relay_end(struct relay *relay, int status)
{
	const struct relay_up *up = &relay->up;

	if (up->in_errno)
		return relay_fail(relay, KTLS_WHO_CALLER, "stdin: %s", strerror(up->in_errno));
	if (relay->cut && up->sock_errno && up->sock_errno != EPIPE)
		return take_break(relay, up->sock_errno);
	if (status != KTLS_WHO_NOBODY || up->done)
		return status;
	send_close_notify(relay, MSG_DONTWAIT);
	if (interrupted(relay))
		return relay_fail(relay, KTLS_WHO_PEER, "peer: it ended before all of stdin was sent");
	return status;
}

int relay_run(struct relay *relay)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, relay_up_thread, relay), status;

	if (err)
		return relay_fail(relay, KTLS_WHO_INTERNAL, "relay: %s", strerror(err));
	do
		status = relay_down(relay);
	while (status == RELAY_ON);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	return relay_end(relay, status);
}
