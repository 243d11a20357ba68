/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told: datagrams of KEY=VALUE lines to the socket of $NOTIFY_SOCKET, as
 * sd_notify(3) has it. Sent here, because that function waits where the manager does not read, and a
 * supervisor that waits accepts nobody.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_TEXT_MAX 1024

struct notify {
	int fd; /* -1: nobody wants to know */
	struct sockaddr_un address;
	socklen_t length;
	bool watchdog; /* it wants to hear that we are alive */
	char owed[NOTIFY_TEXT_MAX]; /* what it has not taken; or empty */
};

/* From the environment. 0; or -errno: there is no socket to be had, or what stands there is no address
 * of one. Either way notify_deinit() is due. */
int notify_init(struct notify *notify);
void notify_deinit(struct notify *notify);

/* Tells it what the service is about. Never waits: what is not taken now is kept for notify_again(),
 * and what comes later takes its place. */
void notify_tell(struct notify *notify, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void notify_again(struct notify *notify);
/* That all is well, if it wants to hear that. */
void notify_alive(const struct notify *notify);
