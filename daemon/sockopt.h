/* SPDX-License-Identifier: MIT */
/* The options of a TCP socket, for the handshake and for the program that gets it. */
#pragma once

#include "daemon/config.h"

void socket_set_no_delay(int fd, bool on);

/* As the caller is to have it: blocking, TCP_NODELAY and SO_KEEPALIVE as the configuration says. 0,
 * or -1 and errno. */
int socket_prepare_hand_over(int fd, const struct config *config);
