/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include "daemon/connection.h"

#include <string.h>
#include <sys/socket.h>

static void rest(struct listener *listener)
{
	ev_io_stop(listener->loop, &listener->acceptable);
	ev_timer_stop(listener->loop, &listener->rest);
	ev_timer_set(&listener->rest, LISTENER_REST, 0);
	ev_timer_start(listener->loop, &listener->rest);
}

static void accept_failed(struct listener *listener, int sys_errno)
{
	if (sys_errno == EAGAIN || sys_errno == EINTR || sys_errno == ECONNABORTED)
		return;
	if (!listener->told)
		log_line(listener->log, LOG_WARNING,
			 "cannot accept a caller, trying every %g s: %s", LISTENER_REST,
			 strerror(sys_errno));
	listener->told = true;
	rest(listener);
}

static void deal(struct listener *listener, int fd)
{
	listener->told = false;
	if (!listener->deal(listener, &fd)) {
		listener->held = fd;
		rest(listener);
	}
}

/* One a turn, so that those that are being served have their turn, too. */
static void on_acceptable(EV_P_ ev_io *io, int events)
{
	struct listener *listener = container_of(io, struct listener, acceptable);
	int fd;

	/* The loop has given it up: no memory to watch it. */
	if (events & EV_ERROR)
		return accept_failed(listener, ENOMEM);
	fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		accept_failed(listener, errno);
	else
		deal(listener, fd);
}

void listener_resume(struct listener *listener)
{
	if (listener->acceptable.fd < 0)
		return;
	ev_timer_stop(listener->loop, &listener->rest);
	ev_io_start(listener->loop, &listener->acceptable);
	if (listener->held >= 0)
		deal(listener, steal_fd(&listener->held));
}

static void on_rested(EV_P_ ev_timer *timer, int events)
{
	listener_resume(container_of(timer, struct listener, rest));
}

void listener_start(struct listener *listener, struct ev_loop *loop, struct log *log, int fd,
		    bool (*deal_)(struct listener *, int *))
{
	*listener = (struct listener){ .loop = loop, .log = log, .held = -1, .deal = deal_ };
	ev_io_init(&listener->acceptable, on_acceptable, fd, EV_READ);
	ev_timer_init(&listener->rest, on_rested, 0, 0);
	ev_io_start(loop, &listener->acceptable);
}

void listener_stop(struct listener *listener)
{
	if (listener->acceptable.fd < 0)
		return;
	ev_io_stop(listener->loop, &listener->acceptable);
	ev_timer_stop(listener->loop, &listener->rest);
	close_fd(&listener->acceptable.fd);
	connection_close(&listener->held);
}
