/* SPDX-License-Identifier: MIT */
/* The kernel's TLS on a connection that has just been made, before the first byte of a handshake. */
#pragma once

#include "daemon/env.h"

/*
 * That early because a peer that sends its FIN right behind the handshake would leave the socket in
 * CLOSE_WAIT, in which the kernel refuses the ULP; and a kernel that refuses it for another cause
 * need not see a handshake. PROTO_OK, or *status: KERNEL_TLS_UNAVAILABLE, of which env knows then; or
 * HANDSHAKE_FAILED: the peer has left already.
 */
enum proto_error attach_kernel(int fd, struct env *env, struct proto_status *status);
