/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=json_object_to_json_string_ext */
#include "tests/unit/unit.h"

#include "client/ctl-failure.c"
#include "client/ctl-view.c"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>

/* --- where it is shown */

struct screen {
	struct view view;
	int reader;
	char text[8192];
};

/* columns: of a terminal; 0: a pipe. */
static void screen_open(struct screen *screen, unsigned short columns)
{
	struct winsize size = { .ws_row = 25, .ws_col = columns };
	struct termios raw;
	int ends[2];

	if (columns)
		assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, &size), 0);
	else
		assert_int_equal(pipe(ends), 0);
	if (columns) {
		assert_int_equal(tcgetattr(ends[1], &raw), 0);
		cfmakeraw(&raw);
		assert_int_equal(tcsetattr(ends[1], TCSANOW, &raw), 0);
	}
	screen->reader = ends[0];
	view_init(&screen->view, fdopen(ends[1], "w"));
}

static const char *screen_close(struct screen *screen)
{
	size_t length = 0;
	ssize_t n;

	assert_int_equal(fclose(screen->view.out), 0);
	while ((n = read(screen->reader, screen->text + length,
			 sizeof(screen->text) - 1 - length)) > 0)
		length += (size_t)n;
	close_fd(&screen->reader);
	screen->text[length] = '\0';
	return screen->text;
}

static struct json_object *json(const char *text)
{
	struct json_object *object = json_tokener_parse(text);

	assert_non_null(object);
	return object;
}

static int plain_environment(void **state)
{
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	return 0;
}

/* --- colours and widths */

static const struct {
	const char *term, *no_color; /* NULL: unset */
	unsigned short columns;
	bool colour;
	unsigned int width;
} terminals[] = {
	{ "xterm", NULL, 80, true, 80 },
	{ "xterm", "", 80, true, 80 },
	{ "xterm", "1", 80, false, 80 },
	{ "dumb", NULL, 80, false, 80 },
	{ NULL, NULL, 132, false, 132 },
	{ "xterm", NULL, 0, false, 0 },
};

static void test_terminals(void **state)
{
	for (size_t i = 0; i < array_size(terminals); i++) {
		struct screen screen;

		unsetenv("TERM");
		unsetenv("NO_COLOR");
		if (terminals[i].term)
			setenv("TERM", terminals[i].term, 1);
		if (terminals[i].no_color)
			setenv("NO_COLOR", terminals[i].no_color, 1);
		screen_open(&screen, terminals[i].columns);
		print_message("# row %zu\n", i);
		assert_int_equal(screen.view.colour, terminals[i].colour);
		assert_int_equal(screen.view.width, terminals[i].width);
		view_line(&screen.view, VIEW_BAD, "%s", "fault");
		assert_string_equal(screen_close(&screen), terminals[i].colour ?
							      "\033[1;31mfault\033[0m\n" :
							      "fault\n");
	}
}

static enum view_tone tone(struct json_object *row)
{
	return view_true(row, "good") ? VIEW_GOOD : VIEW_PLAIN;
}

static const struct view_column columns[] = {
	{ .title = "Name", .path = "name", .tone = tone },
	{ .title = "Size", .path = "size", .right = true },
	{ .title = "More", .path = "more" },
};

#define ROWS                                                                                     \
	"[{\"name\": \"h\xc3\xa9\", \"size\": 12345, \"more\": \"0123456789\", \"good\": true},"     \
	" {\"name\": \"longer\", \"size\": 7, \"more\": \"\xc3\xa4\xc3\xa4\xc3\xa4\xe6\xbc\xa2z\"}]"

static const struct {
	unsigned short columns;
	bool colour;
	const char *text;
} tables[] = {
	{ 0, false,
	  "Name     Size  More\n"
	  "h\xc3\xa9      12345  0123456789\n"
	  "longer      7  \xc3\xa4\xc3\xa4\xc3\xa4\xe6\xbc\xa2z\n" },
	{ 80, true,
	  "\033[2mName\033[0m     \033[2mSize\033[0m  \033[2mMore\033[0m\n"
	  "\033[32mh\xc3\xa9\033[0m      12345  0123456789\n"
	  "longer      7  \xc3\xa4\xc3\xa4\xc3\xa4\xe6\xbc\xa2z\n" },
	{ 19, false,
	  "Name     Size  More\n"
	  "h\xc3\xa9      12345  0123\n"
	  "longer      7  \xc3\xa4\xc3\xa4\xc3\xa4\n" },
	{ 17, false,
	  "Name     Size  Mo\n"
	  "h\xc3\xa9      12345  01\n"
	  "longer      7  \xc3\xa4\xc3\xa4\n" },
	/* No room for a last column: what the terminal wraps is all there. */
	{ 15, false,
	  "Name     Size  More\n"
	  "h\xc3\xa9      12345  0123456789\n"
	  "longer      7  \xc3\xa4\xc3\xa4\xc3\xa4\xe6\xbc\xa2z\n" },
};

static void test_tables(void **state)
{
	struct json_object *rows = json(ROWS);

	for (size_t i = 0; i < array_size(tables); i++) {
		struct screen screen;

		setenv("TERM", tables[i].colour ? "xterm" : "dumb", 1);
		print_message("# %hu columns\n", tables[i].columns);
		screen_open(&screen, tables[i].columns);
		view_table(&screen.view, rows, columns, array_size(columns));
		assert_string_equal(screen_close(&screen), tables[i].text);
	}
	json_object_put(rows);
}

static void test_no_rows(void **state)
{
	struct json_object *none = json("[]"), *object = json("{}");
	struct screen screen;

	screen_open(&screen, 0);
	view_table(&screen.view, none, columns, array_size(columns));
	view_table(&screen.view, object, columns, array_size(columns));
	view_table(&screen.view, NULL, columns, array_size(columns));
	assert_string_equal(screen_close(&screen), "");
	json_object_put(none);
	json_object_put(object);
}

static void test_facts_and_headings(void **state)
{
	static const struct view_column facts[] = { { .title = "A", .path = "a.b" },
						    { .title = "Long", .path = "c" } };
	struct json_object *object = json("{\"a\": {\"b\": \"x\"}}");
	struct screen screen;

	screen_open(&screen, 0);
	view_heading(&screen.view, "%s %d", "Heading", 1);
	view_facts(&screen.view, object, facts, array_size(facts));
	assert_string_equal(screen_close(&screen), "\nHeading 1\nA:    x\nLong: -\n");
	json_object_put(object);
}

/* --- nobody's text steers the terminal */

static const struct {
	const char *text, *shown;
} strangers[] = {
	{ "\033[2Jx", "?[2Jx" },
	{ "a\nb\tc\rd\be\af", "a?b?c?d?e?f" },
	{ "a\177b", "a?b" },
	{ "\xc2\x80\xc2\x84\xc2\x9b""31m\xc2\x9d""0;t\xc2\x9c\xc2\x9f", "???31m?0;t??" },
	{ "\x9b""31m", "?31m" }, /* of itself no UTF-8 */
	{ "\xc0\x9b\xe0\x82\x9bx", "?????x" }, /* longer than need be */
	{ "x\xc3", "x?" },
	{ "\xe2\x82", "??" },
	{ "\xff\xfe", "??" },
	{ "\xe2\x80\xaetxt\xe2\x81\xa6\xe2\x80\x8b", "?txt??" }, /* order of writing, no width */
	{ "\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x92", "\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x92" },
};

static void test_strangers(void **state)
{
	static const struct view_column column[] = { { .title = "T", .path = "" } };

	for (size_t i = 0; i < array_size(strangers); i++) {
		struct json_object *rows = json_object_new_array();
		struct json_object *text = json_object_new_string(strangers[i].text);
		char wanted[256];
		struct screen screen;

		print_message("# row %zu\n", i);
		json_object_array_add(rows, text);
		screen_open(&screen, 0);
		view_line(&screen.view, VIEW_PLAIN, "%s", strangers[i].text);
		view_heading(&screen.view, "%s", strangers[i].text);
		view_facts(&screen.view, text, column, 1);
		view_table(&screen.view, rows, column, 1);
		view_table(&screen.view, rows, column, 1);
		snprintf(wanted, sizeof(wanted), "%1$s\n\n%1$s\nT: %1$s\nT\n%1$s\nT\n%1$s\n",
			 strangers[i].shown);
		assert_string_equal(screen_close(&screen), wanted);
		json_object_put(rows);
	}
}

/* Columns stand one under the other whatever the cell. */
static void test_width_is_what_is_shown(void **state)
{
	struct view view;

	view_init(&view, stdout);
	for (size_t i = 0; i < array_size(strangers); i++)
		assert_int_equal(width_of(strangers[i].text), width_of(strangers[i].shown));
	assert_int_equal(width_of("\xe6\xbc\xa2"), 2);
}

/* --- values */

static const struct {
	view_show *show;
	const char *json, *text;
} values[] = {
	{ view_value, "null", "-" },
	{ view_value, "true", "yes" },
	{ view_value, "false", "no" },
	{ view_value, "12", "12" },
	{ view_value, "\"\"", "" },
	{ view_value, "[]", "-" },
	{ view_value, "[\"a\", 1, null, true, [2, 3]]", "a 1 - yes 2 3" },
	{ view_usec, "null", "-" },
	{ view_usec, "0", "0.000 ms" },
	{ view_usec, "1234", "1.234 ms" },
	{ view_usec, "9007199254740993", "9007199254740.992 ms" },
	{ view_bytes, "null", "-" },
	{ view_bytes, "0", "0 B" },
	{ view_bytes, "1023", "1023 B" },
	{ view_bytes, "1024", "1.0 KiB" },
	{ view_bytes, "1288490189", "1.2 GiB" },
	{ view_bytes, "9223372036854775807", "8.0 EiB" },
};

static void test_values(void **state)
{
	for (size_t i = 0; i < array_size(values); i++) {
		struct json_object *value = json_tokener_parse(values[i].json);
		char scratch[VIEW_CELL];

		print_message("# %s\n", values[i].json);
		assert_string_equal(values[i].show(value, scratch), values[i].text);
		json_object_put(value);
	}
}

static void test_long_values(void **state)
{
	char text[2 * VIEW_CELL + 1], scratch[VIEW_CELL];
	struct json_object *array = json_object_new_array(), *value;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	value = json_object_new_string(text);
	assert_int_equal(strlen(view_value(value, scratch)), VIEW_CELL - 1);
	for (int i = 0; i < VIEW_CELL; i++)
		json_object_array_add(array, json_object_new_int(10));
	assert_int_equal(strlen(view_value(array, scratch)), VIEW_CELL - 1);
	json_object_put(value);
	json_object_put(array);
}

static void test_paths(void **state)
{
	struct json_object *object = json("{\"a\": {\"b\": {\"c\": 5}, \"n\": null}, \"s\": \"t\","
					  " \"yes\": true, \"one\": 1, \"list\": [1, 2], \"digits\": \"12\"}");

	assert_ptr_equal(view_get(object, ""), object);
	assert_int_equal(view_number(object, "a.b.c"), 5);
	assert_int_equal(view_number(object, "a.b.d"), 0);
	assert_int_equal(view_number(NULL, "a"), 0);
	assert_int_equal(view_number(object, "digits"), 0);
	assert_int_equal(view_count(view_get(object, "list")), 2);
	assert_int_equal(view_count(object), 0);
	assert_int_equal(view_count(NULL), 0);
	assert_true(view_is(object, "s", "t"));
	assert_false(view_is(object, "one", "1"));
	assert_null(view_get(object, "a.n"));
	assert_null(view_get(object, "a.n.c"));
	assert_null(view_get(object, "s.c"));
	assert_null(view_get(object, "a.b.c.d"));
	assert_null(view_get(object, "a12345678901234567890123456789012345678901234567890123456789012"
				     "34567890.b"));
	assert_string_equal(view_text(object, "s"), "t");
	assert_string_equal(view_text(object, "a"), "");
	assert_string_equal(view_text(object, "x"), "");
	assert_true(view_true(object, "yes"));
	assert_false(view_true(object, "one"));
	assert_false(view_true(object, "x"));
	json_object_put(object);
}

/* --- documents */

static void render(struct view *view, struct json_object *document)
{
	view_line(view, VIEW_GOOD, "%s", view_text(document, "text"));
}

static bool without_memory;

const char *__wrap_json_object_to_json_string_ext(struct json_object *object, int flags);
const char *__real_json_object_to_json_string_ext(struct json_object *object, int flags);

const char *__wrap_json_object_to_json_string_ext(struct json_object *object, int flags)
{
	return without_memory ? NULL : __real_json_object_to_json_string_ext(object, flags);
}

/* The exit status of ctl_show in a process of its own, whose stdout is out. */
static int show_to(int out, bool as_json, const char *text, int status)
{
	struct ctl ctl = { .json = as_json };
	pid_t pid = fork();
	int ended;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct json_object *document = text ? json_object_new_object() : NULL;

		if (text)
			json_object_object_add(document, "text", json_object_new_string(text));
		dup2(out, STDOUT_FILENO);
		stdout = fdopen(STDOUT_FILENO, "w"); /* not what cmocka has in it */
		_exit(ctl_show(&ctl, document, render, status));
	}
	assert_int_equal(waitpid(pid, &ended, 0), pid);
	assert_true(WIFEXITED(ended));
	return WEXITSTATUS(ended);
}

static void test_full(void **state)
{
	char large[20000];
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(full >= 0);
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	for (int as_json = 0; as_json < 2; as_json++) {
		assert_int_equal(show_to(full, as_json, "small", 0), KTLS_WHO_CALLER);
		assert_int_equal(show_to(full, as_json, large, 0), KTLS_WHO_CALLER);
	}
	close_fd(&full);
}

static void test_show(void **state)
{
	static const struct {
		bool as_json;
		const char *text;
		int status;
		const char *shown;
		bool without_memory;
		int wanted; /* 0: the status */
	} shows[] = {
		{ false, "a\033", 0, "a?\n" },
		{ false, "a", 3, "a\n" },
		{ true, "a/\"\n\033\177\xc2\x9b\xc3\xbc\x9b", 2,
		  "{\n  \"text\": \"a/\\\"\\n\\u001b\\u007f\\u009b\xc3\xbc\\ufffd\"\n}\n" },
		{ true, NULL, 0, "", false, KTLS_WHO_INTERNAL },
		{ true, "a", 0, "", true, KTLS_WHO_INTERNAL },
	};

	for (size_t i = 0; i < array_size(shows); i++) {
		int ends[2];
		char text[256];
		ssize_t n;

		assert_int_equal(pipe(ends), 0);
		without_memory = shows[i].without_memory;
		assert_int_equal(show_to(ends[1], shows[i].as_json, shows[i].text, shows[i].status),
				 shows[i].wanted ?: shows[i].status);
		without_memory = false;
		close_fd(&ends[1]);
		n = read(ends[0], text, sizeof(text) - 1);
		assert_true(n >= 0);
		text[n] = '\0';
		assert_string_equal(text, shows[i].shown);
		close_fd(&ends[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_terminals, plain_environment),
		cmocka_unit_test_setup(test_tables, plain_environment),
		cmocka_unit_test_setup(test_no_rows, plain_environment),
		cmocka_unit_test_setup(test_facts_and_headings, plain_environment),
		cmocka_unit_test_setup(test_strangers, plain_environment),
		cmocka_unit_test(test_width_is_what_is_shown),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
