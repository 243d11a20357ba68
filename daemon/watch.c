/* SPDX-License-Identifier: MIT */
#include "daemon/watch.h"

#include "proto/util.h"

#include <assert.h>
#include <stdbool.h>

/* Asked for one at a time, for whoever is called may stop any of the others. */
static bool one_ready(struct watch_set *set)
{
	struct epoll_event event;
	struct watch *watch;

	if (epoll_wait(set->epoll, &event, 1, 0) != 1)
		return false;
	watch = event.data.ptr;
	watch->ready(watch);
	return true;
}

/* What is left keeps the set readable, and comes first in the next turn. */
static void on_ready(EV_P_ ev_io *io, int events)
{
	struct watch_set *set = container_of(io, struct watch_set, ready);

	/* The loop has given the set up: no memory to watch it. Without it nothing here would end. */
	if (events & EV_ERROR) {
		ev_timer_set(&set->rest, WATCH_REST, 0);
		return ev_timer_start(EV_A_ &set->rest);
	}
	for (unsigned int n = 0; n < WATCH_READY_PER_TURN && set->n && one_ready(set); n++)
		;
}

static void on_rested(EV_P_ ev_timer *timer, int events)
{
	struct watch_set *set = container_of(timer, struct watch_set, rest);

	ev_io_start(EV_A_ &set->ready);
}

int watch_set_init(struct watch_set *set, struct ev_loop *loop)
{
	*set = (struct watch_set){ .loop = loop, .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (set->epoll < 0)
		return -errno;
	ev_io_init(&set->ready, on_ready, set->epoll, EV_READ);
	ev_timer_init(&set->rest, on_rested, 0, 0);
	return 0;
}

void watch_set_deinit(struct watch_set *set)
{
	assert(set->n == 0);
	close_fd(&set->epoll);
}

void watch_init(struct watch *watch, struct watch_set *set, int fd, void (*ready)(struct watch *))
{
	*watch = (struct watch){ .set = set, .fd = fd, .ready = ready };
}

int watch_for(struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int how = watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (watch->events == events)
		return 0;
	if (epoll_ctl(watch->set->epoll, how, watch->fd, &event) < 0)
		return -errno;
	if (!watch->events && watch->set->n++ == 0)
		ev_io_start(watch->set->loop, &watch->set->ready);
	watch->events = events;
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (!watch->events)
		return;
	epoll_ctl(watch->set->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->events = 0;
	if (--watch->set->n)
		return;
	ev_io_stop(watch->set->loop, &watch->set->ready);
	ev_timer_stop(watch->set->loop, &watch->set->rest);
}
