/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-options.c"

/* What each option was given, in their order. */
static char seen[256];

static int see(struct ctl *ctl, const char *value)
{
	strcat(strcat(seen, value ? value : "flag"), ";");
	return 0;
}

static int see_operand(struct ctl *ctl, const char *value)
{
	strcat(seen, "operand ");
	return see(ctl, value);
}

static int refuse(struct ctl *ctl, const char *value)
{
	errno = EINVAL;
	return -1;
}

static const struct ctl_option table[] = {
	{ .name = "flag", .letter = 'f', .set = see },
	{ .name = "value", .letter = 'v', .value = "VALUE", .set = see },
	{ .name = "long", .value = "VALUE", .set = see },
	{ .name = "never", .value = "VALUE", .set = refuse, .expected = "nothing" },
};
static const struct ctl_option shared_table[] = {
	{ .name = "shared", .letter = 's', .value = "VALUE", .set = see },
};
static const struct ctl_syntax shared = { shared_table, 1, NULL, NULL };
static const struct ctl_syntax empty = { .more = &shared };
static const struct ctl_syntax first = { table, 4, NULL, NULL };
static const struct ctl_syntax between = { table, 4, see_operand, &empty };

/* words: one command line, in words. Returns how much of it is the command; -1: refused. */
static int parse(const struct ctl_syntax *syntax, const char *words)
{
	static char text[128];
	static char *argv[16];
	struct ctl ctl = { 0 };
	int argc = 0, left = 0;

	strcpy(text, words);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	seen[0] = '\0';
	if (ctl_parse(&ctl, syntax, argc, argv) < 0)
		return -1;
	while (ctl.command[left])
		left++;
	return left;
}

static const struct {
	const struct ctl_syntax *syntax;
	const char *words;
	int left;
	const char *seen;
} lines[] = {
	{ &first, "x", 0, "" },
	{ &first, "x --flag -f", 0, "flag;flag;" },
	{ &first, "x --value a -v b -vc --value=d", 0, "a;b;c;d;" },
	{ &first, "x --long a command --flag", 2, "a;" },
	{ &first, "x -- --flag", 1, "" },
	{ &between, "x o --flag", 0, "operand o;flag;" },
	{ &between, "x --flag o --long a -- command --flag", 2, "flag;operand o;a;" },
	{ &between, "x o p", 0, "operand o;operand p;" },
	{ &between, "x --", 0, "" },
	{ &between, "x --long -- -- command", 1, "--;" },
	{ &between, "x --shared a -s b o", 0, "a;b;operand o;" },
	{ &empty, "x -s a", 0, "a;" },
	{ &first, "x --shared a", -1, "" },
	{ &first, "x --nothing", -1, "" },
	{ &first, "x -n", -1, "" },
	{ &first, "x --long", -1, "" },
	{ &first, "x -v", -1, "" },
	{ &first, "x --flag=a", -1, "" },
	{ &first, "x --never a --flag", -1, "" },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		print_message("# %s\n", lines[i].words);
		assert_int_equal(parse(lines[i].syntax, lines[i].words), lines[i].left);
		assert_string_equal(seen, lines[i].seen);
	}
}

static void test_chain(void **state)
{
	for (size_t i = 0; i < 4; i++)
		assert_ptr_equal(ctl_option_at(&between, i), &table[i]);
	assert_ptr_equal(ctl_option_at(&between, 4), &shared_table[0]);
	assert_null(ctl_option_at(&between, 5));
	assert_null(ctl_option_at(&first, 4));
	assert_null(ctl_option_at(NULL, 0));
}

static void test_shared_by_commands(void **state)
{
	char *argv[] = { (char *)"x", (char *)"--json", (char *)"-h", NULL };
	struct ctl ctl = { 0 };

	assert_int_equal(ctl_parse(&ctl, &ctl_json_syntax, 3, argv), 0);
	assert_true(ctl.json && ctl.help);
	assert_int_equal(ctl_parse(&ctl, &ctl_help_syntax, 3, argv), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_shared_by_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
