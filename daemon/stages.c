/* SPDX-License-Identifier: MIT */
#include "daemon/stages.h"

#include "daemon/attach.h"
#include "daemon/gai.h"
#include "daemon/quota.h"
#include "daemon/sockopt.h"
#include "daemon/survey.h"

#include <string.h>

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
	if (survey_offer(&r->probe, r->ssl, &r->env->kernel) && trace_begin(&r->probe.trace)) {
		r->trace = &r->probe.trace;
		return DONE;
	}
	return fail(proto_status_set(&r->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_POLICY, ENOMEM,
				     "out of memory"));
}

/* --- resolve: host to addresses */

static void resolve_done(struct lookup *lookup)
{
	struct request *r = container_of(lookup, struct request, lookup);

	if (lookup->gai_error) {
		gai_explain(lookup, &r->status);
		return request_finish(r);
	}
	r->addresses = lookup->addresses;
	request_advance(r);
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
		return request_advance(r);
	if (race->started > 1)
		snprintf(others, sizeof(others), ", the last of %u addresses tried", race->started);
	proto_status_set(&r->status, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT, race->last_errno,
			 "%s%s: %s", r->session.address, others, strerror(race->last_errno));
	request_finish(r);
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
	r->race.trace = r->trace;
	r->race.began_us = r->stage_began_us;
	return PENDING;
}

/* --- handshake */

static void handshake_done(struct handshake *handshake, enum proto_error error)
{
	struct request *r = container_of(handshake, struct request, handshake);

	if (error == PROTO_OK)
		request_advance(r);
	else
		request_finish(r);
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
	r->handshake.verify.trace = r->trace;
	return PENDING;
}

/* The end of a probe: the session is told of, and nothing of it is kept. */
static enum progress survey_begin(struct request *r)
{
	handshake_facts(&r->handshake, &r->session);
	r->probe.takes_over = survey_session(&r->handshake, &r->env->kernel);
	handshake_farewell(&r->handshake);
	request_shut_down(r);
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

#define LIMIT(field) offsetof(struct config, limits.field)
#define TIMING(field) offsetof(struct proto_session, timings.field)

const struct stage stages[] = {
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
const size_t n_stages = array_size(stages);
