/* SPDX-License-Identifier: MIT */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* setresuid() from root to another user clears every capability set but the bounding one, which
 * no_new_privs makes useless. */
static bool become(const struct passwd *user)
{
	return setgroups(0, NULL) == 0 &&
	       setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
	       setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0;
}

bool privileges_drop(struct log *log)
{
	const struct passwd *user;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_line(log, LOG_WARNING, "no_new_privs: %s", strerror(errno));
	if (geteuid() != 0)
		return true;
	user = getpwnam("ktlsd");
	if (!user)
		user = getpwnam("nobody");
	if (!user || user->pw_uid == 0) {
		log_line(log, LOG_ERR, "there is neither a user ktlsd nor nobody to run as");
		return false;
	}
	if (!become(user)) {
		log_line(log, LOG_ERR, "cannot become user %s: %s", user->pw_name, strerror(errno));
		return false;
	}
	/* A change of user has put back what fs.suid_dumpable says (prctl(2)). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		log_line(log, LOG_ERR, "cannot rule out core dumps: %s", strerror(errno));
		return false;
	}
	return true;
}
