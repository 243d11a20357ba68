/* SPDX-License-Identifier: MIT */
/* Whether this process is one of a group, and whether it would be after a new login. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum { MEMBERSHIP_NAME_MAX = 64 };

struct membership {
	char user[MEMBERSHIP_NAME_MAX], group[MEMBERSHIP_NAME_MAX]; /* "uid 1000" where there is no name */
	bool in;	/* this process is */
	bool listed;	/* by the group's entry, from which a session takes it when it begins */
};

void membership_of(struct membership *membership, gid_t gid);
