/* SPDX-License-Identifier: MIT */
/*
 * Work that takes its time, one piece in a turn of the loop: between two pieces the loop has a look
 * at everything else. A piece may cost tens of milliseconds (a long message, a CA bundle that was
 * not seen before, a chain of certificates); were all that have come in done in one turn,
 * everybody's deadlines would pass in it.
 *
 * Each piece is an account's, and the turn goes to the account that has used least: who comes with
 * little waits for the piece that is under way, and not for what somebody else has piled up. Within
 * an account it is first come, first served.
 */
#pragma once

#include "daemon/ledger.h"
#include "daemon/list.h"

#include <ev.h>
#include <stdint.h>

/* Accounts that are told apart: as many as the ledger has. Were there more, those with the same
 * remainder would share. */
#define TURNS_USERS LEDGER_ACCOUNTS

/*
 * Who has used less than others is not ahead of them for ever, nor behind for having used more. The
 * one is what a request or two cost, so that somebody who asks now and then has his requests whole
 * before the crowd goes on; the other is more than the costliest piece, and outlives connections:
 * who hangs up and comes again is the same user.
 */
#define TURNS_CREDIT_NS UINT64_C(10000000)
#define TURNS_DEBT_NS UINT64_C(100000000)

struct turns_user {
	struct list link;	/* turns.users, while he waits */
	struct list waiting;	/* turn.link */
	uint64_t used_ns;	/* on the scale of turns.now_ns */
};

/* What has passed since some time: the thread's own processor time, and everybody's. */
struct turns_time {
	uint64_t cpu_ns, wall_ns;
};

struct turns {
	struct ev_loop *loop;
	struct turns_time (*clock)(void); /* a test's own, if it likes */
	uint64_t grain_ns;	/* the clock of processor time ticks so coarsely */
	uint64_t now_ns;	/* what those have used whose turn it is */
	bool charging;		/* a charge is open, which covers what is inside it */
	_Atomic unsigned int *at_work; /* NULL, or to show whose it is: account + 1; 0: nobody's */
	struct turns_user all[TURNS_USERS];
	struct list users;	/* turns_user.link */
	ev_check check;
	ev_idle awake;		/* while somebody waits, the loop does not */
};

struct turn {
	struct turns *turns;
	struct turns_user *user;
	struct list link;
	void (*come)(struct turn *turn);
};

/* There is nothing to be given back: when nobody waits, no watcher is active. */
void turns_init(struct turns *turns, struct ev_loop *loop);

void turn_init(struct turn *turn, struct turns *turns, unsigned int account,
	       void (*come)(struct turn *));
/* come is called once, as the last act of a callback from the loop, unless turn_leave() comes
 * first; what it takes is charged to the account. One that waits already keeps its place. */
void turn_wait(struct turn *turn);
void turn_leave(struct turn *turn);

/*
 * For work that is somebody's and too short to wait for a turn: what the scope takes in which
 *
 *     _cleanup_(turns_charge_end) struct turns_charge charge = turns_charge_begin(turns, account);
 *
 * stands is charged to the account. Inside another one it counts for nothing.
 */
struct turns_charge {
	struct turns *turns; /* NULL: inside another */
	struct turns_user *user;
	struct turns_time began;
};

struct turns_charge turns_charge_begin(struct turns *turns, unsigned int account);
void turns_charge_end(struct turns_charge *charge);
