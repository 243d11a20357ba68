/* SPDX-License-Identifier: MIT */
#include "daemon/connect.h"

#include "daemon/clock.h"
#include "proto/util.h"

#include <netinet/in.h>

/* --- what is told of it */

static void note_begin(const struct connect_attempt *attempt)
{
	const struct connect_race *race = attempt->race;

	if (race->trace)
		trace_attempt(race->trace, attempt->address, clock_us() - race->began_us);
}

static void note_end(const struct connect_attempt *attempt, enum proto_attempt_state state,
		     int sys_errno)
{
	const struct connect_race *race = attempt->race;

	if (race->trace)
		trace_attempt_over(race->trace, (unsigned int)(attempt - race->attempts), state,
				   sys_errno, clock_us() - race->began_us);
}

/* --- the race */

static void attempt_close(struct connect_attempt *attempt)
{
	if (attempt->fd < 0)
		return;
	watch_stop(&attempt->watch);
	close_fd(&attempt->fd);
	attempt->race->running--;
}

void connect_stop(struct connect_race *race)
{
	for (unsigned int i = 0; i < race->started; i++) {
		if (race->attempts[i].fd >= 0)
			note_end(&race->attempts[i], PROTO_ATTEMPT_ABANDONED, 0);
		attempt_close(&race->attempts[i]);
	}
	if (race->watches)
		ev_timer_stop(race->watches->loop, &race->delay);
	close_fd(&race->fd);
}

static void attempt_failed(struct connect_attempt *attempt, int sys_errno)
{
	struct connect_race *race = attempt->race;

	race->last_errno = sys_errno;
	race->address = attempt->address;
	note_end(attempt, PROTO_ATTEMPT_FAILED, sys_errno);
	attempt_close(attempt);
	ev_feed_event(race->watches->loop, &race->delay, EV_TIMER);
}

static void attempt_won(struct connect_attempt *attempt)
{
	struct connect_race *race = attempt->race;
	int fd = steal_fd(&attempt->fd);

	note_end(attempt, PROTO_ATTEMPT_CONNECTED, 0);
	watch_stop(&attempt->watch);
	race->running--;
	connect_stop(race);
	race->fd = fd;
	race->address = attempt->address;
	race->done(race);
}

static void on_writable(struct watch *watch)
{
	struct connect_attempt *attempt = container_of(watch, struct connect_attempt, watch);
	int sys_errno = 0;
	socklen_t length = sizeof(sys_errno);

	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &length) < 0)
		sys_errno = errno;
	if (sys_errno)
		attempt_failed(attempt, sys_errno);
	else
		attempt_won(attempt);
}

static void attempt_start(struct connect_attempt *attempt)
{
	const struct sockaddr_storage *address = attempt->address;
	int r;

	note_begin(attempt);
	attempt->fd =
		socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (attempt->fd < 0)
		return attempt_failed(attempt, errno);
	attempt->race->running++;
	watch_init(&attempt->watch, attempt->race->watches, attempt->fd, on_writable);
	r = connect(attempt->fd, (const struct sockaddr *)address, address_length(address));
	if (r < 0 && errno != EINPROGRESS)
		return attempt_failed(attempt, errno);
	r = watch_for(&attempt->watch, EPOLLOUT);
	if (r < 0)
		attempt_failed(attempt, -r);
}

/* The next attempt's turn: its delay has passed, or another has failed. */
static void on_turn(EV_P_ ev_timer *timer, int events)
{
	struct connect_race *race = container_of(timer, struct connect_race, delay);
	struct connect_attempt *attempt = &race->attempts[race->started];

	ev_timer_stop(EV_A_ timer);
	if (race->started < race->addresses->n) {
		attempt->race = race;
		attempt->address = &race->addresses->items[race->started++];
		ev_timer_set(timer, CONNECT_DELAY_MS / 1e3, 0);
		ev_timer_start(EV_A_ timer);
		attempt_start(attempt);
	} else if (!race->running) {
		race->done(race);
	}
}

void connect_start(struct connect_race *race, struct watch_set *watches,
		   const struct addresses *addresses, void (*done)(struct connect_race *))
{
	*race = (struct connect_race){
		.watches = watches, .addresses = addresses, .fd = -1, .done = done
	};
	ev_timer_init(&race->delay, on_turn, 0, 0);
	ev_feed_event(watches->loop, &race->delay, EV_TIMER);
}
