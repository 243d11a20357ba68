/* SPDX-License-Identifier: MIT */
#include "client/ctl-faults.h"
#include "client/ctl-service.h"
#include "client/ctl-tlsstat.h"
#include "client/ctl-trial.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int set_watch(struct ctl *ctl, const char *value)
{
	char *end;

	ctl->interval = strtod(value, &end);
	if (*end || !(ctl->interval >= 0.1 && ctl->interval <= 3600)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "watch", .letter = 'w', .value = "SECONDS", .set = set_watch,
	  .sentence = "show it anew each so many seconds", .expected = "0.1 to 3600 seconds" },
};

static const struct ctl_syntax syntax = {
	.options = options, .n = N(options), .more = &ctl_json_syntax,
};

/* --- the text */

static const char *show_member(struct json_object *setting, char scratch[static VIEW_CELL])
{
	snprintf(scratch, VIEW_CELL, "[%s] %s", view_text(setting, "section"),
		 view_text(setting, "key"));
	return scratch;
}

static enum view_tone tone_of_outcome(struct json_object *outcome)
{
	return strcmp(view_text(outcome, "outcome"), "ok") == 0 ? VIEW_GOOD : VIEW_NOTE;
}

static enum view_tone tone_of_fault(struct json_object *fault)
{
	const char *state = view_text(fault, "state");

	return strcmp(state, "affected") == 0 ? VIEW_BAD :
	       strcmp(state, "unknown") == 0  ? VIEW_NOTE : VIEW_GOOD;
}

static const struct view_column service[] = {
	{ "version", "version" },
	{ "since", "since" },
	{ "configuration of", "loaded" },
	{ "process", "pid" },
	{ "reloads", "reloads" },
	{ "workers lost", "workersLost" },
	{ "requests under way", "underWay" },
	{ "calls refused", "callsRefused" },
	{ "records suppressed", "recordsSuppressed" },
};

static const struct view_column workers[] = {
	{ "PROCESS", "pid", NULL, true },
	{ "SINCE", "since" },
	{ "UNDER WAY", "underWay", NULL, true },
};

static const struct view_column outcomes[] = {
	{ "METHOD", "method" },
	{ "COUNT", "count", NULL, true },
	{ "OUTCOME", "outcome", NULL, false, tone_of_outcome },
	{ "STAGE", "stage" },
};

static const struct view_column latencies[] = {
	{ "STAGE", "stage" },
	{ "COUNT", "count", NULL, true },
	{ "P50", "p50", view_usec, true },
	{ "P90", "p90", view_usec, true },
	{ "P99", "p99", view_usec, true },
};

static const struct view_column sessions[] = {
	{ "VERSION", "version" },
	{ "COUNT", "count", NULL, true },
	{ "CIPHER", "cipher" },
};

static const struct view_column quotas[] = {
	{ "QUOTA", "name" },
	{ "USED", "used", NULL, true },
	{ "LIMIT", "limit", NULL, true },
	{ "OF YOURS", "userUsed", NULL, true },
	{ "LIMIT", "userLimit", NULL, true },
};

static const struct view_column settings[] = {
	{ "KEY", "", show_member },
	{ "VALUE", "value" },
};

static const struct view_column counters[] = {
	{ "COUNTER", "name" },
	{ "VALUE", "value", NULL, true },
	{ "MEANING", "meaning" },
};

static const struct view_column known[] = {
	{ "FAULT", "name" },
	{ "STATE", "state", NULL, false, tone_of_fault },
	{ "FOUND BY", "by" },
	{ "WHAT", "what" },
};

/* One after the other, each under its heading. */
static const struct {
	const char *heading, *path;
	const struct view_column *columns;
	size_t n;
} tables[] = {
	{ "Workers", "service.workers", workers, N(workers) },
	{ "Requests", "service.outcomes", outcomes, N(outcomes) },
	{ "Times", "service.latencies", latencies, N(latencies) },
	{ "Sessions", "service.sessions", sessions, N(sessions) },
	{ "Limits", "service.quotas", quotas, N(quotas) },
	{ "Configuration", "service.configuration", settings, N(settings) },
	{ "The kernel's counters of TLS, of this network namespace", "kernel.counters", counters,
	  N(counters) },
	{ "Known faults of kernel TLS", "kernel.faults", known, N(known) },
};

static void render(struct view *view, struct json_object *document)
{
	if (view_get(document, "service")) {
		view_heading(view, "Service");
		view_facts(view, view_get(document, "service"), service, N(service));
	}
	for (size_t i = 0; i < N(tables); i++) {
		struct json_object *rows = view_get(document, tables[i].path);

		if (view_count(rows) == 0)
			continue;
		view_heading(view, "%s", tables[i].heading);
		view_table(view, rows, tables[i].columns, tables[i].n);
	}
}

/* --- the document */

/* What the kernel says to anybody, with the service or without it. */
static struct json_object *kernel_part(struct json_object *faults)
{
	struct json_object *kernel = json_object_new_object();

	json_object_object_add(kernel, "counters", ctl_tlsstat(CTL_TLSSTAT));
	json_object_object_add(kernel, "faults", json_object_get(faults));
	return kernel;
}

/* The trial leaves its traces in the kernel's counters: once is enough, however long we watch. */
static struct json_object *find_faults(void)
{
	struct trial_door door = trial_kernel;
	struct json_object *trial, *faults;
	struct utsname kernel;

	door.first = TRIAL_N_OF_SERVICE;
	trial = ctl_trial(&door);
	uname(&kernel);
	faults = ctl_faults(trial, &kernel);
	json_object_put(trial);
	return faults;
}

static int show_once(struct ctl *ctl, struct json_object *faults)
{
	struct json_object *told = ctl_service_call(ctl, "io.ktlsd.GetStatus"), *document;
	int status = KTLS_WHO_NOBODY;

	if (told) {
		document = json_object_new_object();
		json_object_object_add(document, "service", told);
	} else {
		status = ctl_failure(ctl);
		document = ctl_service_failure(ctl->k);
	}
	json_object_object_add(document, "kernel", kernel_part(faults));
	return ctl_show(ctl, document, render, status);
}

static bool may_steer(void)
{
	const char *term = secure_getenv("TERM");

	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int run(struct ctl *ctl)
{
	struct timespec rest = { .tv_sec = (time_t)ctl->interval };
	struct json_object *faults = find_faults();
	bool clears = ctl->interval && !ctl->json && may_steer();
	int status;

	rest.tv_nsec = (long)((ctl->interval - (double)rest.tv_sec) * 1e9);
	for (;;) {
		fputs(clears ? "\033[H\033[2J" : "", stdout);
		status = show_once(ctl, faults);
		if (!ctl->interval || ferror(stdout))
			break;
		nanosleep(&rest, NULL);
	}
	json_object_put(faults);
	return status;
}

const struct ctl_command ctl_status = {
	.name = "status",
	.operands = "",
	.sentence = "show how the service does: requests, times, limits, the kernel's counters",
	.about = "Shows how the service does, and the kernel's own counters.",
	.syntax = &syntax,
	.run = run,
};
