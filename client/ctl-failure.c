/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include "client/ctl-membership.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HINT_MAX 512
#define STEP_MAX 280

#define DOCTOR "ktlsctl doctor tells why"

/* The text of the errno behind a failure, unless the message has it already. */
static const char *failure_cause(const struct ktls *k)
{
	int err = ktls_get_errno(k);
	const char *name = err ? strerrorname_np(err) : NULL, *message = ktls_get_message(k);

	if (!err || strstr(message, strerror(err)) || (name && strstr(message, name)))
		return NULL;
	return strerror(err);
}

int ctl_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	perror("ktlsctl: stdout");
	return -1;
}

/* --- the next step, where the message does not have it */

/* The group that may open the socket, if this process is not in it. Root opens a socket of any other
 * group as well, and what a caller has named may be anybody's. */
static bool lacks_group(const struct ctl *ctl, struct membership *who)
{
	struct stat stat_;

	if (stat(ctl->socket ?: KTLS_SOCKET, &stat_) < 0 || stat_.st_gid == 0 || (stat_.st_mode & 0060) != 0060)
		return false;
	membership_of(who, stat_.st_gid);
	return !who->in && (!ctl->socket || strcmp(who->group, "ktls") == 0);
}

static void join_step(const struct membership *who, char step[static STEP_MAX])
{
	if (who->listed)
		snprintf(step, STEP_MAX, "the group %s has %s, this session not yet: log in anew, or run newgrp %s",
			 who->group, who->user, who->group);
	else
		snprintf(step, STEP_MAX, "as root, run usermod -aG %s %s; then log in anew", who->group, who->user);
}

static void tell_group(const struct ctl *ctl, char hint[static HINT_MAX])
{
	struct membership who;

	if (lacks_group(ctl, &who))
		join_step(&who, hint);
	else
		snprintf(hint, HINT_MAX, DOCTOR);
}

/* Who opens the socket without being in its group, as root does, is not whom the shipped rule is for. */
static void tell_rule(const struct ctl *ctl, char hint[static HINT_MAX])
{
	struct membership who;
	char step[STEP_MAX];

	if (!lacks_group(ctl, &who))
		return;
	join_step(&who, step);
	snprintf(hint, HINT_MAX, "the shipped access rule is for the group %s, in which %s is not: %s", who.group,
		 who.user, step);
}

static void tell_name(const struct ctl *ctl, char hint[static HINT_MAX])
{
	const char *colon = ctl->target ? strrchr(ctl->target, ':') : NULL;

	if (colon)
		snprintf(hint, HINT_MAX, "getent ahosts %.*s shows what this machine knows of the name",
			 (int)(colon - ctl->target), ctl->target);
}

/* What status says of its own failure is not to send one to status. */
static void tell_limits(const struct ctl *ctl, char hint[static HINT_MAX])
{
	if (ctl->target)
		snprintf(hint, HINT_MAX, "ktlsctl status shows the limits, and what is used of them");
}

#define TRUST "--ca FILE, --store NAME or --pin PIN says what to trust"
#define NAME "--name NAME says which name the right server's certificate has"
#define X509(x509) KTLS_CERTIFICATE_REJECTED, 0, "X509_V_ERR_" x509

/* The first row that fits counts. */
static const struct hint {
	enum ktls_status status;
	int err;		/* 0: any */
	const char *detail;	/* x509 or alert; NULL: any */
	const char *text;	/* NULL: none */
	const char *shown;	/* what a probe shows; NULL: nothing of use */
	void (*tell)(const struct ctl *ctl, char hint[static HINT_MAX]);
} hints[] = {
	{ KTLS_UNREACHABLE, ENOENT },
	{ KTLS_UNREACHABLE, ECONNREFUSED },
	{ KTLS_UNREACHABLE, EACCES, .tell = tell_group },
	{ KTLS_UNREACHABLE, .text = DOCTOR },
	{ KTLS_SILENT, .text = DOCTOR },
	{ KTLS_LOST, .text = DOCTOR },
	{ KTLS_PROTOCOL, .text = DOCTOR },
	{ KTLS_NOT_AUTHORIZED, .tell = tell_rule },
	{ KTLS_BUSY, .tell = tell_limits },
	{ KTLS_RESOLVE_FAILED, .tell = tell_name },
	{ KTLS_CONNECT_FAILED, ECONNREFUSED, .text = "is the port right, and does its server run?" },
	{ KTLS_CONNECT_FAILED, .shown = "each address that was tried" },
	{ X509("UNABLE_TO_GET_ISSUER_CERT_LOCALLY"), TRUST, "the pins" },
	{ X509("UNABLE_TO_GET_ISSUER_CERT"), TRUST, "the pins" },
	{ X509("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), TRUST, "the pins" },
	{ X509("DEPTH_ZERO_SELF_SIGNED_CERT"), TRUST, "the pins" },
	{ X509("SELF_SIGNED_CERT_IN_CHAIN"), TRUST, "the pins" },
	{ X509("HOSTNAME_MISMATCH"), NAME, "the names that it has" },
	{ X509("IP_ADDRESS_MISMATCH"), NAME, "the names that it has" },
	{ KTLS_CERTIFICATE_REJECTED, .shown = "the certificates, and pins of them" },
	{ KTLS_HANDSHAKE_FAILED, 0, "protocol_version", "let the server have TLS 1.2" },
	{ KTLS_HANDSHAKE_FAILED, 0, "handshake_failure", "ktlsctl ciphers shows what each policy offers" },
	{ KTLS_HANDSHAKE_FAILED, 0, "insufficient_security", "ktlsctl ciphers shows what each policy offers" },
	{ KTLS_HANDSHAKE_FAILED, 0, "unrecognized_name", "--server-name NAME sends another" },
	{ KTLS_HANDSHAKE_FAILED, 0, "no_application_protocol", "--alpn PROTOCOL offers one" },
	{ KTLS_HANDSHAKE_FAILED, .shown = "how far it comes" },
	{ KTLS_TIMED_OUT, .shown = "how far it comes" },
	{ KTLS_KERNEL_TLS_UNAVAILABLE, ENOENT, .text = "where that fails, " DOCTOR },
	{ KTLS_KERNEL_TLS_UNAVAILABLE, .text = DOCTOR },
	{ KTLS_NOT_OFFLOADABLE, .text = "ktlsctl ciphers shows what this kernel takes, and what policies leave of it" },
	{ KTLS_INTERNAL_ERROR, .text = "journalctl -u ktlsd may tell more" },
};

static bool is(const char *detail, const char *got)
{
	return got && strcmp(detail, got) == 0;
}

static const struct hint *find_hint(const struct ktls *k)
{
	for (size_t i = 0; i < N(hints); i++)
		if (hints[i].status == ktls_get_status(k) && (!hints[i].err || hints[i].err == ktls_get_errno(k)) &&
		    (!hints[i].detail || is(hints[i].detail, ktls_get_x509(k)) ||
		     is(hints[i].detail, ktls_get_alert(k))))
			return &hints[i];
	return NULL;
}

static void print_step(const char *step, const char *before)
{
	size_t n = strlen(before);

	if (*step)
		fprintf(stderr, "%s%s", n && before[n - 1] == '?' ? " " : "; ", step);
}

/* A probe shows by itself what it shows. */
static void print_hint(const struct ctl *ctl)
{
	const struct hint *hint = find_hint(ctl->k);
	char told[HINT_MAX] = "";

	if (!hint)
		return;
	if (hint->tell)
		hint->tell(ctl, told);
	print_step(hint->text ?: told, failure_cause(ctl->k) ? "" : ktls_get_message(ctl->k));
	if (hint->shown && ctl->target && !ctl->probing)
		fprintf(stderr, "; ktlsctl probe %s shows %s", ctl->target, hint->shown);
}

int ctl_failure(const struct ctl *ctl)
{
	const struct ktls *k = ctl->k;
	enum ktls_status status = ktls_get_status(k);
	const char *parameter = ktls_get_parameter(k), *cause = failure_cause(k);

	if (status == KTLS_OK) {
		fprintf(stderr, "ktlsctl: no memory\n"); /* for the answer that came */
		return KTLS_WHO_INTERNAL;
	}
	fprintf(stderr, "ktlsctl: %s: ", ktls_get_stage(k));
	if (parameter && !strstr(ktls_get_message(k), parameter))
		fprintf(stderr, "%s: ", parameter);
	fprintf(stderr, "%s%s%s", ktls_get_message(k), cause ? ": " : "", cause ?: "");
	print_hint(ctl);
	fprintf(stderr, " (%s)\n", ktls_status_name(status));
	return ktls_get_retry(k) ? KTLS_WHO_RETRY : ktls_status_who(status);
}
