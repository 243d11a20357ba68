/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

#include "daemon/calls.h"

#define UNDELIVERED_MAX 16

/* Another worker, in which this user has sockets that he has not taken. */
struct elsewhere {
	struct book book;
	struct charge charges[UNDELIVERED_MAX];
};

static struct elsewhere elsewhere_new(struct scene *scene)
{
	struct elsewhere elsewhere = {
		.book = { scene->theatre.ledger, ledger_seat(scene->theatre.ledger) },
	};

	assert_int_equal(scene->theatre.config.limits.user_undelivered, UNDELIVERED_MAX);
	return elsewhere;
}

static void leave_lying(struct scene *scene, struct elsewhere *elsewhere, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(charge_set(&elsewhere->charges[i], &elsewhere->book,
					     scene->theatre.caller.account, QUOTA_UNDELIVERED, 1,
					     UNDELIVERED_MAX, UNDELIVERED_MAX), LEDGER_TAKEN);
}

static void elsewhere_free(struct elsewhere *elsewhere)
{
	for (size_t i = 0; i < UNDELIVERED_MAX; i++)
		charge_give_back(&elsewhere->charges[i]);
	ledger_leave(elsewhere->book.ledger, elsewhere->book.seat);
}

static unsigned int undelivered(const struct scene *scene)
{
	return ledger_in_all(scene->theatre.ledger, QUOTA_UNDELIVERED);
}

static bool is_sent(void *scene)
{
	return undelivered(scene) == 1 && proto_writer_idle(&((struct scene *)scene)->peer->writer);
}

static bool is_taken(void *scene)
{
	return undelivered(scene) == 0;
}

/* --- a socket that is not taken */

static void test_charged_until_taken(void **state)
{
	struct scene *scene = scene_new();

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, is_sent, scene);
	assert_int_equal(theatre_requests(&scene->theatre), 0);
	take_turns(5);
	assert_int_equal(undelivered(scene), 1);
	caller_read(&scene->caller);
	expect_connected(expect_socket_reply(&scene->caller));
	run_until(play.loop, is_taken, scene);
	/* The connection goes on. */
	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	scene_free(scene);
}

/* The next call waits for it, and the caller has as much time as he likes. */
static void test_a_call_behind_it(void **state)
{
	struct scene *scene = scene_with_limits(40, 1000, 40);

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, CONNECT);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, is_sent, scene);
	run_for(play.loop, 0.1);
	assert_false(scene->gone);
	assert_int_equal(play.resolve.starts, 1);
	caller_read(&scene->caller);
	expect_connected(expect_socket_reply(&scene->caller));
	expect_connected(expect_socket_reply(&scene->caller));
	assert_int_equal(play.resolve.starts, 2);
	close_fd(&play.far_end);
	run_until(play.loop, is_taken, scene);
	scene_free(scene);
}

static void test_hang_up_before_it_is_taken(void **state)
{
	struct scene *scene = scene_new();

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, is_sent, scene);
	close_fd(&play.copy);
	caller_hang_up(&scene->caller);
	expect_gone(scene);
	assert_int_equal(undelivered(scene), 0);
	scene_free(scene);
}

/* --- too many of them */

static void test_as_many_as_may_be(void **state)
{
	struct scene *scene = scene_new();
	struct elsewhere elsewhere = elsewhere_new(scene);

	leave_lying(scene, &elsewhere, UNDELIVERED_MAX - 1);
	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	elsewhere_free(&elsewhere);
	run_until(play.loop, is_taken, scene);
	scene_free(scene);
}

/* Told before anything is done for him. */
static void test_one_too_many_is_refused_at_once(void **state)
{
	struct scene *scene = scene_new();
	struct elsewhere elsewhere = elsewhere_new(scene);

	leave_lying(scene, &elsewhere, UNDELIVERED_MAX);
	caller_send(&scene->caller, CONNECT);
	expect_reply(&scene->caller, "\"error\":\"io.ktlsd.Busy\"", "\"stage\":\"policy\"",
		     "\"retry\":true", "UserUndelivered=");
	assert_int_equal(play.resolve.starts, 0);
	elsewhere_free(&elsewhere);
	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	run_until(play.loop, is_taken, scene);
	scene_free(scene);
}

/* Or, where that shows only in the end, the socket is shut down: there are two copies of it, of
 * which closing one alone would end nothing. */
static void test_one_too_many_is_shut_down(void **state)
{
	struct scene *scene = scene_new();
	struct elsewhere elsewhere = elsewhere_new(scene);

	play.handshake.how = NEVER;
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.handshake);
	leave_lying(scene, &elsewhere, UNDELIVERED_MAX);
	ev_feed_event(play.loop, &play.handshake.timer, EV_TIMER);
	expect_reply(&scene->caller, "\"error\":\"io.ktlsd.Busy\"", "\"stage\":\"install\"",
		     "\"retry\":true", "UserUndelivered=");
	assert_int_equal(scene->caller.n_fds, 0);
	assert_true(play.copy >= 0);
	assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	assert_int_equal(undelivered(scene), UNDELIVERED_MAX);
	elsewhere_free(&elsewhere);
	/* The caller is served on. */
	play.handshake.how = AT_ONCE;
	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	run_until(play.loop, is_taken, scene);
	scene_free(scene);
}

/* A probe hands nothing over. */
static void test_a_probe_is_no_socket(void **state)
{
	struct scene *scene = scene_new();

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, "{\"method\":\"io.ktlsd.Probe\",\"parameters\":"
				    "{\"host\":\"host.example\",\"port\":443}}");
	caller_send(&scene->caller, GET_INFO);
	take_turns(20);
	assert_int_equal(undelivered(scene), 0);
	caller_read(&scene->caller);
	caller_receive(&scene->caller);
	expect_info(&scene->caller);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_charged_until_taken),
		cmocka_unit_test(test_a_call_behind_it),
		cmocka_unit_test(test_hang_up_before_it_is_taken),
		cmocka_unit_test(test_as_many_as_may_be),
		cmocka_unit_test(test_one_too_many_is_refused_at_once),
		cmocka_unit_test(test_one_too_many_is_shut_down),
		cmocka_unit_test(test_a_probe_is_no_socket),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
