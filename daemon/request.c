/* SPDX-License-Identifier: MIT */
#include "daemon/request.h"

#include "daemon/clock.h"
#include "daemon/stages.h"

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
	while (r->stage < n_stages && !(stages[r->stage].whose & 1u << r->aim))
		r->stage++;
	return r->stage < n_stages;
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
			return request_finish(r);
		case DONE:
			end_stage(r);
		}
	}
	request_finish(r);
}

void request_advance(struct request *r)
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

void request_shut_down(struct request *r)
{
	if (r->fd >= 0)
		shutdown(r->fd, SHUT_RDWR);
	close_fd(&r->fd);
}

/* A stage that failed without a word must not look like success, with a socket that has no keys. */
static void check_outcome(struct request *r)
{
	enum proto_stage stage;

	if (r->stage == n_stages)
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
void request_finish(struct request *r)
{
	check_outcome(r);
	stop(r);
	if (r->status.error != PROTO_OK)
		request_shut_down(r);
	r->session.timings.total = clock_us() - r->began_us;
	if (r->trace)
		r->trace->timings = r->session.timings;
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
	request_finish(r);
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
	request_shut_down(r);
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
	request_finish(r);
}

int request_take(struct request *r)
{
	return steal_fd(&r->fd);
}

/* What is wrong with a parameter may be seen late, and is its caller's matter alone. */
const struct proto_trace *request_trace(const struct request *r)
{
	return r->status.error == PROTO_INVALID_PARAMETER ? NULL : r->trace;
}

enum proto_stage request_stage(const struct request *r)
{
	return stages[r->stage].name;
}
