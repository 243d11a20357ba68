/* SPDX-License-Identifier: MIT */
/*
 * One record for each request in the log: the sentence for people, and on the journal every fact as
 * a field of its own (ktlsd(8)). Nothing secret, and of a request's CA text, pins and cipher strings
 * nothing at all.
 */
#pragma once

#include "daemon/rate.h"
#include "daemon/request.h"

#include <sys/types.h>

/*
 * delivered: the reply, and the socket with it, was taken. suppressed: how many records of this uid
 * were left out since its last one.
 */
void record_request(struct log *log, uid_t uid, const struct request *request, bool delivered,
		    unsigned long suppressed);

/* What one uid may write: enough to see what it does, not so much that it drives the records of
 * others out of the journal. */
#define RECORDS_PER_SECOND 1
#define RECORDS_BURST 10

/* Of one uid, all zeroes at first; may lie in memory shared by processes. */
struct record_share {
	_Atomic uint64_t rate;
	_Atomic unsigned long suppressed;
};

/* Whether the next record may be written; then *suppressed is what record_request() is to be told. */
bool record_allowed(struct record_share *share, uint64_t now_us, unsigned long *suppressed);
