/* SPDX-License-Identifier: MIT */
/* Known faults of the kernel's TLS, and whether this kernel has them. */
#pragma once

#include <json-c/json_object.h>
#include <sys/utsname.h>

/*
 * An array: name, what, and
 *
 *	state		"affected"; "fixed", this version has it no more; "absent", or not yet;
 *			"unknown": a series of which nobody has said since when, or no version at all
 *	by		"behaviour": it was tried on loopback; "version": where that cannot be, and
 *			proves nothing of a kernel to which its distributor adds mends of his own
 *	fixed		the first versions without it: "6.1.153", "6.12.48", "6.17"
 *
 * trial: a document of ctl_trial(); NULL: there is none, and all goes by version. NULL: no memory.
 */
struct json_object *ctl_faults(struct json_object *trial, const struct utsname *kernel);
