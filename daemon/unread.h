/* SPDX-License-Identifier: MIT */
/*
 * What was sent on an AF_UNIX connection and not read lies in the kernel's memory as long as the
 * other side keeps its end, whatever became of this one; and it is charged to who has sent it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The kernel tells of each reading once: who looks after a watch for this has begun, and whenever it
 * is ready, misses nothing. */
#define UNREAD_EVENTS ((uint32_t)(EPOLLOUT | EPOLLET))

/* Whether there is any; of which the kernel knows in whole buffers alone. */
bool unread_any(int fd);
