/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free */
#include "tests/unit/scene.h"

/* --- framing */

static void test_single_bytes(void **state)
{
	struct scene *scene = scene_new();

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(GET_INFO); i++) {
			assert_int_equal(scene->caller.have, 0);
			caller_send_bytes(&scene->caller, &GET_INFO[i], 1);
			ev_run(play.loop, EVRUN_NOWAIT);
		}
		expect_info(&scene->caller);
	}
	scene_free(scene);
}

static void test_calls_in_one_write(void **state)
{
	struct scene *scene = scene_new();

	caller_send_bytes(&scene->caller, GET_INFO "\0" GET_INTERFACE "\0" GET_INFO "\0{",
			  sizeof(GET_INFO "\0" GET_INTERFACE "\0" GET_INFO "\0{") - 1);
	expect_info(&scene->caller);
	expect_reply(&scene->caller, "interface io.ktlsd");
	expect_info(&scene->caller);
	caller_send(&scene->caller, &GET_INFO[1]);
	expect_info(&scene->caller);
	scene_free(scene);
}

static void test_the_longest_message(void **state)
{
	struct scene *scene = scene_new();
	static char text[PROTO_MESSAGE_MAX + 2];

	for (size_t length = PROTO_MESSAGE_MAX; length <= PROTO_MESSAGE_MAX + 1; length++) {
		size_t sent = 0;

		memset(text, ' ', length);
		memcpy(text, GET_INFO, strlen(GET_INFO));
		text[length] = '\0';
		while (sent < length + 1 && !scene->gone) {
			ssize_t n = send(scene->caller.fd, text + sent, length + 1 - sent,
					 MSG_DONTWAIT | MSG_NOSIGNAL);

			sent += n > 0 ? (size_t)n : 0;
			ev_run(play.loop, EVRUN_NOWAIT);
		}
		if (length <= PROTO_MESSAGE_MAX)
			expect_info(&scene->caller);
	}
	expect_gone(scene);
	scene_free(scene);
}

static const struct {
	const char *bytes;
	size_t length;
} no_messages[] = {
	{ "", 1 }, { "x", 2 }, { "[]", 3 }, { "{\"method\":\"io.ktlsd.Connect\"", 29 },
	{ "{} {}", 6 }, { "GET / HTTP/1.0\r\n\r\n", 19 },
};

static void test_what_is_no_message(void **state)
{
	for (size_t i = 0; i < array_size(no_messages); i++) {
		struct scene *scene = scene_new();

		caller_send_bytes(&scene->caller, no_messages[i].bytes, no_messages[i].length);
		expect_gone(scene);
		assert_int_equal(scene->caller.have, 0);
		assert_int_equal(play.connect.starts, 0);
		scene_free(scene);
	}
}

/* --- calls */

static void test_connect(void **state)
{
	struct scene *scene = scene_new();

	for (int round = 0; round < 3; round++) {
		caller_send(&scene->caller, CONNECT);
		expect_connected(expect_socket_reply(&scene->caller));
		assert_int_equal(theatre_requests(&scene->theatre), 0);
	}
	assert_int_equal(play.resolve.starts, 3);
	scene_free(scene);
}

static const struct {
	const char *text, *error, *part;
} refusals[] = {
	{ "{\"method\":\"io.ktlsd.Nothing\"}", "org.varlink.service.MethodNotFound",
	  "\"method\":\"io.ktlsd.Nothing\"" },
	{ "{\"method\":\"org.example.Connect\"}", "org.varlink.service.InterfaceNotFound",
	  "\"interface\":\"org.example\"" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
	  "\"parameters\":{\"interface\":\"org.example\"}}",
	  "org.varlink.service.InterfaceNotFound", "\"interface\":\"org.example\"" },
	{ "{\"method\":\"io.ktlsd.Connect\"}", INVALID_PARAMETER, "\"parameter\":\"host\"" },
	{ "{\"method\":\"io.ktlsd.Connect\",\"parameters\":{\"host\":\"a\",\"port\":\"443\"}}",
	  INVALID_PARAMETER, "\"parameter\":\"port\"" },
	{ "{\"method\":\"io.ktlsd.Connect\",\"oneway\":true,"
	  "\"parameters\":{\"host\":\"a\",\"port\":443}}",
	  INVALID_PARAMETER, "\"parameter\":\"oneway\"" },
};

static void test_refusals(void **state)
{
	struct scene *scene = scene_new();

	for (size_t i = 0; i < array_size(refusals); i++) {
		caller_send(&scene->caller, refusals[i].text);
		expect_reply(&scene->caller, refusals[i].error, refusals[i].part);
		caller_send(&scene->caller, GET_INFO);
		expect_info(&scene->caller);
	}
	assert_int_equal(play.connect.starts, 0);
	scene_free(scene);
}

static const char *const oneways[] = {
	"{\"method\":\"org.varlink.service.GetInfo\",\"oneway\":true}",
	"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"oneway\":true,"
	"\"parameters\":{\"interface\":\"io.ktlsd\"}}",
	"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"oneway\":true,"
	"\"parameters\":{\"interface\":\"org.example\"}}",
	"{\"method\":\"io.ktlsd.Nothing\",\"oneway\":true}",
	"{\"method\":\"org.varlink.service.GetInfo\",\"oneway\":true,\"unknown\":1}",
};

static void test_no_reply_is_wanted(void **state)
{
	struct scene *scene = scene_new();

	for (size_t i = 0; i < array_size(oneways); i++) {
		caller_send(&scene->caller, oneways[i]);
		caller_send(&scene->caller, GET_INTERFACE);
		expect_reply(&scene->caller, "interface io.ktlsd");
	}
	scene_free(scene);
}

static const struct {
	enum how resolve, connect, handshake;
	enum refusal refusal;
	const char *error, *stage, *part;
} failures[] = {
	{ 0, 0, 0, OF_TLS, "io.ktlsd.NotAuthorized", "policy", "\"retry\":false" },
	{ 0, 0, 0, OF_TRUST, INVALID_PARAMETER, "played", "\"parameter\":\"trust.ca\"" },
	{ FAILS_LATER, 0, 0, 0, "io.ktlsd.ResolveFailed", "resolve", "\"errno\":null" },
	{ 0, FAILS_LATER, 0, 0, "io.ktlsd.ConnectFailed", "connect",
	  "\"errno\":\"ECONNREFUSED\"" },
	{ NEVER, 0, 0, 0, "io.ktlsd.TimedOut", "resolve", "\"retry\":true" },
	{ 0, NEVER, 0, 0, "io.ktlsd.TimedOut", "connect", "\"retry\":true" },
	{ 0, 0, 0, OF_ATTACH, "io.ktlsd.KernelTlsUnavailable", "install", "\"errno\":\"ENOENT\"" },
	{ 0, 0, FAILS_LATER, 0, "io.ktlsd.HandshakeFailed", "handshake", "" },
	{ 0, 0, NEVER, 0, "io.ktlsd.TimedOut", "handshake", "" },
	{ 0, 0, 0, OF_KEYS, "io.ktlsd.NotOffloadable", "install", "" },
	{ 0, 0, 0, OF_INSTALL, "io.ktlsd.KernelTlsUnavailable", "install", "\"errno\":\"EBUSY\"" },
};

/* The error, no descriptor, and the next call is served. */
static void test_failures(void **state)
{
	for (size_t i = 0; i < array_size(failures); i++) {
		struct scene *scene = scene_new();
		struct config *config = &scene->theatre.config;

		config->limits.resolve_ms = config->limits.connect_ms = 10;
		config->limits.handshake_ms = 10;
		play.resolve.how = failures[i].resolve;
		play.connect.how = failures[i].connect;
		play.handshake.how = failures[i].handshake;
		play.refusal = failures[i].refusal;
		caller_send(&scene->caller, CONNECT);
		expect_reply(&scene->caller, failures[i].error, failures[i].stage,
			     failures[i].part);
		assert_int_equal(scene->caller.n_fds, 0);
		if (play.far_end >= 0)
			assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
		play_expect_over();
		caller_send(&scene->caller, GET_INFO);
		expect_info(&scene->caller);
		scene_free(scene);
	}
}

static void test_the_caller_s_timeout(void **state)
{
	struct scene *scene = scene_new();

	play.resolve.how = NEVER;
	caller_send(&scene->caller,
		    "{\"method\":\"io.ktlsd.Connect\",\"parameters\":"
		    "{\"host\":\"host.example\",\"port\":443,\"timeoutMs\":30}}");
	expect_error(&scene->caller, "io.ktlsd.TimedOut", "resolve");
	assert_true(clock_us() - scene->began_us >= 30000);
	assert_true(clock_us() - scene->began_us < (30 + LATE_MS) * 1000);
	scene_free(scene);
}

/* --- pipelining */

/* As many as may wait, at once or one after the other; they are answered in order. */
static void test_four_wait(void **state)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct scene *scene = scene_new();

		play.handshake = (struct played_stage){ .how = LATER, .later_ms = 50 };
		caller_send(&scene->caller, CONNECT);
		if (!at_once)
			run_until(play.loop, stage_runs, &play.handshake);
		send_many(scene, PROTO_PIPELINE_MAX);
		expect_connected(expect_socket_reply(&scene->caller));
		expect_many(scene, PROTO_PIPELINE_MAX);
		/* There is room again. */
		caller_send(&scene->caller, CONNECT);
		send_many(scene, PROTO_PIPELINE_MAX);
		expect_connected(expect_socket_reply(&scene->caller));
		expect_many(scene, PROTO_PIPELINE_MAX);
		scene_free(scene);
	}
}

static void test_five_are_too_many(void **state)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct scene *scene = scene_new();

		play.handshake.how = NEVER;
		caller_send(&scene->caller, CONNECT);
		if (!at_once) {
			run_until(play.loop, stage_runs, &play.handshake);
			send_many(scene, PROTO_PIPELINE_MAX);
			run_for(play.loop, 0.02);
			assert_false(scene->gone);
			send_many(scene, 1);
		} else {
			send_many(scene, PROTO_PIPELINE_MAX + 1);
		}
		expect_gone(scene);
		assert_int_equal(scene->caller.have, 0);
		scene_free(scene);
	}
}

static void test_connects_one_after_the_other(void **state)
{
	struct scene *scene = scene_new();

	play.resolve.how = LATER;
	for (int i = 0; i < 1 + PROTO_PIPELINE_MAX; i++)
		caller_send(&scene->caller, CONNECT);
	for (int i = 0; i < 1 + PROTO_PIPELINE_MAX; i++) {
		int fd = expect_socket_reply(&scene->caller);

		assert_true(theatre_requests(&scene->theatre) <= 1);
		close_fd(&fd);
	}
	assert_int_equal(play.resolve.starts, 1 + PROTO_PIPELINE_MAX);
	scene_free(scene);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_bytes),
		cmocka_unit_test(test_calls_in_one_write),
		cmocka_unit_test(test_the_longest_message),
		cmocka_unit_test(test_what_is_no_message),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_reply_is_wanted),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_the_caller_s_timeout),
		cmocka_unit_test(test_four_wait),
		cmocka_unit_test(test_five_are_too_many),
		cmocka_unit_test(test_connects_one_after_the_other),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
