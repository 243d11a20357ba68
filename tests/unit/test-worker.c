/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=kernel_attach,--wrap=tls_new */
#include "tests/unit/household.h"

#include "daemon/channel.h"
#include "daemon/worker.h"

/* A worker, to which the test says what a supervisor would. */
struct scene {
	struct home home;
	struct setup *setup;
	struct book book;	/* the worker's */
	int channel;
	pid_t pid;
};

static struct scene *scene_prepare(void)
{
	static struct scene scene;

	home_init(&scene.home);
	scene.setup = setup_of("");
	scene.book = (struct book){ scene.home.household.ledger,
				    ledger_seat(scene.home.household.ledger) };
	return &scene;
}

static void begin(struct scene *scene)
{
	struct birth birth = {
		.setup = scene->setup, .log = &scene->home.log, .ledger = scene->book.ledger,
		.tally = scene->home.household.tally,
		.seat = scene->book.seat, .workers = 1, .nursery = -1,
	};

	assert_int_equal(channel_pair(&scene->channel, &birth.channel), 0);
	scene->pid = fork();
	if (scene->pid == 0)
		worker_main(&birth);
	close_fd(&birth.channel);
}

/* What it says next; 0: it has ended. */
static ssize_t hear(struct scene *scene, struct word_message *message)
{
	assert_true(wait_for_events(scene->channel, POLLIN, PATIENCE));
	return channel_receive(scene->channel, message, sizeof(*message), 0, NULL);
}

static void expect_word(struct scene *scene, enum word word, uint64_t number)
{
	struct word_message message = { 0 };

	assert_int_equal(hear(scene, &message), sizeof(message));
	assert_int_equal(message.word, word);
	assert_int_equal(message.number, number);
}

static struct scene *scene_new(void)
{
	struct scene *scene = scene_prepare();

	begin(scene);
	expect_word(scene, WORD_WELL, 0);
	return scene;
}

static void say(struct scene *scene, enum word word)
{
	const struct word_message message = { .word = word };

	assert_int_equal(channel_send(scene->channel, &message, sizeof(message), -1), 0);
}

static void expect_ended(struct scene *scene, int expected)
{
	struct word_message message;
	int status;

	if (scene->channel >= 0)
		assert_int_equal(hear(scene, &message), 0);
	assert_int_equal(waitpid(scene->pid, &status, 0), scene->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
}

/* Of what it has charged it has given everything back by itself. */
static void scene_free(struct scene *scene)
{
	assert_int_equal(book_balance(&scene->book), 0);
	ledger_leave(scene->book.ledger, scene->book.seat);
	close_fd(&scene->channel);
	scene->setup = setup_free(scene->setup);
	home_deinit(&scene->home);
}

static void end(struct scene *scene)
{
	say(scene, WORD_END);
	expect_ended(scene, 0);
	scene_free(scene);
}

static struct client *serve(struct scene *scene, uint64_t number)
{
	struct word_message message = { .word = WORD_SERVE, .number = number };
	_cleanup_fd_ int fd = -1;
	struct client *client = home_call(&scene->home, &fd);

	message.account = scene->home.account;
	ledger_close(scene->book.ledger, scene->home.account);
	assert_int_equal(channel_send(scene->channel, &message, sizeof(message), fd), 0);
	return client;
}

/* --- words */

static void test_pings(void **state)
{
	struct scene *scene = scene_new();

	for (int i = 0; i < 3; i++) {
		say(scene, WORD_PING);
		expect_word(scene, WORD_WELL, 0);
	}
	end(scene);
}

static void test_serves(void **state)
{
	struct scene *scene = scene_new();
	struct client *one = serve(scene, 1), *other = serve(scene, 2);

	for (int i = 0; i < 2; i++) {
		expect_info(one);
		expect_info(other);
	}
	client_hang_up(one);
	expect_info(other);
	end(scene);
}

/* No descriptor came, or one that is nobody's connection: the supervisor is told whose. */
static void test_untaken(void **state)
{
	struct scene *scene = scene_new();
	struct word_message message = { .word = WORD_SERVE, .number = 17 };

	assert_int_equal(channel_send(scene->channel, &message, sizeof(message), -1), 0);
	expect_word(scene, WORD_UNTAKEN, 17);
	message.number = 18;
	assert_int_equal(channel_send(scene->channel, &message, sizeof(message), STDIN_FILENO), 0);
	expect_word(scene, WORD_UNTAKEN, 18);
	expect_info(serve(scene, 19));
	end(scene);
}

/* What is said in one go is heard in one turn of the loop: before anybody whom it brings is served,
 * and whoever comes last has waited for nobody's work. */
static void test_many_words_at_once(void **state)
{
	struct scene *scene = scene_new();
	struct client *clients[8];

	assert_int_equal(kill(scene->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(scene->pid, NULL, WUNTRACED), scene->pid);
	for (size_t i = 0; i < array_size(clients); i++) {
		clients[i] = serve(scene, i);
		client_send(clients[i], GET_INFO);
	}
	say(scene, WORD_PING);
	say(scene, WORD_END);
	assert_int_equal(kill(scene->pid, SIGCONT), 0);
	expect_word(scene, WORD_WELL, 0);
	for (size_t i = 0; i < array_size(clients); i++) {
		expect_message(clients[i], BUSY, RETRY);
		expect_end(clients[i]);
	}
	expect_ended(scene, 0);
	scene_free(scene);
}

static void test_nonsense(void **state)
{
	static const struct word_message unknown = { .word = WORD_WELL };

	for (size_t size = 1; size <= sizeof(unknown); size += sizeof(unknown) - 1) {
		struct scene *scene = scene_new();
		struct client *client = serve(scene, 1);

		expect_info(client);
		assert_int_equal(channel_send(scene->channel, &unknown, size, -1), 0);
		expect_ended(scene, 0);
		expect_end(client);
		scene_free(scene);
	}
}

/* --- the end */

static void test_without_a_supervisor(void **state)
{
	struct scene *scene = scene_new();
	struct client *idle = serve(scene, 1), *busy = serve(scene, 2);
	int far;

	expect_info(idle);
	far = begin_request(busy, scene->home.peer, &scene->home.address);
	assert_int_equal(ledger_in_all(scene->book.ledger, QUOTA_REQUESTS), 1);
	close_fd(&scene->channel);
	expect_end(idle);
	expect_message(busy, BUSY, RETRY);
	expect_end(busy);
	expect_far_end(far);
	close_fd(&far);
	expect_ended(scene, 0);
	scene_free(scene);
}

static void test_drained(void **state)
{
	struct scene *scene = scene_new();
	struct client *idle = serve(scene, 1), *busy = serve(scene, 2), *fresh = serve(scene, 3);
	int far;

	expect_info(idle);
	far = begin_request(busy, scene->home.peer, &scene->home.address);
	say(scene, WORD_DRAIN);
	expect_end(idle);
	expect_info(fresh);
	expect_end(fresh);
	/* It is well as long as it is there. */
	say(scene, WORD_PING);
	expect_word(scene, WORD_WELL, 0);
	close_fd(&far);
	expect_message(busy, "io.ktlsd.HandshakeFailed", "");
	expect_end(busy);
	expect_ended(scene, 0);
	scene_free(scene);
}

static void test_drained_with_nobody(void **state)
{
	struct scene *scene = scene_new();

	say(scene, WORD_DRAIN);
	expect_ended(scene, 0);
	scene_free(scene);
}

static void test_ended(void **state)
{
	struct scene *scene = scene_new();
	struct client *busy = serve(scene, 1);
	int far = begin_request(busy, scene->home.peer, &scene->home.address);

	say(scene, WORD_END);
	expect_message(busy, BUSY, RETRY);
	expect_end(busy);
	expect_ended(scene, 0);
	close_fd(&far);
	scene_free(scene);
}

static void test_stillborn(void **state)
{
	struct scene *scene = scene_prepare();

	belief.stillborn = true;
	begin(scene);
	expect_ended(scene, 1);
	scene_free(scene);
}

/* --- what it is left with */

/* A terminal or a service manager tells all processes, and the supervisor alone decides. */
static void test_signals_are_the_supervisor_s(void **state)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	struct scene *scene = scene_new();

	for (size_t i = 0; i < array_size(numbers); i++)
		assert_int_equal(kill(scene->pid, numbers[i]), 0);
	say(scene, WORD_PING);
	expect_word(scene, WORD_WELL, 0);
	end(scene);
}

/* Standard streams, channel, log, and what its loop is made of: nothing of all that we have. */
static void test_descriptors(void **state)
{
	struct scene *scene = scene_prepare();
	int more[64];
	size_t n;

	for (size_t i = 0; i < array_size(more); i++)
		more[i] = fcntl(scene->home.peer, F_DUPFD_CLOEXEC, i % 2 ? 3 : 500);
	begin(scene);
	expect_word(scene, WORD_WELL, 0);
	n = descriptors_of(scene->pid);
	assert_in_range(n, 5, 12);
	for (size_t i = 0; i < array_size(more); i++)
		close_fd(&more[i]);
	end(scene);
}

static void test_name(void **state)
{
	struct scene *scene = scene_new();
	char name[32];

	assert_true(read_proc(scene->pid, "comm", name, sizeof(name)));
	assert_string_equal(name, "ktlsd-worker\n");
	end(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_serves),
		cmocka_unit_test(test_untaken),
		cmocka_unit_test(test_many_words_at_once),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_without_a_supervisor),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_drained_with_nobody),
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_stillborn),
		cmocka_unit_test(test_signals_are_the_supervisor_s),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, household_begin, household_end);
}
