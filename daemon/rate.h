/* SPDX-License-Identifier: MIT */
/*
 * So many a second, and so many at once: GCRA in its form of virtual scheduling (ITU-T I.371, A.2).
 * All that is kept is the time up to which what was taken lasts, in one word, which may lie in
 * memory shared by processes; nothing is ever refilled, so nothing drifts, and nobody waits for a
 * lock whose holder was killed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not be shared by processes");

/*
 * Takes one if there is one. *state begins as 0; now_us is clock_us(), which need not be the same
 * in all who take: one whose clock was read before another took, and who comes after, is in order.
 * A word serves on after its figures have changed, and with two pairs of them at a time, as during
 * a reload. Of 0 a second, or 0 at once, there is never one.
 */
bool rate_take(_Atomic uint64_t *state, uint64_t now_us, unsigned int per_second,
	       unsigned int burst);

/* Whether of what was taken nothing counts any more: the word is as good as 0. */
bool rate_recovered(const _Atomic uint64_t *state, uint64_t now_us);
