/* SPDX-License-Identifier: MIT */
#include "daemon/records.h"

#include <string.h>

#define CHANGE_CIPHER_SPEC 20
#define HANDSHAKE 22

static bool is_empty(const struct records *records)
{
	return !records->header[3] && !records->header[4];
}

/* Of records without content OpenSSL takes no notice, so they change nothing here either: else a
 * peer could hide its certificates from whoever looks at what is in the clear. */
static void record_done(struct records *records)
{
	if (records->header[0] == CHANGE_CIPHER_SPEC) {
		records->ciphered |= !is_empty(records);
	} else if (records->ciphered) {
		records->n_protected++;
		memcpy(records->nonce, records->header + RECORD_HEADER, sizeof(records->nonce));
	}
	records->have = 0;
}

/* How much of the next bytes belongs together; what is wanted of them is kept. */
static size_t feed_some(struct records *records, const uint8_t *bytes, size_t n)
{
	bool in_body = records->have >= RECORD_HEADER;
	size_t room = (in_body ? sizeof(records->header) : RECORD_HEADER) - records->have;
	size_t want = in_body ? records->left : room, kept;

	n = n < want ? n : want;
	kept = n < room ? n : room;
	if (in_body && records->clear && !records->ciphered && records->header[0] == HANDSHAKE)
		records->clear(records, bytes, n);
	memcpy(records->header + records->have, bytes, kept);
	records->have += kept;
	if (in_body)
		records->left -= n;
	else if (records->have == RECORD_HEADER)
		records->left = (size_t)records->header[3] << 8 | records->header[4];
	return n;
}

void records_feed(struct records *records, const uint8_t *bytes, size_t n)
{
	for (size_t used; n > 0; bytes += used, n -= used) {
		used = feed_some(records, bytes, n);
		if (records->have >= RECORD_HEADER && records->left == 0)
			record_done(records);
	}
}
