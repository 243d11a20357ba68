/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/watch.h"
#include "tests/unit/loop.h"

struct fixture {
	struct ev_loop *loop;
	struct watch_set set;
	struct watch watches[2];
	int ours[2], theirs[2];
	unsigned int called[2];
	bool stops_the_other;
};

static struct fixture *fixture; /* of the test that runs: callbacks have nothing else */

static void on_socket(struct watch *watch)
{
	size_t i = watch == &fixture->watches[1];

	fixture->called[i]++;
	if (fixture->stops_the_other)
		watch_stop(&fixture->watches[!i]);
	watch_stop(watch);
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .loop = loop_new() };
	fixture = f;
	assert_int_equal(watch_set_init(&f->set, f->loop), 0);
	for (size_t i = 0; i < 2; i++) {
		int pair[2];

		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			0);
		f->ours[i] = pair[0];
		f->theirs[i] = pair[1];
		watch_init(&f->watches[i], &f->set, pair[0], on_socket);
	}
}

static void end(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++) {
		watch_stop(&f->watches[i]);
		close_fd(&f->ours[i]);
		close_fd(&f->theirs[i]);
	}
	watch_set_deinit(&f->set);
	loop_free(f->loop);
}

static void speak(struct fixture *f, size_t i)
{
	assert_int_equal(send(f->theirs[i], "x", 1, 0), 1);
}

static bool set_is_readable(const struct fixture *f)
{
	struct epoll_event event;

	return epoll_wait(f->set.epoll, &event, 1, 0) == 1;
}

static void test_called_for_what_it_watches(void **state)
{
	struct fixture f;

	begin(&f);
	assert_int_equal(watch_for(&f.watches[0], EPOLLIN), 0);
	speak(&f, 1);
	run_for(f.loop, 0.01);
	assert_int_equal(f.called[0] + f.called[1], 0);
	speak(&f, 0);
	run_for(f.loop, 0.01);
	assert_int_equal(f.called[0], 1);
	end(&f);
}

/* What the whole file is for: a copy of the descriptor lives on, with the caller, and has data. */
static void test_stopped_is_out_of_the_set(void **state)
{
	struct fixture f;
	int copy;

	begin(&f);
	copy = fcntl(f.ours[0], F_DUPFD_CLOEXEC, 0);
	assert_int_equal(watch_for(&f.watches[0], EPOLLIN), 0);
	speak(&f, 0);
	assert_true(set_is_readable(&f));
	watch_stop(&f.watches[0]);
	close_fd(&f.ours[0]);
	assert_false(set_is_readable(&f));
	run_for(f.loop, 0.01);
	assert_int_equal(f.called[0], 0);
	close_fd(&copy);
	end(&f);
}

static void test_other_events(void **state)
{
	struct fixture f;

	begin(&f);
	speak(&f, 0);
	assert_int_equal(watch_for(&f.watches[0], EPOLLOUT), 0);
	assert_int_equal(watch_for(&f.watches[0], EPOLLIN), 0);
	assert_int_equal(watch_for(&f.watches[0], EPOLLIN), 0);
	assert_int_equal(f.set.n, 1);
	run_for(f.loop, 0.01);
	assert_int_equal(f.called[0], 1);
	assert_int_equal(f.set.n, 0);
	end(&f);
}

/* A turn of the loop may last as long as somebody's piece of work: it is not for one alone. */
static void test_all_in_one_turn(void **state)
{
	struct fixture f;

	begin(&f);
	for (size_t i = 0; i < 2; i++) {
		speak(&f, i);
		assert_int_equal(watch_for(&f.watches[i], EPOLLIN), 0);
	}
	ev_run(f.loop, EVRUN_ONCE);
	assert_int_equal(f.called[0], 1);
	assert_int_equal(f.called[1], 1);
	end(&f);
}

/* Both are ready in the same turn, and whoever comes first ends the other. */
static void test_stopped_by_another(void **state)
{
	struct fixture f;

	begin(&f);
	f.stops_the_other = true;
	for (size_t i = 0; i < 2; i++) {
		speak(&f, i);
		assert_int_equal(watch_for(&f.watches[i], EPOLLIN), 0);
	}
	run_for(f.loop, 0.01);
	assert_int_equal(f.called[0] + f.called[1], 1);
	end(&f);
}

static void test_no_room(void **state)
{
	struct fixture f;
	struct watch watch;

	begin(&f);
	watch_init(&watch, &f.set, -1, on_socket);
	assert_int_equal(watch_for(&watch, EPOLLIN), -EBADF);
	assert_int_equal(f.set.n, 0);
	watch_stop(&watch);
	end(&f);
}

/* What libev does with a watcher for which epoll_ctl(2) has no memory. */
static void test_given_up_by_the_loop(void **state)
{
	struct fixture f;

	begin(&f);
	speak(&f, 0);
	assert_int_equal(watch_for(&f.watches[0], EPOLLIN), 0);
	ev_io_stop(f.loop, &f.set.ready);
	ev_feed_event(f.loop, &f.set.ready, EV_ERROR | EV_READ | EV_WRITE);
	ev_run(f.loop, EVRUN_NOWAIT);
	assert_int_equal(f.called[0], 0);
	run_for(f.loop, 2 * WATCH_REST);
	assert_int_equal(f.called[0], 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_called_for_what_it_watches),
		cmocka_unit_test(test_stopped_is_out_of_the_set),
		cmocka_unit_test(test_other_events),
		cmocka_unit_test(test_all_in_one_turn),
		cmocka_unit_test(test_stopped_by_another),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_given_up_by_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
