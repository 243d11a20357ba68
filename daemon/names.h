/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL's lists of names: ciphers, groups, signature algorithms. OpenSSL passes over a name in a
 * cipher list that it does not know, so that a slip of the pen widens the list: here every name
 * must be known.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

enum names_kind {
	NAMES_CIPHERS,		/* openssl-ciphers(1), for TLS 1.2; nothing with an @ */
	NAMES_CIPHERSUITES,	/* of TLS 1.3 */
	NAMES_GROUPS,
	NAMES_SIGALGS,
};

/* What the checks are tried on, and nothing else. NULL: no memory. */
SSL_CTX *names_scratch(void);

/* NULL: all are known. Otherwise what is wrong with the list (malloc). */
char *names_fault(SSL_CTX *scratch, enum names_kind kind, const char *list);

/*
 * Of the groups or signature algorithms that are wanted, in their order, those that are allowed,
 * whichever of their names is used; "" if none is, NULL: no memory (malloc).
 */
char *names_narrow(const char *wanted, const char *allowed);
