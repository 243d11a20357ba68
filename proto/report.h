/* SPDX-License-Identifier: MIT */
/*
 * What the service tells of itself (GetStatus) and of what it can do here (GetCapabilities), as plain
 * C data. io.ktlsd.varlink says what each member means; proto/report.c has the rows. It is only
 * written: who asks reads the text.
 *
 * Every list and every char * that is not const belongs to the struct (malloc); NULL is null on the
 * wire. x_deinit() may be called twice.
 */
#pragma once

#include "proto/message.h"

/* --- GetStatus */

struct proto_outcome {
	const char *method, *outcome;	/* constant */
	const char *stage;		/* constant, or NULL */
	uint64_t count;
};

struct proto_bucket {
	uint64_t up_to, count;
};

struct proto_latency {
	const char *stage;		/* constant */
	uint64_t count, sum, p50, p90, p99;
	struct proto_list buckets;	/* struct proto_bucket */
};

struct proto_agreed {
	const char *version, *cipher;	/* constant */
	uint64_t count;
};

struct proto_quota {
	const char *name;		/* constant */
	unsigned int used, limit, user_used, user_limit;
};

struct proto_worker {
	unsigned int pid;
	char since[32];
	uint64_t under_way;
};

struct proto_setting {
	const char *section, *key;	/* constant */
	char *value;
};

struct proto_report {
	const char *version;		/* constant */
	char since[32], loaded[32];
	unsigned int pid;
	struct proto_list workers;	/* struct proto_worker */
	uint64_t workers_lost, reloads, under_way, calls_refused, records_suppressed;
	struct proto_list outcomes;	/* struct proto_outcome */
	struct proto_list latencies;	/* struct proto_latency */
	struct proto_list sessions;	/* struct proto_agreed */
	struct proto_list quotas;	/* struct proto_quota */
	struct proto_list configuration; /* struct proto_setting */
};

/* --- GetCapabilities */

struct proto_kernel_cipher {
	const char *name, *module;	/* constant */
	int sys_errno;			/* 0: it takes it */
};

struct proto_kernel {
	char release[65];
	int tls_errno, loopback_errno;	/* 0: there is nothing in the way */
	struct proto_list ciphers;	/* struct proto_kernel_cipher */
};

struct proto_policy_offer {
	const char *name, *groups, *signature_algorithms; /* the configuration's */
	struct proto_strings suites, offloadable;
};

struct proto_store_state {
	const char *name, *file;	/* the service's; the file's path escaped */
	unsigned int certificates, valid;
	char not_after[32];
};

struct proto_caller {
	unsigned int uid;
	bool allowed, verify_none, barred;
	struct proto_strings rules;
};

struct proto_capabilities {
	const char *openssl;		/* constant */
	bool managed;
	struct proto_strings suites, offloadable;
	struct proto_kernel kernel;
	struct proto_list policies;	/* struct proto_policy_offer */
	struct proto_list stores;	/* struct proto_store_state */
	struct proto_caller caller;
};

void proto_report_deinit(struct proto_report *report);
void proto_capabilities_deinit(struct proto_capabilities *capabilities);

/* Replies, as those of message.h. */
char *proto_report_encode(const struct proto_report *report, size_t *length);
char *proto_capabilities_encode(const struct proto_capabilities *capabilities, size_t *length);
