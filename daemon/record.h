/* SPDX-License-Identifier: MIT */
/*
 * One record for each request in the log: the sentence for people, and on the journal every fact as
 * a field of its own (ktlsd(8)). Nothing secret, and of a request's CA text, pins and cipher strings
 * nothing at all.
 */
#pragma once

#include "daemon/request.h"

#include <sys/types.h>

/* ending: one of ending.h. suppressed: how many records of this uid were left out since its last one.
 */
void record_request(struct log *log, uid_t uid, const struct request *request,
		    unsigned int ending, unsigned long suppressed);

/* Whether the next record may be written, of so many a second and so many at once; then *suppressed
 * is what record_request() is to be told. */
bool record_allowed(struct record_share *share, uint64_t now_us, unsigned int per_second,
		    unsigned int burst, unsigned long *suppressed);
