/* SPDX-License-Identifier: MIT */
#include "client/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */

/* As env(1) and the shell have it. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* The same description as descriptor to, which survives an exec. */
static int place(int fd, int to)
{
	if (fd == to)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, to);
}

static int place_all(const struct ctl *ctl, int sock)
{
	if (place(sock, LISTEN_FDS_START) < 0)
		return -1;
	if (!ctl->stdio)
		return 0;
	return place(sock, STDIN_FILENO) < 0 || place(sock, STDOUT_FILENO) < 0 ? -1 : 0;
}

static int set_environment(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return setenv("LISTEN_FDS", "1", 1) || setenv("LISTEN_PID", pid, 1) ||
			       setenv("LISTEN_FDNAMES", "ktls", 1)
		       ? -1
		       : 0;
}

int ctl_exec(const struct ctl *ctl, int sock)
{
	int err;

	if (place_all(ctl, sock) == 0 && set_environment() == 0)
		execvp(ctl->command[0], ctl->command);
	err = errno;
	fprintf(stderr, "ktlsctl: command: cannot run %s: %s\n", ctl->command[0], strerror(err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
