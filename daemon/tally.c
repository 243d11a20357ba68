/* SPDX-License-Identifier: MIT */
#include "daemon/tally.h"

#include "daemon/names.h"
#include "proto/util.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WORDS (sizeof(struct tally_counts) / sizeof(uint64_t))
/* Where in a seat. */
#define AT(member) (offsetof(struct tally_counts, member) / sizeof(uint64_t))

struct tally *tally_new(void)
{
	struct tally *tally = calloc(1, sizeof(*tally));
	struct tally_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!tally || shared == MAP_FAILED ||
	    !names_suites(tally->suites, TALLY_SUITES, &tally->n_suites)) {
		if (shared != MAP_FAILED)
			munmap(shared, sizeof(*shared));
		free(tally);
		return NULL;
	}
	tally->shared = shared;
	tally->since = (uint64_t)time(NULL);
	tally->pid = getpid();
	return tally;
}

struct tally *tally_free(struct tally *tally)
{
	if (tally)
		munmap(tally->shared, sizeof(*tally->shared));
	free(tally);
	return NULL;
}

/* Each has one who writes it, so nothing is lost between the two; after what was counted before. */
static void count(_Atomic uint64_t *number, uint64_t more)
{
	uint64_t before = atomic_load_explicit(number, memory_order_relaxed);

	atomic_store_explicit(number, before + more, memory_order_release);
}

static uint64_t look(const _Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_acquire);
}

/* --- requests that were begun and have not ended */

static uint64_t unsettled(const struct tally *tally, unsigned int seat, enum request_aim aim)
{
	const _Atomic uint64_t *counts = tally->shared->counts[seat];
	const _Atomic uint64_t *ended = &counts[AT(ended[0]) + aim * N_ENDINGS * ENDING_STAGES];
	uint64_t n = 0;

	for (size_t i = 0; i < N_ENDINGS * ENDING_STAGES; i++)
		n -= look(&ended[i]);
	return n + look(&counts[AT(begun) + aim]);
}

static uint64_t under_way(const struct tally *tally, unsigned int seat, enum request_aim aim)
{
	uint64_t n = unsettled(tally, seat, aim) - look(&tally->shared->workers[seat].settled[aim]);

	return n <= TALLY_UNDER_WAY_MAX ? n : 0;
}

uint64_t tally_under_way(const struct tally *tally, unsigned int seat)
{
	return under_way(tally, seat, REQUEST_CONNECT) + under_way(tally, seat, REQUEST_PROBE);
}

/* --- the supervisor's part */

void tally_enter(struct tally *tally, unsigned int seat, pid_t pid)
{
	struct tally_shared *shared = tally->shared;

	if (seat >= tally_seats(tally))
		shared->seats = seat + 1;
	shared->workers[seat].since = (uint64_t)time(NULL);
	shared->workers[seat].pid = pid;
}

uint64_t tally_leave(struct tally *tally, unsigned int seat, bool in_order)
{
	struct tally_shared *shared = tally->shared;
	struct tally_worker *worker = &shared->workers[seat];
	uint64_t lost = 0;

	worker->pid = 0;
	for (enum request_aim aim = 0; aim < N_REQUEST_AIMS; aim++) {
		uint64_t n = under_way(tally, seat, aim);

		shared->lost[aim] += n;
		worker->settled[aim] = unsettled(tally, seat, aim);
		lost += n;
	}
	if (!in_order)
		shared->workers_lost++;
	return lost;
}

void tally_reload(struct tally *tally)
{
	tally->shared->reloads++;
}

/* --- a worker's part */

/* Of what took from slot_start(i) + 1 to slot_start(i + 1). */
static unsigned int slot_of(uint64_t us)
{
	uint64_t n = us - 1;
	unsigned int power;

	if (n < 8)
		return (unsigned int)n;
	power = 63 - (unsigned int)__builtin_clzll(n);
	if (power > 31)
		return TALLY_SLOTS - 1;
	return (power - 2) * 8 + ((n >> (power - 3)) & 7);
}

static uint64_t slot_start(unsigned int slot)
{
	if (slot < 8)
		return slot;
	return (uint64_t)(8 + slot % 8) << (slot / 8 - 1);
}

static void count_time(_Atomic uint64_t *times, uint64_t us)
{
	if (!us)
		return;
	count(&times[offsetof(struct tally_times, slots) / sizeof(uint64_t) + slot_of(us)], 1);
	count(&times[offsetof(struct tally_times, sum) / sizeof(uint64_t)], us);
	count(&times[offsetof(struct tally_times, count) / sizeof(uint64_t)], 1);
}

static size_t suite_of(const struct tally *tally, const char *name)
{
	for (size_t i = 0; i < tally->n_suites; i++)
		if (strcmp(tally->suites[i], name) == 0)
			return i;
	return TALLY_SUITES;
}

static void count_session(struct tally *tally, _Atomic uint64_t *counts,
			  const struct proto_session *session)
{
	size_t other = strcmp(session->version, "TLSv1.2") != 0;

	if (*session->version)
		count(&counts[AT(sessions) + other * (TALLY_SUITES + 1) +
			      suite_of(tally, session->cipher)], 1);
}

void tally_begin(struct tally *tally, unsigned int seat, enum request_aim aim)
{
	count(&tally->shared->counts[seat][AT(begun) + aim], 1);
}

void tally_end(struct tally *tally, unsigned int seat, enum request_aim aim, unsigned int ending,
	       enum proto_stage stage, const struct proto_session *session)
{
	_Atomic uint64_t *counts = tally->shared->counts[seat];
	const uint64_t *timings = (const uint64_t *)&session->timings;

	for (size_t i = 0; i < TALLY_TIMES; i++)
		count_time(&counts[AT(times) + i * sizeof(struct tally_times) / sizeof(uint64_t)],
			   timings[i]);
	count_session(tally, counts, session);
	count(&counts[AT(ended) + (aim * N_ENDINGS + ending) * ENDING_STAGES + stage], 1);
}

void tally_refuse(struct tally *tally, unsigned int seat)
{
	count(&tally->shared->counts[seat][AT(refused)], 1);
}

void tally_suppress(struct tally *tally, unsigned int seat)
{
	count(&tally->shared->counts[seat][AT(suppressed)], 1);
}

/* --- anybody's */

unsigned int tally_seats(const struct tally *tally)
{
	unsigned int seats = tally->shared->seats;

	return seats < LEDGER_SEATS ? seats : LEDGER_SEATS;
}

void tally_add_up(const struct tally *tally, struct tally_counts *all)
{
	unsigned int seats = tally_seats(tally);
	uint64_t *to = (uint64_t *)all;

	memset(all, 0, sizeof(*all));
	for (unsigned int seat = 0; seat < seats; seat++)
		for (size_t i = 0; i < WORDS; i++)
			to[i] += look(&tally->shared->counts[seat][i]);
}

uint64_t tally_quantile(const struct tally_times *times, unsigned int percent)
{
	uint64_t all = 0, wanted, n = 0;
	unsigned int slot;

	for (slot = 0; slot < TALLY_SLOTS; slot++)
		all += times->slots[slot];
	if (!all)
		return 0;
	wanted = all / 100 * percent + (all % 100 * percent + 99) / 100;
	for (slot = 0; slot < TALLY_SLOTS - 1; slot++) {
		n += times->slots[slot];
		if (n >= wanted)
			break;
	}
	return slot_start(slot + 1);
}

uint64_t tally_up_to(const struct tally_times *times, uint64_t us)
{
	uint64_t n = 0;

	for (unsigned int slot = 0; slot < TALLY_SLOTS && slot_start(slot + 1) <= us; slot++)
		n += times->slots[slot];
	return n;
}
