/* SPDX-License-Identifier: MIT */
/* Whose process this is, whether it is one of a group, and whether it would be after a new login. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum { USER_MAX = 64 };

struct membership {
	char user[USER_MAX], group[USER_MAX]; /* "gid 500" where it has no name */
	bool in;	/* this process is */
	bool listed;	/* by the group's entry, from which a session takes it when it begins */
};

void membership_of(struct membership *membership, gid_t gid);
/* A user by name, or by number where there is none; both as usermod(8) and Users= take them. */
const char *user_name(uid_t uid, char user[static USER_MAX]);
