/* SPDX-License-Identifier: MIT */
/*
 * Completion for shells, made from the tables of commands and options. A row is a command, or ktlsctl
 * itself: its words for an operand, its options, and what their values are.
 */
#include "client/ctl.h"

#include <stdio.h>
#include <string.h>

static const char bash_functions[] =
#include "completion.bash.h"
	;

static const char fish_functions[] =
#include "completion.fish.h"
	;

static bool is_file(const struct ctl_option *option)
{
	return strcmp(option->value, "FILE") == 0 || strcmp(option->value, "PATH") == 0;
}

/* The same with one character in place of another. */
static void print_words(const char *words, char from, char to)
{
	for (; *words; words++)
		putchar(*words == from ? to : *words);
}

/* For between single quotes, of which one within becomes quote. Each of the characters in special has
 * a backslash before it. */
static void print_quoted(const char *text, const char *special, const char *quote)
{
	for (; *text; text++) {
		if (strchr(special, *text))
			putchar('\\');
		if (*text == '\'')
			fputs(quote, stdout);
		else
			putchar(*text);
	}
}

#define SH_QUOTE "'\\''"

/* --- bash */

/* "connect --ca=<file> --verify=full,chain --stdio": a word with "=" has a value. */
static void bash_option(const struct ctl_option *option)
{
	for (int letter = option->letter ? 0 : 1; letter < 2; letter++) {
		if (letter)
			printf(" --%s", option->name);
		else
			printf(" -%c", option->letter);
		if (option->value)
			putchar('=');
		if (option->value && is_file(option))
			fputs("<file>", stdout);
		else if (option->value)
			print_words(option->words ?: "", ' ', ',');
	}
}

static void bash_row(const struct ctl_command *command, const struct ctl_syntax *syntax)
{
	const struct ctl_option *option;

	for (size_t i = 0; (option = ctl_option_at(syntax, i)); i++)
		bash_option(option);
	if (command && strchr(command->operands, '|')) {
		putchar(' ');
		print_words(command->operands, '|', ' ');
	}
	printf("%s' ;;\n", command && command->runs_another ? " --" : "");
}

static void print_bash(const struct ctl *ctl)
{
	printf("_ktlsctl_row() # COMMAND, or nothing\n{\n\tcase $1 in\n\t'') row='");
	for (size_t i = 0; ctl->program[i]; i++)
		printf("%s%s", i ? " " : "", ctl->program[i]->name);
	bash_row(NULL, ctl->syntax);
	for (size_t i = 0; ctl->program[i]; i++) {
		printf("\t%s) row='", ctl->program[i]->name);
		bash_row(ctl->program[i], ctl->program[i]->syntax);
	}
	printf("\t*) row= ;;\n\tesac\n}\n\n%s", bash_functions);
}

/* --- zsh */

static void zsh_option(const struct ctl_option *option)
{
	printf(" \\\n\t\t'%s", option->value ? "*" : "");
	if (option->letter && !option->value)
		printf("(-%c --%s)", option->letter, option->name);
	if (option->letter)
		printf("'{-%c%s,--%s%s}'", option->letter, option->value ? "+" : "", option->name,
		       option->value ? "=" : "");
	else
		printf("--%s%s", option->name, option->value ? "=" : "");
	putchar('[');
	print_quoted(option->sentence, "[]:\\", SH_QUOTE);
	putchar(']');
	if (option->value) {
		printf(":%s:", option->value);
		if (is_file(option))
			printf("_files");
		else if (option->words)
			printf("(%s)", option->words);
	}
	putchar('\'');
}

static void zsh_options(const struct ctl_syntax *syntax)
{
	const struct ctl_option *option;

	for (size_t i = 0; (option = ctl_option_at(syntax, i)); i++)
		zsh_option(option);
}

static void zsh_operand(const struct ctl_command *command)
{
	if (!*command->operands)
		return;
	printf(" \\\n\t\t'1:");
	print_quoted(command->operands, ":\\", SH_QUOTE);
	putchar(':');
	if (strchr(command->operands, '|')) {
		putchar('(');
		print_words(command->operands, '|', ' ');
		putchar(')');
	}
	putchar('\'');
}

static void print_zsh(const struct ctl *ctl)
{
	printf("#compdef ktlsctl\n\n"
	       "local curcontext=$curcontext context state state_descr line ret=1\n"
	       "local -A opt_args\nlocal -a names=(");
	for (size_t i = 0; ctl->program[i]; i++) {
		printf("\n\t'%s:", ctl->program[i]->name);
		print_quoted(ctl->program[i]->sentence, ":\\", SH_QUOTE);
		putchar('\'');
	}
	printf("\n)\n\n_arguments -C");
	zsh_options(ctl->syntax);
	printf(" \\\n\t\t'(-): :->command' '(-)*:: :->arguments' && ret=0\n\n"
	       "case $state in\n"
	       "command) _describe command names && ret=0 ;;\n"
	       "arguments)\n\tcurcontext=${curcontext%%:*}-$words[1]:\n\tcase $words[1] in\n");
	for (size_t i = 0; ctl->program[i]; i++) {
		printf("\t%s)\n\t\t_arguments -S", ctl->program[i]->name);
		zsh_options(ctl->program[i]->syntax);
		zsh_operand(ctl->program[i]);
		if (ctl->program[i]->runs_another)
			printf(" \\\n\t\t'*::: :_normal'");
		printf(" && ret=0 ;;\n");
	}
	printf("\tesac ;;\nesac\n\nreturn ret\n");
}

/* --- fish */

#define FISH_IN "complete -c ktlsctl -n '__ktlsctl_in \"%s\"'"

static void fish_options(const char *name, const struct ctl_syntax *syntax)
{
	const struct ctl_option *option;

	for (size_t i = 0; (option = ctl_option_at(syntax, i)); i++) {
		printf(FISH_IN " -l %s", name, option->name);
		if (option->letter)
			printf(" -s %c", option->letter);
		if (option->value)
			printf(is_file(option) ? " -r -F" : " -x");
		if (option->value && option->words)
			printf(" -a '%s'", option->words);
		printf(" -d '");
		print_quoted(option->sentence, "\\", "\\'");
		printf("'\n");
	}
}

static void fish_command(const struct ctl_command *command)
{
	printf(FISH_IN " -a %s -d '", "", command->name);
	print_quoted(command->sentence, "\\", "\\'");
	printf("'\n");
	fish_options(command->name, command->syntax);
	if (strchr(command->operands, '|')) {
		printf(FISH_IN " -a '", command->name);
		print_words(command->operands, '|', ' ');
		printf("'\n");
	}
	if (command->runs_another)
		printf("complete -c ktlsctl -n '__ktlsctl_in \"%s\"; and contains -- -- (commandline -opc)'"
		       " -a '(__ktlsctl_another)'\n", command->name);
}

static void print_fish(const struct ctl *ctl)
{
	const struct ctl_option *option;

	printf("function __ktlsctl_valued\n\tcontains -- $argv[1]");
	for (size_t i = 0; (option = ctl_option_at(ctl->syntax, i)); i++) {
		if (option->value)
			printf(" --%s", option->name);
		if (option->value && option->letter)
			printf(" -%c", option->letter);
	}
	printf("\nend\n\n%s", fish_functions);
	fish_options("", ctl->syntax);
	for (size_t i = 0; ctl->program[i]; i++)
		fish_command(ctl->program[i]);
}

/* --- the command */

static const struct {
	const char *name;
	void (*print)(const struct ctl *ctl);
} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };

static int set_shell(struct ctl *ctl, const char *value)
{
	if (ctl->operand) {
		ctl_usage("%s: one shell only", value);
		return -1;
	}
	ctl->operand = value;
	return 0;
}

static int run(struct ctl *ctl)
{
	const char *wanted = ctl->operand ?: "";

	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (strcmp(shells[i].name, wanted) == 0) {
			shells[i].print(ctl);
			return ctl_flush() < 0 ? KTLS_WHO_CALLER : KTLS_WHO_NOBODY;
		}
	return ctl_usage("completion takes bash, zsh or fish; try `ktlsctl completion --help`");
}

static const struct ctl_syntax syntax = { .operand = set_shell, .more = &ctl_help_syntax };

const struct ctl_command ctl_completion = {
	.name = "completion",
	.operands = "bash|zsh|fish",
	.sentence = "print the script by which a shell completes ktlsctl",
	.about = "Prints the script by which that shell completes the command line of ktlsctl.",
	.syntax = &syntax,
	.run = run,
};
