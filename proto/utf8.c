/* SPDX-License-Identifier: MIT */
#include "proto/utf8.h"
#include "proto/util.h"

/* A lead byte says how many bytes there are; a form is overlong where a shorter one would do. */
static const struct {
	uint8_t mask, lead;
	uint32_t least;
} forms[] = {
	{ 0x80, 0x00, 0 },
	{ 0xe0, 0xc0, 0x80 },
	{ 0xf0, 0xe0, 0x800 },
	{ 0xf8, 0xf0, 0x10000 },
};

size_t proto_utf8_decode(const char *text, const char *end, uint32_t *code)
{
	const uint8_t *byte = (const uint8_t *)text;
	size_t length = 0;
	uint32_t c;

	if (text == end)
		return 0;
	while (length < array_size(forms) && (*byte & forms[length].mask) != forms[length].lead)
		length++;
	if (length == array_size(forms) || (size_t)(end - text) <= length)
		return 0;
	c = *byte & (uint8_t)~forms[length].mask;
	for (size_t i = 1; i <= length; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (byte[i] & 0x3f);
	}
	if (c < forms[length].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return length + 1;
}

size_t proto_utf8_encode(char to[static 4], uint32_t code)
{
	size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = length - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(forms[length - 1].lead | code);
	return length;
}
