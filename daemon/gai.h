/* SPDX-License-Identifier: MIT */
/* What getaddrinfo(3) says when it finds nothing, for the caller who asked for the name. */
#pragma once

#include "daemon/resolver.h"
#include "proto/status.h"

/* Of a lookup that has failed: RESOLVE_FAILED, or INTERNAL_ERROR where it got no answer at all. */
void gai_explain(const struct lookup *lookup, struct proto_status *status);
