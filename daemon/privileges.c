/* SPDX-License-Identifier: MIT */
#include "daemon/privileges.h"

#include "proto/util.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

bool privileges_harden(struct log *log)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return true;
	log_line(log, LOG_ERR, "cannot rule out core dumps and new privileges: %s", strerror(errno));
	return false;
}

/* setresuid() from root to another user clears every capability set but the bounding one, which
 * no_new_privs makes useless. */
static bool become(const struct passwd *user)
{
	return setgroups(0, NULL) == 0 &&
	       setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
	       setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0;
}

static bool leave_root(struct log *log)
{
	const struct passwd *user = getpwnam("ktlsd");

	if (!user)
		user = getpwnam("nobody");
	if (!user || user->pw_uid == 0) {
		log_line(log, LOG_ERR, "there is neither a user ktlsd nor nobody to run as");
		return false;
	}
	if (become(user))
		return true;
	log_line(log, LOG_ERR, "cannot become user %s: %s", user->pw_name, strerror(errno));
	return false;
}

/* Hardens last: a change of user has put back what fs.suid_dumpable says (prctl(2)). */
bool privileges_drop(struct log *log)
{
	return (geteuid() != 0 || leave_root(log)) && privileges_harden(log);
}

/* Where there is none, capset(2) is not asked for: a system call filter of the service manager's
 * may forbid it. */
bool privileges_drop_capabilities(struct log *log)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capget, &head, sets) == 0 &&
	    (memcmp(sets, none, sizeof(none)) == 0 || syscall(SYS_capset, &head, none) == 0))
		return true;
	log_line(log, LOG_ERR, "cannot give up capabilities: %s", strerror(errno));
	return false;
}
