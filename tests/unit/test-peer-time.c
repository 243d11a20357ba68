/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

/* --- time */

static void test_idle(void **state)
{
	struct scene *scene = scene_with_limits(60, 5000, 5000);

	expect_gone_after(scene, 60);
	scene_free(scene);
}

/* It counts from the last reply, and not while a call is under way. */
static void test_idle_after_a_call(void **state)
{
	struct scene *scene = scene_with_limits(150, 5000, 5000);
	int fd;

	play.handshake = (struct played_stage){ .how = LATER, .later_ms = 300 };
	caller_send(&scene->caller, CONNECT);
	fd = expect_socket_reply(&scene->caller);
	assert_true(clock_us() - scene->began_us >= 300000);
	assert_false(scene->gone);
	expect_connected(fd);
	close_fd(&play.far_end);
	expect_gone_after(scene, 450);
	scene_free(scene);
}

static void test_half_a_message(void **state)
{
	struct scene *scene = scene_with_limits(5000, 60, 5000);

	caller_send_bytes(&scene->caller, "{", 1);
	expect_gone_after(scene, 60);
	scene_free(scene);
}

struct dripping {
	ev_timer timer;
	struct caller *caller;
};

static void on_drip(EV_P_ ev_timer *timer, int events)
{
	struct dripping *dripping = container_of(timer, struct dripping, timer);

	send(dripping->caller->fd, " ", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void drip(struct dripping *dripping, struct caller *caller)
{
	dripping->caller = caller;
	ev_timer_init(&dripping->timer, on_drip, 0.005, 0.005);
	ev_timer_start(play.loop, &dripping->timer);
}

static void test_a_message_that_drips(void **state)
{
	struct scene *scene = scene_with_limits(5000, 100, 5000);
	struct dripping dripping;

	drip(&dripping, &scene->caller);
	expect_gone_after(scene, 100);
	ev_timer_stop(play.loop, &dripping.timer);
	scene_free(scene);
}

/* Each message has its own time, from its own first byte. */
static void test_time_is_each_message_s_own(void **state)
{
	struct scene *scene = scene_with_limits(5000, 600, 5000);

	for (int i = 0; i < 4; i++) {
		/* The end of one, and the beginning of the next. */
		run_for(play.loop, 0.3);
		if (i)
			caller_send(&scene->caller, &GET_INFO[1]);
		caller_send_bytes(&scene->caller, "{", 1);
		if (i)
			expect_info(&scene->caller);
	}
	assert_false(scene->gone);
	expect_gone_after(scene, 1800);
	scene_free(scene);
}

/* Also of one that has begun while another call is under way, or while it is answered. */
static void test_half_a_message_behind_a_call(void **state)
{
	for (int later = 0; later < 2; later++) {
		struct scene *scene = scene_with_limits(5000, 60, 5000);

		play.handshake.how = NEVER;
		caller_send(&scene->caller, CONNECT);
		if (later)
			run_until(play.loop, stage_runs, &play.handshake);
		scene->began_us = clock_us();
		caller_send_bytes(&scene->caller, "{", 1);
		expect_gone_after(scene, 60);
		scene_free(scene);
	}
}

/* The end of a call does not give the message behind it more time: it would end at 2300 ms. */
static void test_a_reply_does_not_buy_time(void **state)
{
	struct scene *scene = scene_with_limits(5000, 1200, 5000);
	int fd;

	play.handshake = (struct played_stage){ .how = LATER, .later_ms = 1100 };
	caller_send(&scene->caller, CONNECT);
	caller_send_bytes(&scene->caller, "{", 1);
	fd = expect_socket_reply(&scene->caller);
	close_fd(&fd);
	close_fd(&play.copy);
	expect_gone_after(scene, 1200);
	scene_free(scene);
}

/* --- hanging up */

static const enum how never_in[3][3] = {
	{ NEVER, AT_ONCE, AT_ONCE }, { AT_ONCE, NEVER, AT_ONCE }, { AT_ONCE, AT_ONCE, NEVER },
};

static struct played_stage *const stages_in_order[] = {
	&play.resolve, &play.connect, &play.handshake,
};

static void hang_up_at(size_t stage, bool half)
{
	struct scene *scene = scene_new();

	for (size_t i = 0; i < array_size(stages_in_order); i++)
		stages_in_order[i]->how = never_in[stage][i];
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, stages_in_order[stage]);
	assert_int_equal(theatre_requests(&scene->theatre), 1);
	if (half)
		assert_int_equal(shutdown(scene->caller.fd, SHUT_WR), 0);
	else
		caller_hang_up(&scene->caller);
	expect_gone(scene);
	play_expect_over();
	scene_free(scene);
}

static void test_hang_up_in_each_stage(void **state)
{
	for (size_t stage = 0; stage < array_size(stages_in_order); stage++) {
		hang_up_at(stage, false);
		hang_up_at(stage, true);
	}
}

/* Whatever the turn has brought besides. */
static void test_hang_up_at_every_turn(void **state)
{
	static const enum how hows[] = { AT_ONCE, LATER, FAILS_AT_ONCE, FAILS_LATER };
	bool early = true;

	for (size_t how = 0; how < array_size(hows); how++)
		for (unsigned int turns = 0; turns < 20; turns++) {
			struct scene *scene = scene_new();

			play.resolve.how = play.connect.how = LATER;
			play.handshake.how = hows[how];
			ev_io_stop(play.loop, &scene->caller.io);
			caller_send(&scene->caller, CONNECT);
			take_turns(turns);
			early = theatre_requests(&scene->theatre) > 0;
			if (!early)
				close_fd(&play.copy); /* it was delivered, if it was there */
			caller_hang_up(&scene->caller);
			expect_gone(scene);
			scene_free(scene);
		}
	assert_false(early); /* the last of them came after the reply */
}

static void test_hang_up_with_calls_waiting(void **state)
{
	struct scene *scene = scene_new();

	play.resolve.how = NEVER;
	caller_send(&scene->caller, CONNECT);
	for (int i = 0; i < PROTO_PIPELINE_MAX; i++)
		caller_send(&scene->caller, CONNECT);
	run_until(play.loop, has_request, scene);
	caller_hang_up(&scene->caller);
	expect_gone(scene);
	assert_int_equal(play.resolve.starts, 1);
	scene_free(scene);
}

/* The reply and the hang-up meet: the socket must not stay open between them. */
static void test_reply_to_a_caller_who_has_gone(void **state)
{
	for (int reading = 0; reading < 2; reading++) {
		struct scene *scene = scene_new();

		play.handshake.how = NEVER;
		caller_send(&scene->caller, CONNECT);
		run_until(play.loop, stage_runs, &play.handshake);
		ev_io_stop(play.loop, &scene->peer->readable); /* it does not hear of it in time */
		caller_hang_up(&scene->caller);
		ev_feed_event(play.loop, &play.handshake.timer, EV_TIMER);
		expect_gone(scene);
		scene_free(scene);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_idle_after_a_call),
		cmocka_unit_test(test_half_a_message),
		cmocka_unit_test(test_a_message_that_drips),
		cmocka_unit_test(test_time_is_each_message_s_own),
		cmocka_unit_test(test_half_a_message_behind_a_call),
		cmocka_unit_test(test_a_reply_does_not_buy_time),
		cmocka_unit_test(test_hang_up_in_each_stage),
		cmocka_unit_test(test_hang_up_at_every_turn),
		cmocka_unit_test(test_hang_up_with_calls_waiting),
		cmocka_unit_test(test_reply_to_a_caller_who_has_gone),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
