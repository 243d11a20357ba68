/* SPDX-License-Identifier: MIT */
#include "daemon/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

bool addresses_from_literal(struct addresses *addresses, const char *host)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct addresses found = { .n = 1 };

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
		memcpy(&found.items[0], &v4, sizeof(v4));
	else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
		memcpy(&found.items[0], &v6, sizeof(v6));
	else
		return false;
	*addresses = found;
	return true;
}

static const struct addrinfo *next_of_family(const struct addrinfo *from, int family, bool same)
{
	while (from && ((from->ai_family == family) != same ||
			from->ai_addrlen > sizeof(struct sockaddr_storage)))
		from = from->ai_next;
	return from;
}

void addresses_from_list(struct addresses *addresses, const struct addrinfo *list)
{
	int family = list ? list->ai_family : AF_UNSPEC;
	const struct addrinfo *next[2] = { next_of_family(list, family, true),
					   next_of_family(list, family, false) };

	*addresses = (struct addresses){ 0 };
	for (unsigned int turn = 0; addresses->n < ADDRESSES_MAX && (next[0] || next[1]);
	     turn ^= 1) {
		if (!next[turn])
			continue;
		memcpy(&addresses->items[addresses->n++], next[turn]->ai_addr,
		       next[turn]->ai_addrlen);
		next[turn] = next_of_family(next[turn]->ai_next, family, turn == 0);
	}
}

bool addresses_valid(const struct addresses *addresses)
{
	if (addresses->n > ADDRESSES_MAX)
		return false;
	for (uint32_t i = 0; i < addresses->n; i++)
		if (!address_length(&addresses->items[i]))
			return false;
	return true;
}

socklen_t address_length(const struct sockaddr_storage *address)
{
	switch (address->ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

/* The port stands at the same place in both (RFC 3493, 3.3, keeps it so). */
void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
			       offsetof(struct sockaddr_in6, sin6_port),
		       "port");
	((struct sockaddr_in *)address)->sin_port = htons(port);
}

void address_format(char text[static ADDRESS_TEXT_MAX], const struct sockaddr_storage *address)
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = address->ss_family == AF_INET6;
	const void *in = v6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
			    : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

	inet_ntop(address->ss_family, in, host, sizeof(host));
	snprintf(text, ADDRESS_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(((const struct sockaddr_in *)address)->sin_port));
}
