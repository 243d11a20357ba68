/* SPDX-License-Identifier: MIT */
/* What one user, and all of them together, may have at a time: the limits of the configuration held
 * against the ledger, and a word to who is over one. */
#pragma once

#include "daemon/env.h"
#include "proto/report.h"

/*
 * For a request that is about to begin: may this user have one more? What it takes belongs to
 * *charge. of_user: so many at a time, 0: as [Limits] says. Otherwise BUSY, POLICY, with the limit
 * that is reached.
 */
enum proto_error quota_admit(struct charge *charge, const struct env *env, unsigned int account,
			     unsigned int of_user, struct proto_status *status);

/* Whether this user may begin nothing for now, because a worker was lost at a request of his. */
bool quota_barred(const struct env *env, unsigned int account);

/* For a request that was admitted, and turns out to be under a rule with another number. */
enum proto_error quota_confirm(const struct env *env, unsigned int account, unsigned int of_user,
			       struct proto_status *status);

/* For a socket that is about to be handed over: until its caller has taken it, it belongs to
 * *charge. */
enum proto_error quota_deliver(struct charge *charge, const struct env *env, unsigned int account,
			       struct proto_status *status);

/* For so many bytes of messages that have come in, which may be more or fewer than before. */
enum proto_error quota_memory(struct charge *charge, const struct env *env, unsigned int account,
			      size_t bytes, struct proto_status *status);

/* What is used of each quota, and of the connections, which the supervisor counts. */
#define QUOTA_USAGES (N_QUOTAS + 1)
void quota_usage(const struct env *env, unsigned int account,
		 struct proto_quota usages[static QUOTA_USAGES]);
