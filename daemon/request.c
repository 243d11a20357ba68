/* SPDX-License-Identifier: MIT */
#include "daemon/request.h"

#include "daemon/attach.h"
#include "daemon/clock.h"
#include "daemon/gai.h"
#include "daemon/quota.h"
#include "daemon/sockopt.h"
#include "daemon/survey.h"

#include <string.h>

/* What a stage says when it is begun. PENDING: one of its callbacks will call advance() or
 * finish(), as its last act. */
enum progress { DONE, PENDING, FAILED };

static void advance(struct request *r);
static void finish(struct request *r);
static void shut_down(struct request *r);

static enum progress fail(enum proto_error error)
{
	return error == PROTO_OK ? DONE : FAILED;
}

/* --- policy: may this be asked for, and what is left of it */

static enum progress policy_begin(struct request *r)
{
	struct env *env = r->env;

	/* Before anything is looked up: a name that is forbidden is not even asked for. */
	if (access_check(env->config, r->caller, &r->call, NULL, &r->grant, &r->status) !=
		    PROTO_OK ||
	    quota_admit(&r->charge, env, r->caller->account, r->grant.requests, &r->status) !=
		    PROTO_OK)
		return FAILED;
	env_refresh(env);
	return fail(trust_get(env->trust, &r->call.trust, &r->anchors, &r->status));
}

static enum progress offer_begin(struct request *r)
{
	struct env *env = r->env;

	r->ssl = tls_session(env->tls, &r->call, TLS_OFFER_KERNEL, &r->status);
	if (r->ssl)
		return DONE;
	/* What is wrong with the request comes first, for its caller can mend that. */
	if (r->status.error == PROTO_NOT_OFFLOADABLE && !kernel_takes_any(&env->kernel))
		return fail(kernel_unavailable(&env->kernel, &r->status));
	return FAILED;
}

/* A probe tells what would be agreed on without the kernel, and what the kernel makes of that. */
static enum progress offer_all_begin(struct request *r)
{
	r->ssl = tls_session(r->env->tls, &r->call, TLS_OFFER_ALL, &r->status);
	if (!r->ssl)
		return FAILED;
	if (survey_offer(&r->probe, r->ssl, &r->env->kernel))
		return DONE;
	return fail(proto_status_set(&r->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_POLICY, ENOMEM,
				     "out of memory"));
}

/* --- resolve: host to addresses */

static void resolve_done(struct lookup *lookup)
{
	struct request *r = container_of(lookup, struct request, lookup);

	if (lookup->gai_error) {
		gai_explain(lookup, &r->status);
		return finish(r);
	}
	r->addresses = lookup->addresses;
	advance(r);
}

static enum progress resolve_begin(struct request *r)
{
	if (addresses_from_literal(&r->addresses, r->call.host))
		return DONE;
	lookup_start(&r->lookup, &r->env->resolver, r->caller->account, r->call.host, resolve_done);
	return PENDING;
}

/* --- connect: addresses to a TCP connection */

static void connect_done(struct connect_race *race)
{
	struct request *r = container_of(race, struct request, race);
	char others[48] = "";

	address_format(r->session.address, race->address);
	r->fd = steal_fd(&race->fd);
	if (r->fd >= 0)
		return advance(r);
	if (race->started > 1)
		snprintf(others, sizeof(others), ", the last of %u addresses tried", race->started);
	proto_status_set(&r->status, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT, race->last_errno,
			 "%s%s: %s", r->session.address, others, strerror(race->last_errno));
	finish(r);
}

/* Whatever was asked for, and whoever answered: this is where it would go. */
static enum progress connect_begin(struct request *r)
{
	if (access_filter(r->env->config, r->caller, &r->call, &r->addresses, &r->grant,
			  &r->status) != PROTO_OK)
		return FAILED;
	if (quota_confirm(r->env, r->caller->account, r->grant.requests, &r->status) != PROTO_OK)
		return FAILED;
	for (uint32_t i = 0; i < r->addresses.n; i++)
		address_set_port(&r->addresses.items[i], r->call.port);
	connect_start(&r->race, &r->env->watches, &r->addresses, connect_done);
	return PENDING;
}

/* --- handshake */

static void handshake_done(struct handshake *handshake, enum proto_error error)
{
	struct request *r = container_of(handshake, struct request, handshake);

	if (error == PROTO_OK)
		advance(r);
	else
		finish(r);
}

static enum progress attach_begin(struct request *r)
{
	return fail(attach_kernel(r->fd, r->env, &r->status));
}

static enum progress handshake_begin(struct request *r)
{
	socket_set_no_delay(r->fd, true);
	if (handshake_start(&r->handshake, &r->env->watches, &r->env->turns, r->caller->account,
			    r->fd, steal_ptr(&r->ssl), steal_ptr(&r->anchors), &r->call, &r->status,
			    handshake_done) != PROTO_OK)
		return FAILED;
	return PENDING;
}

/* The end of a probe: the session is told of, and nothing of it is kept. */
static enum progress survey_begin(struct request *r)
{
	handshake_facts(&r->handshake, &r->session);
	r->probe.takes_over = survey_session(&r->handshake, &r->env->kernel);
	handshake_farewell(&r->handshake);
	shut_down(r);
	return DONE;
}

/* --- install: the keys go to the kernel */

/* From the first key that the kernel takes, the socket is handed over whole or shut down, so
 * nothing that can fail stands behind kernel_install(). */
static enum progress install_begin(struct request *r)
{
	_cleanup_(session_keys_wipe) struct session_keys keys = { 0 };

	if (handshake_keys(&r->handshake, &keys) != PROTO_OK)
		return FAILED;
	handshake_facts(&r->handshake, &r->session);
	if (socket_prepare_hand_over(r->fd, r->env->config) < 0)
		return fail(proto_status_set(&r->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_INSTALL,
					     errno, "the socket's options could not be set: %m"));
	if (kernel_install(r->fd, &keys, &r->status) != PROTO_OK) {
		r->env->kernel_changed = true;
		return FAILED;
	}
	return DONE;
}

/* --- the table */

/* Whose a row is. What a probe does otherwise than a connect is here and nowhere else. */
enum {
	CONNECT = 1 << REQUEST_CONNECT,
	PROBE = 1 << REQUEST_PROBE,
	EACH = CONNECT | PROBE,
};

struct stage {
	enum proto_stage name;
	unsigned int whose;
	enum progress (*begin)(struct request *r);
	size_t limit_ms; /* where in struct config its own limit is; 0: none, it does not wait */
	size_t timing;	 /* where in struct proto_session its duration goes; 0: not told */
};

#define LIMIT(field) offsetof(struct config, limits.field)
#define TIMING(field) offsetof(struct proto_session, timings.field)

static const struct stage stages[] = {
	{ PROTO_STAGE_POLICY, EACH, policy_begin, 0, 0 },
	{ PROTO_STAGE_POLICY, CONNECT, offer_begin, 0, 0 },
	{ PROTO_STAGE_POLICY, PROBE, offer_all_begin, 0, 0 },
	{ PROTO_STAGE_RESOLVE, EACH, resolve_begin, LIMIT(resolve_ms), TIMING(resolve) },
	{ PROTO_STAGE_CONNECT, EACH, connect_begin, LIMIT(connect_ms), TIMING(connect) },
	{ PROTO_STAGE_HANDSHAKE, CONNECT, attach_begin, 0, 0 },
	{ PROTO_STAGE_HANDSHAKE, EACH, handshake_begin, LIMIT(handshake_ms), TIMING(handshake) },
	{ PROTO_STAGE_HANDSHAKE, PROBE, survey_begin, 0, 0 },
	{ PROTO_STAGE_INSTALL, CONNECT, install_begin, 0, TIMING(install) },
};

static void arm_deadline(struct request *r)
{
	const struct stage *stage = &stages[r->stage];
	int64_t left_us = (int64_t)r->call.timeout_ms * 1000 - (int64_t)(clock_us() - r->began_us);

	if (stage->limit_ms) {
		int64_t limit_us =
			*(const unsigned int *)((const char *)r->env->config + stage->limit_ms) *
			INT64_C(1000);

		left_us = limit_us < left_us ? limit_us : left_us;
	}
	/* The loop's idea of now is as old as this turn of it; a handshake may have taken
	 * milliseconds since. */
	ev_now_update(r->env->loop);
	ev_timer_stop(r->env->loop, &r->deadline);
	ev_timer_set(&r->deadline, left_us > 0 ? (double)left_us / 1e6 : 0, 0);
	ev_timer_start(r->env->loop, &r->deadline);
}

static enum progress begin_stage(struct request *r)
{
	r->stage_began_us = clock_us();
	arm_deadline(r);
	return stages[r->stage].begin(r);
}

static void end_stage(struct request *r)
{
	size_t timing = stages[r->stage].timing;

	if (timing)
		*(uint64_t *)((char *)&r->session + timing) = clock_us() - r->stage_began_us;
	r->stage++;
}

/* Goes to the next row that is this request's; false: it has no more. */
static bool find_stage(struct request *r)
{
	while (r->stage < array_size(stages) && !(stages[r->stage].whose & 1u << r->aim))
		r->stage++;
	return r->stage < array_size(stages);
}

static void run_stages(struct request *r)
{
	_cleanup_(turns_charge_end) struct turns_charge charge =
		turns_charge_begin(&r->env->turns, r->caller->account);

	while (find_stage(r)) {
		switch (begin_stage(r)) {
		case PENDING:
			return;
		case FAILED:
			return finish(r);
		case DONE:
			end_stage(r);
		}
	}
	finish(r);
}

/* For a stage that was pending: it is done. */
static void advance(struct request *r)
{
	end_stage(r);
	run_stages(r);
}

static void stop(struct request *r)
{
	ev_timer_stop(r->env->loop, &r->first_turn);
	ev_timer_stop(r->env->loop, &r->deadline);
	lookup_stop(&r->lookup);
	connect_stop(&r->race);
	handshake_stop(&r->handshake);
	SSL_free(steal_ptr(&r->ssl));
	X509_STORE_free(steal_ptr(&r->anchors));
}

static void shut_down(struct request *r)
{
	if (r->fd >= 0)
		shutdown(r->fd, SHUT_RDWR);
	close_fd(&r->fd);
}

/* A stage that failed without a word must not look like success, with a socket that has no keys. */
static void check_outcome(struct request *r)
{
	enum proto_stage stage;

	if (r->stage == array_size(stages))
		return;
	stage = stages[r->stage].name;
	if (r->status.stage == PROTO_STAGE_NONE)
		r->status.stage = stage;
	if (r->status.error == PROTO_OK)
		proto_status_set(&r->status, PROTO_INTERNAL_ERROR, stage, 0,
				 "the %s stage failed and did not say why",
				 proto_stage_name(stage));
}

/* The only way out. The owner may free the request in done. */
static void finish(struct request *r)
{
	check_outcome(r);
	stop(r);
	if (r->status.error != PROTO_OK)
		shut_down(r);
	r->session.timings.total = clock_us() - r->began_us;
	r->done(r);
}

static void on_deadline(EV_P_ ev_timer *timer, int events)
{
	struct request *r = container_of(timer, struct request, deadline);
	enum proto_stage stage = stages[r->stage].name;

	proto_status_set(&r->status, PROTO_TIMED_OUT, stage, 0,
			 "the %s stage was not done in time, %u ms after the start",
			 proto_stage_name(stage),
			 (unsigned int)((clock_us() - r->began_us) / 1000));
	r->status.retry = true;
	finish(r);
}

static void on_first_turn(EV_P_ ev_timer *timer, int events)
{
	struct request *r = container_of(timer, struct request, first_turn);

	run_stages(r);
}

struct request *request_new(struct env *env, const struct credentials *caller,
			    struct proto_connect *call, void *owner,
			    void (*done)(struct request *))
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->env = env;
	r->caller = caller;
	r->call = *call;
	*call = (struct proto_connect){ 0 };
	r->fd = r->race.fd = -1;
	r->owner = owner;
	r->done = done;
	ev_timer_init(&r->first_turn, on_first_turn, 0, 0);
	ev_timer_init(&r->deadline, on_deadline, 0, 0);
	return r;
}

struct request *request_free(struct request *r)
{
	if (!r)
		return NULL;
	stop(r);
	shut_down(r);
	charge_give_back(&r->charge);
	proto_connect_deinit(&r->call);
	proto_probe_deinit(&r->probe);
	free(r);
	return NULL;
}

void request_start(struct request *r)
{
	r->began_us = clock_us();
	ev_feed_event(r->env->loop, &r->first_turn, EV_TIMER);
}

void request_end(struct request *r)
{
	proto_status_set(&r->status, PROTO_BUSY, stages[r->stage].name, 0,
			 "the service ends, or is started anew");
	r->status.retry = true;
	finish(r);
}

int request_take(struct request *r)
{
	return steal_fd(&r->fd);
}

enum proto_stage request_stage(const struct request *r)
{
	return stages[r->stage].name;
}
