/* SPDX-License-Identifier: MIT */
/* The addresses of a host, in the order in which they are to be tried. */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* A race in which the ninth address wins is a host that is down: each attempt costs a descriptor
 * and a packet. */
#define ADDRESSES_MAX 8

/* "[" IPv6 "]:" port, for log and reply */
#define ADDRESS_TEXT_MAX 64

struct addresses {
	struct sockaddr_storage items[ADDRESSES_MAX];
	uint32_t n;
};

/* Whether host is an IPv4 or IPv6 address in its one canonical text form (inet_pton(3)); then it is
 * the one address. */
bool addresses_from_literal(struct addresses *addresses, const char *host);

/*
 * The resolver's answer, in its order of preference (RFC 6724), the two families taken in turn
 * beginning with that of the first (RFC 8305, section 4).
 */
void addresses_from_list(struct addresses *addresses, const struct addrinfo *list);

/* Whether this is something that addresses_from_list() could have made. */
bool addresses_valid(const struct addresses *addresses);

socklen_t address_length(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);
void address_format(char text[static ADDRESS_TEXT_MAX], const struct sockaddr_storage *address);
