/* SPDX-License-Identifier: MIT */
#include "tests/unit/process.h"

#include "daemon/connection.h"

#include <sys/time.h>

/* The supervisor's copy of a connection, the worker's copy, and the caller. */
struct scene {
	struct ev_loop *loop;
	struct watch_set watches;
	struct ledger *ledger;
	struct connection *connection;
	unsigned int account;
	int worker, caller;
	bool gone;
	unsigned int n_gone;
	size_t descriptors;
};

static void on_gone(struct connection *connection)
{
	struct scene *scene = connection->owner;

	scene->n_gone++;
	scene->gone = true;
	scene->connection = connection_free(connection);
}

static unsigned int connections(const struct scene *scene)
{
	return scene->ledger->users[scene->account].connections;
}

static struct scene *scene_new(void)
{
	static struct scene scene;
	int ends[2];

	scene = (struct scene){ .descriptors = count_descriptors() };
	scene.loop = loop_new();
	scene.ledger = ledger_new();
	assert_non_null(scene.ledger);
	assert_int_equal(watch_set_init(&scene.watches, scene.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	scene.worker = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
	scene.caller = ends[1];
	scene.account = ledger_open(scene.ledger, getuid(), clock_us());
	scene.connection = connection_new(&scene.watches, ends[0], scene.ledger, scene.account,
					  &scene, on_gone);
	assert_non_null(scene.connection);
	assert_int_equal(connections(&scene), 1);
	return &scene;
}

static void scene_free(struct scene *scene)
{
	scene->connection = connection_free(scene->connection);
	assert_int_equal(connections(scene), 0);
	close_fd(&scene->worker);
	close_fd(&scene->caller);
	watch_set_deinit(&scene->watches);
	loop_free(scene->loop);
	ledger_free(scene->ledger);
	assert_int_equal(count_descriptors(), scene->descriptors);
}

static void expect_gone(struct scene *scene)
{
	run_until(scene->loop, is_set, &scene->gone);
	assert_int_equal(scene->n_gone, 1);
	assert_int_equal(connections(scene), 0);
}

static void expect_there(struct scene *scene)
{
	for (int i = 0; i < 3; i++)
		ev_run(scene->loop, EVRUN_NOWAIT);
	assert_false(scene->gone);
}

/* --- its end */

static void caller_closes(struct scene *scene)
{
	close_fd(&scene->caller);
}

static void caller_shuts_down(struct scene *scene)
{
	shutdown(scene->caller, SHUT_RDWR);
}

static void worker_shuts_down(struct scene *scene)
{
	shutdown(scene->worker, SHUT_RDWR);
}

static void worker_shuts_down_and_closes(struct scene *scene)
{
	shutdown(scene->worker, SHUT_RDWR);
	close_fd(&scene->worker);
}

static void caller_closes_without_having_read(struct scene *scene)
{
	assert_int_equal(send(scene->worker, "reply", 5, 0), 5);
	close_fd(&scene->caller);
}

static void caller_closes_and_nobody_reads(struct scene *scene)
{
	assert_int_equal(send(scene->caller, "call", 4, 0), 4);
	close_fd(&scene->caller);
}

static void (*const ways_to_end[])(struct scene *scene) = {
	caller_closes, caller_shuts_down, worker_shuts_down, worker_shuts_down_and_closes,
	caller_closes_without_having_read, caller_closes_and_nobody_reads,
};

static void test_the_end_is_seen(void **state)
{
	for (size_t i = 0; i < array_size(ways_to_end); i++) {
		struct scene *scene = scene_new();

		expect_there(scene);
		ways_to_end[i](scene);
		expect_gone(scene);
		scene_free(scene);
	}
}

/* Traffic, half an end and the worker's closing alone are no end. */
static void test_what_is_no_end(void **state)
{
	struct scene *scene = scene_new();
	char text[8];

	assert_int_equal(send(scene->caller, "call", 4, 0), 4);
	expect_there(scene);
	assert_int_equal(send(scene->worker, "reply", 5, 0), 5);
	expect_there(scene);
	shutdown(scene->caller, SHUT_WR);
	expect_there(scene);
	close_fd(&scene->worker);
	expect_there(scene);
	/* And nothing was read. */
	assert_int_equal(recv(scene->connection->fd, text, sizeof(text), 0), 4);
	scene_free(scene);
	assert_int_equal(scene->n_gone, 0);
}

static void test_nothing_costs_the_loop_its_rest(void **state)
{
	struct scene *scene = scene_new();
	unsigned int before = ev_iteration(scene->loop);

	assert_int_equal(send(scene->caller, "call", 4, 0), 4);
	shutdown(scene->caller, SHUT_WR);
	run_for(scene->loop, 0.05);
	assert_in_range(ev_iteration(scene->loop) - before, 0, 5);
	scene_free(scene);
}

static void test_freeing_ends_nobody_else_s(void **state)
{
	struct scene *scene = scene_new();
	char byte;

	assert_null(connection_free(NULL));
	scene->connection = connection_free(scene->connection);
	assert_int_equal(send(scene->worker, "r", 1, 0), 1);
	assert_int_equal(recv(scene->caller, &byte, 1, 0), 1);
	scene_free(scene);
	assert_int_equal(scene->n_gone, 0);
}

/* It leaves the list that it is in. */
static void test_the_list(void **state)
{
	struct scene *scene = scene_new();
	struct list all;

	list_init(&all);
	list_append(&all, &scene->connection->link);
	caller_closes(scene);
	expect_gone(scene);
	assert_true(list_empty(&all));
	scene_free(scene);
}

/* No room in the kernel for a watch: descriptor and account are given back. */
static void test_no_room(void **state)
{
	struct scene *scene = scene_new();
	struct watch_set none = { .loop = scene->loop, .epoll = -1 };
	int more = fcntl(scene->worker, F_DUPFD_CLOEXEC, 0);

	assert_int_equal(ledger_open(scene->ledger, getuid(), clock_us()), scene->account);
	assert_null(connection_new(&none, more, scene->ledger, scene->account, scene, on_gone));
	assert_int_equal(fcntl(more, F_GETFD), -1);
	assert_int_equal(connections(scene), 1);
	assert_int_equal(scene->n_gone, 0);
	scene_free(scene);
}

/* --- a last message */

static void test_a_refusal(void **state)
{
	struct scene *scene = scene_new();
	char text[512];
	ssize_t n;

	connection_refuse(scene->connection->fd, PROTO_BUSY, "sorry");
	n = recv(scene->caller, text, sizeof(text), 0);
	assert_true(n > 0);
	assert_int_equal(strnlen(text, (size_t)n) + 1, n);
	assert_non_null(strstr(text, "\"io.ktlsd.Busy\""));
	assert_non_null(strstr(text, "\"sorry\""));
	assert_non_null(strstr(text, "\"retry\":true"));
	/* Also for whoever else has it. */
	assert_int_equal(recv(scene->caller, text, sizeof(text), 0), 0);
	assert_int_equal(recv(scene->worker, text, sizeof(text), 0), 0);
	expect_gone(scene);
	scene_free(scene);
}

/* Neither waits nor raises a signal. */
static void test_a_refusal_that_nobody_takes(void **state)
{
	static const char filler[4096];
	struct scene *scene = scene_new();

	assert_int_equal(fcntl(scene->worker, F_SETFL, 0), 0); /* of all its copies */
	while (send(scene->worker, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	connection_refuse(scene->connection->fd, PROTO_BUSY, "sorry");
	expect_gone(scene);
	scene_free(scene);

	scene = scene_new();
	close_fd(&scene->caller);
	connection_refuse(scene->connection->fd, PROTO_BUSY, "sorry");
	expect_gone(scene);
	scene_free(scene);
}

/* --- closing (see test-peer-linger.c) */

#define LINGER_SECONDS 4
#define LIMIT_US (RUNNING_ON_VALGRIND ? (LINGER_SECONDS + 1) * 1000000 : 500000)

/* A TCP socket whose last close lasts; *far is its far end. */
static int lingering(int *far)
{
	static const char bytes[65536];
	const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_SECONDS };
	struct sockaddr_storage address;
	_cleanup_fd_ int listener = tcp_listen(AF_INET, &address, 1);
	int pair[2];

	tcp_pair(listener, &address, pair);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	*far = pair[1];
	return pair[0];
}

static void send_descriptor(int sock, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec data = { .iov_base = (void *)"x", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &message, MSG_NOSIGNAL), 1);
}

static void test_closing_does_not_last(void **state)
{
	struct scene *scene = scene_new();
	_cleanup_fd_ int far = -1, fd = lingering(&far);
	struct itimerval timer;
	uint64_t began_us;

	send_descriptor(scene->caller, fd);
	close_fd(&fd);
	close_fd(&scene->worker);
	close_fd(&scene->caller);
	began_us = clock_us();
	expect_gone(scene);
	assert_true(clock_us() - began_us < LIMIT_US);
	assert_int_equal(getitimer(ITIMER_REAL, &timer), 0);
	assert_false(timerisset(&timer.it_value) || timerisset(&timer.it_interval));
	close_fd(&far);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_end_is_seen),
		cmocka_unit_test(test_what_is_no_end),
		cmocka_unit_test(test_nothing_costs_the_loop_its_rest),
		cmocka_unit_test(test_freeing_ends_nobody_else_s),
		cmocka_unit_test(test_the_list),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_a_refusal),
		cmocka_unit_test(test_a_refusal_that_nobody_takes),
		cmocka_unit_test(test_closing_does_not_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
