/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
#include "tests/unit/run.h"

/* --- deadlines */

enum timed { RESOLVE, CONNECT, HANDSHAKE, N_TIMED };

static const struct {
	struct played_stage *stage;
	size_t limit;
	enum proto_stage name;
} timed[N_TIMED] = {
	{ &play.resolve, offsetof(struct config, limits.resolve_ms), PROTO_STAGE_RESOLVE },
	{ &play.connect, offsetof(struct config, limits.connect_ms), PROTO_STAGE_CONNECT },
	{ &play.handshake, offsetof(struct config, limits.handshake_ms), PROTO_STAGE_HANDSHAKE },
};

static void set_limit(struct run *run, enum timed which, unsigned int ms)
{
	*(unsigned int *)((char *)&run->theatre.config + timed[which].limit) = ms;
}

static void expect_timed_out(const struct run *run, enum timed which, unsigned int ms)
{
	assert_int_equal(run->status.error, PROTO_TIMED_OUT);
	assert_int_equal(run->status.stage, timed[which].name);
	assert_true(run->status.retry);
	assert_int_equal(run->status.sys_errno, 0);
	if (run->took_us < ms * 1000 || run->took_us > (ms + LATE_MS) * 1000)
		fail_msg("timed out after %u us, not %u ms", (unsigned int)run->took_us, ms);
	assert_true(run->session.timings.total >= ms * 1000);
}

static void test_a_stage_s_limit_is_within_the_request_s(void **state)
{
	struct run run;

	for (enum timed which = 0; which < N_TIMED; which++) {
		run_init(&run);
		set_limit(&run, which, 40);
		timed[which].stage->how = NEVER;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 40);
		run_deinit(&run);
	}
}

static void test_the_request_s_limit_is_within_a_stage_s(void **state)
{
	struct run run;

	for (enum timed which = 0; which < N_TIMED; which++) {
		run_init(&run);
		timed[which].stage->how = NEVER;
		run.request = new_request(&run, "host.example");
		run.request->call.timeout_ms = 40;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 40);
		run_deinit(&run);
	}
}

/* What the stages before have used up is not there any more: it would end at 3390 ms. */
static void test_the_request_s_limit_counts_from_its_start(void **state)
{
	struct run run;

	for (enum timed which = CONNECT; which < N_TIMED; which++) {
		run_init(&run);
		for (enum timed before = 0; before < which; before++) {
			timed[before].stage->how = LATER;
			timed[before].stage->later_ms = 1400.0 / which;
		}
		timed[which].stage->how = NEVER;
		set_limit(&run, which, 1990);
		run.request = new_request(&run, "host.example");
		run.request->call.timeout_ms = 2000;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 2000);
		run_deinit(&run);
	}
}

/* A stage's limit is its own: what those before have used does not count. */
static void test_a_stage_s_limit_counts_from_its_start(void **state)
{
	struct run run;

	run_init(&run);
	play.resolve = (struct played_stage){ .how = LATER, .later_ms = 60 };
	play.connect.how = NEVER;
	set_limit(&run, RESOLVE, 100);
	set_limit(&run, CONNECT, 50);
	run_to_done(&run, "host.example");
	expect_timed_out(&run, CONNECT, 110);
	run_deinit(&run);
}

/* The loop's idea of now is older than the work that has been done in this turn. */
static void test_deadline_of_a_busy_loop(void **state)
{
	struct run run;

	run_init(&run);
	play.busy_ms = 200;
	play.resolve.how = NEVER;
	set_limit(&run, RESOLVE, 50);
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, 250);
	run_deinit(&run);

	run_init(&run);
	play.busy_ms = 60;
	play.resolve.how = NEVER;
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = 20;
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, 60);
	run_deinit(&run);
}

static void test_the_least_and_the_largest_timeout(void **state)
{
	struct run run;

	run_init(&run);
	play.resolve.how = NEVER;
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = PROTO_TIMEOUT_MIN_MS;
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, PROTO_TIMEOUT_MIN_MS);
	run_deinit(&run);

	run_init(&run);
	play.resolve.how = NEVER;
	set_limit(&run, RESOLVE, 24 * 60 * 60 * 1000);
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = PROTO_TIMEOUT_MAX_MS;
	run_begin(&run, "host.example");
	run_for(play.loop, 0.05);
	assert_false(run.done);
	assert_true(ev_timer_remaining(play.loop, &run.request->deadline) > 119);
	assert_true(ev_timer_remaining(play.loop, &run.request->deadline) <= 120);
	run_deinit(&run);
}

/* --- ended by the service */

static void expect_ended(const struct run *run, enum proto_stage stage)
{
	assert_int_equal(run->n_done, 1);
	assert_int_equal(run->status.error, PROTO_BUSY);
	assert_int_equal(run->status.stage, stage);
	assert_int_equal(run->status.sys_errno, 0);
	assert_true(run->status.retry);
}

static bool runs(void *stage)
{
	return ((struct played_stage *)stage)->running;
}

/* done comes within, also if the owner frees the request in it; and never again. */
static void test_ended_in_each_stage(void **state)
{
	struct run run;

	for (unsigned int i = 0; i < 2 * N_TIMED; i++) {
		enum timed which = i / 2;

		run_init(&run);
		run.free_in_done = i % 2;
		timed[which].stage->how = NEVER;
		run_begin(&run, "host.example");
		run_until(play.loop, runs, timed[which].stage);
		request_end(run.request);
		expect_ended(&run, timed[which].name);
		assert_false(timed[which].stage->running);
		run_for(play.loop, 0.01);
		assert_int_equal(run.n_done, 1);
		run_deinit(&run);
	}
}

static void test_ended_before_its_first_turn(void **state)
{
	struct run run;

	run_init(&run);
	run_begin(&run, "host.example");
	request_end(run.request);
	expect_ended(&run, PROTO_STAGE_POLICY);
	run_for(play.loop, 0.01);
	assert_int_equal(run.n_done, 1);
	assert_int_equal(play.resolve.starts, 0);
	run_deinit(&run);
}

/* --- what a worker has of all look-ups */

static void expect_share(struct theatre *theatre, unsigned int workers, unsigned int max,
			 unsigned int max_of_user)
{
	const struct env_parts parts = {
		.config = &theatre->config, .log = &theatre->log, .book = &theatre->book,
		.nursery = -1, .workers = workers,
	};
	struct env env;

	assert_true(env_init(&env, play.loop, &parts));
	assert_int_equal(env.resolver.max, max);
	assert_int_equal(env.resolver.max_of_user, max_of_user);
	env_deinit(&env);
}

/* However many workers: something for each, and for somebody else than one user. */
static void test_look_ups_are_shared_out(void **state)
{
	struct run run;

	run_init(&run);
	expect_share(&run.theatre, 1, 8, 2);
	expect_share(&run.theatre, 2, 4, 1);
	expect_share(&run.theatre, 3, 3, 1);
	expect_share(&run.theatre, 8, 2, 1);
	expect_share(&run.theatre, 64, 2, 1);
	/* Unless the administrator says otherwise. */
	run.theatre.config.limits.resolvers = 2;
	expect_share(&run.theatre, 1, 2, 2);
	expect_share(&run.theatre, 4, 1, 1);
	run_deinit(&run);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stage_s_limit_is_within_the_request_s),
		cmocka_unit_test(test_the_request_s_limit_is_within_a_stage_s),
		cmocka_unit_test(test_the_request_s_limit_counts_from_its_start),
		cmocka_unit_test(test_a_stage_s_limit_counts_from_its_start),
		cmocka_unit_test(test_deadline_of_a_busy_loop),
		cmocka_unit_test(test_the_least_and_the_largest_timeout),
		cmocka_unit_test(test_ended_in_each_stage),
		cmocka_unit_test(test_ended_before_its_first_turn),
		cmocka_unit_test(test_look_ups_are_shared_out),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
