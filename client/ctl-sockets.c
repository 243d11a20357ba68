/* SPDX-License-Identifier: MIT */
#include "client/ctl-diag.h"
#include "client/ctl-service.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct ctl_syntax syntax = { .more = &ctl_json_syntax };

static const char *show_processes(struct json_object *processes, char scratch[static VIEW_CELL])
{
	size_t length = 0;

	strcpy(scratch, "-");
	for (size_t i = 0; i < view_count(processes); i++) {
		struct json_object *process = json_object_array_get_idx(processes, i);

		if (length < VIEW_CELL)
			length += (size_t)snprintf(scratch + length, VIEW_CELL - length,
						   "%s%s (%lld)", i ? ", " : "",
						   view_text(process, "command"),
						   (long long)view_number(process, "pid"));
	}
	return scratch;
}

static const struct view_column sockets[] = {
	{ "LOCAL", "local" },
	{ "REMOTE", "remote" },
	{ "STATE", "state" },
	{ "VERSION", "version" },
	{ "CIPHER", "cipher" },
	{ "TRANSMIT", "transmit" },
	{ "RECEIVE", "receive" },
	{ "SENT", "bytesSent", view_bytes, true },
	{ "RECEIVED", "bytesReceived", view_bytes, true },
	{ "PROCESSES", "processes", show_processes },
};

static void render(struct view *view, struct json_object *document)
{
	struct json_object *rows = view_get(document, "sockets");
	bool needed = view_true(document, "privileged.needed"),
	     had = view_true(document, "privileged.had");
	char scratch[VIEW_CELL];

	view_table(view, rows, sockets, N(sockets));
	if (rows && view_count(rows) == 0 && (!needed || had))
		view_line(view, VIEW_PLAIN, "no socket of this network namespace is under kernel TLS");
	if (needed && !had)
		view_line(view, VIEW_NOTE,
			  "this kernel tells only who has %s which sockets are under kernel TLS, and "
			  "of them: %s",
			  view_text(document, "privileged.capability"),
			  view_value(view_get(document, "privileged.columns"), scratch));
	if (view_true(document, "processesHidden"))
		view_line(view, VIEW_NOTE, "the sockets of others' processes are theirs to see: "
					   "PROCESSES may lack some");
}

static enum ktls_who who_can_mend(int err)
{
	switch (err) {
	case EINTR: /* the list changed faster than it could be read */
		return KTLS_WHO_RETRY;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return KTLS_WHO_INTERNAL;
	default:
		return KTLS_WHO_ADMINISTRATOR;
	}
}

/* As where a service fails, and the cure. */
static struct json_object *document_of(const struct diag_failure *failure, enum ktls_who who)
{
	struct json_object *document = json_object_new_object();
	struct json_object *error = ctl_error(&(struct ctl_error){
		.stage = "sockets",
		.message = failure->message,
		.err = failure->err,
		.retry = who == KTLS_WHO_RETRY,
		.who = who,
	});

	json_object_object_add(error, "cure",
			       failure->cure ? json_object_new_string(failure->cure) : NULL);
	json_object_object_add(document, "error", error);
	return document;
}

/* What failed stands on stderr. */
static void render_nothing(struct view *view, struct json_object *document)
{
}

static int show_failure(struct ctl *ctl, const struct diag_failure *failure)
{
	enum ktls_who who = who_can_mend(failure->err);
	const char *cause = strerror(failure->err);

	fprintf(stderr, "ktlsctl: sockets: %s", failure->message);
	if (strcmp(cause, failure->message) != 0 && who != KTLS_WHO_RETRY)
		fprintf(stderr, ": %s", cause);
	fprintf(stderr, "%s%s\n", failure->cure ? "; " : "", failure->cure ?: "");
	return ctl_show(ctl, document_of(failure, who), render_nothing, (int)who);
}

static int run(struct ctl *ctl)
{
	struct diag_failure failure;
	struct json_object *document = diag_sockets("/proc", &failure);

	if (document)
		return ctl_show(ctl, document, render, KTLS_WHO_NOBODY);
	return show_failure(ctl, &failure);
}

const struct ctl_command ctl_sockets = {
	.name = "sockets",
	.operands = "",
	.sentence = "show the sockets of this machine that are under kernel TLS, and whose they are",
	.about = "Shows the sockets of this network namespace that are under kernel TLS.",
	.syntax = &syntax,
	.run = run,
};
