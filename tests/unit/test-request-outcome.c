/* SPDX-License-Identifier: MIT */
/* tests: daemon/env.c, daemon/sockopt.c */
/* tests: daemon/attach.c */
/* tests: daemon/gai.c */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
/* link: -Wl,--wrap=session_keys_wipe */
#include "tests/unit/run.h"

#include <netinet/tcp.h>

/* --- keys */

void __real_session_keys_wipe(struct session_keys *keys);
void __wrap_session_keys_wipe(struct session_keys *keys);

static unsigned int wiped;

void __wrap_session_keys_wipe(struct session_keys *keys)
{
	wiped++;
	__real_session_keys_wipe(keys);
}

static void test_keys_are_wiped(void **state)
{
	static const enum refusal refusals[] = { NOTHING, OF_KEYS, OF_PREPARE, OF_INSTALL };

	for (size_t i = 0; i < array_size(refusals); i++) {
		struct run run;

		run_init(&run);
		play.refusal = refusals[i];
		wiped = 0;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(wiped, 1);
		run_deinit(&run);
	}
}

/* --- what is handed over */

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static void test_the_socket_s_options(void **state)
{
	struct run run;

	for (int bits = 0; bits < 4; bits++) {
		run_init(&run);
		run.theatre.config.service.tcp_no_delay = bits & 1;
		run.theatre.config.service.tcp_keepalive = bits & 2;
		run.take = true;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(fcntl(run.taken, F_GETFL), O_RDWR);
		assert_int_equal(option(run.taken, IPPROTO_TCP, TCP_NODELAY), bits & 1);
		assert_int_equal(option(run.taken, SOL_SOCKET, SO_KEEPALIVE), bits >> 1);
		run_deinit(&run);
	}
}

static void test_socket_options_that_cannot_be_set(void **state)
{
	struct config config = { .service.tcp_keepalive = true };
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(__real_socket_prepare_hand_over(pipes[0], &config), -1);
	assert_int_equal(errno, ENOTSOCK);
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	assert_int_equal(__real_socket_prepare_hand_over(-1, &config), -1);
	assert_int_equal(errno, EBADF);
}

/* A socket is taken once. */
static void test_taken_once(void **state)
{
	struct run run;

	run_init(&run);
	run_to_done(&run, "127.0.0.1");
	run.taken = request_take(run.request);
	assert_true(run.taken >= 0);
	assert_int_equal(request_take(run.request), -1);
	run_deinit(&run);
}

/*
 * The error is what counts, and if it comes without a word in the status, the request has failed
 * all the same: from a socket without keys, or with those of one direction, plain text goes out.
 */
static void test_failure_without_a_word(void **state)
{
	static const enum refusal refusals[] = {
		OF_TLS, OF_TRUST, OF_ATTACH, OF_START, OF_KEYS, OF_INSTALL,
	};
	struct run run;

	for (size_t i = 0; i <= array_size(refusals); i++) {
		run_init(&run);
		run.take = true;
		play.silent = true;
		if (i < array_size(refusals))
			play.refusal = refusals[i];
		else
			play.handshake.how = FAILS_LATER;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(run.taken, -1);
		assert_int_equal(run.status.error, PROTO_INTERNAL_ERROR);
		assert_true(run.status.stage != PROTO_STAGE_NONE);
		assert_int_equal(request_take(run.request), -1);
		run_deinit(&run);
	}
}

/* --- resolve */

static void test_why_a_name_was_not_resolved(void **state)
{
	static const struct {
		int gai_error, sys_errno;
		bool lost;
		enum proto_error error;
		bool retry;
		const char *word;
	} answers[] = {
		{ EAI_NONAME, 0, false, PROTO_RESOLVE_FAILED, false, "not known" },
		{ EAI_NODATA, 0, false, PROTO_RESOLVE_FAILED, false, "No address" },
		{ EAI_AGAIN, 0, false, PROTO_RESOLVE_FAILED, true, "Temporary" },
		{ EAI_SYSTEM, EIO, false, PROTO_RESOLVE_FAILED, true, "Input/output" },
		/* No answer is not an answer. */
		{ EAI_SYSTEM, EPIPE, true, PROTO_INTERNAL_ERROR, true, "process" },
	};
	struct run run;

	for (size_t i = 0; i < array_size(answers); i++) {
		run_init(&run);
		play.resolve.how = FAILS_LATER;
		play.gai_error = answers[i].gai_error;
		play.sys_errno = answers[i].sys_errno;
		play.lost = answers[i].lost;
		run_to_done(&run, "host.example");
		assert_int_equal(run.status.error, answers[i].error);
		assert_int_equal(run.status.stage, PROTO_STAGE_RESOLVE);
		assert_int_equal(run.status.sys_errno, answers[i].sys_errno);
		assert_int_equal(run.status.retry, answers[i].retry);
		assert_non_null(strstr(run.status.message, answers[i].word));
		assert_non_null(strstr(run.status.message, "host.example"));
		run_deinit(&run);
	}
}

/* --- policy */

static void test_verify_none_needs_permission(void **state)
{
	struct run run;

	for (int allowed = 0; allowed < 2; allowed++) {
		struct config_access rule = { .allow_verify_none = allowed };

		run_init(&run);
		run.theatre.config.access = &rule;
		run.theatre.config.n_access = 1;
		run.request = new_request(&run, "127.0.0.1");
		run.request->call.trust.verify = PROTO_VERIFY_NONE;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(run.status.error, allowed ? PROTO_OK : PROTO_NOT_AUTHORIZED);
		assert_int_equal(run.status.stage, allowed ? 0 : PROTO_STAGE_POLICY);
		assert_int_equal(play.far_end >= 0, allowed);
		run_deinit(&run);
	}
}

/* So many may be under way, of a user or of all, and one more is told so. */
static void test_busy(void **state)
{
	struct run run;
	struct charge others[4];

	for (unsigned int limit = 1; limit < 2 * array_size(others); limit++) {
		unsigned int n = (limit + 1) / 2;

		run_init(&run);
		*(limit % 2 ? &run.theatre.config.limits.requests
			    : &run.theatre.config.limits.user_requests) = n;
		play.resolve.how = FAILS_AT_ONCE;
		memset(others, 0, sizeof(others));
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(charge_set(&others[i], &run.theatre.book,
						     run.theatre.caller.account, QUOTA_REQUESTS, 1,
						     512, 512), LEDGER_TAKEN);
		run_to_done(&run, "host.example");
		assert_int_equal(run.status.error, PROTO_BUSY);
		assert_int_equal(run.status.stage, PROTO_STAGE_POLICY);
		assert_true(run.status.retry);
		assert_non_null(strstr(run.status.message, limit % 2 ? " Requests=" : "UserRequests="));
		assert_int_equal(play.resolve.starts, 0);
		assert_int_equal(play.live_ssl, 0);
		run.request = request_free(run.request);

		charge_give_back(&others[0]);
		run.done = false;
		run.n_done = 0;
		run_to_done(&run, "host.example");
		assert_int_equal(run.status.error, PROTO_RESOLVE_FAILED);
		for (unsigned int i = 0; i < n; i++)
			charge_give_back(&others[i]);
		run_deinit(&run);
	}
}

static bool both_done(void *arg)
{
	return ((struct run *)arg)->n_done == 2;
}

/* Of two in one turn with room for one, one has it, and keeps it until it is freed. */
static void test_busy_counts_those_before(void **state)
{
	struct run run;
	struct request *others[2];

	run_init(&run);
	run.theatre.config.limits.requests = 1;
	play.resolve.how = FAILS_AT_ONCE;
	for (size_t i = 0; i < array_size(others); i++) {
		others[i] = new_request(&run, "host.example");
		request_start(others[i]);
	}
	run_until(play.loop, both_done, &run);
	assert_int_not_equal(others[0]->status.error, others[1]->status.error);
	for (size_t i = 0; i < array_size(others); i++)
		assert_true(others[i]->status.error == PROTO_RESOLVE_FAILED ||
			    others[i]->status.error == PROTO_BUSY);
	for (size_t i = 0; i < array_size(others); i++)
		request_free(others[i]);
	run_deinit(&run);
}

static void test_no_memory_for_a_request(void **state)
{
	struct run run;
	struct proto_connect call = { .host = strdup("host.example"), .port = 443 };

	run_init(&run);
	no_memory = true;
	assert_null(request_new(&run.theatre.env, &run.theatre.caller, &call, &run, on_done));
	no_memory = false;
	assert_string_equal(call.host, "host.example");
	assert_int_equal(theatre_requests(&run.theatre), 0);
	proto_connect_deinit(&call);
	run_deinit(&run);
}

/* --- the kernel changes */

static void expect_probes(struct run *run, unsigned int probes)
{
	run->done = false;
	run->n_done = 0;
	run->request = request_free(run->request);
	play.resolve = play.connect = play.handshake = (struct played_stage){ .how = AT_ONCE };
	run_to_done(run, "127.0.0.1");
	assert_int_equal(play.probes, probes);
	play_expect_over();
}

static void make_old(struct run *run)
{
	run->theatre.env.probed_us -= ENV_PROBE_INTERVAL_US;
}

static void test_a_kernel_that_refused_is_asked_anew(void **state)
{
	static const enum refusal refusals[] = { OF_ATTACH, OF_INSTALL };
	struct run run;

	for (size_t i = 0; i < array_size(refusals); i++) {
		run_init(&run);
		make_old(&run);
		expect_probes(&run, 0);
		play.refusal = refusals[i];
		expect_probes(&run, 0);
		play.refusal = NOTHING;
		expect_probes(&run, 1);
		expect_probes(&run, 1);
		make_old(&run);
		expect_probes(&run, 1);
		/* No more often than the interval says. */
		play.refusal = refusals[i];
		expect_probes(&run, 1);
		run.theatre.env.probed_us = clock_us();
		expect_probes(&run, 1);
		make_old(&run);
		expect_probes(&run, 2);
		run_deinit(&run);
	}
}

/* Its answer is none, and the one before stays until there is one. */
static void test_a_kernel_without_memory_is_asked_again(void **state)
{
	struct run run;

	run_init(&run);
	play.refusal = OF_INSTALL;
	expect_probes(&run, 0);
	play.refusal = NOTHING;
	play.cipher_errno = ENOMEM;
	for (unsigned int i = 1; i < 4; i++) {
		make_old(&run);
		expect_probes(&run, i);
		assert_int_equal(run.theatre.env.kernel.cipher_errno[0], 0);
		assert_int_equal(run.status.error, PROTO_OK);
	}
	play.cipher_errno = ENOENT;
	make_old(&run);
	expect_probes(&run, 4);
	assert_int_equal(run.theatre.env.kernel.cipher_errno[0], ENOENT);
	make_old(&run);
	expect_probes(&run, 4);
	run_deinit(&run);
}

static void test_a_kernel_that_takes_nothing_is_asked_anew(void **state)
{
	struct run run;

	run_init(&run);
	play.probe_finds_nothing = true;
	run.theatre.env.kernel.ulp_errno = ENOENT;
	make_old(&run);
	expect_probes(&run, 1);
	assert_int_equal(run.status.error, PROTO_KERNEL_TLS_UNAVAILABLE);
	expect_probes(&run, 1);
	play.probe_finds_nothing = false;
	make_old(&run);
	expect_probes(&run, 2);
	assert_int_equal(run.status.error, PROTO_OK);
	run_deinit(&run);
}

/* The peer has closed or reset already: that was its doing, and the kernel need not be asked. */
static void test_a_peer_that_was_gone_before_the_handshake(void **state)
{
	static const struct {
		enum proto_error error;
		enum proto_stage stage;
		int sys_errno;
		const char *word;
	} expected[] = {
		[STAYS] = { PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL, ENOTCONN, "played" },
		[CLOSES] = { PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, 0, "closed" },
		[RESETS] = { PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, ECONNRESET, "reset" },
	};
	struct run run;

	for (size_t i = 0; i < array_size(expected); i++) {
		run_init(&run);
		play.refusal = OF_ATTACH;
		play.attach_errno = ENOTCONN;
		play.leaves = i;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(run.status.error, expected[i].error);
		assert_int_equal(run.status.stage, expected[i].stage);
		assert_int_equal(run.status.sys_errno, expected[i].sys_errno);
		assert_non_null(strstr(run.status.message, expected[i].word));
		assert_int_equal(run.theatre.env.kernel_changed, i == STAYS);
		run_deinit(&run);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_wiped),
		cmocka_unit_test(test_the_socket_s_options),
		cmocka_unit_test(test_socket_options_that_cannot_be_set),
		cmocka_unit_test(test_taken_once),
		cmocka_unit_test(test_failure_without_a_word),
		cmocka_unit_test(test_why_a_name_was_not_resolved),
		cmocka_unit_test(test_verify_none_needs_permission),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_busy_counts_those_before),
		cmocka_unit_test(test_no_memory_for_a_request),
		cmocka_unit_test(test_a_kernel_that_refused_is_asked_anew),
		cmocka_unit_test(test_a_kernel_without_memory_is_asked_again),
		cmocka_unit_test(test_a_kernel_that_takes_nothing_is_asked_anew),
		cmocka_unit_test(test_a_peer_that_was_gone_before_the_handshake),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
