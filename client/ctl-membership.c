/* SPDX-License-Identifier: MIT */
#include "client/ctl-membership.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_in(gid_t gid)
{
	gid_t groups[256];
	int n = getgroups(sizeof(groups) / sizeof(*groups), groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

static void set_name(char to[static MEMBERSHIP_NAME_MAX], const char *name, const char *kind, id_t id)
{
	if (name)
		snprintf(to, MEMBERSHIP_NAME_MAX, "%s", name);
	else
		snprintf(to, MEMBERSHIP_NAME_MAX, "%s %u", kind, id);
}

void membership_of(struct membership *membership, gid_t gid)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = getgrgid(gid);
	char **member = group ? group->gr_mem : NULL;

	set_name(membership->user, user ? user->pw_name : NULL, "uid", geteuid());
	set_name(membership->group, group ? group->gr_name : NULL, "gid", gid);
	while (member && *member && strcmp(*member, membership->user) != 0)
		member++;
	membership->listed = member && *member;
	membership->in = is_in(gid);
}
