/* SPDX-License-Identifier: MIT */
#include "daemon/attach.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel wants a connection that stands, and says ENOTCONN to one that the peer has left
 * already. */
static bool peer_has_left(int fd, int sys_errno)
{
	struct tcp_info info = { .tcpi_state = TCP_ESTABLISHED };
	socklen_t length = sizeof(info);

	return sys_errno == ENOTCONN && getsockopt(fd, SOL_TCP, TCP_INFO, &info, &length) == 0 &&
	       info.tcpi_state != TCP_ESTABLISHED;
}

/* Where a restart brings the kernel's module back, the caller is to come again. */
static void note_refusal(struct env *env, struct proto_status *status)
{
	env->kernel_changed = true;
	if (status->sys_errno != ENOENT || !env->on_kernel_lost)
		return;
	status->retry = true;
	env->on_kernel_lost(env);
}

enum proto_error attach_kernel(int fd, struct env *env, struct proto_status *status)
{
	enum proto_error attached = kernel_attach(fd, status);
	int error = 0;
	socklen_t length = sizeof(error);

	if (attached == PROTO_OK)
		return PROTO_OK;
	if (!peer_has_left(fd, status->sys_errno)) {
		note_refusal(env, status);
		return attached;
	}
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, error,
				"the peer closed the connection before the handshake%s%s",
				error ? ": " : "", error ? strerror(error) : "");
}
