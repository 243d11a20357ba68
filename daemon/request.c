/* SPDX-License-Identifier: MIT */
#include "daemon/request.h"

#include "daemon/clock.h"
#include "daemon/sockopt.h"

#include <netinet/tcp.h>
#include <string.h>

/* What a stage says when it is begun. PENDING: one of its callbacks will call advance() or
 * finish(), as its last act. */
enum progress { DONE, PENDING, FAILED };

static void advance(struct request *r);
static void finish(struct request *r);

static enum progress fail(enum proto_error error)
{
	return error == PROTO_OK ? DONE : FAILED;
}

/* --- policy: may this be asked for, and what is left of it */

static enum progress policy_begin(struct request *r)
{
	struct env *env = r->env;

	env_refresh(env);
	if (verify_is_none(&r->call.trust) && !env->config->service.allow_verify_none)
		return fail(proto_status_set(&r->status, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY,
					     0,
					     "verify: none is not allowed: AllowVerifyNone= in the "
					     "configuration is off"));
	if (trust_get(env->trust, &r->call.trust, &r->anchors, &r->status) != PROTO_OK)
		return FAILED;
	r->ssl = tls_session(env->tls, &r->call, &r->status);
	if (r->ssl)
		return DONE;
	/* What is wrong with the request comes first, for its caller can mend that. */
	if (r->status.error == PROTO_NOT_OFFLOADABLE && !kernel_takes_any(&env->kernel))
		return fail(kernel_unavailable(&env->kernel, &r->status));
	return FAILED;
}

/* --- resolve: host to addresses */

static void resolve_failed(struct request *r)
{
	int gai = r->lookup.gai_error, error = gai == EAI_SYSTEM ? r->lookup.sys_errno : 0;

	if (r->lookup.lost)
		proto_status_set(&r->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_RESOLVE, error,
				 "the process that looked up %s gave no answer: %s", r->call.host,
				 strerror(error));
	else
		proto_status_set(&r->status, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE, error,
				 "%s: %s", r->call.host,
				 error ? strerror(error) : gai_strerror(gai));
	r->status.retry = gai == EAI_AGAIN || gai == EAI_SYSTEM || gai == EAI_MEMORY;
}

static void resolve_done(struct lookup *lookup)
{
	struct request *r = container_of(lookup, struct request, lookup);

	if (lookup->gai_error) {
		resolve_failed(r);
		return finish(r);
	}
	r->addresses = lookup->addresses;
	advance(r);
}

static enum progress resolve_begin(struct request *r)
{
	if (addresses_from_literal(&r->addresses, r->call.host))
		return DONE;
	lookup_start(&r->lookup, &r->env->resolver, r->account, r->call.host, resolve_done);
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

static enum progress connect_begin(struct request *r)
{
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

/* The kernel wants a connection that stands, and says ENOTCONN to one that the peer has left
 * already. */
static bool peer_has_left(int fd, int sys_errno)
{
	struct tcp_info info = { .tcpi_state = TCP_ESTABLISHED };
	socklen_t length = sizeof(info);

	return sys_errno == ENOTCONN && getsockopt(fd, SOL_TCP, TCP_INFO, &info, &length) == 0 &&
	       info.tcpi_state != TCP_ESTABLISHED;
}

static enum progress attach_failed(struct request *r)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (!peer_has_left(r->fd, r->status.sys_errno)) {
		r->env->kernel_changed = true;
		return FAILED;
	}
	getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return fail(proto_status_set(&r->status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE,
				     error,
				     "the peer closed the connection before the handshake%s%s",
				     error ? ": " : "", error ? strerror(error) : ""));
}

/*
 * The ULP is attached before the first byte: a peer that sends its FIN right behind the handshake
 * would leave the socket in CLOSE_WAIT, in which the kernel refuses the ULP; and a kernel that
 * refuses it for another cause need not see a handshake.
 */
static enum progress handshake_begin(struct request *r)
{
	socket_set_no_delay(r->fd, true);
	if (kernel_attach(r->fd, &r->status) != PROTO_OK)
		return attach_failed(r);
	if (handshake_start(&r->handshake, &r->env->watches, &r->env->turns, r->account, r->fd,
			    steal_ptr(&r->ssl), steal_ptr(&r->anchors), &r->call, &r->status,
			    handshake_done) != PROTO_OK)
		return FAILED;
	return PENDING;
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

struct stage {
	enum proto_stage name;
	enum progress (*begin)(struct request *r);
	size_t limit_ms; /* where in struct config its own limit is; 0: none, it does not wait */
	size_t timing;	 /* where in struct proto_session its duration goes; 0: not told */
};

#define LIMIT(field) offsetof(struct config, limits.field)
#define TIMING(field) offsetof(struct proto_session, timings.field)

static const struct stage stages[] = {
	{ PROTO_STAGE_POLICY, policy_begin, 0, 0 },
	{ PROTO_STAGE_RESOLVE, resolve_begin, LIMIT(resolve_ms), TIMING(resolve) },
	{ PROTO_STAGE_CONNECT, connect_begin, LIMIT(connect_ms), TIMING(connect) },
	{ PROTO_STAGE_HANDSHAKE, handshake_begin, LIMIT(handshake_ms), TIMING(handshake) },
	{ PROTO_STAGE_INSTALL, install_begin, 0, TIMING(install) },
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

static void run_stages(struct request *r)
{
	_cleanup_(turns_charge_end) struct turns_charge charge =
		turns_charge_begin(&r->env->turns, r->account);

	while (r->stage < array_size(stages)) {
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

	if (r->status.error == PROTO_OK)
		run_stages(r);
	else
		finish(r);
}

struct request *request_new(struct env *env, struct proto_connect *call, void *owner,
			    void (*done)(struct request *))
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->env = env;
	r->call = *call;
	*call = (struct proto_connect){ 0 };
	r->fd = r->race.fd = -1;
	r->owner = owner;
	r->done = done;
	ev_timer_init(&r->first_turn, on_first_turn, 0, 0);
	ev_timer_init(&r->deadline, on_deadline, 0, 0);
	env->requests++;
	return r;
}

struct request *request_free(struct request *r)
{
	if (!r)
		return NULL;
	stop(r);
	shut_down(r);
	r->env->requests--;
	proto_connect_deinit(&r->call);
	free(r);
	return NULL;
}

/* Those that began before count, and nobody else: of two that come in one turn, one has room. */
static void check_limit(struct request *r)
{
	unsigned int limit = r->env->config->limits.requests;

	if (r->env->requests <= limit)
		return;
	proto_status_set(&r->status, PROTO_BUSY, PROTO_STAGE_POLICY, 0,
			 "the service has %u requests under way, its limit", limit);
	r->status.retry = true;
}

void request_start(struct request *r)
{
	r->began_us = clock_us();
	check_limit(r);
	ev_feed_event(r->env->loop, &r->first_turn, EV_TIMER);
}

int request_take(struct request *r)
{
	return steal_fd(&r->fd);
}
