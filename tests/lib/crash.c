/* SPDX-License-Identifier: MIT */
/*
 * What makes build/ktlsd-crash of ktlsd's own objects, for tests of what a fault in a worker costs:
 * linked with --wrap=access_check, it dies of a request for CRASH_HOST. No source of ktlsd's knows
 * of it.
 */
#include "daemon/access.h"

#include <stdlib.h>
#include <string.h>

#define CRASH_HOST "crash.test"

typeof(access_check) __real_access_check, __wrap_access_check;

enum proto_error __wrap_access_check(const struct config *config, const struct credentials *caller,
				     const struct proto_connect *wanted,
				     const struct sockaddr_storage *address,
				     struct access_grant *grant, struct proto_status *status)
{
	if (!strcmp(wanted->host, CRASH_HOST))
		abort();
	return __real_access_check(config, caller, wanted, address, grant, status);
}
