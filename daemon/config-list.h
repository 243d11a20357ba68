/* SPDX-License-Identifier: MIT */
/* Values of the configuration that are words with blanks between them, each of which is judged. */
#pragma once

#include "daemon/config-value.h"
#include "daemon/network.h"

#include <stdint.h>

/* All of one shape, so that one function reads them all. */
struct config_ids {
	unsigned int *items;
	size_t n;
};

struct config_words {
	char **items;
	size_t n;
};

struct config_networks {
	struct network *items;
	size_t n;
};

struct config_ports {
	struct config_port_range {
		uint16_t first, last;
	} *items;
	size_t n;
};

/*
 * Sets *field, one of the above as the kind wants it, and frees what it held; on error it stays as
 * it was. MALFORMED: *wrong (malloc, or NULL: no memory) says which word is wrong, and how.
 */
enum value_error config_list_parse(enum value_kind kind, const char *text, void *field,
				   char **wrong);
void config_list_free(enum value_kind kind, void *field);

/* Whether a pattern of Hosts=, "example.org" or "*.example.org", has this name. */
bool config_host_matches(const char *pattern, const char *host);
