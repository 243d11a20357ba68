/* SPDX-License-Identifier: MIT */
/* What we want to know of one certificate. */
#pragma once

#include "proto/message.h"

#include <openssl/x509.h>

/* Entries of subjectAltName, without making objects of them. */
size_t cert_count_names(const X509 *cert);

/* The subject as RFC 2253 writes it, escaped and cut. */
void cert_subject(char *to, size_t size, const X509 *cert);

/* What a pin of that kind is compared with. */
bool cert_digest(const X509 *cert, enum proto_pin_kind kind, uint8_t sha256[static 32]);

/* "X509_V_ERR_CERT_HAS_EXPIRED"; a code that OpenSSL did not have yet is its number. */
void cert_error_name(char *to, size_t size, int code);
