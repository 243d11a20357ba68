/* SPDX-License-Identifier: MIT */
#include "client/internal.h"

#include <errno.h>
#include <poll.h>

/* Goes on until there is nothing to wait for. r: what the start has come to. */
static int finish(struct ktls *k, int r)
{
	while (r == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		if (poll(&p, 1, ktls_timeout(k)) < 0 && errno != EINTR)
			return call_fail(k, KTLS_LOCAL, "service", errno, "cannot wait: %m");
		r = ktls_step(k);
	}
	return r;
}

int ktls_connect(struct ktls *k)
{
	return finish(k, ktls_start(k)) < 0 ? -1 : ktls_take(k);
}

int ktls_call(struct ktls *k, const char *method)
{
	return finish(k, ktls_start_call(k, method)) < 0 ? -1 : 0;
}
