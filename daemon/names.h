/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL's lists of names: ciphers, groups, signature algorithms. OpenSSL passes over a name in a
 * cipher list that it does not know, so that a slip of the pen widens the list: here every name
 * must be known.
 */
#pragma once

#include "proto/util.h"

#include <stdbool.h>

enum names_kind {
	NAMES_CIPHERS,		/* openssl-ciphers(1), for TLS 1.2; nothing with an @ */
	NAMES_CIPHERSUITES,	/* of TLS 1.3 */
	NAMES_GROUPS,
	NAMES_SIGALGS,
};

/* Who knows them: an SSL_CTX that is for trying names, and for nothing else. */
struct names;

/* NULL: no memory. */
struct names *names_new(void);
struct names *names_free(struct names *names);
DEFINE_CLEANUP(struct names *, names_free)

/* Whether OpenSSL knows all that the list names; otherwise fault says what is wrong with it. */
bool names_known(const struct names *names, enum names_kind kind, const char *list, char *fault,
		 size_t size);

/*
 * Of the groups or signature algorithms that are wanted, in their order, those that are allowed,
 * whichever of their names is used; "" if none is, NULL: no memory (malloc).
 */
char *names_narrow(const char *wanted, const char *allowed);

/* OpenSSL's names of all cipher suites it has, constant; of more than there is room for, the first.
 * False: no memory. */
bool names_suites(const char **suites, size_t room, size_t *n);
