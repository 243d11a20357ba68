/* SPDX-License-Identifier: MIT */
#include "tests/unit/process.h"

#include "daemon/rate.h"

#include <pthread.h>
#include <sys/mman.h>

#define SECOND UINT64_C(1000000)

static unsigned int take_all(_Atomic uint64_t *word, uint64_t now, unsigned int per_second,
			     unsigned int burst)
{
	unsigned int n = 0;

	while (n <= burst && rate_take(word, now, per_second, burst))
		n++;
	return n;
}

/* Where the clock may stand: at its beginning, as it does, and where the word goes round. */
static const uint64_t clocks[] = {
	0, 1, SECOND, UINT64_C(1) << 40, (UINT64_C(1) << 51) - 5 * SECOND, UINT64_C(1) << 51,
	(UINT64_C(1) << 52) - 2 * 3600 * SECOND, UINT64_C(1) << 52, UINT64_MAX - 3 * 3600 * SECOND,
};

static void test_from_nothing(void **state)
{
	for (size_t i = 0; i < array_size(clocks); i++) {
		_Atomic uint64_t word = 0;

		assert_int_equal(take_all(&word, clocks[i], 10, 7), 7);
		assert_int_equal(take_all(&word, clocks[i], 10, 7), 0);
	}
}

static void test_refill(void **state)
{
	for (size_t i = 0; i < array_size(clocks); i++) {
		_Atomic uint64_t word = 0;
		uint64_t now = clocks[i];

		assert_int_equal(take_all(&word, now, 10, 7), 7);
		assert_int_equal(take_all(&word, now += SECOND / 10 - 1, 10, 7), 0);
		assert_int_equal(take_all(&word, now += 1, 10, 7), 1);
		assert_int_equal(take_all(&word, now += SECOND / 2, 10, 7), 5);
		assert_int_equal(take_all(&word, now += SECOND * 7 / 10, 10, 7), 7);
		assert_int_equal(take_all(&word, now += 3600 * SECOND, 10, 7), 7);
	}
}

/* However long nobody came: also for so long that the word has gone round. */
static void test_idle(void **state)
{
	for (int bits = 20; bits < 64; bits++) {
		_Atomic uint64_t word = 0;

		assert_int_equal(take_all(&word, SECOND, 1000, 50), 50);
		assert_int_equal(take_all(&word, 9 * SECOND + (UINT64_C(1) << bits), 1000, 50),
				 50);
	}
}

static void test_nothing_allowed(void **state)
{
	_Atomic uint64_t word = 0;

	assert_false(rate_take(&word, SECOND, 0, 5));
	assert_false(rate_take(&word, SECOND, 5, 0));
	assert_int_equal(word, 0);
}

static void test_figures_at_their_ends(void **state)
{
	static const unsigned int ends[] = { 1, 2, 3, 999999, 1000000, 1000001, UINT32_MAX };

	for (size_t i = 0; i < array_size(ends); i++) {
		_Atomic uint64_t word = 0;

		assert_int_equal(take_all(&word, SECOND, ends[i], 5), 5);
		assert_int_equal(take_all(&word, 6 * SECOND, ends[i], 5), 5);
		word = 0;
		for (int n = 0; n < 1000; n++)
			assert_true(rate_take(&word, 7 * SECOND, ends[i], UINT32_MAX));
	}
}

/* What was read before another took is not the far past, in which everything was free. */
static void test_clock_read_before(void **state)
{
	_Atomic uint64_t word = 0;
	uint64_t now = 3600 * SECOND;

	assert_int_equal(take_all(&word, now, 10, 7), 7);
	for (uint64_t late = 1; late < 1800 * SECOND; late *= 3)
		assert_int_equal(take_all(&word, now - late, 10, 7), 0);
	assert_int_equal(take_all(&word, now + SECOND, 10, 7), 7);
}

static void test_recovered(void **state)
{
	_Atomic uint64_t word = 0;
	uint64_t now = 3600 * SECOND;

	assert_true(rate_recovered(&word, 0));
	assert_true(rate_recovered(&word, now));
	assert_int_equal(take_all(&word, now, 10, 7), 7);
	assert_false(rate_recovered(&word, now));
	assert_false(rate_recovered(&word, now + SECOND * 7 / 10 - 1));
	assert_true(rate_recovered(&word, now + SECOND * 7 / 10 + 1));
	assert_true(rate_recovered(&word, now + 3600 * 24 * 366 * SECOND));
}

/* Two that know other figures, on one word. */
static void test_figures_change(void **state)
{
	_Atomic uint64_t word = 0;

	assert_int_equal(take_all(&word, SECOND, 10, 10), 10);
	assert_int_equal(take_all(&word, SECOND, 100, 10), 0);
	assert_int_equal(take_all(&word, 2 * SECOND, 100, 10), 10);
	assert_int_equal(take_all(&word, 2 * SECOND, 10, 10), 9);
	assert_int_equal(take_all(&word, 3 * SECOND, 10, 10), 10);
}

/* --- against a bucket into which tokens fall, counted exactly: in parts of a token */

struct bucket {
	uint64_t parts, now; /* a token is SECOND parts, and in a microsecond per_second come in */
};

static bool bucket_take(struct bucket *bucket, uint64_t now, unsigned int per_second,
			unsigned int burst)
{
	uint64_t room = burst * SECOND - bucket->parts;

	bucket->parts += now - bucket->now > room / per_second ? room
							       : (now - bucket->now) * per_second;
	bucket->now = now;
	if (bucket->parts < SECOND)
		return false;
	bucket->parts -= SECOND;
	return true;
}

/* Pauses of every size, among them those in which it is about the last microsecond. */
static uint64_t pass(unsigned int *seed, unsigned int per_second)
{
	uint64_t each = SECOND / per_second;

	switch (rand_r(seed) % 5) {
	case 0:
		return 0;
	case 1:
		return each + rand_r(seed) % 3 - (each ? 1 : 0);
	case 2:
		return rand_r(seed) % (2 * each + 2);
	case 3:
		return rand_r(seed) % (20 * each + 2);
	default:
		return rand_r(seed) % 1000 ? 1 : rand_r(seed) * UINT64_C(1000);
	}
}

static void test_like_a_bucket(void **state)
{
	/* Divisors of a million, so that the word can be as exact as the bucket. */
	static const unsigned int rates[] = { 1, 2, 5, 10, 64, 1000, 15625, 1000000 };
	unsigned int seed = 1;

	for (size_t i = 0; i < 10 * array_size(rates); i++) {
		unsigned int rate = rates[i % array_size(rates)], burst = 1 + rand_r(&seed) % 40;
		uint64_t now = clocks[i % array_size(clocks)];
		struct bucket bucket = { burst * SECOND, now };
		_Atomic uint64_t word = 0;

		for (int n = 0; n < 3000; n++) {
			now += pass(&seed, rate);
			if (rate_take(&word, now, rate, burst) !=
			    bucket_take(&bucket, now, rate, burst))
				fail_msg("%u a second, %u at once: take %d differs", rate, burst, n);
		}
	}
}

/* Whatever the rate, who comes all the time gets what it says. */
static void test_no_drift(void **state)
{
	static const unsigned int rates[] = { 1, 3, 7, 11, 299, 1001 };
	const unsigned int takes = 30000;

	for (size_t i = 0; i < array_size(rates); i++) {
		_Atomic uint64_t word = 0;
		uint64_t now = 77, exact = 77;

		assert_true(rate_take(&word, now, rates[i], 2));
		for (unsigned int n = 0; n < takes; n++) {
			exact = 77 + n * SECOND / rates[i];
			now = exact > now ? exact : now;
			while (!rate_take(&word, now, rates[i], 2))
				now++;
		}
		assert_in_range(now, exact, exact + 1 + takes / 4096);
	}
}

/* --- several at once */

struct crowd {
	_Atomic uint64_t word;
	_Atomic unsigned int taken, waiting;
};

/* More tries than there are to be had, and enough that they meet. */
#define CROWD 4
#define TRIES 4000000
#define CROWD_BURST 15000000

/* All at one time, so that the number of those who get one is known. */
static void *take_many(void *arg)
{
	struct crowd *crowd = arg;
	unsigned int taken = 0;

	crowd->waiting--;
	while (crowd->waiting)
		sched_yield();
	for (int i = 0; i < TRIES; i++)
		taken += rate_take(&crowd->word, 5 * SECOND, 10, CROWD_BURST);
	crowd->taken += taken;
	return NULL;
}

static void test_threads(void **state)
{
	struct crowd crowd = { .waiting = CROWD };
	pthread_t threads[CROWD];

	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, &crowd), 0);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.taken, CROWD_BURST);
}

static void test_processes(void **state)
{
	struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	assert_ptr_not_equal(crowd, MAP_FAILED);
	crowd->waiting = CROWD;
	for (int i = 0; i < CROWD; i++)
		if (fork() == 0) {
			take_many(crowd);
			_exit(0);
		}
	for (int i = 0; i < CROWD; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(crowd->taken, CROWD_BURST);
	munmap(crowd, sizeof(*crowd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_nothing),
		cmocka_unit_test(test_refill),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_nothing_allowed),
		cmocka_unit_test(test_figures_at_their_ends),
		cmocka_unit_test(test_clock_read_before),
		cmocka_unit_test(test_recovered),
		cmocka_unit_test(test_figures_change),
		cmocka_unit_test(test_like_a_bucket),
		cmocka_unit_test(test_no_drift),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
