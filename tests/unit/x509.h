/* SPDX-License-Identifier: MIT */
/* Certificates for the tests of the TLS half, made when they are wanted. */
#pragma once

#include "tests/unit/unit.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#define DAY 86400

/* A certificate and the key to it. */
struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

/* What is not given is as usual: P-256, valid since yesterday for two days, any use, no names. */
struct wish {
	const char *cn;
	const char *names;		/* as X509v3 configuration has it: "DNS:a,IP:1.2.3.4" */
	const char *usage;		/* extendedKeyUsage */
	const char *constraints;	/* nameConstraints */
	bool ca;
	long from, until;		/* seconds from now; both 0: yesterday and tomorrow */
	EVP_PKEY *key;			/* the caller's; the certificate is about it */
	const struct identity *issuer;	/* NULL: by itself */
};

static inline void identity_free(struct identity *identity)
{
	X509_free(identity->cert);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){ 0 };
}

#define _identity_ _cleanup_(identity_free) struct identity

static inline void add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	if (!value)
		return;
	X509V3_set_ctx(&ctx, (X509 *)issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static inline struct identity identity_new(const struct wish *wish)
{
	struct identity id = { .cert = X509_new() };
	const struct identity *issuer = wish->issuer ? wish->issuer : &id;
	bool usual = wish->from == 0 && wish->until == 0;
	uint64_t serial;

	id.key = wish->key ? wish->key : EVP_EC_gen("P-256");
	assert_non_null(id.key);
	if (wish->key)
		EVP_PKEY_up_ref(id.key);
	X509_set_version(id.cert, 2);
	assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof(serial)), 1);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(id.cert), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(id.cert), usual ? -DAY : wish->from);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), usual ? DAY : wish->until);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_UTF8,
				   (const unsigned char *)wish->cn, -1, -1, 0);
	X509_set_issuer_name(id.cert, X509_get_subject_name(issuer->cert));
	assert_int_equal(X509_set_pubkey(id.cert, id.key), 1);
	add_extension(id.cert, issuer->cert, NID_basic_constraints,
		      wish->ca ? "critical,CA:TRUE" : "CA:FALSE");
	add_extension(id.cert, issuer->cert, NID_subject_alt_name, wish->names);
	add_extension(id.cert, issuer->cert, NID_ext_key_usage, wish->usage);
	add_extension(id.cert, issuer->cert, NID_name_constraints, wish->constraints);
	assert_true(X509_sign(id.cert, issuer->key, EVP_sha256()) > 0);
	return id;
}

#define make(...) identity_new(&(const struct wish){ __VA_ARGS__ })

/* Appends the certificate to text (malloc; NULL: begins one). */
static inline char *pem_append(char *text, const X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *whole;
	long n;

	assert_int_equal(PEM_write_bio_X509(bio, (X509 *)cert), 1);
	n = BIO_get_mem_data(bio, &data);
	assert_true(asprintf(&whole, "%s%.*s", text ? text : "", (int)n, data) > 0);
	BIO_free(bio);
	free(text);
	return whole;
}

static inline char *pem_of(const struct identity *identity)
{
	return pem_append(NULL, identity->cert);
}

static inline char *pem_of_key(const struct identity *identity)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long n;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, identity->key, NULL, NULL, 0, NULL, NULL),
			 1);
	n = BIO_get_mem_data(bio, &data);
	text = calloc(1, (size_t)n + 1);
	assert_non_null(text);
	memcpy(text, data, (size_t)n);
	BIO_free(bio);
	return text;
}

static inline X509_STORE *store_of(const struct identity *identity)
{
	X509_STORE *store = X509_STORE_new();

	assert_int_equal(X509_STORE_add_cert(store, identity->cert), 1);
	return store;
}

/* A server with this certificate, and what else it sends with it. */
static inline SSL_CTX *server_ctx(const struct identity *identity, const char *ciphers)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	/* Peers of ours may be worse than what we accept. */
	SSL_CTX_set_security_level(ctx, 0);
	assert_int_equal(SSL_CTX_use_certificate(ctx, identity->cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, identity->key), 1);
	if (ciphers)
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
	return ctx;
}
