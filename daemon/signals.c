/* SPDX-License-Identifier: MIT */
#include "daemon/signals.h"

#include "proto/util.h"

#include <signal.h>
#include <sys/signalfd.h>

static void on_ready(EV_P_ ev_io *io, int events)
{
	struct signals *signals = container_of(io, struct signals, ready);
	struct signalfd_siginfo info;

	if (events & EV_ERROR) {
		ev_timer_set(&signals->rest, SIGNALS_REST, 0);
		return ev_timer_start(EV_A_ &signals->rest);
	}
	/* Not to be had is only not yet: it is as ready in the next turn. */
	if (read(io->fd, &info, sizeof(info)) == sizeof(info))
		signals->came(signals, (int)info.ssi_signo);
}

static void on_rested(EV_P_ ev_timer *timer, int events)
{
	struct signals *signals = container_of(timer, struct signals, rest);

	ev_io_start(EV_A_ &signals->ready);
}

bool signals_init(struct signals *signals, struct ev_loop *loop, const int numbers[], size_t n,
		  void (*came)(struct signals *, int number))
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, numbers[i]);
	/* Blocked, even where there is no descriptor: the service ends then in good order. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	*signals = (struct signals){ .loop = loop, .came = came };
	ev_io_init(&signals->ready, on_ready, fd, EV_READ);
	ev_timer_init(&signals->rest, on_rested, 0, 0);
	if (fd < 0)
		return false;
	ev_io_start(loop, &signals->ready);
	return true;
}

void signals_deinit(struct signals *signals)
{
	if (signals->ready.fd < 0)
		return;
	ev_io_stop(signals->loop, &signals->ready);
	ev_timer_stop(signals->loop, &signals->rest);
	close_fd(&signals->ready.fd);
}
