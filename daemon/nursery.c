/* SPDX-License-Identifier: MIT */
#include "daemon/nursery.h"

#include "proto/limits.h"
#include "proto/util.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static void resolve(const char *host, struct resolver_answer *answer)
{
	/* Without AI_ADDRCONFIG: it would hide ::1 from a machine that has no other IPv6 address. Addresses that cannot be
	 * reached are sorted last by the C library, and fail at once in the race. */
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	*answer = (struct resolver_answer){ 0 };
	errno = 0;
	answer->gai_error = getaddrinfo(host, NULL, &hints, &list);
	answer->sys_errno = errno;
	if (!answer->gai_error)
		addresses_from_list(&answer->addresses, list);
	if (!answer->gai_error && !answer->addresses.n)
		answer->gai_error = EAI_NONAME;
	if (list)
		freeaddrinfo(list);
}

/*
 * SIGIO ends a process by default. The daemon sends nothing while a look-up is under way, so the only thing that can raise it
 * then is the other end being closed: that is how a resolver stuck in a look-up is killed, with no pid to go stale.
 */
static void die_on_hangup(int sock, bool armed)
{
	fcntl(sock, F_SETFL, armed ? O_ASYNC : 0);
}

static _Noreturn void resolver_main(int sock)
{
	struct resolver_answer answer;
	char host[PROTO_HOST_MAX + 2];
	ssize_t n;

	signal(SIGIO, SIG_DFL);
	fcntl(sock, F_SETOWN, getpid());
	while ((n = recv(sock, host, sizeof(host) - 1, 0)) > 0) {
		host[n] = '\0';
		die_on_hangup(sock, true);
		/* It may have closed before we were armed. */
		if (recv(sock, &answer, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			break;
		resolve(host, &answer);
		die_on_hangup(sock, false);
		if (send(sock, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static int receive_socket(int sock)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(sock, &message, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static void keep_only(int keep)
{
	for (int fd = 0; fd <= STDERR_FILENO && keep <= STDERR_FILENO; fd++)
		keep = fcntl(keep, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close_range(STDERR_FILENO + 1, keep - 1, 0);
	close_range(keep + 1, ~0U, 0);
}

static _Noreturn void nursery_main(int sock)
{
	int child;

	prctl(PR_SET_NAME, "ktlsd-nursery");
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	signal(SIGTERM, SIG_IGN); /* a stop of the whole group is told by the daemon's end closing */
	signal(SIGINT, SIG_IGN);
	while ((child = receive_socket(sock)) >= 0) {
		if (fork() == 0) {
			close(sock);
			prctl(PR_SET_NAME, "ktlsd-resolver");
			signal(SIGTERM, SIG_DFL);
			resolver_main(child);
		}
		close(child);
	}
	_exit(0);
}

int nursery_start(pid_t *pid)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	*pid = fork();
	if (*pid < 0)
		return -errno;
	if (*pid == 0) {
		keep_only(theirs);
		nursery_main(theirs);
	}
	return steal_fd(&ours);
}

static int send_socket(int nursery, int fd)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { .iov_base = &(char){ 0 }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
					  .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	return sendmsg(nursery, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int nursery_fork(int nursery)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = send_socket(nursery, theirs);
	return r < 0 ? r : steal_fd(&ours);
}
