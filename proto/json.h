/* SPDX-License-Identifier: MIT */
/* JSON on its way out: a text that grows, and that is either whole or NULL in the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a run of ASCII that stands for itself in a JSON string ends. */
const char *proto_json_plain_end(const char *at, const char *end);

/* 0 to 15; -1: c is no hexadecimal digit. */
int proto_hex_digit(char c);

struct proto_json {
	char *text;
	size_t length, size;
	bool failed;	/* no memory; what comes after is let fall */
};

/* As it stands: punctuation, names that need no escape. */
void proto_json_raw(struct proto_json *json, const char *text);
void proto_json_number(struct proto_json *json, uint64_t number);
/* Quoted and escaped; NULL is null. */
void proto_json_string(struct proto_json *json, const char *text);
/* `"name":`, behind a comma unless it is the first of its object. */
void proto_json_name(struct proto_json *json, const char *name);
/* The text (malloc), ended by a NUL that *length counts not; NULL: no memory. */
char *proto_json_finish(struct proto_json *json, size_t *length);
