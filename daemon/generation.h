/* SPDX-License-Identifier: MIT */
/*
 * The workers that go by one configuration. A reload makes a new generation and lets the old one
 * end: what is under way in it ends under the rules under which it began.
 */
#pragma once

#include "daemon/minder.h"

/* As many as [Service] Workers= may say. Two generations have seats at a time (ledger.h). */
#define GENERATION_WORKERS_MAX 64

/* A worker that was lost is replaced, after rests that grow if they do not live long, so that one
 * that cannot live does not keep a processor busy. A first death costs nobody a wait. */
#define GENERATION_REST_MIN 0.05
#define GENERATION_REST_MAX 0.5
/* Who has lived so long, in microseconds, did not die of his birth. */
#define GENERATION_LIFE_US 10000000

struct generation {
	struct household *household;
	struct list link;		/* of those that end */
	struct setup *setup;
	struct kernel kernel;
	struct list minders;
	unsigned int wanted, present, ready;
	bool forked;			/* a worker, since the last ping */
	double rest;
	ev_timer rested;		/* and the next is forked */
	bool draining, asked_to_end;
	ev_timer end;			/* draining has lasted long enough */
	void *owner;
	const struct generation_callbacks {
		void (*ready)(struct generation *generation);	 /* so many as are wanted */
		void (*stillborn)(struct generation *generation); /* a worker could not begin */
		void (*room)(struct generation *generation);	 /* for a connection */
		void (*kernel_lost)(struct generation *generation);
		void (*over)(struct generation *generation);	 /* all have ended; to be freed */
	} *callbacks;			/* each the last act of a callback from the loop */
};

/* Takes over setup. NULL after having logged. */
struct generation *generation_new(struct household *household, struct setup *setup,
				  const struct kernel *kernel, void *owner,
				  const struct generation_callbacks *callbacks);
struct generation *generation_free(struct generation *generation);

/* Deals the connection to the worker that has the fewest, of those that have as few to the one that
 * has had fewest. False: nobody can take it now, and *fd is still the caller's. */
bool generation_deal(struct generation *generation, int *fd, unsigned int account);
unsigned int generation_connections(const struct generation *generation);
/* Once a second. Whether all workers had answered the last one; that some were lost is no lack of
 * answers as long as they are replaced. */
bool generation_ping(struct generation *generation);
/* No new callers; what is under way has so long, 0: ends now. */
void generation_drain(struct generation *generation, unsigned int ms);
