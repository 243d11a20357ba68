/* SPDX-License-Identifier: MIT */
/*
 * struct ktls: one request, what it asks for, how far it is, and how it ended. handle.c makes and
 * sets it, call.c and sync.c run it, outcome.c tells of it.
 */
#pragma once

#include "client/ktls.h"
#include "proto/frame.h"
#include "proto/message.h"

#include <sys/socket.h>
#include <sys/un.h>

/* What the library waits for an answer beyond the timeout that it gave to the service. */
#define KTLS_MARGIN_MS 2000

enum call_state {
	CALL_NEW,
	CALL_REACHING, /* not connected: the service's queue was full */
	CALL_SENDING,
	CALL_RECEIVING,
	CALL_THERE,
	CALL_FAILED,
	N_CALL_STATES,
};

/* The signature of getsockopt(2), through which handover.c sees the kernel. */
typedef int (*handover_getsockopt)(int fd, int level, int name, void *value, socklen_t *length);

struct ktls {
	struct proto_connect request;
	char *method; /* that is asked for; NULL: a connection */
	struct sockaddr_un service;
	handover_getsockopt getsockopt;

	enum call_state state;
	int sock; /* to the service; -1 */
	int tls; /* what it handed over, checked; -1 */
	struct proto_writer writer;
	struct proto_reader reader;
	int64_t deadline; /* CLOCK_MONOTONIC, milliseconds */
	int64_t again; /* REACHING: when to try again */
	struct proto_session session; /* THERE */
	char *reply; /* of a method: its parameters, as text */

	enum ktls_status status;
	const char *stage;
	struct proto_status failure; /* but for its error and stage, which are the two above */
};

/* One line of the two tables of failures, the wire's (proto/error.def) and the library's own. */
struct outcome {
	enum ktls_status status;
	const char *name, *text;
	int sys_errno;
	enum ktls_who who;
};

/* Never NULL: a status that no table knows has a line of its own. */
const struct outcome *outcome_find(enum ktls_status status);

/* Ends the request as failed. Always -1, with errno set. err: the errno behind it, or 0. */
int call_fail(struct ktls *k, enum ktls_status status, const char *stage, int err,
	      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* For the reply to a method: 1, or -1 as of call_fail(). */
int ask_answer(struct ktls *k, const char *text, size_t length);
/* Whether more has come than an answer, which fails the request. */
bool call_overtold(struct ktls *k);
/* The service's own word. -1. */
int call_refused(struct ktls *k, const struct proto_status *status);
/* It is done. 1. */
int call_done(struct ktls *k);
/* Whether host and port were set: 0, or -1 as of call_fail(). */
int call_complete(struct ktls *k);
/* Begins to send a message (malloc), which is taken over; NULL: there was no memory for it. As
 * ktls_start(). */
int call_begin(struct ktls *k, char *text, size_t length);

/* Whether the reply's descriptor is what the reply says. 0, or -1 with *why a constant text and
 * errno, 0 if none was behind it. */
int handover_check(int fd, handover_getsockopt get, const char **why);
