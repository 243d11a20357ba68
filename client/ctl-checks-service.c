/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-membership.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- the socket */

/* The first directory on the way to a file that this user may not look into. */
static size_t closed_directory(const char *path)
{
	char directory[512];

	for (size_t n = 1; path[n] && n < sizeof(directory); n++) {
		if (path[n] != '/')
			continue;
		snprintf(directory, sizeof(directory), "%.*s", (int)n, path);
		if (access(directory, X_OK) < 0)
			return n;
	}
	return strlen(path);
}

static bool is_for_group(const struct stat *stat)
{
	return (stat->st_mode & 0060) == 0060 && stat->st_gid != 0;
}

/* How its rights come to be what they should be. To a path that a caller has named root does nothing. */
static void cure_rights(const struct exam *exam, struct finding *finding)
{
	if (exam->named_by)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "let its owner make it 0660 and of group ktls");
	else if (exam->systemd)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run systemctl restart ktlsd.socket; that makes it 0660 and of group ktls");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run chgrp ktls %s && chmod 660 %s",
			     exam->socket, exam->socket);
}

static void find_closed(const struct exam *exam, struct finding *finding, const char *user)
{
	int n = (int)closed_directory(exam->socket);

	finding_set(finding, VERDICT_FAULT, "%s may not look into %.*s, where the socket is", user, n, exam->socket);
	if (exam->named_by)
		finding_cure(finding, KTLS_WHO_CALLER,
			     "name the service's socket, or let the directory's owner open it");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run chmod 755 %.*s", n, exam->socket);
}

/* What is there, and is not to be reached. */
static void find_rights(const struct exam *exam, struct finding *finding)
{
	struct membership who;

	membership_of(&who, exam->socket_stat.st_gid);
	if (exam->socket_errno)
		return find_closed(exam, finding, who.user);
	finding_set(finding, VERDICT_FAULT, "%s may not open %s, which is %04o and of group %s", who.user,
		    exam->socket, exam->socket_stat.st_mode & 07777, who.group);
	if (!is_for_group(&exam->socket_stat))
		cure_rights(exam, finding);
	else if (who.in)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "a security module forbids it: journalctl -k may tell");
	else if (who.listed)
		finding_cure(finding, KTLS_WHO_CALLER, "log in anew, or run newgrp %s; the group has %s, this session not yet",
			     who.group, who.user);
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run usermod -aG %s %s; then log in anew", who.group, who.user);
}

/* What the caller named is his to mend. */
static void find_misnamed(const struct exam *exam, struct finding *finding, const char *what)
{
	finding_set(finding, VERDICT_FAULT, "%s %s, which %s names", what, exam->socket, exam->named_by);
	if (strcmp(exam->named_by, "--socket") == 0)
		finding_cure(finding, KTLS_WHO_CALLER, "leave out --socket, or name the service's socket");
	else
		finding_cure(finding, KTLS_WHO_CALLER, "run unset %s; or let it name the service's socket",
			     exam->named_by);
}

static void cure_start(const struct exam *exam, struct finding *finding, const char *verb)
{
	if (exam->systemd)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run systemctl %s ktlsd.socket", verb);
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run ktlsd");
}

static void find_absence(const struct exam *exam, struct finding *finding)
{
	if (exam->named_by)
		return find_misnamed(exam, finding, "there is no");
	finding_set(finding, VERDICT_FAULT, "the service is not started: there is no %s", exam->socket);
	cure_start(exam, finding, "enable --now");
}

static void find_death(const struct exam *exam, struct finding *finding)
{
	if (exam->named_by)
		return find_misnamed(exam, finding,
				     S_ISSOCK(exam->socket_stat.st_mode) ? "nobody listens at" : "no socket is");
	finding_set(finding, VERDICT_FAULT, "the service has ended: nobody listens at %s", exam->socket);
	cure_start(exam, finding, "restart");
}

static void find_refusal(const struct exam *exam, struct finding *finding)
{
	if (exam->named_by && !exam->socket_errno && !S_ISSOCK(exam->socket_stat.st_mode))
		return find_death(exam, finding);
	find_rights(exam, finding);
}

static void find_silence(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "%.*s", (int)strcspn(exam->reach_message, ";"), exam->reach_message);
	if (exam->systemd && !exam->named_by)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run systemctl restart ktlsd; journalctl -u ktlsd tells what held it up");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "end ktlsd, by kill -KILL if need be, and start it anew");
}

static void find_stranger(const struct exam *exam, struct finding *finding)
{
	if (exam->named_by)
		return find_misnamed(exam, finding, "it is not ktlsd that listens at");
	finding_set(finding, VERDICT_FAULT, "it is not ktlsd that listens at %s: %s", exam->socket,
		    exam->reach_message);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run ss -xlp src %s; end what it shows, and run systemctl restart ktlsd.socket",
		     exam->socket);
}

/* Programs are replaced while a service runs on. */
static void find_age(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "the service at %s is older than ktlsctl, and knows less", exam->socket);
	if (exam->systemd && !exam->named_by)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run systemctl daemon-reload && systemctl restart ktlsd");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "start ktlsd anew, of the version that ktlsctl has");
}

/* What else it may be is told as it came. */
static const struct {
	enum ktls_status status;
	int err; /* 0: any */
	void (*find)(const struct exam *exam, struct finding *finding);
} reaches[] = {
	{ KTLS_UNREACHABLE, ENOENT, find_absence },
	{ KTLS_UNREACHABLE, ENOTDIR, find_absence },
	{ KTLS_UNREACHABLE, EACCES, find_refusal },
	{ KTLS_UNREACHABLE, ECONNREFUSED, find_death },
	{ KTLS_UNREACHABLE, 0, find_stranger },
	{ KTLS_SILENT, 0, find_silence },
	{ KTLS_LOST, 0, find_silence },
	{ KTLS_PROTOCOL, 0, find_stranger },
	{ KTLS_METHOD_NOT_FOUND, 0, find_age },
	{ KTLS_METHOD_NOT_IMPLEMENTED, 0, find_age },
	{ KTLS_INTERFACE_NOT_FOUND, 0, find_stranger },
};

static void look_reach(const struct exam *exam, struct finding *finding)
{
	if (exam->reached == KTLS_OK && !is_for_group(&exam->socket_stat) &&
	    !(exam->socket_stat.st_mode & 0002)) {
		finding_set(finding, VERDICT_NOTE, "the service answers, but %s is %04o: others may not ask it",
			    exam->socket, exam->socket_stat.st_mode & 07777);
		return cure_rights(exam, finding);
	}
	if (exam->reached == KTLS_OK)
		return finding_set(finding, VERDICT_OK, "the service answers at %s", exam->socket);
	for (size_t i = 0; i < sizeof(reaches) / sizeof(*reaches); i++)
		if (reaches[i].status == exam->reached &&
		    (!reaches[i].err || reaches[i].err == exam->reach_errno))
			return reaches[i].find(exam, finding);
	finding_set(finding, VERDICT_FAULT, "%s", exam->reach_message);
	finding_cure(finding, ktls_status_who(exam->reached), "%s", ktls_status_text(exam->reached));
}

/* --- how it runs */

/* A service that answers goes by the configuration that it had when it was right. */
static void look_configuration(const struct exam *exam, struct finding *finding)
{
	const struct configuration *configuration = &exam->configuration;
	bool stops = exam->reached == KTLS_SILENT || exam->reached == KTLS_LOST;
	char more[32] = "";

	if (configuration->state == CONFIGURATION_GOOD)
		return finding_set(finding, VERDICT_OK, "the configuration has no fault");
	if (configuration->state != CONFIGURATION_FAULTY) {
		finding_set(finding, VERDICT_UNKNOWN, "the configuration was not read");
		if (configuration->state == CONFIGURATION_UNREADABLE)
			finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "as root, run ktlsd --check-config");
		return;
	}
	if (configuration->faults > 1)
		snprintf(more, sizeof(more), " (and %u more)", configuration->faults - 1);
	finding_set(finding, stops ? VERDICT_FAULT : VERDICT_NOTE, "%s%s%s",
		    stops ? "the service cannot start with " : "the service could not start anew with ",
		    configuration->first, more);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, mend it, see it gone with ktlsd --check-config, and run systemctl %s ktlsd",
		     stops ? "restart" : "reload");
}

static void look_version(const struct exam *exam, struct finding *finding)
{
	const char *version = view_text(exam->status, "version");

	if (strcmp(version, ktls_library_version()) == 0)
		return finding_set(finding, VERDICT_OK, "service and ktlsctl are of version %s", version);
	finding_set(finding, VERDICT_NOTE, "the service is of version %s, ktlsctl of %s", version,
		    ktls_library_version());
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run systemctl daemon-reload && systemctl restart ktlsd");
}

static void look_manager(const struct exam *exam, struct finding *finding)
{
	if (view_true(exam->capabilities, "managed"))
		return finding_set(finding, VERDICT_OK, "a service manager watches the service");
	finding_set(finding, VERDICT_NOTE, "the service runs by itself: nobody restarts it, or loads a module for it");
	if (exam->systemd)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, end it, and run systemctl enable --now ktlsd.socket");
}

const struct check checks_of_service[] = {
	{ "service", NEEDS_NOTHING, look_reach, { "configuration" } },
	{ "configuration", NEEDS_NOTHING, look_configuration },
	{ "version", NEEDS_STATUS, look_version },
	{ "manager", NEEDS_CAPABILITIES, look_manager },
	{ NULL },
};
