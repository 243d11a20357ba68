/* SPDX-License-Identifier: MIT */
/*
 * A look at the public key of a certificate before OpenSSL makes an object of it. OpenSSL decodes
 * the key at once, whoever asks for it or not, and what it takes for a point of a curve that the
 * certificate brings along, or for a square root on an unlucky one, was seen to be 140 ms.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SPKI_RSA_BITS_MAX 8192		/* as Go's crypto/tls since CVE-2023-29409 */
#define SPKI_RSA_EXPONENT_BITS_MAX 32

/* The key must lie in so many bytes, which leaves more than 6 KiB for issuer and subject. */
#define SPKI_HEAD_MAX 8192

/*
 * What is wrong with a certificate of so many bytes, of which the first SPKI_HEAD_MAX are looked at
 * ("a certificate with an RSA key of ...", static), or NULL.
 */
const char *spki_fault(const uint8_t *der, size_t size);
