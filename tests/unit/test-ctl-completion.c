/* SPDX-License-Identifier: MIT */
/* What a shell makes of it is tried by test-completion.py; here is what may break its script. */
#include "tests/unit/unit.h"

#include "client/ctl-failure.c"
#include "client/ctl-options.c"

#include "client/ctl-completion.c"

#include <stdlib.h>

static int nothing(struct ctl *ctl, const char *value)
{
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "flag", .letter = 'f', .set = nothing, .sentence = "it's [a]: \\flag\\" },
	{ .name = "word", .letter = 'w', .value = "WORD", .set = nothing, .sentence = "'",
	  .words = "one two" },
	{ .name = "file", .value = "FILE", .set = nothing, .sentence = "$HOME `x` (y)" },
};
static const struct ctl_syntax own = { options, 3, NULL, NULL };
static const struct ctl_command first = { .name = "first", .operands = "a|b",
					  .sentence = "it's 1: [x] \\", .syntax = &own };
static const struct ctl_command second = { .name = "second", .operands = "", .sentence = "",
					   .syntax = &ctl_json_syntax, .runs_another = true };
static const struct ctl_command *const program[] = { &first, &second, NULL };

/* What run() prints. */
static char *printed(const char *shell)
{
	struct ctl ctl = { .program = program, .syntax = &own, .operand = shell };
	FILE *kept = stdout;
	char *text = NULL;
	size_t size;

	stdout = open_memstream(&text, &size);
	assert_int_equal(ctl_completion.run(&ctl), 0);
	fclose(stdout);
	stdout = kept;
	return text;
}

static const struct {
	const char *shell, *line; /* that is in its script */
} lines[] = {
	{ "bash", "\t'') row='first second -f --flag -w=one,two --word=one,two --file=<file>' ;;\n" },
	{ "bash", "\tfirst) row=' -f --flag -w=one,two --word=one,two --file=<file> a b' ;;\n" },
	{ "bash", "\tsecond) row=' -j --json --socket=<file> -h --help --' ;;\n" },
	{ "zsh", "\t'first:it'\\''s 1\\: [x] \\\\'\n" },
	{ "zsh", "\t\t'(-f --flag)'{-f,--flag}'[it'\\''s \\[a\\]\\: \\\\flag\\\\]' \\\n" },
	{ "zsh", "\t\t'*'{-w+,--word=}'['\\'']:WORD:(one two)' \\\n" },
	{ "zsh", "\t\t'*--file=[$HOME `x` (y)]:FILE:_files' \\\n" },
	{ "zsh", "\t\t'1:a|b:(a b)' && ret=0 ;;\n" },
	{ "zsh", "\t\t'*::: :_normal' && ret=0 ;;\n" },
	{ "fish", "\tcontains -- $argv[1] --word -w --file\n" },
	{ "fish", "complete -c ktlsctl -n '__ktlsctl_in \"\"' -a first -d 'it\\'s 1: [x] \\\\'\n" },
	{ "fish", "'__ktlsctl_in \"first\"' -l flag -s f -d 'it\\'s [a]: \\\\flag\\\\'\n" },
	{ "fish", "'__ktlsctl_in \"first\"' -l word -s w -x -a 'one two' -d '\\''\n" },
	{ "fish", "'__ktlsctl_in \"first\"' -l file -r -F -d '$HOME `x` (y)'\n" },
	{ "fish", "'__ktlsctl_in \"first\"' -a 'a b'\n" },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < array_size(lines); i++) {
		_cleanup_free_ char *text = printed(lines[i].shell);

		print_message("# %s: %s", lines[i].shell, lines[i].line);
		assert_non_null(strstr(text, lines[i].line));
	}
}

static void test_shells_can_read_it(void **state)
{
	static const char *const readers[][2] = {
		{ "bash", "bash -n" }, { "zsh", "zsh -n /dev/stdin" },
		{ "fish", "fish --no-execute" },
	};

	for (size_t i = 0; i < array_size(readers); i++) {
		_cleanup_free_ char *text = printed(readers[i][0]);
		FILE *reader = popen(readers[i][1], "w");

		assert_non_null(reader);
		fputs(text, reader);
		assert_int_equal(pclose(reader), 0);
	}
}

static void test_usage(void **state)
{
	struct ctl ctl = { .program = program, .syntax = &own };

	assert_int_equal(ctl_completion.run(&ctl), KTLS_WHO_CALLER);
	ctl.operand = "tcsh";
	assert_int_equal(ctl_completion.run(&ctl), KTLS_WHO_CALLER);
	assert_int_equal(set_shell(&ctl, "zsh"), -1);
	ctl.operand = NULL;
	assert_int_equal(set_shell(&ctl, "zsh"), 0);
	assert_string_equal(ctl.operand, "zsh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_shells_can_read_it),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
