/* SPDX-License-Identifier: MIT */
#include "tests/unit/loop.h"

#include "daemon/untaken.h"

/* The service's end of a connection, and a caller who reads when he likes. */
struct scene {
	struct ev_loop *loop;
	struct watch_set watches;
	struct ledger *ledger;
	struct book book;
	struct untaken untaken;
	int service, caller;
	bool taken;
	unsigned int n_taken;
	size_t descriptors;
};

static void on_taken(struct untaken *untaken)
{
	struct scene *scene = container_of(untaken, struct scene, untaken);

	assert_false(untaken_waits(untaken));
	scene->n_taken++;
	scene->taken = true;
}

static struct scene *scene_new(void)
{
	static struct scene scene;
	int ends[2];

	scene = (struct scene){ .descriptors = count_descriptors() };
	scene.loop = loop_new();
	scene.ledger = ledger_new();
	assert_non_null(scene.ledger);
	scene.book = (struct book){ scene.ledger, ledger_seat(scene.ledger) };
	assert_int_equal(watch_set_init(&scene.watches, scene.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	scene.service = ends[0];
	scene.caller = ends[1];
	untaken_init(&scene.untaken, &scene.watches, scene.service, on_taken);
	return &scene;
}

static unsigned int charged(const struct scene *scene)
{
	assert_int_equal(untaken_waits(&scene->untaken), book_balance(&scene->book));
	return book_balance(&scene->book);
}

static void scene_free(struct scene *scene)
{
	untaken_deinit(&scene->untaken);
	untaken_deinit(&scene->untaken);
	assert_int_equal(charged(scene), 0);
	close_fd(&scene->service);
	close_fd(&scene->caller);
	watch_set_deinit(&scene->watches);
	loop_free(scene->loop);
	ledger_free(scene->ledger);
	assert_int_equal(count_descriptors(), scene->descriptors);
}

static void charge(struct scene *scene)
{
	assert_int_equal(charge_set(&scene->untaken.charge, &scene->book, 1, QUOTA_UNDELIVERED, 1, 1,
				     1), LEDGER_TAKEN);
	scene->taken = false;
}

/* A reply of so many bytes, a descriptor with it. */
static void send_reply(struct scene *scene, size_t size)
{
	static const char text[4096];
	int fd = STDIN_FILENO;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec data = { .iov_base = (void *)text, .iov_len = size };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	assert_int_equal(sendmsg(scene->service, &message, MSG_NOSIGNAL), size);
}

/* Reads so many bytes; a descriptor that comes is closed. */
static void take(struct scene *scene, size_t size)
{
	char text[4096];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = { .iov_base = text, .iov_len = size };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	assert_int_equal(recvmsg(scene->caller, &message, MSG_CMSG_CLOEXEC), size);
	if (!CMSG_FIRSTHDR(&message))
		return;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	close_fd(&fd);
}

static void expect_charged(struct scene *scene)
{
	for (int i = 0; i < 3; i++)
		ev_run(scene->loop, EVRUN_NOWAIT);
	assert_false(scene->taken);
	assert_int_equal(charged(scene), 1);
}

static void expect_taken(struct scene *scene)
{
	unsigned int before = scene->n_taken;

	run_until(scene->loop, is_set, &scene->taken);
	assert_int_equal(scene->n_taken, before + 1);
	assert_int_equal(charged(scene), 0);
	ev_run(scene->loop, EVRUN_NOWAIT);
	assert_int_equal(scene->n_taken, before + 1);
}

static void test_charged_until_it_is_read(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	expect_charged(scene);
	take(scene, 100);
	expect_taken(scene);
	scene_free(scene);
}

static void test_read_by_halves(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	take(scene, 50);
	expect_charged(scene);
	take(scene, 49);
	expect_charged(scene);
	take(scene, 1);
	expect_taken(scene);
	scene_free(scene);
}

/* A look is not enough, and waiting again changes nothing. */
static void test_a_look(void **state)
{
	struct scene *scene = scene_new();
	char byte;

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	assert_int_equal(recv(scene->caller, &byte, 1, MSG_PEEK), 1);
	expect_charged(scene);
	untaken_wait(&scene->untaken);
	expect_charged(scene);
	take(scene, 100);
	expect_taken(scene);
	scene_free(scene);
}

/* Read before anybody waits for it: nothing is told. */
static void test_read_at_once(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	take(scene, 100);
	untaken_wait(&scene->untaken);
	assert_int_equal(charged(scene), 0);
	for (int i = 0; i < 3; i++)
		ev_run(scene->loop, EVRUN_NOWAIT);
	assert_int_equal(scene->n_taken, 0);
	scene_free(scene);
}

static void test_without_a_charge_nothing_waits(void **state)
{
	struct scene *scene = scene_new();

	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	assert_false(untaken_waits(&scene->untaken));
	take(scene, 100);
	expect_quiet(scene->loop);
	assert_int_equal(scene->n_taken, 0);
	scene_free(scene);
}

/* What the caller leaves unread the kernel throws away. */
static void test_hang_up(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	expect_charged(scene);
	close_fd(&scene->caller);
	expect_taken(scene);
	scene_free(scene);
}

static void test_several_in_a_row(void **state)
{
	struct scene *scene = scene_new();

	for (int i = 0; i < 5; i++) {
		charge(scene);
		send_reply(scene, 100 + (size_t)i);
		untaken_wait(&scene->untaken);
		expect_charged(scene);
		take(scene, 100 + (size_t)i);
		expect_taken(scene);
	}
	scene_free(scene);
}

/* A reply behind it, without a descriptor, has to be read as well: the kernel does not tell them
 * apart. */
static void test_another_reply_behind_it(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	assert_int_equal(send(scene->service, "more", 4, 0), 4);
	untaken_wait(&scene->untaken);
	take(scene, 100);
	expect_charged(scene);
	take(scene, 4);
	expect_taken(scene);
	scene_free(scene);
}

static void test_ended_while_it_waits(void **state)
{
	struct scene *scene = scene_new();

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	untaken_deinit(&scene->untaken);
	assert_int_equal(charged(scene), 0);
	take(scene, 100);
	expect_quiet(scene->loop);
	assert_int_equal(scene->n_taken, 0);
	scene_free(scene);
	untaken_deinit(&(struct untaken){ 0 });
}

/* Without room for a watch nobody would ever be told: then it counts as taken. */
static void test_no_room(void **state)
{
	struct scene *scene = scene_new();
	struct watch_set none = { .loop = scene->loop, .epoll = -1 };

	untaken_init(&scene->untaken, &none, scene->service, on_taken);
	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	assert_int_equal(charged(scene), 0);
	scene_free(scene);
}

/* What is not read costs the loop nothing. */
static void test_the_loop_sleeps(void **state)
{
	struct scene *scene = scene_new();
	unsigned int before;

	charge(scene);
	send_reply(scene, 100);
	untaken_wait(&scene->untaken);
	before = ev_iteration(scene->loop);
	run_for(scene->loop, 0.05);
	assert_in_range(ev_iteration(scene->loop) - before, 0, 5);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_charged_until_it_is_read),
		cmocka_unit_test(test_read_by_halves),
		cmocka_unit_test(test_a_look),
		cmocka_unit_test(test_read_at_once),
		cmocka_unit_test(test_without_a_charge_nothing_waits),
		cmocka_unit_test(test_hang_up),
		cmocka_unit_test(test_several_in_a_row),
		cmocka_unit_test(test_another_reply_behind_it),
		cmocka_unit_test(test_ended_while_it_waits),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_the_loop_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
