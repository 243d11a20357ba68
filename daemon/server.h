/* SPDX-License-Identifier: MIT */
/* The running service: a loop, what requests share, the listener, the signals that stop it. */
#pragma once

#include "daemon/listener.h"

struct server {
	struct ev_loop *loop;
	struct env env;
	struct listener listener;
	ev_signal terminate, interrupt;
};

/*
 * Takes over listening. Everything that needs root happens in here, then root is given up; what
 * happens in server_run() is done as nobody. False after having logged why; server_deinit() is due
 * either way.
 */
bool server_init(struct server *server, const struct config *config, struct log *log,
		 int listening);
/* Tells the service manager that it is ready and serves until SIGTERM or SIGINT. */
void server_run(struct server *server);
void server_deinit(struct server *server);
