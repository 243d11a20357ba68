/* SPDX-License-Identifier: MIT */
#include "daemon/connect.h"

#include "proto/util.h"

#include <netinet/in.h>

static void attempt_close(struct connect_attempt *attempt)
{
	if (attempt->io.fd < 0)
		return;
	ev_io_stop(attempt->race->loop, &attempt->io);
	close_fd(&attempt->io.fd);
	attempt->race->running--;
}

void connect_stop(struct connect_race *race)
{
	for (unsigned int i = 0; i < race->started; i++)
		attempt_close(&race->attempts[i]);
	if (race->loop)
		ev_timer_stop(race->loop, &race->delay);
	close_fd(&race->fd);
}

static void attempt_failed(struct connect_attempt *attempt, int sys_errno)
{
	struct connect_race *race = attempt->race;

	race->last_errno = sys_errno;
	race->address = attempt->address;
	attempt_close(attempt);
	ev_feed_event(race->loop, &race->delay, EV_TIMER);
}

static void attempt_won(struct connect_attempt *attempt)
{
	struct connect_race *race = attempt->race;
	int fd = attempt->io.fd;

	ev_io_stop(race->loop, &attempt->io);
	attempt->io.fd = -1;
	race->running--;
	connect_stop(race);
	race->fd = fd;
	race->address = attempt->address;
	race->done(race);
}

static void on_writable(EV_P_ ev_io *io, int events)
{
	struct connect_attempt *attempt = container_of(io, struct connect_attempt, io);
	int sys_errno = 0;
	socklen_t length = sizeof(sys_errno);

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &length) < 0)
		sys_errno = errno;
	if (sys_errno)
		attempt_failed(attempt, sys_errno);
	else
		attempt_won(attempt);
}

static void attempt_start(struct connect_attempt *attempt)
{
	const struct sockaddr_storage *address = attempt->address;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	ev_io_init(&attempt->io, on_writable, fd, EV_WRITE);
	attempt->race->running += fd >= 0;
	if (fd < 0 || (connect(fd, (const struct sockaddr *)address, address_length(address)) < 0 && errno != EINPROGRESS))
		attempt_failed(attempt, errno);
	else
		ev_io_start(attempt->race->loop, &attempt->io);
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

void connect_start(struct connect_race *race, struct ev_loop *loop, const struct addresses *addresses,
		   void (*done)(struct connect_race *))
{
	*race = (struct connect_race){ .loop = loop, .addresses = addresses, .fd = -1, .done = done };
	ev_timer_init(&race->delay, on_turn, 0, 0);
	ev_feed_event(loop, &race->delay, EV_TIMER);
}
