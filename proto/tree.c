/* SPDX-License-Identifier: MIT */
/*
 * json-c before 0.18 does not say when memory runs out: a member for which there is none is left
 * out and the parse succeeds, so that a request would go on without its `trust`; before 0.17 a
 * piece of a string may be missing, and a key that cannot be copied is a crash. Two things answer
 * that. What json-c can need at most is known from the scan, and asked for in one piece just
 * before. And what it has built is measured against what the scan has counted.
 */
#include "proto/tree.h"
#include "proto/json.h"
#include "proto/util.h"

#include <json-c/json.h>
#include <string.h>

/* One member: an empty object with its table of 16 slots, its key, its slot in its parent. Text: a
 * buffer that doubles, old and new at once, and the copy that stays. */
#define NEED_PER_MEMBER 1536
#define NEED_PER_BYTE 5
#define NEED_AT_ALL (16 * 1024)

struct measure {
	size_t members, text;
};

static void free_tokener(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

/* Whether there is so much; volatile, or the compiler takes it for granted. */
static bool memory_at_hand(size_t size)
{
	void *volatile block = malloc(size);
	bool had = block != NULL;

	free(block);
	return had;
}

static void measure_value(struct measure *found, struct json_object *value);

static void measure_object(struct measure *found, struct json_object *object)
{
	json_object_object_foreach(object, key, value) {
		found->members++;
		found->text += strlen(key);
		measure_value(found, value);
	}
}

static void measure_array(struct measure *found, struct json_object *array)
{
	size_t n = json_object_array_length(array);

	for (size_t i = 0; i < n; i++)
		measure_value(found, json_object_array_get_idx(array, i));
	found->members += n;
}

/* Recursion as deep as PROTO_DEPTH_MAX. */
static void measure_value(struct measure *found, struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_object:
		measure_object(found, value);
		break;
	case json_type_array:
		measure_array(found, value);
		break;
	case json_type_string:
		found->text += (size_t)json_object_get_string_len(value);
		break;
	default:
		break;
	}
}

/* Where strings are at fault the tree differs by right: keys end at a NUL, doubled ones are one. */
static bool tree_whole(struct json_object *tree, const struct proto_scan *scan)
{
	struct measure found = { 0 };

	measure_value(&found, tree);
	return scan->fault || (found.members == scan->members && found.text == scan->text);
}

enum proto_decoded proto_tree_read(struct json_object **tree, struct proto_scan *scan,
				   const char *text, size_t length, size_t members_max)
{
	_cleanup_(free_tokener) struct json_tokener *tokener = NULL;
	struct json_object *built;

	if (length > PROTO_MESSAGE_MAX || !proto_scan(scan, text, length, members_max))
		return PROTO_DECODE_CLOSE;
	if (!memory_at_hand(NEED_AT_ALL + NEED_PER_MEMBER * scan->members + NEED_PER_BYTE * length))
		return PROTO_DECODE_NO_MEMORY;
	tokener = json_tokener_new();
	if (!tokener)
		return PROTO_DECODE_NO_MEMORY;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	built = json_tokener_parse_ex(tokener, text, (int)length);
	if (!built || !tree_whole(built, scan)) {
		json_object_put(built);
		return PROTO_DECODE_NO_MEMORY;
	}
	*tree = built;
	return PROTO_DECODE_OK;
}

static void put_value(struct proto_json *json, struct json_object *value);

static void put_object(struct proto_json *json, struct json_object *object)
{
	proto_json_raw(json, "{");
	json_object_object_foreach(object, key, value) {
		proto_json_name(json, key);
		put_value(json, value);
	}
	proto_json_raw(json, "}");
}

static void put_array(struct proto_json *json, struct json_object *array)
{
	size_t n = json_object_array_length(array);

	proto_json_raw(json, "[");
	for (size_t i = 0; i < n; i++) {
		proto_json_raw(json, i ? "," : "");
		put_value(json, json_object_array_get_idx(array, i));
	}
	proto_json_raw(json, "]");
}

static void put_integer(struct proto_json *json, struct json_object *integer)
{
	int64_t number = json_object_get_int64(integer);

	if (number < 0) {
		proto_json_raw(json, "-");
		proto_json_number(json, -(uint64_t)number);
	} else {
		proto_json_number(json, json_object_get_uint64(integer));
	}
}

/* Recursion as deep as PROTO_DEPTH_MAX. */
static void put_value(struct proto_json *json, struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_object:
		return put_object(json, value);
	case json_type_array:
		return put_array(json, value);
	case json_type_string:
		return proto_json_string(json, json_object_get_string(value));
	case json_type_int:
		return put_integer(json, value);
	case json_type_boolean:
		return proto_json_raw(json, json_object_get_boolean(value) ? "true" : "false");
	case json_type_double:	/* json-c keeps it as it was written */
		return proto_json_raw(json, json_object_get_userdata(value));
	case json_type_null:
		return proto_json_raw(json, "null");
	}
}

char *proto_tree_text(struct json_object *value)
{
	struct proto_json json = { .text = NULL };
	size_t length;

	put_value(&json, value);
	return proto_json_finish(&json, &length);
}
