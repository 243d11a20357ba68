/* SPDX-License-Identifier: MIT */
#include "daemon/calls.h"

#include "daemon/capabilities.h"
#include "daemon/clock.h"
#include "daemon/quota.h"
#include "daemon/record.h"
#include "daemon/stats.h"

static const struct proto_info service_info = {
	.vendor = "ktlsd",
	.product = "ktlsd",
	.version = KTLSD_VERSION,
	.url = "man:ktlsd(8)",
};

/* --- replies */

/* text NULL is a lack of memory; then there is nothing to be said any more, and closing says it. */
static void reply(struct peer *peer, char *text, size_t length, int fd)
{
	if (text)
		proto_writer_put(&peer->writer, text, length, fd);
	else
		peer->last = true;
}

void calls_refuse(struct peer *peer, const struct proto_status *status)
{
	size_t length;
	char *text = proto_status_encode(status, &length);

	reply(peer, text, length, -1);
}

/* Where it may not be handed over, or there is no memory for the reply, the request keeps the socket,
 * and shuts it down when it is freed. */
static void reply_session(struct peer *peer, struct request *request)
{
	size_t length;
	char *text;

	if (quota_deliver(&peer->untaken.charge, peer->env, peer->credentials.account,
			  &request->status) != PROTO_OK)
		return calls_refuse(peer, &request->status);
	text = proto_session_encode(&request->session, &length);
	reply(peer, text, length, text ? request_take(request) : -1);
}

/* A probe that failed tells how far it came. */
static void refuse_request(struct peer *peer, const struct request *request)
{
	const struct proto_trace *trace = request_trace(request);
	size_t length;
	char *text;

	if (!trace)
		return calls_refuse(peer, &request->status);
	text = proto_probe_failure_encode(&request->status, trace, &length);
	reply(peer, text, length, -1);
}

static void reply_probe(struct peer *peer, struct request *request)
{
	size_t length;
	char *text = proto_probe_encode(&request->session, &request->probe, &length);

	reply(peer, text, length, -1);
}

/* --- calls */

/* How success is told. */
static void (*const reply_success[])(struct peer *peer, struct request *request) = {
	[REQUEST_CONNECT] = reply_session,
	[REQUEST_PROBE] = reply_probe,
};

/* Counted whether or not it is logged, and nothing else is. */
static void tell_outcome(struct peer *peer, unsigned int ending)
{
	const struct env *env = peer->env;
	const struct request *request = peer->request;
	struct ledger_account *account = &env->book->ledger->accounts[peer->credentials.account];
	unsigned long suppressed;

	if (record_allowed(&account->records, clock_us(), env->config->limits.user_records_per_sec,
			   env->config->limits.user_records_burst, &suppressed))
		record_request(env->log, peer->credentials.uid, request, ending, suppressed);
	else
		tally_suppress(env->tally, env->book->seat);
	tally_end(env->tally, env->book->seat, request->aim, ending, request->status.stage,
		  &request->session);
}

void calls_conclude(struct peer *peer, bool delivered)
{
	if (!peer->answered)
		return;
	tell_outcome(peer, ending_of(peer->request->status.error, delivered));
	peer->answered = false;
	peer->request = request_free(peer->request);
}

void calls_cancel(struct peer *peer)
{
	struct request *request = peer->request;

	calls_conclude(peer, false);
	if (!peer->request)
		return;
	request->status.stage = request_stage(request);
	request->session.timings.total = clock_us() - request->began_us;
	tell_outcome(peer, ENDING_CANCELLED);
	peer->request = request_free(peer->request);
}

static void request_done(struct request *request)
{
	struct peer *peer = request->owner;

	peer->answered = true;
	if (!peer->silent && request->status.error == PROTO_OK)
		reply_success[request->aim](peer, request);
	else if (!peer->silent)
		refuse_request(peer, request);
	peer_settle(peer);
}

static void begin_request(struct peer *peer, struct proto_call *call, enum request_aim aim)
{
	peer->silent = call->oneway;
	peer->request = request_new(peer->env, &peer->credentials, &call->connect, peer,
				    request_done);
	if (!peer->request) {
		peer->last = true;
		return;
	}
	peer->request->aim = aim;
	tally_begin(peer->env->tally, peer->env->book->seat, aim);
	request_start(peer->request);
}

static void carry_out_connect(struct peer *peer, struct proto_call *call)
{
	begin_request(peer, call, REQUEST_CONNECT);
}

static void carry_out_probe(struct peer *peer, struct proto_call *call)
{
	begin_request(peer, call, REQUEST_PROBE);
}

static void carry_out_get_capabilities(struct peer *peer, struct proto_call *call)
{
	_cleanup_(proto_capabilities_deinit) struct proto_capabilities capabilities = { .managed = false };
	char *text = NULL;
	size_t length = 0;

	if (call->oneway)
		return;
	if (capabilities_fill(&capabilities, peer->env, &peer->credentials))
		text = proto_capabilities_encode(&capabilities, &length);
	reply(peer, text, length, -1);
}

static void carry_out_get_status(struct peer *peer, struct proto_call *call)
{
	_cleanup_(proto_report_deinit) struct proto_report report = { 0 };
	char *text = NULL;
	size_t length = 0;

	if (call->oneway)
		return;
	if (stats_report(peer->env, peer->credentials.account, &report))
		text = proto_report_encode(&report, &length);
	reply(peer, text, length, -1);
}

static void carry_out_get_info(struct peer *peer, struct proto_call *call)
{
	size_t length;
	char *text = call->oneway ? NULL : proto_info_encode(&service_info, &length);

	if (!call->oneway)
		reply(peer, text, length, -1);
}

static void carry_out_get_interface_description(struct peer *peer, struct proto_call *call)
{
	size_t length;
	char *text = call->oneway ? NULL : proto_description_encode(call->interface, &length);

	if (!call->oneway)
		reply(peer, text, length, -1);
}

static void (*const carry_out[])(struct peer *peer, struct proto_call *call) = {
	[PROTO_METHOD_CONNECT] = carry_out_connect,
	[PROTO_METHOD_PROBE] = carry_out_probe,
	[PROTO_METHOD_GET_STATUS] = carry_out_get_status,
	[PROTO_METHOD_GET_CAPABILITIES] = carry_out_get_capabilities,
	[PROTO_METHOD_GET_INFO] = carry_out_get_info,
	[PROTO_METHOD_GET_INTERFACE_DESCRIPTION] = carry_out_get_interface_description,
};

/* Nothing of what has come is carried out, and where that can be said it is. */
static void begin_nothing(struct peer *peer, const struct proto_status *status)
{
	tally_refuse(peer->env->tally, peer->env->book->seat);
	if (status)
		calls_refuse(peer, status);
}

void calls_begin(struct peer *peer, const char *text, size_t length)
{
	_cleanup_(proto_call_deinit) struct proto_call call = { 0 };
	struct proto_status status;
	bool oneway = false;

	if (peer->reader.fd_refused) {
		proto_status_invalid(&status, "fileDescriptor",
				     "no message may carry a descriptor; this one was dropped");
		peer->last = true;
		return begin_nothing(peer, &status);
	}
	switch (proto_call_decode(&call, text, length, &status, &oneway)) {
	case PROTO_DECODE_OK:
		return carry_out[call.method](peer, &call);
	case PROTO_DECODE_REFUSED:
		return begin_nothing(peer, oneway ? NULL : &status);
	case PROTO_DECODE_CLOSE:
	case PROTO_DECODE_NO_MEMORY:
		peer->last = true;
		return begin_nothing(peer, NULL);
	}
}
