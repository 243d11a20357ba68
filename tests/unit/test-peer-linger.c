/* SPDX-License-Identifier: MIT */
/* tests: daemon/hurry.c */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=sendmsg */
#include "tests/unit/scene.h"

#include "daemon/hurry.h"

#include <signal.h>
#include <sys/time.h>
#include <valgrind/valgrind.h>

/*
 * The last close(2) of a TCP socket with SO_LINGER waits until what was written is acknowledged,
 * for as long as that option says, and O_NONBLOCK is no help. A caller can arrange for the last
 * close to be the service's.
 */
#define LINGER_SECONDS 4
/* What is at once on a loaded machine, and far from that. */
#define AT_ONCE_US (LINGER_SECONDS * 1000000 / 2)
/* Under valgrind no signal gets into close(2). */
#define LIMIT_US (RUNNING_ON_VALGRIND ? (LINGER_SECONDS + 1) * 1000000 : AT_ONCE_US)

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

/* A caller who has the socket and is done with it before the service's sendmsg(2) returns. */
static struct caller *quick;

static void make_linger(int fd)
{
	static const char bytes[65536];
	struct linger linger = { .l_onoff = 1, .l_linger = LINGER_SECONDS };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = __real_sendmsg(fd, message, flags);

	if (!quick || !message->msg_controllen)
		return n;
	on_caller(play.loop, &quick->io, EV_READ);
	assert_int_equal(quick->n_fds, 1);
	make_linger(quick->fds[0]);
	close_fd(&quick->fds[0]);
	close_fd(&play.copy);
	return n;
}

/* Sends a call with a socket that lingers, and keeps no copy of it. Returns its far end. */
static int send_lingering(struct caller *caller)
{
	int ends[2];

	tcp_pair(play.listener, &play.address, ends);
	make_linger(ends[0]);
	caller_send_with_fds(caller, GET_INFO, sizeof(GET_INFO), ends[0], 1);
	close_fd(&ends[0]);
	return ends[1];
}

static void expect_at_once(uint64_t began_us)
{
	uint64_t took_us = clock_us() - began_us;

	if (took_us > LIMIT_US)
		fail_msg("it was held up for %u ms", (unsigned int)(took_us / 1000));
}

static void test_a_socket_that_came_with_a_call(void **state)
{
	struct scene *scene = scene_new();
	uint64_t began_us;
	int far_end = send_lingering(&scene->caller);

	began_us = clock_us();
	expect_reply(&scene->caller, INVALID_PARAMETER, "fileDescriptor");
	expect_gone(scene);
	expect_at_once(began_us);
	close_fd(&far_end);
	scene_free(scene);
}

static void test_a_socket_in_a_call_that_was_not_read(void **state)
{
	struct scene *scene = scene_new();
	uint64_t began_us;
	int far_end = send_lingering(&scene->caller);

	began_us = clock_us();
	scene->peer = peer_free(scene->peer);
	expect_at_once(began_us);
	close_fd(&far_end);
	scene_free(scene);
}

static void test_the_socket_that_was_handed_over(void **state)
{
	struct scene *scene = scene_new();
	uint64_t began_us = clock_us();

	quick = &scene->caller;
	caller_send(&scene->caller, CONNECT);
	expect_reply(&scene->caller, "\"fileDescriptor\":0");
	quick = NULL;
	scene->caller.n_fds = 0;
	expect_at_once(began_us);
	scene_free(scene);
}

/* It is as it was afterwards: no timer, and none of its signals later. */
static void test_the_hurry_ends(void **state)
{
	struct scene *scene = scene_new();
	struct itimerval timer;

	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	assert_int_equal(getitimer(ITIMER_REAL, &timer), 0);
	assert_false(timerisset(&timer.it_value) || timerisset(&timer.it_interval));
	scene_free(scene);
	assert_int_equal(getitimer(ITIMER_REAL, &timer), 0);
	assert_false(timerisset(&timer.it_value) || timerisset(&timer.it_interval));
}

/* A wait ends within milliseconds, whenever it begins. */
static void test_waits_end_early(void **state)
{
	for (int i = 0; i < 20; i++) {
		uint64_t began_us = clock_us();
		struct timespec minute = { .tv_sec = 60 };

		be_busy((unsigned int)i % 5);
		hurry_begin();
		assert_int_equal(nanosleep(&minute, NULL), -1);
		assert_int_equal(errno, EINTR);
		hurry_end();
		assert_true(clock_us() - began_us < AT_ONCE_US);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_socket_that_came_with_a_call),
		cmocka_unit_test(test_a_socket_in_a_call_that_was_not_read),
		cmocka_unit_test(test_the_socket_that_was_handed_over),
		cmocka_unit_test(test_the_hurry_ends),
		cmocka_unit_test(test_waits_end_early),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
