/* SPDX-License-Identifier: MIT */
/* tests: daemon/stages.c */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc */
#include "tests/unit/run.h"

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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_way_to_the_end),
		cmocka_unit_test(test_every_way_cancelled_at_every_turn),
		cmocka_unit_test(test_cancelled_before_the_start),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
