/* SPDX-License-Identifier: MIT */
/*
 * Short messages between processes of the service, over a SOCK_SEQPACKET pair, each with at most
 * one descriptor. Nothing that a caller or peer sent ever goes through one.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Both ends close-on-exec and blocking. 0 or -errno. */
int channel_pair(int *ours, int *theirs);

/* fd -1: none; it stays the caller's. Never waits: -EAGAIN is a channel that is full. 0 or -errno.
 */
int channel_send(int channel, const void *message, size_t size, int fd);

/*
 * The length of the message, 0: the other end is closed, or -errno. Waits unless flags have
 * MSG_DONTWAIT. *fd is the descriptor that came with it, close-on-exec, or -1: none, or there was
 * no place for it. fd NULL: none is expected.
 */
ssize_t channel_receive(int channel, void *message, size_t size, int flags, int *fd);
