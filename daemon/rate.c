/* SPDX-License-Identifier: MIT */
#include "daemon/rate.h"

/* The word's unit is 2^-12 us: a third of a second is then right to one part in 10^9, and the word
 * goes round once in 142 years. It is compared by difference, so even that does no harm. */
#define FRACTION_BITS 12
#define UNITS(us) ((us) << FRACTION_BITS)

/*
 * Who read the clock, and was then not run for a while, sees more taken than there can be. Beyond
 * this, what looks like the far future is the past: after years without a word, or at the
 * beginning, where the word is 0.
 */
#define LATE UNITS(UINT64_C(3600) * 1000000)

bool rate_take(_Atomic uint64_t *state, uint64_t now_us, unsigned int per_second,
	       unsigned int burst)
{
	uint64_t second = UNITS(UINT64_C(1000000)), now = UNITS(now_us), each, all, ahead;
	uint64_t until = atomic_load_explicit(state, memory_order_relaxed);

	if (per_second == 0)
		return false;
	each = second / per_second + (second % per_second != 0);	/* not one too many */
	all = each * burst;
	do {
		ahead = until - now;
		if (ahead > all + LATE)
			ahead = 0;
		if (ahead + each > all)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(state, &until, now + ahead + each,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

bool rate_recovered(const _Atomic uint64_t *state, uint64_t now_us)
{
	return (int64_t)(*state - UNITS(now_us)) <= 0;
}
