/* SPDX-License-Identifier: MIT */
/* The listening socket and the callers' connections made on it. */
#pragma once

#include "daemon/peer.h"

/* How long accepting rests when there is no descriptor or memory left: an event loop would spin on
 * a backlog that it cannot take. */
#define LISTENER_REST 0.1

struct listener {
	struct env *env;
	ev_io acceptable;
	ev_timer rest;
	bool told;			/* that nobody can be accepted, since somebody was */
	struct list peers; /* peer.link */
	unsigned int n_peers;
};

/* Takes over fd: listening, non-blocking. */
void listener_start(struct listener *listener, struct env *env, int fd);
/* Closes the socket and every connection, which cancels what is under way. */
void listener_stop(struct listener *listener);
