/* SPDX-License-Identifier: MIT */
#include "daemon/args.h"
#include "proto/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARGV_MAX 8

struct outcome {
	bool run;
	struct args args;
	char *out, *errors;
};

static void outcome_deinit(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->errors);
}

static struct outcome parse(const char *const *arguments)
{
	FILE *kept_out = stdout, *kept_errors = stderr;
	char *argv[ARGV_MAX + 2] = { (char *)"ktlsd" };
	struct outcome outcome = { 0 };
	size_t out_size, errors_size;
	int argc = 1;

	for (; arguments[argc - 1]; argc++)
		argv[argc] = (char *)arguments[argc - 1];
	stdout = open_memstream(&outcome.out, &out_size);
	stderr = open_memstream(&outcome.errors, &errors_size);
	outcome.run = args_parse(&outcome.args, argc, argv);
	fclose(stdout);
	fclose(stderr);
	stdout = kept_out;
	stderr = kept_errors;
	return outcome;
}

static void check_text(const char *got, const char *wanted)
{
	assert_int_equal(got == NULL, wanted == NULL);
	if (wanted)
		assert_string_equal(got, wanted);
}

static const struct {
	const char *argv[ARGV_MAX];
	const char *config, *socket;
	bool check_config;
} good[] = {
	{ { NULL }, NULL, NULL, false },
	{ { "--config", "a" }, "a", NULL, false },
	{ { "--config=a=b" }, "a=b", NULL, false },
	{ { "--config", "--socket" }, "--socket", NULL, false },
	{ { "--socket", "/s", "--check-config", "--config", "/c" }, "/c", "/s", true },
	{ { "--config", "a", "--config", "b" }, "b", NULL, false },
	{ { "--check-config", "--" }, NULL, NULL, true },
	{ { "--check" }, NULL, NULL, true },
};

static void test_good(void **state)
{
	for (size_t i = 0; i < array_size(good); i++) {
		_cleanup_(outcome_deinit) struct outcome outcome = parse(good[i].argv);

		assert_true(outcome.run);
		check_text(outcome.args.config, good[i].config);
		check_text(outcome.args.socket, good[i].socket);
		assert_int_equal(outcome.args.check_config, good[i].check_config);
		assert_string_equal(outcome.out, "");
		assert_string_equal(outcome.errors, "");
	}
}

static const struct {
	const char *argv[ARGV_MAX];
	const char *what;
} bad[] = {
	{ { "--bogus" }, "--bogus: no such option" },
	{ { "--bogus=1" }, "--bogus=1: no such option" },
	{ { "-v" }, "-v: no such option" },
	{ { "--check-config", "-xyz" }, "-xyz: no such option" },
	{ { "--c", "x" }, "--c: no such option" },
	{ { "--config" }, "--config: needs an argument" },
	{ { "--config", "a", "--socket" }, "--socket: needs an argument" },
	{ { "--check-config=yes" }, "--check-config=yes: takes no argument" },
	{ { "--version=1" }, "--version=1: takes no argument" },
	{ { "/etc/ktlsd.conf" }, "/etc/ktlsd.conf: ktlsd takes options only" },
	{ { "--config", "a", "b", "--help" }, "b: ktlsd takes options only" },
	{ { "--", "--help" }, "--help: ktlsd takes options only" },
	{ { "" }, ": ktlsd takes options only" },
};

static void test_bad(void **state)
{
	char line[128];

	for (size_t i = 0; i < array_size(bad); i++) {
		_cleanup_(outcome_deinit) struct outcome outcome = parse(bad[i].argv);

		snprintf(line, sizeof(line), "ktlsd: %s; try ktlsd --help\n", bad[i].what);
		assert_false(outcome.run);
		assert_int_equal(outcome.args.exit_status, ARGS_BAD_USAGE);
		assert_string_equal(outcome.errors, line);
		assert_string_equal(outcome.out, "");
	}
}

static void test_version(void **state)
{
	const char *argv[] = { "--check-config", "--version", "--bogus", NULL };
	_cleanup_(outcome_deinit) struct outcome outcome = parse(argv);

	assert_false(outcome.run);
	assert_int_equal(outcome.args.exit_status, 0);
	assert_string_equal(outcome.out, "ktlsd " KTLSD_VERSION "\n");
	assert_string_equal(outcome.errors, "");
}

static void test_help(void **state)
{
	static const char *const lines[] = {
		"Usage: ktlsd [OPTION...]\n", "\n  --config FILE     Read ",
		"\n  --socket PATH     ",
		"\n  --check-config    ", "\n  --version         ", "\n  --help            ",
	};
	const char *argv[] = { "--help", NULL };
	_cleanup_(outcome_deinit) struct outcome outcome = parse(argv);

	assert_false(outcome.run);
	assert_int_equal(outcome.args.exit_status, 0);
	assert_string_equal(outcome.errors, "");
	for (size_t i = 0; i < array_size(lines); i++)
		assert_non_null(strstr(outcome.out, lines[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
