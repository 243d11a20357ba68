/* SPDX-License-Identifier: MIT */
#include "daemon/generation.h"

#include "daemon/clock.h"

#include <sched.h>

/* After WORD_END a worker has this long, in seconds, before it is killed. */
#define END_PATIENCE 1.0

/* Every minder, of which the one at hand may be freed meanwhile. */
#define FOR_EACH(minder, generation)								\
	for (struct list *at_ = (generation)->minders.next, *next_ = at_->next;		\
	     at_ != &(generation)->minders &&						\
	     (minder = container_of(at_, struct minder, link), true);			\
	     at_ = next_, next_ = at_->next)

static const struct minder_callbacks minder_callbacks;

/* Workers are one for each processor that the service may use, if nobody says otherwise. */
static unsigned int count_workers(const struct config *config)
{
	cpu_set_t set;
	int n = 1;

	if (config->service.workers)
		return config->service.workers;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < GENERATION_WORKERS_MAX ? (unsigned int)n : GENERATION_WORKERS_MAX;
}

static bool fork_one(struct generation *generation)
{
	struct minder *minder = minder_new(generation->household, generation->setup,
					   &generation->kernel, generation->wanted, generation,
					   &minder_callbacks);

	if (!minder)
		return false;
	list_append(&generation->minders, &minder->link);
	generation->present++;
	generation->forked = true;
	return true;
}

static void rest_before_next(struct generation *generation)
{
	struct ev_loop *loop = generation->household->loop;

	ev_timer_stop(loop, &generation->rested);
	ev_timer_set(&generation->rested, generation->rest, 0);
	ev_timer_start(loop, &generation->rested);
	generation->rest = generation->rest ? generation->rest * 2 : GENERATION_REST_MIN;
	if (generation->rest > GENERATION_REST_MAX)
		generation->rest = GENERATION_REST_MAX;
}

static void on_rested(EV_P_ ev_timer *timer, int events)
{
	struct generation *generation = container_of(timer, struct generation, rested);

	while (generation->present < generation->wanted)
		if (!fork_one(generation))
			return rest_before_next(generation);
}

static void on_ready(struct minder *minder)
{
	struct generation *generation = minder->owner;

	if (generation->draining)
		return minder_drain(minder);
	if (++generation->ready == generation->wanted)
		return generation->callbacks->ready(generation);
	generation->callbacks->room(generation);
}

static void on_room(struct minder *minder)
{
	struct generation *generation = minder->owner;

	if (!generation->draining)
		generation->callbacks->room(generation);
}

static void on_kernel_lost(struct minder *minder)
{
	struct generation *generation = minder->owner;

	generation->callbacks->kernel_lost(generation);
}

static void on_lost(struct minder *minder)
{
	struct generation *generation = minder->owner;
	bool was_ready = minder->ready;

	if (clock_us() - minder->born_us >= GENERATION_LIFE_US)
		generation->rest = 0;
	minder_free(minder);
	generation->present--;
	generation->ready -= was_ready;
	if (generation->draining && !generation->present)
		return generation->callbacks->over(generation);
	if (generation->draining)
		return;
	rest_before_next(generation);
	if (!was_ready)
		generation->callbacks->stillborn(generation);
}

static const struct minder_callbacks minder_callbacks = {
	.ready = on_ready,
	.kernel_lost = on_kernel_lost,
	.connection_gone = on_room,
	.lost = on_lost,
};

static void end_all(struct generation *generation)
{
	struct minder *minder;

	FOR_EACH(minder, generation)
		minder_end(minder);
}

static void on_end(EV_P_ ev_timer *timer, int events)
{
	struct generation *generation = container_of(timer, struct generation, end);

	/* They were asked, and had their time. */
	if (generation->asked_to_end)
		return generation->callbacks->over(generation);
	end_all(generation);
	generation->asked_to_end = true;
	ev_timer_set(timer, END_PATIENCE, 0);
	ev_timer_start(EV_A_ timer);
}

struct generation *generation_new(struct household *household, struct setup *setup,
				  const struct kernel *kernel, void *owner,
				  const struct generation_callbacks *callbacks)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (!generation) {
		setup_free(setup);
		return NULL;
	}
	*generation = (struct generation){ .household = household, .setup = setup,
					   .kernel = *kernel, .owner = owner,
					   .callbacks = callbacks,
					   .wanted = count_workers(setup->config) };
	list_init(&generation->link);
	list_init(&generation->minders);
	ev_timer_init(&generation->rested, on_rested, 0, 0);
	ev_timer_init(&generation->end, on_end, 0, 0);
	while (generation->present < generation->wanted)
		if (!fork_one(generation))
			return generation_free(generation);
	return generation;
}

struct generation *generation_free(struct generation *generation)
{
	if (!generation)
		return NULL;
	list_leave(&generation->link);
	while (!list_empty(&generation->minders))
		minder_free(list_first(&generation->minders, struct minder, link));
	ev_timer_stop(generation->household->loop, &generation->rested);
	ev_timer_stop(generation->household->loop, &generation->end);
	setup_free(generation->setup);
	free(generation);
	return NULL;
}

static bool less_busy(const struct minder *a, const struct minder *b)
{
	if (a->n_connections != b->n_connections)
		return a->n_connections < b->n_connections;
	return a->dealt < b->dealt;
}

/* A worker whose channel is full hangs, or is dead: others may have room. */
bool generation_deal(struct generation *generation, int *fd, unsigned int account)
{
	struct minder *minder, *best = NULL;

	FOR_EACH(minder, generation)
		if (minder->ready && (!best || less_busy(minder, best)))
			best = minder;
	if (best && minder_deal(best, fd, account))
		return true;
	FOR_EACH(minder, generation)
		if (minder->ready && minder != best && minder_deal(minder, fd, account))
			return true;
	return false;
}

unsigned int generation_connections(const struct generation *generation)
{
	const struct minder *minder;
	unsigned int n = 0;

	FOR_EACH(minder, generation)
		n += minder->n_connections;
	return n;
}

bool generation_ping(struct generation *generation)
{
	struct minder *minder;
	bool well = generation->present == generation->wanted || generation->forked;

	generation->forked = false;
	FOR_EACH(minder, generation)
		well &= minder_ping(minder);
	return well || generation->draining;
}

void generation_drain(struct generation *generation, unsigned int ms)
{
	struct ev_loop *loop = generation->household->loop;
	struct minder *minder;
	/* Where all were lost just now nobody is there who would end. */
	bool empty = !generation->present;

	generation->draining = true;
	generation->asked_to_end |= empty;
	ev_timer_stop(loop, &generation->rested);
	ev_timer_stop(loop, &generation->end);
	ev_timer_set(&generation->end, empty ? 0 : ms / 1e3, 0);
	ev_timer_start(loop, &generation->end);
	FOR_EACH(minder, generation)
		minder_drain(minder);
}
