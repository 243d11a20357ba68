/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#include "proto/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* A path, or a name in the abstract namespace behind an @, which is a NUL there. */
static bool fill_address(struct notify *notify, const char *name)
{
	size_t length = strlen(name);

	if ((*name != '/' && *name != '@') || length < 2 ||
	    length >= sizeof(notify->address.sun_path))
		return false;
	notify->address.sun_family = AF_UNIX;
	memcpy(notify->address.sun_path, name, length + 1);
	if (*name == '@')
		notify->address.sun_path[0] = '\0';
	notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return true;
}

int notify_init(struct notify *notify)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){ .fd = -1, .watchdog = sd_watchdog_enabled(0, NULL) > 0 };
	if (!name || !*name)
		return 0;
	if (!fill_address(notify, name))
		return -EINVAL;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->fd < 0 ? -errno : 0;
}

void notify_deinit(struct notify *notify)
{
	close_fd(&notify->fd);
}

static bool put(const struct notify *notify, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);

	return notify->fd < 0 ||
	       sendto(notify->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (const struct sockaddr *)&notify->address, notify->length) == length;
}

void notify_tell(struct notify *notify, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(notify->owed, sizeof(notify->owed), format, arguments);
	va_end(arguments);
	notify_again(notify);
}

void notify_again(struct notify *notify)
{
	if (notify->owed[0] && put(notify, notify->owed))
		notify->owed[0] = '\0';
}

void notify_alive(const struct notify *notify)
{
	if (notify->watchdog)
		put(notify, "WATCHDOG=1");
}
