/* SPDX-License-Identifier: MIT */
/* The listening socket: who comes is dealt to a worker. */
#pragma once

#include "daemon/log.h"
#include "daemon/watch.h"

#include <stdbool.h>

/* How long accepting rests when there is no descriptor, no memory or no worker for a caller: an
 * event loop would spin on a backlog that it cannot take. */
#define LISTENER_REST 0.1

struct listener {
	struct ev_loop *loop;
	struct log *log;
	ev_io acceptable;
	ev_timer rest;
	bool told;	/* that nobody can be accepted, since somebody was */
	int held;	/* a caller whom nobody can take yet; or -1 */
	/* Takes over *fd, or returns false: not now. */
	bool (*deal)(struct listener *listener, int *fd);
};

/* Takes over fd: listening, non-blocking. */
void listener_start(struct listener *listener, struct ev_loop *loop, struct log *log, int fd,
		    bool (*deal)(struct listener *, int *));
/* There is room again. */
void listener_resume(struct listener *listener);
/* Closes the socket; callers who were not accepted stay in it if somebody else has it, too. May be
 * called more than once, and on a struct of which fd is -1. */
void listener_stop(struct listener *listener);
