/* SPDX-License-Identifier: MIT */
/*
 * A socket that was sent to its caller, and that he has not taken yet. Until then it is on its way,
 * and the kernel has room for so many of all callers' together (unix(7), ETOOMANYREFS). So it stays
 * charged to its caller; and the connection stays, for with it goes the knowledge of when he has
 * taken it.
 */
#pragma once

#include "daemon/ledger.h"
#include "daemon/watch.h"

struct untaken {
	struct charge charge; /* filled by who hands over */
	struct watch watch;
	void (*taken)(struct untaken *untaken);
};

/* fd is the caller's connection. taken is called as the last act of a callback from the loop. */
void untaken_init(struct untaken *untaken, struct watch_set *watches, int fd,
		  void (*taken)(struct untaken *));
/* It was sent: waits for its being taken, if there is a charge; taken is not called within. */
void untaken_wait(struct untaken *untaken);
bool untaken_waits(const struct untaken *untaken);
/* May be called at any time, and more than once. */
void untaken_deinit(struct untaken *untaken);
