/* SPDX-License-Identifier: MIT */
/*
 * Who a caller is: what the kernel keeps of whoever called connect(2). Who holds the other end now,
 * and what that process says of itself, does not count.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct credentials {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary; owned */
	size_t n_groups;
	enum {
		NAMESPACE_OURS,
		NAMESPACE_OTHER,
		NAMESPACE_UNKNOWN, /* the kernel does not tell (before Linux 5.14) */
	} namespace; /* of the network */
	unsigned int account; /* of the uid in the ledger; not set here */
};

/* fd is an accepted AF_UNIX socket. 0 or -errno; *c is to be deinitialised in any case. */
int credentials_read(struct credentials *c, int fd);
void credentials_deinit(struct credentials *c);
