/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/tally.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SUITE "ECDHE-RSA-AES256-GCM-SHA384"
#define SAMPLES 10000

static struct tally *tally_with_worker(void)
{
	struct tally *tally = tally_new();

	assert_non_null(tally);
	tally_enter(tally, 0, getpid());
	return tally;
}

static struct tally_counts all_of(const struct tally *tally)
{
	struct tally_counts all;

	tally_add_up(tally, &all);
	return all;
}

static uint64_t ended_in_all(const struct tally_counts *all, enum request_aim aim)
{
	uint64_t n = 0;

	for (unsigned int ending = 0; ending < N_ENDINGS; ending++)
		for (unsigned int stage = 0; stage < ENDING_STAGES; stage++)
			n += all->ended[aim][ending][stage];
	return n;
}

static void end_one(struct tally *tally, unsigned int seat, enum request_aim aim)
{
	const struct proto_session session = { .timings = { .total = 5 } };

	tally_end(tally, seat, aim, PROTO_BUSY, PROTO_STAGE_POLICY, &session);
}

/* --- requests */

static void test_each_where_it_belongs(void **state)
{
	const struct proto_session session = {
		.version = "TLSv1.2", .cipher = SUITE,
		.timings = { .resolve = 1, .connect = 20, .install = 3000, .total = 40000 },
	};
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	for (enum request_aim aim = 0; aim < N_REQUEST_AIMS; aim++)
		for (unsigned int ending = 0; ending < N_ENDINGS; ending++)
			for (enum proto_stage stage = 0; stage < ENDING_STAGES; stage++)
				for (unsigned int n = 0; n < 1 + ending * ENDING_STAGES + stage; n++) {
					tally_begin(tally, 0, aim);
					tally_end(tally, 0, aim, ending, stage, &session);
				}
	all = all_of(tally);
	for (enum request_aim aim = 0; aim < N_REQUEST_AIMS; aim++) {
		for (unsigned int i = 0; i < N_ENDINGS * ENDING_STAGES; i++)
			assert_int_equal(all.ended[aim][i / ENDING_STAGES][i % ENDING_STAGES], 1 + i);
		assert_int_equal(all.begun[aim], ended_in_all(&all, aim));
	}
	assert_int_equal(all.times[0].count, all.begun[0] + all.begun[1]);
	assert_int_equal(all.times[0].sum, all.times[0].count);
	assert_int_equal(all.times[1].sum, 20 * all.times[0].count);
	assert_int_equal(all.times[2].count, 0);
	assert_int_equal(all.times[3].sum, 3000 * all.times[0].count);
	assert_int_equal(all.times[4].sum, 40000 * all.times[0].count);
	assert_null(tally_free(tally));
}

static void test_under_way(void **state)
{
	struct tally *tally = tally_with_worker();

	tally_enter(tally, 2, getpid());
	assert_int_equal(tally_seats(tally), 3);
	tally_begin(tally, 0, REQUEST_CONNECT);
	tally_begin(tally, 0, REQUEST_PROBE);
	tally_begin(tally, 2, REQUEST_PROBE);
	assert_int_equal(tally_under_way(tally, 0), 2);
	assert_int_equal(tally_under_way(tally, 1), 0);
	assert_int_equal(tally_under_way(tally, 2), 1);
	end_one(tally, 0, REQUEST_PROBE);
	assert_int_equal(tally_under_way(tally, 0), 1);
	end_one(tally, 0, REQUEST_CONNECT);
	assert_int_equal(tally_under_way(tally, 0), 0);
	tally_free(tally);
}

static void test_calls_and_records(void **state)
{
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	tally_enter(tally, 1, getpid());
	tally_refuse(tally, 0);
	tally_refuse(tally, 1);
	tally_refuse(tally, 1);
	tally_suppress(tally, 1);
	all = all_of(tally);
	assert_int_equal(all.refused, 3);
	assert_int_equal(all.suppressed, 1);
	tally_free(tally);
}

/* --- workers that are lost */

/* As a worker, until it is killed. */
static void lose_worker(struct tally *tally, unsigned int connects, unsigned int probes)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned int i = 0; i < 5; i++) {
			tally_begin(tally, 1, REQUEST_CONNECT);
			end_one(tally, 1, REQUEST_CONNECT);
		}
		while (connects--)
			tally_begin(tally, 1, REQUEST_CONNECT);
		while (probes--)
			tally_begin(tally, 1, REQUEST_PROBE);
		raise(SIGKILL);
	}
	tally_enter(tally, 1, pid);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_lost_once(void **state)
{
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	lose_worker(tally, 3, 2);
	assert_int_equal(tally->shared->workers[1].pid != 0, true);
	assert_int_equal(tally_under_way(tally, 1), 5);
	assert_int_equal(tally_leave(tally, 1, false), 5);
	assert_int_equal(tally->shared->workers[1].pid, 0);
	assert_int_equal(tally_under_way(tally, 1), 0);
	/* The seat is used again; what was counted in it stays, what was lost is not lost again. */
	lose_worker(tally, 1, 0);
	assert_int_equal(tally_under_way(tally, 1), 1);
	assert_int_equal(tally_leave(tally, 1, false), 1);
	lose_worker(tally, 0, 0);
	assert_int_equal(tally_leave(tally, 1, true), 0);
	all = all_of(tally);
	assert_int_equal(tally->shared->lost[REQUEST_CONNECT], 4);
	assert_int_equal(tally->shared->lost[REQUEST_PROBE], 2);
	assert_int_equal(tally->shared->workers_lost, 2);
	assert_int_equal(all.begun[REQUEST_CONNECT], 15 + 4);
	assert_int_equal(ended_in_all(&all, REQUEST_CONNECT), 15);
	assert_int_equal(tally_seats(tally), 2);
	tally_free(tally);
}

/* Whatever stands there, reading it ends, and one seat's nonsense makes no nonsense of the lost. */
static void test_astray(void **state)
{
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	for (unsigned int fill = 0; fill < 3; fill++) {
		memset(tally->shared, fill == 0 ? 0xff : fill == 1 ? 0x80 : 0x7f,
		       sizeof(*tally->shared));
		assert_int_equal(tally_seats(tally), LEDGER_SEATS);
		tally_add_up(tally, &all);
		for (unsigned int seat = 0; seat < LEDGER_SEATS; seat++)
			assert_in_range(tally_under_way(tally, seat), 0, 2 * TALLY_UNDER_WAY_MAX);
		for (unsigned int percent = 0; percent <= 100; percent++)
			assert_in_range(tally_quantile(&all.times[0], percent), 0, 1ULL << 32);
		tally_up_to(&all.times[0], UINT64_MAX);
		assert_in_range(tally_leave(tally, 7, false), 0, 2 * TALLY_UNDER_WAY_MAX);
		/* And from then on it counts again. */
		tally_enter(tally, 7, getpid());
		assert_int_equal(tally_under_way(tally, 7), 0);
		tally_begin(tally, 7, REQUEST_PROBE);
		assert_int_equal(tally_leave(tally, 7, false), 1);
	}
	tally_free(tally);
}

/* --- sessions */

static uint64_t sessions(const struct tally *tally, unsigned int version, const char *suite)
{
	struct tally_counts all = all_of(tally);

	for (size_t i = 0; i < tally->n_suites; i++)
		if (!strcmp(tally->suites[i], suite))
			return all.sessions[version][i];
	return all.sessions[version][TALLY_SUITES];
}

static void agree(struct tally *tally, const char *version, const char *suite)
{
	struct proto_session session = { 0 };

	strcpy(session.version, version);
	strcpy(session.cipher, suite);
	tally_end(tally, 0, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE, &session);
}

static void test_sessions(void **state)
{
	struct tally *tally = tally_with_worker();

	assert_in_range(tally->n_suites, 30, TALLY_SUITES - 1);
	agree(tally, "TLSv1.2", SUITE);
	agree(tally, "TLSv1.2", SUITE);
	agree(tally, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305");
	agree(tally, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
	agree(tally, "TLSv1.2", "NO-SUCH-SUITE");
	agree(tally, "", "");
	assert_int_equal(sessions(tally, 0, SUITE), 2);
	assert_int_equal(sessions(tally, 0, "ECDHE-ECDSA-CHACHA20-POLY1305"), 1);
	assert_int_equal(sessions(tally, 1, "TLS_AES_128_GCM_SHA256"), 1);
	assert_int_equal(sessions(tally, 0, ""), 1);
	assert_int_equal(sessions(tally, 1, ""), 0);
	tally_free(tally);
}

/* --- durations */

static int by_size(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return one < other ? -1 : one > other;
}

static void take_time(struct tally *tally, uint64_t us)
{
	const struct proto_session session = { .timings = { .total = us } };

	tally_end(tally, 0, REQUEST_CONNECT, PROTO_OK, PROTO_STAGE_NONE, &session);
}

/* Held against the sorted samples themselves, with each distribution. */
static void quantiles_of(uint64_t (*sample)(void))
{
	static uint64_t sorted[SAMPLES];
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	for (size_t i = 0; i < SAMPLES; i++)
		take_time(tally, sorted[i] = sample());
	qsort(sorted, SAMPLES, sizeof(*sorted), by_size);
	all = all_of(tally);
	for (unsigned int percent = 1; percent <= 100; percent++) {
		uint64_t exact = sorted[SAMPLES / 100 * percent - 1];
		uint64_t told = tally_quantile(&all.times[4], percent);

		if (told < exact || told - exact > exact / 8)
			fail_msg("%u%%: %llu for %llu", percent, (unsigned long long)told,
				 (unsigned long long)exact);
	}
	tally_free(tally);
}

static uint64_t few(void)
{
	return 1 + (uint64_t)random() % 12;
}

static uint64_t even(void)
{
	return 1 + (uint64_t)random() % 1000000;
}

/* As many of each power of two. */
static uint64_t wide(void)
{
	return 1 + (((uint64_t)random() << 1) >> random() % 32);
}

static void test_quantiles(void **state)
{
	srandom(1);
	quantiles_of(few);
	quantiles_of(even);
	quantiles_of(wide);
}

static void test_few_samples(void **state)
{
	struct tally *tally = tally_with_worker();
	struct tally_counts all = all_of(tally);

	assert_int_equal(tally_quantile(&all.times[4], 50), 0);
	take_time(tally, 7);
	all = all_of(tally);
	assert_int_equal(tally_quantile(&all.times[4], 50), 7);
	assert_int_equal(tally_quantile(&all.times[4], 99), 7);
	take_time(tally, 3);
	all = all_of(tally);
	assert_int_equal(tally_quantile(&all.times[4], 50), 3);
	assert_int_equal(tally_quantile(&all.times[4], 51), 7);
	take_time(tally, 0);
	assert_int_equal(all_of(tally).times[4].count, 2);
	tally_free(tally);
}

/* A power of two is in, the next number is not. */
static void test_buckets(void **state)
{
	for (unsigned int power = 0; power < 32; power++) {
		struct tally *tally = tally_with_worker();
		uint64_t us = UINT64_C(1) << power;
		struct tally_counts all;

		take_time(tally, us);
		take_time(tally, us + 1);
		if (us > 1)
			take_time(tally, us - 1);
		all = all_of(tally);
		assert_int_equal(tally_up_to(&all.times[4], us), us > 1 ? 2 : 1);
		assert_int_equal(tally_up_to(&all.times[4], 2 * us), us > 1 ? 3 : 2);
		tally_free(tally);
	}
}

static void test_longer_than_there_are_slots(void **state)
{
	struct tally *tally = tally_with_worker();
	struct tally_counts all;

	take_time(tally, UINT64_MAX);
	take_time(tally, (UINT64_C(1) << 32) + 1);
	all = all_of(tally);
	assert_int_equal(all.times[4].count, 2);
	assert_int_equal(all.times[4].sum, UINT64_C(1) << 32);	/* around the end of all numbers */
	assert_int_equal(tally_quantile(&all.times[4], 50), UINT64_C(1) << 32);
	assert_int_equal(tally_up_to(&all.times[4], UINT64_C(1) << 31), 0);
	tally_free(tally);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_where_it_belongs),
		cmocka_unit_test(test_under_way),
		cmocka_unit_test(test_calls_and_records),
		cmocka_unit_test(test_lost_once),
		cmocka_unit_test(test_astray),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_few_samples),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_longer_than_there_are_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
