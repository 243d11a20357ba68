/* SPDX-License-Identifier: MIT */
/* A loop that cannot hang, what it must leave behind (nothing), and TCP connections. */
#pragma once

#include "tests/unit/unit.h"

#include "daemon/clock.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

/* How long anything may take that takes no time at all on a machine that has nothing else to do. */
#define PATIENCE 30.0

static inline size_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

/* What a loop may be late on a machine that does other things, too: what must not be taken for it
 * has to be further off. */
#define LATE_MS 1000u

/* --- running a loop */

struct patience {
	ev_timer timer;
	bool over;
};

static inline void on_patience_over(EV_P_ ev_timer *timer, int events)
{
	container_of(timer, struct patience, timer)->over = true;
}

/* What is queued may be all that the turn is for: then there is nothing to wait for. */
static inline void run_one_turn(struct ev_loop *loop)
{
	ev_run(loop, ev_pending_count(loop) ? EVRUN_NOWAIT : EVRUN_ONCE);
}

/* Turns the loop until condition(arg) holds, false after so many seconds without. */
static inline bool run_until_within(struct ev_loop *loop, bool (*condition)(void *arg), void *arg,
				    double seconds)
{
	struct patience patience = { .over = false };

	ev_now_update(loop);
	ev_timer_init(&patience.timer, on_patience_over, seconds, 0);
	ev_timer_start(loop, &patience.timer);
	while (!condition(arg) && !patience.over)
		run_one_turn(loop);
	ev_timer_stop(loop, &patience.timer);
	return condition(arg);
}

static inline void run_until(struct ev_loop *loop, bool (*condition)(void *arg), void *arg)
{
	assert_true(run_until_within(loop, condition, arg, PATIENCE));
}

static inline bool never(void *arg)
{
	return false;
}

static inline void run_for(struct ev_loop *loop, double seconds)
{
	run_until_within(loop, never, NULL, seconds);
}

static inline bool is_set(void *flag)
{
	return *(bool *)flag;
}

/* Nothing waits, nothing is queued. (What was queued and taken back counts until the next turn.) */
static inline void expect_quiet(struct ev_loop *loop)
{
	assert_false(ev_run(loop, EVRUN_NOWAIT));
	assert_int_equal(ev_pending_count(loop), 0);
}

static inline struct ev_loop *loop_new(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);

	assert_non_null(loop);
	return loop;
}

static inline void loop_free(struct ev_loop *loop)
{
	expect_quiet(loop);
	ev_loop_destroy(loop);
}

/* --- TCP on loopback */

static inline void loopback_address(struct sockaddr_storage *address, int family)
{
	*address = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET)
		((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
}

static inline socklen_t family_length(int family)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* A socket bound to a port of its own, at which nobody listens yet; *address is told. */
static inline int tcp_bound(int family, struct sockaddr_storage *address)
{
	socklen_t length = family_length(family);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	loopback_address(address, family);
	assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static inline int tcp_listen(int family, struct sockaddr_storage *address, int backlog)
{
	int fd = tcp_bound(family, address);

	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static inline int tcp_connect(const struct sockaddr_storage *address)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)address, family_length(address->ss_family)) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

/* Waits for events on fd; false if they did not come in time. */
static inline bool wait_for_events(int fd, short events, double seconds)
{
	struct pollfd wanted = { .fd = fd, .events = events };

	return poll(&wanted, 1, (int)(seconds * 1000)) == 1;
}

static inline int tcp_accept(int listener)
{
	int fd;

	assert_true(wait_for_events(listener, POLLIN, PATIENCE));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

/* Connected, non-blocking: ours and the far end. */
static inline void tcp_pair(int listener, const struct sockaddr_storage *address, int ends[2])
{
	ends[0] = tcp_connect(address);
	ends[1] = tcp_accept(listener);
	assert_true(wait_for_events(ends[0], POLLOUT, PATIENCE));
}

/* What the far end sees: "" nothing yet, "end" a FIN or RST, "bytes". */
static inline const char *far_end_sees(int fd, double seconds)
{
	char byte;
	ssize_t n;

	if (!wait_for_events(fd, POLLIN, seconds))
		return "";
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	return n > 0 ? "bytes" : "end";
}
