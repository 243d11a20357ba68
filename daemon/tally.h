/* SPDX-License-Identifier: MIT */
/*
 * What the service has done since it was started, in numbers: memory that the supervisor and its
 * workers share. As in the ledger, each worker has a seat and writes there alone, and who wants to
 * know adds up all seats. Unlike there, what stands in a seat stays when its worker ends, and a later
 * worker goes on from it: nothing is lost with a worker but the requests that it had, and those the
 * supervisor counts.
 *
 * A worker that went astray may have written anything into it: others are told wrongly, no more.
 */
#pragma once

#include "daemon/ending.h"
#include "daemon/ledger.h"
#include "proto/message.h"

/* Durations are told apart to an eighth: eight slots for each power of two, up to 2^32 us, which is
 * more than an hour; what is longer is in the last one. */
#define TALLY_SLOTS 240
/* More than OpenSSL has cipher suites. One that is not among them is told as "other". */
#define TALLY_SUITES 256
/* More than there can be connections, each of which has one request at a time. */
#define TALLY_UNDER_WAY_MAX 16384

/* Those of struct proto_timings, in its order. */
#define TALLY_TIMES (sizeof(struct proto_timings) / sizeof(uint64_t))

struct tally_times {
	uint64_t count, sum, slots[TALLY_SLOTS];
};

/* What one worker has counted, or all have. Of a request under way that has just ended its end must
 * not be seen without its begin: that stands last, for it is written first and read last. */
struct tally_counts {
	uint64_t ended[N_REQUEST_AIMS][N_ENDINGS][ENDING_STAGES];
	uint64_t refused, suppressed;
	uint64_t sessions[2][TALLY_SUITES + 1]; /* TLS 1.2, or whatever else */
	struct tally_times times[TALLY_TIMES];
	uint64_t begun[N_REQUEST_AIMS];
};

struct tally_shared {
	/* the supervisor's */
	_Atomic unsigned int seats;	/* that were ever used: no more need be added up */
	_Atomic uint64_t workers_lost, reloads, lost[N_REQUEST_AIMS];
	struct tally_worker {
		_Atomic int pid;	/* 0: there is none */
		_Atomic uint64_t since;	/* seconds since 1970 */
		_Atomic uint64_t settled[N_REQUEST_AIMS]; /* begun, and lost with others before */
	} workers[LEDGER_SEATS];
	/* the workers': struct tally_counts each */
	_Atomic uint64_t counts[LEDGER_SEATS][sizeof(struct tally_counts) / sizeof(uint64_t)];
};

/* Made before there are workers, who have a copy. */
struct tally {
	uint64_t since;			/* seconds since 1970 */
	pid_t pid;			/* the supervisor's */
	size_t n_suites;
	const char *suites[TALLY_SUITES]; /* OpenSSL's names, constant */
	struct tally_shared *shared;
};

/* In the supervisor. NULL: no memory. */
struct tally *tally_new(void);
/* Takes and returns NULL; what is shared goes when the last process has given it back. */
struct tally *tally_free(struct tally *tally);

/* --- the supervisor's part */

/* This worker has the seat from now on. */
void tally_enter(struct tally *tally, unsigned int seat, pid_t pid);
/* It has ended: how many requests were lost with it. in_order: as it should. */
uint64_t tally_leave(struct tally *tally, unsigned int seat, bool in_order);
void tally_reload(struct tally *tally);

/* --- a worker's part */

void tally_begin(struct tally *tally, unsigned int seat, enum request_aim aim);
/* What is 0 in the timings did not take place, nor did a session without a version. */
void tally_end(struct tally *tally, unsigned int seat, enum request_aim aim, unsigned int ending,
	       enum proto_stage stage, const struct proto_session *session);
/* A call that was no request. */
void tally_refuse(struct tally *tally, unsigned int seat);
/* A request that the log does not have. */
void tally_suppress(struct tally *tally, unsigned int seat);

/* --- anybody's */

/* Of all workers that there ever were. */
void tally_add_up(const struct tally *tally, struct tally_counts *all);
/* Requests that the worker of this seat has under way. */
uint64_t tally_under_way(const struct tally *tally, unsigned int seat);
/* How many seats there are to look at. */
unsigned int tally_seats(const struct tally *tally);
/* So many percent took no longer, in microseconds, an eighth too high at most; 0: there are none. */
uint64_t tally_quantile(const struct tally_times *times, unsigned int percent);
/* How many took at most so long, which is a power of two. */
uint64_t tally_up_to(const struct tally_times *times, uint64_t us);
