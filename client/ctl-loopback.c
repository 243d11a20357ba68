/* SPDX-License-Identifier: MIT */
#include "client/ctl-loopback.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { TYPE = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK };

void loopback_close(struct loopback *ends)
{
	for (int i = 0; i < 2; i++) {
		if (ends->fd[i] >= 0)
			close(ends->fd[i]);
		ends->fd[i] = -1;
	}
}

int loopback_wait(int fd, short events, int patience_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&poll_fd, 1, patience_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n < 0 ? -errno : -ETIMEDOUT;
}

static socklen_t loopback_address(int family, struct sockaddr_storage *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	memset(address, 0, sizeof(*address));
	if (family == AF_INET)
		memcpy(address, &in, sizeof(in));
	else
		memcpy(address, &in6, sizeof(in6));
	return family == AF_INET ? sizeof(in) : sizeof(in6);
}

/* Anybody may connect to a listener on loopback: none but our own end is taken. */
static int accept_own(int listener, int own, int patience_ms)
{
	struct sockaddr_storage wanted = { 0 }, got;
	socklen_t size = sizeof(wanted);
	int error = getsockname(own, (struct sockaddr *)&wanted, &size) < 0 ? -errno : 0, fd;

	for (int strangers = 0; !error && strangers < 8; strangers++) {
		error = loopback_wait(listener, POLLIN, patience_ms);
		if (error)
			break;
		memset(&got, 0, sizeof(got));
		size = sizeof(got);
		fd = accept4(listener, (struct sockaddr *)&got, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0 && memcmp(&got, &wanted, sizeof(got)) == 0)
			return fd;
		error = fd < 0 && errno != ECONNABORTED ? -errno : 0;
		if (fd >= 0)
			close(fd);
	}
	return error ? error : -ECONNABORTED;
}

static int connect_own(int own, const struct sockaddr_storage *address, socklen_t size, int listener,
		       int patience_ms)
{
	int fd;

	if (connect(own, (const struct sockaddr *)address, size) < 0 && errno != EINPROGRESS)
		return -errno;
	fd = accept_own(listener, own, patience_ms);
	if (fd >= 0 && loopback_wait(own, POLLOUT, patience_ms) < 0) {
		close(fd);
		return -ETIMEDOUT;
	}
	return fd;
}

/* The end that was connected to, or -errno; the other one is *own. */
static int connect_family(int family, int *own, int patience_ms)
{
	struct sockaddr_storage address;
	socklen_t size = loopback_address(family, &address);
	LOOPBACK(pair);
	int fd;

	pair.fd[0] = socket(family, TYPE, IPPROTO_TCP);
	if (pair.fd[0] < 0 || bind(pair.fd[0], (struct sockaddr *)&address, size) < 0 ||
	    listen(pair.fd[0], 8) < 0 ||
	    getsockname(pair.fd[0], (struct sockaddr *)&address, &size) < 0)
		return -errno;
	pair.fd[1] = socket(family, TYPE, IPPROTO_TCP);
	if (pair.fd[1] < 0)
		return -errno;
	fd = connect_own(pair.fd[1], &address, size, pair.fd[0], patience_ms);
	if (fd < 0)
		return fd;
	*own = pair.fd[1];
	pair.fd[1] = -1;
	return fd;
}

int loopback_connect(struct loopback *ends, int patience_ms)
{
	int fd = connect_family(AF_INET, &ends->fd[0], patience_ms), fd6;

	if (fd < 0 && fd != -ETIMEDOUT) {
		fd6 = connect_family(AF_INET6, &ends->fd[0], patience_ms);
		fd = fd6 >= 0 ? fd6 : fd;
	}
	ends->fd[1] = fd;
	return fd < 0 ? fd : 0;
}
