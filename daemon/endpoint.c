/* SPDX-License-Identifier: MIT */
#include "daemon/endpoint.h"

#include "proto/util.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

static int refuse(struct log *log, const char *path, int sys_errno, const char *what)
{
	log_line(log, LOG_ERR, "%s: %s: %s", path, what, strerror(sys_errno));
	return -1;
}

static int from_systemd(int n, struct log *log)
{
	int fd = SD_LISTEN_FDS_START;

	if (n != 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
		log_line(
			log, LOG_ERR,
			"one listening AF_UNIX stream socket is expected from the service manager");
		return -1;
	}
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return refuse(log, "socket from the service manager", errno,
			      "cannot be made non-blocking");
	return fd;
}

/* 0: nobody listens at this address; or EADDRINUSE, or why that could not be found out. */
static int check_free(const struct sockaddr_un *address)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return errno;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return ENOTSOCK;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return EADDRINUSE;
	if (errno != ECONNREFUSED)
		return errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? errno : 0;
}

/*
 * The socket is made 0600 and given away only then, so that there is no moment at which the wrong
 * people may connect. Who else may write to its directory can put a link in its place: that is not
 * followed.
 */
static void open_to_group(const char *path, struct log *log)
{
	const struct group *group = getgrnam(ENDPOINT_GROUP);

	if (!group)
		return;
	if (fchownat(AT_FDCWD, path, -1, group->gr_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(AT_FDCWD, path, 0660, AT_SYMLINK_NOFOLLOW) < 0)
		log_line(log, LOG_WARNING,
			 "%s: cannot be given to group %s, so it stays with its owner: %s", path,
			 ENDPOINT_GROUP, strerror(errno));
}

static int listen_at(const char *path, struct log *log)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t kept;
	int r;

	if (fd < 0)
		return refuse(log, path, errno, "no socket");
	/* An empty one would be an address in the abstract namespace, which has no mode (unix(7)).
	 */
	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return refuse(log, path, *path ? ENAMETOOLONG : ENOENT, "no path for a socket");
	strcpy(address.sun_path, path);
	r = check_free(&address);
	if (r)
		return refuse(log, path, r,
			      r == EADDRINUSE ? "somebody serves it" : "is in the way");
	kept = umask(0177);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(kept);
	if (r < 0)
		return refuse(log, path, errno,
			      errno == ENOENT ? "its directory is not there" : "cannot be made");
	if (listen(fd, ENDPOINT_BACKLOG) < 0)
		return refuse(log, path, errno, "cannot be listened on");
	open_to_group(path, log);
	return steal_fd(&fd);
}

int endpoint_open(const char *path, struct log *log)
{
	int n = sd_listen_fds(1);

	if (n != 0)
		return from_systemd(n, log);
	if (path)
		return listen_at(path, log);
	/* Whatever the umask: whether somebody may connect is the socket's matter. */
	if (mkdir(ENDPOINT_DIRECTORY, 0755) == 0)
		chmod(ENDPOINT_DIRECTORY, 0755);
	else if (errno != EEXIST)
		return refuse(log, ENDPOINT_DIRECTORY, errno, "cannot be made");
	return listen_at(ENDPOINT_DEFAULT, log);
}
