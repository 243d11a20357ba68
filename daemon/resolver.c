/* SPDX-License-Identifier: MIT */
#include "daemon/resolver.h"

#include "daemon/nursery.h"

#include <assert.h>
#include <string.h>
#include <sys/wait.h>

int resolver_init(struct resolver *resolver, unsigned int max)
{
	*resolver = (struct resolver){ .max = max, .spare = -1 };
	list_init(&resolver->waiting);
	resolver->nursery = nursery_start(&resolver->nursery_pid);
	return resolver->nursery < 0 ? resolver->nursery : 0;
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

void resolver_run(struct resolver *resolver, struct ev_loop *loop)
{
	resolver->loop = loop;
	keep_spare(resolver);
}

void resolver_deinit(struct resolver *resolver)
{
	assert(resolver->busy == 0 && list_empty(&resolver->waiting));
	close_fd(&resolver->spare);
	close_fd(&resolver->nursery);
	if (resolver->nursery_pid > 0)
		waitpid(resolver->nursery_pid, NULL, 0);
	resolver->nursery_pid = 0;
}

static void run_next(struct resolver *resolver);

/* Gives the process of a finished look-up back, or kills that of one that was given up. */
static void release(struct lookup *lookup, bool healthy)
{
	struct resolver *resolver = lookup->resolver;
	_cleanup_fd_ int fd = lookup->io.fd;

	ev_io_stop(resolver->loop, &lookup->io);
	lookup->running = false;
	if (healthy && resolver->spare < 0)
		resolver->spare = steal_fd(&fd);
	resolver->busy--;
	keep_spare(resolver);
	run_next(resolver);
}

static void take_answer(struct lookup *lookup, const struct resolver_answer *answer, ssize_t n)
{
	bool whole = n == sizeof(*answer) && addresses_valid(&answer->addresses) &&
		     (answer->gai_error || answer->addresses.n);

	lookup->gai_error = whole ? answer->gai_error : EAI_SYSTEM;
	lookup->sys_errno = whole ? answer->sys_errno : n < 0 ? errno : EPROTO;
	if (whole)
		lookup->addresses = answer->addresses;
	release(lookup, whole);
}

static void on_answer(EV_P_ ev_io *io, int events)
{
	struct lookup *lookup = container_of(io, struct lookup, io);
	struct resolver_answer answer;
	ssize_t n = recv(io->fd, &answer, sizeof(answer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	take_answer(lookup, &answer, n);
	lookup->done(lookup);
}

/* Hands the look-up to a process. What goes wrong is seen by on_answer(), as a socket that says nothing sensible. */
static void run(struct lookup *lookup)
{
	struct resolver *resolver = lookup->resolver;

	keep_spare(resolver);
	resolver->busy++;
	lookup->running = true;
	ev_io_set(&lookup->io, steal_fd(&resolver->spare), EV_READ);
	if (lookup->io.fd < 0)
		return ev_feed_event(resolver->loop, &lookup->io, EV_READ);
	ev_io_start(resolver->loop, &lookup->io);
	send(lookup->io.fd, lookup->host, strlen(lookup->host), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void run_next(struct resolver *resolver)
{
	struct lookup *lookup;

	if (list_empty(&resolver->waiting) || resolver->busy >= resolver->max)
		return;
	lookup = list_first(&resolver->waiting, struct lookup, link);
	list_leave(&lookup->link);
	run(lookup);
}

void lookup_start(struct lookup *lookup, struct resolver *resolver, const char *host, void (*done)(struct lookup *))
{
	*lookup = (struct lookup){ .resolver = resolver, .host = host, .done = done };
	list_init(&lookup->link);
	ev_io_init(&lookup->io, on_answer, -1, EV_READ);
	if (resolver->busy < resolver->max)
		run(lookup);
	else
		list_append(&resolver->waiting, &lookup->link);
}

void lookup_stop(struct lookup *lookup)
{
	if (!lookup->resolver)
		return;
	list_leave(&lookup->link);
	if (lookup->running)
		release(lookup, false);
}
