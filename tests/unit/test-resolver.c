/* SPDX-License-Identifier: MIT */
#include "tests/unit/pool.h"

#include "proto/limits.h"

#include <valgrind/valgrind.h>

/* --- answers */

static void test_localhost(void **state)
{
	struct pool pool;
	char text[512];

	pool_init(&pool, 8);
	answer_text(answer(&pool, 0, "localhost"), text);
	assert_non_null(strstr(text, "127.0.0.1:0"));
	assert_non_null(strstr(text, "[::1]:0"));
	assert_int_equal(pool.asked[0].lookup.addresses.n, 2);
	assert_int_equal(own_net.n_names, 0);
	pool_deinit(&pool);
}

static void test_hosts_file(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	write_file("hosts", "192.0.2.7 host.example alias\n");
	expect_answer(&pool, "host.example", "192.0.2.7:0");
	expect_answer(&pool, "alias", "192.0.2.7:0");
	/* The process that is kept sees that the file has changed. */
	write_file("hosts", OWN_HOSTS);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void test_the_name_server_s_word(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	assert_int_equal(answer(&pool, 0, "nx.example")->lookup.gai_error, EAI_NONAME);
	assert_int_equal(answer(&pool, 0, "fail.example")->lookup.gai_error, EAI_AGAIN);
	assert_int_equal(answer(&pool, 0, "many.example")->lookup.gai_error, 0);
	assert_int_equal(pool.asked[0].lookup.addresses.n, ADDRESSES_MAX);
	assert_true(addresses_valid(&pool.asked[0].lookup.addresses));
	/* What came before leaves nothing behind. */
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void test_the_longest_name(void **state)
{
	struct pool pool;
	char host[PROTO_HOST_MAX + 1];

	memset(host, 'a', PROTO_HOST_MAX);
	for (size_t i = 63; i < PROTO_HOST_MAX; i += 64)
		host[i] = '.';
	host[PROTO_HOST_MAX] = '\0';
	pool_init(&pool, 8);
	ask_into_the_void(&pool, 0, host);
	pool_deinit(&pool);
}

static void test_nothing_happens_inside_start(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	for (size_t i = 0; i < ASKED_MAX; i++)
		ask(&pool, i, "localhost");
	for (size_t i = 0; i < ASKED_MAX; i++)
		run_until(pool.loop, is_set, &pool.asked[i].done);
	assert_int_equal(pool.n_done, ASKED_MAX);
	for (size_t i = 0; i < ASKED_MAX; i++)
		assert_int_equal(pool.asked[i].lookup.gai_error, 0);
	pool_deinit(&pool);
}

/* --- the pool */

static void test_a_look_up_without_answer_holds_up_nobody(void **state)
{
	struct pool pool;
	struct asked *stuck;

	pool_init(&pool, 2);
	stuck = ask_into_the_void(&pool, 1, "void.example");
	for (int i = 0; i < 20; i++)
		expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_false(stuck->done);
	pool_deinit(&pool);
}

static void test_the_bound_and_the_order(void **state)
{
	struct pool pool;
	static const char *const names[] = { "a.void", "b.void", "c.void", "d.void", "e.void" };

	pool_init(&pool, 2);
	for (size_t i = 0; i < array_size(names); i++)
		ask(&pool, i, names[i]);
	assert_int_equal(pool.resolver.busy, 2);
	await_query(&pool, names[0]);
	await_query(&pool, names[1]);
	/* One that waits is taken out of the row. */
	lookup_stop(&pool.asked[3].lookup);
	assert_int_equal(pool.resolver.busy, 2);
	lookup_stop(&pool.asked[1].lookup);
	await_query(&pool, names[2]);
	assert_int_equal(own_net.n_names, 3);
	lookup_stop(&pool.asked[0].lookup);
	await_query(&pool, names[4]);
	assert_int_equal(own_net.n_names, 4);
	assert_int_equal(pool.resolver.busy, 2);
	assert_int_equal(pool.n_done, 0);
	/* Nothing was answered so far; the places that these two give free are for real ones. */
	lookup_stop(&pool.asked[2].lookup);
	lookup_stop(&pool.asked[4].lookup);
	assert_int_equal(pool.resolver.busy, 0);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

/* He who has names that are not answered for waits for himself. */
static void test_the_bound_of_a_user(void **state)
{
	struct pool pool;

	pool_init_for_users(&pool, 3, 2);
	ask_as(&pool, 0, 1, "a.void");
	ask_as(&pool, 1, 1, "b.void");
	ask_as(&pool, 2, 1, "c.void");
	ask_as(&pool, 3, 1, "d.void");
	assert_int_equal(pool.resolver.busy, 2);
	await_query(&pool, "a.void");
	await_query(&pool, "b.void");
	/* Behind those that wait, and before them. */
	ask_as(&pool, 4, 2, "host.example");
	run_until(pool.loop, is_set, &pool.asked[4].done);
	assert_int_equal(pool.asked[4].lookup.gai_error, 0);
	/* With his one all are busy, and it is the bound of all that counts. */
	ask_as(&pool, 4, 2, "e.void");
	ask_as(&pool, 5, 3, "f.void");
	await_query(&pool, "e.void");
	assert_int_equal(pool.resolver.busy, 3);
	assert_int_equal(own_net.n_names, 3);
	/* The first one that may has the place: not the first of all. */
	lookup_stop(&pool.asked[4].lookup);
	await_query(&pool, "f.void");
	assert_false(was_asked_for("c.void"));
	/* One that waits and is given up is not the next one. */
	lookup_stop(&pool.asked[2].lookup);
	lookup_stop(&pool.asked[0].lookup);
	await_query(&pool, "d.void");
	assert_false(was_asked_for("c.void"));
	assert_int_equal(pool.resolver.busy, 3);
	pool_deinit(&pool);
}

/* An answer makes room for the same user, too. */
static void test_the_next_one_s_turn_for_a_user(void **state)
{
	struct pool pool;

	pool_init_for_users(&pool, 4, 1);
	for (size_t i = 0; i < 4; i++)
		ask_as(&pool, i, 7, "host.example");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pool.resolver.busy, 1);
		run_until(pool.loop, is_set, &pool.asked[i].done);
		assert_int_equal(pool.n_done, i + 1);
	}
	pool_deinit(&pool);
}

/* A waiting one is answered when another's answer comes. */
static void test_the_next_one_s_turn(void **state)
{
	struct pool pool;

	pool_init(&pool, 1);
	for (size_t i = 0; i < 5; i++)
		ask(&pool, i, i % 2 ? "nx.example" : "host.example");
	for (size_t i = 0; i < 5; i++) {
		run_until(pool.loop, is_set, &pool.asked[i].done);
		assert_int_equal(pool.n_done, i + 1);
		assert_int_equal(pool.asked[i].lookup.gai_error, i % 2 ? EAI_NONAME : 0);
	}
	pool_deinit(&pool);
}

static void test_one_process_is_kept(void **state)
{
	struct pool pool;
	size_t descriptors;
	pid_t pid;

	pool_init(&pool, 8);
	expect_answer(&pool, "localhost", "[::1]:0 127.0.0.1:0");
	descriptors = count_descriptors();
	pid = only_child(&pool);
	for (int i = 0; i < 50; i++) {
		expect_answer(&pool, "host.example", "192.0.2.8:0");
		assert_int_equal(only_child(&pool), pid);
		assert_int_equal(count_descriptors(), descriptors);
	}
	pool_deinit(&pool);
}

static bool one_child(void *pool)
{
	pid_t pids[ASKED_MAX];

	return children_of(((struct pool *)pool)->nursery, pids, ASKED_MAX) == 1;
}

/* As run_until(), for what no event of the loop tells. */
static void poll_until(struct ev_loop *loop, bool (*condition)(void *arg), void *arg)
{
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);

	while (!condition(arg)) {
		assert_true(clock_us() < end);
		ev_run(loop, EVRUN_NOWAIT);
	}
}

/* One remains, and no descriptor of the others. */
static void test_a_crowd_goes_home(void **state)
{
	struct pool pool;
	size_t descriptors;

	pool_init(&pool, 4);
	descriptors = count_descriptors();
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < ASKED_MAX; i++)
			ask(&pool, i, "host.example");
		for (size_t i = 0; i < ASKED_MAX; i++)
			run_until(pool.loop, is_set, &pool.asked[i].done);
		poll_until(pool.loop, one_child, &pool);
		assert_int_equal(count_descriptors(), descriptors);
	}
	pool_deinit(&pool);
}

/* --- giving up */

static void test_a_stopped_look_up_ends_its_process(void **state)
{
	struct pool pool;
	size_t descriptors;
	pid_t pid;

	pool_init(&pool, 2);
	descriptors = count_descriptors();
	for (int i = 0; i < 5; i++) {
		char host[] = "stopped-0.void";

		host[8] += (char)i;
		pid = find_stuck(&pool, host);
		assert_int_equal(parent_of(pid), pool.nursery);
		lookup_stop(&pool.asked[1].lookup);
		assert_true(ends(pid));
		assert_int_equal(count_descriptors(), descriptors);
	}
	assert_int_equal(pool.asked[1].done, false);
	pool_deinit(&pool);
}

/* Whether it is on its way to the process, in it or on its way back. */
static void test_stopped_at_any_time(void **state)
{
	struct pool pool;
	size_t descriptors;

	pool_init(&pool, 2);
	descriptors = count_descriptors();
	for (unsigned int turns = 0; turns < 40; turns++) {
		struct asked *asked = ask(&pool, 0, "host.example");

		for (unsigned int turn = 0; turn < turns && !asked->done; turn++)
			ev_run(pool.loop, EVRUN_NOWAIT);
		lookup_stop(&asked->lookup);
		asked->done = true;
		for (unsigned int turn = 0; turn < 3; turn++)
			ev_run(pool.loop, EVRUN_NOWAIT);
	}
	/* The kept one is there, or on its way. */
	assert_int_equal(count_descriptors(), descriptors);
	poll_until(pool.loop, one_child, &pool);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void stop_first(EV_P_ ev_check *check, int events)
{
	lookup_stop(check->data);
}

static void test_stopped_with_the_answer_queued(void **state)
{
	struct pool pool;
	struct asked *asked;
	ev_check check;

	pool_init(&pool, 2);
	asked = ask(&pool, 0, "host.example");
	assert_true(wait_for_events(asked->lookup.io.fd, POLLIN, PATIENCE));
	ev_check_init(&check, stop_first);
	ev_set_priority(&check, EV_MAXPRI);
	check.data = &asked->lookup;
	ev_check_start(pool.loop, &check);
	ev_run(pool.loop, EVRUN_NOWAIT);
	ev_check_stop(pool.loop, &check);
	ev_run(pool.loop, EVRUN_NOWAIT);
	assert_false(asked->done);
	pool_deinit(&pool);
}

/*
 * Look-ups are given up until the nursery, which is stopped, has its hands full, and beyond. Each
 * that its socket holds is a fork later; under valgrind, where one takes long, they are few.
 */
static void storm(struct pool *pool)
{
	int least = 0;

	if (RUNNING_ON_VALGRIND)
		assert_int_equal(setsockopt(pool->resolver.nursery, SOL_SOCKET, SO_SNDBUF, &least,
					    sizeof(least)), 0);
	assert_int_equal(kill(pool->nursery, SIGSTOP), 0);
	for (int i = 0; i < 3000; i++) {
		ask(pool, 0, "host.example");
		lookup_stop(&pool->asked[0].lookup);
	}
	assert_false(ask(pool, 0, "host.example")->lookup.running);
	lookup_stop(&pool->asked[0].lookup);
}

/* Somebody who makes one process after the other die delays the others; he does not fail them. */
static void test_a_storm_of_stopped_look_ups(void **state)
{
	static const char *const names[] = { "first.void", "second.void", "third.void" };
	struct pool pool;

	pool_init(&pool, 3);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	storm(&pool);
	for (size_t i = 0; i < array_size(names); i++)
		ask(&pool, i, names[i]);
	ask(&pool, 3, "host.example");
	run_for(pool.loop, 0.05);
	assert_int_equal(pool.n_done, 1);
	/* One that waits for a process is taken out of the row. */
	lookup_stop(&pool.asked[1].lookup);
	assert_int_equal(kill(pool.nursery, SIGCONT), 0);
	run_until(pool.loop, is_set, &pool.asked[3].done);
	assert_int_equal(pool.asked[3].lookup.gai_error, 0);
	await_query(&pool, names[0]);
	await_query(&pool, names[2]);
	assert_false(was_asked_for(names[1]));
	pool_deinit(&pool);
}

/* The end comes while one waits for a process. */
static void test_the_end_in_a_storm(void **state)
{
	struct pool pool;

	pool_init(&pool, 3);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	storm(&pool);
	ask(&pool, 0, "host.example");
	run_for(pool.loop, 0.01);
	assert_int_equal(kill(pool.nursery, SIGCONT), 0);
	pool_deinit(&pool);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_localhost),
		cmocka_unit_test(test_hosts_file),
		cmocka_unit_test(test_the_name_server_s_word),
		cmocka_unit_test(test_the_longest_name),
		cmocka_unit_test(test_nothing_happens_inside_start),
		cmocka_unit_test(test_a_look_up_without_answer_holds_up_nobody),
		cmocka_unit_test(test_the_bound_and_the_order),
		cmocka_unit_test(test_the_bound_of_a_user),
		cmocka_unit_test(test_the_next_one_s_turn_for_a_user),
		cmocka_unit_test(test_the_next_one_s_turn),
		cmocka_unit_test(test_one_process_is_kept),
		cmocka_unit_test(test_a_crowd_goes_home),
		cmocka_unit_test(test_a_stopped_look_up_ends_its_process),
		cmocka_unit_test(test_stopped_at_any_time),
		cmocka_unit_test(test_stopped_with_the_answer_queued),
		cmocka_unit_test(test_a_storm_of_stopped_look_ups),
		cmocka_unit_test(test_the_end_in_a_storm),
	};

	return cmocka_run_group_tests(tests, own_net_init, own_net_deinit);
}
