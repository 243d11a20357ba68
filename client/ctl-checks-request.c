/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-membership.h"
#include "client/ctl-view.h"

#include <grp.h>
#include <string.h>
#include <unistd.h>

/* --- access */

static void cure_access(const struct exam *exam, struct finding *finding, const char *user)
{
	char command[COMMAND_MAX];
	const struct group *group = getgrnam("ktls");

	if (!group || group_member(group->gr_gid))
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, let an [Access] section of /etc/ktlsd that comes before any that denies "
			     "have Users=%s, and run %s", user, exam_reload(exam, command));
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run usermod -aG ktls %s; then log in anew; or let an [Access] section of "
			     "/etc/ktlsd have Users=%s, and run %s", user, user, exam_reload(exam, command));
}

/* Root, who looks after the machine for others, is not among those whom the shipped rule is for. */
static void look_access(const struct exam *exam, struct finding *finding)
{
	uid_t uid = (uid_t)view_number(exam->capabilities, "caller.uid");
	char user[USER_MAX];

	user_name(uid, user);
	if (!view_true(exam->capabilities, "caller.allowed")) {
		finding_set(finding, uid ? VERDICT_FAULT : VERDICT_NOTE,
			    "no access rule lets %s have a connection", user);
		return cure_access(exam, finding, user);
	}
	if (view_true(exam->capabilities, "caller.barred")) {
		finding_set(finding, VERDICT_FAULT, "a worker has crashed at a request of %s, who has to wait", user);
		return finding_cure(finding, KTLS_WHO_RETRY,
				    "wait, at most as long as UserPenaltySec= says; journalctl -u ktlsd tells of the crash");
	}
	finding_set(finding, VERDICT_OK, "%s may ask for connections", user);
}

/* --- what can be asked for */

/* The first policy of which this kernel takes nothing. */
static void look_policies(const struct exam *exam, struct finding *finding)
{
	struct json_object *policies = view_get(exam->capabilities, "policies");
	char command[COMMAND_MAX];

	for (size_t i = 0; i < view_count(policies); i++) {
		struct json_object *policy = json_object_array_get_idx(policies, i);

		if (view_count(view_get(policy, "offloadable")))
			continue;
		finding_set(finding, VERDICT_FAULT, "policy %s leaves nothing that this kernel takes",
			    view_text(policy, "name"));
		return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
				    "as root, change its Ciphers= in /etc/ktlsd, and run %s; ktlsctl ciphers shows "
				    "what the kernel takes", exam_reload(exam, command));
	}
	finding_set(finding, VERDICT_OK, "each policy leaves suites that this kernel takes");
}

/* Where the distribution keeps the certificates that it trusts, and what makes that file. */
static const struct {
	const char *directory, *command;
} makers[] = {
	{ "/etc/ssl/certs/", "update-ca-certificates" },
	{ "/etc/pki/", "update-ca-trust" },
};

static void cure_store(const struct exam *exam, const char *file, struct finding *finding)
{
	char command[COMMAND_MAX];
	const char *reload = exam_reload(exam, command);

	for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
		if (strncmp(file, makers[i].directory, strlen(makers[i].directory)) == 0)
			return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
					    "as root, run %s && %s; the package ca-certificates has what it takes",
					    makers[i].command, reload);
	if (*file)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, put current certificates into %s, and run %s", file, reload);
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, install the package ca-certificates, and run %s", reload);
}

static bool judge_store(const struct exam *exam, struct json_object *store, struct finding *finding)
{
	const char *name = view_text(store, "name"), *file = view_text(store, "file");

	if (view_number(store, "valid") > 0)
		return false;
	finding_set(finding, VERDICT_FAULT,
		    view_number(store, "certificates") ? "no certificate of trust store %s is within its dates%s%s" :
							 "trust store %s is empty%s%s",
		    name, *file ? ": " : "", file);
	cure_store(exam, file, finding);
	return true;
}

static void look_stores(const struct exam *exam, struct finding *finding)
{
	struct json_object *stores = view_get(exam->capabilities, "stores");

	for (size_t i = 0; i < view_count(stores); i++)
		if (judge_store(exam, json_object_array_get_idx(stores, i), finding))
			return;
	finding_set(finding, VERDICT_OK, "each trust store has valid certificates");
}

/* What is asked here takes a connection itself, and gives it back. */
static bool is_full(struct json_object *quota, const char *used, const char *limit)
{
	bool with_ours = view_is(quota, "name", "connections");
	int64_t n = view_number(quota, used), most = view_number(quota, limit);

	return with_ours ? n > most : n >= most;
}

static void look_limits(const struct exam *exam, struct finding *finding)
{
	struct json_object *quotas = view_get(exam->status, "quotas");

	for (size_t i = 0; i < view_count(quotas); i++) {
		struct json_object *quota = json_object_array_get_idx(quotas, i);
		bool of_user = is_full(quota, "userUsed", "userLimit");

		if (!of_user && !is_full(quota, "used", "limit"))
			continue;
		finding_set(finding, VERDICT_FAULT, "%s the limit of %s, which is %lld",
			    of_user ? "this user has reached" : "all users together have reached",
			    view_text(quota, "name"),
			    (long long)view_number(quota, of_user ? "userLimit" : "limit"));
		return finding_cure(finding, KTLS_WHO_RETRY,
				    "try again later, or have it raised in [Limits] of /etc/ktlsd: ktlsd.conf(5)");
	}
	finding_set(finding, VERDICT_OK, "no limit is reached");
}

/* --- the server */

static void look_target(const struct exam *exam, struct finding *finding)
{
	struct json_object *error = view_get(exam->probed, "error");
	const char *name = exam->target, *cipher = view_text(exam->probed, "session.cipher");

	if (!name)
		return finding_set(finding, VERDICT_UNKNOWN, "no HOST:PORT was named to be tried");
	if (error) {
		finding_set(finding, VERDICT_FAULT, "%s: %s: %s (%s)", name, view_text(error, "stage"),
			    view_text(error, "message"), view_text(error, "name"));
		return finding_cure(finding, (enum ktls_who)view_number(error, "exitStatus"),
				    "ktlsctl probe %s shows all of it", name);
	}
	if (view_true(exam->probed, "takesOver"))
		return finding_set(finding, VERDICT_OK, "%s: %s, which the kernel takes", name, cipher);
	finding_set(finding, VERDICT_FAULT, "%s: %s, which the kernel does not take", name, cipher);
	finding_cure(finding, KTLS_WHO_PEER,
		     "let the server have an AEAD suite: ktlsctl probe %s shows which it takes", name);
}

const struct check checks_of_request[] = {
	{ "access", NEEDS_CAPABILITIES, look_access },
	{ "policies", NEEDS_CAPABILITIES, look_policies, { "module", "loopback", "ciphers" } },
	{ "stores", NEEDS_CAPABILITIES, look_stores },
	{ "limits", NEEDS_STATUS, look_limits },
	{ "target", NEEDS_CAPABILITIES, look_target,
	  { "module", "loopback", "ciphers", "access", "policies", "stores", "limits" } },
	{ NULL },
};
