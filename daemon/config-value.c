/* SPDX-License-Identifier: MIT */
#include "daemon/config-value.h"

#include "daemon/config-list.h"
#include "proto/limits.h"
#include "proto/util.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Of a long value only its beginning is repeated: what is wrong with it has to be seen, too. */
#define TOLD_MAX 100

/* At most ten decimal digits: as many minutes, in milliseconds, still have room in a uint64_t. */
static const char *parse_digits(const char *p, uint64_t *number, unsigned int *n)
{
	for (*number = 0, *n = 0; *p >= '0' && *p <= '9' && *n < 10; p++, (*n)++)
		*number = *number * 10 + (*p - '0');
	return p;
}

static bool in_range(const struct value_type *type, uint64_t number)
{
	return number >= type->min && number <= type->max;
}

static enum value_error parse_flag(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	static const char *const words[][6] = {
		{ "no", "n", "false", "f", "off", "0" },
		{ "yes", "y", "true", "t", "on", "1" },
	};

	for (size_t value = 0; value < array_size(words); value++) {
		for (size_t i = 0; i < array_size(words[value]); i++) {
			if (!strcasecmp(text, words[value][i])) {
				*(bool *)field = value;
				return VALUE_OK;
			}
		}
	}
	return VALUE_MALFORMED;
}

static enum value_error parse_action(const struct value_type *type, const struct names *names,
				     const char *text, void *field)
{
	if (strcmp(text, "allow") && strcmp(text, "deny"))
		return VALUE_MALFORMED;
	*(bool *)field = *text == 'd';
	return VALUE_OK;
}

static enum value_error parse_count(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	unsigned int digits;
	uint64_t number;

	if (text[strspn(text, "0123456789")] || !*text)
		return VALUE_MALFORMED;
	if (*parse_digits(text, &number, &digits) || !in_range(type, number))
		return VALUE_OUT_OF_RANGE;
	*(unsigned int *)field = number;
	return VALUE_OK;
}

/* What one unit is in milliseconds; 0: there is no such unit. */
static unsigned int time_unit(const char *name)
{
	static const struct {
		const char *name;
		unsigned int ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "min", 60000 } };

	for (size_t i = 0; i < array_size(units); i++)
		if (!strcmp(name, units[i].name))
			return units[i].ms;
	return 0;
}

/* In integers, so that 0.1 is 100 ms and not a little less, whatever the locale. */
static enum value_error parse_time(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	uint64_t whole, part = 0, scale = 1, ms;
	unsigned int digits, decimals = 0, unit;
	const char *p = parse_digits(text, &whole, &digits);

	if (!digits)
		return VALUE_MALFORMED;
	if (*p == '.') {
		p = parse_digits(p + 1, &part, &decimals);
		if (!decimals)
			return VALUE_MALFORMED;
	}
	for (unsigned int i = 0; i < decimals; i++)
		scale *= 10;
	unit = time_unit(p + strspn(p, " "));
	if (!unit || part * unit % scale)
		return VALUE_MALFORMED;
	ms = whole * unit + part * unit / scale;
	if (!in_range(type, ms))
		return VALUE_OUT_OF_RANGE;
	*(unsigned int *)field = ms;
	return VALUE_OK;
}

static enum value_error parse_text(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	char **to = field, *copy;

	if (!in_range(type, strlen(text)))
		return VALUE_OUT_OF_RANGE;
	copy = strdup(text);
	if (!copy)
		return VALUE_NO_MEMORY;
	free(*to);
	*to = copy;
	return VALUE_OK;
}

static enum value_error parse_path(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	return *text == '/' ? parse_text(type, names, text, field) : VALUE_MALFORMED;
}

static enum value_error parse_words(const struct value_type *type, const struct names *names,
				    const char *text, void *field)
{
	_cleanup_free_ char *wrong = NULL;

	if (!in_range(type, strlen(text)))
		return VALUE_OUT_OF_RANGE;
	return config_list_parse(type->kind, text, field, &wrong);
}

static const enum names_kind names_kinds[] = {
	[VALUE_CIPHERS] = NAMES_CIPHERS,
	[VALUE_GROUPS] = NAMES_GROUPS,
	[VALUE_SIGALGS] = NAMES_SIGALGS,
};

static enum value_error parse_list(const struct value_type *type, const struct names *names,
				   const char *text, void *field)
{
	char fault[PROTO_TEXT_MAX];

	if (names && in_range(type, strlen(text)) &&
	    !names_known(names, names_kinds[type->kind], text, fault, sizeof(fault)))
		return VALUE_MALFORMED;
	return parse_text(type, names, text, field);
}

static const struct {
	enum value_error (*parse)(const struct value_type *type, const struct names *names,
				  const char *text, void *field);
	const char *malformed;	/* NULL: explain_list() tells */
	const char *range;
	double scale;
} kinds[] = {
	[VALUE_FLAG] = { parse_flag, "is not yes or no", "", 1 },
	[VALUE_ACTION] = { parse_action, "is not allow or deny", "", 1 },
	[VALUE_COUNT] = { parse_count, "is not a whole number", "", 1 },
	[VALUE_TIME] = { parse_time, "is not a time in whole milliseconds: seconds, or a number "
				     "with ms, s or min", " seconds", 1000 },
	[VALUE_PATH] = { parse_path, "is not an absolute path", " bytes long", 1 },
	[VALUE_UIDS] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_GIDS] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_HOSTS] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_NETWORKS] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_PORTS] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_NAMES] = { parse_words, NULL, " bytes long", 1 },
	[VALUE_CIPHERS] = { parse_list, NULL, " bytes long", 1 },
	[VALUE_GROUPS] = { parse_list, NULL, " bytes long", 1 },
	[VALUE_SIGALGS] = { parse_list, NULL, " bytes long", 1 },
};

enum value_error value_parse(const struct value_type *type, const struct names *names,
			     const char *text, void *field)
{
	return *text ? kinds[type->kind].parse(type, names, text, field) : VALUE_EMPTY;
}

static bool is_words(const struct value_type *type)
{
	return kinds[type->kind].parse == parse_words;
}

void value_free(const struct value_type *type, void *field)
{
	if (is_words(type))
		config_list_free(type->kind, field);
	else if (type->kind == VALUE_PATH || kinds[type->kind].parse == parse_list)
		free_pointer(field);
}

/* Which of the names or words is wrong; it is found once more, by the same means. */
static void explain_list(const struct value_type *type, const struct names *names,
			 const char *text, char *to, size_t size)
{
	_cleanup_free_ char *wrong = NULL;
	struct config_words words = { 0 };

	if (!is_words(type)) {
		names_known(names, names_kinds[type->kind], text, to, size);
		return;
	}
	config_list_parse(type->kind, text, &words, &wrong);
	config_list_free(type->kind, &words);
	snprintf(to, size, "%s", wrong ? wrong : "is wrong");
}

void value_explain(const struct value_type *type, const struct names *names, const char *text,
		   enum value_error error, char *to, size_t size)
{
	const char *malformed = kinds[type->kind].malformed, *dots = "";
	double scale = kinds[type->kind].scale;
	int told = (int)strnlen(text, TOLD_MAX);

	if (text[told])
		dots = "...";
	if (error == VALUE_EMPTY)
		snprintf(to, size, "has no value");
	else if (error == VALUE_OUT_OF_RANGE)
		snprintf(to, size, "\"%.*s%s\" is not %.10g to %.10g%s", told, text, dots,
			 type->min / scale, type->max / scale, kinds[type->kind].range);
	else if (error == VALUE_MALFORMED && !malformed)
		explain_list(type, names, text, to, size);
	else
		snprintf(to, size, "\"%.*s%s\" %s", told, text, dots,
			 error == VALUE_NO_MEMORY ? "finds no memory" : malformed);
}
