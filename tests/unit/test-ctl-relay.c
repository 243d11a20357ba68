/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-relay.c"
#include "proto/util.h"

#include <fcntl.h>
#include <signal.h>

/*
 * A kernel with TLS, played on packets: each is a record's type and its bytes. FAILURE is no record
 * but what recvmsg(2) or sendmsg(2) fails with, and UNTYPED one that comes without its type.
 */
enum { FAILURE = 0xee, UNTYPED = 0xef, RECORD_MAX = 16384 };
#define ALERT(level, number) { RECORD_ALERT, level, number }, 3
#define CLOSE_NOTIFY ALERT(1, 0)

static ssize_t play_failure(int err)
{
	errno = err;
	return -1;
}

static void put_type(struct msghdr *message, unsigned char type)
{
	struct cmsghdr *header = message->msg_control;

	if (type == UNTYPED) {
		message->msg_controllen = 0;
		return;
	}
	assert_true(message->msg_controllen >= CMSG_SPACE(1));
	header->cmsg_level = SOL_TLS;
	header->cmsg_type = TLS_GET_RECORD_TYPE;
	header->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(header) = type;
	message->msg_controllen = CMSG_SPACE(1);
}

static ssize_t play_recvmsg(int sock, struct msghdr *message, int flags)
{
	unsigned char packet[1 + RECORD_MAX];
	ssize_t n = recv(sock, packet, sizeof(packet), flags);

	if (n < 0)
		return -1;
	if (n == 0) {
		message->msg_controllen = 0;
		return 0;
	}
	if (packet[0] == FAILURE)
		return play_failure(packet[1]);
	put_type(message, packet[0]);
	assert_true(message->msg_iov->iov_len >= (size_t)n - 1);
	memcpy(message->msg_iov->iov_base, packet + 1, n - 1);
	return n - 1;
}

/* Takes a record at most, as a kernel may that has no room for more. */
static ssize_t play_sendmsg(int sock, const struct msghdr *message, int flags)
{
	unsigned char packet[1 + RECORD_MAX] = { RECORD_DATA };
	size_t length = message->msg_iov->iov_len;

	if (length > RECORD_MAX)
		length = RECORD_MAX;
	assert_true(flags & MSG_NOSIGNAL);
	if (message->msg_control) {
		struct cmsghdr *header = CMSG_FIRSTHDR(message);

		assert_int_equal(header->cmsg_level, SOL_TLS);
		assert_int_equal(header->cmsg_type, TLS_SET_RECORD_TYPE);
		packet[0] = *CMSG_DATA(header);
	}
	memcpy(packet + 1, message->msg_iov->iov_base, length);
	return send(sock, packet, 1 + length, flags) < 0 ? -1 : (ssize_t)length;
}

static ssize_t play_reset(int sock, const struct msghdr *message, int flags)
{
	return play_failure(ECONNRESET);
}

/* A relay and its surroundings: peer is the other end of its socket, in[1] of its stdin. */
struct setting {
	struct relay relay;
	int sock, peer, in[2], out[2], status;
	pthread_t thread;
};

static struct setting *setting_new(void)
{
	struct setting *s = calloc(1, sizeof(*s));
	int pair[2];

	assert_non_null(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	s->sock = pair[0];
	s->peer = pair[1];
	assert_int_equal(pipe2(s->in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(s->out, O_CLOEXEC), 0);
	relay_init(&s->relay, s->sock, s->in[0], s->out[1]);
	s->relay.recvmsg = play_recvmsg;
	s->relay.sendmsg = play_sendmsg;
	return s;
}

static void *setting_thread(void *data)
{
	struct setting *s = data;

	s->status = relay_run(&s->relay);
	close_fd(&s->sock);
	close_fd(&s->out[1]);
	return NULL;
}

static void setting_start(struct setting *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, setting_thread, s), 0);
}

static int setting_end(struct setting *s)
{
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	return s->status;
}

static void setting_free(struct setting *s)
{
	int *const fds[] = { &s->sock, &s->peer, &s->in[0], &s->in[1], &s->out[0], &s->out[1] };

	for (size_t i = 0; i < array_size(fds); i++)
		close_fd(fds[i]);
	free(s);
}

static void peer_send(struct setting *s, const void *packet, size_t length)
{
	assert_int_equal(send(s->peer, packet, length, MSG_NOSIGNAL), length);
}

/* The next packet of the relay's. 0: its end. */
static size_t peer_receive(struct setting *s, unsigned char packet[static 1 + RECORD_MAX])
{
	ssize_t n = recv(s->peer, packet, 1 + RECORD_MAX, 0);

	assert_true(n >= 0);
	return n;
}

static void peer_expect_close_notify(struct setting *s)
{
	static const unsigned char alert[] = { RECORD_ALERT, 1, 0 };
	unsigned char packet[1 + RECORD_MAX];

	assert_int_equal(peer_receive(s, packet), sizeof(alert));
	assert_memory_equal(packet, alert, sizeof(alert));
}

static const struct {
	struct {
		unsigned char bytes[8];
		size_t length;
	} packets[4]; /* the peer's, up to the first of no length; then its end */
	int status;
	const char *out, *message;
} endings[] = {
	{ { { CLOSE_NOTIFY } }, 0, "", "" },
	{ { { { RECORD_DATA, 'h', 'i' }, 3 }, { CLOSE_NOTIFY } }, 0, "hi", "" },
	{ { { { RECORD_DATA, 'h', 'i' }, 3 } }, 3, "hi", "peer: it ended without close_notify" },
	{ { { { 0 }, 0 } }, 3, "", "without close_notify" },
	{ { { { RECORD_DATA }, 1 }, { { RECORD_DATA, 'a' }, 2 }, { CLOSE_NOTIFY } }, 0, "a", "" },
	{ { { ALERT(2, 40) } }, 3, "", "peer: it ended the session by the alert handshake" },
	{ { { ALERT(2, 200) } }, 3, "", "the alert 200" },
	{ { { ALERT(1, 100) }, { { RECORD_DATA, 'b' }, 2 }, { CLOSE_NOTIFY } }, 0, "b", "" },
	{ { { { RECORD_ALERT, 2 }, 2 } }, 3, "", "malformed alert" },
	{ { { { RECORD_ALERT, 1, 0, 0 }, 4 } }, 3, "", "malformed alert" },
	{ { { { RECORD_HANDSHAKE, 0, 0, 0, 0 }, 5 }, { CLOSE_NOTIFY } }, 0, "", "" },
	{ { { { RECORD_HANDSHAKE, 4, 0, 0, 0 }, 5 }, { CLOSE_NOTIFY } }, 0, "", "" },
	{ { { { RECORD_HANDSHAKE, 24, 0, 0, 1, 0 }, 6 } }, 3, "", "change keys" },
	{ { { { 24, 1 }, 2 } }, 3, "", "unknown type 24" },
	{ { { { 24 }, 1 } }, 3, "", "unknown type 24" },
	{ { { { UNTYPED, 'x' }, 2 } }, 3, "", "unknown type 0" },
	{ { { { FAILURE, EINTR }, 2 }, { CLOSE_NOTIFY } }, 0, "", "" },
	{ { { { FAILURE, EBADMSG }, 2 } }, 3, "", "peer: it sent no record of this session: Bad" },
	{ { { { FAILURE, EMSGSIZE }, 2 } }, 3, "", "peer: it sent no record of this session: M" },
	{ { { { FAILURE, ECONNRESET }, 2 } }, 3, "", "peer: Connection reset by peer" },
};

static void test_endings(void **state)
{
	for (size_t i = 0; i < array_size(endings); i++) {
		struct setting *s = setting_new();
		char out[16] = "";

		for (size_t j = 0; j < 4 && endings[i].packets[j].length; j++)
			peer_send(s, endings[i].packets[j].bytes, endings[i].packets[j].length);
		shutdown(s->peer, SHUT_WR);
		setting_start(s);
		print_message("# ending %zu\n", i);
		assert_int_equal(setting_end(s), endings[i].status);
		assert_true(read(s->out[0], out, sizeof(out) - 1) >= 0);
		assert_string_equal(out, endings[i].out);
		assert_non_null(strstr(s->relay.message, endings[i].message));
		assert_int_equal(!s->relay.message[0], endings[i].status == 0);
		/* stdin is open still: the peer that said its end is told ours, no other is. */
		if (endings[i].status == 0)
			peer_expect_close_notify(s);
		assert_int_equal(recv(s->peer, out, sizeof(out), 0), 0);
		setting_free(s);
	}
}

enum { MUCH = 3 * 1024 * 1024 + 77 };

static char pattern(size_t at)
{
	return at * 2654435761u >> 13;
}

struct feed {
	int fd;
	pthread_t thread;
};

static void *feed_thread(void *data)
{
	const struct feed *feed = data;
	char piece[60000];
	size_t at = 0, n;

	while (at < MUCH) {
		for (n = 0; n < sizeof(piece) && at < MUCH; n++)
			piece[n] = pattern(at++);
		if (write(feed->fd, piece, n) != (ssize_t)n)
			break;
	}
	close(feed->fd);
	return NULL;
}

/* Writes the pattern as long as somebody takes it, and then closes. */
static void feed_start(struct feed *feed, int *fd)
{
	feed->fd = steal_fd(fd);
	assert_int_equal(pthread_create(&feed->thread, NULL, feed_thread, feed), 0);
}

/* The relay's records up to its close_notify and end; each goes back to it if echo. */
static size_t peer_drain(struct setting *s, bool echo)
{
	unsigned char packet[1 + RECORD_MAX];
	size_t n, total = 0;

	while ((n = peer_receive(s, packet)) > 0 && packet[0] == RECORD_DATA) {
		for (size_t i = 1; i < n; i++)
			assert_int_equal((char)packet[i], pattern(total++));
		if (echo)
			peer_send(s, packet, n);
	}
	assert_int_equal(n, 3);
	assert_int_equal(packet[0], RECORD_ALERT);
	assert_int_equal(packet[2], ALERT_CLOSE_NOTIFY);
	assert_int_equal(peer_receive(s, packet), 0);
	return total;
}

static void *echo_thread(void *data)
{
	static const unsigned char close_notify[] = { RECORD_ALERT, 1, 0 };
	struct setting *s = data;

	assert_int_equal(peer_drain(s, true), MUCH);
	peer_send(s, close_notify, sizeof(close_notify));
	return NULL;
}

static size_t drain_out(struct setting *s)
{
	char piece[50000];
	size_t total = 0;
	ssize_t n;

	while ((n = read(s->out[0], piece, sizeof(piece))) > 0)
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(piece[i], pattern(total++));
	assert_int_equal(n, 0);
	return total;
}

/* flags: O_NONBLOCK, which another holder of the descriptors may have set. */
static void echo(int flags)
{
	struct setting *s = setting_new();
	struct feed feed;
	pthread_t thread;

	assert_int_equal(fcntl(s->in[0], F_SETFL, flags), 0);
	assert_int_equal(fcntl(s->out[1], F_SETFL, flags), 0);
	/* Less than a record, so that a write that may not block is cut short. */
	assert_int_equal(fcntl(s->out[1], F_SETPIPE_SZ, 4096), 4096);
	setting_start(s);
	feed_start(&feed, &s->in[1]);
	assert_int_equal(pthread_create(&thread, NULL, echo_thread, s), 0);
	assert_int_equal(drain_out(s), MUCH);
	assert_int_equal(setting_end(s), 0);
	pthread_join(thread, NULL);
	pthread_join(feed.thread, NULL);
	setting_free(s);
}

static void test_echo(void **state)
{
	echo(0);
}

static void test_echo_nonblocking(void **state)
{
	echo(O_NONBLOCK);
}

static void *send_much_thread(void *data)
{
	static const unsigned char close_notify[] = { RECORD_ALERT, 1, 0 };
	unsigned char packet[1 + RECORD_MAX] = { RECORD_DATA };
	struct setting *s = data;
	size_t at = 0, n;

	while (at < MUCH) {
		for (n = 0; n < RECORD_MAX && at < MUCH; n++)
			packet[1 + n] = pattern(at++);
		peer_send(s, packet, 1 + n);
	}
	peer_send(s, close_notify, sizeof(close_notify));
	return NULL;
}

/* Nobody takes what comes from the relay's stdout until all of its stdin has gone to the peer. */
static void test_stuck_stdout(void **state)
{
	struct setting *s = setting_new();
	struct feed feed;
	pthread_t thread;

	setting_start(s);
	assert_int_equal(pthread_create(&thread, NULL, send_much_thread, s), 0);
	feed_start(&feed, &s->in[1]);
	assert_int_equal(peer_drain(s, false), MUCH);
	assert_int_equal(drain_out(s), MUCH);
	assert_int_equal(setting_end(s), 0);
	pthread_join(thread, NULL);
	pthread_join(feed.thread, NULL);
	setting_free(s);
}

/* And the reverse: the peer takes nothing until all that it sent has come out. */
static void test_stuck_peer(void **state)
{
	struct setting *s = setting_new();
	struct feed feed;
	pthread_t thread;
	size_t total;

	setting_start(s);
	feed_start(&feed, &s->in[1]);
	assert_int_equal(pthread_create(&thread, NULL, send_much_thread, s), 0);
	total = drain_out(s);
	assert_int_equal(total, MUCH);
	/* The peer's end was the end of it all, and what stdin still holds goes nowhere: no good end. */
	assert_int_equal(setting_end(s), 3);
	assert_non_null(strstr(s->relay.message, "before all of stdin"));
	pthread_join(thread, NULL);
	close_fd(&s->in[0]);
	pthread_join(feed.thread, NULL);
	setting_free(s);
}

static void test_stdout_gone(void **state)
{
	static const unsigned char packet[] = { RECORD_DATA, 'x' };
	struct setting *s = setting_new();

	close_fd(&s->out[0]);
	peer_send(s, packet, sizeof(packet));
	setting_start(s);
	assert_int_equal(setting_end(s), 1);
	assert_string_equal(s->relay.message, "stdout: Broken pipe");
	setting_free(s);
}

/* The peer must not take what it got for all there was. */
static void test_stdin_broken(void **state)
{
	struct setting *s = setting_new();
	unsigned char packet[1 + RECORD_MAX];

	close_fd(&s->in[0]);
	s->in[0] = s->relay.in = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	setting_start(s);
	assert_int_equal(setting_end(s), 1);
	assert_string_equal(s->relay.message, "stdin: Is a directory");
	assert_int_equal(peer_receive(s, packet), 0);
	setting_free(s);
}

/* The kernel tells of a reset once; if that was in sending, receiving sees no more than an end. */
static void test_reset_in_sending(void **state)
{
	struct setting *s = setting_new();

	s->relay.sendmsg = play_reset;
	assert_int_equal(write(s->in[1], "x", 1), 1);
	setting_start(s);
	assert_int_equal(setting_end(s), 3);
	assert_string_equal(s->relay.message, "peer: Connection reset by peer");
	setting_free(s);
}

/* Half-closed: what comes after our end still arrives. */
static void test_reads_on_after_stdin(void **state)
{
	static const unsigned char late[] = { RECORD_DATA, 'l' }, bye[] = { RECORD_ALERT, 1, 0 };
	struct setting *s = setting_new();
	char out[4] = "";

	setting_start(s);
	close_fd(&s->in[1]);
	assert_int_equal(peer_drain(s, false), 0);
	peer_send(s, late, sizeof(late));
	peer_send(s, bye, sizeof(bye));
	assert_int_equal(setting_end(s), 0);
	assert_int_equal(read(s->out[0], out, sizeof(out)), 1);
	assert_string_equal(out, "l");
	setting_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_echo_nonblocking),
		cmocka_unit_test(test_stuck_stdout),
		cmocka_unit_test(test_stuck_peer),
		cmocka_unit_test(test_stdout_gone),
		cmocka_unit_test(test_stdin_broken),
		cmocka_unit_test(test_reset_in_sending),
		cmocka_unit_test(test_reads_on_after_stdin),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
