/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.c"

#include "tests/unit/exam.h"

static void look_told(const struct exam *exam, struct finding *finding)
{
	finding_set(finding, VERDICT_FAULT, "looked at");
	finding_cure(finding, KTLS_WHO_PEER, "%s %d", "cure", 1);
}

static const struct check checks[] = {
	{ "nothing", NEEDS_NOTHING, look_told },
	{ "capabilities", NEEDS_CAPABILITIES, look_told },
	{ "status", NEEDS_STATUS, look_told },
	{ NULL },
};

/* What is not there is not looked at. */
static void test_needs(void **state)
{
	struct exam exam = { .socket = "/x" };
	struct finding found = look(checks, "nothing", &exam);

	check_finding(&found, VERDICT_FAULT, KTLS_WHO_PEER, "looked at", "cure 1");
	for (size_t i = 1; i <= 2; i++) {
		found = look(checks, checks[i].name, &exam);
		check_finding(&found, VERDICT_UNKNOWN, KTLS_WHO_NOBODY, "the service does not tell", "");
	}
	exam.capabilities = document("{}");
	assert_int_equal(look(checks, "capabilities", &exam).verdict, VERDICT_FAULT);
	assert_int_equal(look(checks, "status", &exam).verdict, VERDICT_UNKNOWN);
	exam.status = document("{}");
	assert_int_equal(look(checks, "status", &exam).verdict, VERDICT_FAULT);
	exam_deinit(&exam);
}

/* A finding that is made anew has nothing of the one before. */
static void test_set(void **state)
{
	struct finding finding;
	char text[2000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	finding_set(&finding, VERDICT_FAULT, "%s", text);
	finding_cure(&finding, KTLS_WHO_CALLER, "%s", text);
	assert_int_equal(strlen(finding.what), sizeof(finding.what) - 1);
	assert_int_equal(strlen(finding.cure), sizeof(finding.cure) - 1);
	finding_set(&finding, VERDICT_OK, "fine");
	check_finding(&finding, VERDICT_OK, KTLS_WHO_NOBODY, "fine", "");
}

static void test_reload(void **state)
{
	struct exam exam = { .capabilities = document("{\"managed\":false}") };
	char command[COMMAND_MAX];

	assert_string_equal(exam_reload(&exam, command), "send ktlsd a SIGHUP");
	exam.status = document("{\"pid\":-1}");
	assert_string_equal(exam_reload(&exam, command), "send ktlsd a SIGHUP");
	put(exam.status, "pid", "\"4711\"");
	assert_string_equal(exam_reload(&exam, command), "send ktlsd a SIGHUP");
	json_object_put(exam.status);
	exam.status = document("{\"pid\":4194304}");
	assert_string_equal(exam_reload(&exam, command), "kill -HUP 4194304");
	put(exam.capabilities, "managed", "true");
	assert_string_equal(exam_reload(&exam, command), "systemctl reload ktlsd");
	exam_deinit(&exam);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
