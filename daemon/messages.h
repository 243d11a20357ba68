/* SPDX-License-Identifier: MIT */
/*
 * Watches the peer's handshake messages go by in the clear (RFC 5246, 7.4) and counts the
 * certificates in them. OpenSSL makes an object of each, at 0.1 ms apiece, before it asks anybody:
 * a hundred of them fit below the limit of bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct messages {
	uint32_t number;		/* the length, or type and length, that is coming in */
	unsigned int have;		/* bytes of it */
	size_t certificates_left;	/* bytes of a Certificate message still to come */
	size_t skip;			/* bytes that are not looked at */
	unsigned int n_certificates;
};

void messages_feed(struct messages *messages, const uint8_t *bytes, size_t n);
