/* SPDX-License-Identifier: MIT */
#include "client/ctl-service.h"

#include <string.h>

static struct json_object *parse(const char *text)
{
	return text ? json_tokener_parse(text) : NULL;
}

struct json_object *ctl_service_call(struct ctl *ctl, const char *method)
{
	ktls_reset(ctl->k);
	return ktls_call(ctl->k, method) < 0 ? NULL : parse(ktls_get_reply(ctl->k));
}

static void put(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, text ? json_object_new_string(text) : NULL);
}

const char *ctl_who_name(enum ktls_who who)
{
	static const char *const names[] = { "nobody", "caller", "administrator", "peer", "retry",
					     "internal" };

	return (size_t)who < sizeof(names) / sizeof(*names) ? names[who] : "internal";
}

struct json_object *ctl_error(const struct ctl_error *facts)
{
	struct json_object *error = json_object_new_object();

	if (!error)
		return NULL;
	put(error, "name", facts->name);
	put(error, "stage", facts->stage);
	put(error, "message", facts->message);
	put(error, "errno", facts->err ? strerrorname_np(facts->err) : NULL);
	json_object_object_add(error, "retry", json_object_new_boolean(facts->retry));
	put(error, "alert", facts->alert);
	put(error, "x509", facts->x509);
	put(error, "parameter", facts->parameter);
	put(error, "who", ctl_who_name(facts->who));
	json_object_object_add(error, "exitStatus", json_object_new_int((int)facts->who));
	return error;
}

static struct json_object *error_of(const struct ktls *k)
{
	bool lost = ktls_get_status(k) == KTLS_OK; /* there was no memory for the answer */
	enum ktls_status status = lost ? KTLS_LOCAL : ktls_get_status(k);

	return ctl_error(&(struct ctl_error){
		.name = ktls_status_name(status),
		.stage = ktls_get_stage(k),
		.message = lost ? "no memory" : ktls_get_message(k),
		.err = ktls_get_errno(k),
		.retry = ktls_get_retry(k),
		.alert = ktls_get_alert(k),
		.x509 = ktls_get_x509(k),
		.parameter = ktls_get_parameter(k),
		.who = ktls_get_retry(k) ? KTLS_WHO_RETRY : ktls_status_who(status),
	});
}

struct json_object *ctl_service_failure(const struct ktls *k)
{
	struct json_object *document = json_object_new_object();
	struct json_object *told = parse(ktls_get_reply(k)), *trace;

	if (!document)
		return NULL;
	json_object_object_add(document, "error", error_of(k));
	if (json_object_object_get_ex(told, "trace", &trace))
		json_object_object_add(document, "trace", json_object_get(trace));
	json_object_put(told);
	return document;
}
