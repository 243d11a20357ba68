/* SPDX-License-Identifier: MIT */
#include "proto/json.h"
#include "proto/report.h"
#include "proto/schema.h"
#include "proto/util.h"

#include <string.h>

/* Writes the value; false: there is none, and nothing was written. */
typedef bool encode_value(struct proto_json *json, const struct proto_field *field, const void *at);

static void encode_members(struct proto_json *json, const struct proto_schema *schema,
			   const void *base);

static bool encode_string(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const char *text = *(char *const *)at;

	if (text)
		proto_json_string(json, text);
	return text;
}

static bool encode_constant(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const char *text = *(const char *const *)at;

	if (text)
		proto_json_string(json, text);
	return text;
}

static bool encode_text(struct proto_json *json, const struct proto_field *field, const void *at)
{
	char text[PROTO_TEXT_MAX];
	size_t size = field->most < sizeof(text) ? field->most : sizeof(text);

	proto_escape(text, size, at);
	if (text[0] || field->presence == PROTO_REQUIRED) {
		proto_json_string(json, text);
		return true;
	}
	return false;
}

static bool encode_strings(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const struct proto_strings *strings = at;

	if (strings->n == 0 && field->presence != PROTO_REQUIRED)
		return false;
	proto_json_raw(json, "[");
	for (size_t i = 0; i < strings->n; i++) {
		proto_json_raw(json, i ? "," : "");
		proto_json_string(json, strings->items[i]);
	}
	proto_json_raw(json, "]");
	return true;
}

static bool encode_pins(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const struct proto_trust *trust = at;
	char text[80];

	for (size_t i = 0; i < trust->n_pins; i++) {
		proto_pin_format(text, &trust->pins[i]);
		proto_json_raw(json, i ? "," : "[");
		proto_json_string(json, text);
	}
	if (trust->n_pins)
		proto_json_raw(json, "]");
	return trust->n_pins;
}

static uint64_t get_integer(const struct proto_field *field, const void *at)
{
	if (field->size == sizeof(uint16_t))
		return *(const uint16_t *)at;
	if (field->size == sizeof(uint32_t))
		return *(const uint32_t *)at;
	return *(const uint64_t *)at;
}

static bool encode_integer(struct proto_json *json, const struct proto_field *field, const void *at)
{
	uint64_t number = get_integer(field, at);

	if (number == 0 && field->presence != PROTO_REQUIRED)
		return false;
	proto_json_number(json, number);
	return true;
}

static bool encode_bool(struct proto_json *json, const struct proto_field *field, const void *at)
{
	proto_json_raw(json, *(const bool *)at ? "true" : "false");
	return true;
}

static bool encode_word(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const struct proto_word *word = field->words;
	int value = *(const int *)at;

	if (value == 0 && field->presence != PROTO_REQUIRED)
		return false;
	while (word->word && word->value != value)
		word++;
	proto_json_string(json, word->word ? word->word : field->words->word);
	return true;
}

static bool encode_errno(struct proto_json *json, const struct proto_field *field, const void *at)
{
	char buffer[24];
	const char *name = proto_errno_name(*(const int *)at, buffer);

	if (name)
		proto_json_string(json, name);
	return name;
}

static bool encode_object(struct proto_json *json, const struct proto_field *field, const void *at)
{
	size_t before;

	proto_json_raw(json, "{");
	before = json->length;
	encode_members(json, field->schema, at);
	if (json->length == before && field->presence != PROTO_REQUIRED)
		return false;
	proto_json_raw(json, "}");
	return true;
}

static bool encode_objects(struct proto_json *json, const struct proto_field *field, const void *at)
{
	const struct proto_list *list = at;

	proto_json_raw(json, "[");
	for (size_t i = 0; i < list->n; i++) {
		proto_json_raw(json, i ? ",{" : "{");
		encode_members(json, field->schema, (const char *)list->items + i * field->size);
		proto_json_raw(json, "}");
	}
	proto_json_raw(json, "]");
	return true;
}

/* Whoever has it writes it beside the others. */
static bool encode_nothing(struct proto_json *json, const struct proto_field *field, const void *at)
{
	return false;
}

static encode_value *const kinds[] = {
	[PROTO_KIND_STRING] = encode_string,
	[PROTO_KIND_TEXT] = encode_text,
	[PROTO_KIND_STRINGS] = encode_strings,
	[PROTO_KIND_PINS] = encode_pins,
	[PROTO_KIND_INTEGER] = encode_integer,
	[PROTO_KIND_BOOL] = encode_bool,
	[PROTO_KIND_WORD] = encode_word,
	[PROTO_KIND_ERRNO] = encode_errno,
	[PROTO_KIND_CONSTANT] = encode_constant,
	[PROTO_KIND_OBJECTS] = encode_objects,
	[PROTO_KIND_OBJECT] = encode_object,
	[PROTO_KIND_PARAMETERS] = encode_nothing,
};

static void encode_members(struct proto_json *json, const struct proto_schema *schema,
			   const void *base)
{
	size_t before;

	for (size_t i = 0; i < schema->n; i++) {
		const struct proto_field *field = &schema->fields[i];

		before = json->length;
		proto_json_name(json, field->name);
		if (kinds[field->kind](json, field, (const char *)base + field->offset))
			continue;
		if (field->presence == PROTO_NULLABLE)
			proto_json_string(json, NULL);
		else
			json->length = before;
	}
}

/* schema NULL: without parameters. */
static char *encode_call(const char *method, const struct proto_schema *schema, const void *base,
			 size_t *length)
{
	struct proto_json json = { .text = NULL };

	proto_json_raw(&json, "{\"method\":");
	proto_json_string(&json, method);
	if (schema) {
		proto_json_raw(&json, ",\"parameters\":{");
		encode_members(&json, schema, base);
		proto_json_raw(&json, "}");
	}
	proto_json_raw(&json, "}");
	return proto_json_finish(&json, length);
}

char *proto_question_encode(const char *method, const struct proto_connect *connect, size_t *length)
{
	return encode_call(method, connect ? &proto_schema_connect : NULL, connect, length);
}

char *proto_connect_encode(const struct proto_connect *connect, size_t *length)
{
	return encode_call("io.ktlsd.Connect", &proto_schema_connect, connect, length);
}

static char *encode_reply(const struct proto_schema *schema, const void *base, size_t *length)
{
	struct proto_json json = { .text = NULL };

	proto_json_raw(&json, "{\"parameters\":{");
	encode_members(&json, schema, base);
	proto_json_raw(&json, "}}");
	return proto_json_finish(&json, length);
}

char *proto_session_encode(const struct proto_session *session, size_t *length)
{
	struct proto_connected connected = { .fd_index = 0, .session = *session };

	return encode_reply(&proto_schema_connected, &connected, length);
}

char *proto_probe_encode(const struct proto_session *session, const struct proto_probe *probe,
			 size_t *length)
{
	struct proto_probed probed = { .session = *session, .probe = *probe };

	return encode_reply(&proto_schema_probed, &probed, length);
}

char *proto_report_encode(const struct proto_report *report, size_t *length)
{
	return encode_reply(&proto_schema_report, report, length);
}

char *proto_capabilities_encode(const struct proto_capabilities *capabilities, size_t *length)
{
	return encode_reply(&proto_schema_capabilities, capabilities, length);
}

/* trace NULL: there is none. */
static char *encode_failure(const struct proto_status *status, const struct proto_trace *trace,
			    size_t *length)
{
	enum proto_error error = proto_error_info(status->error) ? status->error :
				 PROTO_INTERNAL_ERROR;
	struct proto_json json = { .text = NULL };

	proto_json_raw(&json, "{\"error\":");
	proto_json_string(&json, proto_error_info(error)->wire);
	proto_json_raw(&json, ",\"parameters\":{");
	encode_members(&json, proto_schema_of_error(error), status);
	if (trace) {
		proto_json_name(&json, "trace");
		proto_json_raw(&json, "{");
		encode_members(&json, &proto_schema_trace, trace);
		proto_json_raw(&json, "}");
	}
	proto_json_raw(&json, "}}");
	return proto_json_finish(&json, length);
}

char *proto_status_encode(const struct proto_status *status, size_t *length)
{
	return encode_failure(status, NULL, length);
}

char *proto_probe_failure_encode(const struct proto_status *status, const struct proto_trace *trace,
				 size_t *length)
{
	return encode_failure(status, trace, length);
}

char *proto_info_encode(const struct proto_info *info, size_t *length)
{
	struct proto_json json = { .text = NULL };

	proto_json_raw(&json, "{\"parameters\":{");
	proto_json_name(&json, "vendor");
	proto_json_string(&json, info->vendor);
	proto_json_name(&json, "product");
	proto_json_string(&json, info->product);
	proto_json_name(&json, "version");
	proto_json_string(&json, info->version);
	proto_json_name(&json, "url");
	proto_json_string(&json, info->url);
	proto_json_name(&json, "interfaces");
	for (size_t i = 0; proto_interface(i); i++) {
		proto_json_raw(&json, i ? "," : "[");
		proto_json_string(&json, proto_interface(i));
	}
	proto_json_raw(&json, "]}}");
	return proto_json_finish(&json, length);
}
