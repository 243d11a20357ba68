/* SPDX-License-Identifier: MIT */
/* The texts that GetInterfaceDescription hands out are the files beside this one, as built in. */
#include "proto/json.h"
#include "proto/message.h"
#include "proto/util.h"

#include <string.h>

static const char ktlsd_text[] =
#include "gen/io.ktlsd.varlink.h"
;

static const char varlink_text[] =
#include "gen/org.varlink.service.varlink.h"
;

static const struct {
	const char *interface;
	const char *text;
} descriptions[] = {
	{ "io.ktlsd", ktlsd_text },
	{ "org.varlink.service", varlink_text },
};

static char *encode_description(const char *text, size_t *length)
{
	struct proto_json json = { .text = NULL };

	proto_json_raw(&json, "{\"parameters\":{\"description\":");
	proto_json_string(&json, text);
	proto_json_raw(&json, "}}");
	return proto_json_finish(&json, length);
}

char *proto_description_encode(const char *interface, size_t *length)
{
	for (size_t i = 0; i < array_size(descriptions); i++)
		if (strcmp(descriptions[i].interface, interface) == 0)
			return encode_description(descriptions[i].text, length);
	errno = ENOENT;
	return NULL;
}
