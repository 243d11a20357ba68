/* SPDX-License-Identifier: MIT */
#include "daemon/server.h"

#include "daemon/privileges.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

static void on_signal(EV_P_ ev_signal *signal, int events)
{
	ev_break(EV_A_ EVBREAK_ALL);
}

static void watch_signal(struct server *server, ev_signal *watcher, int number)
{
	ev_signal_init(watcher, on_signal, number);
	ev_signal_start(server->loop, watcher);
}

bool server_init(struct server *server, const struct config *config, struct log *log, int listening)
{
	_cleanup_fd_ int fd = listening;

	*server = (struct server){ .loop = ev_loop_new(EVFLAG_NOENV) };
	if (!server->loop) {
		log_line(log, LOG_ERR, "no event loop can be made");
		return false;
	}
	if (!env_init(&server->env, server->loop, config, log) || !privileges_drop(log) ||
	    !env_start(&server->env))
		return false;
	watch_signal(server, &server->terminate, SIGTERM);
	watch_signal(server, &server->interrupt, SIGINT);
	listener_start(&server->listener, &server->env, steal_fd(&fd));
	return true;
}

void server_run(struct server *server)
{
	sd_notify(0, "READY=1");
	ev_run(server->loop, 0);
	sd_notify(0, "STOPPING=1");
}

void server_deinit(struct server *server)
{
	if (server->listener.env)
		listener_stop(&server->listener);
	if (server->loop) {
		env_deinit(&server->env);
		ev_loop_destroy(server->loop);
	}
	server->loop = NULL;
}
