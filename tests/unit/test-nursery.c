/* SPDX-License-Identifier: MIT */
#include "tests/unit/pool.h"

#include <sys/mman.h>
#include <sys/prctl.h>

/* --- processes that die, and signals that they must not die of */

static void test_a_process_that_dies(void **state)
{
	struct pool pool;
	pid_t pid;

	pool_init(&pool, 2);
	pid = find_stuck(&pool, "dies.void");
	assert_int_equal(kill(pid, SIGKILL), 0);
	run_until(pool.loop, is_set, &pool.asked[1].done);
	assert_int_equal(pool.asked[1].lookup.gai_error, EAI_SYSTEM);
	assert_true(pool.asked[1].lookup.sys_errno != 0);
	assert_true(pool.asked[1].lookup.lost);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_false(pool.asked[0].lookup.lost);
	pool_deinit(&pool);
}

/* Its keeper makes another one, and what was asked of it in between is done then. */
static void test_a_nursery_that_dies(void **state)
{
	struct pool pool;

	pool_init(&pool, 4);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(pool.nursery, SIGKILL), 0);
		assert_true(ends(pool.nursery));
		/* One process is left. */
		ask_into_the_void(&pool, 1, i % 2 ? "odd.void" : "even.void");
		for (size_t which = 2; which < 4; which++)
			assert_int_equal(answer(&pool, which, "host.example")->lookup.gai_error, 0);
		lookup_stop(&pool.asked[1].lookup);
		pool.nursery = find_nursery(&pool);
	}
	pool_deinit(&pool);
}

/* As is one that could not take what it was sent: no memory, no descriptor. */
static void test_a_nursery_in_trouble(void **state)
{
	struct pool pool;

	pool_init(&pool, 4);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(pool.resolver.nursery, "x", 1, MSG_NOSIGNAL), 1);
		for (size_t which = 0; which < 4; which++)
			ask(&pool, which, "host.example");
		for (size_t which = 0; which < 4; which++) {
			run_until(pool.loop, is_set, &pool.asked[which].done);
			assert_int_equal(pool.asked[which].lookup.gai_error, 0);
		}
	}
	pool_deinit(&pool);
}

/* Then the nursery goes on without, and ends with the daemon. */
static void test_a_keeper_that_dies(void **state)
{
	struct pool pool;

	pool_init(&pool, 4);
	assert_int_equal(kill(pool.keeper, SIGKILL), 0);
	assert_true(ends(pool.keeper));
	ask_into_the_void(&pool, 1, "kept.void");
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
	assert_true(ends(pool.nursery));
}

/* Without both there is one process left. Whoever comes while it is busy is told so. */
static void test_both_die(void **state)
{
	struct pool pool;

	pool_init(&pool, 4);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_int_equal(kill(pool.keeper, SIGKILL), 0);
	assert_true(ends(pool.keeper));
	assert_int_equal(kill(pool.nursery, SIGKILL), 0);
	assert_true(ends(pool.nursery));
	ask_into_the_void(&pool, 0, "last.void");
	for (size_t i = 1; i < 4; i++) {
		assert_int_equal(answer(&pool, i, "host.example")->lookup.gai_error, EAI_SYSTEM);
		assert_int_equal(pool.asked[i].lookup.sys_errno, EPIPE);
		assert_true(pool.asked[i].lookup.lost);
	}
	lookup_stop(&pool.asked[0].lookup);
	pool_deinit(&pool);
}

/*
 * SIGIO tells of more than the end: the kernel may still be about to tell of the host's arrival
 * when the process that has read it is looking it up.
 */
static void test_sigio_is_not_the_end(void **state)
{
	struct pool pool;
	pid_t pid;

	pool_init(&pool, 2);
	pid = find_stuck(&pool, "sigio.void");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(kill(pid, SIGIO), 0);
		expect_answer(&pool, "host.example", "192.0.2.8:0");
	}
	assert_false(pool.asked[1].done);
	assert_int_equal(parent_of(pid), pool.nursery);
	lookup_stop(&pool.asked[1].lookup);
	assert_true(ends(pid));
	pool_deinit(&pool);
}

#define MANY_LOOK_UPS 20000
#define MANY_SECONDS 4

/* Where a process can be ended by the echo of the host's arrival, it takes some ten thousand. */
static void test_many_look_ups(void **state)
{
	struct pool pool;
	uint64_t end = clock_us() + MANY_SECONDS * UINT64_C(1000000);

	pool_init(&pool, 8);
	for (unsigned int i = 0; i < MANY_LOOK_UPS && clock_us() < end; i++)
		if (answer(&pool, 0, "127.0.0.1")->lookup.gai_error)
			fail_msg("number %u failed", i);
	pool_deinit(&pool);
}

/* What their fathers ignore or block is not what modules of the C library expect. */
static void test_signals_of_the_processes(void **state)
{
	struct pool pool;
	sigset_t all, kept;
	pid_t pid;

	sigfillset(&all);
	assert_int_equal(sigprocmask(SIG_BLOCK, &all, &kept), 0);
	pool_init(&pool, 2);
	assert_int_equal(sigprocmask(SIG_SETMASK, &kept, NULL), 0);
	pid = find_stuck(&pool, "signals.void");
	assert_true(has_signal(pool.nursery, "SigIgn", SIGTERM));
	assert_true(has_signal(pool.nursery, "SigIgn", SIGINT));
	assert_true(has_signal(pool.nursery, "SigIgn", SIGHUP));
	assert_false(has_signal(pid, "SigBlk", SIGIO));
	assert_false(has_signal(pid, "SigBlk", SIGALRM));
	assert_false(has_signal(pid, "SigIgn", SIGTERM));
	assert_false(has_signal(pid, "SigIgn", SIGCHLD));
	assert_false(has_signal(pid, "SigIgn", SIGPIPE));
	pool_deinit(&pool);
}

/* --- what they have, and their end */

struct pids {
	pid_t keeper, nursery, resolver;
	size_t keeper_has, nursery_has, resolver_has;
	bool told;
};

/* A daemon of its own, so that its end can be watched. */
static _Noreturn void be_a_daemon(struct pids *pids)
{
	struct pool pool;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN); /* as whoever started it may have had it */
	pool_init(&pool, 2);
	pids->resolver = find_stuck(&pool, "daemon.void");
	pids->nursery = pool.nursery;
	pids->keeper = pool.keeper;
	pids->keeper_has = descriptors_of(pids->keeper);
	pids->nursery_has = descriptors_of(pids->nursery);
	pids->resolver_has = descriptors_of(pids->resolver);
	pids->told = true;
	for (;;)
		pause();
}

static void test_the_daemon_s_sudden_end(void **state)
{
	struct pids *pids = mmap(NULL, sizeof(*pids), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);
	pid_t pid;

	assert_true(pids != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_a_daemon(pids);
	while (!*(volatile bool *)&pids->told && clock_us() < end)
		sched_yield();
	assert_true(pids->told);
	assert_int_equal(parent_of(pids->keeper), pid);
	assert_int_equal(parent_of(pids->nursery), pids->keeper);
	assert_int_equal(parent_of(pids->resolver), pids->nursery);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(ends(pids->resolver));
	assert_true(ends(pids->nursery));
	assert_true(ends(pids->keeper));
	/* Standard streams and one socket; and that on which the question went out. */
	assert_int_equal(pids->keeper_has, 3 + 1);
	assert_int_equal(pids->nursery_has, 3 + 1);
	assert_int_equal(pids->resolver_has, 3 + 1 + 1);
	munmap(pids, sizeof(*pids));
}

static void test_the_end(void **state)
{
	struct pool pool;
	pid_t nursery, resolver;

	pool_init(&pool, 2);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	nursery = pool.nursery;
	resolver = only_child(&pool);
	pool_deinit(&pool);
	assert_true(ends(nursery));
	assert_true(ends(resolver));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_that_dies),
		cmocka_unit_test(test_a_nursery_that_dies),
		cmocka_unit_test(test_a_nursery_in_trouble),
		cmocka_unit_test(test_a_keeper_that_dies),
		cmocka_unit_test(test_both_die),
		cmocka_unit_test(test_sigio_is_not_the_end),
		cmocka_unit_test(test_many_look_ups),
		cmocka_unit_test(test_signals_of_the_processes),
		cmocka_unit_test(test_the_daemon_s_sudden_end),
		cmocka_unit_test(test_the_end),
	};

	return cmocka_run_group_tests(tests, own_net_init, own_net_deinit);
}
