/* SPDX-License-Identifier: MIT */
#include "daemon/resolver.h"

#include "daemon/nursery.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

static void run_waiting(struct resolver *resolver);

/* The nursery has taken some of what it is to do. */
static void on_room(EV_P_ ev_io *io, int events)
{
	ev_io_stop(EV_A_ io);
	/* The loop has no memory to watch it: the end of another look-up is waited for instead. */
	if (events & EV_ERROR)
		return;
	run_waiting(container_of(io, struct resolver, room));
}

static void keep_spare(struct resolver *resolver)
{
	int fd;

	if (resolver->spare >= 0)
		return;
	fd = nursery_fork(resolver->nursery);
	if (fd >= 0)
		resolver->spare = fd;
}

void resolver_init(struct resolver *resolver, struct ev_loop *loop, int nursery, unsigned int max,
		   unsigned int max_of_user)
{
	*resolver = (struct resolver){ .loop = loop, .nursery = nursery, .max = max,
				       .max_of_user = max_of_user, .spare = -1 };
	list_init(&resolver->waiting);
	list_init(&resolver->running);
	ev_io_init(&resolver->room, on_room, nursery, EV_WRITE);
	keep_spare(resolver);
}

void resolver_deinit(struct resolver *resolver)
{
	assert(resolver->busy == 0 && list_empty(&resolver->waiting));
	ev_io_stop(resolver->loop, &resolver->room);
	close_fd(&resolver->spare);
}

/* Gives the process of a finished look-up back, or kills that of one that was given up. */
static void release(struct lookup *lookup, bool healthy)
{
	struct resolver *resolver = lookup->resolver;
	_cleanup_fd_ int fd = lookup->io.fd;

	ev_io_stop(resolver->loop, &lookup->io);
	list_leave(&lookup->link);
	lookup->running = false;
	if (healthy && resolver->spare < 0)
		resolver->spare = steal_fd(&fd);
	resolver->busy--;
	keep_spare(resolver);
	run_waiting(resolver);
}

/* n < 0: sys_errno says why there is no answer. */
static void take_answer(struct lookup *lookup, const struct resolver_answer *answer, ssize_t n,
			int sys_errno)
{
	bool whole = n == sizeof(*answer) && addresses_valid(&answer->addresses) &&
		     (answer->gai_error || answer->addresses.n);

	lookup->lost = !whole;
	lookup->gai_error = whole ? answer->gai_error : EAI_SYSTEM;
	lookup->sys_errno = whole ? answer->sys_errno : n < 0 ? sys_errno : EPIPE;
	if (whole)
		lookup->addresses = answer->addresses;
	release(lookup, whole);
}

static void on_answer(EV_P_ ev_io *io, int events)
{
	struct lookup *lookup = container_of(io, struct lookup, io);
	struct resolver_answer answer;
	bool failed = events & EV_ERROR;
	ssize_t n = -1;

	/* Where it is not run() that says so, it is the loop: no memory to watch for an answer. */
	errno = lookup->sys_errno ? lookup->sys_errno : ENOMEM;
	if (!failed)
		n = recv(io->fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (!failed && n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	take_answer(lookup, &answer, n, errno);
	lookup->done(lookup);
}

/* Hands the look-up to a process, or to -errno instead of one: on_answer() tells what went wrong.
 */
static void run(struct lookup *lookup, int process)
{
	struct resolver *resolver = lookup->resolver;

	resolver->busy++;
	list_append(&resolver->running, &lookup->link);
	lookup->running = true;
	ev_io_set(&lookup->io, process < 0 ? -1 : process, EV_READ);
	if (process < 0)
		lookup->sys_errno = -process;
	else if (send(process, lookup->host, strlen(lookup->host),
		      MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		lookup->sys_errno = errno;
	if (lookup->sys_errno)
		ev_feed_event(resolver->loop, &lookup->io, EV_ERROR);
	else
		ev_io_start(resolver->loop, &lookup->io);
}

/* One that waited may have been killed, or never been born: its end says so. */
static int take_spare(struct resolver *resolver)
{
	_cleanup_fd_ int fd = steal_fd(&resolver->spare);
	char byte;

	if (fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		return -1;
	return steal_fd(&fd);
}

static bool has_room(const struct resolver *resolver, unsigned int account)
{
	unsigned int n = 0;

	list_for_each(entry, &resolver->running)
		n += container_of(entry, struct lookup, link)->account == account;
	return n < resolver->max_of_user;
}

/* The first whose account has room; NULL: none. */
static struct lookup *next_waiting(const struct resolver *resolver)
{
	if (resolver->busy >= resolver->max)
		return NULL;
	list_for_each(entry, &resolver->waiting) {
		struct lookup *lookup = container_of(entry, struct lookup, link);

		if (has_room(resolver, lookup->account))
			return lookup;
	}
	return NULL;
}

/* A nursery that has its hands full is waited for: a caller who gives up look-ups faster than it
 * can fork is to delay others, not to fail them. */
static void run_waiting(struct resolver *resolver)
{
	struct lookup *lookup;

	while ((lookup = next_waiting(resolver))) {
		int process = take_spare(resolver);

		if (process < 0)
			process = nursery_fork(resolver->nursery);
		if (process == -EAGAIN)
			return ev_io_start(resolver->loop, &resolver->room);
		list_leave(&lookup->link);
		run(lookup, process);
	}
}

void lookup_start(struct lookup *lookup, struct resolver *resolver, unsigned int account,
		  const char *host, void (*done)(struct lookup *))
{
	*lookup = (struct lookup){
		.resolver = resolver, .account = account, .host = host, .done = done
	};
	ev_io_init(&lookup->io, on_answer, -1, EV_READ);
	list_init(&lookup->link);
	list_append(&resolver->waiting, &lookup->link);
	run_waiting(resolver);
}

void lookup_stop(struct lookup *lookup)
{
	if (!lookup->resolver)
		return;
	list_leave(&lookup->link);
	if (lookup->running)
		release(lookup, false);
}
