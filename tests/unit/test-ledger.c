/* SPDX-License-Identifier: MIT */
#include "tests/unit/process.h"

#include "daemon/ledger.h"
#include "daemon/rate.h"

#include <sys/mman.h>

#define NOW UINT64_C(1000000000)
#define PLENTY 1000000u
#define MOST_US UINT64_C(90000000)

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new();

	assert_non_null(ledger);
	return ledger;
}

/* Nothing of anybody's is left. */
static void expect_empty(const struct ledger *ledger)
{
	for (enum quota quota = 0; quota < N_QUOTAS; quota++) {
		assert_int_equal(ledger_in_all(ledger, quota), 0);
		for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
			if (ledger->users[i].known)
				assert_int_equal(ledger_of_user(ledger, i, quota), 0);
	}
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
		assert_int_equal(ledger->users[i].connections, 0);
}

static struct book new_book(struct ledger *ledger)
{
	struct book book = { ledger, ledger_seat(ledger) };

	assert_true(book.seat < LEDGER_SEATS);
	return book;
}

/* --- accounts */

static void test_no_ledger(void **state)
{
	assert_null(ledger_free(NULL));
}

static void test_an_account_is_found_again(void **state)
{
	struct ledger *ledger = new_ledger();
	unsigned int first = ledger_open(ledger, 1000, NOW), other = ledger_open(ledger, 1001, NOW);

	assert_int_not_equal(first, other);
	assert_int_equal(ledger_open(ledger, 1000, NOW), first);
	assert_int_equal(ledger->users[first].connections, 2);
	assert_int_equal(ledger->users[other].connections, 1);
	ledger_close(ledger, first);
	ledger_close(ledger, first);
	assert_int_equal(ledger_open(ledger, 1000, NOW), first);
	ledger_close(ledger, first);
	ledger_close(ledger, other);
	expect_empty(ledger);
	ledger_free(ledger);
}

/* Workers tell how many connections there are; what the supervisor goes by is its own. */
static void test_connections_may_be_told(void **state)
{
	struct ledger *ledger = new_ledger();
	unsigned int first = ledger_open(ledger, 1000, NOW), other = ledger_open(ledger, 1001, NOW);

	ledger_open(ledger, 1000, NOW);
	assert_int_equal(ledger->shared->connections, 3);
	assert_int_equal(ledger->accounts[first].connections, 2);
	assert_int_equal(ledger->accounts[other].connections, 1);
	ledger->accounts[first].connections = ledger->shared->connections = 4711;
	ledger_close(ledger, first);
	assert_int_equal(ledger->users[first].connections, 1);
	assert_int_equal(ledger->accounts[first].connections, 1);
	assert_int_equal(ledger->shared->connections, 2);
	ledger_close(ledger, first);
	ledger_close(ledger, other);
	assert_int_equal(ledger->shared->connections, 0);
	ledger_free(ledger);
}

/* Two whose numbers want the same place. */
#define ONE 7u
#define TWO (ONE + LEDGER_ACCOUNTS)
#define THREE (ONE + 2 * LEDGER_ACCOUNTS)

static void test_users_that_meet_have_an_account_each(void **state)
{
	static const uid_t uids[] = { ONE, TWO, THREE, (uid_t)-1, 0 };
	struct ledger *ledger = new_ledger();
	unsigned int accounts[array_size(uids)];

	for (size_t i = 0; i < array_size(uids); i++) {
		accounts[i] = ledger_open(ledger, uids[i], NOW);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(accounts[i], accounts[j]);
	}
	for (size_t i = 0; i < array_size(uids); i++) {
		assert_int_equal(ledger_open(ledger, uids[i], NOW), accounts[i]);
		assert_int_equal(ledger->users[accounts[i]].uid, uids[i]);
	}
	/* The one before him on the way has gone: that does not make him another. */
	ledger_close(ledger, accounts[0]);
	ledger_close(ledger, accounts[0]);
	assert_int_equal(ledger_open(ledger, TWO, NOW), accounts[1]);
	ledger_free(ledger);
}

/* What keeps an account its user's. */
static void keep_by_connection(struct ledger *ledger, unsigned int account)
{
	ledger->users[account].connections++;
}

/* One a second is taken: so long it lasts. */
#define SECOND UINT64_C(1000000)

static void keep_by_request_rate(struct ledger *ledger, unsigned int account)
{
	assert_true(rate_take(&ledger->accounts[account].request_rate, NOW - SECOND + 1, 1, 1));
}

static void keep_by_record_rate(struct ledger *ledger, unsigned int account)
{
	assert_true(rate_take(&ledger->accounts[account].records.rate, NOW - SECOND + 1, 1, 1));
}

static void keep_by_charge(struct ledger *ledger, unsigned int account)
{
	ledger->taken[account][N_QUOTAS - 1][LEDGER_SEATS - 1] = 1;
}

static void (*const keepers[])(struct ledger *ledger, unsigned int account) = {
	keep_by_connection, keep_by_request_rate, keep_by_record_rate, keep_by_charge,
};

static void test_an_account_is_used_again_only_when_empty(void **state)
{
	for (size_t i = 0; i < array_size(keepers); i++) {
		struct ledger *ledger = new_ledger();
		unsigned int account = ledger_open(ledger, ONE, NOW);

		ledger_close(ledger, account);
		keepers[i](ledger, account);
		assert_int_not_equal(ledger_open(ledger, TWO, NOW), account);
		ledger_free(ledger);
	}
}

static void test_an_account_that_is_used_again_is_new(void **state)
{
	struct ledger *ledger = new_ledger();
	unsigned int account = ledger_open(ledger, ONE, NOW);

	assert_true(rate_take(&ledger->accounts[account].request_rate, NOW - SECOND, 1, 1));
	assert_true(rate_take(&ledger->accounts[account].records.rate, NOW - 2 * SECOND, 1, 1));
	ledger->accounts[account].records.suppressed = 5;
	ledger_close(ledger, account);
	assert_int_equal(ledger_open(ledger, TWO, NOW), account);
	assert_int_equal(ledger->users[account].uid, TWO);
	assert_int_equal(ledger->accounts[account].request_rate, 0);
	assert_int_equal(ledger->accounts[account].records.rate, 0);
	assert_int_equal(ledger->accounts[account].records.suppressed, 0);
	/* For him whose it was there is another one. */
	assert_int_not_equal(ledger_open(ledger, ONE, NOW), account);
	ledger_free(ledger);
}

/* But his own is kept as it was, however empty. */
static void test_rates_outlive_connections(void **state)
{
	struct ledger *ledger = new_ledger();
	unsigned int account = ledger_open(ledger, ONE, NOW);

	ledger->accounts[account].request_rate = 500;
	ledger->accounts[account].records.suppressed = 5;
	ledger_close(ledger, account);
	assert_int_equal(ledger_open(ledger, ONE, NOW), account);
	assert_int_equal(ledger->accounts[account].request_rate, 500);
	assert_int_equal(ledger->accounts[account].records.suppressed, 5);
	ledger_free(ledger);
}

static void test_too_many_users(void **state)
{
	struct ledger *ledger = new_ledger();
	static bool seen[LEDGER_ACCOUNTS];

	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++) {
		unsigned int account = ledger_open(ledger, 100000 + 3 * i, NOW);

		assert_true(account < LEDGER_ACCOUNTS);
		assert_false(seen[account]);
		seen[account] = true;
	}
	assert_int_equal(ledger_open(ledger, 1, NOW), LEDGER_NO_ACCOUNT);
	/* Who has one is served, and who goes makes room. */
	assert_true(ledger_open(ledger, 100000, NOW) < LEDGER_ACCOUNTS);
	ledger_close(ledger, ledger_open(ledger, 100300, NOW));
	assert_int_equal(ledger_open(ledger, 1, NOW), LEDGER_NO_ACCOUNT);
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
		if (ledger->users[i].uid == 100300)
			ledger_close(ledger, i);
	assert_true(ledger_open(ledger, 1, NOW) < LEDGER_ACCOUNTS);
	assert_int_equal(ledger_open(ledger, 2, NOW), LEDGER_NO_ACCOUNT);
	ledger_free(ledger);
}

/* --- seats */

static void test_seats(void **state)
{
	struct ledger *ledger = new_ledger();
	static bool seen[LEDGER_SEATS];

	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < LEDGER_SEATS; i++) {
		unsigned int seat = ledger_seat(ledger);

		assert_true(seat < LEDGER_SEATS);
		assert_false(seen[seat]);
		seen[seat] = true;
	}
	assert_int_equal(ledger_seat(ledger), LEDGER_SEATS);
	ledger_leave(ledger, 77);
	assert_int_equal(ledger_seat(ledger), 77);
	assert_int_equal(ledger_seat(ledger), LEDGER_SEATS);
	ledger_free(ledger);
}

/* What was taken is given back, and of no other worker's. */
static void test_a_seat_that_is_left(void **state)
{
	struct ledger *ledger = new_ledger();
	struct book mine = new_book(ledger), other = new_book(ledger);
	struct charge charges[6] = { { 0 } };

	for (size_t i = 0; i < array_size(charges); i++)
		assert_int_equal(charge_set(&charges[i], i % 2 ? &mine : &other, 5 + i % 3,
					     i / 3 ? QUOTA_UNDELIVERED : QUOTA_REQUESTS, 1, PLENTY,
					     PLENTY), LEDGER_TAKEN);
	assert_int_equal(book_balance(&mine), 3);
	ledger_leave(ledger, mine.seat);
	assert_int_equal(book_balance(&mine), 0);
	assert_int_equal(book_balance(&other), 3);
	assert_int_equal(ledger_in_all(ledger, QUOTA_REQUESTS) +
			 ledger_in_all(ledger, QUOTA_UNDELIVERED), 3);
	assert_int_equal(ledger_seat(ledger), mine.seat);
	for (size_t i = 0; i < array_size(charges); i += 2)
		charge_give_back(&charges[i]);
	expect_empty(ledger);
	ledger_free(ledger);
}

/* --- charges */

static void test_a_charge_is_given_back_once(void **state)
{
	struct ledger *ledger = new_ledger();
	struct book book = new_book(ledger);
	struct charge charge = { 0 };

	charge_give_back(&charge);
	assert_int_equal(charge_set(&charge, &book, 3, QUOTA_REQUESTS, 1, 1, 1), LEDGER_TAKEN);
	assert_int_equal(ledger_of_user(ledger, 3, QUOTA_REQUESTS), 1);
	assert_int_equal(ledger_of_user(ledger, 3, QUOTA_UNDELIVERED), 0);
	assert_int_equal(ledger_of_user(ledger, 4, QUOTA_REQUESTS), 0);
	charge_give_back(&charge);
	charge_give_back(&charge);
	expect_empty(ledger);
	assert_int_equal(charge_set(&charge, &book, 3, QUOTA_REQUESTS, 1, 1, 1), LEDGER_TAKEN);
	charge_give_back(&charge);
	ledger_free(ledger);
}

struct expected {
	unsigned int account;
	enum quota quota;
	unsigned int of_user, in_all;
	enum ledger_answer answer;
};

/* Sums go over all seats; what was refused leaves no trace. */
static void test_limits(void **state)
{
	static const struct expected expected[] = {
		{ 1, QUOTA_REQUESTS, 0, 5, LEDGER_USER_FULL },
		{ 1, QUOTA_REQUESTS, 2, 5, LEDGER_TAKEN },
		{ 1, QUOTA_REQUESTS, 2, 5, LEDGER_TAKEN },
		{ 1, QUOTA_REQUESTS, 2, 5, LEDGER_USER_FULL },
		{ 2, QUOTA_REQUESTS, 2, 2, LEDGER_FULL },
		{ 2, QUOTA_REQUESTS, 2, 3, LEDGER_TAKEN },
		{ 1, QUOTA_UNDELIVERED, 1, 1, LEDGER_TAKEN },
		{ 2, QUOTA_UNDELIVERED, 1, 1, LEDGER_FULL },
		{ 1, QUOTA_REQUESTS, 2, 3, LEDGER_USER_FULL },
	};
	struct ledger *ledger = new_ledger();
	struct book books[] = { new_book(ledger), new_book(ledger), new_book(ledger) };
	struct charge charges[array_size(expected)] = { { 0 } };

	for (size_t i = 0; i < array_size(expected); i++) {
		const struct expected *e = &expected[i];

		assert_int_equal(charge_set(&charges[i], &books[i % 3], e->account, e->quota, 1,
					     e->of_user, e->in_all), e->answer);
		assert_int_equal(charges[i].book != NULL, e->answer == LEDGER_TAKEN);
	}
	assert_int_equal(ledger_of_user(ledger, 1, QUOTA_REQUESTS), 2);
	assert_int_equal(ledger_in_all(ledger, QUOTA_REQUESTS), 3);
	for (size_t i = 0; i < array_size(charges); i++)
		charge_give_back(&charges[i]);
	expect_empty(ledger);
	ledger_free(ledger);
}

/* An amount grows and shrinks; what would be too much leaves it as it was. */
static void test_amounts(void **state)
{
	struct ledger *ledger = new_ledger();
	struct book book = new_book(ledger), other = new_book(ledger);
	struct charge charge = { 0 }, others = { 0 };
	static const struct {
		unsigned int n, of_user, in_all;
		enum ledger_answer answer;
		unsigned int left;
	} steps[] = {
		{ 10, 10, 10, LEDGER_TAKEN, 10 },
		{ 11, 10, 99, LEDGER_USER_FULL, 10 },
		{ 16, 99, 15, LEDGER_FULL, 10 },
		{ 4, 3, 3, LEDGER_TAKEN, 4 },	/* less is never refused */
		{ 10, 10, 15, LEDGER_TAKEN, 10 },
		{ 0, 0, 0, LEDGER_TAKEN, 0 },
		{ 1, 1, 99, LEDGER_TAKEN, 1 },
	};

	assert_int_equal(charge_set(&others, &other, 2, QUOTA_MEMORY, 5, 5, 5), LEDGER_TAKEN);
	for (size_t i = 0; i < array_size(steps); i++) {
		assert_int_equal(charge_set(&charge, &book, 1, QUOTA_MEMORY, steps[i].n,
					    steps[i].of_user,
					    i == 0 ? 15 : steps[i].in_all), steps[i].answer);
		assert_int_equal(charge.n, steps[i].left);
		assert_int_equal(charge.book != NULL, steps[i].left != 0);
		assert_int_equal(ledger_of_user(ledger, 1, QUOTA_MEMORY), steps[i].left);
		assert_int_equal(ledger_in_all(ledger, QUOTA_MEMORY), steps[i].left + 5);
	}
	assert_int_equal(book_balance(&book), 1);
	charge_give_back(&charge);
	charge_give_back(&others);
	expect_empty(ledger);
	ledger_free(ledger);
}

/* --- whose work a worker was at when it was lost */

static uint64_t barred_until(const struct ledger *ledger, unsigned int account)
{
	return ledger->accounts[account].barred_until_us;
}

static void test_bars_grow(void **state)
{
	struct ledger *ledger = new_ledger();
	struct book book = new_book(ledger);
	unsigned int one = ledger_open(ledger, ONE, NOW), two = ledger_open(ledger, TWO, NOW);
	uint64_t expected = LEDGER_BAR_MIN_US;

	for (unsigned int i = 0; i < 100; i++) {
		ledger->at_work[book.seat] = one + 1;
		ledger_bar(ledger, book.seat, NOW + i, MOST_US);
		assert_int_equal(barred_until(ledger, one), NOW + i + expected);
		expected = expected * 2 < MOST_US ? expected * 2 : MOST_US;
	}
	ledger->at_work[book.seat] = two + 1;
	ledger_bar(ledger, book.seat, NOW, 0);
	assert_int_equal(barred_until(ledger, two), NOW);
	/* It outlives his connections, and is nobody else's. */
	ledger_close(ledger, one);
	assert_int_equal(ledger_open(ledger, ONE, NOW), one);
	ledger_close(ledger, one);
	ledger_free(ledger);
}

static void test_nobody_s_work(void **state)
{
	static const unsigned int nobody[] = { 0, LEDGER_ACCOUNTS + 1, ~0U };
	struct ledger *ledger = new_ledger();
	struct book book = new_book(ledger);

	for (size_t i = 0; i < array_size(nobody); i++) {
		ledger->at_work[book.seat] = nobody[i];
		ledger_bar(ledger, book.seat, NOW, MOST_US);
	}
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
		assert_int_equal(barred_until(ledger, i), 0);
	ledger->at_work[book.seat] = 1;
	ledger_leave(ledger, book.seat);
	assert_int_equal(ledger->at_work[book.seat], 0);
	ledger_free(ledger);
}

/* --- processes */

/* A worker that went astray writes all over what it has. */
static void scribble(struct ledger *ledger, unsigned char byte)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		memset(ledger->shared, byte, sizeof(*ledger->shared));
		memset(ledger, byte, sizeof(*ledger));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What the supervisor goes by stays as it was. */
static void test_a_worker_that_went_astray(void **state)
{
	static const unsigned char bytes[] = { 0, 1, 0xff };

	for (size_t i = 0; i < array_size(bytes); i++) {
		struct ledger *ledger = new_ledger();
		struct book book = new_book(ledger);
		unsigned int one = ledger_open(ledger, ONE, NOW), two;

		scribble(ledger, bytes[i]);
		assert_int_equal(ledger_open(ledger, ONE, NOW), one);
		assert_int_equal(ledger->users[one].connections, 2);
		two = ledger_open(ledger, TWO, NOW);
		assert_int_not_equal(two, one);
		assert_int_equal(ledger->users[two].uid, TWO);
		ledger_close(ledger, one);
		ledger_close(ledger, one);
		ledger_close(ledger, two);
		assert_int_not_equal(new_book(ledger).seat, book.seat);
		ledger_bar(ledger, book.seat, NOW, MOST_US);
		ledger_leave(ledger, book.seat);
		assert_int_equal(book_balance(&book), 0);
		assert_int_equal(new_book(ledger).seat, book.seat);
		ledger_free(ledger);
	}
}

#define ROUNDS (RUNNING_ON_VALGRIND ? 300u : 20000u)
#define HAMMERERS 3
#define LIMIT 2u

/* What is taken at the same time, counted by those who have it. */
struct anvil {
	_Atomic unsigned int held, taken;
	_Atomic bool over;
};

static void hammer(struct anvil *anvil, const struct book *book)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct charge charge = { 0 };
		unsigned int held;

		if (charge_set(&charge, book, 9, QUOTA_REQUESTS, 1, i % 2 ? LIMIT : PLENTY,
				i % 2 ? PLENTY : LIMIT) != LEDGER_TAKEN)
			continue;
		held = ++anvil->held;
		anvil->over |= held > LIMIT;
		anvil->taken++;
		if (i % 16 == 0)
			sched_yield();
		anvil->held--;
		charge_give_back(&charge);
	}
}

static void *share_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

/* Never more than may be, and in the end nothing: the limits are of the user and of all by turns. */
static void test_processes_at_one_limit(void **state)
{
	struct ledger *ledger = new_ledger();
	struct anvil *anvil = share_memory(sizeof(*anvil));
	pid_t pids[HAMMERERS];
	int status;

	for (size_t i = 0; i < HAMMERERS; i++) {
		struct book book = new_book(ledger);

		pids[i] = fork();
		if (pids[i] == 0) {
			hammer(anvil, &book);
			_exit(0);
		}
	}
	for (size_t i = 0; i < HAMMERERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_false(anvil->over);
	assert_true(anvil->taken > 0);
	expect_empty(ledger);
	munmap(anvil, sizeof(*anvil));
	ledger_free(ledger);
}

/* Killed wherever it is, also between the two places of a charge. */
static void test_a_worker_that_is_killed(void **state)
{
	struct ledger *ledger = new_ledger();
	struct anvil *anvil = share_memory(sizeof(*anvil));
	struct book survivor = new_book(ledger);
	struct charge charge = { 0 };

	assert_int_equal(charge_set(&charge, &survivor, 9, QUOTA_REQUESTS, 1, 1, 1), LEDGER_TAKEN);
	for (int i = 0; i < 20; i++) {
		struct book book = new_book(ledger);
		unsigned int before = anvil->taken;
		pid_t pid = fork();

		if (pid == 0)
			for (struct charge mine;;) {
				mine = (struct charge){ 0 };
				charge_set(&mine, &book, 9, i % N_QUOTAS, 1, PLENTY, PLENTY);
				anvil->taken++;
				if (i % 2)
					charge_give_back(&mine);
			}
		while (anvil->taken - before < 10)
			sched_yield();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		ledger_leave(ledger, book.seat);
		assert_int_equal(ledger_of_user(ledger, 9, QUOTA_REQUESTS), 1);
		assert_int_equal(ledger_in_all(ledger, QUOTA_REQUESTS), 1);
		assert_int_equal(ledger_in_all(ledger, QUOTA_UNDELIVERED), 0);
	}
	charge_give_back(&charge);
	expect_empty(ledger);
	munmap(anvil, sizeof(*anvil));
	ledger_free(ledger);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_ledger),
		cmocka_unit_test(test_an_account_is_found_again),
		cmocka_unit_test(test_connections_may_be_told),
		cmocka_unit_test(test_users_that_meet_have_an_account_each),
		cmocka_unit_test(test_an_account_is_used_again_only_when_empty),
		cmocka_unit_test(test_an_account_that_is_used_again_is_new),
		cmocka_unit_test(test_rates_outlive_connections),
		cmocka_unit_test(test_too_many_users),
		cmocka_unit_test(test_seats),
		cmocka_unit_test(test_a_seat_that_is_left),
		cmocka_unit_test(test_a_charge_is_given_back_once),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_bars_grow),
		cmocka_unit_test(test_nobody_s_work),
		cmocka_unit_test(test_a_worker_that_went_astray),
		cmocka_unit_test(test_processes_at_one_limit),
		cmocka_unit_test(test_a_worker_that_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
