/* SPDX-License-Identifier: MIT */
#include "tests/unit/loop.h"

#include "daemon/connect.h"

#include <math.h>
#include <sys/resource.h>

struct course {
	struct ev_loop *loop;
	struct watch_set watches;
	size_t descriptors;
	struct addresses addresses;
	int listeners[ADDRESSES_MAX];	/* -1: none */
	int fillers[ADDRESSES_MAX];	/* -1: none */
	struct connect_race race;
	bool done, stop_in_done;
	unsigned int n_done;
	int fd;				/* the winner's, taken in done */
	uint64_t began_us;
};

static void on_done(struct connect_race *race)
{
	struct course *course = container_of(race, struct course, race);

	course->done = true;
	course->n_done++;
	course->fd = steal_fd(&race->fd);
	if (course->stop_in_done)
		connect_stop(race);
}

static void course_init(struct course *course)
{
	*course = (struct course){ .descriptors = count_descriptors(), .fd = -1 };
	course->loop = loop_new();
	assert_int_equal(watch_set_init(&course->watches, course->loop), 0);
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		course->listeners[i] = course->fillers[i] = -1;
}

static void course_deinit(struct course *course)
{
	connect_stop(&course->race);
	connect_stop(&course->race);
	for (size_t i = 0; i < ADDRESSES_MAX; i++) {
		close_fd(&course->listeners[i]);
		close_fd(&course->fillers[i]);
	}
	close_fd(&course->fd);
	watch_set_deinit(&course->watches);
	loop_free(course->loop);
	assert_int_equal(count_descriptors(), course->descriptors);
}

/*
 * "g" a good listener, "G" one on IPv6, "r" a port that refuses, "b" one that never answers: its
 * queue of connections to accept is full, so what comes next is dropped.
 */
static void add(struct course *course, char kind)
{
	size_t i = course->addresses.n++;
	struct sockaddr_storage *address = &course->addresses.items[i];

	assert_true(i < ADDRESSES_MAX);
	if (kind == 'r')
		course->listeners[i] = tcp_bound(AF_INET, address);
	else
		course->listeners[i] = tcp_listen(kind == 'G' ? AF_INET6 : AF_INET, address,
						  kind == 'b' ? 0 : 8);
	if (kind == 'b') {
		course->fillers[i] = tcp_connect(address);
		assert_true(wait_for_events(course->fillers[i], POLLOUT, PATIENCE));
	}
}

static void course_start(struct course *course, const char *kinds)
{
	for (; *kinds; kinds++)
		add(course, *kinds);
	course->began_us = clock_us();
	ev_now_update(course->loop);
	connect_start(&course->race, &course->watches, &course->addresses, on_done);
	assert_false(course->done);
}

static double elapsed(const struct course *course)
{
	return (double)(clock_us() - course->began_us) / 1e6;
}

static void run_to_done(struct course *course)
{
	run_until(course->loop, is_set, &course->done);
	assert_int_equal(course->n_done, 1);
}

static void expect_winner(struct course *course, size_t which)
{
	struct sockaddr_storage peer, *address = &course->addresses.items[which];
	socklen_t length = sizeof(peer);
	int end;

	assert_true(course->fd >= 0);
	assert_ptr_equal(course->race.address, address);
	assert_int_equal(getpeername(course->fd, (struct sockaddr *)&peer, &length), 0);
	assert_int_equal(length, address_length(address));
	assert_memory_equal(&peer, address, length);
	assert_int_equal(fcntl(course->fd, F_GETFL) & (O_NONBLOCK | O_ASYNC), O_NONBLOCK);
	assert_int_equal(fcntl(course->fd, F_GETFD), FD_CLOEXEC);
	end = tcp_accept(course->listeners[which]);
	assert_string_equal(far_end_sees(end, 0), "");
	close_fd(&end);
}

/* before: were a delay waited for that is not due, it would be 0.25 s more. */
static const struct {
	const char *kinds;
	size_t winner;
	double after, before;
} races[] = {
	{ "g", 0, 0, 0.24 },
	{ "G", 0, 0, 0.24 },
	{ "gG", 0, 0, 0.24 },
	{ "Gggggggg", 0, 0, 0.24 },
	{ "rg", 1, 0, 0.24 },
	{ "rrrrrrrG", 7, 0, 0.24 },
	{ "bg", 1, 0.25, 0.49 },
	{ "bG", 1, 0.25, 0.49 },
	/* A failure does not wait for the delay, and what comes next has one of its own. */
	{ "brg", 2, 0.25, 0.49 },
	{ "bbg", 2, 0.5, 0.74 },
	{ "rbrg", 3, 0.25, 0.49 },
};

/* Returns how long it took. */
static double run_race(const char *kinds, size_t winner)
{
	struct course course;
	double seconds;

	course_init(&course);
	course_start(&course, kinds);
	run_to_done(&course);
	seconds = elapsed(&course);
	expect_winner(&course, winner);
	assert_int_equal(course.race.running, 0);
	expect_quiet(course.loop);
	course_deinit(&course);
	return seconds;
}

/* A delay that is waited for is waited for each time; a machine that does other things is late now
 * and then. */
#define TRIES 5

static void test_races(void **state)
{
	for (size_t i = 0; i < array_size(races); i++) {
		double seconds = HUGE_VAL;

		for (int n = 0; n < TRIES && seconds > races[i].before; n++) {
			seconds = run_race(races[i].kinds, races[i].winner);
			assert_true(seconds >= races[i].after);
		}
		if (seconds > races[i].before)
			fail_msg("%s: won after %f s", races[i].kinds, seconds);
	}
}

/* Losers are gone when the winner is told, and whoever has not had its turn is never tried. */
static void test_losers(void **state)
{
	struct course course;
	size_t descriptors;

	course_init(&course);
	course_start(&course, "bgg");
	descriptors = count_descriptors();
	run_to_done(&course);
	expect_winner(&course, 1);
	assert_int_equal(course.race.started, 2);
	assert_false(wait_for_events(course.listeners[2], POLLIN, 0));
	/* All but the listeners and the filler: the attempt at the first is closed. */
	close_fd(&course.fd);
	assert_int_equal(count_descriptors(), descriptors);
	course_deinit(&course);
}

static bool two_started(void *race)
{
	return ((struct connect_race *)race)->started == 2;
}

/* The first has not lost by the second having begun. */
static void test_first_attempt_is_late(void **state)
{
	struct course course;
	int end;

	course_init(&course);
	course_start(&course, "bb");
	run_until(course.loop, two_started, &course.race);
	assert_int_equal(course.race.running, 2);
	/* Its queue has room when its SYN is sent again. */
	end = tcp_accept(course.listeners[0]);
	run_to_done(&course);
	expect_winner(&course, 0);
	close_fd(&end);
	course_deinit(&course);
}

/* Returns how long it took. */
static double run_refused(size_t n)
{
	struct course course;
	double seconds;

	course_init(&course);
	course_start(&course, &"rrrrrrrr"[ADDRESSES_MAX - n]);
	run_to_done(&course);
	seconds = elapsed(&course);
	assert_int_equal(course.fd, -1);
	assert_int_equal(course.race.last_errno, ECONNREFUSED);
	assert_ptr_equal(course.race.address, &course.addresses.items[n - 1]);
	assert_int_equal(course.race.started, n);
	expect_quiet(course.loop);
	course_deinit(&course);
	return seconds;
}

static void test_all_refused(void **state)
{
	for (size_t n = 1; n <= ADDRESSES_MAX; n++) {
		double seconds = HUGE_VAL;

		for (int i = 0; i < TRIES && seconds >= 0.24; i++)
			seconds = run_refused(n);
		assert_true(seconds < 0.24);
	}
}

static bool one_left(void *arg)
{
	struct connect_race *race = arg;

	return race->started == race->addresses->n && race->running == 1 &&
	       !ev_is_active(&race->delay);
}

/* The last turn is over; the race is not while one still runs. */
static void test_end_waits_for_the_last_attempt(void **state)
{
	struct course course;

	course_init(&course);
	course_start(&course, "brr");
	run_until(course.loop, one_left, &course.race);
	assert_false(course.done);
	assert_true(elapsed(&course) > 0.25);
	/* Nobody listens there any more when its SYN is sent again. */
	close_fd(&course.fillers[0]);
	close_fd(&course.listeners[0]);
	run_to_done(&course);
	assert_int_equal(course.fd, -1);
	assert_ptr_equal(course.race.address, &course.addresses.items[0]);
	assert_int_equal(course.race.last_errno, ECONNREFUSED);
	course_deinit(&course);
}

/* connect(2) itself says no: TCP has no broadcast. */
static void test_refused_by_our_own_kernel(void **state)
{
	struct course course;

	for (int good = 0; good < 2; good++) {
		course_init(&course);
		assert_true(addresses_from_literal(&course.addresses, "255.255.255.255"));
		address_set_port(&course.addresses.items[0], 443);
		course_start(&course, good ? "g" : "");
		run_to_done(&course);
		if (good)
			expect_winner(&course, 1);
		else
			assert_true(course.race.last_errno == ENETUNREACH ||
				    course.race.last_errno == EACCES);
		assert_int_equal(course.fd >= 0, good);
		course_deinit(&course);
	}
}

static void test_no_descriptor_left(void **state)
{
	struct rlimit limit, none;
	struct course course;

	course_init(&course);
	course_start(&course, "gg");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_to_done(&course);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(course.fd, -1);
	assert_int_equal(course.race.last_errno, EMFILE);
	assert_ptr_equal(course.race.address, &course.addresses.items[1]);
	course_deinit(&course);
}

/* --- what is told of it */

static enum proto_attempt_state state_of(char letter)
{
	return letter == 'a' ? PROTO_ATTEMPT_ABANDONED :
	       letter == 'f' ? PROTO_ATTEMPT_FAILED : PROTO_ATTEMPT_CONNECTED;
}

/* states: a letter for what became of each attempt. */
static void expect_told(const struct course *course, const char *kinds,
			const struct proto_trace *trace, const char *states)
{
	const struct proto_attempt *attempts = trace->attempts.items;
	uint64_t before = 0, whole = clock_us() - course->began_us;
	char address[ADDRESS_TEXT_MAX];

	assert_int_equal(trace->attempts.n, strlen(states));
	for (size_t i = 0; i < trace->attempts.n; i++) {
		address_format(address, &course->addresses.items[i]);
		assert_string_equal(attempts[i].address, address);
		assert_int_equal(attempts[i].state, state_of(states[i]));
		assert_int_equal(attempts[i].sys_errno, states[i] == 'f' ? ECONNREFUSED : 0);
		assert_true(attempts[i].begun >= before);
		before = attempts[i].begun;
		assert_true(attempts[i].begun <= whole && attempts[i].took <= whole - before);
		if (kinds[i] == 'b')
			assert_true(attempts[i].took >= 240000);
	}
}

static void test_a_race_is_told(void **state)
{
	static const struct {
		const char *kinds, *states;
	} rows[] = {
		{ "g", "c" }, { "rrg", "ffc" }, { "bg", "ac" }, { "rbg", "fac" }, { "rbrg", "fafc" },
		{ "bbgg", "aac" }, { "rrr", "fff" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_trace trace = { 0 };
		struct course course;

		assert_true(trace_begin(&trace));
		course_init(&course);
		course_start(&course, rows[i].kinds);
		course.race.trace = &trace;
		course.race.began_us = course.began_us;
		run_to_done(&course);
		/* Ending it once more changes nothing. */
		connect_stop(&course.race);
		expect_told(&course, rows[i].kinds, &trace, rows[i].states);
		course_deinit(&course);
		proto_trace_deinit(&trace);
	}
}

/* A deadline ends it. */
static void test_a_stop_is_told(void **state)
{
	struct proto_trace trace = { 0 };
	struct course course;

	assert_true(trace_begin(&trace));
	course_init(&course);
	course_start(&course, "rb");
	course.race.trace = &trace;
	course.race.began_us = course.began_us;
	run_for(course.loop, 0.25);
	assert_false(course.done);
	connect_stop(&course.race);
	expect_told(&course, "rb", &trace, "fa");
	course_deinit(&course);
	proto_trace_deinit(&trace);
}

/* --- stopping */

static void test_stop_at_any_turn(void **state)
{
	static const char *const kinds[] = { "g", "rg", "rrrr", "bg", "bbg" };
	struct course course;

	for (size_t i = 0; i < array_size(kinds); i++)
		for (unsigned int turns = 0; turns < 4; turns++) {
			course_init(&course);
			course_start(&course, kinds[i]);
			for (unsigned int turn = 0; turn < turns && !course.done; turn++)
				run_one_turn(course.loop);
			connect_stop(&course.race);
			expect_quiet(course.loop);
			assert_int_equal(course.race.running, 0);
			course_deinit(&course);
		}
}

static void stop_race(EV_P_ ev_check *check, int events)
{
	struct course *course = check->data;

	connect_stop(&course->race);
}

/* Its events are queued already: they must not be delivered. */
static void test_stop_with_events_queued(void **state)
{
	static const char *const kinds[] = { "g", "r", "rg" };
	struct course course;
	ev_check check;

	for (size_t i = 0; i < array_size(kinds); i++) {
		course_init(&course);
		course_start(&course, kinds[i]);
		ev_check_init(&check, stop_race);
		ev_set_priority(&check, EV_MAXPRI);
		check.data = &course;
		ev_check_start(course.loop, &check);
		ev_run(course.loop, EVRUN_NOWAIT);
		assert_int_equal(course.race.started, 1);
		ev_check_stop(course.loop, &check);
		expect_quiet(course.loop);
		assert_int_equal(course.n_done, 0);
		course_deinit(&course);
	}
}

static void test_stop_in_done(void **state)
{
	struct course course;

	for (int i = 0; i < 2; i++) {
		course_init(&course);
		course.stop_in_done = true;
		course_start(&course, i ? "r" : "bg");
		run_to_done(&course);
		expect_quiet(course.loop);
		course_deinit(&course);
	}
}

static void leave_it(struct connect_race *race)
{
	container_of(race, struct course, race)->done = true;
}

static void test_stop_closes_the_winner(void **state)
{
	struct course course;

	course_init(&course);
	course_start(&course, "g");
	course.race.done = leave_it;
	run_until(course.loop, is_set, &course.done);
	assert_true(course.race.fd >= 0);
	connect_stop(&course.race);
	assert_int_equal(course.race.fd, -1);
	course_deinit(&course);
}

static bool all_started(void *race)
{
	return ((struct connect_race *)race)->started == ADDRESSES_MAX;
}

static void test_eight_that_never_answer(void **state)
{
	struct course course;

	course_init(&course);
	course_start(&course, "bbbbbbbb");
	run_until(course.loop, all_started, &course.race);
	assert_true(elapsed(&course) > 7 * CONNECT_DELAY_MS / 1e3);
	assert_int_equal(course.race.running, ADDRESSES_MAX);
	run_for(course.loop, 1.5 * CONNECT_DELAY_MS / 1e3);
	assert_false(course.done);
	assert_false(ev_is_active(&course.race.delay));
	course_deinit(&course);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_race_is_told),
		cmocka_unit_test(test_a_stop_is_told),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_losers),
		cmocka_unit_test(test_first_attempt_is_late),
		cmocka_unit_test(test_all_refused),
		cmocka_unit_test(test_end_waits_for_the_last_attempt),
		cmocka_unit_test(test_refused_by_our_own_kernel),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_stop_at_any_turn),
		cmocka_unit_test(test_stop_with_events_queued),
		cmocka_unit_test(test_stop_in_done),
		cmocka_unit_test(test_stop_closes_the_winner),
		cmocka_unit_test(test_eight_that_never_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
