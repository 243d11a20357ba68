/* SPDX-License-Identifier: MIT */
/* The address at which callers find the service: a socket that systemd made, or one of our own. */
#pragma once

#include "daemon/log.h"

#define ENDPOINT_DIRECTORY "/run/ktlsd"
#define ENDPOINT_DEFAULT ENDPOINT_DIRECTORY "/io.ktlsd"
#define ENDPOINT_GROUP "ktls"

/* Before systemd starts a service it has made its sockets; nearly everybody else's backlog is this,
 * too. */
#define ENDPOINT_BACKLOG 512

/*
 * The listening socket, non-blocking and close-on-exec, or -1 after having logged why not. Sockets
 * from systemd (sd_listen_fds(3)) come first. Otherwise one is made at path, or at
 * ENDPOINT_DEFAULT: 0660 root:ktls, or 0600 where there is no such group or we may not give the
 * socket to it. A socket nobody listens on is replaced, one that somebody listens on is left alone.
 */
int endpoint_open(const char *path, struct log *log);
