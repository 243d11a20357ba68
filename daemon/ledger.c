/* SPDX-License-Identifier: MIT */
#include "daemon/ledger.h"

#include "daemon/rate.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

struct ledger *ledger_new(void)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	struct ledger_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!ledger || shared == MAP_FAILED) {
		if (shared != MAP_FAILED)
			munmap(shared, sizeof(*shared));
		free(ledger);
		return NULL;
	}
	ledger->shared = shared;
	ledger->accounts = shared->accounts;
	ledger->taken = shared->taken;
	ledger->in_all = shared->in_all;
	ledger->at_work = shared->at_work;
	return ledger;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (ledger)
		munmap(ledger->shared, sizeof(*ledger->shared));
	free(ledger);
	return NULL;
}

/* In one order with the additions, for everybody: of two who add first and look then, at least one
 * sees the other. Relaxed loads would do on x86 alone. */
static unsigned int sum(const _Atomic unsigned int places[static LEDGER_SEATS])
{
	unsigned int all = 0;

	for (unsigned int seat = 0; seat < LEDGER_SEATS; seat++)
		all += places[seat];
	return all;
}

unsigned int ledger_of_user(const struct ledger *ledger, unsigned int account, enum quota quota)
{
	return sum(ledger->taken[account][quota]);
}

unsigned int ledger_in_all(const struct ledger *ledger, enum quota quota)
{
	return sum(ledger->in_all[quota]);
}

static bool recovered(const struct ledger_account *account, uint64_t now_us)
{
	return rate_recovered(&account->request_rate, now_us) &&
	       rate_recovered(&account->records.rate, now_us) &&
	       account->barred_until_us <= now_us;
}

/* Whether somebody else may have this account. */
static bool is_free(const struct ledger *ledger, unsigned int i, uint64_t now_us)
{
	const struct ledger_user *user = &ledger->users[i];

	if (!user->known)
		return true;
	for (enum quota quota = 0; quota < N_QUOTAS; quota++)
		if (ledger_of_user(ledger, i, quota))
			return false;
	return !user->connections && recovered(&ledger->accounts[i], now_us);
}

/* The user's own, or the first on the way to it that he may have. A place that was never used ends
 * the search; the others are only ever taken over. */
static unsigned int find(const struct ledger *ledger, uid_t uid, uint64_t now_us)
{
	unsigned int free_one = LEDGER_NO_ACCOUNT;

	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++) {
		unsigned int at = (uid + i) % LEDGER_ACCOUNTS;
		const struct ledger_user *user = &ledger->users[at];

		if (user->known && user->uid == uid)
			return at;
		if (free_one == LEDGER_NO_ACCOUNT && is_free(ledger, at, now_us))
			free_one = at;
		if (!user->known)
			break;
	}
	return free_one;
}

/* What the supervisor goes by, and what may be told of it. */
static void set_connections(struct ledger *ledger, unsigned int account, unsigned int n)
{
	struct ledger_user *user = &ledger->users[account];

	ledger->n_connections += n - user->connections;
	user->connections = n;
	ledger->accounts[account].connections = n;
	ledger->shared->connections = ledger->n_connections;
}

unsigned int ledger_open(struct ledger *ledger, uid_t uid, uint64_t now_us)
{
	unsigned int at = find(ledger, uid, now_us);
	struct ledger_account *account = &ledger->accounts[at];
	struct ledger_user *user = &ledger->users[at];

	if (at == LEDGER_NO_ACCOUNT)
		return at;
	if (!user->known || user->uid != uid) {
		*user = (struct ledger_user){ .uid = uid, .known = true };
		account->request_rate = account->records.rate = 0;
		account->records.suppressed = 0;
		account->barred_until_us = 0;
	}
	set_connections(ledger, at, user->connections + 1);
	return at;
}

void ledger_close(struct ledger *ledger, unsigned int account)
{
	assert(ledger->users[account].connections);
	set_connections(ledger, account, ledger->users[account].connections - 1);
}

unsigned int ledger_seat(struct ledger *ledger)
{
	for (unsigned int seat = 0; seat < LEDGER_SEATS; seat++)
		if (!ledger->seated[seat]) {
			ledger->seated[seat] = true;
			return seat;
		}
	return LEDGER_SEATS;
}

void ledger_bar(struct ledger *ledger, unsigned int seat, uint64_t now_us, uint64_t most_us)
{
	unsigned int at_work = ledger->at_work[seat];
	uint64_t bar_us = most_us;
	struct ledger_user *user;

	/* A worker that went astray may have written anything. */
	if (!at_work || at_work > LEDGER_ACCOUNTS)
		return;
	user = &ledger->users[at_work - 1];
	if (user->crashes < 16)
		bar_us = LEDGER_BAR_MIN_US << user->crashes++;
	ledger->accounts[at_work - 1].barred_until_us =
		now_us + (bar_us < most_us ? bar_us : most_us);
}

void ledger_leave(struct ledger *ledger, unsigned int seat)
{
	assert(ledger->seated[seat]);
	ledger->at_work[seat] = 0;
	for (enum quota quota = 0; quota < N_QUOTAS; quota++) {
		for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
			ledger->taken[i][quota][seat] = 0;
		ledger->in_all[quota][seat] = 0;
	}
	ledger->seated[seat] = false;
}

/* n is taken more, or less where it has wrapped. */
static void add(const struct charge *charge, unsigned int n)
{
	struct ledger *ledger = charge->book->ledger;
	unsigned int seat = charge->book->seat;

	ledger->taken[charge->account][charge->quota][seat] += n;
	ledger->in_all[charge->quota][seat] += n;
}

enum ledger_answer charge_set(struct charge *charge, const struct book *book, unsigned int account,
			      enum quota quota, unsigned int n, unsigned int of_user,
			      unsigned int in_all)
{
	unsigned int more = n - charge->n;
	struct charge taken = { n ? book : NULL, account, quota, n };
	struct charge change = { book, account, quota, more };
	enum ledger_answer answer = LEDGER_TAKEN;

	add(&change, more);
	if (n > charge->n && ledger_of_user(book->ledger, account, quota) > of_user)
		answer = LEDGER_USER_FULL;
	else if (n > charge->n && ledger_in_all(book->ledger, quota) > in_all)
		answer = LEDGER_FULL;
	if (answer == LEDGER_TAKEN)
		*charge = taken;
	else
		add(&change, -more);
	return answer;
}

void charge_give_back(struct charge *charge)
{
	if (charge->book)
		add(charge, -charge->n);
	*charge = (struct charge){ 0 };
}

unsigned int book_balance(const struct book *book)
{
	unsigned int balance = 0;

	for (enum quota quota = 0; quota < N_QUOTAS; quota++)
		balance += book->ledger->in_all[quota][book->seat];
	return balance;
}
