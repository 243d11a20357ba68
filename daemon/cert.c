/* SPDX-License-Identifier: MIT */
#include "daemon/cert.h"

#include "proto/util.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* Key types that TLS 1.2 certificates have. */
static const char *const rsa_types[] = { "RSA", "RSA-PSS" };
static const char *const edwards_types[] = { "ED25519", "ED448" };

static void bn_freep(BIGNUM **number)
{
	BN_free(*number);
}

void cert_subject(char *to, size_t size, const X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	/* UTF-8 as it is: proto_escape() deals with what is not. */
	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
				      XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    BIO_write(bio, "", 1) == 1)
		BIO_get_mem_data(bio, &text);
	proto_escape(to, size, text ? text : "");
	BIO_free(bio);
}

bool cert_digest(const X509 *cert, enum proto_pin_kind kind, uint8_t sha256[static 32])
{
	uint8_t *der = NULL;
	int n;
	bool ok;

	if (kind == PROTO_PIN_CERT)
		return X509_digest(cert, EVP_sha256(), sha256, NULL) == 1;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	ok = n > 0 && EVP_Digest(der, (size_t)n, sha256, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	return ok;
}

static bool is_of(const EVP_PKEY *key, const char *const *types, size_t n)
{
	while (n-- > 0)
		if (EVP_PKEY_is_a(key, types[n]))
			return true;
	return false;
}

static const char *rsa_fault(const EVP_PKEY *key, char buffer[static 64])
{
	_cleanup_(bn_freep) BIGNUM *e = NULL;
	int bits = EVP_PKEY_get_bits(key);

	if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e))
		return "an RSA key that cannot be read";
	if (bits <= CERT_RSA_BITS_MAX && BN_num_bits(e) <= CERT_RSA_EXPONENT_BITS_MAX)
		return NULL;
	snprintf(buffer, 64, "an RSA key of %d bits with an exponent of %d", bits, BN_num_bits(e));
	return buffer;
}

static const char *ec_fault(const EVP_PKEY *key, char buffer[static 64])
{
	int explicit_parameters = 0, bits = EVP_PKEY_get_bits(key);

	if (!EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				    &explicit_parameters) || explicit_parameters)
		return "an EC key with explicit parameters instead of a named curve";
	if (bits <= CERT_EC_BITS_MAX)
		return NULL;
	snprintf(buffer, 64, "an EC key of %d bits", bits);
	return buffer;
}

const char *cert_key_fault(const X509 *cert, char buffer[static 64])
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);

	if (!key)
		return "a public key that cannot be read";
	if (is_of(key, rsa_types, array_size(rsa_types)))
		return rsa_fault(key, buffer);
	if (EVP_PKEY_is_a(key, "EC"))
		return ec_fault(key, buffer);
	if (is_of(key, edwards_types, array_size(edwards_types)))
		return NULL;
	return "a public key of a type that is not accepted";
}

/* GeneralNames ::= SEQUENCE OF GeneralName (RFC 5280, 4.2.1.6) */
static size_t names_in(const unsigned char *der, long size)
{
	const unsigned char *end = der + size;
	size_t n = 0;
	long length;
	int tag, class;

	if (ASN1_get_object(&der, &length, &tag, &class, size) & 0x81)
		return 0;
	for (end = der + length; der < end; der += length, n++)
		if (ASN1_get_object(&der, &length, &tag, &class, end - der) & 0x81)
			break;
	return n;
}

size_t cert_count_names(const X509 *cert)
{
	size_t n = 0;

	for (int at = -1; (at = X509_get_ext_by_NID(cert, NID_subject_alt_name, at)) >= 0;) {
		const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(cert, at));

		n += names_in(ASN1_STRING_get0_data(data), ASN1_STRING_length(data));
	}
	return n;
}

/* OpenSSL has texts for these, and no names. */
static const char *const error_names[] = {
#define NAME(name) [X509_V_ERR_##name] = "X509_V_ERR_" #name,
	NAME(UNSPECIFIED)
	NAME(UNABLE_TO_GET_ISSUER_CERT)
	NAME(UNABLE_TO_GET_CRL)
	NAME(UNABLE_TO_DECRYPT_CERT_SIGNATURE)
	NAME(UNABLE_TO_DECRYPT_CRL_SIGNATURE)
	NAME(UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY)
	NAME(CERT_SIGNATURE_FAILURE)
	NAME(CRL_SIGNATURE_FAILURE)
	NAME(CERT_NOT_YET_VALID)
	NAME(CERT_HAS_EXPIRED)
	NAME(CRL_NOT_YET_VALID)
	NAME(CRL_HAS_EXPIRED)
	NAME(ERROR_IN_CERT_NOT_BEFORE_FIELD)
	NAME(ERROR_IN_CERT_NOT_AFTER_FIELD)
	NAME(ERROR_IN_CRL_LAST_UPDATE_FIELD)
	NAME(ERROR_IN_CRL_NEXT_UPDATE_FIELD)
	NAME(OUT_OF_MEM)
	NAME(DEPTH_ZERO_SELF_SIGNED_CERT)
	NAME(SELF_SIGNED_CERT_IN_CHAIN)
	NAME(UNABLE_TO_GET_ISSUER_CERT_LOCALLY)
	NAME(UNABLE_TO_VERIFY_LEAF_SIGNATURE)
	NAME(CERT_CHAIN_TOO_LONG)
	NAME(CERT_REVOKED)
	NAME(NO_ISSUER_PUBLIC_KEY)
	NAME(PATH_LENGTH_EXCEEDED)
	NAME(INVALID_PURPOSE)
	NAME(CERT_UNTRUSTED)
	NAME(CERT_REJECTED)
	NAME(SUBJECT_ISSUER_MISMATCH)
	NAME(AKID_SKID_MISMATCH)
	NAME(AKID_ISSUER_SERIAL_MISMATCH)
	NAME(KEYUSAGE_NO_CERTSIGN)
	NAME(UNABLE_TO_GET_CRL_ISSUER)
	NAME(UNHANDLED_CRITICAL_EXTENSION)
	NAME(KEYUSAGE_NO_CRL_SIGN)
	NAME(UNHANDLED_CRITICAL_CRL_EXTENSION)
	NAME(INVALID_NON_CA)
	NAME(PROXY_PATH_LENGTH_EXCEEDED)
	NAME(KEYUSAGE_NO_DIGITAL_SIGNATURE)
	NAME(PROXY_CERTIFICATES_NOT_ALLOWED)
	NAME(INVALID_EXTENSION)
	NAME(INVALID_POLICY_EXTENSION)
	NAME(NO_EXPLICIT_POLICY)
	NAME(DIFFERENT_CRL_SCOPE)
	NAME(UNSUPPORTED_EXTENSION_FEATURE)
	NAME(UNNESTED_RESOURCE)
	NAME(PERMITTED_VIOLATION)
	NAME(EXCLUDED_VIOLATION)
	NAME(SUBTREE_MINMAX)
	NAME(APPLICATION_VERIFICATION)
	NAME(UNSUPPORTED_CONSTRAINT_TYPE)
	NAME(UNSUPPORTED_CONSTRAINT_SYNTAX)
	NAME(UNSUPPORTED_NAME_SYNTAX)
	NAME(CRL_PATH_VALIDATION_ERROR)
	NAME(PATH_LOOP)
	NAME(SUITE_B_INVALID_VERSION)
	NAME(SUITE_B_INVALID_ALGORITHM)
	NAME(SUITE_B_INVALID_CURVE)
	NAME(SUITE_B_INVALID_SIGNATURE_ALGORITHM)
	NAME(SUITE_B_LOS_NOT_ALLOWED)
	NAME(SUITE_B_CANNOT_SIGN_P_384_WITH_P_256)
	NAME(HOSTNAME_MISMATCH)
	NAME(EMAIL_MISMATCH)
	NAME(IP_ADDRESS_MISMATCH)
	NAME(DANE_NO_MATCH)
	NAME(EE_KEY_TOO_SMALL)
	NAME(CA_KEY_TOO_SMALL)
	NAME(CA_MD_TOO_WEAK)
	NAME(INVALID_CALL)
	NAME(STORE_LOOKUP)
	NAME(NO_VALID_SCTS)
	NAME(PROXY_SUBJECT_NAME_VIOLATION)
	NAME(OCSP_VERIFY_NEEDED)
	NAME(OCSP_VERIFY_FAILED)
	NAME(OCSP_CERT_UNKNOWN)
	NAME(UNSUPPORTED_SIGNATURE_ALGORITHM)
	NAME(SIGNATURE_ALGORITHM_MISMATCH)
	NAME(SIGNATURE_ALGORITHM_INCONSISTENCY)
	NAME(INVALID_CA)
	NAME(PATHLEN_INVALID_FOR_NON_CA)
	NAME(PATHLEN_WITHOUT_KU_KEY_CERT_SIGN)
	NAME(KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA)
	NAME(ISSUER_NAME_EMPTY)
	NAME(SUBJECT_NAME_EMPTY)
	NAME(MISSING_AUTHORITY_KEY_IDENTIFIER)
	NAME(MISSING_SUBJECT_KEY_IDENTIFIER)
	NAME(EMPTY_SUBJECT_ALT_NAME)
	NAME(EMPTY_SUBJECT_SAN_NOT_CRITICAL)
	NAME(CA_BCONS_NOT_CRITICAL)
	NAME(AUTHORITY_KEY_IDENTIFIER_CRITICAL)
	NAME(SUBJECT_KEY_IDENTIFIER_CRITICAL)
	NAME(CA_CERT_MISSING_KEY_USAGE)
	NAME(EXTENSIONS_REQUIRE_VERSION_3)
	NAME(EC_KEY_EXPLICIT_PARAMS)
#undef NAME
};

void cert_error_name(char *to, size_t size, int code)
{
	if (code > 0 && (size_t)code < array_size(error_names) && error_names[code])
		snprintf(to, size, "%s", error_names[code]);
	else
		snprintf(to, size, "%d", code);
}
