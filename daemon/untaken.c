/* SPDX-License-Identifier: MIT */
#include "daemon/untaken.h"

#include "proto/util.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* What was sent and not read, of AF_UNIX in whole buffers: nothing. */
static bool all_is_read(const struct untaken *untaken)
{
	int unread = 0;

	return ioctl(untaken->watch.fd, SIOCOUTQ, &unread) < 0 || unread == 0;
}

void untaken_deinit(struct untaken *untaken)
{
	if (untaken->watch.set)
		watch_stop(&untaken->watch);
	charge_give_back(&untaken->charge);
}

static void on_read(struct watch *watch)
{
	struct untaken *untaken = container_of(watch, struct untaken, watch);

	if (!all_is_read(untaken))
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

/* The kernel tells of each reading once: nothing is missed that comes after the watch has begun. */
void untaken_wait(struct untaken *untaken)
{
	if (!untaken_waits(untaken))
		return;
	if (watch_for(&untaken->watch, EPOLLOUT | EPOLLET) < 0 || all_is_read(untaken))
		untaken_deinit(untaken);
}

bool untaken_waits(const struct untaken *untaken)
{
	return untaken->charge.book;
}
