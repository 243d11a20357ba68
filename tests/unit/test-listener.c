/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=accept4,--wrap=calloc */
#include "tests/unit/caller.h"

#include "daemon/listener.h"

#include <sys/resource.h>
#include <sys/un.h>
#include <valgrind/valgrind.h>

#define CALLERS_MAX 24

int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static struct {
	int accepting;		/* errno of accept4() */
	unsigned int asked;	/* how often it was called */
	bool peers;		/* no memory for them */
} fails;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	fails.asked++;
	if (fails.accepting)
		return errno = fails.accepting, -1;
	return __real_accept4(fd, address, length, flags);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails.peers && n * size == sizeof(struct peer) ? NULL : __real_calloc(n, size);
}

/* --- a service, and callers */

struct house {
	struct theatre theatre;
	struct listener listener;
	struct sockaddr_un address;
	socklen_t length;
	struct caller callers[CALLERS_MAX];
	size_t n_callers;
	int log;		/* what was logged can be read here */
};

static void house_open_log(struct house *house)
{
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	house->log = pipes[0];
	log_init(&house->theatre.log, pipes[1]);
	close_fd(&pipes[1]);
}

static struct house *house_new(unsigned int connections)
{
	static struct house house;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memset(&fails, 0, sizeof(fails));
	house.n_callers = 0;
	/* An address that the kernel chooses: nobody's file. */
	house.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	house.length = sizeof(house.address);
	assert_int_equal(bind(fd, (struct sockaddr *)&house.address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&house.address, &house.length), 0);
	assert_int_equal(listen(fd, CALLERS_MAX), 0);
	theatre_open(&house.theatre);
	house.theatre.descriptors--; /* the listener closes this one */
	house_open_log(&house);
	house.theatre.config.limits.connections = connections;
	listener_start(&house.listener, &house.theatre.env, fd);
	return &house;
}

static void house_free(struct house *house)
{
	listener_stop(&house->listener);
	assert_int_equal(house->listener.n_peers, 0);
	for (size_t i = 0; i < house->n_callers; i++)
		caller_hang_up(&house->callers[i]);
	log_deinit(&house->theatre.log);
	close_fd(&house->log);
	theatre_close(&house->theatre);
}

static struct caller *house_call(struct house *house)
{
	struct caller *caller = &house->callers[house->n_callers++];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(house->n_callers <= CALLERS_MAX);
	assert_int_equal(connect(fd, (struct sockaddr *)&house->address, house->length), 0);
	caller_init(caller, fd);
	return caller;
}

static bool nobody_is_left(void *house)
{
	return ((struct house *)house)->listener.n_peers == 0;
}

static size_t lines_logged(struct house *house)
{
	char text[8192];
	ssize_t n = read(house->log, text, sizeof(text));
	size_t lines = 0;

	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

/* --- callers come and go */

static void test_callers_are_served(void **state)
{
	struct house *house = house_new(1024);
	struct caller *callers[3];

	for (size_t i = 0; i < array_size(callers); i++)
		callers[i] = house_call(house);
	for (size_t i = 0; i < 2 * array_size(callers); i++) {
		caller_send(callers[i % 3], GET_INFO);
		expect_info(callers[i % 3]);
	}
	assert_int_equal(house->listener.n_peers, array_size(callers));
	for (size_t i = 0; i < array_size(callers); i++)
		caller_hang_up(callers[i]);
	run_until(play.loop, nobody_is_left, house);
	house_free(house);
}

/* As the kernel tells it of the moment of connect(2). */
static void test_who_a_caller_is(void **state)
{
	static const uid_t uids[] = { 0, 1234, 65534 };
	struct house *house = house_new(1024);

	for (size_t i = 0; i < array_size(uids); i++) {
		struct caller *caller;

		assert_int_equal(seteuid(uids[i]), 0);
		caller = house_call(house);
		assert_int_equal(seteuid(0), 0);
		caller_send(caller, GET_INFO);
		expect_info(caller);
		assert_int_equal(container_of(house->listener.peers.prev, struct peer, link)
					 ->credentials.uid, uids[i]);
	}
	house_free(house);
}

/* Those who are served have their turn between two who come. */
static void test_one_in_a_turn(void **state)
{
	struct house *house = house_new(1024);

	for (int i = 0; i < 10; i++)
		house_call(house);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(house->listener.n_peers, i);
		ev_run(play.loop, EVRUN_NOWAIT);
	}
	house_free(house);
}

static void test_what_is_accepted_cannot_block(void **state)
{
	struct house *house = house_new(1024);
	struct peer *peer;

	house_call(house);
	ev_run(play.loop, EVRUN_NOWAIT);
	peer = list_first(&house->listener.peers, struct peer, link);
	assert_int_equal(fcntl(peer->fd, F_GETFL), O_RDWR | O_NONBLOCK);
	assert_int_equal(fcntl(peer->fd, F_GETFD), FD_CLOEXEC);
	house_free(house);
}

/* --- as many as may be */

static void test_the_limit_of_connections(void **state)
{
	struct house *house = house_new(3);
	struct caller *callers[5];

	for (size_t i = 0; i < array_size(callers); i++) {
		callers[i] = house_call(house);
		caller_send(callers[i], GET_INFO);
	}
	for (size_t i = 0; i < 3; i++)
		expect_info(callers[i]);
	fails.asked = 0;
	run_for(play.loop, 0.05);
	assert_int_equal(house->listener.n_peers, 3);
	assert_int_equal(callers[3]->have, 0);
	assert_int_equal(fails.asked, 0);

	caller_hang_up(callers[1]);
	expect_info(callers[3]);
	assert_int_equal(callers[4]->have, 0);
	caller_hang_up(callers[0]);
	expect_info(callers[4]);
	assert_int_equal(house->listener.n_peers, 3);
	for (size_t i = 2; i < array_size(callers); i++)
		caller_hang_up(callers[i]);
	run_until(play.loop, nobody_is_left, house);
	caller_send(house_call(house), GET_INFO);
	expect_info(&house->callers[5]);
	house_free(house);
}

/* --- when nobody can be accepted */

struct effort {
	unsigned int iterations, asked;
	clock_t processor;
};

static struct effort effort_now(void)
{
	return (struct effort){ ev_iteration(play.loop), fails.asked, clock() };
}

#define RESTS 5

/* The loop does not spin on callers that it cannot take; and it does not fill the log. */
static void expect_rest(struct house *house, double seconds)
{
	struct effort before = effort_now(), after;

	lines_logged(house);
	run_for(play.loop, seconds);
	after = effort_now();
	assert_in_range(after.asked - before.asked, 2, RESTS + 2);
	assert_true(after.iterations - before.iterations <= 4 * RESTS);
	assert_true(after.processor - before.processor < CLOCKS_PER_SEC / 10);
	assert_in_range(lines_logged(house), 1, 1);
	assert_int_equal(house->listener.n_peers, 0);
}

/* No descriptor can be had above those that there are. */
static void use_up_descriptors(struct rlimit *kept)
{
	struct rlimit none;
	int next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, kept), 0);
	none = *kept;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void test_no_descriptor_left(void **state)
{
	struct house *house = house_new(1024);
	struct caller *caller = house_call(house);
	struct rlimit limit;

	use_up_descriptors(&limit);
	if (RUNNING_ON_VALGRIND) /* it accepts, and closes what was accepted */
		fails.accepting = EMFILE;
	caller_send(caller, GET_INFO);
	expect_rest(house, RESTS * LISTENER_REST);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fails.accepting = 0;
	expect_info(caller);
	house_free(house);
}

static const int resting_errors[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM };

static void test_errors_to_rest_of(void **state)
{
	for (size_t i = 0; i < array_size(resting_errors); i++) {
		struct house *house = house_new(1024);
		struct caller *caller = house_call(house);

		caller_send(caller, GET_INFO);
		fails.accepting = resting_errors[i];
		expect_rest(house, RESTS * LISTENER_REST);
		fails.accepting = 0;
		expect_info(caller);
		/* The next trouble is told again. */
		caller_hang_up(caller);
		run_until(play.loop, nobody_is_left, house);
		caller = house_call(house);
		fails.accepting = resting_errors[i];
		expect_rest(house, 2 * LISTENER_REST);
		fails.accepting = 0;
		house_free(house);
	}
}

static const int passing_errors[] = { EAGAIN, EINTR, ECONNABORTED };

static void test_errors_not_to_rest_of(void **state)
{
	for (size_t i = 0; i < array_size(passing_errors); i++) {
		struct house *house = house_new(1024);
		struct caller *caller = house_call(house);

		fails.accepting = passing_errors[i];
		ev_run(play.loop, EVRUN_NOWAIT);
		assert_false(ev_is_active(&house->listener.rest));
		assert_true(ev_is_active(&house->listener.acceptable));
		assert_int_equal(lines_logged(house), 0);
		fails.accepting = 0;
		caller_send(caller, GET_INFO);
		expect_info(caller);
		house_free(house);
	}
}

static void test_no_memory_for_a_peer(void **state)
{
	struct house *house = house_new(1024);
	size_t descriptors;

	house_call(house);
	descriptors = count_descriptors();
	fails.peers = true;
	ev_run(play.loop, EVRUN_NOWAIT);
	assert_int_equal(fails.asked, 1);
	assert_true(ev_is_active(&house->listener.rest));
	assert_int_equal(house->listener.n_peers, 0);
	assert_int_equal(count_descriptors(), descriptors);
	fails.peers = false;
	caller_send(house_call(house), GET_INFO);
	expect_info(&house->callers[1]);
	house_free(house);
}

/* One who leaves does not end the rest: there would be no rest with many leaving. */
static void test_leaving_in_a_rest(void **state)
{
	struct house *house = house_new(1024);
	struct caller *first = house_call(house);

	caller_send(first, GET_INFO);
	expect_info(first);
	fails.accepting = EMFILE;
	house_call(house);
	ev_run(play.loop, EVRUN_NOWAIT);
	assert_true(ev_is_active(&house->listener.rest));
	caller_hang_up(first);
	run_until(play.loop, nobody_is_left, house);
	assert_true(ev_is_active(&house->listener.rest));
	assert_false(ev_is_active(&house->listener.acceptable));
	house_free(house);
}

/* --- the end */

static void test_stopped(void **state)
{
	static const enum how hows[] = { NEVER, LATER, AT_ONCE };

	for (size_t i = 0; i < array_size(hows); i++) {
		struct house *house = house_new(1024);
		struct caller *caller = house_call(house);

		house_call(house);
		play.handshake.how = hows[i];
		caller_send(caller, CONNECT);
		for (int turn = 0; turn < 4; turn++)
			run_for(play.loop, 0.001);
		listener_stop(&house->listener);
		assert_int_equal(theatre_requests(&house->theatre), 0);
		run_until(play.loop, is_set, &house->callers[0].ended);
		run_until(play.loop, is_set, &house->callers[1].ended);
		house_free(house);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers_are_served),
		cmocka_unit_test(test_who_a_caller_is),
		cmocka_unit_test(test_one_in_a_turn),
		cmocka_unit_test(test_what_is_accepted_cannot_block),
		cmocka_unit_test(test_the_limit_of_connections),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_errors_to_rest_of),
		cmocka_unit_test(test_errors_not_to_rest_of),
		cmocka_unit_test(test_no_memory_for_a_peer),
		cmocka_unit_test(test_leaving_in_a_rest),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
