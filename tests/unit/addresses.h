/* SPDX-License-Identifier: MIT */
/* Addresses from their text, for tests. */
#pragma once

#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static inline struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage address = { .ss_family = strchr(text, ':') ? AF_INET6 : AF_INET };
	void *to = address.ss_family == AF_INET6 ?
		(void *)&((struct sockaddr_in6 *)&address)->sin6_addr :
		(void *)&((struct sockaddr_in *)&address)->sin_addr;

	assert_int_equal(inet_pton(address.ss_family, text, to), 1);
	return address;
}
