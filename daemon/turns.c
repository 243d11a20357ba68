/* SPDX-License-Identifier: MIT */
#include "daemon/turns.h"

static void on_check(EV_P_ ev_check *check, int events)
{
	struct turns *turns = container_of(check, struct turns, check);
	struct turn *turn = list_first(&turns->waiting, struct turn, link);

	turn_leave(turn);
	turn->come(turn);
}

static void on_idle(EV_P_ ev_idle *idle, int events)
{
}

void turns_init(struct turns *turns, struct ev_loop *loop)
{
	turns->loop = loop;
	list_init(&turns->waiting);
	ev_check_init(&turns->check, on_check);
	ev_idle_init(&turns->awake, on_idle);
}

void turn_init(struct turn *turn, struct turns *turns, void (*come)(struct turn *))
{
	*turn = (struct turn){ .turns = turns, .come = come };
	list_init(&turn->link);
}

void turn_wait(struct turn *turn)
{
	struct turns *turns = turn->turns;

	if (!list_empty(&turn->link))
		return;
	list_append(&turns->waiting, &turn->link);
	ev_check_start(turns->loop, &turns->check);
	ev_idle_start(turns->loop, &turns->awake);
}

void turn_leave(struct turn *turn)
{
	struct turns *turns = turn->turns;

	list_leave(&turn->link);
	if (!list_empty(&turns->waiting))
		return;
	ev_check_stop(turns->loop, &turns->check);
	ev_idle_stop(turns->loop, &turns->awake);
}
