/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
/* A request that is a probe: it ends in facts, and the door to the kernel is never touched. */
#include "tests/unit/run.h"

static void probe_init(struct run *run)
{
	run_init(run);
	run->aim = REQUEST_PROBE;
	/* Whoever takes what there is gets nothing. */
	run->take = true;
}

/* Once it is done. The connection that was made, if one was, has ended. */
static void probe_deinit(struct run *run)
{
	assert_int_equal(run->taken, -1);
	assert_int_equal(play.attaches + play.keys + play.installs, 0);
	assert_int_equal(play.offers[TLS_OFFER_KERNEL], 0);
	run_deinit(run);
}

static void expect_names(const struct proto_strings *names)
{
	assert_true(names->n > 0);
	for (size_t i = 0; i < names->n; i++)
		assert_true(*names->items[i]);
}

static void test_a_probe(void **state)
{
	struct run run;

	probe_init(&run);
	play.handshake.how = LATER;
	run_to_done(&run, "host.example");
	assert_int_equal(run.status.error, PROTO_OK);
	assert_string_equal(run.session.cipher, "ECDHE-RSA-AES256-GCM-SHA384");
	assert_non_null(strstr(run.session.address, ":443"));
	assert_true(run.session.timings.handshake >= LATER_MS * 1000);
	assert_true(run.session.timings.total >= run.session.timings.handshake);
	assert_int_equal(run.session.timings.install, 0);
	expect_names(&run.request->probe.offered);
	expect_names(&run.request->probe.offloadable);
	assert_true(run.request->probe.offloadable.n < run.request->probe.offered.n);
	assert_int_equal(play.offers[TLS_OFFER_ALL], 1);
	assert_int_equal(play.farewells, 1);
	/* The end of the connection comes with that of the request, not with its owner's. */
	close_fd(&play.copy);
	assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	probe_deinit(&run);
}

static void test_a_kernel_without_tls(void **state)
{
	struct run run;

	probe_init(&run);
	run.theatre.env.kernel.ulp_errno = ENOENT;
	play.probe_finds_nothing = true;
	run_to_done(&run, "host.example");
	assert_int_equal(run.status.error, PROTO_OK);
	expect_names(&run.request->probe.offered);
	assert_int_equal(run.request->probe.offloadable.n, 0);
	assert_false(run.request->probe.takes_over);
	assert_int_equal(play.farewells, 1);
	probe_deinit(&run);
}

/* What a kernel might refuse does not come about. */
static void test_nothing_is_asked_of_the_kernel(void **state)
{
	static const enum refusal refusals[] = {
		OF_KERNEL, OF_ATTACH, OF_KEYS, OF_PREPARE, OF_INSTALL,
	};
	struct run run;

	for (size_t i = 0; i < array_size(refusals); i++) {
		probe_init(&run);
		play.refusal = refusals[i];
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(run.status.error, PROTO_OK);
		assert_false(run.theatre.env.kernel_changed);
		probe_deinit(&run);
	}
}

static const struct failure {
	enum how resolve, connect, handshake;
	enum refusal refusal;
	enum proto_error error;
	enum proto_stage stage;
} failures[] = {
	{ 0, 0, 0, OF_TLS, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY },
	{ 0, 0, 0, OF_TRUST, PROTO_INVALID_PARAMETER, PROTO_STAGE_POLICY },
	{ FAILS_LATER, 0, 0, 0, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE },
	{ NEVER, 0, 0, 0, PROTO_TIMED_OUT, PROTO_STAGE_RESOLVE },
	{ 0, FAILS_LATER, 0, 0, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT },
	{ 0, NEVER, 0, 0, PROTO_TIMED_OUT, PROTO_STAGE_CONNECT },
	{ 0, 0, 0, OF_START, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE },
	{ 0, 0, FAILS_LATER, 0, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE },
	{ 0, 0, NEVER, 0, PROTO_TIMED_OUT, PROTO_STAGE_HANDSHAKE },
	{ LATER, LATER, LATER, 0, PROTO_OK, PROTO_STAGE_NONE },
};

/* How far it came is told: nothing of one that did not come to try anything. */
static void expect_trace(const struct run *run, const struct failure *failure)
{
	const struct proto_trace *trace = request_trace(run->request);
	const struct proto_timings *timings;
	bool connects = failure->stage == PROTO_STAGE_CONNECT && failure->connect != NEVER;
	bool connected = failure->stage == PROTO_STAGE_HANDSHAKE || failure->error == PROTO_OK;

	assert_int_equal(trace != NULL, failure->stage != PROTO_STAGE_POLICY);
	if (!trace)
		return;
	timings = &trace->timings;
	assert_int_equal(trace->attempts.n, connects || connected);
	assert_int_equal(timings->connect > 0, connected);
	assert_int_equal(timings->handshake > 0, failure->error == PROTO_OK);
	assert_int_equal(timings->install, 0);
	assert_true(timings->total > 0);
	assert_true(timings->total >= timings->resolve + timings->connect + timings->handshake);
}

static void failure_play(const struct failure *failure, struct run *run)
{
	play.resolve.how = failure->resolve;
	play.connect.how = failure->connect;
	play.handshake.how = failure->handshake;
	play.refusal = failure->refusal;
	run->theatre.config.limits.resolve_ms = 5;
	run->theatre.config.limits.connect_ms = 5;
	run->theatre.config.limits.handshake_ms = 5;
}

static void test_every_end(void **state)
{
	struct run run;

	for (size_t i = 0; i < 2 * array_size(failures); i++) {
		const struct failure *failure = &failures[i / 2];

		probe_init(&run);
		failure_play(failure, &run);
		run.free_in_done = i % 2;
		run_to_done(&run, "host.example");
		assert_int_equal(run.status.error, failure->error);
		assert_int_equal(run.status.stage, failure->stage);
		/* To a peer that was not verified there is nothing to say. */
		assert_int_equal(play.farewells, failure->error == PROTO_OK);
		if (run.request)
			expect_trace(&run, failure);
		probe_deinit(&run);
		assert_int_equal(run.n_done, 1);
	}
}

static void test_both_stages_tell(void **state)
{
	struct run run;

	for (enum request_aim aim = REQUEST_CONNECT; aim <= REQUEST_PROBE; aim++) {
		probe_init(&run);
		run.aim = aim;
		run.take = false;
		run_to_done(&run, "host.example");
		assert_int_equal(run.status.error, PROTO_OK);
		assert_int_equal(play.traces, aim == REQUEST_PROBE ? 2 : 0);
		assert_int_equal(request_trace(run.request) != NULL, aim == REQUEST_PROBE);
		run.request = request_free(run.request);
		run_deinit(&run);
	}
}

/* That a certificate cannot be checked for a host is seen late. */
static void test_a_parameter_that_is_wrong(void **state)
{
	struct run run;

	probe_init(&run);
	play.refusal = OF_START_NAME;
	run_to_done(&run, "host.example");
	assert_int_equal(run.status.error, PROTO_INVALID_PARAMETER);
	assert_int_equal(play.handshake.starts, 0);
	assert_null(request_trace(run.request));
	probe_deinit(&run);
}

static void test_cancelled_at_every_turn(void **state)
{
	for (size_t i = 0; i < array_size(failures); i++) {
		unsigned int turns = 0;
		struct run run;

		do {
			probe_init(&run);
			failure_play(&failures[i], &run);
			run_begin(&run, "host.example");
			for (unsigned int turn = 0; turn < turns && !run.done; turn++)
				run_one_turn(play.loop);
			turns++;
			run.request = request_free(run.request);
			probe_deinit(&run);
			assert_int_equal(run.n_done, run.done);
		} while (!run.done);
	}
}

static void test_no_memory_for_the_lists(void **state)
{
	struct run run;

	probe_init(&run);
	run_begin(&run, "127.0.0.1");
	no_memory = true;
	run_one_turn(play.loop);
	no_memory = false;
	assert_true(run.done);
	assert_int_equal(run.status.error, PROTO_INTERNAL_ERROR);
	assert_int_equal(run.status.stage, PROTO_STAGE_POLICY);
	assert_int_equal(run.status.sys_errno, ENOMEM);
	probe_deinit(&run);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_probe),
		cmocka_unit_test(test_a_kernel_without_tls),
		cmocka_unit_test(test_nothing_is_asked_of_the_kernel),
		cmocka_unit_test(test_every_end),
		cmocka_unit_test(test_both_stages_tell),
		cmocka_unit_test(test_a_parameter_that_is_wrong),
		cmocka_unit_test(test_cancelled_at_every_turn),
		cmocka_unit_test(test_no_memory_for_the_lists),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
