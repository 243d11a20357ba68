/* SPDX-License-Identifier: MIT */
/*
 * One caller's connection: messages in, carried out one at a time, replies out, a descriptor with
 * the reply that hands a socket over. The caller hanging up cancels everything.
 */
#pragma once

#include "daemon/credentials.h"
#include "daemon/request.h"
#include "daemon/untaken.h"
#include "proto/frame.h"

struct peer {
	struct env *env;
	struct list link; /* the worker's */
	struct turn intake; /* to take what has come in */
	struct turn turn; /* to carry out the next call */
	int fd;
	struct credentials credentials;
	ev_io readable, writable;
	ev_timer reading; /* a begun message must be whole in time, an idle connection ends in time
			   */
	ev_timer delivering; /* a reply must be taken in time */
	bool begun;	     /* an incomplete message is what reading waits for */
	bool last;	     /* the reply under way is the last one */
	bool called;	     /* once at least */
	bool draining;	     /* no more calls than those that are here */
	bool over;	     /* but for a socket that the caller has not taken */
	struct proto_reader reader;
	struct charge memory; /* of what has come in */
	struct proto_writer writer;
	struct request *request; /* under way, or answered and not yet delivered; or NULL */
	bool answered;
	struct untaken untaken; /* the socket that was handed over last */
	bool silent; /* nobody wants to know what comes of the request */
	void *owner;
	void (*gone)(struct peer *peer);
};

/*
 * Takes over fd, an accepted, non-blocking AF_UNIX stream; NULL: no memory, or the kernel does not
 * say who called; fd is closed. account is its user's (ledger.h). gone is called once, as the last
 * act of a callback from the loop, when the connection is over: the owner frees the peer in it.
 */
struct peer *peer_new(struct env *env, int fd, unsigned int account, void *owner,
		      void (*gone)(struct peer *));
struct peer *peer_free(struct peer *peer);

/* What is under way ends, what has come in is served, and then it is over: at once for one who has
 * been served and waits, and soon for one who has not called yet. It may be gone afterwards. */
void peer_drain(struct peer *peer);
/* What is under way is answered with a word to try again, as far as the caller has room for that. It
 * may be gone afterwards. */
void peer_end(struct peer *peer);

/* Brings the connection as far as it goes now. The last act of every callback that had to do with
 * it: the peer may be gone afterwards. */
void peer_settle(struct peer *peer);
