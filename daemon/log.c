/* SPDX-License-Identifier: MIT */
#include "daemon/log.h"

#include "proto/status.h"
#include "proto/util.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line must fit into one write to a pipe");

/* JOURNAL_STREAM is inherited, wherever stderr went in between: it must name this very file. */
static bool is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	char end;

	return stream && sscanf(stream, "%ju:%ju%c", &device, &inode, &end) == 2 &&
	       device == st->st_dev && inode == st->st_ino;
}

/*
 * O_NONBLOCK belongs to the open file, which we share with whoever started us, so it is not ours to
 * set. A pipe or a terminal can be opened anew, though, for a description of our own. Where that is
 * refused, poll() before write() has to do: only another writer of the same pipe can come between.
 */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void log_init(struct log *log, int fd)
{
	struct stat st;

	*log = (struct log){ .fd = -1 };
	if (fstat(fd, &st) < 0)
		return;
	log->fd = fd;
	log->journal = is_journal(&st);
	log->is_socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return;
	fd = reopen(fd);
	if (fd < 0)
		return;
	log->fd = fd;
	log->own_fd = true;
}

void log_deinit(struct log *log)
{
	if (log->own_fd)
		close_fd(&log->fd);
	*log = (struct log){ .fd = -1 };
}

static bool has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* POLLERR is a pipe that nobody reads any more: SIGPIPE, if we wrote. */
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR)) == POLLOUT;
}

static bool put(const struct log *log, const char *line, size_t length)
{
	ssize_t n;

	if (log->is_socket)
		n = send(log->fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (has_room(log->fd))
		n = write(log->fd, line, length);
	else
		n = -1;
	return n == (ssize_t)length;
}

static bool put_text(const struct log *log, int priority, const char *text)
{
	char line[LOG_LINE_MAX];
	size_t length = 0;

	if (log->journal)
		length = snprintf(line, sizeof(line), "<%d>", LOG_PRI(priority));
	proto_escape(line + length, sizeof(line) - length - 1, text);
	length += strlen(line + length);
	line[length++] = '\n';
	return put(log, line, length);
}

static bool tell_dropped(struct log *log)
{
	char text[80];

	if (!log->dropped)
		return true;
	snprintf(text, sizeof(text), "%lu lines of this log are lost: nobody took them",
		 log->dropped);
	if (!put_text(log, LOG_WARNING, text))
		return false;
	log->dropped = 0;
	return true;
}

void log_line(struct log *log, int priority, const char *format, ...)
{
	char text[LOG_LINE_MAX + 1];	/* what is cut here will be cut, and marked so, there */
	int kept = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!tell_dropped(log) || !put_text(log, priority, text))
		log->dropped++;
	errno = kept;
}
