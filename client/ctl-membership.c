/* SPDX-License-Identifier: MIT */
#include "client/ctl-membership.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *user_name(uid_t uid, char user[static USER_MAX])
{
	const struct passwd *entry = getpwuid(uid);

	if (entry)
		snprintf(user, USER_MAX, "%s", entry->pw_name);
	else
		snprintf(user, USER_MAX, "%u", uid);
	return user;
}

void membership_of(struct membership *membership, gid_t gid)
{
	const struct group *group = getgrgid(gid);
	char **member = group ? group->gr_mem : NULL;

	user_name(geteuid(), membership->user);
	if (group)
		snprintf(membership->group, USER_MAX, "%s", group->gr_name);
	else
		snprintf(membership->group, USER_MAX, "gid %u", gid);
	while (member && *member && strcmp(*member, membership->user) != 0)
		member++;
	membership->listed = member && *member;
	membership->in = group_member(gid);
}
