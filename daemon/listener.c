/* SPDX-License-Identifier: MIT */
#include "daemon/listener.h"

#include <string.h>
#include <sys/socket.h>

static void rest(struct listener *listener)
{
	ev_io_stop(listener->env->loop, &listener->acceptable);
	ev_timer_stop(listener->env->loop, &listener->rest);
	ev_timer_set(&listener->rest, LISTENER_REST, 0);
	ev_timer_start(listener->env->loop, &listener->rest);
}

static void on_rested(EV_P_ ev_timer *timer, int events)
{
	struct listener *listener = container_of(timer, struct listener, rest);

	ev_io_start(EV_A_ &listener->acceptable);
}

static void peer_gone(struct peer *peer)
{
	struct listener *listener = peer->owner;

	peer_free(peer);
	listener->n_peers--;
	if (!ev_is_active(&listener->rest))
		ev_io_start(listener->env->loop, &listener->acceptable);
}

static void accept_failed(struct listener *listener, int sys_errno)
{
	if (sys_errno == EAGAIN || sys_errno == EINTR || sys_errno == ECONNABORTED)
		return;
	if (!listener->told)
		log_line(listener->env->log, LOG_WARNING,
			 "cannot accept a caller, trying every %g s: %s", LISTENER_REST,
			 strerror(sys_errno));
	listener->told = true;
	rest(listener);
}

/* One a turn, so that those that are being served have their turn, too. */
static void on_acceptable(EV_P_ ev_io *io, int events)
{
	struct listener *listener = container_of(io, struct listener, acceptable);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *peer;

	if (fd < 0)
		return accept_failed(listener, errno);
	peer = peer_new(listener->env, fd, listener, peer_gone);
	if (!peer)
		return accept_failed(listener, ENOMEM);
	listener->told = false;
	list_append(&listener->peers, &peer->link);
	if (++listener->n_peers >= listener->env->config->limits.connections)
		ev_io_stop(EV_A_ io); /* until one has gone */
}

void listener_start(struct listener *listener, struct env *env, int fd)
{
	*listener = (struct listener){ .env = env };
	list_init(&listener->peers);
	ev_io_init(&listener->acceptable, on_acceptable, fd, EV_READ);
	ev_timer_init(&listener->rest, on_rested, 0, 0);
	ev_io_start(env->loop, &listener->acceptable);
}

void listener_stop(struct listener *listener)
{
	ev_io_stop(listener->env->loop, &listener->acceptable);
	ev_timer_stop(listener->env->loop, &listener->rest);
	close_fd(&listener->acceptable.fd);
	while (!list_empty(&listener->peers))
		peer_free(list_first(&listener->peers, struct peer, link));
	listener->n_peers = 0;
}
