/* SPDX-License-Identifier: MIT */
/* Public keys of every kind, good and bad, and what a certificate about them looks like. */
#pragma once

#include "tests/unit/x509.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

struct der {
	uint8_t *bytes;
	size_t n;
};

static inline void der_free(struct der *der)
{
	OPENSSL_free(der->bytes);
	*der = (struct der){ 0 };
}

#define _der_ _cleanup_(der_free) struct der

static inline struct der der_of(X509 *cert)
{
	struct der der = { 0 };
	int n = i2d_X509(cert, &der.bytes);

	assert_true(n > 0);
	/* gcc does not know that the line above does not return otherwise. */
	der.n = n > 0 ? (size_t)n : 0;
	return der;
}

static inline EVP_PKEY *generate(const char *type, const OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* An EC key that spells its curve out. */
static inline EVP_PKEY *explicit_ec(const char *curve)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, strlen(curve)),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, (char *)"explicit", 8),
		OSSL_PARAM_END,
	};

	return generate("EC", params);
}

/* One whose point is "compressed" or "hybrid". */
static inline EVP_PKEY *ec_in_form(const char *curve, const char *form)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	assert_int_equal(EVP_PKEY_set_utf8_string_param(
				 key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
	return key;
}

/* A public key of these sizes that nobody has the private one of. */
static inline EVP_PKEY *rsa_of(int bits, int exponent_bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	BN_set_bit(n, bits - 1);
	BN_set_bit(n, 0);
	BN_set_bit(e, exponent_bits - 1);
	BN_set_bit(e, 0);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e);
	params = OSSL_PARAM_BLD_to_param(bld);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Takes over key. The signature is on P-256, so what is found of the key is the key's own. */
static inline struct der der_about(EVP_PKEY *key)
{
	_identity_ issuer = make(.cn = "issuer", .ca = true);
	_identity_ id = make(.cn = "about", .key = key, .issuer = &issuer);

	EVP_PKEY_free(key);
	return der_of(id.cert);
}
