/* SPDX-License-Identifier: MIT */
/*
 * What a request does, one stage after the other: a table, to be read from top to bottom. request.c
 * goes through it. What a probe does otherwise than a connect is in the table and nowhere else.
 */
#pragma once

#include "daemon/request.h"

/* What a stage says when it is begun. PENDING: one of its callbacks will call request_advance() or
 * request_finish(), as its last act. */
enum progress { DONE, PENDING, FAILED };

/* Whose a row is. */
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

extern const struct stage stages[];
extern const size_t n_stages;

/* For a stage that was pending: it is done. */
void request_advance(struct request *request);
/* Its end, with whatever its status says. */
void request_finish(struct request *request);
/* Nothing goes out on its socket any more. */
void request_shut_down(struct request *request);
