/* SPDX-License-Identifier: MIT */
/*
 * A door to the kernel's TLS that says what the test wants, to be preloaded into ktlsd.
 *
 * DOOR names a file of ORDERS_SIZE bytes, filled up with zeros, which is looked at at every call. It
 * is mapped when the door is loaded, for a worker of ktlsd can open nothing, and so is to be
 * overwritten, not replaced. It holds "CALL ERRNO", for example "TLS_TX 16":
 * that call fails with that number and never reaches the kernel. CALL is TCP_ULP, TLS_TX, TLS_RX,
 * or one of these behind "get_": the read-back. Zeros: nothing fails. "TLS_TX 0" and so on:
 * the call says that it succeeded, and has not happened. Sockets that are connected to themselves,
 * or to nobody, with which ktlsd finds out what the kernel can do, are left alone: it may do so
 * anew at any request that comes some time after a refusal.
 *
 * DOOR_FAKE=1: no call reaches the kernel at all; the door remembers keys and shows them again, as
 * a kernel would. It does no TLS: what is handed over then is plain TCP. For runs under sanitizers
 * that a kernel with TLS cannot bear.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#define N_FDS 4096
#define INFO_MAX 64
#define ORDERS_SIZE 64

enum option { ULP, TX, RX, N_OPTIONS };
static const char *const names[N_OPTIONS] = { "TCP_ULP", "TLS_TX", "TLS_RX" };

/* What was set on each descriptor: size 0 is nothing. */
static struct {
	unsigned char bytes[INFO_MAX];
	socklen_t size;
} kept[N_FDS][N_OPTIONS];

static const char *orders;	/* or NULL */

static __attribute__((constructor)) void map_orders(void)
{
	const char *path = getenv("DOOR");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (!path)
		return;
	orders = mmap(NULL, ORDERS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (orders == MAP_FAILED)
		abort();
	close(fd);
}

static int option_of(int level, int name)
{
	if (level == IPPROTO_TCP && name == TCP_ULP)
		return ULP;
	return level == SOL_TLS && (name == 1 || name == 2) ? name : -1;
}

static bool connected_to_a_peer(int fd)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_size = sizeof(own), peer_size = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&own, &own_size) == 0 &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 &&
	       (own_size != peer_size || memcmp(&own, &peer, own_size) != 0);
}

/* Whether this call is to be answered with *error instead of by the kernel. */
static bool wanted(int at, const char *prefix, int option, int *error)
{
	char text[ORDERS_SIZE] = "", call[32], name[32];

	if (!orders || !connected_to_a_peer(at))
		return false;
	memcpy(text, orders, sizeof(text) - 1);
	snprintf(name, sizeof(name), "%s%s", prefix, names[option]);
	return sscanf(text, "%31s %d", call, error) == 2 && strcmp(call, name) == 0;
}

static int fake_set(int fd, int option, const void *value, socklen_t size)
{
	if (fd < 0 || fd >= N_FDS || size > INFO_MAX)
		abort();
	if (option == ULP) {
		struct sockaddr_storage peer;

		if (getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){ sizeof(peer) }) < 0)
			return errno = ENOTCONN, -1;
		memset(kept[fd], 0, sizeof(kept[fd]));
	} else if (!kept[fd][ULP].size) {
		return errno = ENOPROTOOPT, -1;
	}
	memcpy(kept[fd][option].bytes, value, size);
	kept[fd][option].size = size;
	return 0;
}

static int fake_get(int fd, int option, void *value, socklen_t *size)
{
	if (!kept[fd][option].size)
		return errno = EBUSY, -1;
	if (*size > kept[fd][option].size)
		*size = kept[fd][option].size;
	memcpy(value, kept[fd][option].bytes, *size);
	return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
	int option = option_of(level, name), error;

	if (option >= 0 && wanted(fd, "", option, &error))
		return error ? (errno = error, -1) : 0;
	if (option >= 0 && getenv("DOOR_FAKE"))
		return fake_set(fd, option, value, size);
	return real(fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
	int option = option_of(level, name), error;

	if (option >= 0 && wanted(fd, "get_", option, &error))
		return error ? (errno = error, -1) : 0;
	if (option >= 0 && getenv("DOOR_FAKE"))
		return fake_get(fd, option, value, size);
	return real(fd, level, name, value, size);
}
