/* SPDX-License-Identifier: MIT */
/* What the service tells, as a document. */
#pragma once

#include "client/ctl.h"

#include <json-c/json.h>

/* The method's answer. NULL: it failed, and ctl->k tells how; the handle may be used again. */
struct json_object *ctl_service_call(struct ctl *ctl, const char *method);

/*
 * What came of a call that failed: {"error": {"name": "ConnectFailed", "stage": ..., "message": ...,
 * "errno": null or its name, "retry": ..., "alert": ..., "x509": ..., "who": "peer", "exitStatus": 3}}, and "trace" beside
 * it where the service sent one. NULL: no memory.
 */
struct json_object *ctl_service_failure(const struct ktls *k);

/* The object "error" of that, or of what failed without a service. NULL: no memory. */
struct ctl_error {
	const char *name, *stage, *message; /* NULL: null */
	int err; /* 0: null */
	bool retry;
	const char *alert, *x509, *parameter;
	enum ktls_who who;
};
struct json_object *ctl_error(const struct ctl_error *facts);

/* "caller", "administrator" and so on, as in that document. */
const char *ctl_who_name(enum ktls_who who);
