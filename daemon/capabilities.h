/* SPDX-License-Identifier: MIT */
/* What can be had here, and by who asks: the answer to GetCapabilities. */
#pragma once

#include "daemon/credentials.h"
#include "daemon/env.h"
#include "proto/report.h"

/*
 * As of now: the kernel is asked anew where a request would have it asked. What is constant in it
 * lives as long as env's configuration does. False: no memory. proto_capabilities_deinit() is due
 * either way.
 */
bool capabilities_fill(struct proto_capabilities *capabilities, struct env *env,
		       const struct credentials *caller);
