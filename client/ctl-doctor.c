/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-crypto.h"
#include "client/ctl-faults.h"
#include "client/ctl-service.h"
#include "client/ctl-trial.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof(*(array)))
#define PATIENCE_MS 3000 /* for a service that does not answer; it has little to do for its answer */

static const struct ctl_syntax syntax = { NULL, 0, ctl_set_target, &ctl_request_syntax };

/* --- findings */

void finding_set(struct finding *finding, enum verdict verdict, const char *format, ...)
{
	va_list arguments;

	*finding = (struct finding){ .verdict = verdict };
	va_start(arguments, format);
	vsnprintf(finding->what, sizeof(finding->what), format, arguments);
	va_end(arguments);
}

void finding_cure(struct finding *finding, enum ktls_who who, const char *format, ...)
{
	va_list arguments;

	finding->who = who;
	va_start(arguments, format);
	vsnprintf(finding->cure, sizeof(finding->cure), format, arguments);
	va_end(arguments);
}

void check_look(const struct check *check, const struct exam *exam, struct finding *finding)
{
	if (check->of_answer && !exam->capabilities)
		finding_set(finding, VERDICT_UNKNOWN, "the service does not tell");
	else
		check->look(exam, finding);
}

/* --- the facts */

static bool mentions(const char *path, const char *what)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, what);
	if (file)
		fclose(file);
	return found;
}

/* Whether a module for this kernel lies where modprobe(8) looks for it, or is a part of it. */
static bool has_module(const struct utsname *kernel)
{
	static const char *const lists[] = { "modules.dep", "modules.builtin" };
	char path[256];

	for (size_t i = 0; i < N(lists); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", kernel->release, lists[i]);
		if (mentions(path, "/net/tls/tls.ko"))
			return true;
	}
	return false;
}

/* The service first: to answer it is started, and that loads the module. */
static void examine_service(struct ctl *ctl, struct exam *exam)
{
	ktls_set_timeout(ctl->k, PATIENCE_MS);
	exam->capabilities = ctl_service_call(ctl, "io.ktlsd.GetCapabilities");
	exam->reached = ktls_get_status(ctl->k);
	exam->reach_errno = ktls_get_errno(ctl->k);
	snprintf(exam->reach_message, sizeof(exam->reach_message), "%s", ktls_get_message(ctl->k));
	if (!exam->capabilities)
		return;
	exam->status = ctl_service_call(ctl, "io.ktlsd.GetStatus");
}

static void examine_target(struct ctl *ctl, struct exam *exam)
{
	if (!ctl->target || !exam->capabilities)
		return;
	exam->target = ctl->target;
	exam->probed = ctl_service_call(ctl, "io.ktlsd.Probe");
	if (!exam->probed)
		exam->probed = ctl_service_failure(ctl->k);
}

static void examine_kernel(struct exam *exam)
{
	uname(&exam->kernel);
	exam->module_file = has_module(&exam->kernel);
	exam->modules_disabled = mentions("/proc/sys/kernel/modules_disabled", "1");
	exam->trial = ctl_trial(&trial_kernel);
	exam->drivers = ctl_crypto(CTL_CRYPTO);
	exam->faults = ctl_faults(exam->trial, &exam->kernel);
}

static void examine(struct ctl *ctl, struct exam *exam)
{
	*exam = (struct exam){
		.socket = ctl->socket ?: KTLS_SOCKET,
		.of_environment = ctl->socket && ctl->socket == ctl->environment,
	};
	if (stat(exam->socket, &exam->socket_stat) < 0)
		exam->socket_errno = errno;
	examine_target(ctl, exam);
	examine_service(ctl, exam);
	examine_kernel(exam);
}

static void exam_deinit(struct exam *exam)
{
	struct json_object *const documents[] = { exam->trial,	      exam->drivers, exam->faults,
						  exam->capabilities, exam->status,  exam->probed };

	for (size_t i = 0; i < N(documents); i++)
		json_object_put(documents[i]);
}

/* --- the document */

static const char *const verdicts[N_VERDICTS] = {
	[VERDICT_OK] = "ok", [VERDICT_NOTE] = "note", [VERDICT_FAULT] = "fault",
	[VERDICT_UNKNOWN] = "unknown",
};

static void add(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, *text ? json_object_new_string(text) : NULL);
}

/* Who can mend the first fault is the exit status. */
static void add_findings(struct json_object *findings, const struct check *checks,
			 const struct exam *exam, int *status)
{
	struct finding finding;

	for (; checks->name; checks++) {
		struct json_object *row = json_object_new_object();

		check_look(checks, exam, &finding);
		add(row, "check", checks->name);
		add(row, "verdict", verdicts[finding.verdict]);
		add(row, "what", finding.what);
		add(row, "cure", finding.cure);
		json_object_array_add(findings, row);
		if (finding.verdict == VERDICT_FAULT && *status == KTLS_WHO_NOBODY)
			*status = (int)finding.who;
	}
}

static enum view_tone tone_of(const char *verdict)
{
	static const enum view_tone tones[N_VERDICTS] = {
		[VERDICT_OK] = VIEW_GOOD, [VERDICT_NOTE] = VIEW_NOTE, [VERDICT_FAULT] = VIEW_BAD,
		[VERDICT_UNKNOWN] = VIEW_FAINT,
	};

	for (size_t i = 0; i < N(tones); i++)
		if (strcmp(verdict, verdicts[i]) == 0)
			return tones[i];
	return VIEW_PLAIN;
}

static void render(struct view *view, struct json_object *document)
{
	struct json_object *findings = view_get(document, "findings");

	for (size_t i = 0; i < json_object_array_length(findings); i++) {
		struct json_object *row = json_object_array_get_idx(findings, i);
		const char *verdict = view_text(row, "verdict"), *cure = view_text(row, "cure");

		view_line(view, tone_of(verdict), "%-7s %s: %s%s%s", verdict, view_text(row, "check"),
			  view_text(row, "what"), *cure ? ": " : "", cure);
	}
}

static int run(struct ctl *ctl)
{
	struct json_object *document = json_object_new_object(), *findings = json_object_new_array();
	int status = KTLS_WHO_NOBODY;
	struct exam exam;

	if (ctl->target && ctl_ask_target(ctl) != 0)
		return KTLS_WHO_CALLER;
	examine(ctl, &exam);
	add_findings(findings, checks_of_kernel, &exam, &status);
	add_findings(findings, checks_of_service, &exam, &status);
	json_object_object_add(document, "findings", findings);
	exam_deinit(&exam);
	return ctl_show(ctl, document, render, status);
}

const struct ctl_command ctl_doctor = {
	.name = "doctor",
	.operands = "[HOST:PORT]",
	.sentence = "look for whatever stops a connection, from the kernel to the access rules, with its cure",
	.about = "Examines all that a connection needs, one line each: ok, note or fault, with its cure.",
	.syntax = &syntax,
	.run = run,
};
