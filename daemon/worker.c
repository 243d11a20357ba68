/* SPDX-License-Identifier: MIT */
#include "daemon/worker.h"

#include "daemon/channel.h"
#include "daemon/peer.h"
#include "daemon/sandbox.h"

#include <assert.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/*
 * How many words are heard in one turn of the loop. Were it one, the piece of work that each turn
 * has time for (turns.h) would stand between any two of them: whoever connects would wait for as
 * many pieces as others have connected before him, and so would the ping by which the worker is
 * seen to be well.
 */
#define WORDS_PER_TURN 64

struct worker {
	struct env env;
	struct book book;
	int channel;
	ev_io heard;
	struct list peers;	/* peer.link */
	bool draining;
};

static void tell(struct worker *worker, enum word word, uint64_t number)
{
	const struct word_message message = { .word = word, .number = number };

	channel_send(worker->channel, &message, sizeof(message), -1);
}

static void end_if_done(struct worker *worker)
{
	if (worker->draining && list_empty(&worker->peers))
		ev_break(worker->env.loop, EVBREAK_ALL);
}

static void peer_gone(struct peer *peer)
{
	struct worker *worker = peer->owner;

	peer_free(peer);
	end_if_done(worker);
}

static void serve(struct worker *worker, const struct word_message *message, int fd)
{
	struct peer *peer = NULL;

	if (fd >= 0)
		peer = peer_new(&worker->env, fd, message->account, worker, peer_gone);
	if (peer)
		list_append(&worker->peers, &peer->link);
	else
		tell(worker, WORD_UNTAKEN, message->number);
}

static void answer_ping(struct worker *worker, const struct word_message *message, int fd)
{
	tell(worker, WORD_WELL, 0);
}

/* A peer may go in it, and no other one does. */
static void for_each_peer(struct worker *worker, void (*act)(struct peer *peer))
{
	for (struct list *at = worker->peers.next, *next; at != &worker->peers; at = next) {
		next = at->next;
		act(container_of(at, struct peer, link));
	}
}

static void drain(struct worker *worker, const struct word_message *message, int fd)
{
	worker->draining = true;
	for_each_peer(worker, peer_drain);
	end_if_done(worker);
}

static void end(struct worker *worker, const struct word_message *message, int fd)
{
	for_each_peer(worker, peer_end);
	ev_break(worker->env.loop, EVBREAK_ALL);
}

static void (*const acts[])(struct worker *worker, const struct word_message *message, int fd) = {
	[WORD_SERVE] = serve,
	[WORD_PING] = answer_ping,
	[WORD_DRAIN] = drain,
	[WORD_END] = end,
};

/* False: there is nothing more to be heard. Without a supervisor there is nobody to work for:
 * another one will be started, and callers are told to try it. */
static bool hear(struct worker *worker)
{
	struct word_message message;
	int fd;
	ssize_t n = channel_receive(worker->channel, &message, sizeof(message), MSG_DONTWAIT, &fd);

	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n < 0)
		exit(EXIT_FAILURE);
	if (n != sizeof(message) || message.word >= array_size(acts))
		return end(worker, NULL, -1), false;
	acts[message.word](worker, &message, fd);
	return true;
}

static void on_heard(EV_P_ ev_io *io, int events)
{
	struct worker *worker = container_of(io, struct worker, heard);

	/* A worker that hears nothing, for want of memory, is none. Its callers are told by the
	 * supervisor. */
	if (events & EV_ERROR)
		exit(EXIT_FAILURE);
	for (unsigned int n = 0; n < WORDS_PER_TURN && hear(worker); n++)
		;
}

static void on_kernel_lost(struct env *env)
{
	tell(container_of(env, struct worker, env), WORD_KERNEL_LOST, 0);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Of what the supervisor has open, other callers' connections and the listening socket among it,
 * nothing stays but the standard streams and this. */
static void keep_only(const int fds[], size_t n)
{
	unsigned int first = STDERR_FILENO + 1;
	int sorted[8];

	assert(n <= array_size(sorted));
	memcpy(sorted, fds, n * sizeof(*fds));
	qsort(sorted, n, sizeof(*sorted), by_number);
	for (size_t i = 0; i < n; i++) {
		if (sorted[i] < (int)first)
			continue;
		if (sorted[i] > (int)first)
			close_range(first, (unsigned int)sorted[i] - 1, 0);
		first = (unsigned int)sorted[i] + 1;
	}
	close_range(first, ~0U, 0);
}

/* The supervisor says when to end, whatever a terminal or a service manager tells all processes. */
static void leave_signals_to_supervisor(void)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };

	for (size_t i = 0; i < array_size(numbers); i++)
		signal(numbers[i], SIG_IGN);
}

static bool begin(struct worker *worker, const struct birth *birth)
{
	const int kept[] = { birth->channel, birth->nursery, birth->log->fd,
			     birth->log->journal.fd };
	const struct env_parts parts = {
		.config = birth->setup->config, .trust = birth->setup->trust,
		.kernel = birth->kernel, .log = birth->log, .book = &worker->book,
		.tally = birth->tally, .loaded = birth->setup->loaded,
		.nursery = birth->nursery, .workers = birth->workers, .managed = birth->managed,
	};
	struct ev_loop *loop;

	keep_only(kept, array_size(kept));
	leave_signals_to_supervisor();
	prctl(PR_SET_NAME, "ktlsd-worker");
	loop = ev_loop_new(EVFLAG_NOENV);
	if (!loop || !env_init(&worker->env, loop, &parts))
		return false;
	if (!sandbox_enter(birth->log))
		return false;
	if (birth->restarts)
		worker->env.on_kernel_lost = on_kernel_lost;
	ev_io_init(&worker->heard, on_heard, worker->channel, EV_READ);
	ev_io_start(loop, &worker->heard);
	return true;
}

static void finish(struct worker *worker)
{
	while (!list_empty(&worker->peers))
		peer_free(list_first(&worker->peers, struct peer, link));
	ev_io_stop(worker->env.loop, &worker->heard);
	env_deinit(&worker->env);
	ev_loop_destroy(worker->env.loop);
	/* What was charged belonged to an object, and there is none left; nor is a request. */
	assert(book_balance(&worker->book) == 0);
	assert(tally_under_way(worker->env.tally, worker->book.seat) == 0);
}

void worker_main(const struct birth *birth)
{
	struct worker worker = {
		.book = { birth->ledger, birth->seat },
		.channel = birth->channel,
	};

	list_init(&worker.peers);
	if (!begin(&worker, birth))
		exit(EXIT_FAILURE);
	tell(&worker, WORD_WELL, 0);
	ev_run(worker.env.loop, 0);
	finish(&worker);
	exit(EXIT_SUCCESS);
}
