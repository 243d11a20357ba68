/* SPDX-License-Identifier: MIT */
/*
 * How ktlsctl shows a document (json-c): as it is with --json, else as text for people: headings,
 * facts, and tables whose columns are rows of a table. Colours and the terminal's width only where
 * stdout is a terminal; whatever came from elsewhere cannot steer it.
 */
#pragma once

#include "client/ctl.h"

#include <json-c/json.h>
#include <stdio.h>

#define VIEW_CELL 512 /* bytes of a value, cut to that */
#define N(array) (sizeof(array) / sizeof(*(array)))

enum view_tone { VIEW_PLAIN, VIEW_HEADING, VIEW_GOOD, VIEW_NOTE, VIEW_BAD, VIEW_FAINT };

struct view {
	FILE *out;
	bool colour;
	unsigned int width; /* of the terminal; 0: there is none, nothing is cut */
};

/* A value as text: NULL, "-" and so on are for it to decide. scratch may hold it. */
typedef const char *view_show(struct json_object *value, char scratch[static VIEW_CELL]);

struct view_column {
	const char *title;
	const char *path; /* of the member, "timings.total"; "": the row itself */
	view_show *show; /* NULL: view_value */
	bool right; /* aligned, for numbers */
	enum view_tone (*tone)(struct json_object *row); /* NULL: plain */
};

/* For stdout: colours unless NO_COLOR or TERM=dumb says no. */
void view_init(struct view *view, FILE *out);

void view_heading(struct view *view, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line; the terminal wraps it. */
void view_line(struct view *view, enum view_tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "title: value" for each, values in a column. */
void view_facts(struct view *view, struct json_object *object, const struct view_column *facts,
		size_t n);
/* Nothing where there are no rows. In a terminal the last column is cut to its width. */
void view_table(struct view *view, struct json_object *rows, const struct view_column *columns,
		size_t n);

/* null is "-", true "yes", false "no", an array its elements with spaces between. */
view_show view_value;
/* Microseconds as "1.234 ms"; a number of bytes as "1.2 GiB"; null as "-". */
view_show view_usec, view_bytes;

/* The member at "a.b.c"; NULL: null, or there is none. */
struct json_object *view_get(struct json_object *object, const char *path);
/* The same as text, number and truth; "", 0 and false where it is none. */
const char *view_text(struct json_object *object, const char *path);
int64_t view_number(struct json_object *object, const char *path);
bool view_true(struct json_object *object, const char *path);
bool view_is(struct json_object *object, const char *path, const char *text);
/* How many elements it has; 0 where it is no array. */
size_t view_count(struct json_object *array);

/* Shows the document on stdout, and gives it back. status, or KTLS_WHO_CALLER if it could not be
 * written; a document NULL is a lack of memory. */
int ctl_show(const struct ctl *ctl, struct json_object *document,
	     void (*render)(struct view *view, struct json_object *document), int status);
