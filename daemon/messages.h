/* SPDX-License-Identifier: MIT */
/*
 * Watches the peer's handshake messages go by in the clear (RFC 5246, 7.4), counts the certificates
 * in them and looks at their keys. OpenSSL makes an object of each before it asks anybody: a hundred
 * of them fit below the limit of bytes, and one of them can be made to cost more than that.
 */
#pragma once

#include "daemon/spki.h"

#include <stddef.h>
#include <stdint.h>

struct messages {
	uint32_t number;		/* the length, or type and length, that is coming in */
	unsigned int have;		/* bytes of it */
	size_t certificates_left;	/* bytes of a Certificate message still to come */
	size_t skip;			/* bytes that are not looked at */
	unsigned int n_certificates;
	size_t size;			/* of the certificate that is coming in */
	size_t n_head;			/* bytes of it that are here */
	uint8_t head[SPKI_HEAD_MAX];
	const char *fault;		/* of the first bad one, known before its last byte is out */
};

void messages_feed(struct messages *messages, const uint8_t *bytes, size_t n);
