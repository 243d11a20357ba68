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

/* "caller", "administrator" and so on, as in that document. */
const char *ctl_who_name(enum ktls_who who);
