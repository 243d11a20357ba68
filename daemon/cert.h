/* SPDX-License-Identifier: MIT */
/* What we want to know of one certificate. */
#pragma once

#include "proto/message.h"

#include <openssl/x509.h>

/* Entries of subjectAltName, without making objects of them. */
size_t cert_count_names(const X509 *cert);

/* Subject and issuer as RFC 2253 writes them, escaped and cut. False: no memory, and to is empty. */
bool cert_subject(char *to, size_t size, const X509 *cert);
bool cert_issuer(char *to, size_t size, const X509 *cert);

/* DNS names and IP addresses of subjectAltName, escaped and cut, at most PROTO_CERT_NAMES_MAX of
 * them. False: no memory. Objects are made of all that cert_count_names() counts. */
bool cert_names(struct proto_strings *names, const X509 *cert);

/* "2027-01-31T12:00:00Z"; empty for what is no time. */
void cert_time(char to[static 32], const ASN1_TIME *time);

/* "RSA 2048", "EC secp384r1", "ED25519". */
void cert_key(char *to, size_t size, const X509 *cert);

/* What cert_digest() finds, in lower-case hex. False: no memory, and to is empty. */
bool cert_hash(char to[static 65], const X509 *cert, enum proto_pin_kind kind);

/* What a pin of that kind is compared with. */
bool cert_digest(const X509 *cert, enum proto_pin_kind kind, uint8_t sha256[static 32]);

/* "X509_V_ERR_CERT_HAS_EXPIRED"; a code that OpenSSL did not have yet is its number. */
void cert_error_name(char *to, size_t size, int code);
