/* SPDX-License-Identifier: MIT */
#include "daemon/channel.h"

#include "proto/util.h"

#include <string.h>
#include <sys/socket.h>

/* What one descriptor takes. The padding would hold a second one, but for the length told. */
union control {
	char buffer[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int channel_pair(int *ours, int *theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

int channel_send(int channel, const void *message, size_t size, int fd)
{
	union control control = { { 0 } };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	return sendmsg(channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t channel_receive(int channel, void *message, size_t size, int flags, int *fd)
{
	union control control;
	struct iovec iov = { .iov_base = message, .iov_len = size };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *rights;
	ssize_t n;

	if (fd) {
		*fd = -1;
		header.msg_control = &control;
		header.msg_controllen = CMSG_LEN(sizeof(int));
	}
	n = recvmsg(channel, &header, flags | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	rights = fd ? CMSG_FIRSTHDR(&header) : NULL;
	if (rights && rights->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(rights), sizeof(*fd));
	return n;
}
