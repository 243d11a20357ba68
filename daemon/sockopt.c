/* SPDX-License-Identifier: MIT */
#include "daemon/sockopt.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void socket_set_no_delay(int fd, bool on)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ on }, sizeof(int));
}

int socket_prepare_hand_over(int fd, const struct config *config)
{
	int flags = fcntl(fd, F_GETFL);

	socket_set_no_delay(fd, config->service.tcp_no_delay);
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ config->service.tcp_keepalive },
		       sizeof(int)) < 0)
		return -1;
	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
