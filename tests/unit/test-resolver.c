/* SPDX-License-Identifier: MIT */
/* tests: daemon/nursery.c */
#include "tests/unit/own-net.h"
#include "tests/unit/process.h"

#include "daemon/resolver.h"
#include "proto/limits.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <valgrind/valgrind.h>

#define ASKED_MAX 8

struct asked {
	struct lookup lookup;
	struct pool *pool;
	bool done;
};

struct pool {
	struct ev_loop *loop;
	struct resolver resolver;
	pid_t nursery;
	size_t descriptors;
	struct asked asked[ASKED_MAX];
	unsigned int n_done;
};

/* The keeper's child, as soon as there is one. */
static pid_t find_nursery(const struct pool *pool)
{
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);
	pid_t pid = 0;

	while (!children_of(pool->resolver.keeper, &pid, 1) && clock_us() < end)
		sched_yield();
	assert_true(pid > 0);
	return pid;
}

static void on_done(struct lookup *lookup)
{
	struct asked *asked = container_of(lookup, struct asked, lookup);

	assert_false(asked->done);
	asked->done = true;
	asked->pool->n_done++;
}

static void pool_init(struct pool *pool, unsigned int max)
{
	*pool = (struct pool){ .descriptors = count_descriptors() };
	pool->loop = loop_new();
	assert_int_equal(resolver_init(&pool->resolver, max), 0);
	pool->nursery = find_nursery(pool);
	resolver_run(&pool->resolver, pool->loop);
	name_server_run(pool->loop);
}

static void pool_deinit(struct pool *pool)
{
	for (size_t i = 0; i < ASKED_MAX; i++) {
		lookup_stop(&pool->asked[i].lookup);
		lookup_stop(&pool->asked[i].lookup);
	}
	assert_int_equal(pool->resolver.busy, 0);
	resolver_deinit(&pool->resolver);
	name_server_stop(pool->loop);
	loop_free(pool->loop);
	assert_int_equal(count_descriptors(), pool->descriptors);
}

static struct asked *ask(struct pool *pool, size_t which, const char *host)
{
	struct asked *asked = &pool->asked[which];

	asked->pool = pool;
	asked->done = false;
	lookup_start(&asked->lookup, &pool->resolver, host, on_done);
	assert_false(asked->done);
	return asked;
}

static struct asked *answer(struct pool *pool, size_t which, const char *host)
{
	struct asked *asked = ask(pool, which, host);

	run_until(pool->loop, is_set, &asked->done);
	return asked;
}

/* The addresses as text, with blanks between them. */
static const char *answer_text(const struct asked *asked, char text[static 512])
{
	const struct addresses *addresses = &asked->lookup.addresses;
	char one[ADDRESS_TEXT_MAX];

	*text = '\0';
	if (asked->lookup.gai_error)
		return gai_strerror(asked->lookup.gai_error);
	for (uint32_t i = 0; i < addresses->n; i++) {
		address_format(one, &addresses->items[i]);
		sprintf(text + strlen(text), "%s%s", i ? " " : "", one);
	}
	return text;
}

static void expect_answer(struct pool *pool, const char *host, const char *expected)
{
	char text[512];

	assert_string_equal(answer_text(answer(pool, 0, host), text), expected);
}

/* Asks for a name to which there is no answer, and waits until that has come out of a process. */
static void await_query(struct pool *pool, const char *host)
{
	run_until(pool->loop, asked_for, (void *)host);
}

static struct asked *ask_into_the_void(struct pool *pool, size_t which, const char *host)
{
	struct asked *asked = ask(pool, which, host);

	await_query(pool, host);
	assert_false(asked->done);
	return asked;
}

/* --- answers */

static void test_localhost(void **state)
{
	struct pool pool;
	char text[512];

	pool_init(&pool, 8);
	answer_text(answer(&pool, 0, "localhost"), text);
	assert_non_null(strstr(text, "127.0.0.1:0"));
	assert_non_null(strstr(text, "[::1]:0"));
	assert_int_equal(pool.asked[0].lookup.addresses.n, 2);
	assert_int_equal(own_net.n_names, 0);
	pool_deinit(&pool);
}

static void test_hosts_file(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	write_file("hosts", "192.0.2.7 host.example alias\n");
	expect_answer(&pool, "host.example", "192.0.2.7:0");
	expect_answer(&pool, "alias", "192.0.2.7:0");
	/* The process that is kept sees that the file has changed. */
	write_file("hosts", OWN_HOSTS);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void test_the_name_server_s_word(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	assert_int_equal(answer(&pool, 0, "nx.example")->lookup.gai_error, EAI_NONAME);
	assert_int_equal(answer(&pool, 0, "fail.example")->lookup.gai_error, EAI_AGAIN);
	assert_int_equal(answer(&pool, 0, "many.example")->lookup.gai_error, 0);
	assert_int_equal(pool.asked[0].lookup.addresses.n, ADDRESSES_MAX);
	assert_true(addresses_valid(&pool.asked[0].lookup.addresses));
	/* What came before leaves nothing behind. */
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void test_the_longest_name(void **state)
{
	struct pool pool;
	char host[PROTO_HOST_MAX + 1];

	memset(host, 'a', PROTO_HOST_MAX);
	for (size_t i = 63; i < PROTO_HOST_MAX; i += 64)
		host[i] = '.';
	host[PROTO_HOST_MAX] = '\0';
	pool_init(&pool, 8);
	ask_into_the_void(&pool, 0, host);
	pool_deinit(&pool);
}

static void test_nothing_happens_inside_start(void **state)
{
	struct pool pool;

	pool_init(&pool, 8);
	for (size_t i = 0; i < ASKED_MAX; i++)
		ask(&pool, i, "localhost");
	for (size_t i = 0; i < ASKED_MAX; i++)
		run_until(pool.loop, is_set, &pool.asked[i].done);
	assert_int_equal(pool.n_done, ASKED_MAX);
	for (size_t i = 0; i < ASKED_MAX; i++)
		assert_int_equal(pool.asked[i].lookup.gai_error, 0);
	pool_deinit(&pool);
}

/* --- the pool */

static void test_a_look_up_without_answer_holds_up_nobody(void **state)
{
	struct pool pool;
	struct asked *stuck;

	pool_init(&pool, 2);
	stuck = ask_into_the_void(&pool, 1, "void.example");
	for (int i = 0; i < 20; i++)
		expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_false(stuck->done);
	pool_deinit(&pool);
}

static void test_the_bound_and_the_order(void **state)
{
	struct pool pool;
	static const char *const names[] = { "a.void", "b.void", "c.void", "d.void", "e.void" };

	pool_init(&pool, 2);
	for (size_t i = 0; i < array_size(names); i++)
		ask(&pool, i, names[i]);
	assert_int_equal(pool.resolver.busy, 2);
	await_query(&pool, names[0]);
	await_query(&pool, names[1]);
	/* One that waits is taken out of the row. */
	lookup_stop(&pool.asked[3].lookup);
	assert_int_equal(pool.resolver.busy, 2);
	lookup_stop(&pool.asked[1].lookup);
	await_query(&pool, names[2]);
	assert_int_equal(own_net.n_names, 3);
	lookup_stop(&pool.asked[0].lookup);
	await_query(&pool, names[4]);
	assert_int_equal(own_net.n_names, 4);
	assert_int_equal(pool.resolver.busy, 2);
	assert_int_equal(pool.n_done, 0);
	/* Nothing was answered so far; the places that these two give free are for real ones. */
	lookup_stop(&pool.asked[2].lookup);
	lookup_stop(&pool.asked[4].lookup);
	assert_int_equal(pool.resolver.busy, 0);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

/* A waiting one is answered when another's answer comes. */
static void test_the_next_one_s_turn(void **state)
{
	struct pool pool;

	pool_init(&pool, 1);
	for (size_t i = 0; i < 5; i++)
		ask(&pool, i, i % 2 ? "nx.example" : "host.example");
	for (size_t i = 0; i < 5; i++) {
		run_until(pool.loop, is_set, &pool.asked[i].done);
		assert_int_equal(pool.n_done, i + 1);
		assert_int_equal(pool.asked[i].lookup.gai_error, i % 2 ? EAI_NONAME : 0);
	}
	pool_deinit(&pool);
}

static pid_t only_child(struct pool *pool)
{
	pid_t pids[4];

	assert_int_equal(children_of(pool->nursery, pids, array_size(pids)), 1);
	return pids[0];
}

static void test_one_process_is_kept(void **state)
{
	struct pool pool;
	size_t descriptors;
	pid_t pid;

	pool_init(&pool, 8);
	expect_answer(&pool, "localhost", "[::1]:0 127.0.0.1:0");
	descriptors = count_descriptors();
	pid = only_child(&pool);
	for (int i = 0; i < 50; i++) {
		expect_answer(&pool, "host.example", "192.0.2.8:0");
		assert_int_equal(only_child(&pool), pid);
		assert_int_equal(count_descriptors(), descriptors);
	}
	pool_deinit(&pool);
}

static bool one_child(void *pool)
{
	pid_t pids[ASKED_MAX];

	return children_of(((struct pool *)pool)->nursery, pids, ASKED_MAX) == 1;
}

/* As run_until(), for what no event of the loop tells. */
static void poll_until(struct ev_loop *loop, bool (*condition)(void *arg), void *arg)
{
	uint64_t end = clock_us() + (uint64_t)(PATIENCE * 1e6);

	while (!condition(arg)) {
		assert_true(clock_us() < end);
		ev_run(loop, EVRUN_NOWAIT);
	}
}

/* One remains, and no descriptor of the others. */
static void test_a_crowd_goes_home(void **state)
{
	struct pool pool;
	size_t descriptors;

	pool_init(&pool, 4);
	descriptors = count_descriptors();
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < ASKED_MAX; i++)
			ask(&pool, i, "host.example");
		for (size_t i = 0; i < ASKED_MAX; i++)
			run_until(pool.loop, is_set, &pool.asked[i].done);
		poll_until(pool.loop, one_child, &pool);
		assert_int_equal(count_descriptors(), descriptors);
	}
	pool_deinit(&pool);
}

/* --- giving up */

/* The process that will be stuck in the second look-up. */
static pid_t find_stuck(struct pool *pool, const char *host)
{
	pid_t pid;

	expect_answer(pool, "host.example", "192.0.2.8:0");
	pid = only_child(pool);
	ask_into_the_void(pool, 1, host);
	return pid;
}

static void test_a_stopped_look_up_ends_its_process(void **state)
{
	struct pool pool;
	size_t descriptors;
	pid_t pid;

	pool_init(&pool, 2);
	descriptors = count_descriptors();
	for (int i = 0; i < 5; i++) {
		char host[] = "stopped-0.void";

		host[8] += (char)i;
		pid = find_stuck(&pool, host);
		assert_int_equal(parent_of(pid), pool.nursery);
		lookup_stop(&pool.asked[1].lookup);
		assert_true(ends(pid));
		assert_int_equal(count_descriptors(), descriptors);
	}
	assert_int_equal(pool.asked[1].done, false);
	pool_deinit(&pool);
}

/* Whether it is on its way to the process, in it or on its way back. */
static void test_stopped_at_any_time(void **state)
{
	struct pool pool;
	size_t descriptors;

	pool_init(&pool, 2);
	descriptors = count_descriptors();
	for (unsigned int turns = 0; turns < 40; turns++) {
		struct asked *asked = ask(&pool, 0, "host.example");

		for (unsigned int turn = 0; turn < turns && !asked->done; turn++)
			ev_run(pool.loop, EVRUN_NOWAIT);
		lookup_stop(&asked->lookup);
		asked->done = true;
		for (unsigned int turn = 0; turn < 3; turn++)
			ev_run(pool.loop, EVRUN_NOWAIT);
	}
	/* The kept one is there, or on its way. */
	assert_int_equal(count_descriptors(), descriptors);
	poll_until(pool.loop, one_child, &pool);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	pool_deinit(&pool);
}

static void stop_first(EV_P_ ev_check *check, int events)
{
	lookup_stop(check->data);
}

static void test_stopped_with_the_answer_queued(void **state)
{
	struct pool pool;
	struct asked *asked;
	ev_check check;

	pool_init(&pool, 2);
	asked = ask(&pool, 0, "host.example");
	assert_true(wait_for_events(asked->lookup.io.fd, POLLIN, PATIENCE));
	ev_check_init(&check, stop_first);
	ev_set_priority(&check, EV_MAXPRI);
	check.data = &asked->lookup;
	ev_check_start(pool.loop, &check);
	ev_run(pool.loop, EVRUN_NOWAIT);
	ev_check_stop(pool.loop, &check);
	ev_run(pool.loop, EVRUN_NOWAIT);
	assert_false(asked->done);
	pool_deinit(&pool);
}

/* More than the nursery's socket holds. Under valgrind a fork takes milliseconds. */
static int storm(void)
{
	return RUNNING_ON_VALGRIND ? 600 : 3000;
}

/* Somebody who makes one process after the other die delays the others; he does not fail them. */
static void test_a_storm_of_stopped_look_ups(void **state)
{
	static const char *const names[] = { "first.void", "second.void", "third.void" };
	struct pool pool;

	pool_init(&pool, 3);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_int_equal(kill(pool.nursery, SIGSTOP), 0);
	for (int i = 0; i < storm(); i++) {
		ask(&pool, 0, "host.example");
		lookup_stop(&pool.asked[0].lookup);
	}
	for (size_t i = 0; i < array_size(names); i++)
		ask(&pool, i, names[i]);
	ask(&pool, 3, "host.example");
	run_for(pool.loop, 0.05);
	assert_int_equal(pool.n_done, 1);
	/* One that waits for a process is taken out of the row. */
	lookup_stop(&pool.asked[1].lookup);
	assert_int_equal(kill(pool.nursery, SIGCONT), 0);
	run_until(pool.loop, is_set, &pool.asked[3].done);
	assert_int_equal(pool.asked[3].lookup.gai_error, 0);
	await_query(&pool, names[0]);
	await_query(&pool, names[2]);
	assert_false(was_asked_for(names[1]));
	pool_deinit(&pool);
}

/* The end comes while one waits for a process. */
static void test_the_end_in_a_storm(void **state)
{
	struct pool pool;

	pool_init(&pool, 3);
	expect_answer(&pool, "host.example", "192.0.2.8:0");
	assert_int_equal(kill(pool.nursery, SIGSTOP), 0);
	for (int i = 0; i < storm(); i++) {
		ask(&pool, 0, "host.example");
		lookup_stop(&pool.asked[0].lookup);
	}
	ask(&pool, 0, "host.example");
	run_for(pool.loop, 0.01);
	assert_int_equal(kill(pool.nursery, SIGCONT), 0);
	pool_deinit(&pool);
}

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
	assert_int_equal(kill(pool.resolver.keeper, SIGKILL), 0);
	assert_true(ends(pool.resolver.keeper));
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
	assert_int_equal(kill(pool.resolver.keeper, SIGKILL), 0);
	assert_true(ends(pool.resolver.keeper));
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
	pids->keeper = pool.resolver.keeper;
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
		cmocka_unit_test(test_localhost),
		cmocka_unit_test(test_hosts_file),
		cmocka_unit_test(test_the_name_server_s_word),
		cmocka_unit_test(test_the_longest_name),
		cmocka_unit_test(test_nothing_happens_inside_start),
		cmocka_unit_test(test_a_look_up_without_answer_holds_up_nobody),
		cmocka_unit_test(test_the_bound_and_the_order),
		cmocka_unit_test(test_the_next_one_s_turn),
		cmocka_unit_test(test_one_process_is_kept),
		cmocka_unit_test(test_a_crowd_goes_home),
		cmocka_unit_test(test_a_stopped_look_up_ends_its_process),
		cmocka_unit_test(test_stopped_at_any_time),
		cmocka_unit_test(test_stopped_with_the_answer_queued),
		cmocka_unit_test(test_a_storm_of_stopped_look_ups),
		cmocka_unit_test(test_the_end_in_a_storm),
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
