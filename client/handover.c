/* SPDX-License-Identifier: MIT */
#include "client/internal.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_tcp(int fd, handover_getsockopt get)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return get(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_TCP;
}

static bool has_tls(int fd, handover_getsockopt get)
{
	char name[16] = "";
	socklen_t length = sizeof(name) - 1;

	return get(fd, IPPROTO_TCP, TCP_ULP, name, &length) == 0 && strcmp(name, "tls") == 0;
}

/* Version and cipher alone: with this short a length the kernel keeps the keys to itself. */
static bool has_direction(int fd, handover_getsockopt get, int direction,
			  struct tls_crypto_info *info)
{
	socklen_t length = sizeof(*info);

	return get(fd, SOL_TLS, direction, info, &length) == 0 && info->version &&
	       info->cipher_type;
}

int handover_check(int fd, handover_getsockopt get, const char **why)
{
	struct tls_crypto_info tx = { 0 }, rx = { 0 };

	errno = 0;
	if (!is_tcp(fd, get))
		*why = "it is no TCP socket";
	else if (!has_tls(fd, get))
		*why = "the kernel does no TLS on it";
	else if (!has_direction(fd, get, TLS_TX, &tx))
		*why = "nothing encrypts what is written to it";
	else if (!has_direction(fd, get, TLS_RX, &rx))
		*why = "nothing decrypts what is read from it";
	else if (memcmp(&tx, &rx, sizeof(tx)) != 0)
		*why = "its two directions differ";
	else
		return 0;
	return -1;
}
