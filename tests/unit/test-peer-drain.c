/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

#define BUSY "\"error\":\"io.ktlsd.Busy\""
#define RETRY "\"retry\":true"

/* With a request under way that will not end soon. */
static struct scene *scene_with_request(struct played_stage *stage)
{
	struct scene *scene = scene_new();

	*stage = (struct played_stage){ .how = NEVER };
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, stage);
	return scene;
}

/* What never ends by itself ends now. */
static void let_go(struct played_stage *stage)
{
	ev_feed_event(play.loop, &stage->timer, EV_TIMER);
}

static bool has_ended(void *caller)
{
	return ((struct caller *)caller)->ended;
}

/* Whatever came was read, and nothing comes any more. */
static void expect_no_more(struct scene *scene)
{
	run_until(play.loop, has_ended, &scene->caller);
	assert_int_equal(scene->caller.have, 0);
}

static void expect_not_gone(struct scene *scene)
{
	for (int i = 0; i < 10; i++)
		ev_run(play.loop, EVRUN_NOWAIT);
	assert_false(scene->gone);
}

/* --- drained: who waits for nothing goes at once */

static void test_served_and_idle(void **state)
{
	struct scene *scene = scene_new();

	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	ev_run(play.loop, EVRUN_NOWAIT);
	peer_drain(scene->peer);
	assert_true(scene->gone);
	expect_no_more(scene);
	assert_int_equal(send(scene->caller.fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	scene_free(scene);
}

/* He was accepted, so he is served; and then it is over. */
static void test_fresh(void **state)
{
	struct scene *scene = scene_new();

	peer_drain(scene->peer);
	expect_not_gone(scene);
	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	expect_gone(scene);
	expect_no_more(scene);
	scene_free(scene);
}

static void test_fresh_with_a_request(void **state)
{
	struct scene *scene = scene_new();

	peer_drain(scene->peer);
	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	close_fd(&play.far_end);
	expect_gone(scene);
	scene_free(scene);
}

/* Who does not call has no longer than a message may take, though he may be idle for an hour. */
static void test_fresh_and_silent(void **state)
{
	struct scene *scene = scene_with_limits(3600000, 60, 2000);

	peer_drain(scene->peer);
	scene->began_us = clock_us();
	expect_gone_after(scene, 60);
	scene_free(scene);
}

static void test_fresh_with_half_a_call(void **state)
{
	struct scene *scene = scene_with_limits(3600000, 60, 2000);

	caller_send_bytes(&scene->caller, GET_INFO, 5);
	run_for(play.loop, 0.01);
	peer_drain(scene->peer);
	scene->began_us = clock_us();
	expect_gone_after(scene, 60);
	scene_free(scene);

	scene = scene_new();
	caller_send_bytes(&scene->caller, GET_INFO, 5);
	run_for(play.loop, 0.01);
	peer_drain(scene->peer);
	expect_not_gone(scene);
	caller_send(&scene->caller, &GET_INFO[5]);
	expect_info(&scene->caller);
	expect_gone(scene);
	scene_free(scene);
}

/* --- drained: what is under way ends first */

static struct played_stage *const stages_played[] = {
	&play.resolve, &play.connect, &play.handshake,
};

static void test_a_request_under_way(void **state)
{
	for (size_t i = 0; i < array_size(stages_played); i++) {
		struct scene *scene = scene_with_request(stages_played[i]);

		peer_drain(scene->peer);
		expect_not_gone(scene);
		let_go(stages_played[i]);
		expect_connected(expect_socket_reply(&scene->caller));
		close_fd(&play.far_end);
		expect_gone(scene);
		expect_no_more(scene);
		scene_free(scene);
	}
}

/* What had come in before is served, in its order. */
static void test_calls_behind_a_request(void **state)
{
	struct scene *scene = scene_with_request(&play.handshake);

	send_many(scene, PROTO_PIPELINE_MAX);
	run_for(play.loop, 0.01);
	peer_drain(scene->peer);
	let_go(&play.handshake);
	expect_connected(expect_socket_reply(&scene->caller));
	close_fd(&play.far_end);
	expect_many(scene, PROTO_PIPELINE_MAX);
	expect_gone(scene);
	expect_no_more(scene);
	scene_free(scene);
}

/* What came in too late to be looked at is told so: it may be tried again, for nothing was done. */
static void test_a_call_at_the_last_moment(void **state)
{
	struct scene *scene = scene_with_request(&play.handshake);

	peer_drain(scene->peer);
	ev_io_stop(play.loop, &scene->peer->readable);
	caller_send(&scene->caller, GET_INFO);
	let_go(&play.handshake);
	expect_connected(expect_socket_reply(&scene->caller));
	close_fd(&play.far_end);
	expect_reply(&scene->caller, BUSY, RETRY, "\"stage\":\"policy\"");
	expect_gone(scene);
	expect_no_more(scene);
	scene_free(scene);
}

static void test_a_request_that_fails(void **state)
{
	struct scene *scene = scene_with_request(&play.handshake);

	peer_drain(scene->peer);
	play.handshake.how = FAILS_LATER;
	let_go(&play.handshake);
	expect_error(&scene->caller, "io.ktlsd.HandshakeFailed", "handshake");
	expect_gone(scene);
	scene_free(scene);
}

static bool sent_is_waiting(void *scene)
{
	return untaken_waits(&((struct scene *)scene)->peer->untaken);
}

/* A socket that he has not taken is no reason to stay; it is his all the same. */
static void test_a_socket_that_was_not_taken(void **state)
{
	struct scene *scene = scene_new();

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, sent_is_waiting, scene);
	peer_drain(scene->peer);
	assert_true(scene->gone);
	assert_int_equal(ledger_in_all(scene->theatre.ledger, QUOTA_UNDELIVERED), 0);
	caller_read(&scene->caller);
	expect_connected(expect_socket_reply(&scene->caller));
	expect_no_more(scene);
	scene_free(scene);
}

/* With a call behind it he is served in his order: another socket is not made before he takes this
 * one. */
static void test_a_call_behind_a_socket_that_was_not_taken(void **state)
{
	for (int taken = 0; taken < 2; taken++) {
		struct scene *scene = scene_new();

		ev_io_stop(play.loop, &scene->caller.io);
		caller_send(&scene->caller, CONNECT);
		caller_send(&scene->caller, CONNECT);
		run_until(play.loop, sent_is_waiting, scene);
		assert_int_equal(proto_reader_waiting(&scene->peer->reader), 1);
		peer_drain(scene->peer);
		expect_not_gone(scene);
		assert_int_equal(play.resolve.starts, 1);
		if (!taken) /* the service has no more time for him */
			peer_end(scene->peer);
		caller_read(&scene->caller);
		expect_connected(expect_socket_reply(&scene->caller));
		if (taken)
			expect_connected(expect_socket_reply(&scene->caller));
		run_until(play.loop, is_set, &scene->gone);
		assert_int_equal(play.resolve.starts, 1 + taken);
		expect_no_more(scene);
		scene_free(scene);
	}
}

static bool is_delivering(void *arg)
{
	return ev_is_active(&((struct scene *)arg)->peer->delivering);
}

/* A reply that is not taken: as long as a reply may wait, and not longer. */
static void test_a_reply_that_is_not_taken(void **state)
{
	static const char filler[4096];
	struct scene *scene = scene_with_limits(5000, 1000, 60);

	ev_io_stop(play.loop, &scene->caller.io);
	while (send(scene->peer->fd, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	while (send(scene->peer->fd, filler, 1, MSG_DONTWAIT) > 0)
		;
	caller_send(&scene->caller, GET_INFO);
	run_until(play.loop, is_delivering, scene);
	peer_drain(scene->peer);
	expect_gone(scene);
	assert_true(scene->gone_us >= 55000);
	scene_free(scene);
}

/* --- ended: now, with a word to whom has something under way */

static void test_ended_with_a_request(void **state)
{
	static const char *const names[] = { "resolve", "connect", "handshake" };

	for (size_t i = 0; i < array_size(stages_played); i++) {
		struct scene *scene = scene_with_request(stages_played[i]);
		char where[32];

		snprintf(where, sizeof(where), "\"stage\":\"%s\"", names[i]);
		caller_send(&scene->caller, GET_INFO);
		run_for(play.loop, 0.005);
		peer_end(scene->peer);
		assert_true(scene->gone);
		expect_reply(&scene->caller, BUSY, RETRY, where);
		expect_no_more(scene);
		expect_gone(scene);
		scene_free(scene);
	}
}

static void test_ended_without_a_request(void **state)
{
	struct scene *scene = scene_new();

	peer_end(scene->peer);
	assert_true(scene->gone);
	expect_no_more(scene);
	scene_free(scene);
}

/* Nobody wants to know. */
static void test_ended_with_a_oneway_request(void **state)
{
	struct scene *scene = scene_new();

	play.handshake.how = NEVER;
	caller_send(&scene->caller, "{\"method\":\"io.ktlsd.Probe\",\"oneway\":true,"
				    "\"parameters\":{\"host\":\"host.example\",\"port\":443}}");
	run_until(play.loop, stage_runs, &play.handshake);
	peer_end(scene->peer);
	assert_true(scene->gone);
	expect_no_more(scene);
	expect_gone(scene);
	scene_free(scene);
}

/* Drained before, and out of patience. */
static void test_ended_after_draining(void **state)
{
	struct scene *scene = scene_with_request(&play.connect);

	peer_drain(scene->peer);
	expect_not_gone(scene);
	peer_end(scene->peer);
	assert_true(scene->gone);
	expect_reply(&scene->caller, BUSY, RETRY, "\"stage\":\"connect\"");
	expect_no_more(scene);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_served_and_idle),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_fresh_with_a_request),
		cmocka_unit_test(test_fresh_and_silent),
		cmocka_unit_test(test_fresh_with_half_a_call),
		cmocka_unit_test(test_a_request_under_way),
		cmocka_unit_test(test_calls_behind_a_request),
		cmocka_unit_test(test_a_call_at_the_last_moment),
		cmocka_unit_test(test_a_request_that_fails),
		cmocka_unit_test(test_a_socket_that_was_not_taken),
		cmocka_unit_test(test_a_call_behind_a_socket_that_was_not_taken),
		cmocka_unit_test(test_a_reply_that_is_not_taken),
		cmocka_unit_test(test_ended_with_a_request),
		cmocka_unit_test(test_ended_without_a_request),
		cmocka_unit_test(test_ended_with_a_oneway_request),
		cmocka_unit_test(test_ended_after_draining),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
