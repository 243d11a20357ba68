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
static bool leads_to_journal(const struct stat *st)
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
	log->is_journal = leads_to_journal(&st);
	if (log->is_journal)
		journal_init(&log->journal, JOURNAL_SOCKET);
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
	if (log->is_journal)
		journal_deinit(&log->journal);
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

/* What is to be logged, its text as it was formatted. */
struct line {
	int priority;
	const char *message_id;
	const struct log_field *fields;
	size_t n;
	const char *text;
};

static bool put_text(const struct log *log, const struct line *line)
{
	char text[LOG_LINE_MAX];
	size_t length = 0;

	if (log->is_journal)
		length = snprintf(text, sizeof(text), "<%d>", LOG_PRI(line->priority));
	proto_escape(text + length, sizeof(text) - length - 1, line->text);
	length += strlen(text + length);
	text[length++] = '\n';
	return put(log, text, length);
}

static void add(struct journal_entry *entry, const char *name, const char *value)
{
	char safe[LOG_VALUE_MAX + 1];

	if (!value || !*value)
		return;
	proto_escape(safe, sizeof(safe), value);
	journal_add(entry, name, safe);
}

static bool put_entry(const struct log *log, const struct line *line)
{
	struct journal_entry entry;
	char priority[] = { '0' + LOG_PRI(line->priority), '\0' }, text[LOG_LINE_MAX];

	entry.n = 0;
	proto_escape(text, sizeof(text), line->text);
	journal_add(&entry, "MESSAGE", text);
	add(&entry, "PRIORITY", priority);
	add(&entry, "SYSLOG_IDENTIFIER", "ktlsd");
	add(&entry, "MESSAGE_ID", line->message_id);
	for (size_t i = 0; i < line->n; i++)
		add(&entry, line->fields[i].name, line->fields[i].value);
	return journal_send(&log->journal, &entry);
}

static bool put_line(const struct log *log, const struct line *line)
{
	return (log->is_journal && put_entry(log, line)) || put_text(log, line);
}

static bool tell_dropped(struct log *log)
{
	char text[80];

	if (!log->dropped)
		return true;
	snprintf(text, sizeof(text), "%lu lines of this log are lost: nobody took them",
		 log->dropped);
	if (!put_line(log, &(struct line){ .priority = LOG_WARNING, .text = text }))
		return false;
	log->dropped = 0;
	return true;
}

/* The line's text is made here; what is cut will be cut, and marked so, when it is escaped. */
__attribute__((format(printf, 3, 0)))
static void write_line(struct log *log, struct line line, const char *format, va_list args)
{
	char text[LOG_LINE_MAX + 1];
	int kept = errno;

	vsnprintf(text, sizeof(text), format, args);
	line.text = text;
	if (!tell_dropped(log) || !put_line(log, &line))
		log->dropped++;
	errno = kept;
}

void log_line(struct log *log, int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(log, (struct line){ .priority = priority }, format, args);
	va_end(args);
}

void log_record(struct log *log, int priority, const char *message_id,
		const struct log_field *fields, size_t n, const char *format, ...)
{
	struct line line = {
		.priority = priority, .message_id = message_id, .fields = fields, .n = n
	};
	va_list args;

	va_start(args, format);
	write_line(log, line, format, args);
	va_end(args);
}
