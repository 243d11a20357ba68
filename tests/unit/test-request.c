/* SPDX-License-Identifier: MIT */
/* tests: daemon/env.c, daemon/sockopt.c */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
#include "tests/unit/stages.h"

#include "daemon/sockopt.h"

#include <netinet/tcp.h>

int __real_socket_prepare_hand_over(int fd, const struct config *config);
int __wrap_socket_prepare_hand_over(int fd, const struct config *config);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool no_memory;

int __wrap_socket_prepare_hand_over(int fd, const struct config *config)
{
	if (play.refusal == OF_PREPARE)
		return errno = EPERM, -1;
	return __real_socket_prepare_hand_over(fd, config);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* --- one run */

struct run {
	struct theatre theatre;
	struct request *request;
	bool take, free_in_done;
	bool done;
	unsigned int n_done;
	struct proto_status status;	/* as it was in done */
	struct proto_session session;
	int taken;
	uint64_t began_us, took_us;
};

static void on_done(struct request *request)
{
	struct run *run = request->owner;

	run->done = true;
	run->n_done++;
	run->took_us = clock_us() - run->began_us;
	run->status = request->status;
	run->session = request->session;
	if (run->take && run->status.error == PROTO_OK)
		run->taken = request_take(request);
	if (run->free_in_done)
		run->request = request_free(request);
}

static struct request *new_request(struct run *run, const char *host)
{
	struct proto_connect call = { .host = strdup(host), .port = 443, .timeout_ms = 20000 };
	struct request *request;

	call.trust.ca = strdup("CA text");
	request = request_new(&run->theatre.env, &call, run, on_done);
	assert_non_null(request);
	assert_null(call.host);
	assert_null(call.trust.ca);
	return request;
}

static void run_init(struct run *run)
{
	*run = (struct run){ .taken = -1 };
	theatre_open(&run->theatre);
}

static void run_begin(struct run *run, const char *host)
{
	if (!run->request)
		run->request = new_request(run, host);
	assert_int_equal(run->theatre.env.requests, 1);
	run->began_us = clock_us();
	request_start(run->request);
	assert_int_equal(run->n_done, 0);
}

static void run_to_done(struct run *run, const char *host)
{
	run_begin(run, host);
	run_until(play.loop, is_set, &run->done);
	assert_int_equal(run->n_done, 1);
}

/* The socket that connect made, if it did: alive in the caller's hands, or shut down. */
static void expect_socket(struct run *run)
{
	if (run->taken >= 0) {
		assert_string_equal(far_end_sees(play.far_end, 0), "");
		assert_int_equal(send(run->taken, "x", 1, MSG_NOSIGNAL), 1);
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "bytes");
	} else if (play.far_end >= 0) {
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	}
}

static void run_deinit(struct run *run)
{
	run->request = request_free(run->request);
	expect_quiet(play.loop);
	expect_socket(run);
	close_fd(&run->taken);
	theatre_close(&run->theatre);
}

/* --- every way that a request can go */

struct choice {
	const char *name;
	enum how how;
	enum refusal refusal;
	enum proto_error error;		/* PROTO_OK: the next stage comes */
	enum proto_stage stage;
};

#define LITERAL ((enum how)-1)

static const struct choice policies[] = {
	{ "allowed", 0, NOTHING, PROTO_OK, 0 },
	{ "refused", 0, OF_TLS, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY },
	{ "mistrusted", 0, OF_TRUST, PROTO_INVALID_PARAMETER, PROTO_STAGE_POLICY },
	{ "no kernel", 0, OF_KERNEL, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL },
	{ NULL }
};

static const struct choice resolves[] = {
	{ "literal", LITERAL, NOTHING, PROTO_OK, 0 },
	{ "resolved", AT_ONCE, NOTHING, PROTO_OK, 0 },
	{ "resolved later", LATER, NOTHING, PROTO_OK, 0 },
	{ "unknown", FAILS_AT_ONCE, NOTHING, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE },
	{ "unknown later", FAILS_LATER, NOTHING, PROTO_RESOLVE_FAILED, PROTO_STAGE_RESOLVE },
	{ "no answer", NEVER, NOTHING, PROTO_TIMED_OUT, PROTO_STAGE_RESOLVE },
	{ NULL }
};

static const struct choice connects[] = {
	{ "connected", AT_ONCE, NOTHING, PROTO_OK, 0 },
	{ "connected later", LATER, NOTHING, PROTO_OK, 0 },
	{ "refused", FAILS_AT_ONCE, NOTHING, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT },
	{ "refused later", FAILS_LATER, NOTHING, PROTO_CONNECT_FAILED, PROTO_STAGE_CONNECT },
	{ "dropped", NEVER, NOTHING, PROTO_TIMED_OUT, PROTO_STAGE_CONNECT },
	{ NULL }
};

static const struct choice handshakes[] = {
	{ "shaken", AT_ONCE, NOTHING, PROTO_OK, 0 },
	{ "shaken later", LATER, NOTHING, PROTO_OK, 0 },
	{ "no ULP", 0, OF_ATTACH, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL },
	{ "no start", 0, OF_START, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE },
	{ "alert", FAILS_AT_ONCE, NOTHING, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE },
	{ "alert later", FAILS_LATER, NOTHING, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE },
	{ "silence", NEVER, NOTHING, PROTO_TIMED_OUT, PROTO_STAGE_HANDSHAKE },
	{ NULL }
};

static const struct choice installs[] = {
	{ "installed", 0, NOTHING, PROTO_OK, 0 },
	{ "no keys", 0, OF_KEYS, PROTO_NOT_OFFLOADABLE, PROTO_STAGE_INSTALL },
	{ "no options", 0, OF_PREPARE, PROTO_INTERNAL_ERROR, PROTO_STAGE_INSTALL },
	{ "no kTLS", 0, OF_INSTALL, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL },
	{ NULL }
};

static const struct choice *const choices[] = {
	policies, resolves, connects, handshakes, installs,
};

#define N_STAGES array_size(choices)

/* One way: a choice for each stage, up to the one that ends it. */
struct way {
	const struct choice *steps[N_STAGES];
	const struct choice *last;
	bool connected;
};

static void way_play(const struct way *way, struct run *run)
{
	struct played_stage *stages[N_STAGES] = {
		NULL, &play.resolve, &play.connect, &play.handshake,
	};

	for (size_t i = 0; i < N_STAGES && way->steps[i]; i++) {
		if (stages[i])
			stages[i]->how = way->steps[i]->how;
		if (way->steps[i]->refusal)
			play.refusal = way->steps[i]->refusal;
	}
	if (play.refusal == OF_KERNEL) {
		run->theatre.env.kernel.ulp_errno = ENOENT;
		play.probe_finds_nothing = true;
	}
	run->theatre.config.limits.resolve_ms = 5;
	run->theatre.config.limits.connect_ms = 5;
	run->theatre.config.limits.handshake_ms = 5;
}

static const char *way_host(const struct way *way)
{
	return way->steps[1] && way->steps[1]->how == LITERAL ? "127.0.0.1" : "host.example";
}

static void way_name(const struct way *way, char name[static 128])
{
	*name = '\0';
	for (size_t i = 0; i < N_STAGES && way->steps[i]; i++)
		sprintf(name + strlen(name), "%s, ", way->steps[i]->name);
}

static void walk(struct way *way, size_t stage, void (*visit)(const struct way *way))
{
	for (const struct choice *choice = choices[stage]; choice->name; choice++) {
		way->steps[stage] = way->last = choice;
		way->connected = stage > 2;
		if (choice->error == PROTO_OK && stage + 1 < N_STAGES)
			walk(way, stage + 1, visit);
		else
			visit(way);
	}
	way->steps[stage] = NULL;
}

static void walk_all(void (*visit)(const struct way *way))
{
	struct way way = { .last = NULL };

	walk(&way, 0, visit);
}

static void expect_timings(const struct way *way, const struct run *run)
{
	const uint64_t took[] = { run->session.timings.resolve, run->session.timings.connect,
				  run->session.timings.handshake, run->session.timings.install };
	uint64_t sum = 0;

	for (size_t i = 0; i < array_size(took); i++) {
		bool passed = way->steps[i + 1] && way->steps[i + 1]->error == PROTO_OK;

		sum += took[i];
		if (passed && way->steps[i + 1]->how == LATER)
			assert_true(took[i] >= LATER_MS * 1000);
		if (!passed)
			assert_int_equal(took[i], 0);
	}
	assert_true(run->session.timings.total >= sum);
	assert_true(run->session.timings.total <= run->took_us);
}

static void expect_outcome(const struct way *way, const struct run *run)
{
	char name[128];

	way_name(way, name);
	if (run->status.error != way->last->error || run->status.stage != way->last->stage)
		fail_msg("%s: error %d in stage %d: %s", name, run->status.error, run->status.stage,
			 run->status.message);
	assert_int_equal(!!run->status.message[0], way->last->error != PROTO_OK);
	if (way->last->how == NEVER)
		assert_true(run->status.retry);
	if (way->connected && way->last->error == PROTO_OK)
		assert_non_null(strstr(run->session.address, ":443"));
	assert_int_equal(play.far_end >= 0, way->connected);
	expect_timings(way, run);
}

/* When the owner is done with a request, and how. */
static const struct {
	bool take, free_in_done;
} owners[] = { { true, true }, { true, false }, { false, true }, { false, false } };

static unsigned int ways;

static void go_to_the_end(const struct way *way)
{
	struct run run;

	ways++;
	for (size_t i = 0; i < array_size(owners); i++) {
		run_init(&run);
		way_play(way, &run);
		run.take = owners[i].take;
		run.free_in_done = owners[i].free_in_done;
		run_to_done(&run, way_host(way));
		expect_outcome(way, &run);
		assert_int_equal(run.taken >= 0, run.take && way->last->error == PROTO_OK);
		run_deinit(&run);
		assert_int_equal(run.n_done, 1);
	}
}

static void test_every_way_to_the_end(void **state)
{
	walk_all(go_to_the_end);
	/* 3 end in policy, 3 * 3 in connect ... */
	assert_int_equal(ways, 3 + 3 + 3 * 3 + 6 * 5 + 12 * 4);
}

/* --- cancelled: at every turn, before what the turn has brought is looked at or after */

struct cancel {
	struct run *run;
	unsigned int turn, at;
	ev_check check;
};

static void on_check(EV_P_ ev_check *check, int events)
{
	struct cancel *cancel = container_of(check, struct cancel, check);

	if (cancel->turn++ == cancel->at)
		cancel->run->request = request_free(cancel->run->request);
}

/* False: it was over before. */
static bool cancel_in_turn(struct run *run, unsigned int at)
{
	struct cancel cancel = { .run = run, .at = at };

	ev_check_init(&cancel.check, on_check);
	ev_set_priority(&cancel.check, EV_MAXPRI);
	ev_check_start(play.loop, &cancel.check);
	while (run->request && !run->done)
		run_one_turn(play.loop);
	ev_check_stop(play.loop, &cancel.check);
	return !run->done;
}

static bool cancel_behind_turn(struct run *run, unsigned int at)
{
	for (unsigned int turn = 0; turn < at && !run->done; turn++)
		run_one_turn(play.loop);
	run->request = request_free(run->request);
	return !run->done;
}

static bool (*const cancels[])(struct run *run, unsigned int at) = {
	cancel_in_turn, cancel_behind_turn,
};

static unsigned int cancelled;

static void cancel_everywhere(const struct way *way)
{
	struct run run;
	bool early;

	for (size_t i = 0; i < array_size(cancels); i++) {
		unsigned int at = 0;

		do {
			run_init(&run);
			way_play(way, &run);
			run_begin(&run, way_host(way));
			early = cancels[i](&run, at++);
			cancelled += early;
			assert_int_equal(run.n_done, !early);
			run_deinit(&run);
			assert_int_equal(run.n_done, !early);
		} while (early);
	}
}

static void test_every_way_cancelled_at_every_turn(void **state)
{
	walk_all(cancel_everywhere);
	/* Each way has its start and its first turn at least, but for those that end in it. */
	assert_true(cancelled > 2 * ways);
}

static void test_cancelled_before_the_start(void **state)
{
	struct run run;

	run_init(&run);
	run.request = new_request(&run, "host.example");
	run_deinit(&run);
	assert_int_equal(run.n_done, 0);
	assert_null(request_free(NULL));
}

/* --- deadlines */

enum timed { RESOLVE, CONNECT, HANDSHAKE, N_TIMED };

static const struct {
	struct played_stage *stage;
	size_t limit;
	enum proto_stage name;
} timed[N_TIMED] = {
	{ &play.resolve, offsetof(struct config, limits.resolve_ms), PROTO_STAGE_RESOLVE },
	{ &play.connect, offsetof(struct config, limits.connect_ms), PROTO_STAGE_CONNECT },
	{ &play.handshake, offsetof(struct config, limits.handshake_ms), PROTO_STAGE_HANDSHAKE },
};

static void set_limit(struct run *run, enum timed which, unsigned int ms)
{
	*(unsigned int *)((char *)&run->theatre.config + timed[which].limit) = ms;
}

/* What a loop on a machine that does other things, too, may be late. */
#define LATE_MS 150

static void expect_timed_out(const struct run *run, enum timed which, unsigned int ms)
{
	assert_int_equal(run->status.error, PROTO_TIMED_OUT);
	assert_int_equal(run->status.stage, timed[which].name);
	assert_true(run->status.retry);
	assert_int_equal(run->status.sys_errno, 0);
	if (run->took_us < ms * 1000 || run->took_us > (ms + LATE_MS) * 1000)
		fail_msg("timed out after %u us, not %u ms", (unsigned int)run->took_us, ms);
	assert_true(run->session.timings.total >= ms * 1000);
}

static void test_a_stage_s_limit_is_within_the_request_s(void **state)
{
	struct run run;

	for (enum timed which = 0; which < N_TIMED; which++) {
		run_init(&run);
		set_limit(&run, which, 40);
		timed[which].stage->how = NEVER;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 40);
		run_deinit(&run);
	}
}

static void test_the_request_s_limit_is_within_a_stage_s(void **state)
{
	struct run run;

	for (enum timed which = 0; which < N_TIMED; which++) {
		run_init(&run);
		timed[which].stage->how = NEVER;
		run.request = new_request(&run, "host.example");
		run.request->call.timeout_ms = 40;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 40);
		run_deinit(&run);
	}
}

/* What the stages before have used up is not there any more. */
static void test_the_request_s_limit_counts_from_its_start(void **state)
{
	struct run run;

	for (enum timed which = CONNECT; which < N_TIMED; which++) {
		run_init(&run);
		for (enum timed before = 0; before < which; before++) {
			timed[before].stage->how = LATER;
			timed[before].stage->later_ms = 240.0 / which;
		}
		timed[which].stage->how = NEVER;
		set_limit(&run, which, 290);
		run.request = new_request(&run, "host.example");
		run.request->call.timeout_ms = 300;
		run_to_done(&run, "host.example");
		expect_timed_out(&run, which, 300);
		run_deinit(&run);
	}
}

/* A stage's limit is its own: what those before have used does not count. */
static void test_a_stage_s_limit_counts_from_its_start(void **state)
{
	struct run run;

	run_init(&run);
	play.resolve = (struct played_stage){ .how = LATER, .later_ms = 60 };
	play.connect.how = NEVER;
	set_limit(&run, RESOLVE, 100);
	set_limit(&run, CONNECT, 50);
	run_to_done(&run, "host.example");
	expect_timed_out(&run, CONNECT, 110);
	run_deinit(&run);
}

/* The loop's idea of now is older than the work that has been done in this turn. */
static void test_deadline_of_a_busy_loop(void **state)
{
	struct run run;

	run_init(&run);
	play.busy_ms = 200;
	play.resolve.how = NEVER;
	set_limit(&run, RESOLVE, 50);
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, 250);
	run_deinit(&run);

	run_init(&run);
	play.busy_ms = 60;
	play.resolve.how = NEVER;
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = 20;
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, 60);
	run_deinit(&run);
}

static void test_the_least_and_the_largest_timeout(void **state)
{
	struct run run;

	run_init(&run);
	play.resolve.how = NEVER;
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = PROTO_TIMEOUT_MIN_MS;
	run_to_done(&run, "host.example");
	expect_timed_out(&run, RESOLVE, PROTO_TIMEOUT_MIN_MS);
	run_deinit(&run);

	run_init(&run);
	play.resolve.how = NEVER;
	set_limit(&run, RESOLVE, 24 * 60 * 60 * 1000);
	run.request = new_request(&run, "host.example");
	run.request->call.timeout_ms = PROTO_TIMEOUT_MAX_MS;
	run_begin(&run, "host.example");
	run_for(play.loop, 0.05);
	assert_false(run.done);
	assert_true(ev_timer_remaining(play.loop, &run.request->deadline) > 119);
	assert_true(ev_timer_remaining(play.loop, &run.request->deadline) <= 120);
	run_deinit(&run);
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
		run_init(&run);
		run.theatre.config.service.allow_verify_none = allowed;
		run.request = new_request(&run, "127.0.0.1");
		run.request->call.trust.verify = PROTO_VERIFY_NONE;
		run_to_done(&run, "127.0.0.1");
		assert_int_equal(run.status.error, allowed ? PROTO_OK : PROTO_NOT_AUTHORIZED);
		assert_int_equal(run.status.stage, allowed ? 0 : PROTO_STAGE_POLICY);
		assert_int_equal(play.far_end >= 0, allowed);
		run_deinit(&run);
	}
}

/* So many may be under way, and one more is told so, however they come. */
static void test_busy(void **state)
{
	struct run run;
	struct request *requests[4];

	for (unsigned int limit = 1; limit < array_size(requests); limit++) {
		run_init(&run);
		run.theatre.config.limits.requests = limit;
		play.resolve.how = NEVER;
		/* Of these only one goes as far as resolving: played stages have room for one. */
		for (unsigned int i = 0; i < limit; i++)
			requests[i] = new_request(&run, "host.example");
		run.request = new_request(&run, "host.example");
		request_start(run.request);
		run_until(play.loop, is_set, &run.done);
		assert_int_equal(run.status.error, PROTO_BUSY);
		assert_int_equal(run.status.stage, PROTO_STAGE_POLICY);
		assert_true(run.status.retry);
		assert_int_equal(play.resolve.starts, 0);
		assert_int_equal(play.live_ssl, 0);
		run.request = request_free(run.request);

		run.done = false;
		play.resolve.how = FAILS_AT_ONCE;
		request_start(requests[0]);
		run_until(play.loop, is_set, &run.done);
		assert_int_equal(run.status.error, PROTO_RESOLVE_FAILED);
		for (unsigned int i = 0; i < limit; i++)
			request_free(requests[i]);
		run_deinit(&run);
	}
}

static bool all_done(void *arg)
{
	struct run *run = arg;

	return run->n_done == run->theatre.env.requests;
}

/* Of two in one turn with room for one, the first has it. */
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
	run_until(play.loop, all_done, &run);
	assert_int_equal(others[0]->status.error, PROTO_RESOLVE_FAILED);
	assert_int_equal(others[1]->status.error, PROTO_BUSY);
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
	assert_null(request_new(&run.theatre.env, &call, &run, on_done));
	no_memory = false;
	assert_string_equal(call.host, "host.example");
	assert_int_equal(run.theatre.env.requests, 0);
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
		cmocka_unit_test(test_every_way_to_the_end),
		cmocka_unit_test(test_every_way_cancelled_at_every_turn),
		cmocka_unit_test(test_cancelled_before_the_start),
		cmocka_unit_test(test_a_stage_s_limit_is_within_the_request_s),
		cmocka_unit_test(test_the_request_s_limit_is_within_a_stage_s),
		cmocka_unit_test(test_the_request_s_limit_counts_from_its_start),
		cmocka_unit_test(test_a_stage_s_limit_counts_from_its_start),
		cmocka_unit_test(test_deadline_of_a_busy_loop),
		cmocka_unit_test(test_the_least_and_the_largest_timeout),
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
		cmocka_unit_test(test_a_kernel_that_takes_nothing_is_asked_anew),
		cmocka_unit_test(test_a_peer_that_was_gone_before_the_handshake),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
