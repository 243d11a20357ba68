/* SPDX-License-Identifier: MIT */
/* Which cipher suites a server takes: it tells by taking one of those that it is offered. */
#pragma once

#include "client/ctl.h"

#include <json-c/json.h>

#define CTL_PROBE "io.ktlsd.Probe"

/*
 * A row for each suite that a probe has offered: cipher; server, whether it takes it, null if nobody
 * knows; kernel, whether this one does. probed: the answer to CTL_PROBE, which alone tells nothing of
 * the server.
 */
struct json_object *ctl_suites(struct json_object *probed);

/* The same after more probes with the request in ctl->k, each of which offers what nothing is known
 * of yet, until the server refuses; it leaves the request with other ciphers. *error: of a probe that
 * failed otherwise, after which there were no more; NULL: none did. */
struct json_object *ctl_suites_scan(struct ctl *ctl, struct json_object *probed,
				    struct json_object **error);
