/* SPDX-License-Identifier: MIT */
/*
 * Carries bytes between two descriptors and a socket under kernel TLS, both ways at once, until the
 * peer's end.
 *
 * Each direction has a thread that blocks. A loop over poll(2) would have to make all three
 * descriptors non-blocking, of which two belong to other processes as well; on Linux before 6.5 it
 * would spin while a record is incomplete, for poll(2) calls the socket readable then; and what was
 * written without blocking is lost if the socket is shut down before the kernel has got rid of it,
 * of which no poll(2) tells. A blocking close_notify waits for all that came before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct relay {
	int sock, in, out;
	/* recvmsg(2) and sendmsg(2), through which the relay sees the kernel. */
	ssize_t (*recvmsg)(int sock, struct msghdr *message, int flags);
	ssize_t (*sendmsg)(int sock, const struct msghdr *message, int flags);
	char message[256]; /* why, after a failure: "STAGE: TEXT" */
	bool cut; /* the peer's end came without its close_notify */

	struct relay_up {
		int in_errno;	/* reading failed: what the peer got is not all there was */
		int sock_errno; /* sending failed */
		size_t unsent;	/* read, and not yet all sent */
		bool done;	/* the peer has been told our end */
		char buffer[128 * 1024];
	} up;
	char buffer[128 * 1024];
};

void relay_init(struct relay *relay, int sock, int in, int out);

/* The exit status of ktlsctl: 0 if the peer ended with close_notify. SIGPIPE must be ignored. The
 * socket is finished then. */
int relay_run(struct relay *relay);
