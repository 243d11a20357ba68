/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-view.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_SHOWN 64

/* --- the socket */

static const char *user_name(char name[static NAME_MAX_SHOWN], uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);

	if (entry)
		snprintf(name, NAME_MAX_SHOWN, "%s", entry->pw_name);
	else
		snprintf(name, NAME_MAX_SHOWN, "uid %u", uid);
	return name;
}

static const char *group_name(char name[static NAME_MAX_SHOWN], gid_t gid)
{
	const struct group *entry = getgrgid(gid);

	if (entry)
		snprintf(name, NAME_MAX_SHOWN, "%s", entry->gr_name);
	else
		snprintf(name, NAME_MAX_SHOWN, "gid %u", gid);
	return name;
}

static bool in_group(gid_t gid)
{
	gid_t groups[256];
	int n = getgroups(sizeof(groups) / sizeof(*groups), groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

/* What is there, and is not to be reached. */
static void find_rights(const struct exam *exam, struct finding *finding)
{
	char user[NAME_MAX_SHOWN], group[NAME_MAX_SHOWN];
	mode_t mode = exam->socket_stat.st_mode;

	user_name(user, geteuid());
	if (exam->socket_errno) {
		finding_set(finding, VERDICT_FAULT, "%s may not look into the directory of %s", user, exam->socket);
		return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
				    "as root, run systemctl restart ktlsd.socket, or chmod 755 the directory");
	}
	group_name(group, exam->socket_stat.st_gid);
	finding_set(finding, VERDICT_FAULT, "%s may not open %s, which is %03o and of group %s", user,
		    exam->socket, mode & 07777, group);
	if ((mode & 0060) != 0060 || exam->socket_stat.st_gid == 0)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run systemctl restart ktlsd.socket, which makes it 660 and of group "
			     "ktls: SocketMode=, SocketGroup=");
	else if (in_group(exam->socket_stat.st_gid))
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "a security module forbids it");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run usermod -aG %s %s; then log in anew", group, user);
}

static void find_absence(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "there is no %s%s", exam->socket,
		    exam->of_environment ? ", which KTLSD_SOCKET names" : "");
	if (exam->of_environment)
		finding_cure(finding, KTLS_WHO_CALLER, "unset KTLSD_SOCKET, or let it name the service's socket");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run systemctl enable --now ktlsd.socket");
}

static void find_death(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "nobody listens at %s%s", exam->socket,
		    exam->of_environment ? ", which KTLSD_SOCKET names" : "");
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run systemctl restart ktlsd.socket ktlsd; why it ended is in journalctl -u ktlsd, "
		     "and ktlsd --check-config tells of the configuration");
}

static void find_silence(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "the service does not answer: %s", exam->reach_message);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run systemctl restart ktlsd; what held it up may be in journalctl -u ktlsd");
}

static void find_stranger(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "what listens at %s is not ktlsd: %s", exam->socket, exam->reach_message);
	finding_cure(finding, exam->of_environment ? KTLS_WHO_CALLER : KTLS_WHO_ADMINISTRATOR,
		     exam->of_environment ? "unset KTLSD_SOCKET, or let it name the service's socket" :
					    "see with ss -xlp who that is");
}

/* What else it may be is told as it came. */
static const struct {
	enum ktls_status status;
	int err; /* 0: any */
	void (*find)(const struct exam *exam, struct finding *finding);
} reaches[] = {
	{ KTLS_UNREACHABLE, ENOENT, find_absence },
	{ KTLS_UNREACHABLE, ENOTDIR, find_absence },
	{ KTLS_UNREACHABLE, EACCES, find_rights },
	{ KTLS_UNREACHABLE, ECONNREFUSED, find_death },
	{ KTLS_UNREACHABLE, 0, find_stranger },
	{ KTLS_SILENT, 0, find_silence },
	{ KTLS_LOST, 0, find_silence },
	{ KTLS_PROTOCOL, 0, find_stranger },
};

static void look_reach(const struct exam *exam, struct finding *finding)
{
	if (exam->reached == KTLS_OK)
		return finding_set(finding, VERDICT_OK, "the service answers at %s", exam->socket);
	for (size_t i = 0; i < sizeof(reaches) / sizeof(*reaches); i++)
		if (reaches[i].status == exam->reached &&
		    (!reaches[i].err || reaches[i].err == exam->reach_errno))
			return reaches[i].find(exam, finding);
	finding_set(finding, VERDICT_FAULT, "%s", exam->reach_message);
	finding_cure(finding, ktls_status_who(exam->reached), "%s", ktls_status_text(exam->reached));
}

static void look_version(const struct exam *exam, struct finding *finding)
{
	const char *version = view_text(exam->status, "version");

	if (strcmp(version, ktls_library_version()) == 0)
		return finding_set(finding, VERDICT_OK, "service and ktlsctl are of version %s", version);
	finding_set(finding, VERDICT_NOTE, "the service is of version %s, ktlsctl of %s", version,
		    ktls_library_version());
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run systemctl daemon-reload, and systemctl restart ktlsd");
}

static void look_manager(const struct exam *exam, struct finding *finding)
{
	if (view_true(exam->capabilities, "managed"))
		return finding_set(finding, VERDICT_OK, "a service manager watches the service");
	finding_set(finding, VERDICT_NOTE, "the service runs by itself: nobody restarts it, or loads a module for it");
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run systemctl enable --now ktlsd.socket");
}

/* --- what it may be asked for */

static void look_access(const struct exam *exam, struct finding *finding)
{
	char user[NAME_MAX_SHOWN];

	user_name(user, (uid_t)view_number(exam->capabilities, "caller.uid"));
	if (!view_true(exam->capabilities, "caller.allowed")) {
		finding_set(finding, VERDICT_FAULT, "no access rule allows %s anything", user);
		return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
				    "as root, run usermod -aG ktls %s, or add a section [Access NAME] with "
				    "Users=%s to /etc/ktlsd, and systemctl reload ktlsd", user, user);
	}
	if (view_true(exam->capabilities, "caller.barred")) {
		finding_set(finding, VERDICT_FAULT, "a worker has crashed at a request of %s, who has to wait", user);
		return finding_cure(finding, KTLS_WHO_RETRY, "try again later; UserPenaltySec= says how long it is at most");
	}
	finding_set(finding, VERDICT_OK, "%s may ask for connections", user);
}

/* What a kernel that was found unable lacks has been told already. */
static bool kernel_lacks(struct json_object *capabilities)
{
	struct json_object *ciphers = view_get(capabilities, "kernel.ciphers");

	for (size_t i = 0; ciphers && i < json_object_array_length(ciphers); i++)
		if (view_get(json_object_array_get_idx(ciphers, i), "errno"))
			return true;
	return false;
}

/* The first policy of which this kernel takes nothing. */
static void look_policies(const struct exam *exam, struct finding *finding)
{
	struct json_object *policies = view_get(exam->capabilities, "policies");

	if (kernel_lacks(exam->capabilities))
		return finding_set(finding, VERDICT_UNKNOWN, "what policies leave is for the kernel to say first");
	for (size_t i = 0; policies && i < json_object_array_length(policies); i++) {
		struct json_object *policy = json_object_array_get_idx(policies, i);

		if (json_object_array_length(view_get(policy, "offloadable")))
			continue;
		finding_set(finding, VERDICT_FAULT, "policy %s leaves nothing that this kernel takes",
			    view_text(policy, "name"));
		return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
				    "change its Ciphers= in /etc/ktlsd; ktlsctl ciphers shows what the kernel takes");
	}
	finding_set(finding, VERDICT_OK, "each policy leaves suites that this kernel takes");
}

static bool judge_store(struct json_object *store, struct finding *finding)
{
	const char *name = view_text(store, "name"), *file = view_text(store, "file");
	int64_t certificates = view_number(store, "certificates");

	if (view_number(store, "valid") > 0)
		return false;
	finding_set(finding, VERDICT_FAULT, certificates ? "all certificates of trust store %s have expired%s%s" :
							   "trust store %s is empty%s%s",
		    name, *file ? ": " : "", file);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, %s, and run systemctl reload ktlsd",
		     strcmp(name, "system") == 0 ? "install the package ca-certificates, or set File= of "
						   "[Store system] in /etc/ktlsd" :
						   "put current certificates into it");
	return true;
}

static void look_stores(const struct exam *exam, struct finding *finding)
{
	struct json_object *stores = view_get(exam->capabilities, "stores");

	for (size_t i = 0; stores && i < json_object_array_length(stores); i++)
		if (judge_store(json_object_array_get_idx(stores, i), finding))
			return;
	finding_set(finding, VERDICT_OK, "each trust store has valid certificates");
}

static void look_limits(const struct exam *exam, struct finding *finding)
{
	struct json_object *quotas = view_get(exam->status, "quotas");

	for (size_t i = 0; quotas && i < json_object_array_length(quotas); i++) {
		struct json_object *quota = json_object_array_get_idx(quotas, i);
		bool user = view_number(quota, "userUsed") >= view_number(quota, "userLimit");

		if (!user && view_number(quota, "used") < view_number(quota, "limit"))
			continue;
		finding_set(finding, VERDICT_FAULT, "the limit of %s is reached%s", view_text(quota, "name"),
			    user ? " by this user" : "");
		return finding_cure(finding, KTLS_WHO_RETRY,
				    "try again later, or raise it: ktlsctl status shows all, ktlsd.conf(5) tells the keys");
	}
	finding_set(finding, VERDICT_OK, "no limit is reached");
}

static void look_target(const struct exam *exam, struct finding *finding)
{
	struct json_object *error = view_get(exam->probed, "error");

	if (!exam->target)
		return finding_set(finding, VERDICT_UNKNOWN, "no HOST:PORT was named to be tried");
	if (error) {
		finding_set(finding, VERDICT_FAULT, "%s: %s: %s (%s)", exam->target, view_text(error, "stage"),
			    view_text(error, "message"), view_text(error, "name"));
		return finding_cure(finding, (enum ktls_who)view_number(error, "exitStatus"),
				    "ktlsctl probe %s shows all of it", exam->target);
	}
	if (view_true(exam->probed, "takesOver"))
		return finding_set(finding, VERDICT_OK, "%s: %s, which the kernel takes", exam->target,
				   view_text(exam->probed, "session.cipher"));
	finding_set(finding, VERDICT_FAULT, "%s: %s, which the kernel does not take", exam->target,
		    view_text(exam->probed, "session.cipher"));
	finding_cure(finding, KTLS_WHO_PEER, "let it have an AEAD suite: ktlsctl probe %s shows which it takes",
		     exam->target);
}

const struct check checks_of_service[] = {
	{ "service", false, look_reach },
	{ "version", true, look_version },
	{ "manager", true, look_manager },
	{ "access", true, look_access },
	{ "policies", true, look_policies },
	{ "stores", true, look_stores },
	{ "limits", true, look_limits },
	{ "target", true, look_target },
	{ NULL },
};
