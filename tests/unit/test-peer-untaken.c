/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

/*
 * A caller who leaves his socket lying and brings the connection to its end: the socket is on its
 * way as long as he keeps his side, whatever became of ours, and so long he is charged with it.
 */
static bool sent_is_waiting(void *scene)
{
	return untaken_waits(&((struct scene *)scene)->peer->untaken);
}

static struct scene *scene_with_a_socket_lying(void)
{
	struct scene *scene = scene_with_limits(50, 50, 50);

	ev_io_stop(play.loop, &scene->caller.io);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, sent_is_waiting, scene);
	return scene;
}

static void end_by_halves(struct caller *caller)
{
	assert_int_equal(shutdown(caller->fd, SHUT_WR), 0);
}

static void send_too_many(struct caller *caller)
{
	for (int i = 0; i <= PROTO_PIPELINE_MAX + 1; i++)
		caller_send(caller, GET_INFO);
}

static void send_too_much(struct caller *caller)
{
	static const char text[4096] = { [0 ... 4095] = ' ' };

	while (send(caller->fd, text, sizeof(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
	       errno == EAGAIN)
		ev_run(play.loop, EVRUN_NOWAIT);
	assert_int_equal(errno, EPIPE);
}

static void begin_a_message(struct caller *caller)
{
	caller_send_bytes(caller, "{", 1);
}

static void (*const ways[])(struct caller *caller) = {
	end_by_halves, send_too_many, send_too_much, begin_a_message,
};

static bool has_ended(void *arg)
{
	struct pollfd p = { .fd = ((struct caller *)arg)->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && p.revents & POLLRDHUP;
}

static void expect_charged(struct scene *scene)
{
	assert_false(scene->gone);
	assert_int_equal(ledger_in_all(scene->theatre.ledger, QUOTA_UNDELIVERED), 1);
}

/* For him it is over, and nothing else is kept of it; and the loop sleeps. */
static void expect_over(struct scene *scene)
{
	unsigned int before;

	run_until(play.loop, has_ended, &scene->caller);
	expect_charged(scene);
	assert_int_equal(ledger_in_all(scene->theatre.ledger, QUOTA_MEMORY), 0);
	before = ev_iteration(play.loop);
	run_for(play.loop, 0.1);
	assert_in_range(ev_iteration(play.loop) - before, 0, 5);
	expect_charged(scene);
}

static void expect_nothing_left(struct scene *scene)
{
	run_until(play.loop, is_set, &scene->gone);
	assert_int_equal(scene->n_gone, 1);
	assert_int_equal(ledger_in_all(scene->theatre.ledger, QUOTA_UNDELIVERED), 0);
	scene_free(scene);
}

static void test_ended_and_taken_then(void **state)
{
	for (size_t i = 0; i < array_size(ways); i++) {
		struct scene *scene = scene_with_a_socket_lying();

		ways[i](&scene->caller);
		expect_over(scene);
		caller_read(&scene->caller);
		expect_connected(expect_socket_reply(&scene->caller));
		expect_nothing_left(scene);
	}
}

static void test_ended_and_hung_up_then(void **state)
{
	for (size_t i = 0; i < array_size(ways); i++) {
		struct scene *scene = scene_with_a_socket_lying();

		ways[i](&scene->caller);
		expect_over(scene);
		caller_hang_up(&scene->caller);
		expect_nothing_left(scene);
	}
}

/* The service does not stay for it. */
static void test_ended_and_the_service_ends(void **state)
{
	static void (*const ends[])(struct peer *peer) = { peer_drain, peer_end };

	for (size_t i = 0; i < array_size(ends); i++) {
		struct scene *scene = scene_with_a_socket_lying();

		end_by_halves(&scene->caller);
		expect_over(scene);
		ends[i](scene->peer);
		expect_nothing_left(scene);
	}
}

static void test_ended_and_freed(void **state)
{
	struct scene *scene = scene_with_a_socket_lying();

	end_by_halves(&scene->caller);
	expect_over(scene);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended_and_taken_then),
		cmocka_unit_test(test_ended_and_hung_up_then),
		cmocka_unit_test(test_ended_and_the_service_ends),
		cmocka_unit_test(test_ended_and_freed),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
