/* SPDX-License-Identifier: MIT */
/* What all requests share, made at start and lent to each. It knows nothing of callers, sockets or
 * processes. */
#pragma once

#include "daemon/config.h"
#include "daemon/kernel.h"
#include "daemon/log.h"
#include "daemon/resolver.h"
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
	unsigned int requests; /* under way */
};

/*
 * In two steps, because privileges are dropped between them: the first may do what only root may
 * (have the kernel load tls.ko, read trust stores), the second forks the nursery. Both return false
 * after having logged why.
 */
bool env_init(struct env *env, struct ev_loop *loop, const struct config *config, struct log *log);
bool env_start(struct env *env);
void env_deinit(struct env *env);

/*
 * Asks the kernel anew where there is reason to. At most once in ENV_PROBE_INTERVAL_US, since
 * asking blocks the loop for as long as some hundred system calls take: it took nothing, or has
 * refused since what it had taken, or could not be asked well. Once in ENV_PROBE_RARELY_US: it
 * lacks a cipher, whose module somebody may load; the kernel looks for that itself, which takes a
 * process.
 */
#define ENV_PROBE_INTERVAL_US 1000000
#define ENV_PROBE_RARELY_US 60000000
void env_refresh(struct env *env);
