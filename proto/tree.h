/* SPDX-License-Identifier: MIT */
/* A message as json-c's tree, which is whole or is not there. */
#pragma once

#include "proto/message.h"
#include "proto/scan.h"

struct json_object;

/*
 * OK: *tree is the message, an object, and *scan tells of its strings, which may be at fault even
 * so. CLOSE and NO_MEMORY as usual. members_max: PROTO_MEMBERS_MAX for a call, and for a reply
 * PROTO_REPLY_MEMBERS_MAX or PROTO_REPORT_MEMBERS_MAX. Give the tree back by json_object_put().
 */
enum proto_decoded proto_tree_read(struct json_object **tree, struct proto_scan *scan,
				   const char *text, size_t length, size_t members_max);

/* A part of a tree that was read without a fault, as text (malloc); NULL: no memory. */
char *proto_tree_text(struct json_object *value);
