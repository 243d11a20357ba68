/* SPDX-License-Identifier: MIT */
/*
 * Watches on sockets that are going to be handed over.
 *
 * libev cannot have them: it leaves a descriptor whose watcher was stopped in its epoll set, for
 * close(2) to take it out. A socket that was handed over is closed here and lives on with the
 * caller, so that nothing would take it out, and every packet of the caller's would wake the daemon
 * (epoll(7), "Questions and answers", 6). Here a watch that is stopped is out of the set.
 */
#pragma once

#include <ev.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * How many that are ready are told so in one turn of the loop. Most then wait for their turn to
 * work (turns.h); were it one, the piece of work that each turn of the loop has time for would
 * stand between any two of them, whoever has which.
 */
#define WATCH_READY_PER_TURN 64

/* Until it is tried again to watch a set for which the kernel had no memory, in seconds. */
#define WATCH_REST 0.1

/* One for a loop. */
struct watch_set {
	struct ev_loop *loop;
	int epoll;
	ev_io ready; /* of the set, as long as there is a watch in it */
	ev_timer rest;
	unsigned int n;
};

struct watch {
	struct watch_set *set;
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; 0: not in the set */
	void (*ready)(struct watch *watch);
};

/* 0 or -errno. */
int watch_set_init(struct watch_set *set, struct ev_loop *loop);
void watch_set_deinit(struct watch_set *set);

/* The descriptor stays its owner's. */
void watch_init(struct watch *watch, struct watch_set *set, int fd, void (*ready)(struct watch *));

/* For these events from now on, instead of those before. 0, or -errno: there is no room (ENOMEM,
 * ENOSPC). */
int watch_for(struct watch *watch, uint32_t events);
/* Before the descriptor is closed or handed over; may be called at any time. */
void watch_stop(struct watch *watch);
