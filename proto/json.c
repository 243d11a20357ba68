/* SPDX-License-Identifier: MIT */
/*
 * Why not json-c's serializer: where memory runs out it leaves pieces out and says nothing, and a
 * request that has lost its pins is still a request.
 */
#include "proto/json.h"
#include "proto/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SIZE_FIRST 512

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Nonzero if a byte of word is zero. */
static uint64_t zero_byte(uint64_t word)
{
	return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

/* Eight at once: a CA bundle is a quarter of a million bytes. */
static bool eight_plain(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return !((word & EACH_BYTE(0x80)) | ((word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80)) |
		 zero_byte(word ^ EACH_BYTE('"')) | zero_byte(word ^ EACH_BYTE('\\')));
}

static bool plain(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

const char *proto_json_plain_end(const char *at, const char *end)
{
	while (end - at >= 8 && eight_plain(at))
		at += 8;
	while (at < end && plain(*at))
		at++;
	return at;
}

int proto_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool make_room(struct proto_json *json, size_t n)
{
	size_t size = json->size ? json->size : SIZE_FIRST;
	char *text;

	if (json->failed || json->size - json->length > n)
		return !json->failed;
	while (size - json->length <= n)
		size *= 2;
	text = realloc(json->text, size);
	if (!text) {
		json->failed = true;
		return false;
	}
	json->text = text;
	json->size = size;
	return true;
}

static void put(struct proto_json *json, const char *text, size_t n)
{
	if (!make_room(json, n))
		return;
	memcpy(json->text + json->length, text, n);
	json->length += n;
}

void proto_json_raw(struct proto_json *json, const char *text)
{
	put(json, text, strlen(text));
}

void proto_json_number(struct proto_json *json, uint64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, number);
	proto_json_raw(json, digits);
}

static void put_special(struct proto_json *json, char c)
{
	static const char meanings[] = "\"\\\n\r\t", names[] = "\"\\nrt";
	const char *meaning = strchr(meanings, c);
	char escape[8];

	if (meaning)
		snprintf(escape, sizeof(escape), "\\%c", names[meaning - meanings]);
	else if ((unsigned char)c < 0x20)
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char)c);
	else
		snprintf(escape, sizeof(escape), "%c", c);
	proto_json_raw(json, escape);
}

void proto_json_string(struct proto_json *json, const char *text)
{
	const char *end = text ? text + strlen(text) : NULL, *from;

	if (!text) {
		proto_json_raw(json, "null");
		return;
	}
	proto_json_raw(json, "\"");
	while (text < end) {
		from = text;
		text = proto_json_plain_end(text, end);
		put(json, from, (size_t)(text - from));
		if (text < end)
			put_special(json, *text++);
	}
	proto_json_raw(json, "\"");
}

void proto_json_name(struct proto_json *json, const char *name)
{
	if (json->length && json->text[json->length - 1] != '{')
		proto_json_raw(json, ",");
	proto_json_string(json, name);
	proto_json_raw(json, ":");
}

char *proto_json_finish(struct proto_json *json, size_t *length)
{
	put(json, "", 1);
	if (json->failed) {
		free(json->text);
		return NULL;
	}
	*length = json->length - 1;
	return json->text;
}
