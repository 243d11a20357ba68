/* SPDX-License-Identifier: MIT */
/*
 * Who has how much under way, in all workers together: memory that the supervisor and its workers
 * share. A user has one account as long as he is connected, and until his rates have recovered.
 *
 * What a worker has taken stands in a place of its own, which it alone writes, and what a user has
 * is the sum of all workers' places. So a worker that dies, wherever it is, leaves nothing that
 * could not be put right: its places are set to zero. Nobody waits for anybody.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Workers at a time, those of generations that end among them. */
#define LEDGER_SEATS 128
/* Users at a time. One more is told that the service is busy. */
#define LEDGER_ACCOUNTS 4096
#define LEDGER_NO_ACCOUNT LEDGER_ACCOUNTS

/* At whose work a worker was lost waits for so many microseconds, twice as many each time. */
#define LEDGER_BAR_MIN_US UINT64_C(1000000)

enum quota {
	QUOTA_REQUESTS,		/* under way */
	QUOTA_UNDELIVERED,	/* sockets handed over that their caller has not taken yet */
	QUOTA_MEMORY,		/* of messages that have come in, in KiB */
	N_QUOTAS
};

/* What the log may hold of one user. */
struct record_share {
	_Atomic uint64_t rate;
	_Atomic unsigned long suppressed;	/* since the last record that was written */
};

/* A worker that went astray may have written anything into it: others are told wrongly, no more. */
struct ledger_shared {
	struct ledger_account {
		_Atomic uint64_t request_rate;	/* see rate.h */
		struct record_share records;
		_Atomic uint64_t barred_until_us;
		_Atomic unsigned int connections; /* as the supervisor has it, to be told */
	} accounts[LEDGER_ACCOUNTS];
	_Atomic unsigned int taken[LEDGER_ACCOUNTS][N_QUOTAS][LEDGER_SEATS];
	_Atomic unsigned int in_all[N_QUOTAS][LEDGER_SEATS];
	_Atomic unsigned int connections;
	_Atomic unsigned int at_work[LEDGER_SEATS]; /* on whose behalf: account + 1; 0: nobody's */
};

/* What the supervisor goes by is its own; a worker has a copy, and no use for it. */
struct ledger {
	struct ledger_user {
		uid_t uid;
		bool known;			/* was somebody's, and is found by his uid */
		unsigned int connections;
		unsigned int crashes;		/* workers that died at this user's work */
	} users[LEDGER_ACCOUNTS];
	unsigned int n_connections;		/* of all users */
	bool seated[LEDGER_SEATS];
	struct ledger_shared *shared;	/* and its parts: */
	struct ledger_account *accounts;
	_Atomic unsigned int (*taken)[N_QUOTAS][LEDGER_SEATS];
	_Atomic unsigned int (*in_all)[LEDGER_SEATS];
	_Atomic unsigned int *at_work;
};

/* NULL: no memory. */
struct ledger *ledger_new(void);
/* Takes and returns NULL; what is shared goes when the last process has given it back. */
struct ledger *ledger_free(struct ledger *ledger);

/* --- the supervisor's part */

/* The account of this user, one connection more; LEDGER_NO_ACCOUNT: there are too many users. */
unsigned int ledger_open(struct ledger *ledger, uid_t uid, uint64_t now_us);
void ledger_close(struct ledger *ledger, unsigned int account);

/* A place for one worker; LEDGER_SEATS: there is none. */
unsigned int ledger_seat(struct ledger *ledger);
/* Its worker was lost by what it did: at whose work, he is barred for a while, so long at most. */
void ledger_bar(struct ledger *ledger, unsigned int seat, uint64_t now_us, uint64_t most_us);
/* Its worker has ended: what it had taken is given back. */
void ledger_leave(struct ledger *ledger, unsigned int seat);

/* --- a worker's part */

struct book {
	struct ledger *ledger;
	unsigned int seat;
};

/* All zeros: nothing is charged. Belongs to the object that costs something, and ends with it. */
struct charge {
	const struct book *book;
	unsigned int account;
	enum quota quota;
	unsigned int n;
};

enum ledger_answer { LEDGER_TAKEN, LEDGER_USER_FULL, LEDGER_FULL };

/*
 * n in place of what was taken before, which is more or less: LEDGER_TAKEN, or it is as it was. 0 is
 * what charge_give_back() leaves. At the limit two workers may both say no where one could have said
 * yes; never both yes.
 */
enum ledger_answer charge_set(struct charge *charge, const struct book *book, unsigned int account,
			      enum quota quota, unsigned int n, unsigned int of_user,
			      unsigned int in_all);
/* May be called at any time, also more than once. */
void charge_give_back(struct charge *charge);

/* What this worker has taken and not given back, of everything together. */
unsigned int book_balance(const struct book *book);
/* What all workers have taken for this user, or for everybody. */
unsigned int ledger_of_user(const struct ledger *ledger, unsigned int account, enum quota quota);
unsigned int ledger_in_all(const struct ledger *ledger, enum quota quota);
