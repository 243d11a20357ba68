/* SPDX-License-Identifier: MIT */
/* tests: proto/description.c */
/* tests: proto/encode.c */
/* What the interface descriptions say is what the tables of the decoder say, to the word. */
#include "tests/unit/unit.h"

#include "proto/schema.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define ROOM 32768

struct text {
	char bytes[ROOM];
	size_t n;
};

__attribute__((format(printf, 2, 3)))
static void append(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text->n += (size_t)vsnprintf(text->bytes + text->n, ROOM - text->n, format, arguments);
	va_end(arguments);
	assert_true(text->n < ROOM);
}

/* Without comments, with one space where there was any, and none inside of parentheses. */
static void normalize(struct text *text, const char *from)
{
	char last;

	for (; *from; from++) {
		if (*from == '#')
			from += strcspn(from, "\n");
		last = text->n ? text->bytes[text->n - 1] : ' ';
		if (!isspace((unsigned char)*from)) {
			if (*from == ')' && last == ' ')
				text->n--;
			append(text, "%c", *from);
		} else if (last != ' ' && last != '(') {
			append(text, " ");
		}
	}
	if (text->n && text->bytes[text->n - 1] == ' ')
		text->bytes[--text->n] = '\0';
}

static bool words_are_names(const struct proto_word *words)
{
	for (; words->word; words++)
		if (!isalpha((unsigned char)words->word[0]))
			return false;
	return true;
}

static void append_type(struct text *text, const struct proto_field *field)
{
	static const char *const types[] = {
		[PROTO_KIND_STRING] = "string", [PROTO_KIND_TEXT] = "string",
		[PROTO_KIND_STRINGS] = "[]string", [PROTO_KIND_PINS] = "[]string",
		[PROTO_KIND_INTEGER] = "int", [PROTO_KIND_BOOL] = "bool",
		[PROTO_KIND_WORD] = "string", [PROTO_KIND_ERRNO] = "string",
		[PROTO_KIND_CONSTANT] = "string",
	};

	append(text, "%s: %s", field->name, field->presence == PROTO_REQUIRED ? "" : "?");
	if (field->schema) {
		append(text, "%s%s", field->kind == PROTO_KIND_OBJECTS ? "[]" : "",
		       field->schema->type);
	} else if (field->words && words_are_names(field->words) &&
		   strcmp(field->name, "stage") != 0) {
		for (const struct proto_word *word = field->words; word->word; word++)
			append(text, "%s%s", word == field->words ? "(" : ", ", word->word);
		append(text, ")");
	} else {
		append(text, "%s", types[field->kind]);
	}
}

static void append_struct(struct text *text, const struct proto_schema *schema)
{
	append(text, "(");
	for (size_t i = 0; i < schema->n; i++) {
		append(text, "%s", i ? ", " : "");
		append_type(text, &schema->fields[i]);
	}
	append(text, ")");
}

/* The types that a schema uses and that were not told before, inner ones first. */
static void append_types(struct text *text, const struct proto_schema *schema)
{
	char told[64];

	for (size_t i = 0; i < schema->n; i++) {
		const struct proto_schema *inner = schema->fields[i].schema;

		if (!inner)
			continue;
		snprintf(told, sizeof(told), " type %s (", inner->type);
		if (strstr(text->bytes, told))
			continue;
		append_types(text, inner);
		append(text, " type %s ", inner->type);
		append_struct(text, inner);
	}
}

static void append_method(struct text *text, const char *name, const struct proto_schema *in,
			  const struct proto_schema *out)
{
	append_types(text, in);
	append_types(text, out);
	append(text, " method %s", name);
	append_struct(text, in);
	append(text, " -> ");
	append_struct(text, out);
}

static void append_errors(struct text *text, const char *interface)
{
	const struct proto_error_info *info;
	size_t n = strlen(interface);

	for (int i = 1; (info = proto_error_info((enum proto_error)i)); i++) {
		if (strncmp(info->wire, interface, n) != 0 || info->wire[n] != '.')
			continue;
		append(text, " error %s ", info->wire + n + 1);
		append_struct(text, proto_schema_of_error((enum proto_error)i));
	}
}

/* What GetInterfaceDescription answers, as json-c reads it. */
static void served(struct text *text, const char *interface)
{
	struct json_object *reply, *parameters, *description;
	size_t length;
	char *message = proto_description_encode(interface, &length);

	assert_non_null(message);
	assert_int_equal(strlen(message), length);
	reply = json_tokener_parse(message);
	parameters = json_object_object_get(reply, "parameters");
	description = json_object_object_get(parameters, "description");
	assert_int_equal(json_object_object_length(reply), 1);
	assert_int_equal(json_object_object_length(parameters), 1);
	normalize(text, json_object_get_string(description));
	json_object_put(reply);
	free(message);
}

static void test_ktlsd(void **state)
{
	static const struct proto_schema nothing = { .n = 0 };
	struct text told = { .n = 0 }, tables = { .n = 0 };

	append(&tables, "interface io.ktlsd");
	append_method(&tables, "Connect", &proto_schema_connect, &proto_schema_connected);
	append_method(&tables, "Probe", &proto_schema_connect, &proto_schema_probed);
	append_method(&tables, "GetStatus", &nothing, &proto_schema_report);
	append_method(&tables, "GetCapabilities", &nothing, &proto_schema_capabilities);
	append_errors(&tables, "io.ktlsd");
	served(&told, "io.ktlsd");
	assert_string_equal(told.bytes, tables.bytes);
}

/* Varlink's own is Varlink's to say: our methods are those of it, our errors as well. */
static void test_varlink(void **state)
{
	static const char *const say[] = {
		"interface org.varlink.service method GetInfo() -> (vendor: string",
		", product: string, version: string, url: string, interfaces: []string)",
		" method GetInterfaceDescription(interface: string) -> (description: string)",
		" error InterfaceNotFound (interface: string)",
		" error MethodNotFound (method: string)",
		" error MethodNotImplemented (method: string)",
		" error InvalidParameter (parameter: string)",
	};
	struct text told = { .n = 0 };
	const char *at = told.bytes;

	served(&told, "org.varlink.service");
	for (size_t i = 0; i < array_size(say); i++) {
		assert_int_equal(strncmp(at, say[i], strlen(say[i])), 0);
		at += strlen(say[i]);
	}
	assert_string_equal(at, "");
	for (int i = PROTO_INVALID_PARAMETER; i <= PROTO_METHOD_NOT_IMPLEMENTED; i++)
		assert_non_null(strstr(told.bytes,
				       proto_error_info((enum proto_error)i)->wire +
				       strlen("org.varlink.service.")));
	assert_non_null(proto_method_find("org.varlink.service.GetInfo"));
	assert_non_null(proto_method_find("org.varlink.service.GetInterfaceDescription"));
}

static void test_every_interface_is_described(void **state)
{
	size_t length, n = 0;
	char *message;

	for (; proto_interface(n); n++) {
		message = proto_description_encode(proto_interface(n), &length);
		assert_non_null(message);
		free(message);
	}
	assert_int_equal(n, 2);
	assert_null(proto_description_encode("io.ktls", &length));
	assert_int_equal(errno, ENOENT);
}

static void test_info(void **state)
{
	const struct proto_info info = { "a \"vendor\"", "ktlsd", "1.2.3", "https://example.org/" };
	size_t length;
	char *message = proto_info_encode(&info, &length);

	assert_string_equal(message, "{\"parameters\":{\"vendor\":\"a \\\"vendor\\\"\",\"product\":"
			    "\"ktlsd\",\"version\":\"1.2.3\",\"url\":\"https://example.org/\","
			    "\"interfaces\":[\"io.ktlsd\",\"org.varlink.service\"]}}");
	assert_int_equal(strlen(message), length);
	free(message);
}

/* Names that the limits hold, and names that differ: what doubled keys are found by. */
static void test_names_of_members(void **state)
{
	static const struct proto_schema *const schemas[] = {
		&proto_schema_call, &proto_schema_reply, &proto_schema_connect,
		&proto_schema_connected, &proto_schema_probed, &proto_schema_report,
		&proto_schema_capabilities,
	};

	for (size_t i = 0; i < array_size(schemas); i++)
		for (size_t j = 0; j < schemas[i]->n; j++) {
			assert_true(strlen(schemas[i]->fields[j].name) <= PROTO_KEY_MAX);
			for (size_t k = 0; k < j; k++)
				assert_string_not_equal(schemas[i]->fields[j].name,
							schemas[i]->fields[k].name);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ktlsd),
		cmocka_unit_test(test_varlink),
		cmocka_unit_test(test_every_interface_is_described),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_names_of_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
