/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
/* A caller that asks for a probe. */
#include "tests/unit/scene.h"

#define PROBE(more)                                                                            \
	"{\"method\":\"io.ktlsd.Probe\",\"parameters\":"                                       \
	"{\"host\":\"host.example\",\"port\":443}" more "}"

static void expect_no_socket(struct scene *scene)
{
	assert_int_equal(scene->caller.n_fds, 0);
	assert_int_equal(play.attaches + play.keys + play.installs, 0);
	close_fd(&play.copy);
	if (play.far_end >= 0)
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	assert_int_equal(theatre_requests(&scene->theatre), 0);
	play_expect_over();
}

static void test_reply(void **state)
{
	struct scene *scene = scene_new();

	for (int round = 0; round < 3; round++) {
		caller_send(&scene->caller, PROBE(""));
		expect_reply(&scene->caller, "{\"parameters\":{\"session\":{\"version\":",
			     "\"install\":0,", "},\"offered\":[\"", "],\"offloadable\":[\"",
			     "],\"takesOver\":false,\"trace\":{", "}}}");
		expect_no_socket(scene);
	}
	/* The same connection has sockets for who wants one. */
	caller_send(&scene->caller, CONNECT);
	expect_connected(expect_socket_reply(&scene->caller));
	scene_free(scene);
}

static const struct {
	enum how handshake;
	enum refusal refusal;
	const char *error;
} failures[] = {
	{ AT_ONCE, OF_TLS, "io.ktlsd.NotAuthorized" },
	{ AT_ONCE, OF_TRUST, INVALID_PARAMETER },
	{ FAILS_LATER, NOTHING, "io.ktlsd.HandshakeFailed" },
};

/* How far it came is told of a probe that came to try something, and of no connect. */
static void test_trace_of_a_failure(void **state)
{
	for (size_t i = 0; i < 2 * array_size(failures); i++) {
		struct scene *scene = scene_new();
		bool probes = i % 2;
		const char *text;

		play.handshake.how = failures[i / 2].handshake;
		play.refusal = failures[i / 2].refusal;
		caller_send(&scene->caller, probes ? PROBE("") : CONNECT);
		text = caller_receive(&scene->caller);
		assert_non_null(strstr(text, failures[i / 2].error));
		assert_int_equal(strstr(text, "\"trace\":{\"attempts\":[{\"address\":\"127.0.0.1:") != NULL,
				 probes && play.refusal == NOTHING);
		assert_int_equal(strstr(text, "\"trace\"") != NULL, probes && play.refusal == NOTHING);
		scene_free(scene);
	}
}

static void test_failures(void **state)
{
	for (size_t i = 0; i < array_size(failures); i++) {
		struct scene *scene = scene_new();

		play.handshake.how = failures[i].handshake;
		play.refusal = failures[i].refusal;
		caller_send(&scene->caller, PROBE(""));
		expect_reply(&scene->caller, failures[i].error);
		expect_no_socket(scene);
		scene_free(scene);
	}
}

/* It is carried out before the next call, which has the next reply; after it, replies are as ever. */
static void test_no_reply_is_wanted(void **state)
{
	for (size_t i = 0; i <= array_size(failures); i++) {
		struct scene *scene = scene_new();

		if (i < array_size(failures)) {
			play.handshake.how = failures[i].handshake;
			play.refusal = failures[i].refusal;
		}
		caller_send(&scene->caller, PROBE(",\"oneway\":true"));
		caller_send(&scene->caller, GET_INFO);
		expect_info(&scene->caller);
		assert_int_equal(play.offers[TLS_OFFER_ALL], play.refusal != OF_TRUST);
		expect_no_socket(scene);
		play_clear();
		caller_send(&scene->caller, PROBE(""));
		expect_reply(&scene->caller, "\"offered\":[");
		caller_send(&scene->caller, CONNECT);
		expect_connected(expect_socket_reply(&scene->caller));
		scene_free(scene);
	}
}

static void test_hanging_up_cancels(void **state)
{
	struct scene *scene = scene_new();

	play.handshake.how = NEVER;
	caller_send(&scene->caller, PROBE(",\"oneway\":true"));
	run_until(play.loop, stage_runs, &play.handshake);
	caller_hang_up(&scene->caller);
	expect_gone(scene);
	scene_free(scene);
}

static void logged(const char *call, enum refusal refusal, const char *part)
{
	struct scene *scene = scene_new();
	char text[4096] = "";
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(&scene->theatre.log, pipes[1]);
	play.refusal = refusal;
	caller_send(&scene->caller, call);
	caller_send(&scene->caller, GET_INFO);
	caller_receive(&scene->caller);
	if (!strstr(call, "oneway"))
		caller_receive(&scene->caller);
	assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
	if (!strstr(text, part) || strstr(text, "did not take it"))
		fail_msg("no %s in %s", part, text);
	assert_int_equal(!!strstr(text, "probe"), !!strstr(call, "Probe"));
	log_deinit(&scene->theatre.log);
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	scene_free(scene);
}

static void test_the_log_says_so(void **state)
{
	logged(PROBE(""), NOTHING, "probe of host.example port 443: 127.0.0.1:443");
	logged(PROBE(""), OF_TLS, "probe of host.example port 443: policy: ");
	logged(PROBE(",\"oneway\":true"), NOTHING, "probe of host.example port 443: ");
	logged(PROBE(",\"oneway\":true"), OF_TLS, "probe of host.example port 443: policy: ");
	logged(CONNECT, NOTHING, ": host.example port 443: ");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_trace_of_a_failure),
		cmocka_unit_test(test_no_reply_is_wanted),
		cmocka_unit_test(test_hanging_up_cancels),
		cmocka_unit_test(test_the_log_says_so),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
