/* SPDX-License-Identifier: MIT */
/* Look-ups in a real pool of processes, on a network whose name server is the test. */
#pragma once

#include "tests/unit/own-net.h"
#include "tests/unit/process.h"

#include "daemon/nursery.h"
#include "daemon/resolver.h"

#define ASKED_MAX 8

struct asked {
	struct lookup lookup;
	struct pool *pool;
	bool done;
};

struct pool {
	struct ev_loop *loop;
	struct resolver resolver;
	int to_nursery;
	pid_t keeper, nursery;
	size_t descriptors;
	struct asked asked[ASKED_MAX];
	unsigned int n_done;
};

/* The keeper's child, as soon as there is one. */
static inline pid_t find_nursery(const struct pool *pool)
{
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);
	pid_t pid = 0;

	while (!children_of(pool->keeper, &pid, 1) && clock_us() < end)
		sched_yield();
	assert_true(pid > 0);
	return pid;
}

static inline void on_done(struct lookup *lookup)
{
	struct asked *asked = container_of(lookup, struct asked, lookup);

	assert_false(asked->done);
	asked->done = true;
	asked->pool->n_done++;
}

static inline void pool_init_for_users(struct pool *pool, unsigned int max,
				       unsigned int max_of_user)
{
	*pool = (struct pool){ .descriptors = count_descriptors() };
	pool->loop = loop_new();
	pool->to_nursery = nursery_start(&pool->keeper);
	assert_true(pool->to_nursery >= 0);
	pool->nursery = find_nursery(pool);
	resolver_init(&pool->resolver, pool->loop, pool->to_nursery, max,
		      max_of_user);
	name_server_run(pool->loop);
}

/* All of them may be one user's. */
static inline void pool_init(struct pool *pool, unsigned int max)
{
	pool_init_for_users(pool, max, max);
}

static inline void pool_deinit(struct pool *pool)
{
	for (size_t i = 0; i < ASKED_MAX; i++) {
		lookup_stop(&pool->asked[i].lookup);
		lookup_stop(&pool->asked[i].lookup);
	}
	assert_int_equal(pool->resolver.busy, 0);
	resolver_deinit(&pool->resolver);
	close_fd(&pool->to_nursery);
	assert_int_equal(waitpid(pool->keeper, NULL, 0), pool->keeper);
	name_server_stop(pool->loop);
	loop_free(pool->loop);
	assert_int_equal(count_descriptors(), pool->descriptors);
}

static inline struct asked *ask_as(struct pool *pool, size_t which, unsigned int account,
				   const char *host)
{
	struct asked *asked = &pool->asked[which];

	asked->pool = pool;
	asked->done = false;
	lookup_start(&asked->lookup, &pool->resolver, account, host, on_done);
	assert_false(asked->done);
	return asked;
}

static inline struct asked *ask(struct pool *pool, size_t which, const char *host)
{
	return ask_as(pool, which, 0, host);
}

static inline struct asked *answer(struct pool *pool, size_t which, const char *host)
{
	struct asked *asked = ask(pool, which, host);

	run_until(pool->loop, is_set, &asked->done);
	return asked;
}

/* The addresses as text, with blanks between them. */
static inline const char *answer_text(const struct asked *asked, char text[static 512])
{
	const struct addresses *addresses = &asked->lookup.addresses;
	char one[ADDRESS_TEXT_MAX];

	*text = '\0';
	if (asked->lookup.gai_error)
		return gai_strerror(asked->lookup.gai_error);
	for (uint32_t i = 0; i < addresses->n; i++) {
		address_format(one, &addresses->items[i]);
		sprintf(text + strlen(text), "%s%s", i ? " " : "", one);
	}
	return text;
}

static inline void expect_answer(struct pool *pool, const char *host, const char *expected)
{
	char text[512];

	assert_string_equal(answer_text(answer(pool, 0, host), text), expected);
}

static inline void await_query(struct pool *pool, const char *host)
{
	run_until(pool->loop, asked_for, (void *)host);
}

/* Asks for a name to which there is no answer, and waits until that has come out of a process. */
static inline struct asked *ask_into_the_void(struct pool *pool, size_t which, const char *host)
{
	struct asked *asked = ask(pool, which, host);

	await_query(pool, host);
	assert_false(asked->done);
	return asked;
}

static inline pid_t only_child(struct pool *pool)
{
	pid_t pids[4];

	assert_int_equal(children_of(pool->nursery, pids, array_size(pids)), 1);
	return pids[0];
}

/* The process that will be stuck in the second look-up. */
static inline pid_t find_stuck(struct pool *pool, const char *host)
{
	pid_t pid;

	expect_answer(pool, "host.example", "192.0.2.8:0");
	pid = only_child(pool);
	ask_into_the_void(pool, 1, host);
	return pid;
}
