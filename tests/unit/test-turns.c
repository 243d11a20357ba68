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

/* --- whose turn it is, by a clock that goes as the pieces say */

#define MS UINT64_C(1000000)
#define USERS 8
#define JOBS 1000
#define COST_MAX (20 * MS)

static struct turns_time model_time;

static struct turns_time model_clock(void)
{
	return model_time;
}

struct job {
	struct turn turn;
	struct office *office;
	unsigned int account;
	uint64_t cost;		/* what a piece takes */
	unsigned long number;	/* of its coming */
	bool again;
};

/* What is expected is told from outside: whose piece came, and what it took. */
struct office {
	struct ev_loop *loop;
	struct turns turns;
	struct job jobs[JOBS];
	unsigned long arrivals, pieces;
	uint64_t served[USERS];		/* ns */
	unsigned long last_number[USERS];
	unsigned int waiting[USERS];	/* jobs */
	unsigned int last;		/* account that was served */
};

static void job_wait(struct job *job)
{
	job->number = ++job->office->arrivals;
	job->office->waiting[job->account]++;
	turn_wait(&job->turn);
}

static void job_leave(struct job *job)
{
	if (!list_empty(&job->turn.link))
		job->office->waiting[job->account]--;
	turn_leave(&job->turn);
}

static void on_job(struct turn *turn)
{
	struct job *job = container_of(turn, struct job, turn);
	struct office *office = job->office;

	office->waiting[job->account]--;
	office->pieces++;
	office->served[job->account] += job->cost;
	office->last = job->account;
	/* Within an account, first come, first served. */
	assert_true(job->number > office->last_number[job->account]);
	office->last_number[job->account] = job->number;
	model_time.cpu_ns += job->cost;
	model_time.wall_ns += job->cost;
	if (job->again)
		job_wait(job);
}

static struct office *office_open(void)
{
	static struct office office;

	office = (struct office){ .loop = loop_new() };
	turns_init(&office.turns, office.loop);
	office.turns.clock = model_clock;
	return &office;
}

static struct job *office_hire(struct office *office, size_t i, unsigned int account, uint64_t cost)
{
	struct job *job = &office->jobs[i];

	*job = (struct job){ .office = office, .account = account, .cost = cost };
	turn_init(&job->turn, &office->turns, account, on_job);
	return job;
}

/* One turn of the loop, one piece. */
static void office_turn(struct office *office)
{
	unsigned long before = office->pieces;

	ev_run(office->loop, EVRUN_NOWAIT);
	assert_int_equal(office->pieces, before + 1);
}

static void office_close(struct office *office)
{
	for (size_t i = 0; i < JOBS; i++)
		if (office->jobs[i].office)
			job_leave(&office->jobs[i]);
	loop_free(office->loop);
}

/* It is time that counts, not pieces. */
static void test_shared_by_time(void **state)
{
	static const uint64_t costs[] = { 1 * MS, 3 * MS, 20 * MS };
	struct office *office = office_open();

	for (unsigned int i = 0; i < array_size(costs); i++) {
		office_hire(office, i, i, costs[i])->again = true;
		job_wait(&office->jobs[i]);
	}
	for (int i = 0; i < 2000; i++)
		office_turn(office);
	for (unsigned int i = 1; i < array_size(costs); i++) {
		assert_true(office->served[i] + COST_MAX >= office->served[0]);
		assert_true(office->served[0] + COST_MAX >= office->served[i]);
	}
	office_close(office);
}

static void test_one_piece_against_a_thousand(void **state)
{
	struct office *office = office_open();
	struct job *modest = office_hire(office, JOBS - 1, 1, 1 * MS);

	for (unsigned int i = 0; i < JOBS - 1; i++)
		job_wait(office_hire(office, i, 0, 5 * MS));
	for (int i = 0; i < 10; i++)
		office_turn(office);
	/* Whenever he comes: one in three of the turns, with less than his share of the time. */
	for (int i = 0; i < 100; i++) {
		job_wait(modest);
		office_turn(office);
		assert_int_equal(office->last, 1);
		office_turn(office);
		office_turn(office);
		assert_int_equal(office->last, 0);
	}
	office_close(office);
}

/* A request is several pieces: he who asks now and then has them all before the crowd goes on. */
static void test_credit(void **state)
{
	struct office *office = office_open();
	struct job *modest = office_hire(office, 2, 1, 2 * MS);

	for (unsigned int i = 0; i < 2; i++) {
		office_hire(office, i, 0, 5 * MS)->again = true;
		job_wait(&office->jobs[i]);
	}
	for (int round = 0; round < 10; round++) {
		uint64_t used = 0;

		for (int i = 0; i < 5 + 100 * round; i++)
			office_turn(office);
		do {
			job_wait(modest);
			office_turn(office);
			used += modest->cost;
		} while (office->last == 1);
		job_leave(modest);
		/* However long he was away; and then as much as the others' last piece was. */
		assert_in_range(used, TURNS_CREDIT_NS, TURNS_CREDIT_NS + 5 * MS + 2 * modest->cost);
	}
	office_close(office);
}

/* Who has used much is behind until the others have, too, and no longer than for that. It is the
 * account that has: it does not help to come with a new connection, nor does it harm a new user who
 * has the number of one who has gone for longer than that. */
static void test_debt_outlives_its_piece(void **state)
{
	struct office *office = office_open();
	unsigned int turns = 0;

	for (int i = 0; i < 100; i++) {
		struct turns_charge charge = turns_charge_begin(&office->turns, 2);

		model_time.cpu_ns += 50 * MS;
		model_time.wall_ns += 50 * MS;
		turns_charge_end(&charge);
	}
	job_wait(office_hire(office, 0, 2, 1 * MS));
	office_hire(office, 1, 3, 10 * MS)->again = true;
	job_wait(&office->jobs[1]);
	for (; office->last != 2; turns++)
		office_turn(office);
	assert_int_equal(turns, TURNS_DEBT_NS / (10 * MS) + 1);
	office_close(office);
}

static void test_charges(void **state)
{
	struct office *office = office_open();
	struct turns_charge outer, inner;

	job_wait(office_hire(office, 0, 0, 1 * MS));
	job_wait(office_hire(office, 1, 1, 1 * MS));
	outer = turns_charge_begin(&office->turns, 0);
	inner = turns_charge_begin(&office->turns, 1);
	model_time.cpu_ns += 2 * MS;
	model_time.wall_ns += 2 * MS;
	turns_charge_end(&inner);
	turns_charge_end(&outer);
	assert_int_equal(office->turns.all[0].used_ns, 2 * MS);
	assert_int_equal(office->turns.all[1].used_ns, 0);
	office_turn(office);
	assert_int_equal(office->last, 1);
	office_close(office);
}

static uint64_t charged(struct office *office, uint64_t cpu_ns, uint64_t wall_ns)
{
	uint64_t before = office->turns.all[0].used_ns;
	struct turns_charge charge = turns_charge_begin(&office->turns, 0);

	model_time.cpu_ns += cpu_ns;
	model_time.wall_ns += wall_ns;
	turns_charge_end(&charge);
	return office->turns.all[0].used_ns - before;
}

/* Where others have the processor meanwhile, it is not for him to pay. */
static void test_processor_time(void **state)
{
	struct office *office = office_open();

	charged(office, 1000, 1000);
	assert_in_range(charged(office, 1 * MS, 50 * MS), 1 * MS, 1 * MS + 1000);
	assert_int_equal(charged(office, 2 * MS, 2 * MS), 2 * MS);
	office_close(office);
}

/* Where it is counted in ticks, most of which go by in some other piece. */
static void test_processor_time_in_ticks(void **state)
{
	struct office *office = office_open();

	assert_int_equal(charged(office, 0, 2 * MS), 2 * MS);
	assert_int_equal(charged(office, 10 * MS, 2 * MS), 2 * MS);
	assert_int_equal(charged(office, 0, 3 * MS), 3 * MS);
	assert_int_equal(charged(office, 10 * MS, 15 * MS), 15 * MS);
	/* But no more than a tick is in doubt. */
	assert_int_equal(charged(office, 10 * MS, 90 * MS), 20 * MS);
	office_close(office);
}

static void on_late_arrival(EV_P_ ev_timer *timer, int events)
{
	job_wait(timer->data);
}

/* Whoever comes in a turn of the loop is looked at before it is decided whose it is. */
static void test_arrival_in_the_same_turn(void **state)
{
	struct office *office = office_open();
	ev_timer arrival;

	office_hire(office, 0, 0, 5 * MS)->again = true;
	job_wait(&office->jobs[0]);
	for (int i = 0; i < 5; i++)
		office_turn(office);
	ev_timer_init(&arrival, on_late_arrival, 0, 0);
	arrival.data = office_hire(office, 1, 1, 1 * MS);
	ev_timer_start(office->loop, &arrival);
	office_turn(office);
	assert_int_equal(office->last, 1);
	office_close(office);
}

/* --- at random */

/* Since when two users have both waited without a break, and by how much the one was ahead then. */
struct rivalry {
	bool runs;
	int64_t ahead_ns;
};

static void check_rivals(struct office *office, struct rivalry rivals[USERS][USERS])
{
	static const int64_t bound = 2 * (TURNS_CREDIT_NS + COST_MAX);

	for (size_t i = 0; i < USERS; i++)
		for (size_t j = 0; j < USERS; j++) {
			int64_t ahead = (int64_t)(office->served[i] - office->served[j]);
			struct rivalry *rivalry = &rivals[i][j];

			if (!rivalry->runs)
				rivalry->ahead_ns = ahead;
			rivalry->runs = office->waiting[i] && office->waiting[j];
			assert_true(!rivalry->runs || ahead - rivalry->ahead_ns <= bound);
		}
}

static void come_and_go(struct office *office, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct job *job = &office->jobs[(size_t)random() % JOBS];

		/* Some users are there more often than others. */
		if (random() % USERS > job->account)
			continue;
		if (list_empty(&job->turn.link)) {
			job->cost = (uint64_t)random() % (COST_MAX >> (job->account % 4 * 2));
			job_wait(job);
		} else if (random() % 4 == 0) {
			job_leave(job);
		}
	}
}

static bool anybody_waits(const struct office *office)
{
	for (size_t i = 0; i < USERS; i++)
		if (office->waiting[i])
			return true;
	return false;
}

static void test_at_random(void **state)
{
	static struct rivalry rivals[USERS][USERS];
	struct office *office = office_open();
	size_t left = JOBS;

	memset(rivals, 0, sizeof(rivals));
	srandom(1);
	for (unsigned int i = 0; i < JOBS; i++)
		office_hire(office, i, (unsigned int)random() % USERS, 0);
	for (unsigned int turn = 0; turn < 20000; turn++) {
		/* Now and then nobody comes for a while, and everybody has been served. */
		come_and_go(office, turn % 2000 < 1000 ? 4 : 0);
		if (anybody_waits(office))
			office_turn(office);
		check_rivals(office, rivals);
	}
	/* Nobody is left behind. */
	come_and_go(office, 1000);
	while (anybody_waits(office) && left--)
		office_turn(office);
	assert_false(anybody_waits(office));
	expect_quiet(office->loop);
	office_close(office);
}

/* From what has been seen to happen last: he waits for those who are as rested as he is, and for
 * nobody else, whatever they have waiting. */
static void test_a_rested_user_at_random(void **state)
{
	struct office *office = office_open();
	struct job *modest = office_hire(office, 0, 0, 1 * MS);

	srandom(2);
	for (unsigned int i = 1; i < JOBS; i++)
		office_hire(office, i, 1 + (unsigned int)random() % (USERS - 1), 1 * MS);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 50; i++) {
			for (unsigned int j = 1; j < USERS; j++) {
				struct job *job = &office->jobs[1 + (size_t)random() % (JOBS - 1)];

				job->cost = 1 + (uint64_t)random() % COST_MAX;
				if (list_empty(&job->turn.link))
					job_wait(job);
			}
			office_turn(office);
		}
		job_wait(modest);
		office_turn(office);
		assert_int_equal(office->last, 0);
	}
	office_close(office);
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
		hall.peers[i] = peer_new(&hall.theatre.env, ends[0], hall.theatre.caller.account, &hall.peers[i], on_gone);
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

/* --- callers who have used more than somebody else who always has something to do */

struct rival {
	struct turn turn;
	unsigned int pieces;
};

static void on_rival(struct turn *turn)
{
	container_of(turn, struct rival, turn)->pieces++;
	turn_wait(turn);
}

static void rival_begin(struct rival *rival, struct hall *hall)
{
	struct turns *turns = &hall->theatre.env.turns;
	unsigned int account = hall->peers[0]->credentials.account;

	*rival = (struct rival){ 0 };
	turns->all[account % TURNS_USERS].used_ns = TURNS_DEBT_NS;
	turns->clock = model_clock; /* it stands still */
	turn_init(&rival->turn, turns, account + 1, on_rival);
	turn_wait(&rival->turn);
}

static bool rival_has_had_ten(void *rival)
{
	return ((struct rival *)rival)->pieces >= 10;
}

static void test_bytes_wait_for_their_turn(void **state)
{
	struct hall *hall = hall_new();
	struct peer *peer = hall->peers[0];
	struct rival rival;

	rival_begin(&rival, hall);
	caller_send(&hall->callers[0], GET_INFO);
	run_until(play.loop, rival_has_had_ten, &rival);
	assert_int_equal(peer->reader.end, 0);
	/* They are there all the time, and are not told of all the time. */
	assert_false(ev_is_active(&peer->readable));
	turn_leave(&rival.turn);
	expect_info(&hall->callers[0]);
	assert_true(ev_is_active(&peer->readable));
	hall_free(hall);
}

static bool first_has_gone(void *hall)
{
	return !((struct hall *)hall)->peers[0];
}

static void test_hanging_up_waits_for_no_turn(void **state)
{
	struct hall *hall = hall_new();
	struct rival rival;

	rival_begin(&rival, hall);
	caller_hang_up(&hall->callers[0]);
	run_until(play.loop, first_has_gone, hall);
	/* Behind bytes it does, and the owner may come first. */
	caller_send(&hall->callers[1], GET_INFO);
	run_until(play.loop, rival_has_had_ten, &rival);
	hall->peers[1] = peer_free(hall->peers[1]);
	turn_leave(&rival.turn);
	hall_free(hall);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_in_a_turn_in_order),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_shared_by_time),
		cmocka_unit_test(test_one_piece_against_a_thousand),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_debt_outlives_its_piece),
		cmocka_unit_test(test_charges),
		cmocka_unit_test(test_processor_time),
		cmocka_unit_test(test_processor_time_in_ticks),
		cmocka_unit_test(test_arrival_in_the_same_turn),
		cmocka_unit_test(test_at_random),
		cmocka_unit_test(test_a_rested_user_at_random),
		cmocka_unit_test(test_costly_requests_at_the_same_time),
		cmocka_unit_test(test_costly_requests_one_after_the_other),
		cmocka_unit_test(test_gone_while_waiting),
		cmocka_unit_test(test_bytes_wait_for_their_turn),
		cmocka_unit_test(test_hanging_up_waits_for_no_turn),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
