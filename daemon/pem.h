/* SPDX-License-Identifier: MIT */
/*
 * PEM text (RFC 7468) to trust anchors. Blocks of certificates only: one of anything else, a
 * private key above all, is a mistake that somebody has to hear of. Text between blocks is
 * allowed, since bundles are commented.
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The certificates of text as a new store; NULL: *fault (static) says what it has, or is NULL: no
 * memory. any_key: what spki_fault() finds fault with is taken, too.
 */
X509_STORE *pem_to_store(const char *text, size_t size, int certs_max, bool any_key,
			 const char **fault);
