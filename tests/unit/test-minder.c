/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=kernel_attach,--wrap=tls_new,--wrap=calloc,--wrap=fork */
#include "tests/unit/household.h"

#include "daemon/channel.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
pid_t __real_fork(void);
pid_t __wrap_fork(void);

static size_t no_memory_for;
static bool no_process;

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory_for && n * size == no_memory_for ? NULL : __real_calloc(n, size);
}

pid_t __wrap_fork(void)
{
	return no_process ? errno = EAGAIN, -1 : __real_fork();
}

/* --- one worker, and who looks after it */

struct scene {
	struct home home;
	struct setup *setup;
	struct minder *minder;
	unsigned int n_ready, n_gone, n_kernel_lost, n_lost;
};

static void on_ready(struct minder *minder)
{
	((struct scene *)minder->owner)->n_ready++;
}

static void on_connection_gone(struct minder *minder)
{
	((struct scene *)minder->owner)->n_gone++;
}

static void on_kernel_lost(struct minder *minder)
{
	((struct scene *)minder->owner)->n_kernel_lost++;
}

static void on_lost(struct minder *minder)
{
	struct scene *scene = minder->owner;

	scene->n_lost++;
	scene->minder = minder_free(minder);
}

static const struct minder_callbacks callbacks = {
	.ready = on_ready, .connection_gone = on_connection_gone,
	.kernel_lost = on_kernel_lost, .lost = on_lost,
};

static struct minder *new_minder(struct scene *scene)
{
	return minder_new(&scene->home.household, scene->setup, &(struct kernel){ 0 }, 1, scene,
			  &callbacks);
}

static bool is_ready(void *scene)
{
	return ((struct scene *)scene)->n_ready;
}

static bool is_lost(void *scene)
{
	return ((struct scene *)scene)->n_lost;
}

static struct scene *scene_prepare(void)
{
	static struct scene scene;

	home_init(&scene.home);
	scene.setup = setup_of("");
	scene.n_ready = scene.n_gone = scene.n_kernel_lost = scene.n_lost = 0;
	return &scene;
}

static struct scene *scene_begin(struct scene *scene)
{
	scene->minder = new_minder(scene);
	assert_non_null(scene->minder);
	assert_false(scene->minder->ready);
	run_until(scene->home.household.loop, is_ready, scene);
	assert_true(scene->minder->ready);
	return scene;
}

static struct scene *scene_new(void)
{
	return scene_begin(scene_prepare());
}

static void scene_free(struct scene *scene)
{
	unsigned int n_lost = scene->n_lost;

	scene->minder = minder_free(scene->minder);
	assert_int_equal(scene->n_lost, n_lost);
	scene->setup = setup_free(scene->setup);
	home_deinit(&scene->home);
}

static struct client *connect_client(struct scene *scene)
{
	int fd;
	struct client *client = home_call(&scene->home, &fd);

	assert_true(minder_deal(scene->minder, &fd, scene->home.account));
	assert_int_equal(fd, -1);
	return client;
}

static int begin_to_wait(struct scene *scene, struct client *client)
{
	return begin_request(client, scene->home.peer, &scene->home.address);
}

static unsigned int requests(const struct scene *scene)
{
	return ledger_in_all(scene->home.household.ledger, QUOTA_REQUESTS);
}

static void expect_logged(struct scene *scene, const char *part)
{
	const char *text = home_log(&scene->home);

	if (!strstr(text, part))
		fail_msg("no %s in: %s", part, text);
}

/* What anybody may know of the one worker, which has ended. */
static void expect_told(struct scene *scene, uint64_t workers_lost, uint64_t requests_lost)
{
	const struct tally *tally = scene->home.household.tally;

	assert_int_equal(tally->shared->workers_lost, workers_lost);
	assert_int_equal(tally->shared->lost[REQUEST_CONNECT], requests_lost);
	assert_int_equal(tally->shared->workers[0].pid, 0);
	assert_int_equal(tally_under_way(tally, 0), 0);
}

/* --- connections */

static bool nobody_is_left(void *scene)
{
	return ((struct scene *)scene)->minder->n_connections == 0;
}

static void test_callers_are_served(void **state)
{
	struct scene *scene = scene_new();
	struct client *clients[3];

	for (size_t i = 0; i < array_size(clients); i++)
		clients[i] = connect_client(scene);
	for (size_t i = 0; i < 2 * array_size(clients); i++)
		expect_info(clients[i % 3]);
	assert_int_equal(scene->minder->n_connections, 3);
	assert_int_equal(scene->minder->dealt, 3);
	assert_int_equal(scene->home.household.tally->shared->workers[0].pid, scene->minder->pid);
	for (size_t i = 0; i < array_size(clients); i++)
		client_hang_up(clients[i]);
	run_until(scene->home.household.loop, nobody_is_left, scene);
	assert_int_equal(scene->n_gone, 3);
	assert_true(list_empty(&scene->minder->connections));
	scene_free(scene);
}

/* The worker hangs up by itself: after a descriptor that nobody wants, for instance. */
static void test_the_worker_ends_a_connection(void **state)
{
	struct scene *scene = scene_new();
	struct client *client = connect_client(scene);

	client_send(client, "no JSON");
	run_until(scene->home.household.loop, nobody_is_left, scene);
	run_until(scene->home.household.loop, client_has_ended, client);
	assert_int_equal(scene->n_gone, 1);
	expect_info(connect_client(scene));
	scene_free(scene);
}

/* It sleeps, and its channel fills: who has no place in it is still ours. */
static void test_a_worker_that_takes_no_more(void **state)
{
	struct scene *scene = scene_new();
	struct ledger *ledger = scene->home.household.ledger;
	unsigned int n = 0, account;
	int ends[2];

	kill(scene->minder->pid, SIGSTOP);
	do {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		account = ledger_open(ledger, getuid(), clock_us());
		close_fd(&ends[1]);
	} while (n++ < 10000 && minder_deal(scene->minder, &ends[0], account));
	assert_true(n > 1 && n < 10000);
	assert_int_equal(scene->minder->n_connections, n - 1);
	assert_true(ends[0] >= 0);
	close_fd(&ends[0]);
	ledger_close(ledger, account);
	scene_free(scene);
}

/* --- a worker is lost */

static void test_killed(void **state)
{
	struct scene *scene = scene_new();
	struct client *idle = connect_client(scene), *fresh = connect_client(scene),
		      *busy = connect_client(scene), *gone = connect_client(scene);
	int far;

	expect_info(idle);
	expect_info(gone);
	far = begin_to_wait(scene, busy);
	assert_int_equal(requests(scene), 1);
	client_hang_up(gone);
	home_log(&scene->home);
	kill(scene->minder->pid, SIGKILL);
	run_until(scene->home.household.loop, is_lost, scene);
	expect_lost(idle);
	expect_lost(fresh);
	expect_lost(busy);
	assert_int_equal(scene->n_lost, 1);
	assert_int_equal(requests(scene), 0);
	expect_logged(scene, "signal 9 (Killed), requests lost: 1; its callers are told");
	expect_told(scene, 1, 1);
	expect_far_end(far);
	close_fd(&far);
	scene_free(scene);
}

/* Dealt, and not yet received by a worker that dies. */
static void test_killed_before_it_has_seen_the_caller(void **state)
{
	struct scene *scene = scene_new();
	struct client *client;

	kill(scene->minder->pid, SIGSTOP);
	client = connect_client(scene);
	client_send(client, GET_INFO);
	kill(scene->minder->pid, SIGKILL);
	run_until(scene->home.household.loop, is_lost, scene);
	expect_lost(client);
	scene_free(scene);
}

static void test_dealt_to_a_dead_worker(void **state)
{
	struct scene *scene = scene_new();
	int fd;
	struct client *client = home_call(&scene->home, &fd);

	kill(scene->minder->pid, SIGKILL);
	assert_true(wait_for_events(scene->minder->channel, POLLHUP, PATIENCE));
	assert_false(minder_deal(scene->minder, &fd, scene->home.account));
	assert_true(fd >= 0);
	assert_int_equal(scene->minder->n_connections, 0);
	ledger_close(scene->home.household.ledger, scene->home.account);
	close_fd(&fd);
	expect_end(client);
	run_until(scene->home.household.loop, is_lost, scene);
	scene_free(scene);
}

/* The owner has no more use for it. */
static void test_freed_alive(void **state)
{
	struct scene *scene = scene_new();
	struct client *client = connect_client(scene);
	pid_t pid = scene->minder->pid;

	expect_info(client);
	assert_null(minder_free(NULL));
	scene->minder = minder_free(scene->minder);
	assert_int_equal(parent_of(pid), 0);
	expect_lost(client);
	assert_int_equal(scene->n_lost, 0);
	scene_free(scene);
}

static void test_stillborn(void **state)
{
	struct scene *scene = scene_prepare();

	belief.stillborn = true;
	scene->minder = new_minder(scene);
	assert_non_null(scene->minder);
	run_until(scene->home.household.loop, is_lost, scene);
	assert_int_equal(scene->n_ready, 0);
	expect_logged(scene, "has ended with status 1, requests lost: 0");
	expect_told(scene, 1, 0);
	scene_free(scene);
}

/* --- pings */

static void test_it_answers(void **state)
{
	struct scene *scene = scene_new();

	for (unsigned int i = 0; i < 3 * MINDER_PINGS_MAX; i++) {
		assert_true(minder_ping(scene->minder));
		assert_false(scene->minder->pings == 0);
		while (scene->minder->pings)
			run_one_turn(scene->home.household.loop);
	}
	assert_int_equal(scene->n_ready, 1);
	assert_int_equal(scene->n_lost, 0);
	scene_free(scene);
}

static void test_it_hangs(void **state)
{
	struct scene *scene = scene_new();
	struct client *client = connect_client(scene);

	expect_info(client);
	kill(scene->minder->pid, SIGSTOP);
	home_log(&scene->home);
	for (unsigned int i = 0; i < MINDER_PINGS_MAX; i++) {
		assert_int_equal(minder_ping(scene->minder), i == 0);
		ev_run(scene->home.household.loop, EVRUN_NOWAIT);
		assert_int_equal(scene->n_lost, 0);
	}
	assert_false(minder_ping(scene->minder));
	run_until(scene->home.household.loop, is_lost, scene);
	expect_logged(scene, "does not answer");
	expect_lost(client);
	scene_free(scene);
}

#define LINGER_SECONDS 4

/* A socket on whose last close one waits, and which will not be kept. */
static int lingering(struct scene *scene, int *far_end)
{
	static const char bytes[65536];
	const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_SECONDS };
	int ends[2];

	tcp_pair(scene->home.peer, &scene->home.address, ends);
	assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	*far_end = ends[1];
	return ends[0];
}

static bool has_answered(void *scene)
{
	return !((struct scene *)scene)->minder->pings;
}

/* What comes with a word of a worker that went astray is closed, and nobody waits for that. */
static void test_a_descriptor_with_a_word(void **state)
{
	const struct word_message well = { .word = WORD_WELL };
	struct scene *scene = scene_new();
	struct minder *minder = scene->minder;
	int far_end, astray, here, fd = lingering(scene, &far_end);
	uint64_t began_us;

	assert_int_equal(channel_pair(&here, &astray), 0);
	assert_int_equal(channel_send(astray, &well, sizeof(well), fd), 0);
	close_fd(&fd);
	ev_io_stop(minder->household->loop, &minder->heard);
	ev_io_set(&minder->heard, here, EV_READ);
	ev_io_start(minder->household->loop, &minder->heard);
	minder->pings = 1;
	began_us = clock_us();
	run_until(minder->household->loop, has_answered, scene);
	if (!RUNNING_ON_VALGRIND) /* there no signal gets into close(2) */
		assert_in_range(clock_us() - began_us, 0, LINGER_SECONDS * 1000000 / 2);
	ev_io_stop(minder->household->loop, &minder->heard);
	close_fd(&here);
	close_fd(&astray);
	close_fd(&far_end);
	scene_free(scene);
}

/* It has longer to begin. */
static void test_it_does_not_begin(void **state)
{
	struct scene *scene = scene_prepare();

	scene->minder = new_minder(scene);
	assert_non_null(scene->minder);
	kill(scene->minder->pid, SIGSTOP);
	for (unsigned int i = 0; i < MINDER_BIRTH_PINGS_MAX; i++)
		assert_int_equal(minder_ping(scene->minder), i == 0);
	assert_null(strstr(home_log(&scene->home), "does not answer"));
	assert_false(minder_ping(scene->minder));
	expect_logged(scene, "does not answer");
	run_until(scene->home.household.loop, is_lost, scene);
	scene_free(scene);
}

/* --- the end */

static void expect_clean_end(struct scene *scene)
{
	run_until(scene->home.household.loop, is_lost, scene);
	assert_string_equal(home_log(&scene->home), "");
}

static void test_drained(void **state)
{
	struct scene *scene = scene_new();
	struct client *idle = connect_client(scene), *fresh = connect_client(scene),
		      *busy = connect_client(scene);
	int far;

	expect_info(idle);
	far = begin_to_wait(scene, busy);
	home_log(&scene->home);
	minder_drain(scene->minder);
	expect_end(idle);
	assert_false(fresh->ended);
	expect_info(fresh);
	expect_end(fresh);
	assert_int_equal(scene->n_lost, 0);
	assert_false(busy->ended);
	close_fd(&far);
	expect_message(busy, "io.ktlsd.HandshakeFailed", "");
	expect_end(busy);
	run_until(scene->home.household.loop, is_lost, scene);
	assert_null(strstr(home_log(&scene->home), "worker"));
	expect_told(scene, 0, 0);
	scene_free(scene);
}

static void test_drained_with_nobody(void **state)
{
	struct scene *scene = scene_new();

	home_log(&scene->home);
	minder_drain(scene->minder);
	expect_clean_end(scene);
	scene_free(scene);
}

static void test_ended(void **state)
{
	struct scene *scene = scene_new();
	struct client *idle = connect_client(scene), *busy = connect_client(scene);
	int far;

	expect_info(idle);
	far = begin_to_wait(scene, busy);
	minder_drain(scene->minder);
	expect_end(idle);
	minder_end(scene->minder);
	expect_message(busy, BUSY, RETRY);
	expect_end(busy);
	expect_far_end(far);
	close_fd(&far);
	run_until(scene->home.household.loop, is_lost, scene);
	expect_told(scene, 0, 0);
	scene_free(scene);
}

/* --- the kernel */

static void kernel_is_lost(bool restarts)
{
	struct scene *scene = scene_prepare();
	struct client *client;
	int far;

	belief.attach_errno = ENOENT;
	scene->home.household.restarts = restarts;
	scene_begin(scene);
	client = connect_client(scene);
	far = begin_to_wait(scene, client);
	expect_message(client, "io.ktlsd.KernelTlsUnavailable",
		       restarts ? RETRY : "\"retry\":false");
	/* It was told before the caller was. */
	ev_run(scene->home.household.loop, EVRUN_NOWAIT);
	assert_int_equal(scene->n_kernel_lost, restarts);
	expect_info(client);
	close_fd(&far);
	scene_free(scene);
}

static void test_the_kernel_is_lost(void **state)
{
	kernel_is_lost(true);
	kernel_is_lost(false);
}

/* --- what cannot be had */

static unsigned int count_seats(const struct ledger *ledger)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < LEDGER_SEATS; i++)
		n += ledger->seated[i];
	return n;
}

static void expect_no_minder(struct scene *scene, const char *why)
{
	unsigned int seats = count_seats(scene->home.household.ledger);
	size_t descriptors = count_descriptors();

	home_log(&scene->home);
	assert_null(new_minder(scene));
	no_memory_for = 0;
	no_process = false;
	expect_logged(scene, why);
	assert_int_equal(count_seats(scene->home.household.ledger), seats);
	assert_int_equal(count_descriptors(), descriptors);
}

static void test_no_minder(void **state)
{
	struct scene *scene = scene_prepare();
	struct ledger *ledger = scene->home.household.ledger;

	no_memory_for = sizeof(struct minder);
	expect_no_minder(scene, "no worker can be started: Cannot allocate memory");
	no_process = true;
	expect_no_minder(scene, "no worker can be started: Resource temporarily unavailable");
	for (unsigned int i = 0; i < LEDGER_SEATS; i++)
		ledger_seat(ledger);
	expect_no_minder(scene, "no worker can be started: too many have yet to end");
	for (unsigned int i = 0; i < LEDGER_SEATS; i++)
		ledger_leave(ledger, i);
	scene_free(scene);
}

/* Without the supervisor's copy nobody could tell him that his worker is lost: it is over at once. */
static void test_no_memory_for_a_connection(void **state)
{
	struct scene *scene = scene_new();
	struct client *client;

	no_memory_for = sizeof(struct connection);
	client = connect_client(scene);
	no_memory_for = 0;
	assert_int_equal(scene->minder->n_connections, 0);
	run_until(client->loop, client_has_ended, client);
	assert_int_equal(client->have, 0);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers_are_served),
		cmocka_unit_test(test_the_worker_ends_a_connection),
		cmocka_unit_test(test_a_worker_that_takes_no_more),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_killed_before_it_has_seen_the_caller),
		cmocka_unit_test(test_dealt_to_a_dead_worker),
		cmocka_unit_test(test_freed_alive),
		cmocka_unit_test(test_stillborn),
		cmocka_unit_test(test_it_answers),
		cmocka_unit_test(test_it_hangs),
		cmocka_unit_test(test_a_descriptor_with_a_word),
		cmocka_unit_test(test_it_does_not_begin),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_drained_with_nobody),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_the_kernel_is_lost),
		cmocka_unit_test(test_no_minder),
		cmocka_unit_test(test_no_memory_for_a_connection),
	};

	return cmocka_run_group_tests(tests, household_begin, household_end);
}
