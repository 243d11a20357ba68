/* SPDX-License-Identifier: MIT */
/*
 * The keys of one session, as the kernel takes them, and their derivation from a finished TLS 1.2
 * handshake (RFC 5246, 6.3). We derive them ourselves, so that it works with an OpenSSL that was
 * built without kTLS.
 *
 * A struct session_keys is a secret: it lives on the stack of the one function that derives and
 * installs, under _cleanup_(session_keys_wipe), and is never copied, printed or put on the heap.
 */
#pragma once

#include "daemon/cipher.h"
#include "proto/util.h"

struct direction_keys {
	uint8_t key[CIPHER_KEY_MAX];
	uint8_t salt[CIPHER_SALT_MAX];
	uint8_t iv[CIPHER_IV_MAX];	/* explicit_nonce: that of the next record; else the rest of
					 * the write IV */
	uint8_t seq[CIPHER_SEQ_SIZE];	/* of the next record, big-endian */
};

struct session_keys {
	const struct cipher *cipher;
	uint16_t version;		/* 0x0303 */
	struct direction_keys tx, rx;
};

void session_keys_wipe(struct session_keys *keys);

/*
 * Of a client's session. last_nonce: the explicit nonce of the last record that we sent (our
 * Finished); the next one is this plus one. Ignored for ciphers without one. Returns 0, -ENOTSUP
 * (no cipher of the table, not TLS 1.2) or -ENOMEM; on failure *keys is wiped.
 */
int session_keys_derive(struct session_keys *keys, SSL *ssl, const uint8_t last_nonce[static 8]);
