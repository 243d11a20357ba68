/* SPDX-License-Identifier: MIT */
/* Networks, as access rules name them, and whether an address is in one, however it is written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* With bits 32 or 128 it is an address alone. */
struct network {
	sa_family_t family;
	unsigned int bits;	/* of the prefix */
	uint8_t address[16];	/* of AF_INET the first four bytes */
};

/* An address, and what else it says: itself comes first. An IPv4-mapped one is IPv4. */
#define NETWORK_VIEWS_MAX 6
struct network_views {
	struct network items[NETWORK_VIEWS_MAX];
	size_t n;
};

/* "192.0.2.0/24", "2001:db8::1"; an IPv4-mapped prefix of 96 bits and more is IPv4's. */
bool network_parse(struct network *network, const char *text);

/* What a word stands for, as texts with blanks between them; NULL: it is none. */
const char *network_word(const char *word);

/*
 * All views of an address of AF_INET or AF_INET6: itself, and every IPv4 address that it carries
 * to a translator or the far end of a tunnel. A translator whose prefix is the network's own
 * (RFC 6052, 2.2) cannot be seen.
 */
void network_views(struct network_views *views, const struct sockaddr_storage *address);

/* Whether one of the first n_views is in one of the networks. */
bool network_among(const struct network *networks, size_t n, const struct network_views *views,
		   size_t n_views);
