/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=calloc,--wrap=strdup */
#include "tests/unit/stages.h"

#include "daemon/stats.h"

#define LOADED 1801396800 /* 2027-01-31T12:00:00Z */
#define SUITE "ECDHE-RSA-AES256-GCM-SHA384"
/* Microseconds that an answer may cost, with every seat in use; on a machine with other things to do. */
#define COST_MAX 20000

/* --- memory: so many allocations, and then one that fails; -1: none does */

static int left = -1;

static bool is_short(void)
{
	return left >= 0 && left-- == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t n, size_t size)
{
	return is_short() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
	return is_short() ? NULL : __real_strdup(text);
}

/* --- a service that has done something */

static struct theatre *theatre_new(void)
{
	static struct theatre theatre;

	theatre_open(&theatre);
	theatre.env.loaded = LOADED;
	return &theatre;
}

static void do_one(struct theatre *theatre, enum request_aim aim, unsigned int ending,
		   enum proto_stage stage, const struct proto_session *session)
{
	tally_begin(theatre->tally, theatre->book.seat, aim);
	tally_end(theatre->tally, theatre->book.seat, aim, ending, stage, session);
}

static struct proto_report report_of(const struct theatre *theatre)
{
	struct proto_report report;

	assert_true(stats_report(&theatre->env, theatre->caller.account, &report));
	return report;
}

static uint64_t outcomes(const struct proto_report *report, const char *method,
			 const char *outcome, const char *stage)
{
	const struct proto_outcome *items = report->outcomes.items;

	for (size_t i = 0; i < report->outcomes.n; i++)
		if (!strcmp(items[i].method, method) && !strcmp(items[i].outcome, outcome) &&
		    (stage ? items[i].stage && !strcmp(items[i].stage, stage) : !items[i].stage))
			return items[i].count;
	return 0;
}

static const struct proto_latency *latency(const struct proto_report *report, const char *stage)
{
	const struct proto_latency *items = report->latencies.items;

	assert_int_equal(report->latencies.n, 5);
	for (size_t i = 0; i < report->latencies.n; i++)
		if (!strcmp(items[i].stage, stage))
			return &items[i];
	fail_msg("no latency of %s", stage);
	return NULL;
}

static const struct proto_quota *quota(const struct proto_report *report, const char *name)
{
	const struct proto_quota *items = report->quotas.items;

	assert_int_equal(report->quotas.n, 4);
	for (size_t i = 0; i < report->quotas.n; i++)
		if (!strcmp(items[i].name, name))
			return &items[i];
	fail_msg("no quota of %s", name);
	return NULL;
}

/* --- what is told */

static void test_at_rest(void **state)
{
	struct theatre *theatre = theatre_new();
	struct proto_report report = report_of(theatre);
	const struct proto_worker *worker = report.workers.items;

	assert_string_equal(report.version, KTLSD_VERSION);
	assert_string_equal(report.loaded, "2027-01-31T12:00:00Z");
	assert_int_equal(strlen(report.since), strlen(report.loaded));
	assert_int_equal(report.pid, getpid());
	assert_int_equal(report.workers.n, 1);
	assert_int_equal(worker->pid, getpid());
	assert_string_equal(worker->since, report.since);
	assert_int_equal(report.outcomes.n + report.sessions.n, 0);
	assert_int_equal(report.under_way + report.calls_refused + report.records_suppressed, 0);
	assert_int_equal(report.workers_lost + report.reloads, 0);
	assert_int_equal(latency(&report, "total")->count, 0);
	assert_int_equal(latency(&report, "total")->p99, 0);
	proto_report_deinit(&report);
	theatre_close(theatre);
}

static void test_outcomes(void **state)
{
	const struct proto_session session = { .version = "TLSv1.2", .cipher = SUITE }, none = { 0 };
	struct theatre *theatre = theatre_new();
	struct proto_report report;

	do_one(theatre, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE, &session);
	do_one(theatre, REQUEST_CONNECT, ENDING_NOT_TAKEN, PROTO_STAGE_NONE, &session);
	do_one(theatre, REQUEST_PROBE, PROTO_OK, PROTO_STAGE_NONE, &session);
	do_one(theatre, REQUEST_PROBE, ENDING_CANCELLED, PROTO_STAGE_RESOLVE, &none);
	do_one(theatre, REQUEST_CONNECT, PROTO_TIMED_OUT, PROTO_STAGE_HANDSHAKE, &none);
	do_one(theatre, REQUEST_CONNECT, PROTO_TIMED_OUT, PROTO_STAGE_HANDSHAKE, &none);
	do_one(theatre, REQUEST_CONNECT, PROTO_TIMED_OUT, PROTO_STAGE_CONNECT, &none);
	report = report_of(theatre);
	assert_int_equal(report.outcomes.n, 6);
	assert_int_equal(outcomes(&report, "Connect", "ok", NULL), 1);
	assert_int_equal(outcomes(&report, "Connect", "not-taken", NULL), 1);
	assert_int_equal(outcomes(&report, "Probe", "ok", NULL), 1);
	assert_int_equal(outcomes(&report, "Probe", "cancelled", "resolve"), 1);
	assert_int_equal(outcomes(&report, "Connect", "TimedOut", "handshake"), 2);
	assert_int_equal(outcomes(&report, "Connect", "TimedOut", "connect"), 1);
	assert_int_equal(report.sessions.n, 1);
	assert_string_equal(((struct proto_agreed *)report.sessions.items)->version, "TLSv1.2");
	assert_string_equal(((struct proto_agreed *)report.sessions.items)->cipher, SUITE);
	assert_int_equal(((struct proto_agreed *)report.sessions.items)->count, 3);
	proto_report_deinit(&report);
	theatre_close(theatre);
}

static void test_latencies(void **state)
{
	struct proto_session session = { 0 };
	struct theatre *theatre = theatre_new();
	const struct proto_latency *handshake;
	const struct proto_bucket *buckets;
	struct proto_report report;

	for (unsigned int i = 0; i < 100; i++) {
		session.timings.handshake = i < 50 ? 64 : i < 99 ? 65 : 1 << 30;
		do_one(theatre, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE, &session);
	}
	report = report_of(theatre);
	handshake = latency(&report, "handshake");
	buckets = handshake->buckets.items;
	assert_int_equal(handshake->count, 100);
	assert_int_equal(handshake->sum, 50 * 64 + 49 * 65 + (1 << 30));
	assert_int_equal(handshake->p50, 64);
	assert_in_range(handshake->p90, 65, 73);
	assert_int_equal(handshake->p99, handshake->p90);
	assert_int_equal(handshake->buckets.n, 22);
	for (size_t i = 0; i < handshake->buckets.n; i++) {
		assert_int_equal(buckets[i].up_to, 64 << i);
		assert_int_equal(buckets[i].count, i ? 99 : 50);
	}
	assert_int_equal(latency(&report, "resolve")->count, 0);
	proto_report_deinit(&report);
	theatre_close(theatre);
}

static void test_workers(void **state)
{
	struct theatre *theatre = theatre_new();
	struct proto_worker *workers;
	struct proto_report report;

	tally_enter(theatre->tally, 3, 4711);
	tally_enter(theatre->tally, 5, 4712);
	theatre->tally->shared->workers[5].since = LOADED;
	tally_begin(theatre->tally, 3, REQUEST_PROBE);
	tally_begin(theatre->tally, 5, REQUEST_CONNECT);
	tally_begin(theatre->tally, 5, REQUEST_CONNECT);
	tally_refuse(theatre->tally, 5);
	tally_suppress(theatre->tally, 3);
	tally_leave(theatre->tally, 3, false);
	tally_reload(theatre->tally);
	report = report_of(theatre);
	workers = report.workers.items;
	assert_int_equal(report.workers.n, 2);
	assert_int_equal(workers[1].pid, 4712);
	assert_string_equal(workers[1].since, "2027-01-31T12:00:00Z");
	assert_int_equal(workers[1].under_way, 2);
	assert_int_equal(report.under_way, 2);
	assert_int_equal(report.workers_lost, 1);
	assert_int_equal(report.reloads, 1);
	assert_int_equal(report.calls_refused, 1);
	assert_int_equal(report.records_suppressed, 1);
	assert_int_equal(outcomes(&report, "Probe", "lost", NULL), 1);
	assert_int_equal(outcomes(&report, "Connect", "lost", NULL), 0);
	proto_report_deinit(&report);
	tally_leave(theatre->tally, 5, false);
	theatre_close(theatre);
}

/* The caller's own and everybody's, and nobody else's by himself. */
static void test_quotas(void **state)
{
	struct theatre *theatre = theatre_new();
	unsigned int other = ledger_open(theatre->ledger, 4711, clock_us());
	unsigned int mine = theatre->caller.account;
	struct charge charges[5] = { 0 };
	struct proto_report report;

	assert_int_not_equal(other, mine);
	for (size_t i = 0; i < 4; i++)
		charge_set(&charges[i], &theatre->book, i ? other : mine, QUOTA_REQUESTS, 1, 9, 9);
	charge_set(&charges[4], &theatre->book, mine, QUOTA_MEMORY, 700, 9999, 9999);
	report = report_of(theatre);
	assert_int_equal(quota(&report, "requests")->used, 4);
	assert_int_equal(quota(&report, "requests")->limit, 512);
	assert_int_equal(quota(&report, "requests")->user_used, 1);
	assert_int_equal(quota(&report, "memoryKiB")->used, 700);
	assert_int_equal(quota(&report, "memoryKiB")->limit, 256 * 1024);
	assert_int_equal(quota(&report, "memoryKiB")->user_limit, 64 * 1024);
	assert_int_equal(quota(&report, "undelivered")->user_limit, 16);
	assert_int_equal(quota(&report, "connections")->used, 2);
	assert_int_equal(quota(&report, "connections")->user_used, 1);
	assert_int_equal(quota(&report, "connections")->limit, 1024);
	proto_report_deinit(&report);
	for (size_t i = 0; i < array_size(charges); i++)
		charge_give_back(&charges[i]);
	ledger_close(theatre->ledger, other);
	theatre_close(theatre);
}

/* --- what goes wrong */

static void test_no_memory(void **state)
{
	struct theatre *theatre = theatre_new();
	struct proto_report report;
	int n;

	for (n = 0;; n++) {
		bool good;

		left = n;
		good = stats_report(&theatre->env, theatre->caller.account, &report);
		assert_int_equal(good, left >= 0);
		proto_report_deinit(&report);
		if (good)
			break;
	}
	left = -1;
	assert_in_range(n, 30, 100);
	theatre_close(theatre);
}

/* Whatever a worker that went astray has written, the answer can be given. */
static void test_astray(void **state)
{
	struct theatre *theatre = theatre_new();
	struct proto_report report;
	size_t length;
	char *text;

	for (unsigned int fill = 0; fill < 2; fill++) {
		memset(theatre->tally->shared, fill ? 0x7f : 0xff, sizeof(*theatre->tally->shared));
		report = report_of(theatre);
		assert_int_equal(report.workers.n, LEDGER_SEATS);
		text = proto_report_encode(&report, &length);
		assert_non_null(text);
		free(text);
		proto_report_deinit(&report);
	}
	memset(theatre->tally->shared, 0, sizeof(*theatre->tally->shared));
	theatre_close(theatre);
}

/* With all seats in use, every outcome and every suite. */
static void test_cost(void **state)
{
	struct theatre *theatre = theatre_new();
	struct proto_report report;
	uint64_t began_us;
	size_t length = 0;
	char *text;

	memset(theatre->tally->shared, 1, sizeof(*theatre->tally->shared));
	theatre->tally->shared->seats = LEDGER_SEATS;
	began_us = clock_us();
	report = report_of(theatre);
	text = proto_report_encode(&report, &length);
	began_us = clock_us() - began_us;
	print_message("%zu bytes in %u us at worst\n", length, (unsigned int)began_us);
	assert_non_null(text);
	if (!RUNNING_ON_VALGRIND)
		assert_in_range(began_us, 1, COST_MAX);
	free(text);
	proto_report_deinit(&report);
	memset(theatre->tally->shared, 0, sizeof(*theatre->tally->shared));
	began_us = clock_us();
	report = report_of(theatre);
	text = proto_report_encode(&report, &length);
	print_message("%zu bytes in %u us at rest\n", length, (unsigned int)(clock_us() - began_us));
	free(text);
	proto_report_deinit(&report);
	theatre_close(theatre);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_rest),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_latencies),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_quotas),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_astray),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, play_init, play_deinit);
}
