/* SPDX-License-Identifier: MIT */
#include "daemon/credentials.h"

#include "proto/util.h"

#include <limits.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Enough for nearly everybody; others take a second question. */
#define GROUPS_FIRST 32

static int read_user(struct credentials *c, int fd)
{
	struct ucred user;
	socklen_t length = sizeof(user);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &length) < 0)
		return -errno;
	c->uid = user.uid;
	c->gid = user.gid;
	return 0;
}

/* Where there are more groups than room, ERANGE comes with how much room they need. */
static int read_groups(struct credentials *c, int fd)
{
	socklen_t length = GROUPS_FIRST * sizeof(gid_t);

	while (length <= NGROUPS_MAX * sizeof(gid_t)) {
		_cleanup_free_ gid_t *groups = malloc(length + sizeof(gid_t));
		socklen_t room = length;

		if (!groups)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0) {
			c->groups = steal_ptr(&groups);
			c->n_groups = length / sizeof(gid_t);
			return 0;
		}
		if (errno != ERANGE || length <= room)
			return -errno;
	}
	return -E2BIG;
}

/* 0: the kernel does not tell. */
static int read_cookie(int fd, uint64_t *cookie)
{
	socklen_t length = sizeof(*cookie);

	*cookie = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length) < 0)
		return errno == ENOPROTOOPT ? 0 : -errno;
	return 0;
}

/* An accepted AF_UNIX socket is of the network namespace in which its other end was made. */
static int read_namespace(struct credentials *c, int fd)
{
	_cleanup_fd_ int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	uint64_t theirs = 0, ours = 0;
	int r = own < 0 ? -errno : read_cookie(fd, &theirs);

	if (r == 0)
		r = read_cookie(own, &ours);
	if (r < 0)
		return r;
	if (theirs && ours)
		c->namespace = theirs == ours ? NAMESPACE_OURS : NAMESPACE_OTHER;
	return 0;
}

int credentials_read(struct credentials *c, int fd)
{
	int r;

	*c = (struct credentials){
		.uid = (uid_t)-1, .gid = (gid_t)-1, .namespace = NAMESPACE_UNKNOWN,
	};
	r = read_user(c, fd);
	if (r == 0)
		r = read_groups(c, fd);
	if (r == 0)
		r = read_namespace(c, fd);
	return r;
}

void credentials_deinit(struct credentials *c)
{
	free_pointer(&c->groups);
	c->n_groups = 0;
}
