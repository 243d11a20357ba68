/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/signals.h"
#include "tests/unit/loop.h"

#include <signal.h>
#include <sys/resource.h>

static const int numbers[] = { SIGUSR1, SIGUSR2 };

static struct {
	struct signals signals;
	int came[8];
	size_t n;
} heard; /* by the test that runs */

static void on_signal(struct signals *signals, int number)
{
	assert_true(heard.n < array_size(heard.came));
	heard.came[heard.n++] = number;
}

static bool something_came(void *n)
{
	return heard.n == *(size_t *)n;
}

static void wait_for(struct ev_loop *loop, size_t n)
{
	run_until(loop, something_came, &n);
}

static struct ev_loop *begin(void)
{
	struct ev_loop *loop = loop_new();

	memset(&heard, 0, sizeof(heard));
	assert_true(signals_init(&heard.signals, loop, numbers, array_size(numbers), on_signal));
	return loop;
}

static void end(struct ev_loop *loop)
{
	signals_deinit(&heard.signals);
	signals_deinit(&heard.signals);
	loop_free(loop);
}

static void test_told_one_by_one(void **state)
{
	struct ev_loop *loop = begin();

	raise(SIGUSR2);
	raise(SIGUSR1);
	wait_for(loop, 2);
	assert_int_equal(heard.came[0], SIGUSR1);
	assert_int_equal(heard.came[1], SIGUSR2);
	raise(SIGUSR1);
	wait_for(loop, 3);
	assert_int_equal(heard.came[2], SIGUSR1);
	end(loop);
}

/* What libev does with a watcher for which epoll_ctl(2) has no memory. */
static void test_given_up_by_the_loop(void **state)
{
	struct ev_loop *loop = begin();

	ev_io_stop(loop, &heard.signals.ready);
	ev_feed_event(loop, &heard.signals.ready, EV_ERROR | EV_READ | EV_WRITE);
	raise(SIGUSR1);
	wait_for(loop, 1);
	end(loop);
}

static void test_no_descriptor(void **state)
{
	struct ev_loop *loop = loop_new();
	struct rlimit before;
	struct signals signals;

	getrlimit(RLIMIT_NOFILE, &before);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 0, before.rlim_max });
	assert_false(signals_init(&signals, loop, numbers, array_size(numbers), on_signal));
	assert_int_equal(errno, EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	signals_deinit(&signals);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_one_by_one),
		cmocka_unit_test(test_given_up_by_the_loop),
		cmocka_unit_test(test_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
