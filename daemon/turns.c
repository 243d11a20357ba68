/* SPDX-License-Identifier: MIT */
#include "daemon/turns.h"

#include <time.h>

/* --- time */

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Processor time: on a busy machine the wall clock would charge a user with others' programs. */
static struct turns_time clock_of_thread(void)
{
	return (struct turns_time){ read_clock(CLOCK_THREAD_CPUTIME_ID),
				    read_clock(CLOCK_MONOTONIC) };
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A kernel may count processor time in ticks of its timer (user-mode Linux: 10 ms), where most
 * pieces would cost nothing and some far too much. How coarse it is shows in the least difference
 * that was ever seen; within that the wall clock knows better.
 */
static uint64_t cost(struct turns *turns, const struct turns_time *began)
{
	struct turns_time now = turns->clock();
	uint64_t cpu_ns = now.cpu_ns - began->cpu_ns;

	if (cpu_ns)
		turns->grain_ns = least(turns->grain_ns, cpu_ns);
	return least(now.wall_ns - began->wall_ns, cpu_ns + turns->grain_ns);
}

/* --- accounts */

static struct turns_user *user_of(struct turns *turns, unsigned int account)
{
	return &turns->all[account % TURNS_USERS];
}

/* Before he counts: a rest is not saved up. */
static void limit_credit(const struct turns *turns, struct turns_user *user)
{
	if (user->used_ns + TURNS_CREDIT_NS < turns->now_ns)
		user->used_ns = turns->now_ns - TURNS_CREDIT_NS;
}

struct turns_charge turns_charge_begin(struct turns *turns, unsigned int account)
{
	if (turns->charging)
		return (struct turns_charge){ 0 };
	turns->charging = true;
	if (turns->at_work)
		*turns->at_work = account + 1;
	return (struct turns_charge){ turns, user_of(turns, account), turns->clock() };
}

void turns_charge_end(struct turns_charge *charge)
{
	struct turns *turns = charge->turns;

	if (!turns)
		return;
	turns->charging = false;
	if (turns->at_work)
		*turns->at_work = 0;
	limit_credit(turns, charge->user);
	charge->user->used_ns = least(charge->user->used_ns + cost(turns, &charge->began),
				      turns->now_ns + TURNS_DEBT_NS);
}

/* --- turns */

/* Of those who have used as much as each other, the one who waits longest since he came or was
 * served. */
static struct turns_user *next_user(const struct turns *turns)
{
	struct turns_user *next = list_first(&turns->users, struct turns_user, link);

	list_for_each(entry, &turns->users) {
		struct turns_user *user = container_of(entry, struct turns_user, link);

		if (user->used_ns < next->used_ns)
			next = user;
	}
	return next;
}

/* Everything is settled before the piece begins, for with it the turn may be freed. */
static void serve(struct turns *turns, struct turns_user *user)
{
	struct turn *turn = list_first(&user->waiting, struct turn, link);
	_cleanup_(turns_charge_end) struct turns_charge charge =
		turns_charge_begin(turns, (unsigned int)(user - turns->all));

	turn_leave(turn);
	if (!list_empty(&user->waiting)) {
		list_leave(&user->link);
		list_append(&turns->users, &user->link);
	}
	turn->come(turn);
}

static void on_check(EV_P_ ev_check *check, int events)
{
	struct turns *turns = container_of(check, struct turns, check);
	struct turns_user *user = next_user(turns);

	if (turns->now_ns < user->used_ns)
		turns->now_ns = user->used_ns;
	serve(turns, user);
}

static void on_idle(EV_P_ ev_idle *idle, int events)
{
}

void turns_init(struct turns *turns, struct ev_loop *loop)
{
	*turns = (struct turns){
		.loop = loop, .clock = clock_of_thread, .grain_ns = UINT64_MAX / 2
	};
	for (size_t i = 0; i < TURNS_USERS; i++) {
		list_init(&turns->all[i].link);
		list_init(&turns->all[i].waiting);
	}
	list_init(&turns->users);
	ev_check_init(&turns->check, on_check);
	/* Whoever comes in this turn of the loop is there when it is decided whose turn it is. */
	ev_set_priority(&turns->check, EV_MINPRI);
	ev_idle_init(&turns->awake, on_idle);
}

void turn_init(struct turn *turn, struct turns *turns, unsigned int account,
	       void (*come)(struct turn *))
{
	*turn = (struct turn){ .turns = turns, .user = user_of(turns, account), .come = come };
	list_init(&turn->link);
}

void turn_wait(struct turn *turn)
{
	struct turns *turns = turn->turns;
	struct turns_user *user = turn->user;

	if (!list_empty(&turn->link))
		return;
	list_append(&user->waiting, &turn->link);
	if (list_empty(&user->link)) {
		limit_credit(turns, user);
		list_append(&turns->users, &user->link);
	}
	ev_check_start(turns->loop, &turns->check);
	ev_idle_start(turns->loop, &turns->awake);
}

void turn_leave(struct turn *turn)
{
	struct turns *turns = turn->turns;

	if (list_empty(&turn->link))
		return;
	list_leave(&turn->link);
	if (list_empty(&turn->user->waiting))
		list_leave(&turn->user->link);
	if (!list_empty(&turns->users))
		return;
	ev_check_stop(turns->loop, &turns->check);
	ev_idle_stop(turns->loop, &turns->awake);
}
