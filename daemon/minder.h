/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's side of one worker: it forks it, deals connections to it, sees whether it is
 * well, and when it is lost tells its callers.
 */
#pragma once

#include "daemon/connection.h"
#include "daemon/worker.h"

/* A worker that has not answered so many pings, one a second, is taken for hung and killed. The
 * longest piece of work that a caller or peer can make takes a few hundredths of a second. */
#define MINDER_PINGS_MAX 5
/* One that has not begun yet: its birth takes seconds on a machine that is busy. */
#define MINDER_BIRTH_PINGS_MAX 30

/* What all minders of a service share. */
struct household {
	struct ev_loop *loop;
	struct watch_set watches;
	struct log *log;
	struct ledger *ledger;
	struct tally *tally;
	int nursery;
	bool managed, restarts;
};

struct minder {
	struct list link;		/* of its generation; first, so that leaks are told from what is in it */
	struct household *household;
	pid_t pid;
	unsigned int seat;
	int channel;
	ev_io heard;
	bool ready;			/* it has begun */
	bool hung;
	bool drain_owed;		/* there was no memory to tell it so */
	unsigned int pings;		/* that were not answered */
	struct list connections;
	unsigned int n_connections;
	uint64_t dealt;			/* connections, ever; the last one's number */
	uint64_t born_us;
	unsigned int penalty_ms;	/* at most, of a user at whose work it is lost */
	void *owner;
	const struct minder_callbacks {
		void (*ready)(struct minder *minder);
		void (*kernel_lost)(struct minder *minder);
		void (*connection_gone)(struct minder *minder);
		void (*lost)(struct minder *minder); /* its process has ended; to be freed */
	} *callbacks;			/* each the last act of a callback from the loop */
};

/* Forks one of so many workers. NULL after having logged: no process, seat or memory. */
struct minder *minder_new(struct household *household, const struct setup *setup,
			  const struct kernel *kernel, unsigned int workers, void *owner,
			  const struct minder_callbacks *callbacks);
/* Kills what is still alive, and tells the callers whom it served. Takes and returns NULL. */
struct minder *minder_free(struct minder *minder);

/* Takes over fd, a caller's connection that ledger_open() has counted. False: it could not be dealt
 * to this worker, and *fd is still the caller's. */
bool minder_deal(struct minder *minder, int *fd, unsigned int account);
/* Once a second. Whether the worker had answered the last one, if there was one. */
bool minder_ping(struct minder *minder);
void minder_drain(struct minder *minder);
/* Callers are told to try again, and the process ends. */
void minder_end(struct minder *minder);
