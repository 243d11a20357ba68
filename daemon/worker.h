/* SPDX-License-Identifier: MIT */
/*
 * A worker process: it is forked from the supervisor with the configuration and the trust stores
 * read, gets callers' connections one by one, and serves them. It alone touches what callers and
 * peers send, so it has nothing else: no privilege, no file that it could open, no other process.
 */
#pragma once

#include "daemon/env.h"
#include "daemon/setup.h"

/* What the supervisor and a worker say to each other (channel.h). */
enum word {
	WORD_SERVE,	/* to the worker, with a connection: serve it */
	WORD_PING,	/* to the worker: say WORD_WELL */
	WORD_DRAIN,	/* to the worker: nobody else comes, end when those who are there are done */
	WORD_END,	/* to the worker: end now; callers are told to try again */
	WORD_WELL,	/* from the worker: it has begun, or answers */
	WORD_UNTAKEN,	/* from the worker: there was no descriptor or memory for this connection */
	WORD_KERNEL_LOST, /* from the worker: the kernel has no TLS any more, and it had */
};

struct word_message {
	enum word word;
	uint32_t account;	/* of WORD_SERVE */
	uint64_t number;	/* of the connection, with WORD_SERVE and WORD_UNTAKEN */
};

/* What a worker is born with; all of it is its own copy. */
struct birth {
	const struct setup *setup;
	struct kernel kernel;	/* what it was found to take over */
	struct log *log;
	struct ledger *ledger;
	struct tally *tally;
	unsigned int seat;	/* in both */
	unsigned int workers;	/* of its generation */
	int nursery;
	int channel;
	bool managed;		/* a service manager has started the service */
	bool restarts;		/* the service manager restarts a service that has ended */
	const void *kept;	/* the supervisor's side of it: no use here, but whoever looks for
				 * leaks is to find it */
};

/* In the process that was forked for it. */
_Noreturn void worker_main(const struct birth *birth);
