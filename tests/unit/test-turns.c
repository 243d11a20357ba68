/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/caller.h"

#include "daemon/peer.h"
#include "daemon/turns.h"

/* --- the queue alone */

struct piece {
	struct turn turn;
	struct piece **order;	/* of their coming */
	bool again;
};

static void on_come(struct turn *turn)
{
	struct piece *piece = container_of(turn, struct piece, turn);

	*piece->order++ = piece;
	if (piece->again)
		turn_wait(turn);
}

#define PIECES 3

struct queue {
	struct ev_loop *loop;
	struct turns turns;
	struct piece pieces[PIECES], *order[16];
};

static struct queue *queue_new(void)
{
	static struct queue queue;

	queue = (struct queue){ .loop = loop_new() };
	turns_init(&queue.turns, queue.loop);
	for (size_t i = 0; i < PIECES; i++)
		turn_init(&queue.pieces[i].turn, &queue.turns, 0, on_come);
	return &queue;
}

static void queue_free(struct queue *queue)
{
	for (size_t i = 0; i < PIECES; i++)
		turn_leave(&queue->pieces[i].turn);
	loop_free(queue->loop);
}

/* Who has come since the start, in which order. */
static void queue_turn(struct queue *queue)
{
	size_t n = 0;

	while (queue->order[n])
		n++;
	for (size_t i = 0; i < PIECES; i++)
		queue->pieces[i].order = &queue->order[n];
	ev_run(queue->loop, EVRUN_ONCE);
}

static void test_one_in_a_turn_in_order(void **state)
{
	struct queue *queue = queue_new();

	turn_wait(&queue->pieces[1].turn);
	turn_wait(&queue->pieces[0].turn);
	turn_wait(&queue->pieces[2].turn);
	turn_wait(&queue->pieces[1].turn); /* it waits already */
	assert_null(queue->order[0]);
	for (size_t i = 0; i < PIECES; i++) {
		queue_turn(queue);
		assert_non_null(queue->order[i]);
		assert_null(queue->order[i + 1]);
	}
	assert_ptr_equal(queue->order[0], &queue->pieces[1]);
	assert_ptr_equal(queue->order[1], &queue->pieces[0]);
	assert_ptr_equal(queue->order[2], &queue->pieces[2]);
	expect_quiet(queue->loop);
	queue_free(queue);
}

/* Who comes again stands behind those who wait. */
static void test_again(void **state)
{
	struct queue *queue = queue_new();

	queue->pieces[0].again = true;
	turn_wait(&queue->pieces[0].turn);
	turn_wait(&queue->pieces[1].turn);
	for (size_t i = 0; i < 4; i++)
		queue_turn(queue);
	assert_ptr_equal(queue->order[0], &queue->pieces[0]);
	assert_ptr_equal(queue->order[1], &queue->pieces[1]);
	assert_ptr_equal(queue->order[2], &queue->pieces[0]);
	assert_ptr_equal(queue->order[3], &queue->pieces[0]);
	queue_free(queue);
}

static void test_leaving(void **state)
{
	struct queue *queue = queue_new();

	turn_leave(&queue->pieces[0].turn);
	for (size_t i = 0; i < PIECES; i++)
		turn_wait(&queue->pieces[i].turn);
	turn_leave(&queue->pieces[0].turn);
	turn_leave(&queue->pieces[0].turn);
	turn_leave(&queue->pieces[2].turn);
	queue_turn(queue);
	assert_ptr_equal(queue->order[0], &queue->pieces[1]);
	expect_quiet(queue->loop);
	turn_wait(&queue->pieces[0].turn);
	turn_leave(&queue->pieces[0].turn);
	expect_quiet(queue->loop);
	queue_free(queue);
}

/* --- callers whose requests cost much */

#define CROWD 40
#define PIECE_MS 10

struct hall {
	struct theatre theatre;
	struct peer *peers[CROWD];
	struct caller callers[CROWD];
	ev_timer tick;
	uint64_t last_us, longest_us;
};

static void on_gone(struct peer *peer)
{
	struct peer **place = peer->owner;

	*place = peer_free(peer);
}

static void on_tick(EV_P_ ev_timer *timer, int events)
{
	struct hall *hall = container_of(timer, struct hall, tick);
	uint64_t now = clock_us();

	if (now - hall->last_us > hall->longest_us)
		hall->longest_us = now - hall->last_us;
	hall->last_us = now;
}

static struct hall *hall_new(void)
{
	static struct hall hall;

	hall.longest_us = 0;
	theatre_open(&hall.theatre);
	for (size_t i = 0; i < CROWD; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					    ends), 0);
		caller_init(&hall.callers[i], ends[1]);
		hall.peers[i] = peer_new(&hall.theatre.env, ends[0], &hall.peers[i], on_gone);
	}
	hall.last_us = clock_us();
	ev_timer_init(&hall.tick, on_tick, 0.001, 0.001);
	ev_now_update(play.loop);
	ev_timer_start(play.loop, &hall.tick);
	play.refusal = OF_TLS;
	play.busy_ms = PIECE_MS;
	return &hall;
}

static void hall_free(struct hall *hall)
{
	ev_timer_stop(play.loop, &hall->tick);
	for (size_t i = 0; i < CROWD; i++) {
		hall->peers[i] = peer_free(hall->peers[i]);
		caller_hang_up(&hall->callers[i]);
	}
	theatre_close(&hall->theatre);
}

/* The loop has a look at everything between two of them. */
static void test_costly_requests_at_the_same_time(void **state)
{
	struct hall *hall = hall_new();

	for (size_t i = 0; i < CROWD; i++)
		caller_send(&hall->callers[i], CONNECT);
	for (size_t i = 0; i < CROWD; i++)
		expect_error(&hall->callers[i], "io.ktlsd.NotAuthorized", "policy");
	if (hall->longest_us > CROWD * PIECE_MS * 1000 / 2)
		fail_msg("nothing else was done for %u ms", (unsigned int)hall->longest_us / 1000);
	hall_free(hall);
}

/* Calls that wait on one connection do not come before those of another. */
static void test_costly_requests_one_after_the_other(void **state)
{
	struct hall *hall = hall_new();
	struct caller *greedy = &hall->callers[0], *modest = &hall->callers[1];

	for (int i = 0; i < 1 + PROTO_PIPELINE_MAX; i++)
		caller_send(greedy, CONNECT);
	caller_send(modest, GET_INFO);
	expect_info(modest);
	expect_error(greedy, "io.ktlsd.NotAuthorized", "policy");
	/* No more than two of his were done by then. */
	assert_true(greedy->have < 2 * strlen("io.ktlsd.NotAuthorized") + 200);
	for (int i = 0; i < PROTO_PIPELINE_MAX; i++)
		expect_error(greedy, "io.ktlsd.NotAuthorized", "policy");
	hall_free(hall);
}

static void test_gone_while_waiting(void **state)
{
	struct hall *hall = hall_new();

	for (size_t i = 0; i < CROWD; i++)
		caller_send(&hall->callers[i], CONNECT);
	run_for(play.loop, 2 * PIECE_MS / 1e3);
	for (size_t i = 0; i < CROWD / 2; i++)
		caller_hang_up(&hall->callers[i]);
	for (size_t i = CROWD / 2; i < CROWD; i++)
		expect_error(&hall->callers[i], "io.ktlsd.NotAuthorized", "policy");
	for (size_t i = 0; i < CROWD / 2; i++)
		assert_null(hall->peers[i]);
	hall_free(hall);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_in_a_turn_in_order),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_costly_requests_at_the_same_time),
		cmocka_unit_test(test_costly_requests_one_after_the_other),
		cmocka_unit_test(test_gone_while_waiting),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
