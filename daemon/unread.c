/* SPDX-License-Identifier: MIT */
#include "daemon/unread.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* The kernel wakes whoever waits before it takes the last byte off its account, and a buffer is
 * larger than that. */
bool unread_any(int fd)
{
	int unread = 0;

	return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 1;
}
