/* SPDX-License-Identifier: MIT */
#include "client/ctl-view.h"

#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define GAP 2 /* spaces between columns */
#define COLUMNS_MAX 16

static const char *const colours[] = {
	[VIEW_PLAIN] = "", [VIEW_HEADING] = "\033[1m", [VIEW_GOOD] = "\033[32m",
	[VIEW_NOTE] = "\033[33m", [VIEW_BAD] = "\033[1;31m", [VIEW_FAINT] = "\033[2m",
};

static bool wants_colour(void)
{
	const char *term = secure_getenv("TERM"), *no = secure_getenv("NO_COLOR");

	return !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void view_init(struct view *view, FILE *out)
{
	struct winsize size = { 0 };
	bool terminal = isatty(fileno(out));

	/* What comes is UTF-8, whatever the terminal's locale. */
	setlocale(LC_CTYPE, "C.UTF-8");
	*view = (struct view){ .out = out, .colour = terminal && wants_colour() };
	if (terminal && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
		view->width = size.ws_col;
}

/* --- members */

struct json_object *view_get(struct json_object *object, const char *path)
{
	char name[64];

	while (object && *path) {
		size_t n = strcspn(path, ".");

		if (!json_object_is_type(object, json_type_object) || n >= sizeof(name))
			return NULL;
		*(char *)mempcpy(name, path, n) = '\0';
		object = json_object_object_get(object, name);
		path += n + (path[n] == '.');
	}
	return object;
}

const char *view_text(struct json_object *object, const char *path)
{
	struct json_object *value = view_get(object, path);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t view_number(struct json_object *object, const char *path)
{
	struct json_object *value = view_get(object, path);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

bool view_true(struct json_object *object, const char *path)
{
	struct json_object *value = view_get(object, path);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

bool view_is(struct json_object *object, const char *path, const char *text)
{
	return strcmp(view_text(object, path), text) == 0;
}

/* json-c aborts where it is asked of anything else. */
size_t view_count(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/* --- values */

static void append(char scratch[static VIEW_CELL], const char *text)
{
	size_t n = strlen(scratch);

	snprintf(scratch + n, VIEW_CELL - n, "%s", text);
}

static const char *show_array(struct json_object *array, char scratch[static VIEW_CELL])
{
	char element[VIEW_CELL];

	scratch[0] = '\0';
	for (size_t i = 0; i < view_count(array); i++) {
		append(scratch, i ? " " : "");
		append(scratch, view_value(json_object_array_get_idx(array, i), element));
	}
	return scratch[0] ? scratch : "-";
}

const char *view_value(struct json_object *value, char scratch[static VIEW_CELL])
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return "-";
	case json_type_boolean:
		return json_object_get_boolean(value) ? "yes" : "no";
	case json_type_array:
		return show_array(value, scratch);
	default:
		snprintf(scratch, VIEW_CELL, "%s", json_object_get_string(value));
		return scratch;
	}
}

const char *view_usec(struct json_object *value, char scratch[static VIEW_CELL])
{
	if (!json_object_is_type(value, json_type_int))
		return view_value(value, scratch);
	snprintf(scratch, VIEW_CELL, "%.3f ms", (double)json_object_get_int64(value) / 1000);
	return scratch;
}

const char *view_bytes(struct json_object *value, char scratch[static VIEW_CELL])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double bytes = (double)json_object_get_int64(value);
	size_t unit = 0;

	if (!json_object_is_type(value, json_type_int))
		return view_value(value, scratch);
	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(*units); unit++)
		bytes /= 1024;
	snprintf(scratch, VIEW_CELL, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return scratch;
}

/* --- text */

/* The next character's bytes, and how many columns it takes; 0: it is none, or would steer the
 * terminal, or cannot be seen. */
static size_t next_character(const char *text, wchar_t *code, int *columns)
{
	mbstate_t state = { 0 };
	size_t n = mbrtowc(code, text, strnlen(text, MB_LEN_MAX), &state);
	bool valid = n > 0 && n <= MB_LEN_MAX;

	*columns = valid && wcwidth(*code) > 0 ? wcwidth(*code) : 0;
	*code = valid ? *code : L'\0';
	return valid ? n : 1;
}

static size_t width_of(const char *text)
{
	size_t width = 0;
	wchar_t code;
	int columns;

	for (; *text; width += columns ?: 1)
		text += next_character(text, &code, &columns);
	return width;
}

/* As much as fits into the width. */
static void put(struct view *view, const char *text, size_t width)
{
	wchar_t code;
	int columns;

	for (size_t n; *text; text += n) {
		n = next_character(text, &code, &columns);
		if ((size_t)(columns ?: 1) > width)
			return;
		width -= columns ?: 1;
		fwrite(columns ? text : "?", columns ? n : 1, 1, view->out);
	}
}

static void put_tone(struct view *view, enum view_tone tone, const char *text, size_t width)
{
	if (view->colour)
		fputs(colours[tone], view->out);
	put(view, text, width);
	if (view->colour && tone != VIEW_PLAIN)
		fputs("\033[0m", view->out);
}

__attribute__((format(printf, 3, 0)))
static void put_line(struct view *view, enum view_tone tone, const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		return;
	put_tone(view, tone, text, SIZE_MAX);
	fputc('\n', view->out);
	free(text);
}

void view_heading(struct view *view, const char *format, ...)
{
	va_list arguments;

	fputc('\n', view->out);
	va_start(arguments, format);
	put_line(view, VIEW_HEADING, format, arguments);
	va_end(arguments);
}

void view_line(struct view *view, enum view_tone tone, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put_line(view, tone, format, arguments);
	va_end(arguments);
}

static const char *cell(struct json_object *row, const struct view_column *column,
			char scratch[static VIEW_CELL])
{
	return (column->show ?: view_value)(view_get(row, column->path), scratch);
}

static enum view_tone tone_of(struct json_object *row, const struct view_column *column)
{
	return column->tone ? column->tone(row) : VIEW_PLAIN;
}

void view_facts(struct view *view, struct json_object *object, const struct view_column *facts,
		size_t n)
{
	char scratch[VIEW_CELL];
	size_t widest = 0;

	for (size_t i = 0; i < n; i++)
		widest = strlen(facts[i].title) > widest ? strlen(facts[i].title) : widest;
	for (size_t i = 0; i < n; i++) {
		const char *text = cell(object, &facts[i], scratch);

		fprintf(view->out, "%s:%*s", facts[i].title,
			(int)(widest - strlen(facts[i].title)) + 1, "");
		put_tone(view, tone_of(object, &facts[i]), text, SIZE_MAX);
		fputc('\n', view->out);
	}
}

static void measure(struct json_object *rows, const struct view_column *columns, size_t n,
		    size_t widths[static COLUMNS_MAX])
{
	char scratch[VIEW_CELL];

	for (size_t i = 0; i < n; i++) {
		widths[i] = width_of(columns[i].title);
		for (size_t j = 0; j < view_count(rows); j++) {
			struct json_object *row = json_object_array_get_idx(rows, j);
			size_t width = width_of(cell(row, &columns[i], scratch));

			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
}

/* The terminal's room for the last column, which is as wide as it likes elsewhere. */
static size_t room_for_last(const struct view *view, const size_t *widths, size_t n)
{
	size_t before = 0;

	for (size_t i = 0; i + 1 < n; i++)
		before += widths[i] + GAP;
	return view->width > before ? view->width - before : SIZE_MAX;
}

static void put_cell(struct view *view, const struct view_column *column, enum view_tone tone,
		     const char *text, size_t width, bool last, size_t room)
{
	size_t pad = width - width_of(text);

	if (column->right)
		fprintf(view->out, "%*s", (int)pad, "");
	put_tone(view, tone, text, last ? room : SIZE_MAX);
	if (!column->right && !last)
		fprintf(view->out, "%*s", (int)pad, "");
	fprintf(view->out, "%*s", last ? 0 : GAP, "");
}

void view_table(struct view *view, struct json_object *rows, const struct view_column *columns,
		size_t n)
{
	size_t widths[COLUMNS_MAX], room, n_rows;
	char scratch[VIEW_CELL];

	if (!json_object_is_type(rows, json_type_array) || n > COLUMNS_MAX)
		return;
	n_rows = view_count(rows);
	measure(rows, columns, n, widths);
	room = room_for_last(view, widths, n);
	for (size_t j = 0; n_rows && j <= n_rows; j++) {
		struct json_object *row = j ? json_object_array_get_idx(rows, j - 1) : NULL;

		for (size_t i = 0; i < n; i++)
			put_cell(view, &columns[i], j ? tone_of(row, &columns[i]) : VIEW_FAINT,
				 j ? cell(row, &columns[i], scratch) : columns[i].title, widths[i],
				 i + 1 == n, room);
		fputc('\n', view->out);
	}
}

/* --- a document */

/* As json-c has it, but for what would steer a terminal, which JSON can say otherwise. False: no
 * memory. */
static bool put_json(FILE *out, struct json_object *document)
{
	const char *text = json_object_to_json_string_ext(
		document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				  JSON_C_TO_STRING_NOSLASHESCAPE);
	wchar_t code;
	int columns;

	if (!text)
		return false;
	for (size_t n; *text; text += n) {
		n = next_character(text, &code, &columns);
		if (code == L'\0')
			fputs("\\ufffd", out);
		else if (code >= 0x7f && code < 0xa0)
			fprintf(out, "\\u%04x", (unsigned int)code);
		else
			fwrite(text, n, 1, out);
	}
	fputc('\n', out);
	return true;
}

int ctl_show(const struct ctl *ctl, struct json_object *document,
	     void (*render)(struct view *view, struct json_object *document), int status)
{
	bool shown = document;
	struct view view;

	view_init(&view, stdout);
	if (shown && ctl->json)
		shown = put_json(stdout, document);
	else if (shown)
		render(&view, document);
	json_object_put(document);
	if (!shown) {
		fprintf(stderr, "ktlsctl: no memory\n");
		return KTLS_WHO_INTERNAL;
	}
	return ctl_flush() < 0 ? KTLS_WHO_CALLER : status;
}
