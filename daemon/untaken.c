/* SPDX-License-Identifier: MIT */
#include "daemon/untaken.h"

#include "daemon/unread.h"
#include "proto/util.h"

void untaken_deinit(struct untaken *untaken)
{
	if (untaken->watch.set)
		watch_stop(&untaken->watch);
	charge_give_back(&untaken->charge);
}

static void on_read(struct watch *watch)
{
	struct untaken *untaken = container_of(watch, struct untaken, watch);

	if (unread_any(watch->fd))
		return;
	untaken_deinit(untaken);
	untaken->taken(untaken);
}

void untaken_init(struct untaken *untaken, struct watch_set *watches, int fd,
		  void (*taken)(struct untaken *))
{
	*untaken = (struct untaken){ .taken = taken };
	watch_init(&untaken->watch, watches, fd, on_read);
}

void untaken_wait(struct untaken *untaken)
{
	if (!untaken_waits(untaken))
		return;
	if (watch_for(&untaken->watch, UNREAD_EVENTS) < 0 || !unread_any(untaken->watch.fd))
		untaken_deinit(untaken);
}

bool untaken_waits(const struct untaken *untaken)
{
	return untaken->charge.book;
}
