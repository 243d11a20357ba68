/* SPDX-License-Identifier: MIT */
/*
 * The running service: it accepts callers and deals them to workers, watches these, reads the
 * configuration anew, tells the service manager. Not a byte that a caller or a peer sent is read in
 * this process.
 */
#pragma once

#include "daemon/generation.h"
#include "daemon/listener.h"
#include "daemon/notify.h"
#include "daemon/sandbox.h"
#include "daemon/signals.h"

struct supervisor {
	struct household household;
	const char *config;		/* for setup_load(), at the next reload */
	pid_t keeper;			/* of the nursery */
	int listening;			/* until there are workers */
	struct listener listener;
	struct generation *current;	/* serves new callers; NULL: not yet */
	struct generation *next;	/* becomes that as soon as its workers are ready; or NULL */
	struct list old;		/* generations that end */
	bool started, failed, stopping;
	struct signals signals;
	struct notify notify;
	ev_timer pulse;			/* pings, and the watchdog */
	char confinement[SANDBOX_TEXT_MAX]; /* of the workers */
};

/*
 * Takes over setup and listening. Everything that needs root happens in here, then root is given
 * up; what happens in supervisor_run() is done as nobody. config is what setup was loaded from;
 * managed: a service manager has made the socket, and starts what has ended anew. False after having
 * logged why; supervisor_deinit() is due either way.
 */
bool supervisor_init(struct supervisor *supervisor, struct setup *setup, const char *config,
		     struct log *log, int listening, bool managed);
/* Serves until SIGTERM or SIGINT. False: no worker could begin. */
bool supervisor_run(struct supervisor *supervisor);
void supervisor_deinit(struct supervisor *supervisor);
