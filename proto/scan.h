/* SPDX-License-Identifier: MIT */
/*
 * A look at a message before anything is built from it: is it one JSON object (RFC 8259, to the
 * letter), within the limits of nesting and members, and are its strings fit to be C strings? It
 * takes time linear in the message and no heap, whatever the message is.
 *
 * Why not leave this to json-c: it also takes 'x', NaN, lone surrogates and doubled keys, gives
 * "a\u0000b" as "a", and makes 4 MB of 16 KiB of [{},{},...] before anyone can look.
 */
#pragma once

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>

struct proto_scan {
	const char *fault;	/* NULL, or what is wrong with a string or key, the first of them */
	char path[64];		/* where: "trust.pins", within "parameters"; escaped and cut */
	size_t members;		/* object members and array elements of the whole message */
	size_t text;		/* bytes of all keys and strings, escapes undone */
};

/* False: this is no JSON object, or over a limit; *scan is then of no use. */
bool proto_scan(struct proto_scan *scan, const char *text, size_t length, size_t members_max);
