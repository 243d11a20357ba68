/* SPDX-License-Identifier: MIT */
/*
 * Work that takes its time, one piece in a turn of the loop, first come, first served: between two
 * pieces the loop has a look at everything else. A call may cost tens of milliseconds (a long
 * message, a CA bundle that was not seen before); were all that have come in done in one turn,
 * everybody's deadlines would pass in it.
 */
#pragma once

#include "daemon/list.h"

#include <ev.h>

struct turns {
	struct ev_loop *loop;
	struct list waiting;	/* turn.link */
	ev_check check;
	ev_idle awake;		/* while somebody waits, the loop does not */
};

struct turn {
	struct turns *turns;
	struct list link;
	void (*come)(struct turn *turn);
};

/* There is nothing to be given back: when nobody waits, no watcher is active. */
void turns_init(struct turns *turns, struct ev_loop *loop);

void turn_init(struct turn *turn, struct turns *turns, void (*come)(struct turn *));
/* come is called once, as the last act of a callback from the loop, unless turn_leave() comes
 * first. One that waits already keeps its place. */
void turn_wait(struct turn *turn);
void turn_leave(struct turn *turn);
