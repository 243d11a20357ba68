/* SPDX-License-Identifier: MIT */
/*
 * The nursery: a process that does nothing but fork resolver processes, each of which asks the C
 * library for one name at a time (getaddrinfo(3), so /etc/hosts, nsswitch.conf and whatever the
 * administrator plugged in there count).
 *
 * Why processes: a look-up cannot be cancelled, and NSS modules are foreign code. A process can be
 * killed, and costs nobody else anything. Why a process that forks them: a child forked by the
 * daemon itself would carry a copy of its memory, with the secrets of every handshake under way.
 * For the same reason the daemon cannot fork another nursery when this one is killed; its keeper
 * can, a process that does nothing else. What the daemon wants meanwhile waits in the socket.
 *
 * A resolver is one end of a SOCK_SEQPACKET pair: a host goes in, a struct resolver_answer comes
 * out. Closing the daemon's end ends the process, even one that is stuck inside the C library.
 *
 * The supervisor starts one; its workers inherit our end of its socket and use it side by side.
 */
#pragma once

#include "daemon/address.h"

#include <sys/types.h>

struct resolver_answer {
	int gai_error; /* getaddrinfo(3); 0: addresses has at least one */
	int sys_errno; /* of EAI_SYSTEM */
	struct addresses addresses;
};

/* Forks the nursery and its keeper; returns our end of its socket, or -errno. Call while the
 * process is small, and as unprivileged as resolvers are to be. Both end when the last
 * copy of this socket is closed. */
int nursery_start(pid_t *keeper);

/* A new resolver's socket (non-blocking, close-on-exec), or -errno. Does not wait for the fork: a
 * host can be sent at once. */
int nursery_fork(int nursery);
