/* SPDX-License-Identifier: MIT */
#include "client/certificates.h"
#include "proto/limits.h"
#include "proto/util.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

/* A bundle with a dump of each certificate before it is about ten times as large as what counts of
 * it. */
#define CERTIFICATES_FILE_MAX (16 * 1024 * 1024)

/* The labels under which OpenSSL takes a certificate. */
static const char *const labels[] = { "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE" };

struct line {
	const char *text;
	size_t length; /* without white space at the end */
};

static bool next_line(struct line *line, const char **at, const char *end)
{
	const char *newline;

	if (*at == end)
		return false;
	newline = memchr(*at, '\n', end - *at);
	line->text = *at;
	line->length = (newline ? newline : end) - *at;
	*at = newline ? newline + 1 : end;
	while (line->length && strchr(" \t\r", line->text[line->length - 1]))
		line->length--;
	return true;
}

/* "-----BEGIN CERTIFICATE-----" for which = "BEGIN": the number of the label, or -1. */
static int line_label(const struct line *line, const char *which)
{
	char mark[48];

	/* As nearly all lines are not: a bundle has thousands. */
	if (line->length == 0 || line->text[0] != '-')
		return -1;
	for (size_t i = 0; i < array_size(labels); i++) {
		size_t length = strlen("-----") * 2 + strlen(which) + 1 + strlen(labels[i]);

		memcpy(mark, "-----", 5);
		strcpy(stpcpy(stpcpy(stpcpy(mark + 5, which), " "), labels[i]), "-----");
		if (line->length == length && memcmp(line->text, mark, length) == 0)
			return i;
	}
	return -1;
}

static bool line_is_ascii(const struct line *line)
{
	for (size_t i = 0; i < line->length; i++)
		if (line->text[i] < 0x20 || line->text[i] > 0x7e)
			return false;
	return true;
}

struct filter {
	char *kept;
	size_t length;
	int inside; /* the label of the block that is open; -1 */
	int error;
};

static void filter_keep(struct filter *filter, const struct line *line)
{
	if (!line_is_ascii(line)) {
		filter->error = EINVAL;
	} else if (filter->length + line->length + 1 > PROTO_CA_MAX) {
		filter->error = E2BIG;
	} else {
		memcpy(filter->kept + filter->length, line->text, line->length);
		filter->length += line->length;
		filter->kept[filter->length++] = '\n';
	}
}

static void filter_line(struct filter *filter, const struct line *line)
{
	int begins = line_label(line, "BEGIN");

	if (begins >= 0 && filter->inside >= 0)
		filter->error = EINVAL;
	else if (begins >= 0)
		filter->inside = begins;
	if (filter->inside < 0 || filter->error)
		return;
	filter_keep(filter, line);
	if (line_label(line, "END") == filter->inside)
		filter->inside = -1;
}

char *certificates_of_text(const char *text, size_t length)
{
	const char *at = text, *end = text + length;
	_cleanup_free_ char *kept = malloc(PROTO_CA_MAX + 1);
	struct filter filter = { .kept = kept, .inside = -1 };
	struct line line;

	if (!kept)
		return NULL;
	while (!filter.error && next_line(&line, &at, end))
		filter_line(&filter, &line);
	if (!filter.error && (filter.inside >= 0 || filter.length == 0))
		filter.error = EINVAL;
	if (filter.error) {
		errno = filter.error;
		return NULL;
	}
	kept[filter.length] = '\0';
	return strdup(kept);
}

/* All of fd, at most max bytes of it. -1 with errno. */
static ssize_t read_all(int fd, char *buffer, size_t max)
{
	size_t length = 0;
	ssize_t n;

	while (length < max) {
		n = read(fd, buffer + length, max - length);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			length += n;
	}
	return length;
}

char *certificates_of_file(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	ssize_t length;

	if (fd < 0)
		return NULL;
	text = malloc(CERTIFICATES_FILE_MAX + 1);
	if (!text)
		return NULL;
	length = read_all(fd, text, CERTIFICATES_FILE_MAX + 1);
	if (length < 0)
		return NULL;
	if (length > CERTIFICATES_FILE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	return certificates_of_text(text, length);
}
