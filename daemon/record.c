/* SPDX-License-Identifier: MIT */
#include "daemon/record.h"

#include "daemon/events.h"
#include "daemon/rate.h"

#include <stdio.h>
#include <string.h>

struct record {
	uid_t uid;
	const struct request *request;
	unsigned int ending;
	unsigned long suppressed;
};

/* What a value that is not text is written into. */
#define SCRATCH_MAX 24

/* --- values: NULL or empty, and the field is left out */

static const char *text_at(const struct record *record, size_t where, char *scratch)
{
	return (const char *)record->request + where;
}

static const char *pointer_at(const struct record *record, size_t where, char *scratch)
{
	return *(const char *const *)text_at(record, where, scratch);
}

static const char *number(unsigned long long n, char *scratch)
{
	snprintf(scratch, SCRATCH_MAX, "%llu", n);
	return scratch;
}

/* A duration; 0: there was none. */
static const char *usec_at(const struct record *record, size_t where, char *scratch)
{
	uint64_t usec = *(const uint64_t *)text_at(record, where, scratch);

	return usec ? number(usec, scratch) : NULL;
}

static const char *method(const struct record *record, size_t where, char *scratch)
{
	return ending_aim_name(record->request->aim);
}

static const char *uid(const struct record *record, size_t where, char *scratch)
{
	return number(record->uid, scratch);
}

static const char *port(const struct record *record, size_t where, char *scratch)
{
	return number(record->request->call.port, scratch);
}

static const char *policy(const struct record *record, size_t where, char *scratch)
{
	return record->request->call.policy.name ?: "default";
}

static const char *stage(const struct record *record, size_t where, char *scratch)
{
	return proto_stage_name(record->request->status.stage);
}

static const char *outcome(const struct record *record, size_t where, char *scratch)
{
	return ending_name(record->ending);
}

static const char *sys_errno(const struct record *record, size_t where, char *scratch)
{
	return proto_errno_name(record->request->status.sys_errno, scratch);
}

static const char *suppressed(const struct record *record, size_t where, char *scratch)
{
	return record->suppressed ? number(record->suppressed, scratch) : NULL;
}

/* --- the table: ktlsd(8) has the same */

#define AT(member) offsetof(struct request, member)

static const struct {
	const char *name;
	const char *(*value)(const struct record *record, size_t where, char *scratch);
	size_t where;
} rows[] = {
	{ "KTLSD_METHOD", method, 0 },
	{ "KTLSD_UID", uid, 0 },
	{ "KTLSD_HOST", pointer_at, AT(call.host) },
	{ "KTLSD_PORT", port, 0 },
	{ "KTLSD_ADDRESS", text_at, AT(session.address) },
	{ "KTLSD_OUTCOME", outcome, 0 },
	{ "KTLSD_STAGE", stage, 0 },
	{ "KTLSD_ERRNO", sys_errno, 0 },
	{ "KTLSD_ALERT", text_at, AT(status.alert) },
	{ "KTLSD_X509", text_at, AT(status.x509) },
	{ "KTLSD_RULE", pointer_at, AT(grant.rule) },
	{ "KTLSD_POLICY", policy, 0 },
	{ "KTLSD_TLS_VERSION", text_at, AT(session.version) },
	{ "KTLSD_CIPHER", text_at, AT(session.cipher) },
	{ "KTLSD_VERIFIED_BY", text_at, AT(session.verified_by) },
	{ "KTLSD_RESOLVE_USEC", usec_at, AT(session.timings.resolve) },
	{ "KTLSD_CONNECT_USEC", usec_at, AT(session.timings.connect) },
	{ "KTLSD_HANDSHAKE_USEC", usec_at, AT(session.timings.handshake) },
	{ "KTLSD_INSTALL_USEC", usec_at, AT(session.timings.install) },
	{ "KTLSD_TOTAL_USEC", usec_at, AT(session.timings.total) },
	{ "KTLSD_SUPPRESSED", suppressed, 0 },
};

/* --- the sentence */

static const char *probe_words(const struct request *request)
{
	return request->aim == REQUEST_PROBE ? "probe of " : "";
}

static void tell_failure(const struct record *record, char *text, size_t size)
{
	const struct request *request = record->request;
	const struct proto_status *status = &request->status;
	const char *error = proto_error_info(status->error)->wire;

	snprintf(text, size, "uid %u: %s%s port %u: %s: %s: %s", record->uid,
		 probe_words(request), request->call.host, request->call.port,
		 proto_stage_name(status->stage), error, status->message);
}

static void tell_success(const struct record *record, char *text, size_t size)
{
	const struct request *request = record->request;
	const struct proto_session *session = &request->session;

	snprintf(text, size, "uid %u: %s%s port %u: %s, %s %s, verified by %s, %llu us%s",
		 record->uid, probe_words(request), request->call.host, request->call.port,
		 session->address, session->version, session->cipher, session->verified_by,
		 (unsigned long long)session->timings.total,
		 record->ending == PROTO_OK ? "" : ", and the caller did not take it");
}

static void tell_cancelled(const struct record *record, char *text, size_t size)
{
	const struct request *request = record->request;

	snprintf(text, size, "uid %u: %s%s port %u: %s: the caller hung up", record->uid,
		 probe_words(request), request->call.host, request->call.port,
		 proto_stage_name(request->status.stage));
}

static void tell_suppressed(const struct record *record, char *text, size_t size)
{
	*text = '\0';
	if (record->suppressed)
		snprintf(text, size, " (%lu requests of this uid before it are not logged)",
			 record->suppressed);
}

/* Of an ending that is not here it is an error. */
static const struct event {
	int priority;
	const char *id;
	void (*tell)(const struct record *record, char *text, size_t size);
} events[N_ENDINGS] = {
	[PROTO_OK] = { LOG_INFO, EVENT_REQUEST_DONE, tell_success },
	[ENDING_NOT_TAKEN] = { LOG_NOTICE, EVENT_SOCKET_NOT_TAKEN, tell_success },
	[ENDING_CANCELLED] = { LOG_INFO, EVENT_REQUEST_CANCELLED, tell_cancelled },
}, failure = { LOG_NOTICE, EVENT_REQUEST_FAILED, tell_failure };

void record_request(struct log *log, uid_t caller, const struct request *request,
		    unsigned int ending, unsigned long left_out)
{
	const struct record record = { caller, request, ending, left_out };
	const struct event *event = events[ending].tell ? &events[ending] : &failure;
	char scratch[array_size(rows)][SCRATCH_MAX], text[LOG_LINE_MAX], tail[80];
	struct log_field fields[array_size(rows)];

	for (size_t i = 0; i < array_size(rows); i++)
		fields[i] = (struct log_field){
			rows[i].name, rows[i].value(&record, rows[i].where, scratch[i])
		};
	event->tell(&record, text, sizeof(text));
	tell_suppressed(&record, tail, sizeof(tail));
	log_record(log, event->priority, event->id, fields, array_size(fields), "%s%s", text, tail);
}

bool record_allowed(struct record_share *share, uint64_t now_us, unsigned int per_second,
		    unsigned int burst, unsigned long *left_out)
{
	if (!rate_take(&share->rate, now_us, per_second, burst)) {
		share->suppressed++;
		return false;
	}
	*left_out = atomic_exchange(&share->suppressed, 0);
	return true;
}
