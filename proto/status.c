/* SPDX-License-Identifier: MIT */
#include "proto/status.h"
#include "proto/utf8.h"
#include "proto/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct proto_error_info errors[] = {
#define ERROR(symbol, number, wire, sys, who, text)						\
	[number] = { #symbol, wire, text, sys, PROTO_WHO_##who },
#include "proto/error.def"
#undef ERROR
};

static const char *const stages[] = {
	[PROTO_STAGE_POLICY] = "policy",
	[PROTO_STAGE_RESOLVE] = "resolve",
	[PROTO_STAGE_CONNECT] = "connect",
	[PROTO_STAGE_HANDSHAKE] = "handshake",
	[PROTO_STAGE_INSTALL] = "install",
};

/* Numbers that have two names; the C library gives the other one. */
static const struct {
	const char *name;
	int number;
} errno_aliases[] = {
	{ "EWOULDBLOCK", EWOULDBLOCK },
	{ "ENOTSUP", ENOTSUP },
	{ "EOPNOTSUPP", EOPNOTSUPP },
	{ "EDEADLOCK", EDEADLOCK },
};

/* The kernel's own bound (MAX_ERRNO). */
#define ERRNO_MAX 4095

/* Beside control characters: marks and overrides of the direction of writing, line separators. In
 * order. */
static const struct {
	uint32_t first, last;
} unprintable[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x061c, 0x061c },
	{ 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 },
};

const struct proto_error_info *proto_error_info(enum proto_error error)
{
	if ((size_t)error >= array_size(errors) || !errors[error].wire)
		return NULL;
	return &errors[error];
}

enum proto_error proto_error_from_wire(const char *wire)
{
	for (size_t i = 0; i < array_size(errors); i++)
		if (errors[i].wire && strcmp(errors[i].wire, wire) == 0)
			return (enum proto_error)i;
	return PROTO_OK;
}

const char *proto_stage_name(enum proto_stage stage)
{
	return (size_t)stage < array_size(stages) ? stages[stage] : NULL;
}

enum proto_stage proto_stage_from_name(const char *name)
{
	for (size_t i = 0; i < array_size(stages); i++)
		if (stages[i] && strcmp(stages[i], name) == 0)
			return (enum proto_stage)i;
	return PROTO_STAGE_NONE;
}

const char *proto_errno_name(int sys_errno, char buffer[static 24])
{
	const char *name;

	if (sys_errno == 0)
		return NULL;
	name = strerrorname_np(sys_errno);
	if (name)
		return name;
	snprintf(buffer, 24, "E%d", sys_errno);
	return buffer;
}

/* "E<number>", the number as proto_errno_name() writes it. */
static int errno_from_digits(const char *digits)
{
	int number = 0;

	if (*digits < '1' || *digits > '9')
		return 0;
	for (; *digits >= '0' && *digits <= '9' && number <= ERRNO_MAX; digits++)
		number = number * 10 + (*digits - '0');
	return *digits == '\0' && number <= ERRNO_MAX ? number : 0;
}

int proto_errno_from_name(const char *name)
{
	const char *known;

	if (!name || name[0] != 'E')
		return 0;
	for (size_t i = 0; i < array_size(errno_aliases); i++)
		if (strcmp(errno_aliases[i].name, name) == 0)
			return errno_aliases[i].number;
	for (int i = 1; i <= ERRNO_MAX; i++) {
		known = strerrorname_np(i);
		if (known && strcmp(known, name) == 0)
			return i;
	}
	return errno_from_digits(name + 1);
}

__attribute__((format(printf, 2, 0)))
static void set_message(struct proto_status *status, const char *format, va_list arguments)
{
	const struct proto_error_info *info = proto_error_info(status->error);
	char text[PROTO_TEXT_MAX + 1] = "";	/* one more, so that a cut is seen */

	if (!format)
		snprintf(text, sizeof(text), "%s", info ? info->text : "");
	else if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	proto_escape(status->message, sizeof(status->message), text);
}

enum proto_error proto_status_set(struct proto_status *status, enum proto_error error,
				  enum proto_stage stage, int sys_errno, const char *format, ...)
{
	va_list arguments;

	*status = (struct proto_status){ .error = error, .stage = stage, .sys_errno = sys_errno };
	va_start(arguments, format);
	set_message(status, format, arguments);
	va_end(arguments);
	return error;
}

enum proto_error proto_status_invalid(struct proto_status *status, const char *parameter,
				      const char *format, ...)
{
	va_list arguments;

	*status = (struct proto_status){ .error = PROTO_INVALID_PARAMETER };
	proto_escape(status->parameter, sizeof(status->parameter), parameter);
	va_start(arguments, format);
	set_message(status, format, arguments);
	va_end(arguments);
	return status->error;
}

static bool printable(uint32_t code)
{
	for (size_t i = 0; i < array_size(unprintable) && code >= unprintable[i].first; i++)
		if (code <= unprintable[i].last)
			return false;
	return true;
}

/* One character of text, or \xHH for one byte of it: how much of text that was, and its form. */
static size_t escape_next(char piece[static 20], size_t *n, const char *text, const char *end)
{
	uint32_t code;
	size_t used = proto_utf8_decode(text, end, &code);

	if (used && printable(code)) {
		memcpy(piece, text, used);
		*n = used;
		return used;
	}
	used = used ? used : 1;
	*n = 0;
	for (size_t i = 0; i < used; i++)
		*n += (size_t)sprintf(piece + *n, "\\x%02x", (unsigned char)text[i]);
	return used;
}

void proto_escape(char *to, size_t size, const char *text)
{
	const char *end = text + strlen(text);
	size_t out = 0, cut = 0, n;	/* cut: as much as leaves room for the dots */
	char piece[20];

	if (size == 0)
		return;
	while (text < end) {
		text += escape_next(piece, &n, text, end);
		if (out + n >= size) {
			snprintf(to + cut, size - cut, "...");
			return;
		}
		memcpy(to + out, piece, n);
		out += n;
		if (out + sizeof("...") <= size)
			cut = out;
	}
	to[out] = '\0';
}
