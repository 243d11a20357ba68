/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-service.h"
#include "client/ctl-view.h"

#include <string.h>

#define FINDINGS_MAX 32

static const struct ctl_option options[] = {
	CTL_JSON_OPTION,
};

static const struct ctl_syntax syntax = { options, N(options), ctl_set_target, &ctl_request_syntax };

/* --- all of them */

static const struct check *const tables[] = { checks_of_service, checks_of_kernel, checks_of_request };

struct row {
	const struct check *check;
	struct finding finding;
};

struct rows {
	size_t n;
	struct row row[FINDINGS_MAX];
};

static void look_at_all(struct rows *rows, const struct exam *exam)
{
	rows->n = 0;
	for (size_t i = 0; i < N(tables); i++)
		for (const struct check *check = tables[i]; check->name && rows->n < FINDINGS_MAX; check++) {
			struct row *row = &rows->row[rows->n++];

			row->check = check;
			check_look(check, exam, &row->finding);
		}
}

static bool has_fault(const struct rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->row[i].check->name, name) == 0)
			return rows->row[i].finding.verdict == VERDICT_FAULT;
	return false;
}

/* A fault that another one may be all there is to is none until that one is mended. */
static void explain(struct rows *rows)
{
	for (size_t i = rows->n; i-- > 0;) {
		struct row *row = &rows->row[i];
		const char *const *cause = row->check->causes;

		if (row->finding.verdict != VERDICT_FAULT)
			continue;
		while (*cause && !has_fault(rows, *cause))
			cause++;
		if (*cause)
			finding_set(&row->finding, VERDICT_UNKNOWN, "%s is to be mended first", *cause);
	}
}

/* Who can mend the first fault. */
static int status_of(const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->row[i].finding.verdict == VERDICT_FAULT)
			return (int)rows->row[i].finding.who;
	return KTLS_WHO_NOBODY;
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

static struct json_object *document_of(const struct rows *rows)
{
	struct json_object *document = json_object_new_object(), *findings = json_object_new_array();

	for (size_t i = 0; i < rows->n; i++) {
		const struct finding *finding = &rows->row[i].finding;
		struct json_object *object = json_object_new_object();

		add(object, "check", rows->row[i].check->name);
		add(object, "verdict", verdicts[finding->verdict]);
		add(object, "what", finding->what);
		add(object, "cure", finding->cure);
		add(object, "who", *finding->cure ? ctl_who_name(finding->who) : "");
		json_object_array_add(findings, object);
	}
	json_object_object_add(document, "findings", findings);
	return document;
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

	for (size_t i = 0; i < view_count(findings); i++) {
		struct json_object *row = json_object_array_get_idx(findings, i);
		const char *verdict = view_text(row, "verdict"), *cure = view_text(row, "cure");

		view_line(view, tone_of(verdict), "%-7s %s: %s%s%s", verdict, view_text(row, "check"),
			  view_text(row, "what"), *cure ? "; cure: " : "", cure);
	}
}

static int run(struct ctl *ctl)
{
	struct exam exam;
	struct rows rows;

	if (ctl->target && ctl_ask_target(ctl) != 0)
		return KTLS_WHO_CALLER;
	exam_make(&exam, ctl);
	look_at_all(&rows, &exam);
	explain(&rows);
	exam_deinit(&exam);
	return ctl_show(ctl, document_of(&rows), render, status_of(&rows));
}

const struct ctl_command ctl_doctor = {
	.name = "doctor",
	.operands = "[HOST:PORT]",
	.sentence = "look for whatever stops a connection, from the kernel to the access rules, with its cure",
	.about = "Examines all that a connection needs, one line each: ok, note or fault, with its cure.",
	.syntax = &syntax,
	.run = run,
};
