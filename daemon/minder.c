/* SPDX-License-Identifier: MIT */
#include "daemon/minder.h"

#include "daemon/channel.h"
#include "daemon/clock.h"
#include "daemon/events.h"
#include "daemon/hurry.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static bool say(struct minder *minder, enum word word)
{
	const struct word_message message = { .word = word };

	return channel_send(minder->channel, &message, sizeof(message), -1) == 0;
}

/* --- connections */

static void connection_gone(struct connection *connection)
{
	struct minder *minder = connection->owner;

	connection_free(connection);
	minder->n_connections--;
	minder->callbacks->connection_gone(minder);
}

static void refuse(struct minder *minder, struct connection *connection, enum proto_error error,
		   const char *message)
{
	connection_refuse(connection->fd, error, message);
	connection_free(connection);
	minder->n_connections--;
}

/* An account may have been charged for it already, so it is not dealt to another one. */
static void on_untaken(struct minder *minder, const struct word_message *message)
{
	for (struct list *at = minder->connections.next; at != &minder->connections; at = at->next) {
		struct connection *connection = container_of(at, struct connection, link);

		if (connection->number != message->number)
			continue;
		refuse(minder, connection, PROTO_BUSY,
		       "the service has no descriptor or memory left for another caller");
		return minder->callbacks->connection_gone(minder);
	}
}

/* A copy first: without one the account would be free for somebody else while a worker still
 * charges it. */
bool minder_deal(struct minder *minder, int *fd, unsigned int account)
{
	struct household *household = minder->household;
	struct word_message message = { WORD_SERVE, account, minder->dealt + 1 };
	struct connection *connection = connection_new(&household->watches, steal_fd(fd),
						       household->ledger, account, minder,
						       connection_gone);

	if (!connection)
		return true; /* for want of memory it is over */
	if (channel_send(minder->channel, &message, sizeof(message), connection->fd) < 0) {
		*fd = connection_give_back(connection);
		return false;
	}
	connection->number = ++minder->dealt;
	list_append(&minder->connections, &connection->link);
	minder->n_connections++;
	return true;
}

/* --- the worker */

static void on_well(struct minder *minder, const struct word_message *message)
{
	bool first = !minder->ready;

	minder->ready = true;
	minder->pings = 0;
	if (first)
		minder->callbacks->ready(minder);
}

static void on_kernel_lost(struct minder *minder, const struct word_message *message)
{
	minder->callbacks->kernel_lost(minder);
}

static void (*const acts[])(struct minder *minder, const struct word_message *message) = {
	[WORD_WELL] = on_well,
	[WORD_UNTAKEN] = on_untaken,
	[WORD_KERNEL_LOST] = on_kernel_lost,
};

/* The end of the channel is the end of the process, for it alone has the other end. */
static void on_heard(EV_P_ ev_io *io, int events)
{
	struct minder *minder = container_of(io, struct minder, heard);
	struct word_message message;
	ssize_t n;

	/* From a worker that went astray descriptors may come, whose last close is ours. */
	hurry_begin();
	n = channel_receive(io->fd, &message, sizeof(message), MSG_DONTWAIT, NULL);
	hurry_end();
	/* The loop has given the channel up, for want of memory. */
	if (events & EV_ERROR)
		return minder->callbacks->lost(minder);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == sizeof(message) && message.word < array_size(acts) && acts[message.word])
		acts[message.word](minder, &message);
	else
		minder->callbacks->lost(minder);
}

/* What is born has everything but its end of the channel. */
static bool start(struct minder *minder, struct birth *birth)
{
	_cleanup_fd_ int theirs = -1;
	int r = channel_pair(&minder->channel, &theirs);

	if (r < 0)
		return errno = -r, false;
	minder->pid = fork();
	if (minder->pid == 0) {
		birth->channel = theirs;
		worker_main(birth);
	}
	return minder->pid > 0;
}

struct minder *minder_new(struct household *household, const struct setup *setup,
			  const struct kernel *kernel, unsigned int workers, void *owner,
			  const struct minder_callbacks *callbacks)
{
	struct minder *minder = calloc(1, sizeof(*minder));
	struct birth birth = {
		.setup = setup, .kernel = *kernel, .log = household->log,
		.ledger = household->ledger, .tally = household->tally, .workers = workers,
		.nursery = household->nursery, .managed = household->managed,
		.restarts = household->restarts, .kept = minder,
	};

	if (!minder) {
		log_line(household->log, LOG_ERR, "no worker can be started: %s", strerror(ENOMEM));
		return NULL;
	}
	birth.seat = ledger_seat(household->ledger);
	*minder = (struct minder){ .household = household, .channel = -1, .seat = birth.seat,
				   .born_us = clock_us(), .owner = owner,
				   .penalty_ms = setup->config->limits.user_penalty_ms,
				   .callbacks = callbacks };
	list_init(&minder->link);
	list_init(&minder->connections);
	ev_io_init(&minder->heard, on_heard, -1, EV_READ);
	if (minder->seat == LEDGER_SEATS || !start(minder, &birth)) {
		log_line(household->log, LOG_ERR, "no worker can be started: %s",
			 minder->seat == LEDGER_SEATS ? "too many have yet to end" :
							strerror(errno));
		return minder_free(minder);
	}
	tally_enter(household->tally, minder->seat, minder->pid);
	ev_io_set(&minder->heard, minder->channel, EV_READ);
	/* What workers say comes before new callers do. */
	ev_set_priority(&minder->heard, EV_MAXPRI);
	ev_io_start(household->loop, &minder->heard);
	return minder;
}

/* Whether it died of what it did, and not by somebody's hand. */
static bool died_of_work(const struct minder *minder, int status)
{
	static const int signals[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP };

	for (size_t i = 0; i < array_size(signals); i++)
		if (WIFSIGNALED(status) && WTERMSIG(status) == signals[i])
			return true;
	return minder->hung;
}

/* Why it was lost, where that is something to tell, and how many requests with it. */
static void tell_end(struct minder *minder, int status, uint64_t lost)
{
	struct log *log = minder->household->log;
	char number[24];
	const struct log_field field = { "KTLSD_LOST", number };

	snprintf(number, sizeof(number), "%llu", (unsigned long long)lost);
	if (WIFSIGNALED(status))
		log_record(log, LOG_ERR, EVENT_WORKER_LOST, &field, 1,
			   "worker %d was ended by signal %d (%s), requests lost: %s%s",
			   minder->pid, WTERMSIG(status), strsignal(WTERMSIG(status)), number,
			   minder->n_connections ? "; its callers are told" : "");
	else if (WEXITSTATUS(status))
		log_record(log, LOG_ERR, EVENT_WORKER_LOST, &field, 1,
			   "worker %d has ended with status %d, requests lost: %s", minder->pid,
			   WEXITSTATUS(status), number);
}

static void bury(struct minder *minder)
{
	int status;

	if (minder->pid <= 0)
		return;
	kill(minder->pid, SIGKILL);
	if (waitpid(minder->pid, &status, 0) != minder->pid)
		return;
	tell_end(minder, status, tally_leave(minder->household->tally, minder->seat, !status));
	if (died_of_work(minder, status))
		ledger_bar(minder->household->ledger, minder->seat, clock_us(),
			   minder->penalty_ms * UINT64_C(1000));
}

struct minder *minder_free(struct minder *minder)
{
	if (!minder)
		return NULL;
	list_leave(&minder->link);
	bury(minder);
	while (!list_empty(&minder->connections))
		refuse(minder, list_first(&minder->connections, struct connection, link),
		       PROTO_INTERNAL_ERROR, "the worker that served this connection was lost");
	if (minder->seat != LEDGER_SEATS)
		ledger_leave(minder->household->ledger, minder->seat);
	ev_io_stop(minder->household->loop, &minder->heard);
	close_fd(&minder->channel);
	free(minder);
	return NULL;
}

bool minder_ping(struct minder *minder)
{
	bool well = !minder->pings; /* or it was born just now */
	unsigned int most = minder->ready ? MINDER_PINGS_MAX : MINDER_BIRTH_PINGS_MAX;

	if (minder->pings++ >= most) {
		log_line(minder->household->log, LOG_ERR, "worker %d does not answer: it is killed",
			 minder->pid);
		minder->hung = true;
		kill(minder->pid, SIGKILL); /* its channel will tell */
	}
	if (minder->drain_owed)
		minder->drain_owed = !say(minder, WORD_DRAIN);
	say(minder, WORD_PING);
	return well;
}

void minder_drain(struct minder *minder)
{
	minder->drain_owed = !say(minder, WORD_DRAIN);
}

void minder_end(struct minder *minder)
{
	say(minder, WORD_END);
}
