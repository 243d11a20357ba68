/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
/*
 * What is counted of what a caller asks for: each request once, with how it ended and where, and what
 * is no request apart.
 */
#include "tests/unit/scene.h"

#define PROBE_TO(more)										\
	"{\"method\":\"io.ktlsd.Probe\"" more ",\"parameters\":"				\
	"{\"host\":\"host.example\",\"port\":443}}"
#define GET_STATUS "{\"method\":\"io.ktlsd.GetStatus\"}"

static uint64_t ended(const struct scene *scene, enum request_aim aim, unsigned int ending,
		      enum proto_stage stage)
{
	struct tally_counts all;
	uint64_t n = 0;

	tally_add_up(scene->theatre.tally, &all);
	for (unsigned int i = 0; i < N_ENDINGS * ENDING_STAGES; i++)
		n += all.ended[aim][i / ENDING_STAGES][i % ENDING_STAGES];
	/* None is under way where this is asked. */
	assert_int_equal(n, all.begun[aim]);
	return all.ended[aim][ending][stage];
}

static struct tally_counts counts(const struct scene *scene)
{
	struct tally_counts all;

	tally_add_up(scene->theatre.tally, &all);
	return all;
}

static uint64_t under_way(const struct scene *scene)
{
	return tally_under_way(scene->theatre.tally, scene->theatre.book.seat);
}

static bool is_at_rest(void *scene)
{
	return under_way(scene) == 0;
}

/* --- how it ends */

static void test_taken(void **state)
{
	struct scene *scene = scene_new();

	play.handshake.how = LATER;
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.handshake);
	assert_int_equal(under_way(scene), 1);
	expect_connected(expect_socket_reply(&scene->caller));
	run_until(play.loop, is_at_rest, scene);
	assert_int_equal(ended(scene, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE), 1);
	assert_int_equal(counts(scene).times[4].count, 1);
	assert_int_equal(counts(scene).sessions[0][TALLY_SUITES], 0);
	scene_free(scene);
}

static void test_failed(void **state)
{
	struct scene *scene = scene_new();

	play.connect.how = FAILS_LATER;
	caller_send(&scene->caller, CONNECT);
	expect_error(&scene->caller, "io.ktlsd.ConnectFailed", "connect");
	run_until(play.loop, is_at_rest, scene);
	assert_int_equal(ended(scene, REQUEST_CONNECT, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT), 1);
	assert_int_equal(counts(scene).times[4].count, 1);
	scene_free(scene);
}

static void test_probed_without_a_reply(void **state)
{
	struct scene *scene = scene_new();

	caller_send(&scene->caller, PROBE_TO(",\"oneway\":true"));
	caller_send(&scene->caller, PROBE_TO(""));
	caller_receive(&scene->caller);
	run_until(play.loop, is_at_rest, scene);
	assert_int_equal(ended(scene, REQUEST_PROBE, PROTO_OK, PROTO_STAGE_NONE), 2);
	assert_int_equal(ended(scene, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE), 0);
	scene_free(scene);
}

/* The reply finds nobody. */
static void test_not_taken(void **state)
{
	struct scene *scene = scene_new();

	play.handshake.how = NEVER;
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.handshake);
	shutdown(scene->caller.fd, SHUT_RD);
	ev_feed_event(play.loop, &play.handshake.timer, EV_TIMER);
	expect_gone(scene);
	assert_int_equal(ended(scene, REQUEST_CONNECT, ENDING_NOT_TAKEN, PROTO_STAGE_NONE), 1);
	scene_free(scene);
}

static void cancel_at(struct played_stage *stage, enum proto_stage name)
{
	struct scene *scene = scene_new();
	struct tally_counts all;

	stage->how = NEVER;
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, stage);
	assert_int_equal(under_way(scene), 1);
	run_for(play.loop, 0.002);
	caller_hang_up(&scene->caller);
	expect_gone(scene);
	assert_int_equal(ended(scene, REQUEST_CONNECT, ENDING_CANCELLED, name), 1);
	all = counts(scene);
	assert_int_equal(all.times[4].count, 1);
	assert_in_range(all.times[4].sum, 2000, clock_us() - scene->began_us);
	scene_free(scene);
}

static void test_cancelled(void **state)
{
	cancel_at(&play.resolve, PROTO_STAGE_RESOLVE);
	cancel_at(&play.connect, PROTO_STAGE_CONNECT);
	cancel_at(&play.handshake, PROTO_STAGE_HANDSHAKE);
}

/* Its connection goes without the caller's doing, as in a worker that ends. */
static void test_freed_under_way(void **state)
{
	struct scene *scene = scene_new();

	play.resolve.how = NEVER;
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.resolve);
	scene->peer = peer_free(scene->peer);
	assert_int_equal(ended(scene, REQUEST_CONNECT, ENDING_CANCELLED, PROTO_STAGE_RESOLVE), 1);
	scene_free(scene);
}

/* --- what is no request */

static void test_refused(void **state)
{
	static const char *const calls[] = {
		"{\"method\":\"io.ktlsd.Nothing\"}", "{\"method\":\"io.ktlsd.Connect\"}",
		"{\"method\":\"io.ktlsd.Nothing\",\"oneway\":true}", "no JSON",
	};
	struct scene *scene = scene_new();

	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	for (size_t i = 0; i < array_size(calls); i++)
		caller_send(&scene->caller, calls[i]);
	expect_gone(scene);
	assert_int_equal(counts(scene).refused, array_size(calls));
	assert_int_equal(counts(scene).begun[REQUEST_CONNECT], 0);
	scene_free(scene);
}

static void test_refused_with_a_descriptor(void **state)
{
	struct scene *scene = scene_new();

	caller_send_with_fds(&scene->caller, GET_INFO, sizeof(GET_INFO), scene->caller.fd, 1);
	expect_gone(scene);
	assert_int_equal(counts(scene).refused, 1);
	scene_free(scene);
}

static void test_refused_for_its_length(void **state)
{
	static const char blanks[4096] = { [0 ... 4095] = ' ' };
	struct scene *scene = scene_new();

	while (!scene->gone) {
		send(scene->caller.fd, blanks, sizeof(blanks), MSG_DONTWAIT | MSG_NOSIGNAL);
		ev_run(play.loop, EVRUN_NOWAIT);
	}
	assert_int_equal(counts(scene).refused, 1);
	scene_free(scene);
}

/* --- what the log has not */

static void test_suppressed(void **state)
{
	struct scene *scene = scene_new();

	scene->theatre.config.limits.user_records_per_sec = 1;
	scene->theatre.config.limits.user_records_burst = 2;
	play.resolve.how = FAILS_LATER;
	for (unsigned int i = 0; i < 5; i++) {
		caller_send(&scene->caller, CONNECT);
		expect_error(&scene->caller, "io.ktlsd.ResolveFailed", "resolve");
	}
	run_until(play.loop, is_at_rest, scene);
	assert_int_equal(counts(scene).suppressed, 3);
	assert_int_equal(ended(scene, REQUEST_CONNECT, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE), 5);
	scene_free(scene);
}

/* --- and what is told of it */

static void test_get_status(void **state)
{
	struct scene *scene = scene_new();
	char pid[32];

	snprintf(pid, sizeof(pid), "\"pid\":%d,", getpid());
	play.resolve.how = FAILS_LATER;
	caller_send(&scene->caller, CONNECT);
	expect_error(&scene->caller, "io.ktlsd.ResolveFailed", "resolve");
	caller_send(&scene->caller, "{\"method\":\"io.ktlsd.GetStatus\",\"oneway\":true}");
	caller_send(&scene->caller, GET_STATUS);
	expect_reply(&scene->caller, "{\"parameters\":{\"version\":\"" KTLSD_VERSION "\"", pid,
		     "\"underWay\":0", "\"callsRefused\":0",
		     "\"outcomes\":[{\"method\":\"Connect\",\"outcome\":\"ResolveFailed\","
		     "\"stage\":\"resolve\",\"count\":1}]",
		     "\"name\":\"connections\",\"used\":1,\"limit\":1024,\"userUsed\":1",
		     "{\"section\":\"Limits\",\"key\":\"Requests\",\"value\":\"512\"}");
	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_probed_without_a_reply),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_freed_under_way),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_with_a_descriptor),
		cmocka_unit_test(test_refused_for_its_length),
		cmocka_unit_test(test_suppressed),
		cmocka_unit_test(test_get_status),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
