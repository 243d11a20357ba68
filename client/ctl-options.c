/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 48
#define CODE_FIRST 256 /* of getopt_long(3), beyond every letter */

int ctl_usage(const char *format, ...)
{
	va_list ap;

	fputs("ktlsctl: usage: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return KTLS_WHO_CALLER;
}

const struct ctl_option *ctl_option_at(const struct ctl_syntax *syntax, size_t i)
{
	while (syntax && i >= syntax->n) {
		i -= syntax->n;
		syntax = syntax->more;
	}
	return syntax ? &syntax->options[i] : NULL;
}

struct getopt_table {
	struct option longs[OPTIONS_MAX + 1];
	char letters[OPTIONS_MAX * 2 + 3];
};

static void getopt_table_init(struct getopt_table *table, const struct ctl_syntax *syntax)
{
	char *letter = stpcpy(table->letters, syntax->operand ? "-:" : "+:");
	const struct ctl_option *option;

	memset(table->longs, 0, sizeof(table->longs));
	for (size_t i = 0; i < OPTIONS_MAX && (option = ctl_option_at(syntax, i)); i++) {
		table->longs[i] = (struct option){
			.name = option->name,
			.has_arg = option->value ? required_argument : no_argument,
			.val = CODE_FIRST + (int)i,
		};
		if (option->letter)
			*letter++ = option->letter;
		if (option->letter && option->value)
			*letter++ = ':';
	}
	*letter = '\0';
}

static const struct ctl_option *find_option(const struct ctl_syntax *syntax, int code)
{
	const struct ctl_option *option;

	if (code >= CODE_FIRST)
		return ctl_option_at(syntax, (size_t)(code - CODE_FIRST));
	for (size_t i = 0; (option = ctl_option_at(syntax, i)); i++)
		if (code == option->letter)
			return option;
	return NULL;
}

static int take_option(struct ctl *ctl, const struct ctl_option *option, const char *value)
{
	int r = option->ask ? option->ask(ctl->k, value) : option->set(ctl, value);

	if (r < 0 && errno == EINVAL && option->expected)
		ctl_usage("--%s %s: takes %s", option->name, value, option->expected);
	else if (r < 0 && errno == E2BIG)
		ctl_usage("--%s: too long, or given too often", option->name);
	else if (r < 0)
		ctl_usage("--%s %s: %s", option->name, value, strerror(errno));
	return r;
}

static int take(struct ctl *ctl, const struct ctl_syntax *syntax, int code, char **argv)
{
	const struct ctl_option *option;

	if (code == 1)
		return syntax->operand(ctl, optarg);
	option = code == '?' || code == ':' ? NULL : find_option(syntax, code);
	if (option)
		return take_option(ctl, option, optarg);
	if (code == ':')
		ctl_usage("%s: needs a value", argv[optind - 1]);
	else if (optopt >= CODE_FIRST)
		ctl_usage("--%s: takes no value", find_option(syntax, optopt)->name);
	else
		ctl_usage("%s: no such option", argv[optind - 1]);
	return -1;
}

int ctl_parse(struct ctl *ctl, const struct ctl_syntax *syntax, int argc, char **argv)
{
	struct getopt_table table;
	int code;

	getopt_table_init(&table, syntax);
	optind = 0;
	opterr = 0;
	while ((code = getopt_long(argc, argv, table.letters, table.longs, NULL)) != -1)
		if (take(ctl, syntax, code, argv) < 0)
			return -1;
	ctl->command = argv + optind;
	return 0;
}

void ctl_print_options(const struct ctl_syntax *syntax)
{
	const struct ctl_option *option;
	char left[64];

	for (size_t i = 0; (option = ctl_option_at(syntax, i)); i++) {
		char letter[] = { '-', option->letter, ',', ' ', '\0' };

		snprintf(left, sizeof(left), "%s--%s%s%s", option->letter ? letter : "    ",
			 option->name, option->value ? " " : "", option->value ?: "");
		printf("  %-32s %s\n", left, option->sentence);
	}
}

static int set_help(struct ctl *ctl, const char *value)
{
	ctl->help = true;
	return 0;
}

static int set_socket(struct ctl *ctl, const char *value)
{
	ctl->socket = value;
	return 0;
}

static const struct ctl_option help_options[] = {
	{ .name = "socket", .value = "PATH", .set = set_socket,
	  .sentence = "where ktlsd listens (" KTLS_SOCKET ")" },
	{ .name = "help", .letter = 'h', .set = set_help, .sentence = "show this" },
};

const struct ctl_syntax ctl_help_syntax = { .options = help_options, .n = 2 };

int ctl_set_json(struct ctl *ctl, const char *value)
{
	ctl->json = true;
	return 0;
}

static const struct ctl_option json_options[] = {
	CTL_JSON_OPTION,
};

const struct ctl_syntax ctl_json_syntax = {
	.options = json_options, .n = 1, .more = &ctl_help_syntax,
};
