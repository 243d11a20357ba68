/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

/*
 * The service has no more time, and a call is there that was not read yet: its caller is told.
 */
#define BUSY "\"error\":\"io.ktlsd.Busy\""
#define RETRY "\"retry\":true"
/* Not to be had in one read. */
#define LONG 60000

static void send_long(struct caller *caller)
{
	char text[LONG] = GET_INFO;
	size_t length = strlen(text);

	/* Blanks may stand before the last brace. */
	memset(text + length - 1, ' ', sizeof(text) - length - 1);
	text[LONG - 2] = '}';
	text[LONG - 1] = '\0';
	caller_send(caller, text);
}

static void expect_told(struct scene *scene)
{
	expect_reply(&scene->caller, BUSY, RETRY);
	run_until(play.loop, is_set, &scene->gone);
	assert_int_equal(scene->n_gone, 1);
	scene_free(scene);
}

static void test_ended_with_a_call_not_read(void **state)
{
	struct scene *scene = scene_new();

	caller_send(&scene->caller, GET_INFO);
	peer_end(scene->peer);
	expect_told(scene);
}

static void test_ended_with_a_long_call_not_read(void **state)
{
	struct scene *scene = scene_new();

	send_long(&scene->caller);
	peer_end(scene->peer);
	expect_told(scene);
}

static void test_drained_with_a_long_call_not_read(void **state)
{
	struct scene *scene = scene_new();

	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	run_for(play.loop, 0.01);
	send_long(&scene->caller);
	peer_drain(scene->peer);
	expect_told(scene);
}

/* It was there in time, and waits for its turn to be read. */
static void test_late_with_a_call_not_read(void **state)
{
	struct scene *scene = scene_with_limits(60, 1000, 1000);

	ev_io_stop(play.loop, &scene->peer->readable);
	caller_send(&scene->caller, GET_INFO);
	expect_told(scene);
}

/* Who has not called hears nothing. */
static void test_ended_without_a_call(void **state)
{
	struct scene *scene = scene_new();

	caller_send_bytes(&scene->caller, "{", 1);
	peer_end(scene->peer);
	assert_true(scene->gone);
	run_for(play.loop, 0.01);
	assert_true(scene->caller.ended);
	assert_int_equal(scene->caller.have, 0);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended_with_a_call_not_read),
		cmocka_unit_test(test_ended_with_a_long_call_not_read),
		cmocka_unit_test(test_drained_with_a_long_call_not_read),
		cmocka_unit_test(test_late_with_a_call_not_read),
		cmocka_unit_test(test_ended_without_a_call),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
