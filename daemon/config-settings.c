/* SPDX-License-Identifier: MIT */
#include "daemon/config-settings.h"

#include "proto/report.h"

#include <string.h>

/* --- values, one function for each type: the twins of those that parse them */

#define VALUE_SIZE 24

static void format_FLAG(char to[static VALUE_SIZE], const void *field)
{
	snprintf(to, VALUE_SIZE, "%s", *(const bool *)field ? "yes" : "no");
}

static void format_COUNT(char to[static VALUE_SIZE], const void *field)
{
	snprintf(to, VALUE_SIZE, "%u", *(const unsigned int *)field);
}

static void format_TIME(char to[static VALUE_SIZE], const void *field)
{
	unsigned int ms = *(const unsigned int *)field;

	snprintf(to, VALUE_SIZE, ms % 1000 ? "%ums" : "%u", ms % 1000 ? ms : ms / 1000);
}

/* --- the keys of the two sections that bear no name */

#define ROW(section, key, where, kind)								\
	{ #section, #key, offsetof(struct config, where), format_##kind },
#define ROW_Service(key, field, kind) ROW(Service, key, service.field, kind)
#define ROW_Limits(key, field, kind) ROW(Limits, key, limits.field, kind)
#define ROW_Policy(key, field, kind)
#define ROW_Store(key, field, kind)
#define ROW_Access(key, field, kind)

static const struct {
	const char *section, *key;
	size_t where;
	void (*format)(char to[static VALUE_SIZE], const void *field);
} rows[] = {
#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)			\
	ROW_##section(key, field, kind)
#include "daemon/options.def"
#undef OPTION
};

bool config_settings(const struct config *config, struct proto_list *settings)
{
	struct proto_setting *items = calloc(array_size(rows), sizeof(*items));
	char value[VALUE_SIZE];

	settings->items = items;
	for (size_t i = 0; items && i < array_size(rows); i++) {
		rows[i].format(value, (const char *)config + rows[i].where);
		items[i] = (struct proto_setting){ rows[i].section, rows[i].key, strdup(value) };
		if (!items[i].value)
			return false;
		settings->n++;
	}
	return items;
}
