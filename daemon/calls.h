/* SPDX-License-Identifier: MIT */
/* What is asked for on a caller's connection: a call is decoded, carried out and answered. */
#pragma once

#include "daemon/peer.h"

/* One message. A request is under way afterwards, or there is an answer to be sent, or neither. */
void calls_begin(struct peer *peer, const char *text, size_t length);
/* The end of the request, once its reply is out or never will be. */
void calls_conclude(struct peer *peer, bool delivered);
/* The end of it in any case, now. */
void calls_cancel(struct peer *peer);
/* Puts an error into the writer, which must be idle. */
void calls_refuse(struct peer *peer, const struct proto_status *status);
