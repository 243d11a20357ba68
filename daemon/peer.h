/* SPDX-License-Identifier: MIT */
/*
 * One caller's connection: messages in, carried out one at a time, replies out, a descriptor with
 * the reply that hands a socket over. The caller hanging up cancels everything.
 */
#pragma once

#include "daemon/request.h"
#include "proto/frame.h"

struct peer {
	struct env *env;
	struct list link; /* the listener's */
	struct turn intake; /* to take what has come in */
	struct turn turn; /* to carry out the next call */
	int fd;
	unsigned int uid; /* at the time of its connect(2), told by the kernel */
	unsigned int account; /* whose time it takes */
	ev_io readable, writable;
	ev_timer reading; /* a begun message must be whole in time, an idle connection ends in time
			   */
	ev_timer delivering; /* a reply must be taken in time */
	bool begun;	     /* an incomplete message is what reading waits for */
	bool last;	     /* the reply under way is the last one */
	struct proto_reader reader;
	struct proto_writer writer;
	struct request *request; /* under way, or answered and not yet delivered; or NULL */
	bool answered;
	void *owner;
	void (*gone)(struct peer *peer);
};

/*
 * Takes over fd, an accepted, non-blocking AF_UNIX stream; NULL: no memory, and fd is closed. gone
 * is called once, as the last act of a callback from the loop, when the connection is over: the
 * owner frees the peer in it.
 */
struct peer *peer_new(struct env *env, int fd, void *owner, void (*gone)(struct peer *));
struct peer *peer_free(struct peer *peer);
