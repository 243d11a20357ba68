/* SPDX-License-Identifier: MIT */
/* A message as json-c's tree, which is whole or is not there. */
#pragma once

#include "proto/message.h"
#include "proto/scan.h"

struct json_object;

/*
 * OK: *tree is the message, an object, and *scan tells of its strings, which may be at fault even
 * so. CLOSE and NO_MEMORY as usual. Give the tree back by json_object_put().
 */
enum proto_decoded proto_tree_read(struct json_object **tree, struct proto_scan *scan,
				   const char *text, size_t length);
