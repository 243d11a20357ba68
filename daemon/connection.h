/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's copy of a caller's connection. It reads nothing from it. It has it for the case
 * that the worker that serves it is lost: then it can still tell the caller so. The worker ends the
 * connection by shutdown(2), since closing its own copy alone would not.
 */
#pragma once

#include "daemon/ledger.h"
#include "daemon/list.h"
#include "daemon/watch.h"
#include "proto/status.h"

struct connection {
	struct list link;	/* of those that one worker serves */
	struct watch watch;	/* for its end, by whichever side */
	int fd;
	uint64_t number;	/* by which the worker speaks of it */
	struct ledger *ledger;
	unsigned int account;
	void *owner;
	void (*gone)(struct connection *connection);
};

/*
 * Takes over fd and the connection that ledger_open() has counted. NULL: neither memory nor room,
 * both were given back. gone is called once, as the last act of a callback from the loop, when the
 * connection has ended: the owner frees it in it.
 */
struct connection *connection_new(struct watch_set *watches, int fd, struct ledger *ledger,
				  unsigned int account, void *owner,
				  void (*gone)(struct connection *));
/* Takes and returns NULL. */
struct connection *connection_free(struct connection *connection);
/* As if it had not been made: the caller has fd again, and the account counts it. */
int connection_give_back(struct connection *connection);

/* Sends an error that says to try again, as far as the other side has room for it, and ends the
 * connection, also for other holders of it. fd stays open. */
void connection_refuse(int fd, enum proto_error error, const char *message);
/* Closes it in a time that no caller can make long (hurry.h). */
void connection_close(int *fd);
