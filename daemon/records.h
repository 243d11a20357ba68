/* SPDX-License-Identifier: MIT */
/*
 * Watches the TLS records of one direction go by, in pieces as they come: how many of them were
 * protected, and with which explicit nonce the last one (RFC 5246, 6.2; RFC 5288, 3).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER 5

struct records {
	/* If set: gets what is in the clear of handshake messages (type 22). */
	void (*clear)(struct records *records, const uint8_t *bytes, size_t n);
	uint8_t header[RECORD_HEADER + 8];
	size_t have;			/* of the header, and of the first bytes behind it */
	size_t left;			/* of the record's body */
	uint8_t nonce[8];		/* of the last protected record */
	bool ciphered;			/* ChangeCipherSpec is through */
	unsigned int n_protected;	/* since then: Finished, and nothing else, makes it 1 */
};

void records_feed(struct records *records, const uint8_t *bytes, size_t n);
