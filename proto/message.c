/* SPDX-License-Identifier: MIT */
#include "proto/json.h"
#include "proto/schema.h"
#include "proto/util.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LABEL_MAX 63	/* RFC 1035, 2.3.4 */

static const char *const pin_kinds[] = {
	[PROTO_PIN_CERT] = "cert-sha256:",
	[PROTO_PIN_SPKI] = "spki-sha256:",
};

static void free_strings(struct proto_strings *strings)
{
	for (size_t i = 0; i < strings->n; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct proto_strings){ .items = NULL };
}

static void free_objects(struct proto_list *list, const struct proto_field *field)
{
	for (size_t i = 0; i < list->n; i++)
		proto_schema_free(field->schema, (char *)list->items + i * field->size);
	free(list->items);
	*list = (struct proto_list){ .items = NULL };
}

void proto_schema_free(const struct proto_schema *schema, void *base)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct proto_field *field = &schema->fields[i];
		char *at = (char *)base + field->offset;

		if (field->kind == PROTO_KIND_STRING)
			free_pointer(at);
		else if (field->kind == PROTO_KIND_STRINGS)
			free_strings((struct proto_strings *)at);
		else if (field->kind == PROTO_KIND_OBJECTS)
			free_objects((struct proto_list *)at, field);
		else if (field->kind == PROTO_KIND_OBJECT)
			proto_schema_free(field->schema, at);
	}
}

void proto_connect_deinit(struct proto_connect *connect)
{
	proto_schema_free(&proto_schema_connect, connect);
}

void proto_call_deinit(struct proto_call *call)
{
	proto_connect_deinit(&call->connect);
	free(call->interface);
	call->interface = NULL;
}

void proto_probe_deinit(struct proto_probe *probe)
{
	free_strings(&probe->offered);
	free_strings(&probe->offloadable);
	proto_trace_deinit(&probe->trace);
}

bool proto_pin_parse(struct proto_pin *pin, const char *text)
{
	struct proto_pin parsed;
	size_t kind = 0, bytes = sizeof(parsed.sha256);
	const char *hex;
	int high, low;

	while (kind < array_size(pin_kinds) &&
	       strncmp(text, pin_kinds[kind], strlen(pin_kinds[kind])) != 0)
		kind++;
	if (kind == array_size(pin_kinds))
		return false;
	hex = text + strlen(pin_kinds[kind]);
	if (strlen(hex) != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		high = proto_hex_digit(hex[2 * i]);
		low = proto_hex_digit(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		parsed.sha256[i] = (uint8_t)(high << 4 | low);
	}
	parsed.kind = (enum proto_pin_kind)kind;
	*pin = parsed;
	return true;
}

void proto_pin_format(char text[static 80], const struct proto_pin *pin)
{
	size_t n = (size_t)sprintf(text, "%s", pin_kinds[pin->kind]);

	for (size_t i = 0; i < sizeof(pin->sha256); i++)
		n += (size_t)sprintf(text + n, "%02x", pin->sha256[i]);
}

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool label_valid(const char *label, size_t length)
{
	if (length < 1 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!label_char(label[i]))
			return false;
	return true;
}

/* As the last label, this would make an address of the name: "127.1", "0x7f000001". */
static bool label_numeric(const char *label, size_t length)
{
	return strspn(label, "0123456789") >= length || strncasecmp(label, "0x", 2) == 0;
}

bool proto_dns_name_valid(const char *name)
{
	const char *label = name;
	size_t length, total = strlen(name);

	if (total < 1 || total > PROTO_HOST_MAX)
		return false;
	for (;;) {
		length = strcspn(label, ".");
		if (!label_valid(label, length))
			return false;
		if (label[length] == '\0' || label[length + 1] == '\0')
			return !label_numeric(label, length);
		label += length + 1;
	}
}

bool proto_host_valid(const char *host)
{
	uint8_t address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1 ||
	       proto_dns_name_valid(host);
}
