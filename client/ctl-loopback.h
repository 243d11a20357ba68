/* SPDX-License-Identifier: MIT */
/* A TCP connection to oneself over loopback, IPv4 or IPv6, whichever there is; nothing blocks. */
#pragma once

#include <sys/socket.h>

struct loopback {
	int fd[2];
};

/* Open until the end of the scope. */
#define LOOPBACK(name) __attribute__((cleanup(loopback_close))) struct loopback name = { { -1, -1 } }

/* 0 or -errno; -ETIMEDOUT: a packet filter is in the way. */
int loopback_connect(struct loopback *ends, int patience_ms);
void loopback_close(struct loopback *ends);

/* poll(2) on one descriptor: 0 or -errno, -ETIMEDOUT among them. */
int loopback_wait(int fd, short events, int patience_ms);
