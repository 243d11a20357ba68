/* SPDX-License-Identifier: MIT */
/* From a tree to a C struct, by the rows of its schema. */
#pragma once

#include "proto/schema.h"

struct json_object;

/*
 * A caller's message is held to its schema: what is unknown, of the wrong type or out of range is
 * REFUSED, *status naming it by its path. A service's (lenient) is read for what is known: unknown
 * members and words are passed over, texts are cut; what is required must be there all the same.
 * No object (NULL) is an empty one. Other than on OK, base holds what was read so far:
 * proto_schema_free() it.
 */
enum proto_decoded proto_decode(const struct proto_schema *schema, void *base,
				struct json_object *object, bool lenient,
				struct proto_status *status);
