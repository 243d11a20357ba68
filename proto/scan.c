/* SPDX-License-Identifier: MIT */
#include "proto/scan.h"
#include "proto/json.h"
#include "proto/status.h"
#include "proto/utf8.h"
#include "proto/util.h"

#include <stdio.h>
#include <string.h>

struct key {
	size_t length;			/* over PROTO_KEY_MAX: text is its beginning */
	char text[PROTO_KEY_MAX];	/* escapes undone */
};

/* An object or array that is open. */
struct level {
	bool object;
	size_t first_key;		/* of its own, which are forgotten at its end */
	const struct key *key;		/* the member under way */
};

enum expect { FIRST_KEY, KEY, FIRST_ELEMENT, ELEMENT, MEMBER_VALUE, SEPARATOR, END };

struct scanner {
	const char *at, *end;
	enum expect expect;
	struct proto_scan *facts;
	struct level levels[PROTO_DEPTH_MAX];
	size_t depth;
	size_t members_max;
	struct key keys[PROTO_OPEN_KEYS_MAX];
	size_t n_keys;
};

static void skip_space(struct scanner *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

static bool take(struct scanner *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool count_member(struct scanner *s)
{
	return ++s->facts->members <= s->members_max;
}

/* Appends one name of the path; a NUL in it is shown. */
static void append_key(char *path, size_t size, const struct key *key)
{
	size_t n = strlen(path), length = key->length;

	if (length > PROTO_KEY_MAX)
		length = PROTO_KEY_MAX;
	if (n)
		n += (size_t)snprintf(path + n, size - n, ".");
	for (size_t i = 0; i < length; i++)
		if (key->text[i])
			n += (size_t)snprintf(path + n, size - n, "%c", key->text[i]);
		else
			n += (size_t)snprintf(path + n, size - n, "\\x00");
}

/* Keeps the first fault, and where it is. */
static void note_fault(struct scanner *s, const char *fault)
{
	char path[PROTO_DEPTH_MAX * (4 * PROTO_KEY_MAX + 1) + 1] = "";
	size_t first = 0;

	if (!fault || s->facts->fault)
		return;
	s->facts->fault = fault;
	if (s->depth > 1 && s->levels[1].key && s->levels[0].key->length == strlen("parameters") &&
	    memcmp(s->levels[0].key->text, "parameters", strlen("parameters")) == 0)
		first = 1;
	for (size_t i = first; i < s->depth; i++)
		if (s->levels[i].key)
			append_key(path, sizeof(path), s->levels[i].key);
	proto_escape(s->facts->path, sizeof(s->facts->path), path);
}

static void put_text(struct scanner *s, struct key *key, const char *text, size_t n)
{
	s->facts->text += n;
	if (!key)
		return;
	if (key->length < PROTO_KEY_MAX)
		memcpy(key->text + key->length, text,
		       n < PROTO_KEY_MAX - key->length ? n : PROTO_KEY_MAX - key->length);
	key->length += n;
}

static bool read_hex4(struct scanner *s, uint32_t *unit)
{
	int digit;

	*unit = 0;
	for (int i = 0; i < 4; i++, s->at++) {
		digit = s->at < s->end ? proto_hex_digit(*s->at) : -1;
		if (digit < 0)
			return false;
		*unit = *unit << 4 | (uint32_t)digit;
	}
	return true;
}

/* \uXXXX, or two of them for what is above U+FFFF; what follows a lone half is left where it is. */
static bool read_unicode(struct scanner *s, struct key *key, const char **fault)
{
	uint32_t unit, low;
	const char *pair;
	char text[4];

	if (!read_hex4(s, &unit))
		return false;
	if (unit >= 0xd800 && unit < 0xdc00 && s->end - s->at >= 2 &&
	    memcmp(s->at, "\\u", 2) == 0) {
		pair = s->at;
		s->at += 2;
		if (!read_hex4(s, &low))
			return false;
		if (low >= 0xdc00 && low < 0xe000)
			unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		else
			s->at = pair;
	}
	if (unit >= 0xd800 && unit < 0xe000) {
		*fault = "contains half of a surrogate pair";
		unit = 0xfffd;
	}
	if (unit == 0)
		*fault = "contains NUL";
	put_text(s, key, text, proto_utf8_encode(text, unit));
	return true;
}

static bool read_escape(struct scanner *s, struct key *key, const char **fault)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *name;

	s->at++;
	if (take(s, 'u'))
		return read_unicode(s, key, fault);
	if (s->at == s->end || *s->at == '\0')
		return false;
	name = strchr(names, *s->at);
	if (!name)
		return false;
	s->at++;
	put_text(s, key, &meanings[name - names], 1);
	return true;
}

/* A character beyond ASCII. */
static void read_multibyte(struct scanner *s, struct key *key, const char **fault)
{
	uint32_t code;
	size_t n = proto_utf8_decode(s->at, s->end, &code);

	if (n == 0) {
		*fault = "is not UTF-8";
		n = 1;
	}
	put_text(s, key, s->at, n);
	s->at += n;
}

/* False where the grammar ends; *fault is set where only the content is no good. */
static bool read_string(struct scanner *s, struct key *key, const char **fault)
{
	const char *from;

	*fault = NULL;
	if (!take(s, '"'))
		return false;
	for (;;) {
		from = s->at;
		s->at = proto_json_plain_end(s->at, s->end);
		put_text(s, key, from, (size_t)(s->at - from));
		if (take(s, '"'))
			return true;
		if (s->at == s->end || (unsigned char)*s->at < 0x20)
			return false;
		if (*s->at != '\\')
			read_multibyte(s, key, fault);
		else if (!read_escape(s, key, fault))
			return false;
	}
}

static size_t skip_digits(struct scanner *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static bool read_number(struct scanner *s)
{
	take(s, '-');
	if (!take(s, '0') && !skip_digits(s))
		return false;
	if (take(s, '.') && !skip_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '-'))
			take(s, '+');
		return skip_digits(s) > 0;
	}
	return true;
}

static bool read_word(struct scanner *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < array_size(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(s->end - s->at) >= n && memcmp(s->at, words[i], n) == 0) {
			s->at += n;
			return true;
		}
	}
	return false;
}

static bool open_level(struct scanner *s, bool object)
{
	if (s->depth == PROTO_DEPTH_MAX)
		return false;
	s->at++;
	s->levels[s->depth++] = (struct level){ .object = object, .first_key = s->n_keys };
	s->expect = object ? FIRST_KEY : FIRST_ELEMENT;
	return true;
}

static bool close_level(struct scanner *s)
{
	if (!take(s, s->levels[s->depth - 1].object ? '}' : ']'))
		return false;
	s->n_keys = s->levels[--s->depth].first_key;
	s->expect = s->depth ? SEPARATOR : END;
	return true;
}

static bool read_value(struct scanner *s)
{
	const char *fault;

	if (s->at == s->end)
		return false;
	s->expect = SEPARATOR;
	switch (*s->at) {
	case '{':
	case '[':
		return open_level(s, *s->at == '{');
	case '"':
		if (!read_string(s, NULL, &fault))
			return false;
		note_fault(s, fault);
		return true;
	case 't':
	case 'f':
	case 'n':
		return read_word(s);
	default:
		return read_number(s);
	}
}

static const char *judge_key(const struct scanner *s, const struct key *key)
{
	if (key->length > PROTO_KEY_MAX)
		return "has a name that is too long";
	for (const struct key *other = s->keys + s->levels[s->depth - 1].first_key; other < key;
	     other++)
		if (other->length == key->length &&
		    memcmp(other->text, key->text, key->length) == 0)
			return "is given twice";
	return NULL;
}

static bool read_key(struct scanner *s)
{
	struct level *level = &s->levels[s->depth - 1];
	struct key *key = &s->keys[s->n_keys];
	const char *fault;

	if (!count_member(s) || s->n_keys == array_size(s->keys))
		return false;
	s->n_keys++;
	key->length = 0;
	if (!read_string(s, key, &fault))
		return false;
	level->key = key;
	note_fault(s, fault);
	note_fault(s, judge_key(s, key));
	skip_space(s);
	s->expect = MEMBER_VALUE;
	return take(s, ':');
}

static bool read_element(struct scanner *s)
{
	return count_member(s) && read_value(s);
}

static bool read_first_key(struct scanner *s)
{
	return close_level(s) || read_key(s);
}

static bool read_first_element(struct scanner *s)
{
	return close_level(s) || read_element(s);
}

static bool read_separator(struct scanner *s)
{
	if (!take(s, ','))
		return close_level(s);
	s->expect = s->levels[s->depth - 1].object ? KEY : ELEMENT;
	return true;
}

static bool (*const readers[])(struct scanner *) = {
	[FIRST_KEY] = read_first_key,
	[KEY] = read_key,
	[FIRST_ELEMENT] = read_first_element,
	[ELEMENT] = read_element,
	[MEMBER_VALUE] = read_value,
	[SEPARATOR] = read_separator,
};

bool proto_scan(struct proto_scan *scan, const char *text, size_t length, size_t members_max)
{
	struct scanner s;

	*scan = (struct proto_scan){ .fault = NULL };
	s.at = text;
	s.end = text + length;
	s.facts = scan;
	s.members_max = members_max;
	s.depth = s.n_keys = 0;
	skip_space(&s);
	if (s.at == s.end || *s.at != '{' || !open_level(&s, true))
		return false;
	while (s.expect != END) {
		skip_space(&s);
		if (!readers[s.expect](&s))
			return false;
	}
	skip_space(&s);
	return s.at == s.end;
}
