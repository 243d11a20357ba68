/* SPDX-License-Identifier: MIT */
/* What all requests of a worker share, made at its start and lent to each. It knows nothing of
 * callers, sockets or processes. */
#pragma once

#include "daemon/config.h"
#include "daemon/kernel.h"
#include "daemon/ledger.h"
#include "daemon/log.h"
#include "daemon/resolver.h"
#include "daemon/tally.h"
#include "daemon/tls.h"
#include "daemon/trust.h"
#include "daemon/turns.h"
#include "daemon/watch.h"

struct env {
	struct ev_loop *loop;
	struct watch_set watches;
	struct turns turns;
	const struct config *config;
	struct log *log;
	struct trust *trust;
	struct tls *tls;
	struct kernel kernel;
	uint64_t probed_us;  /* when the kernel was last asked what it takes */
	bool kernel_changed; /* it has refused what it took when it was asked */
	struct resolver resolver;
	const struct book *book;
	bool managed; /* a service manager has started the service */
	struct tally *tally; /* its seat is the book's */
	time_t loaded;	     /* when the configuration was read */
	/* NULL, or to be told that the kernel had TLS and has it no more, before any caller is. */
	void (*on_kernel_lost)(struct env *env);
};

/* What it is made from; all of it stays its owner's. */
struct env_parts {
	const struct config *config;
	struct trust *trust;
	struct kernel kernel;	/* what it was found to take over */
	struct log *log;
	const struct book *book;
	struct tally *tally;
	time_t loaded;		/* when the configuration was read */
	int nursery;
	unsigned int workers;	/* that share what there is of everything */
	bool managed;		/* a service manager has started the service */
};

/* False after having logged why; env_deinit() is due either way. */
bool env_init(struct env *env, struct ev_loop *loop, const struct env_parts *parts);
void env_deinit(struct env *env);

/* What the kernel was found to take over, where that is something to tell, and new. before NULL:
 * nothing was known of it. */
void env_log_kernel(const struct kernel *kernel, const struct kernel *before, struct log *log);

/*
 * Asks the kernel anew where there is reason to: it took nothing, or has refused since what it had
 * taken, or could not be asked well. At most once in ENV_PROBE_INTERVAL_US, unless the module has come
 * meanwhile, since asking blocks the loop for as long as some hundred system calls take. That it
 * lacks a cipher is no reason: to ask for that has it look for the module, which takes a process. A
 * reload asks, in the supervisor.
 */
#define ENV_PROBE_INTERVAL_US 1000000
void env_refresh(struct env *env);
