/* SPDX-License-Identifier: MIT */
/*
 * Whether a caller may have what it asks for, by the [Access NAME] rules: the first that fits
 * decides, and where none does the answer is no. Without any rule a caller may go anywhere, but not
 * without verification, and not from another network namespace. No I/O, nothing kept.
 */
#pragma once

#include "daemon/address.h"
#include "daemon/config.h"
#include "daemon/credentials.h"
#include "proto/report.h"

struct access_grant {
	const char *rule; /* the configuration's; NULL: there are none */
	unsigned int requests; /* that the caller may have under way; 0: no word of the rule */
};

/*
 * address NULL: not yet known. Then a literal address in wanted->host is judged; for a name it is
 * "no" only if it is "no" whatever its addresses are, so that nobody is asked for a name that is
 * forbidden. An address is judged in all its spellings, and by the IPv4 address that it carries:
 * in doubt the answer is no. *grant is filled on PROTO_OK (for a name without address: by the first
 * rule that may come to allow it), *status otherwise: NOT_AUTHORIZED, stage policy.
 */
enum proto_error access_check(const struct config *config, const struct credentials *caller,
			      const struct proto_connect *wanted,
			      const struct sockaddr_storage *address, struct access_grant *grant,
			      struct proto_status *status);

/* Leaves those of the addresses that access_check() allows; without any, *status is that of the
 * first. *grant is that of the first which is left. */
enum proto_error access_filter(const struct config *config, const struct credentials *caller,
			       const struct proto_connect *wanted, struct addresses *addresses,
			       struct access_grant *grant, struct proto_status *status);

/*
 * Fills allowed, verify_none and rules of what is told of the caller: the rules that are for him and
 * allow something, as far as one that is for whatever he may ask; what stands behind that decides
 * nothing. Where they go is not told. False: no memory.
 */
bool access_survey(const struct config *config, const struct credentials *caller,
		   struct proto_caller *told);
