/* SPDX-License-Identifier: MIT */
#include "proto/schema.h"
#include "proto/util.h"

#include <string.h>

/* Where a row's value lives. */
#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

#define STATUS_TEXT(name, presence, member)							\
	{ name, PROTO_KIND_TEXT, presence, AT(struct proto_status, member),			\
	  .most = sizeof(((struct proto_status *)NULL)->member) }

/* An error outside any stage is told as one of the first. */
static const struct proto_word stage_words[] = {
	{ "policy", PROTO_STAGE_POLICY },
	{ "resolve", PROTO_STAGE_RESOLVE },
	{ "connect", PROTO_STAGE_CONNECT },
	{ "handshake", PROTO_STAGE_HANDSHAKE },
	{ "install", PROTO_STAGE_INSTALL },
	{ NULL, 0 },
};

static const struct proto_field invalid_parameter_fields[] = {
	STATUS_TEXT("parameter", PROTO_REQUIRED, parameter),
	STATUS_TEXT("message", PROTO_OPTIONAL, message),
};

static const struct proto_field no_method_fields[] = {
	STATUS_TEXT("method", PROTO_REQUIRED, parameter),
};

static const struct proto_field no_interface_fields[] = {
	STATUS_TEXT("interface", PROTO_REQUIRED, parameter),
};

static const struct proto_field failure_fields[] = {
	{ "stage", PROTO_KIND_WORD, PROTO_REQUIRED, AT(struct proto_status, stage),
	  .words = stage_words },
	STATUS_TEXT("message", PROTO_REQUIRED, message),
	{ "errno", PROTO_KIND_ERRNO, PROTO_NULLABLE, AT(struct proto_status, sys_errno) },
	{ "retry", PROTO_KIND_BOOL, PROTO_REQUIRED, AT(struct proto_status, retry) },
	STATUS_TEXT("alert", PROTO_OPTIONAL, alert),
	STATUS_TEXT("x509", PROTO_OPTIONAL, x509),
	{ "trace", PROTO_KIND_PARAMETERS, PROTO_OPTIONAL, .schema = &proto_schema_trace },
};

static const struct proto_schema failure_schema = {
	.fields = failure_fields, .n = array_size(failure_fields),
};

/* Those of Varlink itself; all others are alike. */
static const struct proto_schema varlink_schemas[] = {
	[PROTO_INVALID_PARAMETER] = {
		.fields = invalid_parameter_fields, .n = array_size(invalid_parameter_fields),
	},
	[PROTO_METHOD_NOT_FOUND] = {
		.fields = no_method_fields, .n = array_size(no_method_fields),
	},
	[PROTO_INTERFACE_NOT_FOUND] = {
		.fields = no_interface_fields, .n = array_size(no_interface_fields),
	},
	[PROTO_METHOD_NOT_IMPLEMENTED] = {
		.fields = no_method_fields, .n = array_size(no_method_fields),
	},
};

static const struct proto_field description_fields[] = {
	{ "interface", PROTO_KIND_STRING, PROTO_REQUIRED, AT(struct proto_call, interface),
	  .least = 1, .most = PROTO_MESSAGE_MAX },
};

static const struct proto_schema description_schema = {
	.fields = description_fields, .n = array_size(description_fields),
};

static const struct proto_schema nothing_schema = { .n = 0 };

static const struct proto_method_info methods[] = {
	{ "io.ktlsd.Connect", PROTO_METHOD_CONNECT, true, &proto_schema_connect,
	  offsetof(struct proto_call, connect) },
	{ "io.ktlsd.Probe", PROTO_METHOD_PROBE, false, &proto_schema_connect,
	  offsetof(struct proto_call, connect) },
	{ "io.ktlsd.GetStatus", PROTO_METHOD_GET_STATUS, false, &nothing_schema, 0 },
	{ "io.ktlsd.GetCapabilities", PROTO_METHOD_GET_CAPABILITIES, false, &nothing_schema, 0 },
	{ "org.varlink.service.GetInfo", PROTO_METHOD_GET_INFO, false, &nothing_schema, 0 },
	{ "org.varlink.service.GetInterfaceDescription", PROTO_METHOD_GET_INTERFACE_DESCRIPTION,
	  false, &description_schema, 0 },
};

static const char *const interfaces[] = { "io.ktlsd", "org.varlink.service" };

const struct proto_schema *proto_schema_of_error(enum proto_error error)
{
	if ((size_t)error < array_size(varlink_schemas))
		return &varlink_schemas[error];
	return &failure_schema;
}

const struct proto_method_info *proto_method_find(const char *name)
{
	for (size_t i = 0; i < array_size(methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

const char *proto_interface(size_t i)
{
	return i < array_size(interfaces) ? interfaces[i] : NULL;
}
