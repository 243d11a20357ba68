/* SPDX-License-Identifier: MIT */
/* The kernel's counters of TLS, of this network namespace, each with what it means
 * (Documentation/networking/tls.rst). */
#pragma once

#include <json-c/json.h>

#define CTL_TLSSTAT "/proc/net/tls_stat"

/* [{"name": "TlsCurrTxSw", "value": 3, "meaning": "..."}], in the kernel's order; meaning null of one
 * that is not known here. A line that is no name and number is left out. NULL: there is no such file,
 * the kernel's TLS is not loaded. */
struct json_object *ctl_tlsstat(const char *path);
