/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=kernel_attach,--wrap=tls_new */
#include "tests/unit/household.h"

#include "daemon/generation.h"

struct scene {
	struct home home;
	struct generation *generation;
	unsigned int n_ready, n_stillborn, n_room, n_kernel_lost;
	bool ready, over;
};

static void on_ready(struct generation *generation)
{
	struct scene *scene = generation->owner;

	scene->n_ready++;
	scene->ready = true;
}

static void on_stillborn(struct generation *generation)
{
	((struct scene *)generation->owner)->n_stillborn++;
}

static void on_room(struct generation *generation)
{
	((struct scene *)generation->owner)->n_room++;
}

static void on_kernel_lost(struct generation *generation)
{
	((struct scene *)generation->owner)->n_kernel_lost++;
}

static void on_over(struct generation *generation)
{
	struct scene *scene = generation->owner;

	scene->over = true;
	scene->generation = generation_free(generation);
}

static const struct generation_callbacks callbacks = {
	.ready = on_ready, .stillborn = on_stillborn, .room = on_room,
	.kernel_lost = on_kernel_lost, .over = on_over,
};

static struct scene *scene_prepare(void)
{
	static struct scene scene;

	home_init(&scene.home);
	scene.n_ready = scene.n_stillborn = scene.n_room = scene.n_kernel_lost = 0;
	scene.ready = scene.over = false;
	scene.generation = NULL;
	return &scene;
}

static void begin(struct scene *scene, const char *config)
{
	scene->generation = generation_new(&scene->home.household, setup_of(config),
					   &(struct kernel){ 0 }, scene, &callbacks);
	assert_non_null(scene->generation);
}

static struct scene *scene_new(const char *config)
{
	struct scene *scene = scene_prepare();

	begin(scene, config);
	run_until(scene->home.household.loop, is_set, &scene->ready);
	assert_int_equal(scene->n_ready, 1);
	return scene;
}

#define TWO "[Service]\nWorkers=2\n"

static void scene_free(struct scene *scene)
{
	scene->generation = generation_free(scene->generation);
	home_deinit(&scene->home);
}

static struct client *connect_client(struct scene *scene)
{
	int fd;
	struct client *client = home_call(&scene->home, &fd);

	assert_true(generation_deal(scene->generation, &fd, scene->home.account));
	assert_int_equal(fd, -1);
	return client;
}

static struct minder *minder_at(const struct scene *scene, unsigned int which)
{
	struct list *at = scene->generation->minders.next;

	while (which--)
		at = at->next;
	assert_true(at != &scene->generation->minders);
	return container_of(at, struct minder, link);
}

static void expect_logged(struct scene *scene, const char *part)
{
	const char *text = home_log(&scene->home);

	if (!strstr(text, part))
		fail_msg("no %s in: %s", part, text);
}

/* --- birth */

static void test_as_many_as_are_wanted(void **state)
{
	static const char *const configs[] = {
		"[Service]\nWorkers=1\n", TWO, "[Service]\nWorkers=5\n", "",
	};
	cpu_set_t set;
	unsigned int wanted[] = { 1, 2, 5, 0 };

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	wanted[3] = (unsigned int)CPU_COUNT(&set);
	for (size_t i = 0; i < array_size(configs); i++) {
		struct scene *scene = scene_new(configs[i]);

		assert_int_equal(scene->generation->wanted, wanted[i]);
		assert_int_equal(scene->generation->present, wanted[i]);
		assert_int_equal(children_of(getpid(), (pid_t[8]){ 0 }, 8), wanted[i]);
		/* Told of each but the last as room, of the last as being ready. */
		assert_int_equal(scene->n_room, wanted[i] - 1);
		scene_free(scene);
	}
	assert_null(generation_free(NULL));
}

static bool was_stillborn(void *scene)
{
	return ((struct scene *)scene)->n_stillborn;
}

static void test_stillborn(void **state)
{
	struct scene *scene = scene_prepare();

	belief.stillborn = true;
	begin(scene, TWO);
	run_until(scene->home.household.loop, was_stillborn, scene);
	assert_int_equal(scene->n_ready, 0);
	expect_logged(scene, "has ended with status 1");
	scene_free(scene);
}

/* --- dealing */

/* One after the other, as a machine's clients come. */
static void test_dealt_evenly(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct ledger *ledger = scene->home.household.ledger;
	struct client client;

	for (int i = 0; i < 100; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					    ends), 0);
		client_init(&client, scene->home.household.loop, ends[1]);
		assert_true(generation_deal(scene->generation, &ends[0],
					    ledger_open(ledger, getuid(), clock_us())));
		expect_info(&client);
		client_hang_up(&client);
		while (generation_connections(scene->generation))
			run_one_turn(scene->home.household.loop);
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_in_range(minder_at(scene, i)->dealt, 49, 51);
	scene_free(scene);
}

/* Who has fewer connections has the next one, however many he has had. */
static void test_dealt_to_the_least_busy(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *clients[4];

	for (size_t i = 0; i < array_size(clients); i++)
		expect_info(clients[i] = connect_client(scene));
	assert_int_equal(minder_at(scene, 0)->n_connections, 2);
	assert_int_equal(minder_at(scene, 1)->n_connections, 2);
	/* They were dealt by turns, so these are one worker's. */
	client_hang_up(clients[1]);
	client_hang_up(clients[3]);
	while (generation_connections(scene->generation) > 2)
		run_one_turn(scene->home.household.loop);
	expect_info(connect_client(scene));
	expect_info(connect_client(scene));
	assert_int_equal(minder_at(scene, 0)->n_connections, 2);
	assert_int_equal(minder_at(scene, 1)->n_connections, 2);
	assert_int_equal(generation_connections(scene->generation), 4);
	assert_true(scene->n_room >= 3);
	scene_free(scene);
}

/* Not before a worker has begun: it might never. */
static void test_not_dealt_before_birth(void **state)
{
	struct scene *scene = scene_prepare();
	int fd;
	struct client *client = home_call(&scene->home, &fd);

	begin(scene, TWO);
	assert_false(generation_deal(scene->generation, &fd, scene->home.account));
	assert_true(fd >= 0);
	run_until(scene->home.household.loop, is_set, &scene->ready);
	assert_true(generation_deal(scene->generation, &fd, scene->home.account));
	expect_info(client);
	scene_free(scene);
}

/* --- a worker is lost */

static void test_a_worker_is_lost(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *clients[4];
	pid_t pid = minder_at(scene, 0)->pid;

	for (size_t i = 0; i < array_size(clients); i++)
		expect_info(clients[i] = connect_client(scene));
	kill(pid, SIGKILL);
	expect_lost(clients[0]);
	expect_lost(clients[2]);
	/* The others are none the worse, and the next come to the one that is left, or the new one. */
	expect_info(clients[1]);
	expect_info(clients[3]);
	expect_info(connect_client(scene));
	scene->ready = false;
	if (scene->generation->ready < 2)
		run_until(scene->home.household.loop, is_set, &scene->ready);
	assert_int_equal(scene->generation->ready, 2);
	assert_int_equal(scene->generation->present, 2);
	assert_int_equal(scene->n_stillborn, 0);
	assert_int_not_equal(minder_at(scene, 1)->pid, pid);
	scene_free(scene);
}

static void test_dealt_beside_a_dead_worker(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *client;

	/* It is the next one's turn, and nobody has seen yet that it is dead. */
	kill(minder_at(scene, 0)->pid, SIGKILL);
	assert_true(wait_for_events(minder_at(scene, 0)->channel, POLLHUP, PATIENCE));
	client = connect_client(scene);
	expect_info(client);
	scene_free(scene);
}

static bool nobody_is_left(void *scene)
{
	return ((struct scene *)scene)->generation->present == 0;
}

static void test_all_workers_are_lost(void **state)
{
	struct scene *scene = scene_new(TWO);
	int fd;
	struct client *client = home_call(&scene->home, &fd);

	for (unsigned int i = 0; i < 2; i++)
		kill(minder_at(scene, i)->pid, SIGKILL);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(wait_for_events(minder_at(scene, i)->channel, POLLHUP, PATIENCE));
	assert_false(generation_deal(scene->generation, &fd, scene->home.account));
	scene->ready = false;
	run_until(scene->home.household.loop, is_set, &scene->ready);
	assert_true(generation_deal(scene->generation, &fd, scene->home.account));
	expect_info(client);
	scene_free(scene);
}

/* A first death costs no wait, the next ones more and more, up to a bound. */
static void test_rests_grow(void **state)
{
	static const double rests[] = { 0, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5 };
	struct scene *scene = scene_new("[Service]\nWorkers=1\n");

	assert_true(rests[1] == GENERATION_REST_MIN && rests[5] == GENERATION_REST_MAX);
	for (size_t i = 0; i < array_size(rests); i++) {
		assert_true(scene->generation->rest > rests[i] - 0.001);
		assert_true(scene->generation->rest < rests[i] + 0.001);
		kill(minder_at(scene, 0)->pid, SIGKILL);
		run_until(scene->home.household.loop, nobody_is_left, scene);
		assert_true(ev_is_active(&scene->generation->rested));
		if (rests[i] > 0.2) /* nobody waits for that here */
			ev_feed_event(scene->home.household.loop, &scene->generation->rested, 0);
		scene->ready = false;
		run_until(scene->home.household.loop, is_set, &scene->ready);
	}
	/* Who has lived long did not die of his birth. */
	minder_at(scene, 0)->born_us -= GENERATION_LIFE_US;
	kill(minder_at(scene, 0)->pid, SIGKILL);
	run_until(scene->home.household.loop, nobody_is_left, scene);
	assert_true(scene->generation->rest <= GENERATION_REST_MIN);
	scene_free(scene);
}

/* --- pings */

static bool have_answered(void *arg)
{
	struct scene *scene = arg;

	return !minder_at(scene, 0)->pings && !minder_at(scene, 1)->pings;
}

static void test_pings(void **state)
{
	struct scene *scene = scene_new(TWO);

	for (unsigned int i = 0; i < 3; i++) {
		assert_true(generation_ping(scene->generation));
		run_until(scene->home.household.loop, have_answered, scene);
	}
	kill(minder_at(scene, 1)->pid, SIGSTOP);
	generation_ping(scene->generation);
	ev_run(scene->home.household.loop, EVRUN_NOWAIT);
	assert_false(generation_ping(scene->generation));
	kill(minder_at(scene, 1)->pid, SIGCONT);
	run_until(scene->home.household.loop, have_answered, scene);
	assert_true(generation_ping(scene->generation));
	scene_free(scene);
}

static void test_one_hangs(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *one = connect_client(scene), *other = connect_client(scene);
	struct minder *well = minder_at(scene, 1); /* soon the only one */

	expect_info(one);
	expect_info(other);
	kill(minder_at(scene, 0)->pid, SIGSTOP);
	for (unsigned int i = 0; i < MINDER_PINGS_MAX + 1; i++) {
		assert_false(one->ended);
		generation_ping(scene->generation);
		while (well->pings)
			run_one_turn(scene->home.household.loop);
	}
	expect_lost(one);
	expect_info(other);
	scene_free(scene);
}

/* --- the end */

static void test_drained(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *idle = connect_client(scene), *busy = connect_client(scene);
	int far;

	expect_info(idle);
	far = begin_request(busy, scene->home.peer, &scene->home.address);
	generation_drain(scene->generation, 60000);
	expect_end(idle);
	run_for(scene->home.household.loop, 0.05);
	assert_false(scene->over || busy->ended);
	close_fd(&far);
	expect_message(busy, "io.ktlsd.HandshakeFailed", "");
	expect_end(busy);
	run_until(scene->home.household.loop, is_set, &scene->over);
	assert_null(scene->generation);
	assert_int_equal(scene->n_stillborn, 0);
	scene_free(scene);
}

static void test_drained_for_so_long(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *busy = connect_client(scene);
	int far = begin_request(busy, scene->home.peer, &scene->home.address);
	uint64_t began_us = clock_us();

	/* The loop's idea of now is as old as its last turn. */
	ev_now_update(scene->home.household.loop);
	generation_drain(scene->generation, 60);
	expect_message(busy, BUSY, RETRY);
	assert_true(clock_us() - began_us >= 55000);
	expect_end(busy);
	expect_far_end(far);
	close_fd(&far);
	run_until(scene->home.household.loop, is_set, &scene->over);
	scene_free(scene);
}

/* A second word has no patience: what the first has said is forgotten. */
static void test_drained_in_a_hurry(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *busy = connect_client(scene);
	int far = begin_request(busy, scene->home.peer, &scene->home.address);

	generation_drain(scene->generation, 60000);
	run_for(scene->home.household.loop, 0.02);
	assert_false(busy->ended);
	generation_drain(scene->generation, 0);
	expect_message(busy, BUSY, RETRY);
	expect_end(busy);
	close_fd(&far);
	run_until(scene->home.household.loop, is_set, &scene->over);
	scene_free(scene);
}

/* A worker that does not even end when it is told so is killed, and its callers know. */
static void test_drained_and_one_hangs(void **state)
{
	struct scene *scene = scene_new(TWO);
	struct client *client = connect_client(scene);

	expect_info(client);
	kill(minder_at(scene, 0)->pid, SIGSTOP);
	generation_drain(scene->generation, 0);
	expect_lost(client);
	run_until(scene->home.household.loop, is_set, &scene->over);
	scene_free(scene);
}

/* All were lost, and the next are not forked yet: nobody is there who would end. */
static void test_drained_with_nobody(void **state)
{
	struct scene *scene = scene_new("[Service]\nWorkers=1\n");

	for (int i = 0; i < 2; i++) {
		scene->ready = false;
		kill(minder_at(scene, 0)->pid, SIGKILL);
		run_until(scene->home.household.loop, nobody_is_left, scene);
		if (i == 0)
			run_until(scene->home.household.loop, is_set, &scene->ready);
	}
	generation_drain(scene->generation, 600000);
	run_until(scene->home.household.loop, is_set, &scene->over);
	scene_free(scene);
}

static void test_drained_before_birth(void **state)
{
	struct scene *scene = scene_prepare();

	begin(scene, TWO);
	generation_drain(scene->generation, 60000);
	run_until(scene->home.household.loop, is_set, &scene->over);
	assert_int_equal(scene->n_ready, 0);
	scene_free(scene);
}

/* A worker that is lost while it drains is not replaced. */
static void test_lost_while_it_drains(void **state)
{
	struct scene *scene = scene_new("[Service]\nWorkers=1\n");
	struct client *busy = connect_client(scene);
	int far = begin_request(busy, scene->home.peer, &scene->home.address);

	generation_drain(scene->generation, 60000);
	kill(minder_at(scene, 0)->pid, SIGKILL);
	expect_lost(busy);
	run_until(scene->home.household.loop, is_set, &scene->over);
	close_fd(&far);
	scene_free(scene);
}

/* --- the kernel */

static void test_the_kernel_is_lost(void **state)
{
	struct scene *scene = scene_prepare();
	struct client *client;
	int far;

	belief.attach_errno = ENOENT;
	scene->home.household.restarts = true;
	begin(scene, TWO);
	run_until(scene->home.household.loop, is_set, &scene->ready);
	client = connect_client(scene);
	far = begin_request(client, scene->home.peer, &scene->home.address);
	expect_message(client, "io.ktlsd.KernelTlsUnavailable", RETRY);
	assert_int_equal(scene->n_kernel_lost, 1);
	close_fd(&far);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_many_as_are_wanted),
		cmocka_unit_test(test_stillborn),
		cmocka_unit_test(test_dealt_evenly),
		cmocka_unit_test(test_dealt_to_the_least_busy),
		cmocka_unit_test(test_not_dealt_before_birth),
		cmocka_unit_test(test_a_worker_is_lost),
		cmocka_unit_test(test_dealt_beside_a_dead_worker),
		cmocka_unit_test(test_all_workers_are_lost),
		cmocka_unit_test(test_rests_grow),
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_one_hangs),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_drained_for_so_long),
		cmocka_unit_test(test_drained_in_a_hurry),
		cmocka_unit_test(test_drained_and_one_hangs),
		cmocka_unit_test(test_drained_with_nobody),
		cmocka_unit_test(test_drained_before_birth),
		cmocka_unit_test(test_lost_while_it_drains),
		cmocka_unit_test(test_the_kernel_is_lost),
	};

	return cmocka_run_group_tests(tests, household_begin, household_end);
}
