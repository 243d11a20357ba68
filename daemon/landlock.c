/* SPDX-License-Identifier: MIT */
#include "daemon/landlock.h"

#include "daemon/sanitizer.h"
#include "proto/util.h"

#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Of ABIs that are younger than the header, which may be that of 6.1 (ABI 2). */
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_TCP (1ULL << 0)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)
#define RULE_NET_PORT 2

/* Of ABI 1: execute, write, read, read a directory, remove two kinds and make seven. */
#define FS_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

/* Of those, what reports of a sanitizer are made with. */
#define FS_SPARED \
	(ADDRESS_SANITIZER ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR : 0)

/* The kernel's struct landlock_ruleset_attr as of ABI 6. Older ones take what is longer than they
 * know, as long as the rest is zero. */
struct ruleset {
	uint64_t fs, net, scoped;
};

/* The kernel's struct landlock_net_port_attr. */
struct net_port {
	uint64_t access, port;
};

/* What each ABI has brought. */
static const struct {
	int abi;
	struct ruleset rights;
} news[] = {
	{ 1, { .fs = FS_FIRST & ~FS_SPARED } },
	{ 2, { .fs = LANDLOCK_ACCESS_FS_REFER } },
	{ 3, { .fs = FS_TRUNCATE } },
	{ 4, { .net = NET_BIND_TCP } },
	{ 5, { .fs = FS_IOCTL_DEV } },
	{ 6, { .scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } },
};

static struct ruleset rights_of(int abi)
{
	struct ruleset all = { 0 };

	for (size_t i = 0; i < array_size(news) && news[i].abi <= abi; i++) {
		all.fs |= news[i].rights.fs;
		all.net |= news[i].rights.net;
		all.scoped |= news[i].rights.scoped;
	}
	return all;
}

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int known = news[array_size(news) - 1].abi;

	return abi < 0 ? 0 : abi < known ? (int)abi : known;
}

/* A port that the kernel chooses (bind(2) to 0) is what the trial on loopback is made with
 * (kernel.c). It is the only exception there is. */
static int spare_port_0(int ruleset)
{
	const struct net_port any = { NET_BIND_TCP, 0 };

	return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &any, 0);
}

int landlock_enter(void)
{
	const struct ruleset all = rights_of(landlock_abi());
	_cleanup_fd_ int fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);

	if (fd < 0 || (all.net && spare_port_0(fd) < 0) ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return -errno;
	return 0;
}
