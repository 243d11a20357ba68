/* SPDX-License-Identifier: MIT */
#include "proto/report.h"
#include "proto/schema.h"
#include "proto/util.h"

/* Rows of what is only written: its bounds are its maker's. */
#define AT(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define CONSTANT(type, name, presence, member) { name, PROTO_KIND_CONSTANT, presence, AT(type, member) }
#define TEXT(type, name, presence, member)							\
	{ name, PROTO_KIND_TEXT, presence, AT(type, member),					\
	  .most = sizeof(((struct type *)NULL)->member) }
#define STRING(type, name, presence, member) { name, PROTO_KIND_STRING, presence, AT(type, member) }
#define STRINGS(type, name, member) { name, PROTO_KIND_STRINGS, PROTO_REQUIRED, AT(type, member) }
#define NUMBER(type, name, member) { name, PROTO_KIND_INTEGER, PROTO_REQUIRED, AT(type, member) }
#define BOOL(type, name, member) { name, PROTO_KIND_BOOL, PROTO_REQUIRED, AT(type, member) }
#define ERRNO(type, name, member) { name, PROTO_KIND_ERRNO, PROTO_NULLABLE, AT(type, member) }
#define OBJECT(type, name, member, of)								\
	{ name, PROTO_KIND_OBJECT, PROTO_REQUIRED, AT(type, member), .schema = of }
#define OBJECTS(type, name, member, item, of)							\
	{ name, PROTO_KIND_OBJECTS, PROTO_REQUIRED, .offset = offsetof(struct type, member),	\
	  .size = sizeof(struct item), .schema = of }
#define SCHEMA(symbol, name, rows)								\
	struct proto_schema symbol = { .type = name, .fields = rows, .n = array_size(rows) }

/* --- Probe */

static const struct proto_word attempt_states[] = {
	{ "abandoned", PROTO_ATTEMPT_ABANDONED },
	{ "failed", PROTO_ATTEMPT_FAILED },
	{ "connected", PROTO_ATTEMPT_CONNECTED },
	{ NULL, 0 },
};

static const struct proto_field attempt_fields[] = {
	TEXT(proto_attempt, "address", PROTO_REQUIRED, address),
	{ "state", PROTO_KIND_WORD, PROTO_REQUIRED, AT(proto_attempt, state),
	  .words = attempt_states },
	ERRNO(proto_attempt, "errno", sys_errno),
	NUMBER(proto_attempt, "begun", begun),
	NUMBER(proto_attempt, "took", took),
};

static const SCHEMA(schema_attempt, "Attempt", attempt_fields);

static const struct proto_field certificate_fields[] = {
	TEXT(proto_certificate, "subject", PROTO_REQUIRED, subject),
	TEXT(proto_certificate, "issuer", PROTO_REQUIRED, issuer),
	STRINGS(proto_certificate, "names", names),
	TEXT(proto_certificate, "notBefore", PROTO_REQUIRED, not_before),
	TEXT(proto_certificate, "notAfter", PROTO_REQUIRED, not_after),
	TEXT(proto_certificate, "key", PROTO_REQUIRED, key),
	TEXT(proto_certificate, "signature", PROTO_REQUIRED, signature),
	TEXT(proto_certificate, "certSha256", PROTO_REQUIRED, cert_sha256),
	TEXT(proto_certificate, "spkiSha256", PROTO_REQUIRED, spki_sha256),
	TEXT(proto_certificate, "problem", PROTO_NULLABLE, problem),
};

static const SCHEMA(schema_certificate, "Certificate", certificate_fields);

static const struct proto_field trace_fields[] = {
	OBJECTS(proto_trace, "attempts", attempts, proto_attempt, &schema_attempt),
	OBJECTS(proto_trace, "chain", chain, proto_certificate, &schema_certificate),
	OBJECT(proto_trace, "timings", timings, &proto_schema_timings),
};

const SCHEMA(proto_schema_trace, "Trace", trace_fields);

void proto_trace_deinit(struct proto_trace *trace)
{
	proto_schema_free(&proto_schema_trace, trace);
}

/* --- GetStatus */

static const struct proto_field worker_fields[] = {
	NUMBER(proto_worker, "pid", pid),
	TEXT(proto_worker, "since", PROTO_REQUIRED, since),
	NUMBER(proto_worker, "underWay", under_way),
};

static const SCHEMA(schema_worker, "Worker", worker_fields);

static const struct proto_field outcome_fields[] = {
	CONSTANT(proto_outcome, "method", PROTO_REQUIRED, method),
	CONSTANT(proto_outcome, "outcome", PROTO_REQUIRED, outcome),
	CONSTANT(proto_outcome, "stage", PROTO_NULLABLE, stage),
	NUMBER(proto_outcome, "count", count),
};

static const SCHEMA(schema_outcome, "Outcome", outcome_fields);

static const struct proto_field bucket_fields[] = {
	NUMBER(proto_bucket, "upTo", up_to),
	NUMBER(proto_bucket, "count", count),
};

static const SCHEMA(schema_bucket, "Bucket", bucket_fields);

static const struct proto_field latency_fields[] = {
	CONSTANT(proto_latency, "stage", PROTO_REQUIRED, stage),
	NUMBER(proto_latency, "count", count),
	NUMBER(proto_latency, "sum", sum),
	NUMBER(proto_latency, "p50", p50),
	NUMBER(proto_latency, "p90", p90),
	NUMBER(proto_latency, "p99", p99),
	OBJECTS(proto_latency, "buckets", buckets, proto_bucket, &schema_bucket),
};

static const SCHEMA(schema_latency, "Latency", latency_fields);

static const struct proto_field agreed_fields[] = {
	CONSTANT(proto_agreed, "version", PROTO_REQUIRED, version),
	CONSTANT(proto_agreed, "cipher", PROTO_REQUIRED, cipher),
	NUMBER(proto_agreed, "count", count),
};

static const SCHEMA(schema_agreed, "Agreed", agreed_fields);

static const struct proto_field quota_fields[] = {
	CONSTANT(proto_quota, "name", PROTO_REQUIRED, name),
	NUMBER(proto_quota, "used", used),
	NUMBER(proto_quota, "limit", limit),
	NUMBER(proto_quota, "userUsed", user_used),
	NUMBER(proto_quota, "userLimit", user_limit),
};

static const SCHEMA(schema_quota, "Quota", quota_fields);

static const struct proto_field setting_fields[] = {
	CONSTANT(proto_setting, "section", PROTO_REQUIRED, section),
	CONSTANT(proto_setting, "key", PROTO_REQUIRED, key),
	STRING(proto_setting, "value", PROTO_REQUIRED, value),
};

static const SCHEMA(schema_setting, "Setting", setting_fields);

static const struct proto_field report_fields[] = {
	CONSTANT(proto_report, "version", PROTO_REQUIRED, version),
	TEXT(proto_report, "since", PROTO_REQUIRED, since),
	TEXT(proto_report, "loaded", PROTO_REQUIRED, loaded),
	NUMBER(proto_report, "pid", pid),
	OBJECTS(proto_report, "workers", workers, proto_worker, &schema_worker),
	NUMBER(proto_report, "workersLost", workers_lost),
	NUMBER(proto_report, "reloads", reloads),
	NUMBER(proto_report, "underWay", under_way),
	NUMBER(proto_report, "callsRefused", calls_refused),
	NUMBER(proto_report, "recordsSuppressed", records_suppressed),
	OBJECTS(proto_report, "outcomes", outcomes, proto_outcome, &schema_outcome),
	OBJECTS(proto_report, "latencies", latencies, proto_latency, &schema_latency),
	OBJECTS(proto_report, "sessions", sessions, proto_agreed, &schema_agreed),
	OBJECTS(proto_report, "quotas", quotas, proto_quota, &schema_quota),
	OBJECTS(proto_report, "configuration", configuration, proto_setting, &schema_setting),
};

const SCHEMA(proto_schema_report, NULL, report_fields);

void proto_report_deinit(struct proto_report *report)
{
	proto_schema_free(&proto_schema_report, report);
}

/* --- GetCapabilities */

static const struct proto_field kernel_cipher_fields[] = {
	CONSTANT(proto_kernel_cipher, "name", PROTO_REQUIRED, name),
	CONSTANT(proto_kernel_cipher, "module", PROTO_REQUIRED, module),
	ERRNO(proto_kernel_cipher, "errno", sys_errno),
};

static const SCHEMA(schema_kernel_cipher, "KernelCipher", kernel_cipher_fields);

static const struct proto_field kernel_fields[] = {
	TEXT(proto_kernel, "release", PROTO_REQUIRED, release),
	ERRNO(proto_kernel, "tlsErrno", tls_errno),
	ERRNO(proto_kernel, "loopbackErrno", loopback_errno),
	OBJECTS(proto_kernel, "ciphers", ciphers, proto_kernel_cipher, &schema_kernel_cipher),
};

static const SCHEMA(schema_kernel, "Kernel", kernel_fields);

static const struct proto_field policy_offer_fields[] = {
	CONSTANT(proto_policy_offer, "name", PROTO_REQUIRED, name),
	STRINGS(proto_policy_offer, "suites", suites),
	STRINGS(proto_policy_offer, "offloadable", offloadable),
	CONSTANT(proto_policy_offer, "groups", PROTO_REQUIRED, groups),
	CONSTANT(proto_policy_offer, "signatureAlgorithms", PROTO_REQUIRED, signature_algorithms),
};

static const SCHEMA(schema_policy_offer, "PolicyOffer", policy_offer_fields);

static const struct proto_field store_state_fields[] = {
	CONSTANT(proto_store_state, "name", PROTO_REQUIRED, name),
	CONSTANT(proto_store_state, "file", PROTO_NULLABLE, file),
	NUMBER(proto_store_state, "certificates", certificates),
	NUMBER(proto_store_state, "valid", valid),
	TEXT(proto_store_state, "notAfter", PROTO_NULLABLE, not_after),
};

static const SCHEMA(schema_store_state, "StoreState", store_state_fields);

static const struct proto_field caller_fields[] = {
	NUMBER(proto_caller, "uid", uid),
	BOOL(proto_caller, "allowed", allowed),
	BOOL(proto_caller, "verifyNone", verify_none),
	BOOL(proto_caller, "barred", barred),
	STRINGS(proto_caller, "rules", rules),
};

static const SCHEMA(schema_caller, "Caller", caller_fields);

static const struct proto_field capabilities_fields[] = {
	CONSTANT(proto_capabilities, "openssl", PROTO_REQUIRED, openssl),
	BOOL(proto_capabilities, "managed", managed),
	STRINGS(proto_capabilities, "suites", suites),
	STRINGS(proto_capabilities, "offloadable", offloadable),
	OBJECT(proto_capabilities, "kernel", kernel, &schema_kernel),
	OBJECTS(proto_capabilities, "policies", policies, proto_policy_offer, &schema_policy_offer),
	OBJECTS(proto_capabilities, "stores", stores, proto_store_state, &schema_store_state),
	OBJECT(proto_capabilities, "caller", caller, &schema_caller),
};

const SCHEMA(proto_schema_capabilities, NULL, capabilities_fields);

void proto_capabilities_deinit(struct proto_capabilities *capabilities)
{
	proto_schema_free(&proto_schema_capabilities, capabilities);
}
