/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=sendmsg,--wrap=calloc */
/* link: -Wl,--wrap=proto_session_encode,--wrap=proto_status_encode */
#include "tests/unit/scene.h"

/* --- what can be made to fail */

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
char *__real_proto_session_encode(const struct proto_session *session, size_t *length);
char *__wrap_proto_session_encode(const struct proto_session *session, size_t *length);
char *__real_proto_status_encode(const struct proto_status *status, size_t *length);
char *__wrap_proto_status_encode(const struct proto_status *status, size_t *length);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static struct {
	int sending_fds;	/* errno of sendmsg() with a descriptor */
	bool session, status;	/* no memory for such a reply */
	size_t allocation;	/* no memory for something of this size */
} fails;

static int nothing_fails(void **state)
{
	memset(&fails, 0, sizeof(fails));
	return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (fails.sending_fds && message->msg_controllen)
		return errno = fails.sending_fds, -1;
	return __real_sendmsg(fd, message, flags);
}

char *__wrap_proto_session_encode(const struct proto_session *session, size_t *length)
{
	return fails.session ? NULL : __real_proto_session_encode(session, length);
}

char *__wrap_proto_status_encode(const struct proto_status *status, size_t *length)
{
	return fails.status ? NULL : __real_proto_status_encode(status, length);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails.allocation && n * size == fails.allocation ? NULL : __real_calloc(n, size);
}

/* --- descriptors that nobody wants */

static void send_descriptors(size_t n, size_t before)
{
	struct scene *scene = scene_new();
	size_t descriptors = count_descriptors();

	if (before)
		caller_send_bytes(&scene->caller, GET_INFO, before);
	caller_send_with_fds(&scene->caller, &GET_INFO[before], sizeof(GET_INFO) - before, 0, n);
	expect_reply(&scene->caller, INVALID_PARAMETER, "\"parameter\":\"fileDescriptor\"");
	assert_int_equal(count_descriptors(), descriptors - scene->gone);
	expect_gone(scene);
	assert_true(scene->caller.ended || scene->caller.have == 0);
	scene_free(scene);
}

static void test_a_descriptor_with_a_call(void **state)
{
	send_descriptors(1, 0);
	send_descriptors(2, 0);
	send_descriptors(SCM_MAX_FD, 0);
	send_descriptors(1, 5);
	send_descriptors(1, sizeof(GET_INFO) - 1);
}

static void test_a_descriptor_behind_a_call(void **state)
{
	struct scene *scene = scene_new();

	play.handshake = (struct played_stage){ .how = LATER, .later_ms = 20 };
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.handshake);
	caller_send_with_fds(&scene->caller, GET_INFO, sizeof(GET_INFO), 0, 1);
	expect_connected(expect_socket_reply(&scene->caller));
	close_fd(&play.far_end);
	expect_reply(&scene->caller, INVALID_PARAMETER, "fileDescriptor");
	expect_gone(scene);
	scene_free(scene);
}

/* --- a caller who does not take his reply */

/* The kernel takes no more for this caller. */
static void stuff(struct scene *scene)
{
	static const char filler[4096];

	ev_io_stop(play.loop, &scene->caller.io);
	while (send(scene->peer->fd, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	while (send(scene->peer->fd, filler, 1, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

static void unstuff(struct scene *scene)
{
	char bytes[4096];

	while (recv(scene->caller.fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	caller_read(&scene->caller);
}

static bool is_delivering(void *arg)
{
	struct scene *scene = arg;

	return scene->peer && ev_is_active(&scene->peer->delivering);
}

static void test_a_socket_that_is_not_taken(void **state)
{
	struct scene *scene = scene_with_limits(5000, 5000, 60);

	stuff(scene);
	scene->began_us = clock_us();
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, is_delivering, scene);
	assert_string_equal(far_end_sees(play.far_end, 0), "");
	expect_gone_after(scene, 60);
	scene_free(scene);
}

/* That it has failed is not told yet, and its socket is shut down already. */
static void test_a_failure_that_is_not_taken(void **state)
{
	static const enum refusal refusals[] = { OF_KEYS, OF_INSTALL };

	for (size_t i = 0; i < array_size(refusals); i++) {
		struct scene *scene = scene_with_limits(5000, 1000, 5000);

		stuff(scene);
		play.refusal = refusals[i];
		caller_send(&scene->caller, CONNECT);
		run_until(play.loop, is_delivering, scene);
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
		scene_free(scene);
	}
}

/* Neither is it lost when the caller hangs up, or the service stops. */
static void test_a_socket_that_cannot_be_taken(void **state)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		struct scene *scene = scene_with_limits(5000, 1000, 5000);

		stuff(scene);
		caller_send(&scene->caller, CONNECT);
		run_until(play.loop, is_delivering, scene);
		if (stopped) {
			scene->peer = peer_free(scene->peer);
		} else {
			caller_hang_up(&scene->caller);
			run_until(play.loop, is_set, &scene->gone);
		}
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
		scene_free(scene);
	}
}

static void test_a_socket_that_is_taken_late(void **state)
{
	struct scene *scene = scene_with_limits(80, 1000, 5000);

	stuff(scene);
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, is_delivering, scene);
	/* A caller who is served is not idle. */
	run_for(play.loop, 0.12);
	assert_false(scene->gone);
	unstuff(scene);
	expect_connected(expect_socket_reply(&scene->caller));
	close_fd(&play.far_end);
	assert_false(is_delivering(scene));
	expect_gone(scene);
	scene_free(scene);
}

/* Calls wait behind a reply that does not go out, and four are enough. */
static void test_calls_behind_a_reply(void **state)
{
	struct scene *scene = scene_with_limits(5000, 1000, 5000);

	stuff(scene);
	caller_send(&scene->caller, GET_INFO);
	run_until(play.loop, is_delivering, scene);
	send_many(scene, PROTO_PIPELINE_MAX);
	run_for(play.loop, 0.02);
	assert_false(scene->gone);
	unstuff(scene);
	expect_info(&scene->caller);
	expect_many(scene, PROTO_PIPELINE_MAX);
	stuff(scene);
	caller_send(&scene->caller, GET_INFO);
	send_many(scene, PROTO_PIPELINE_MAX + 1);
	expect_gone(scene);
	scene_free(scene);
}

struct nibbling {
	ev_timer timer;
	struct caller *caller;
};

static void on_nibble(EV_P_ ev_timer *timer, int events)
{
	struct nibbling *nibbling = container_of(timer, struct nibbling, timer);
	char bytes[512];

	(void)!recv(nibbling->caller->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

/* A caller who takes a reply bit by bit has no more time for it than others. */
static void test_a_reply_that_is_taken_slowly(void **state)
{
	struct scene *scene = scene_with_limits(5000, 1000, 100);
	struct nibbling nibbling = { .caller = &scene->caller };

	assert_int_equal(setsockopt(scene->peer->fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 },
				    sizeof(int)), 0);
	stuff(scene);
	ev_timer_init(&nibbling.timer, on_nibble, 0.002, 0.002);
	ev_timer_start(play.loop, &nibbling.timer);
	for (int i = 0; i < 3; i++)
		caller_send(&scene->caller, GET_INTERFACE);
	run_until(play.loop, is_delivering, scene);
	expect_gone(scene);
	ev_timer_stop(play.loop, &nibbling.timer);
	scene_free(scene);
}

/* --- what cannot be had */

static void test_descriptors_that_cannot_be_sent(void **state)
{
	static const int errors[] = { EPIPE, ENOBUFS, EPERM };

	for (size_t i = 0; i < array_size(errors); i++) {
		struct scene *scene = scene_new();

		fails.sending_fds = errors[i];
		caller_send(&scene->caller, CONNECT);
		expect_gone(scene);
		assert_true(play.far_end >= 0);
		assert_int_equal(scene->caller.n_fds, 0);
		scene_free(scene);
	}
}

/* The kernel's bound on descriptors on their way: a word comes, the socket does not. */
static void test_too_many_descriptors_on_their_way(void **state)
{
	struct scene *scene = scene_new();

	fails.sending_fds = ETOOMANYREFS;
	caller_send(&scene->caller, CONNECT);
	expect_error(&scene->caller, "io.ktlsd.Busy", "install");
	assert_int_equal(scene->caller.n_fds, 0);
	fails.sending_fds = 0;
	caller_send(&scene->caller, GET_INFO);
	expect_info(&scene->caller);
	scene_free(scene);
}

static void test_no_memory_for_a_reply(void **state)
{
	for (int session = 0; session < 2; session++) {
		struct scene *scene = scene_new();

		fails.session = session;
		fails.status = !session;
		play.handshake.how = session ? AT_ONCE : FAILS_AT_ONCE;
		caller_send(&scene->caller, CONNECT);
		expect_gone(scene);
		assert_true(play.far_end >= 0);
		scene_free(scene);
	}
}

static void test_no_memory_for_a_request(void **state)
{
	struct scene *scene = scene_new();

	fails.allocation = sizeof(struct request);
	caller_send(&scene->caller, CONNECT);
	expect_gone(scene);
	scene_free(scene);
}

static void test_no_memory_for_a_peer(void **state)
{
	struct scene *scene = scene_new();
	int ends[2];

	fails.allocation = sizeof(struct peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	assert_null(peer_new(&scene->theatre.env, ends[0], scene->theatre.caller.account, scene, on_gone));
	assert_int_equal(fcntl(ends[0], F_GETFD), -1);
	close_fd(&ends[1]);
	scene_free(scene);
}

static void test_busy(void **state)
{
	struct scene *scene = scene_new();

	scene->theatre.config.limits.requests = 0;
	caller_send(&scene->caller, CONNECT);
	expect_error(&scene->caller, "io.ktlsd.Busy", "policy");
	scene_free(scene);
}

/* What is to be handed over counts when it is, whatever was so when the request began. */
static void test_more_sockets_than_may_lie_there(void **state)
{
	struct scene *scene = scene_new();

	play.handshake = (struct played_stage){ .how = LATER, .later_ms = 20 };
	caller_send(&scene->caller, CONNECT);
	run_until(play.loop, stage_runs, &play.handshake);
	scene->theatre.config.limits.user_undelivered = 0;
	expect_error(&scene->caller, "io.ktlsd.Busy", "install");
	assert_int_equal(scene->caller.n_fds, 0);
	assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	scene_free(scene);
}

/* The owner ends it: at every turn of a request's life. */
static void test_freed_at_every_turn(void **state)
{
	for (unsigned int turns = 0; turns < 20; turns++) {
		struct scene *scene = scene_new();

		play.resolve.how = play.connect.how = play.handshake.how = LATER;
		ev_io_stop(play.loop, &scene->caller.io);
		caller_send(&scene->caller, CONNECT);
		take_turns(turns);
		scene->peer = peer_free(scene->peer);
		if (play.far_end >= 0 && theatre_requests(&scene->theatre))
			assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
		scene_free(scene);
		assert_int_equal(scene->n_gone, 0);
	}
}

/* --- the log */

static void expect_log(const char *name, const char *text, const char *part)
{
	if (!strstr(text, part) || strstr(text, "(null)"))
		fail_msg("%s: no %s in %s", name, part, text);
}

static void logged(enum refusal refusal, enum how handshake, const char *const *parts)
{
	struct scene *scene = scene_new();
	char text[4096] = "";
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(&scene->theatre.log, pipes[1]);
	play.refusal = refusal;
	play.handshake.how = handshake;
	caller_send(&scene->caller, CONNECT);
	if (fails.session || fails.sending_fds)
		expect_gone(scene);
	else
		caller_receive(&scene->caller);
	assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
	for (; *parts; parts++)
		expect_log("log", text, *parts);
	assert_int_equal(!!strstr(text, "did not take it"), fails.session || fails.sending_fds);
	log_deinit(&scene->theatre.log);
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	scene_free(scene);
}

static void test_outcomes_are_logged(void **state)
{
	char uid[32];

	snprintf(uid, sizeof(uid), "uid %u: ", getuid());
	logged(NOTHING, AT_ONCE, (const char *const[]){
		uid, "host.example port 443", "127.0.0.1:", "TLSv1.2", "chain+name", NULL });
	logged(NOTHING, FAILS_AT_ONCE, (const char *const[]){
		uid, "host.example port 443", "handshake", "io.ktlsd.HandshakeFailed", "played",
		NULL });
	/* Where no stage is told, it is that in which requests are judged. */
	logged(OF_TRUST, AT_ONCE, (const char *const[]){
		uid, "policy", INVALID_PARAMETER, "played", NULL });
}

/* A socket that nobody got is not told as one that somebody has. */
static void test_what_was_not_delivered_is_logged_so(void **state)
{
	fails.session = true;
	logged(NOTHING, AT_ONCE, (const char *const[]){ "host.example port 443", NULL });
	fails.session = false;
	fails.sending_fds = EPIPE;
	logged(NOTHING, AT_ONCE, (const char *const[]){ "host.example port 443", NULL });
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_descriptor_with_a_call, nothing_fails),
		cmocka_unit_test_setup(test_a_descriptor_behind_a_call, nothing_fails),
		cmocka_unit_test_setup(test_a_socket_that_is_not_taken, nothing_fails),
		cmocka_unit_test_setup(test_a_failure_that_is_not_taken, nothing_fails),
		cmocka_unit_test_setup(test_a_socket_that_cannot_be_taken, nothing_fails),
		cmocka_unit_test_setup(test_a_socket_that_is_taken_late, nothing_fails),
		cmocka_unit_test_setup(test_calls_behind_a_reply, nothing_fails),
		cmocka_unit_test_setup(test_a_reply_that_is_taken_slowly, nothing_fails),
		cmocka_unit_test_setup(test_descriptors_that_cannot_be_sent, nothing_fails),
		cmocka_unit_test_setup(test_too_many_descriptors_on_their_way, nothing_fails),
		cmocka_unit_test_setup(test_no_memory_for_a_reply, nothing_fails),
		cmocka_unit_test_setup(test_no_memory_for_a_request, nothing_fails),
		cmocka_unit_test_setup(test_no_memory_for_a_peer, nothing_fails),
		cmocka_unit_test_setup(test_more_sockets_than_may_lie_there, nothing_fails),
		cmocka_unit_test_setup(test_busy, nothing_fails),
		cmocka_unit_test_setup(test_freed_at_every_turn, nothing_fails),
		cmocka_unit_test_setup(test_outcomes_are_logged, nothing_fails),
		cmocka_unit_test_setup(test_what_was_not_delivered_is_logged_so, nothing_fails),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
