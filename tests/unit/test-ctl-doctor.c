/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=exam_make,--wrap=ctl_show */
#include "client/ctl-doctor.c"

#include "tests/unit/exam.h"

#include <stdlib.h>

#define STATUS_SHOWN 77

/* What exam_make() is to have found, and what was shown of it. */
static struct {
	struct exam exam;
	int made, status;
	struct json_object *document;
	char *text;
} fake;

void __wrap_exam_make(struct exam *exam, struct ctl *ctl);
int __wrap_ctl_show(const struct ctl *ctl, struct json_object *shown,
		    void (*renders)(struct view *view, struct json_object *document), int status);

void __wrap_exam_make(struct exam *exam, struct ctl *ctl)
{
	fake.made++;
	*exam = fake.exam;
}

int __wrap_ctl_show(const struct ctl *ctl, struct json_object *shown,
		    void (*renders)(struct view *view, struct json_object *document), int status)
{
	size_t size;
	struct view view = { .out = open_memstream(&fake.text, &size) };

	assert_non_null(view.out);
	renders(&view, shown);
	assert_int_equal(fclose(view.out), 0);
	fake.document = shown;
	fake.status = status;
	return STATUS_SHOWN;
}

/* --- what follows from what */

static struct finding finding_of(enum verdict verdict, enum ktls_who who)
{
	struct finding finding = { .verdict = verdict, .who = who, .what = "so", .cure = "thus" };

	return finding;
}

static const struct check first = { "first", NEEDS_NOTHING, NULL, { NULL } };
static const struct check second = { "second", NEEDS_NOTHING, NULL, { "absent", "first" } };
static const struct check third = { "third", NEEDS_NOTHING, NULL, { "second" } };
static const struct check early = { "early", NEEDS_NOTHING, NULL, { "third" } };

static struct rows rows_of(enum verdict a, enum verdict b, enum verdict c)
{
	struct rows rows = { .n = 3, .row = {
		{ &first, finding_of(a, KTLS_WHO_PEER) },
		{ &second, finding_of(b, KTLS_WHO_CALLER) },
		{ &third, finding_of(c, KTLS_WHO_RETRY) },
	} };

	explain(&rows);
	return rows;
}

static void check_rows(const struct rows *rows, enum verdict a, enum verdict b, enum verdict c, int status)
{
	assert_int_equal(rows->row[0].finding.verdict, a);
	assert_int_equal(rows->row[1].finding.verdict, b);
	assert_int_equal(rows->row[2].finding.verdict, c);
	assert_int_equal(status_of(rows), status);
}

static void test_explain(void **state)
{
	struct rows rows = rows_of(VERDICT_FAULT, VERDICT_FAULT, VERDICT_FAULT);

	check_rows(&rows, VERDICT_FAULT, VERDICT_UNKNOWN, VERDICT_UNKNOWN, KTLS_WHO_PEER);
	assert_string_equal(rows.row[1].finding.what, "first is to be mended first");
	assert_string_equal(rows.row[2].finding.what, "second is to be mended first");
	assert_string_equal(rows.row[1].finding.cure, "");
	rows = rows_of(VERDICT_NOTE, VERDICT_FAULT, VERDICT_FAULT);
	check_rows(&rows, VERDICT_NOTE, VERDICT_FAULT, VERDICT_UNKNOWN, KTLS_WHO_CALLER);
	rows = rows_of(VERDICT_UNKNOWN, VERDICT_OK, VERDICT_FAULT);
	check_rows(&rows, VERDICT_UNKNOWN, VERDICT_OK, VERDICT_FAULT, KTLS_WHO_RETRY);
	rows = rows_of(VERDICT_FAULT, VERDICT_NOTE, VERDICT_OK);
	check_rows(&rows, VERDICT_FAULT, VERDICT_NOTE, VERDICT_OK, KTLS_WHO_PEER);
	rows = rows_of(VERDICT_OK, VERDICT_NOTE, VERDICT_UNKNOWN);
	check_rows(&rows, VERDICT_OK, VERDICT_NOTE, VERDICT_UNKNOWN, KTLS_WHO_NOBODY);
}

static void test_two_causes(void **state)
{
	struct rows rows = { .n = 2, .row = {
		{ &first, finding_of(VERDICT_FAULT, KTLS_WHO_PEER) },
		{ &early, finding_of(VERDICT_FAULT, KTLS_WHO_CALLER) },
	} };

	explain(&rows);
	assert_int_equal(rows.row[1].finding.verdict, VERDICT_FAULT);
	assert_int_equal(status_of(&rows), KTLS_WHO_PEER);
}

/* A cause may stand behind what follows from it. */
static void test_explained_by_later(void **state)
{
	struct rows rows = { .n = 2, .row = {
		{ &early, finding_of(VERDICT_FAULT, KTLS_WHO_PEER) },
		{ &third, finding_of(VERDICT_FAULT, KTLS_WHO_CALLER) },
	} };

	explain(&rows);
	assert_int_equal(rows.row[0].finding.verdict, VERDICT_UNKNOWN);
	assert_int_equal(rows.row[1].finding.verdict, VERDICT_FAULT);
	assert_int_equal(status_of(&rows), KTLS_WHO_CALLER);
}

static bool is_check(const char *name)
{
	for (size_t i = 0; i < N(tables); i++)
		for (const struct check *check = tables[i]; check->name; check++)
			if (strcmp(check->name, name) == 0)
				return true;
	return false;
}

static void test_causes(void **state)
{
	size_t n = 0;

	for (size_t i = 0; i < N(tables); i++)
		for (const struct check *check = tables[i]; check->name; check++, n++)
			for (const char *const *cause = check->causes; *cause; cause++)
				assert_true(is_check(*cause));
	assert_in_range(n, 1, FINDINGS_MAX);
}

/* --- the command */

static struct ctl ctl_of(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.exam = (struct exam){
		.socket = KTLS_SOCKET, .reached = KTLS_UNREACHABLE, .reach_errno = ENOENT, .systemd = true,
		.trial = document("{\"module\":\"present\",\"loopback\":\"works\"}"),
	};
	return (struct ctl){ .k = NULL };
}

static void end(void)
{
	json_object_put(fake.document);
	free(fake.text);
}

static void test_run(void **state)
{
	struct ctl ctl = ctl_of();
	struct json_object *found;

	assert_int_equal(ctl_doctor.run(&ctl), STATUS_SHOWN);
	assert_int_equal(fake.status, KTLS_WHO_ADMINISTRATOR);
	found = json_object_array_get_idx(view_get(fake.document, "findings"), 0);
	assert_string_equal(json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    "{\"check\":\"service\",\"verdict\":\"fault\","
			    "\"what\":\"the service is not started: there is no /run/ktlsd/io.ktlsd\","
			    "\"cure\":\"as root, run systemctl enable --now ktlsd.socket\",\"who\":\"administrator\"}");
	found = json_object_array_get_idx(view_get(fake.document, "findings"), 4);
	assert_string_equal(json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN),
			    "{\"check\":\"module\",\"verdict\":\"ok\","
			    "\"what\":\"the kernel's module tls is there\",\"cure\":null,\"who\":null}");
	end();
}

static void test_render(void **state)
{
	struct ctl ctl = ctl_of();

	ctl_doctor.run(&ctl);
	assert_ptr_equal(strstr(fake.text, "fault   service: the service is not started: there is no "
					   "/run/ktlsd/io.ktlsd; cure: as root, run systemctl enable --now "
					   "ktlsd.socket\n"), fake.text);
	assert_non_null(strstr(fake.text, "\nok      module: the kernel's module tls is there\n"));
	assert_non_null(strstr(fake.text, "\nunknown access: the service does not tell\n"));
	end();
}

static void test_tones(void **state)
{
	assert_int_equal(tone_of("ok"), VIEW_GOOD);
	assert_int_equal(tone_of("note"), VIEW_NOTE);
	assert_int_equal(tone_of("fault"), VIEW_BAD);
	assert_int_equal(tone_of("unknown"), VIEW_FAINT);
	assert_int_equal(tone_of("else"), VIEW_PLAIN);
}

/* What is no HOST:PORT is nothing to be examined. */
static void test_target(void **state)
{
	struct ctl ctl = ctl_of();

	ctl.target = "nonsense";
	ctl.k = ktls_new();
	assert_int_equal(ctl_doctor.run(&ctl), KTLS_WHO_CALLER);
	assert_int_equal(fake.made, 0);
	ktls_free(ctl.k);
	exam_deinit(&fake.exam);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_two_causes),
		cmocka_unit_test(test_explained_by_later),
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_tones),
		cmocka_unit_test(test_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
