/* SPDX-License-Identifier: MIT */
/*
 * Addresses to one connected TCP socket: RFC 8305, section 5. Attempts start CONNECT_DELAY_MS
 * apart, or at once when one has failed; the first that stands wins, and the others are closed.
 */
#pragma once

#include "daemon/address.h"
#include "daemon/trace.h"
#include "daemon/watch.h"

/* RFC 8305, section 8: the recommended Connection Attempt Delay. */
#define CONNECT_DELAY_MS 250

struct connect_race {
	struct watch_set *watches;
	struct connect_attempt {
		struct connect_race *race;
		const struct sockaddr_storage *address;
		int fd; /* -1: not running */
		struct watch watch;
	} attempts[ADDRESSES_MAX];
	const struct addresses *addresses; /* borrowed until done or stop; ports set */
	unsigned int started, running;
	ev_timer delay;
	int fd;		/* the winner's, to be stolen in done; -1: all failed */
	int last_errno; /* of the attempt that failed last */
	const struct sockaddr_storage *address; /* the winner's, or that of the last failure */
	/* For who wants to know of each attempt to set, right after connect_start(); NULL: nobody. */
	struct proto_trace *trace;
	uint64_t began_us;	/* from here on its times count */
	void (*done)(struct connect_race *race);
};

/* done is called once, as the last act of a callback from the loop, unless connect_stop() came
 * first. */
void connect_start(struct connect_race *race, struct watch_set *watches,
		   const struct addresses *addresses, void (*done)(struct connect_race *));
/* May be called at any time after connect_start(), and more than once. Closes everything that was
 * not stolen. */
void connect_stop(struct connect_race *race);
