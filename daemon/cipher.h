/* SPDX-License-Identifier: MIT */
/*
 * The ciphers that OpenSSL and the kernel both know, in one table: TLS 1.2 AEAD suites with a
 * 16-byte tag (kernel: include/uapi/linux/tls.h). All that depends on the cipher is a column.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define CIPHER_KEY_MAX 32
#define CIPHER_SALT_MAX 4
#define CIPHER_IV_MAX 12
#define CIPHER_SEQ_SIZE 8

struct cipher {
	const char *name;	/* as inet_diag and ss(8) have it: "aes-gcm-256" */
	const char *module;	/* the kernel's module for its AEAD, for who has to load it */
	int nid;		/* OpenSSL's number of the bulk cipher */
	uint16_t kernel_type;	/* TLS_CIPHER_AES_GCM_256 */
	uint8_t key_size;
	uint8_t fixed_iv_size;	/* of one direction in TLS 1.2's key block */
	uint8_t salt_size;	/* kernel: how much of the nonce is salt, the rest being iv */
	uint8_t iv_size;
	bool explicit_nonce;	/* RFC 5288, 3: iv_size bytes, sent with each record */
};

extern const struct cipher ciphers[];
extern const size_t n_ciphers;

/* NULL: the kernel has no such cipher (CBC, CCM_8, AES-256-CCM ...). */
const struct cipher *cipher_of_suite(const SSL_CIPHER *suite);
