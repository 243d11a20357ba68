/* SPDX-License-Identifier: MIT */
/* The values of the configuration: from the text behind `Key=` to what the daemon works with. */
#pragma once

#include "daemon/names.h"

#include <stddef.h>

enum value_kind {
	VALUE_FLAG,	/* bool; the words that systemd takes */
	VALUE_ACTION,	/* bool, true: deny; "allow" or "deny" */
	VALUE_COUNT,	/* unsigned int; decimal */
	VALUE_TIME,	/* unsigned int, milliseconds; seconds, or a number with ms, s or min */
	VALUE_PATH,	/* char *; absolute */
	VALUE_UIDS,	/* struct config_ids; like those down to VALUE_NAMES, see config-list.h */
	VALUE_GIDS,
	VALUE_HOSTS,	/* struct config_words; names, also behind "*." */
	VALUE_NETWORKS,	/* struct config_networks */
	VALUE_PORTS,	/* struct config_ports */
	VALUE_NAMES,	/* struct config_words; as they are */
	VALUE_CIPHERS,	/* char *; like all that follow, a list of names that OpenSSL knows */
	VALUE_GROUPS,
	VALUE_SIGALGS,
};

struct value_type {
	enum value_kind kind;
	unsigned int min, max;	/* of paths and lists the length in bytes; of a word nothing */
};

enum value_error { VALUE_OK, VALUE_EMPTY, VALUE_MALFORMED, VALUE_OUT_OF_RANGE, VALUE_NO_MEMORY };

/*
 * Sets *field, freeing what a text held before; on error it stays as it was. names NULL: lists are
 * taken as they are.
 */
enum value_error value_parse(const struct value_type *type, const struct names *names,
			     const char *text, void *field);

/* Frees what the field holds beyond itself. */
void value_free(const struct value_type *type, void *field);

/* What is wrong with the text, for the error that value_parse() gave: "2" is not yes or no. */
void value_explain(const struct value_type *type, const struct names *names, const char *text,
		   enum value_error error, char *to, size_t size);
