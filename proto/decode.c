/* SPDX-License-Identifier: MIT */
#include "proto/decode.h"
#include "proto/util.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where we are: an object, and the path that leads to it ("", "trust."). */
struct place {
	const struct proto_schema *schema;
	void *base;
	char path[sizeof(((struct proto_status *)NULL)->parameter)];
	bool lenient;
	struct proto_status *status;
};

static enum proto_decoded decode_object(const struct place *place, struct json_object *object);

__attribute__((format(printf, 3, 4)))
static enum proto_decoded refuse(const struct place *place, const char *name, const char *format,
				 ...)
{
	char path[2 * sizeof(place->path)], what[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s%s", place->path, name);
	proto_status_invalid(place->status, path, "%s %s", path, what);
	return PROTO_DECODE_REFUSED;
}

static void *at(const struct place *place, const struct proto_field *field)
{
	return (char *)place->base + field->offset;
}

static char *copy_string(struct json_object *value)
{
	size_t length = (size_t)json_object_get_string_len(value);
	char *copy = malloc(length + 1);

	if (copy)
		memcpy(copy, json_object_get_string(value), length + 1);
	return copy;
}

static enum proto_decoded decode_string(const struct place *place, const struct proto_field *field,
					struct json_object *value)
{
	size_t length = (size_t)json_object_get_string_len(value);
	const char *complaint;
	char **to = at(place, field);

	if (length < field->least)
		return refuse(place, field->name, "is empty");
	if (length > field->most)
		return refuse(place, field->name, "is longer than %zu bytes", field->most);
	complaint = field->judge ? field->judge(json_object_get_string(value)) : NULL;
	if (complaint)
		return refuse(place, field->name, "%s", complaint);
	*to = copy_string(value);
	return *to ? PROTO_DECODE_OK : PROTO_DECODE_NO_MEMORY;
}

static enum proto_decoded decode_text(const struct place *place, const struct proto_field *field,
				      struct json_object *value)
{
	proto_escape(at(place, field), field->most, json_object_get_string(value));
	return PROTO_DECODE_OK;
}

/* The bounds of an array, and that it holds nothing but strings. */
static enum proto_decoded check_array(const struct place *place, const struct proto_field *field,
				      struct json_object *array)
{
	size_t n = json_object_array_length(array);

	if (n < field->least)
		return refuse(place, field->name, "is empty");
	if (n > field->most)
		return refuse(place, field->name, "has more than %zu elements", field->most);
	for (size_t i = 0; i < n; i++)
		if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_string))
			return refuse(place, field->name, "has an element that is not a string");
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_strings(const struct place *place, const struct proto_field *field,
					 struct json_object *array)
{
	enum proto_decoded decoded = check_array(place, field, array);
	size_t n = json_object_array_length(array);
	struct proto_strings *to = at(place, field);
	struct json_object *element;
	const char *complaint;

	if (decoded != PROTO_DECODE_OK || n == 0)
		return decoded;
	to->items = calloc(n, sizeof(*to->items));
	if (!to->items)
		return PROTO_DECODE_NO_MEMORY;
	for (to->n = 0; to->n < n; to->n++) {
		element = json_object_array_get_idx(array, to->n);
		complaint = field->judge(json_object_get_string(element));
		if (complaint)
			return refuse(place, field->name, "%s", complaint);
		to->items[to->n] = copy_string(element);
		if (!to->items[to->n])
			return PROTO_DECODE_NO_MEMORY;
	}
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_pins(const struct place *place, const struct proto_field *field,
				      struct json_object *array)
{
	enum proto_decoded decoded = check_array(place, field, array);
	size_t n = json_object_array_length(array);
	struct proto_trust *trust = at(place, field);
	struct json_object *element;

	if (decoded != PROTO_DECODE_OK)
		return decoded;
	for (trust->n_pins = 0; trust->n_pins < n; trust->n_pins++) {
		element = json_object_array_get_idx(array, trust->n_pins);
		if (!proto_pin_parse(&trust->pins[trust->n_pins], json_object_get_string(element)))
			return refuse(place, field->name, "has one that is neither cert-sha256: "
				      "nor spki-sha256: with 64 hexadecimal digits");
	}
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_integer(const struct place *place, const struct proto_field *field,
					 struct json_object *value)
{
	int64_t number = json_object_get_int64(value);	/* what is beyond is at the bounds of it */

	if (number < (int64_t)field->least || number > (int64_t)field->most)
		return refuse(place, field->name, "is not in %zu to %zu", field->least,
			      field->most);
	if (field->size == sizeof(uint16_t))
		*(uint16_t *)at(place, field) = (uint16_t)number;
	else if (field->size == sizeof(uint32_t))
		*(uint32_t *)at(place, field) = (uint32_t)number;
	else
		*(uint64_t *)at(place, field) = (uint64_t)number;
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_bool(const struct place *place, const struct proto_field *field,
				      struct json_object *value)
{
	*(bool *)at(place, field) = json_object_get_boolean(value);
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_word(const struct place *place, const struct proto_field *field,
				      struct json_object *value)
{
	const char *text = json_object_get_string(value);
	char list[64] = "";
	size_t n = 0;

	for (const struct proto_word *word = field->words; word->word; word++) {
		if (strcmp(word->word, text) == 0) {
			*(int *)at(place, field) = word->value;
			return PROTO_DECODE_OK;
		}
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s\"%s\"", n ? ", " : "",
				      word->word);
	}
	return place->lenient ? PROTO_DECODE_OK : refuse(place, field->name, "is none of %s", list);
}

static enum proto_decoded decode_errno(const struct place *place, const struct proto_field *field,
				       struct json_object *value)
{
	*(int *)at(place, field) = proto_errno_from_name(json_object_get_string(value));
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_inner(const struct place *place, const struct proto_field *field,
				       struct json_object *value)
{
	struct place inner = *place;
	size_t n = strlen(place->path);

	inner.schema = field->schema;
	inner.base = at(place, field);
	snprintf(inner.path + n, sizeof(inner.path) - n, "%s.", field->name);
	return decode_object(&inner, value);
}

static enum proto_decoded decode_later(const struct place *place, const struct proto_field *field,
				       struct json_object *value)
{
	return PROTO_DECODE_OK;
}

static const struct {
	enum json_type type;
	const char *wanted;
	enum proto_decoded (*decode)(const struct place *place, const struct proto_field *field,
				     struct json_object *value);
} kinds[] = {
	[PROTO_KIND_STRING] = { json_type_string, "a string", decode_string },
	[PROTO_KIND_TEXT] = { json_type_string, "a string", decode_text },
	[PROTO_KIND_STRINGS] = { json_type_array, "an array", decode_strings },
	[PROTO_KIND_PINS] = { json_type_array, "an array", decode_pins },
	[PROTO_KIND_INTEGER] = { json_type_int, "an integer", decode_integer },
	[PROTO_KIND_BOOL] = { json_type_boolean, "true or false", decode_bool },
	[PROTO_KIND_WORD] = { json_type_string, "a string", decode_word },
	[PROTO_KIND_ERRNO] = { json_type_string, "a string", decode_errno },
	[PROTO_KIND_OBJECT] = { json_type_object, "an object", decode_inner },
	[PROTO_KIND_PARAMETERS] = { json_type_object, "an object", decode_later },
	[PROTO_KIND_CONSTANT] = { json_type_string, "a string", decode_later },
	[PROTO_KIND_OBJECTS] = { json_type_array, "an array", decode_later },
};

static enum proto_decoded decode_field(const struct place *place, const struct proto_field *field,
				       struct json_object *value)
{
	if (!value)	/* absent or null */
		return field->presence == PROTO_REQUIRED ?
		       refuse(place, field->name, "is required") : PROTO_DECODE_OK;
	if (!json_object_is_type(value, kinds[field->kind].type))
		return refuse(place, field->name, "is not %s", kinds[field->kind].wanted);
	return kinds[field->kind].decode(place, field, value);
}

static bool field_known(const struct proto_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return true;
	return false;
}

static enum proto_decoded refuse_unknown(const struct place *place, struct json_object *object)
{
	if (!object)
		return PROTO_DECODE_OK;
	json_object_object_foreach(object, key, value) {
		(void)value;
		if (!field_known(place->schema, key))
			return refuse(place, key, "is not known here");
	}
	return PROTO_DECODE_OK;
}

static enum proto_decoded decode_object(const struct place *place, struct json_object *object)
{
	const struct proto_field *fields = place->schema->fields;
	enum proto_decoded decoded = PROTO_DECODE_OK;

	if (!place->lenient)
		decoded = refuse_unknown(place, object);
	for (size_t i = 0; i < place->schema->n && decoded == PROTO_DECODE_OK; i++)
		decoded = decode_field(place, &fields[i],
				       json_object_object_get(object, fields[i].name));
	return decoded;
}

enum proto_decoded proto_decode(const struct proto_schema *schema, void *base,
				struct json_object *object, bool lenient,
				struct proto_status *status)
{
	struct place place = {
		.schema = schema, .base = base, .lenient = lenient, .status = status,
	};

	return decode_object(&place, object);
}
