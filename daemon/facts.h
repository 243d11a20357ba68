/* SPDX-License-Identifier: MIT */
/* What was negotiated, and with whom, as a reply tells it. */
#pragma once

#include "proto/message.h"

#include <openssl/ssl.h>

/* Of a session that stands: version, cipher, kernel_cipher, group, alpn, peer_*, resumed. */
void facts_fill(struct proto_session *session, SSL *ssl);
