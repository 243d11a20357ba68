/* SPDX-License-Identifier: MIT */
#include "client/internal.h"

#include <errno.h>
#include <poll.h>

int ktls_connect(struct ktls *k)
{
	int r = ktls_start(k);

	while (r == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		if (poll(&p, 1, ktls_timeout(k)) < 0 && errno != EINTR)
			return call_fail(k, KTLS_LOCAL, "service", errno, "cannot wait: %m");
		r = ktls_step(k);
	}
	return r < 0 ? -1 : ktls_take(k);
}
