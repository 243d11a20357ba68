/* SPDX-License-Identifier: MIT */
/* What a probe tells beside the session: what was offered, and what of it a kernel takes. */
#pragma once

#include "daemon/handshake.h"
#include "daemon/kernel.h"

/* The names of suites; of those that the kernel takes, unless it is NULL. False: no memory, also where
 * suites are NULL. */
bool survey_list(struct proto_strings *names, const STACK_OF(SSL_CIPHER) *suites,
		 const struct kernel *kernel);
/* Of a session before its handshake, the lists. False: no memory; deinitialise it all the same. */
bool survey_offer(struct proto_probe *probe, SSL *ssl, const struct kernel *kernel);
/* Of a handshake that is done, whether its session could go to the kernel, for either io: both want
 * TLS 1.2. */
bool survey_session(const struct handshake *handshake, const struct kernel *kernel);
