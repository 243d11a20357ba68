/* SPDX-License-Identifier: MIT */
/*
 * The life of one request: a table of stages (request.c), one deadline, one way out. It ends in a
 * socket on which the kernel does TLS, or in a status; never in both, never in neither. A probe
 * goes the same way as far as the verified handshake, and ends in facts, or in a status.
 */
#pragma once

#include "daemon/access.h"
#include "daemon/connect.h"
#include "daemon/credentials.h"
#include "daemon/ending.h"
#include "daemon/env.h"
#include "daemon/handshake.h"

struct request {
	struct env *env;
	const struct credentials *caller; /* borrowed */
	struct access_grant grant;
	struct charge charge;
	struct proto_connect call; /* what the caller asked for; owned */
	enum request_aim aim;	   /* the owner's to set, before the start */
	unsigned int stage;	   /* row of the table of stages */
	ev_timer first_turn;	   /* so that nothing happens inside request_start() */
	ev_timer deadline;	   /* the stage's, or the request's if that is earlier */
	uint64_t began_us, stage_began_us;

	SSL *ssl;	     /* made by policy, taken over by handshake */
	X509_STORE *anchors; /* likewise */
	struct addresses addresses;
	struct lookup lookup;
	struct connect_race race;
	int fd; /* the TCP socket, from connect on */
	struct handshake handshake;

	struct proto_status status;   /* the outcome */
	struct proto_session session; /* the facts, if the outcome is PROTO_OK */
	struct proto_probe probe;     /* and those that a probe has beside them */
	struct proto_trace *trace;    /* its, from the end of policy on; NULL: not so far, or no probe */
	void *owner;
	void (*done)(struct request *request);
};

/* Takes over what *call holds; NULL: no memory, and *call is as it was. caller is borrowed until
 * request_free(). */
struct request *request_new(struct env *env, const struct credentials *caller,
			    struct proto_connect *call, void *owner,
			    void (*done)(struct request *));
/* At any time: cancels what is under way. A socket that was not taken is shut down. Takes and
 * returns NULL. */
struct request *request_free(struct request *request);

/* done is called once, as the last act of a callback from the loop, unless request_free() comes
 * first. In it, status tells the outcome, and the request may be freed. */
void request_start(struct request *request);

/* Ends what is under way with BUSY, and done is called within. The service has no more time for it.
 */
void request_end(struct request *request);

/* After any outcome of a probe: what it has seen on the way; NULL: it did not come to try anything. */
const struct proto_trace *request_trace(const struct request *request);
/* Where it is, as long as it is under way. */
enum proto_stage request_stage(const struct request *request);

/* After the outcome PROTO_OK of a connect, once: the socket, which from here on is the caller's to
 * hand over or to shut down. */
int request_take(struct request *request);
