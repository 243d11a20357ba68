/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses without blocking the loop: a bounded pool of resolver processes (nursery.h),
 * one look-up each at a time. A look-up that is given up kills its process; the others, and
 * requests for literal addresses, do not notice. Look-ups over the bound wait for their turn, in
 * order; but one of an account that has as many as it may have keeps none of another's waiting.
 */
#pragma once

#include "daemon/address.h"
#include "daemon/list.h"

#include <ev.h>

struct resolver {
	struct ev_loop *loop;
	int nursery; /* borrowed */
	unsigned int max, max_of_user, busy;
	int spare; /* one idle process is kept, so that a look-up does not wait for a fork; -1: none
		    */
	struct list waiting; /* lookup.link */
	struct list running; /* likewise */
	ev_io room;	     /* of the nursery: there is room for another word to it */
};

struct lookup {
	struct resolver *resolver;
	unsigned int account;
	const char *host; /* borrowed until done or stop */
	struct list link;
	ev_io io;     /* of its process */
	bool running; /* has a process: counted in busy */
	struct addresses addresses;
	int gai_error; /* getaddrinfo(3); 0: addresses holds the answer */
	int sys_errno; /* of EAI_SYSTEM */
	bool lost;     /* its process has gone without an answer; sys_errno says why */
	void (*done)(struct lookup *lookup);
};

/* nursery is what nursery_start() returned; it stays its owner's. So many look-ups at the same time, in
 * all and of one account. */
void resolver_init(struct resolver *resolver, struct ev_loop *loop, int nursery, unsigned int max,
		   unsigned int max_of_user);
/* No look-up may be left. */
void resolver_deinit(struct resolver *resolver);

/* done is called once, as the last act of a callback from the loop, unless lookup_stop() came
 * first. */
void lookup_start(struct lookup *lookup, struct resolver *resolver, unsigned int account,
		  const char *host, void (*done)(struct lookup *));
/* May be called at any time after lookup_start(), and more than once. */
void lookup_stop(struct lookup *lookup);
