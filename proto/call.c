/* SPDX-License-Identifier: MIT */
#include "proto/decode.h"
#include "proto/tree.h"
#include "proto/util.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static void put_tree(struct json_object **tree)
{
	json_object_put(*tree);
}

static void free_envelope(struct proto_envelope *envelope)
{
	proto_schema_free(&proto_schema_call, envelope);
	proto_schema_free(&proto_schema_reply, envelope);
}

/* A refusal of Varlink's own, about one subject. */
static enum proto_decoded refuse_subject(struct proto_status *status, enum proto_error error,
					 const char *subject)
{
	proto_status_set(status, error, PROTO_STAGE_NONE, 0, "%s: %s",
			 proto_error_info(error)->text, subject);
	proto_escape(status->parameter, sizeof(status->parameter), subject);
	return PROTO_DECODE_REFUSED;
}

static bool interface_known(const char *name)
{
	for (size_t i = 0; proto_interface(i); i++)
		if (strcmp(proto_interface(i), name) == 0)
			return true;
	return false;
}

/* There is no such method: is it the name, the interface or the method? */
static enum proto_decoded refuse_method(struct proto_status *status, const char *method)
{
	const char *dot = strrchr(method, '.');
	char interface[256];	/* one that is longer, and cut, is none of ours either */

	if (!dot || dot == method || dot[1] == '\0') {
		proto_status_invalid(status, "method", "method is not INTERFACE.METHOD");
		return PROTO_DECODE_REFUSED;
	}
	snprintf(interface, sizeof(interface), "%.*s", (int)(dot - method), method);
	if (interface_known(interface))
		return refuse_subject(status, PROTO_METHOD_NOT_FOUND, method);
	return refuse_subject(status, PROTO_INTERFACE_NOT_FOUND, interface);
}

/* What no row can say: versions among each other, and with what is built. */
static enum proto_decoded check_versions(const struct proto_connect *connect,
					 struct proto_status *status)
{
	static const char where[] = "policy.minVersion";
	const struct proto_policy *policy = &connect->policy;

	if (policy->max_version && policy->min_version > policy->max_version)
		proto_status_invalid(status, where, "%s is above policy.maxVersion", where);
	else if (policy->min_version == PROTO_VERSION_TLS13 && connect->io == PROTO_IO_PLAIN)
		proto_status_invalid(status, where, "%s: TLS 1.3 is not for io plain, whose reads "
				     "would fail at the first session ticket", where);
	else if (policy->min_version == PROTO_VERSION_TLS13)
		proto_status_invalid(status, where, "%s: this version of ktlsd cannot do TLS 1.3 "
				     "yet", where);
	else
		return PROTO_DECODE_OK;
	return PROTO_DECODE_REFUSED;
}

static enum proto_decoded check_connect(const struct proto_call *call, struct proto_status *status)
{
	if (call->oneway) {
		proto_status_invalid(status, "oneway", "oneway: the socket comes with the reply");
		return PROTO_DECODE_REFUSED;
	}
	return check_versions(&call->connect, status);
}

/* Nothing is handed over, so that nobody need wait for a reply. */
static enum proto_decoded check_probe(const struct proto_call *call, struct proto_status *status)
{
	return check_versions(&call->connect, status);
}

static enum proto_decoded check_nothing(const struct proto_call *call, struct proto_status *status)
{
	return PROTO_DECODE_OK;
}

static enum proto_decoded check_interface(const struct proto_call *call,
					  struct proto_status *status)
{
	if (interface_known(call->interface))
		return PROTO_DECODE_OK;
	return refuse_subject(status, PROTO_INTERFACE_NOT_FOUND, call->interface);
}

static enum proto_decoded (*const checks[])(const struct proto_call *call,
					    struct proto_status *status) = {
	[PROTO_METHOD_CONNECT] = check_connect,
	[PROTO_METHOD_PROBE] = check_probe,
	[PROTO_METHOD_GET_STATUS] = check_nothing,
	[PROTO_METHOD_GET_CAPABILITIES] = check_nothing,
	[PROTO_METHOD_GET_INFO] = check_nothing,
	[PROTO_METHOD_GET_INTERFACE_DESCRIPTION] = check_interface,
};

static enum proto_decoded decode_method(struct proto_call *call,
					const struct proto_envelope *envelope,
					struct json_object *parameters, struct proto_status *status)
{
	const struct proto_method_info *info = proto_method_find(envelope->method);
	enum proto_decoded decoded;

	if (!info)
		return refuse_method(status, envelope->method);
	call->method = info->method;
	call->oneway = envelope->oneway;
	call->connect.timeout_ms = PROTO_TIMEOUT_DEFAULT_MS;
	decoded = proto_decode(info->parameters, (char *)call + info->offset, parameters, false,
			       status);
	return decoded == PROTO_DECODE_OK ? checks[info->method](call, status) : decoded;
}

static bool wants_no_reply(struct json_object *tree)
{
	struct json_object *oneway = json_object_object_get(tree, "oneway");
	struct json_object *method = json_object_object_get(tree, "method");
	const struct proto_method_info *info = NULL;

	if (json_object_is_type(method, json_type_string))
		info = proto_method_find(json_object_get_string(method));
	return json_object_is_type(oneway, json_type_boolean) && json_object_get_boolean(oneway) &&
	       !(info && info->hands_over);
}

enum proto_decoded proto_call_decode(struct proto_call *call, const char *text, size_t length,
				     struct proto_status *status, bool *oneway)
{
	_cleanup_(put_tree) struct json_object *tree = NULL;
	_cleanup_(free_envelope) struct proto_envelope envelope = { .method = NULL };
	struct proto_call decoding = { .method = PROTO_METHOD_CONNECT };
	struct proto_scan scan;
	enum proto_decoded decoded = proto_tree_read(&tree, &scan, text, length,
						     PROTO_MEMBERS_MAX);

	if (decoded != PROTO_DECODE_OK)
		return decoded;
	*oneway = wants_no_reply(tree);
	if (scan.fault) {
		proto_status_invalid(status, scan.path, "%s %s", scan.path, scan.fault);
		return PROTO_DECODE_REFUSED;
	}
	decoded = proto_decode(&proto_schema_call, &envelope, tree, false, status);
	if (decoded == PROTO_DECODE_OK)
		decoded = decode_method(&decoding, &envelope,
					json_object_object_get(tree, "parameters"), status);
	if (decoded == PROTO_DECODE_OK)
		*call = decoding;
	else
		proto_call_deinit(&decoding);
	return decoded;
}

/* An error as far as it can be read; that it is one is certain. */
static void decode_error(struct proto_status *status, const char *wire,
			 struct json_object *parameters)
{
	enum proto_error known = proto_error_from_wire(wire);
	enum proto_error error = known != PROTO_OK ? known : PROTO_INTERNAL_ERROR;
	struct proto_status read = { .error = error }, ignored;
	const char *what = proto_error_info(error)->text, *detail;
	char message[PROTO_TEXT_MAX + 128];

	proto_decode(proto_schema_of_error(error), &read, parameters, true, &ignored);
	*status = read;
	if (known != PROTO_OK && read.message[0])
		return;
	what = known != PROTO_OK ? what : wire;
	detail = known != PROTO_OK ? read.parameter : read.message;
	snprintf(message, sizeof(message), "%s%s%s", what, detail[0] ? ": " : "", detail);
	proto_escape(status->message, sizeof(status->message), message);
}

/* A reply with its envelope; *parameters is a part of *tree. REFUSED: it is an error, told in *status. */
static enum proto_decoded open_reply(struct json_object **tree, struct json_object **parameters,
				     const char *text, size_t length, size_t members_max,
				     struct proto_status *status)
{
	_cleanup_(free_envelope) struct proto_envelope envelope = { .error = NULL };
	struct proto_status ignored;
	struct proto_scan scan;
	enum proto_decoded decoded = proto_tree_read(tree, &scan, text, length, members_max);

	if (decoded != PROTO_DECODE_OK)
		return decoded;
	if (scan.fault)
		return PROTO_DECODE_CLOSE;
	decoded = proto_decode(&proto_schema_reply, &envelope, *tree, true, &ignored);
	*parameters = json_object_object_get(*tree, "parameters");
	if (decoded == PROTO_DECODE_OK && envelope.error) {
		decode_error(status, envelope.error, *parameters);
		return PROTO_DECODE_REFUSED;
	}
	return decoded == PROTO_DECODE_REFUSED ? PROTO_DECODE_CLOSE : decoded;
}

enum proto_decoded proto_reply_decode(const char *text, size_t length,
				      struct proto_session *session, int *fd_index,
				      struct proto_status *status)
{
	_cleanup_(put_tree) struct json_object *tree = NULL;
	struct proto_connected connected = { .fd_index = 0 };
	struct json_object *parameters;
	struct proto_status ignored;
	enum proto_decoded decoded = open_reply(&tree, &parameters, text, length,
						PROTO_REPLY_MEMBERS_MAX, status);

	if (decoded != PROTO_DECODE_OK)
		return decoded;
	decoded = proto_decode(&proto_schema_connected, &connected, parameters, true, &ignored);
	if (decoded != PROTO_DECODE_OK)
		return decoded == PROTO_DECODE_REFUSED ? PROTO_DECODE_CLOSE : decoded;
	*session = connected.session;
	*fd_index = (int)connected.fd_index;
	return PROTO_DECODE_OK;
}

enum proto_decoded proto_answer_decode(const char *text, size_t length, char **told,
				       struct proto_status *status)
{
	_cleanup_(put_tree) struct json_object *tree = NULL;
	struct json_object *parameters = NULL;
	enum proto_decoded decoded = open_reply(&tree, &parameters, text, length,
						PROTO_REPORT_MEMBERS_MAX, status);
	const char *json = NULL;

	*told = NULL;
	if (decoded != PROTO_DECODE_OK && decoded != PROTO_DECODE_REFUSED)
		return decoded;
	if (parameters)
		json = json_object_to_json_string_ext(parameters, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (json)
		*told = strdup(json);
	if (parameters && !*told)
		return PROTO_DECODE_NO_MEMORY;
	return decoded == PROTO_DECODE_OK && !parameters ? PROTO_DECODE_CLOSE : decoded;
}
