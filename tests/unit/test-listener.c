/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=accept4 */
#include "tests/unit/loop.h"

#include "daemon/listener.h"

#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#define CALLERS_MAX 24

int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

static struct {
	int error;		/* errno of accept4() */
	unsigned int asked;	/* how often it was called */
} accepting;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	accepting.asked++;
	if (accepting.error)
		return errno = accepting.error, -1;
	return __real_accept4(fd, address, length, flags);
}

/* --- a door, callers before it, and what they are dealt to */

struct house {
	struct ev_loop *loop;
	struct listener listener;
	struct log log;
	struct sockaddr_un address;
	socklen_t length;
	int socket;		/* another copy of it, as of a service manager; or -1 */
	int callers[CALLERS_MAX];
	size_t n_callers;
	int dealt[CALLERS_MAX];
	size_t n_dealt;
	bool full;		/* nobody can be taken now */
	unsigned int offered;	/* how often somebody was to be dealt */
	int logged;		/* what was logged can be read here */
	size_t descriptors;
};

static bool deal(struct listener *listener, int *fd)
{
	struct house *house = container_of(listener, struct house, listener);

	house->offered++;
	assert_true(*fd >= 0);
	if (house->full)
		return false;
	assert_true(house->n_dealt < CALLERS_MAX);
	house->dealt[house->n_dealt++] = steal_fd(fd);
	return true;
}

static void house_open_log(struct house *house)
{
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	house->logged = pipes[0];
	log_init(&house->log, pipes[1]);
	close_fd(&pipes[1]);
}

static struct house *house_new(void)
{
	static struct house house;
	int fd;

	memset(&accepting, 0, sizeof(accepting));
	house = (struct house){ .descriptors = count_descriptors(), .socket = -1 };
	house.loop = loop_new();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* An address that the kernel chooses: nobody's file. */
	house.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	house.length = sizeof(house.address);
	assert_int_equal(bind(fd, (struct sockaddr *)&house.address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&house.address, &house.length), 0);
	assert_int_equal(listen(fd, CALLERS_MAX), 0);
	house_open_log(&house);
	listener_start(&house.listener, house.loop, &house.log, fd, deal);
	return &house;
}

static void house_free(struct house *house)
{
	listener_stop(&house->listener);
	listener_stop(&house->listener);
	expect_quiet(house->loop);
	for (size_t i = 0; i < house->n_callers; i++)
		close_fd(&house->callers[i]);
	for (size_t i = 0; i < house->n_dealt; i++)
		close_fd(&house->dealt[i]);
	close_fd(&house->socket);
	log_deinit(&house->log);
	close_fd(&house->logged);
	loop_free(house->loop);
	assert_int_equal(count_descriptors(), house->descriptors);
}

/* A caller who says who he is. */
static size_t house_call(struct house *house)
{
	size_t which = house->n_callers++;
	char name = (char)('a' + which);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(house->n_callers <= CALLERS_MAX);
	assert_int_equal(connect(fd, (struct sockaddr *)&house->address, house->length), 0);
	assert_int_equal(send(fd, &name, 1, MSG_NOSIGNAL), 1);
	house->callers[which] = fd;
	return which;
}

static void turn(struct house *house, unsigned int times)
{
	while (times--)
		ev_run(house->loop, EVRUN_NOWAIT);
}

static bool all_are_dealt(void *arg)
{
	struct house *house = arg;

	return house->n_dealt == house->n_callers;
}

/* Each caller once, in the order in which they came. */
static void expect_all_dealt(struct house *house)
{
	run_until(house->loop, all_are_dealt, house);
	turn(house, 2);
	assert_int_equal(house->n_dealt, house->n_callers);
	for (size_t i = 0; i < house->n_dealt; i++) {
		char name = 0;

		assert_int_equal(recv(house->dealt[i], &name, 1, MSG_PEEK | MSG_DONTWAIT), 1);
		assert_int_equal(name, 'a' + i);
	}
}

static size_t lines_logged(struct house *house)
{
	char text[8192];
	ssize_t n = read(house->logged, text, sizeof(text));
	size_t lines = 0;

	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

/* --- callers come */

static void test_callers_are_dealt(void **state)
{
	struct house *house = house_new();

	for (int i = 0; i < 5; i++)
		house_call(house);
	expect_all_dealt(house);
	house_call(house);
	expect_all_dealt(house);
	assert_int_equal(house->offered, 6);
	assert_int_equal(lines_logged(house), 0);
	house_free(house);
}

/* What the service does besides has its turn between two who come. */
static void test_one_in_a_turn(void **state)
{
	struct house *house = house_new();

	for (int i = 0; i < 10; i++)
		house_call(house);
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(house->n_dealt, i);
		turn(house, 1);
	}
	house_free(house);
}

static void test_what_is_accepted_cannot_block(void **state)
{
	struct house *house = house_new();

	house_call(house);
	expect_all_dealt(house);
	assert_int_equal(fcntl(house->dealt[0], F_GETFL), O_RDWR | O_NONBLOCK);
	assert_int_equal(fcntl(house->dealt[0], F_GETFD), FD_CLOEXEC);
	house_free(house);
}

/* --- nobody can take them */

/* One is held, the others are not even accepted; and the loop sleeps. */
static void test_a_caller_is_held(void **state)
{
	struct house *house = house_new();
	unsigned int iterations;

	house->full = true;
	for (int i = 0; i < 3; i++)
		house_call(house);
	turn(house, 5);
	assert_int_equal(accepting.asked, 1);
	assert_true(house->listener.held >= 0);
	iterations = ev_iteration(house->loop);
	run_for(house->loop, 3.5 * LISTENER_REST);
	assert_int_equal(accepting.asked, 1);
	assert_in_range(house->offered, 2, 5);
	assert_true(ev_iteration(house->loop) - iterations <= 4 * 4);
	/* He is the first one then, and nobody is dealt twice. */
	house->full = false;
	expect_all_dealt(house);
	assert_int_equal(house->listener.held, -1);
	house_free(house);
}

static bool somebody_is_held(void *house)
{
	return ((struct house *)house)->listener.held >= 0;
}

/* Room is told of, and then there is no rest. */
static void test_resumed(void **state)
{
	struct house *house = house_new();

	house->full = true;
	for (int i = 0; i < 3; i++)
		house_call(house);
	run_until(house->loop, somebody_is_held, house);
	house->full = false;
	listener_resume(&house->listener);
	assert_int_equal(house->n_dealt, 1);
	assert_false(ev_is_active(&house->listener.rest));
	turn(house, 2);
	assert_int_equal(house->n_dealt, 3);
	expect_all_dealt(house);
	/* It may be said at any time, and does no harm. */
	listener_resume(&house->listener);
	listener_resume(&house->listener);
	house_call(house);
	expect_all_dealt(house);
	house_free(house);
}

/* Room that is none: he is held on. */
static void test_resumed_in_vain(void **state)
{
	struct house *house = house_new();

	house->full = true;
	for (int i = 0; i < 2; i++)
		house_call(house);
	run_until(house->loop, somebody_is_held, house);
	for (int i = 0; i < 3; i++) {
		listener_resume(&house->listener);
		assert_true(house->listener.held >= 0);
		assert_true(ev_is_active(&house->listener.rest));
		assert_false(ev_is_active(&house->listener.acceptable));
	}
	assert_int_equal(accepting.asked, 1);
	house->full = false;
	expect_all_dealt(house);
	house_free(house);
}

/* --- when nobody can be accepted */

struct effort {
	unsigned int iterations, asked;
	clock_t processor;
};

static struct effort effort_now(const struct house *house)
{
	return (struct effort){ ev_iteration(house->loop), accepting.asked, clock() };
}

#define RESTS 5

/* The loop does not spin on callers that it cannot take; and it does not fill the log. */
static void expect_rest(struct house *house, double seconds)
{
	struct effort before = effort_now(house), after;

	lines_logged(house);
	run_for(house->loop, seconds);
	after = effort_now(house);
	assert_in_range(after.asked - before.asked, 2, RESTS + 2);
	assert_true(after.iterations - before.iterations <= 4 * RESTS);
	assert_true(after.processor - before.processor < CLOCKS_PER_SEC / 10);
	assert_in_range(lines_logged(house), 1, 1);
	assert_int_equal(house->offered, house->n_dealt);
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
	struct house *house = house_new();
	struct rlimit limit;

	house_call(house);
	use_up_descriptors(&limit);
	if (RUNNING_ON_VALGRIND) /* it accepts, and closes what was accepted */
		accepting.error = EMFILE;
	expect_rest(house, RESTS * LISTENER_REST);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	accepting.error = 0;
	expect_all_dealt(house);
	house_free(house);
}

static const int resting_errors[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM };

static void test_errors_to_rest_of(void **state)
{
	for (size_t i = 0; i < array_size(resting_errors); i++) {
		struct house *house = house_new();

		house_call(house);
		accepting.error = resting_errors[i];
		expect_rest(house, 3 * LISTENER_REST);
		accepting.error = 0;
		expect_all_dealt(house);
		/* The next trouble is told again. */
		house_call(house);
		accepting.error = resting_errors[i];
		expect_rest(house, 2 * LISTENER_REST);
		accepting.error = 0;
		expect_all_dealt(house);
		house_free(house);
	}
}

static const int passing_errors[] = { EAGAIN, EINTR, ECONNABORTED };

static void test_errors_not_to_rest_of(void **state)
{
	for (size_t i = 0; i < array_size(passing_errors); i++) {
		struct house *house = house_new();

		house_call(house);
		accepting.error = passing_errors[i];
		turn(house, 1);
		assert_false(ev_is_active(&house->listener.rest));
		assert_true(ev_is_active(&house->listener.acceptable));
		assert_int_equal(lines_logged(house), 0);
		accepting.error = 0;
		expect_all_dealt(house);
		house_free(house);
	}
}

/* --- the end */

static void expect_hung_up(int caller)
{
	char byte;

	assert_true(wait_for_events(caller, POLLIN, PATIENCE));
	assert_true(recv(caller, &byte, 1, MSG_DONTWAIT) <= 0);
}

/* Whoever is dealt stays, whoever is held goes. */
static void test_stopped(void **state)
{
	struct house *house = house_new();
	char byte;

	house_call(house);
	expect_all_dealt(house);
	house->full = true;
	house_call(house);
	run_until(house->loop, somebody_is_held, house);
	listener_stop(&house->listener);
	assert_int_equal(house->listener.held, -1);
	expect_hung_up(house->callers[1]);
	assert_int_equal(recv(house->callers[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	/* And nothing starts it again. */
	listener_resume(&house->listener);
	expect_quiet(house->loop);
	assert_int_equal(house->n_dealt, 1);
	house_free(house);
}

static void test_stopped_while_it_rests(void **state)
{
	struct house *house = house_new();

	house_call(house);
	accepting.error = EMFILE;
	turn(house, 2);
	assert_true(ev_is_active(&house->listener.rest));
	listener_stop(&house->listener);
	expect_quiet(house->loop);
	house_free(house);
}

static void test_never_started(void **state)
{
	struct listener listener = { .acceptable.fd = -1 };

	listener_stop(&listener);
	listener_resume(&listener);
	listener_stop(&listener);
}

/* Who was not accepted waits for the next one, if somebody has kept the socket. */
static void test_the_backlog_stays(void **state)
{
	struct house *house = house_new();

	house->socket = fcntl(house->listener.acceptable.fd, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < 3; i++)
		house_call(house);
	turn(house, 1);
	assert_int_equal(house->n_dealt, 1);
	listener_stop(&house->listener);
	turn(house, 3);
	assert_int_equal(house->n_dealt, 1);
	listener_start(&house->listener, house->loop, &house->log, steal_fd(&house->socket), deal);
	expect_all_dealt(house);
	house_free(house);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers_are_dealt),
		cmocka_unit_test(test_one_in_a_turn),
		cmocka_unit_test(test_what_is_accepted_cannot_block),
		cmocka_unit_test(test_a_caller_is_held),
		cmocka_unit_test(test_resumed),
		cmocka_unit_test(test_resumed_in_vain),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_errors_to_rest_of),
		cmocka_unit_test(test_errors_not_to_rest_of),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stopped_while_it_rests),
		cmocka_unit_test(test_never_started),
		cmocka_unit_test(test_the_backlog_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
