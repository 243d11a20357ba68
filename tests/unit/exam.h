/* SPDX-License-Identifier: MIT */
/* An exam made of JSON texts, and what one check finds in it. */
#pragma once

#include "client/ctl-checks.h"
#include "tests/unit/unit.h"

#include <json-c/json.h>
#include <string.h>

static inline struct json_object *document(const char *text)
{
	struct json_object *made = json_tokener_parse(text);

	assert_non_null(made);
	return made;
}

/* The text of a member replaced by another one in what was made for a sound machine. */
static inline void put(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, text ? document(text) : NULL);
}

static inline struct finding look(const struct check *table, const char *name, const struct exam *exam)
{
	struct finding finding;

	while (table->name && strcmp(table->name, name) != 0)
		table++;
	assert_non_null(table->name);
	memset(&finding, 'x', sizeof(finding));
	check_look(table, exam, &finding);
	return finding;
}

static inline void check_finding(const struct finding *finding, enum verdict verdict, enum ktls_who who,
				 const char *what, const char *cure)
{
	assert_string_equal(finding->what, what);
	assert_string_equal(finding->cure, cure);
	assert_int_equal(finding->verdict, verdict);
	assert_int_equal(finding->who, who);
}
