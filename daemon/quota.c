/* SPDX-License-Identifier: MIT */
#include "daemon/quota.h"

#include "daemon/clock.h"
#include "daemon/rate.h"

#define LIMIT(field) offsetof(struct config, limits.field)

static const struct {
	size_t of_user, in_all;		/* in struct config */
	unsigned int unit;		/* of them: so much in the ledger */
	enum proto_stage stage;
	const char *what;
	const char *of_user_key, *in_all_key;
	const char *name;		/* in a report */
} quotas[N_QUOTAS] = {
	[QUOTA_REQUESTS] = {
		LIMIT(user_requests), LIMIT(requests), 1, PROTO_STAGE_POLICY,
		"requests under way", "UserRequests", "Requests", "requests",
	},
	[QUOTA_UNDELIVERED] = {
		LIMIT(user_undelivered), LIMIT(undelivered), 1, PROTO_STAGE_INSTALL,
		"sockets that were handed over and not taken", "UserUndelivered", "Undelivered",
		"undelivered",
	},
	[QUOTA_MEMORY] = {
		LIMIT(user_memory_mib), LIMIT(memory_mib), 1024, PROTO_STAGE_POLICY,
		"MiB of messages", "UserMessageMemoryMiB", "MessageMemoryMiB", "memoryKiB",
	},
};

static unsigned int limit(const struct env *env, size_t offset)
{
	return *(const unsigned int *)((const char *)env->config + offset);
}

static enum proto_error busy(struct proto_status *status, enum quota quota, bool of_user,
			     unsigned int most)
{
	proto_status_set(status, PROTO_BUSY, quotas[quota].stage, 0,
			 "%s has %u %s, the limit of %s=", of_user ? "this user" : "the service",
			 most, quotas[quota].what,
			 of_user ? quotas[quota].of_user_key : quotas[quota].in_all_key);
	status->retry = true;
	return status->error;
}

static enum proto_error take(struct charge *charge, const struct env *env, unsigned int account,
			     enum quota quota, unsigned int n, unsigned int of_user,
			     struct proto_status *status)
{
	unsigned int of_one = of_user ? of_user : limit(env, quotas[quota].of_user);
	unsigned int in_all = limit(env, quotas[quota].in_all), unit = quotas[quota].unit;

	switch (charge_set(charge, env->book, account, quota, n, of_one * unit, in_all * unit)) {
	case LEDGER_TAKEN:
		return PROTO_OK;
	case LEDGER_USER_FULL:
		return busy(status, quota, true, of_one);
	case LEDGER_FULL:
		return busy(status, quota, false, in_all);
	}
	__builtin_unreachable();
}

/* For longer than a penalty lasts nobody is barred but by a worker that went astray. */
static uint64_t barred_for_us(const struct env *env, unsigned int account)
{
	uint64_t until_us = env->book->ledger->accounts[account].barred_until_us, now_us = clock_us();
	uint64_t most_us = env->config->limits.user_penalty_ms * UINT64_C(1000);

	return until_us <= now_us || until_us - now_us > most_us ? 0 : until_us - now_us;
}

bool quota_barred(const struct env *env, unsigned int account)
{
	return barred_for_us(env, account);
}

static enum proto_error check_barred(const struct env *env, unsigned int account,
				     struct proto_status *status)
{
	uint64_t left_us = barred_for_us(env, account);

	if (!left_us)
		return PROTO_OK;
	proto_status_set(status, PROTO_BUSY, PROTO_STAGE_POLICY, 0,
			 "a worker has crashed at a request of this user: no more for %u s",
			 (unsigned int)(left_us / 1000000 + 1));
	status->retry = true;
	return status->error;
}

static enum proto_error check_rate(const struct env *env, unsigned int account,
				   struct proto_status *status)
{
	unsigned int per_sec = env->config->limits.user_requests_per_sec;

	if (rate_take(&env->book->ledger->accounts[account].request_rate, clock_us(), per_sec,
		      env->config->limits.user_requests_burst))
		return PROTO_OK;
	proto_status_set(status, PROTO_BUSY, PROTO_STAGE_POLICY, 0,
			 "this user has begun more than %u requests a second: "
			 "UserRequestsPerSec=, UserRequestsBurst=", per_sec);
	status->retry = true;
	return status->error;
}

/* Whoever leaves his sockets lying need not have more of them made. */
static enum proto_error check_undelivered(const struct env *env, unsigned int account,
					  struct proto_status *status)
{
	unsigned int most = env->config->limits.user_undelivered;

	if (ledger_of_user(env->book->ledger, account, QUOTA_UNDELIVERED) < most)
		return PROTO_OK;
	busy(status, QUOTA_UNDELIVERED, true, most);
	status->stage = PROTO_STAGE_POLICY;
	return status->error;
}

enum proto_error quota_admit(struct charge *charge, const struct env *env, unsigned int account,
			     unsigned int of_user, struct proto_status *status)
{
	enum proto_error error = check_barred(env, account, status);

	if (error == PROTO_OK)
		error = check_rate(env, account, status);
	if (error == PROTO_OK)
		error = check_undelivered(env, account, status);
	if (error != PROTO_OK)
		return error;
	return take(charge, env, account, QUOTA_REQUESTS, 1, of_user, status);
}

enum proto_error quota_confirm(const struct env *env, unsigned int account, unsigned int of_user,
			       struct proto_status *status)
{
	if (!of_user || ledger_of_user(env->book->ledger, account, QUOTA_REQUESTS) <= of_user)
		return PROTO_OK;
	return busy(status, QUOTA_REQUESTS, true, of_user);
}

enum proto_error quota_deliver(struct charge *charge, const struct env *env, unsigned int account,
			       struct proto_status *status)
{
	return take(charge, env, account, QUOTA_UNDELIVERED, 1, 0, status);
}

enum proto_error quota_memory(struct charge *charge, const struct env *env, unsigned int account,
			      size_t bytes, struct proto_status *status)
{
	unsigned int kib = (unsigned int)((bytes + 1023) / 1024);

	if (kib == charge->n)
		return PROTO_OK;
	return take(charge, env, account, QUOTA_MEMORY, kib, 0, status);
}

void quota_usage(const struct env *env, unsigned int account,
		 struct proto_quota usages[static QUOTA_USAGES])
{
	const struct ledger *ledger = env->book->ledger;

	for (enum quota quota = 0; quota < N_QUOTAS; quota++)
		usages[quota] = (struct proto_quota){
			quotas[quota].name,
			.used = ledger_in_all(ledger, quota),
			.limit = limit(env, quotas[quota].in_all) * quotas[quota].unit,
			.user_used = ledger_of_user(ledger, account, quota),
			.user_limit = limit(env, quotas[quota].of_user) * quotas[quota].unit,
		};
	usages[N_QUOTAS] = (struct proto_quota){
		"connections",
		.used = ledger->shared->connections,
		.limit = env->config->limits.connections,
		.user_used = ledger->accounts[account].connections,
		.user_limit = env->config->limits.user_connections,
	};
}
