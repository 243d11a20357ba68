/* SPDX-License-Identifier: MIT */
#include "daemon/config-lines.h"

#include "proto/status.h"
#include "proto/util.h"

#include <ini.h>
#include <stdarg.h>
#include <string.h>

/* In Debian's inih the longest line is a variable (of 200), elsewhere it is compiled in. */
extern int ini_max_line __attribute__((weak));

void config_lines_fault(struct config_lines *lines, const char *subject, const char *format, ...)
{
	char message[PROTO_TEXT_MAX], safe[PROTO_TEXT_MAX], safe_subject[PROTO_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	proto_escape(safe, sizeof(safe), message);
	proto_escape(safe_subject, sizeof(safe_subject), subject ? subject : "");
	fprintf(lines->errors, "%s:", lines->path);
	if (lines->line)
		fprintf(lines->errors, "%u:", lines->line);
	fprintf(lines->errors, " %s%s%s\n", safe_subject, subject ? ": " : "", safe);
	lines->faults++;
}

/* One line without its end, cut to size; *wrong: what makes it no line. False: there is no more. */
static bool read_line(struct config_lines *lines, char *buffer, size_t size, const char **wrong)
{
	size_t n = 0;
	int c;

	*wrong = NULL;
	while ((c = getc(lines->file)) != EOF && ++lines->bytes <= CONFIG_FILE_MAX && c != '\n') {
		if (!c)
			*wrong = "there is a NUL byte in this line";
		if (n + 1 < size)
			buffer[n++] = c;
		else if (!*wrong)
			*wrong = "this line is too long";
	}
	buffer[n] = '\0';
	if (lines->bytes > CONFIG_FILE_MAX)
		*wrong = "this file is too large";
	return n || *wrong || c == '\n';
}

static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\r");
	for (length = strlen(text); length && strchr(" \t\r", text[length - 1]); length--)
		;
	text[length] = '\0';
	return text;
}

/* Starts of what another reader of such files would see more in than we do. */
static const char *ambiguous(const char *text)
{
	size_t length = strlen(text);

	if (!strncmp(text, "\xef\xbb\xbf", 3))
		return "there is a byte order mark at the start of this line";
	for (const char *p = text; *p; p++) {
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return "there is a control character in this line";
		if ((*p == ' ' || *p == '\t') && (p[1] == '#' || p[1] == ';'))
			return "a comment takes a line of its own";
	}
	if (text[length - 1] == '\\')
		return "a line cannot be continued on the next";
	if (*text != '[' && text[strcspn(text, "=:")] == ':')
		return "key and value are joined by =, not by :";
	return NULL;
}

static void section_line(struct config_lines *lines, char *text)
{
	char *end = strchr(text, ']');

	if (end && !end[1]) {
		*end = '\0';
		lines->on_section(lines, text + 1);
	} else {
		config_lines_fault(lines, text, "a section line ends with its ]");
		lines->on_section(lines, NULL);
	}
}

/* Whether inih has been given a line that it did not take for a key and a value. */
static void check_handed(struct config_lines *lines)
{
	if (lines->handed)
		config_lines_fault(lines, NULL, "this line is neither [SECTION] nor KEY=VALUE");
	lines->handed = false;
}

/*
 * inih's reader: the next line that can only be a key and its value. It leaves one byte of the
 * buffer free, because a full one looks to some builds of inih like the beginning of a longer line.
 */
static char *next_entry(char *buffer, int size, void *stream)
{
	struct config_lines *lines = stream;
	const char *wrong;
	char *text;

	check_handed(lines);
	while (read_line(lines, buffer, size - 1, &wrong)) {
		lines->line++;
		text = trim(buffer);
		if (!wrong && *text && !strchr("#;", *text))
			wrong = ambiguous(text);
		if (wrong)
			config_lines_fault(lines, NULL, "%s", wrong);
		if (lines->bytes > CONFIG_FILE_MAX)
			return NULL;
		if (wrong || !*text || strchr("#;", *text))
			continue;
		if (*text == '[') {
			section_line(lines, text);
			continue;
		}
		lines->handed = true;
		return memmove(buffer, text, strlen(text) + 1);
	}
	return NULL;
}

static int entry(void *user, const char *section, const char *key, const char *value)
{
	struct config_lines *lines = user;

	lines->handed = false;
	if (!*key)
		config_lines_fault(lines, NULL, "there is no key before the =");
	else
		lines->on_entry(lines, key, value);
	return 1;
}

void config_lines_read(struct config_lines *lines, const char *path, bool optional)
{
	lines->path = path;
	lines->line = 0;
	lines->bytes = 0;
	lines->file = fopen(path, "re");
	if (!lines->file) {
		if (errno != ENOENT || !optional)
			config_lines_fault(lines, NULL, "cannot be opened: %s", strerror(errno));
		return;
	}
	if (&ini_max_line)
		ini_max_line = CONFIG_LINE_MAX + 2;
	errno = 0;
	if (ini_parse_stream(next_entry, lines, entry, lines) < 0)
		lines->no_memory = true;
	check_handed(lines);
	if (ferror(lines->file)) {
		lines->line = 0;
		config_lines_fault(lines, NULL, "cannot be read: %s", strerror(errno));
	}
	fclose(lines->file);
	lines->file = NULL;
}
