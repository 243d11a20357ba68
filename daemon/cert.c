/* SPDX-License-Identifier: MIT */
#include "daemon/cert.h"

#include "daemon/utc.h"
#include "proto/util.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* More of a name than anybody is told, so that the cut is seen. */
#define NAME_PRINTED_MAX 512

/* Into memory that is there: a BIO of OpenSSL's would lose the name without a word where it finds
 * none. What cannot be printed ends it. */
static bool name_text(char *to, size_t size, const X509_NAME *name)
{
	char text[NAME_PRINTED_MAX] = "";
	FILE *file = fmemopen(text, sizeof(text) - 1, "w");

	if (file) {
		setbuf(file, NULL);
		/* UTF-8 as it is: proto_escape() deals with what is not. */
		X509_NAME_print_ex_fp(file, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
		fclose(file);
	}
	proto_escape(to, size, text);
	return file;
}

bool cert_subject(char *to, size_t size, const X509 *cert)
{
	return name_text(to, size, X509_get_subject_name(cert));
}

bool cert_issuer(char *to, size_t size, const X509 *cert)
{
	return name_text(to, size, X509_get_issuer_name(cert));
}

void cert_time(char to[static 32], const ASN1_TIME *time)
{
	struct tm tm;

	utc_text(to, ASN1_TIME_to_tm(time, &tm) ? &tm : NULL);
}

void cert_key(char *to, size_t size, const X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
	char group[32];

	if (!type)
		snprintf(to, size, "unreadable");
	else if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
		snprintf(to, size, "%s %s", type, group);
	else if (strncmp(type, "RSA", 3) == 0)
		snprintf(to, size, "%s %d", type, EVP_PKEY_get_bits(key));
	else
		snprintf(to, size, "%s", type);
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

bool cert_hash(char to[static 65], const X509 *cert, enum proto_pin_kind kind)
{
	uint8_t sha256[32];

	*to = '\0';
	if (!cert_digest(cert, kind, sha256))
		return false;
	for (size_t i = 0; i < sizeof(sha256); i++)
		sprintf(to + 2 * i, "%02x", sha256[i]);
	return true;
}

/* --- subjectAltName */

/* GeneralNames ::= SEQUENCE OF GeneralName (RFC 5280, 4.2.1.6) */
static size_t names_in(const unsigned char *der, long size)
{
	const unsigned char *end;
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

#define NAME_TEXT_MAX 256

/* A NUL in it must not end it: who reads it would take it for another name. */
static bool dns_text(char to[static NAME_TEXT_MAX], const uint8_t *bytes, int n)
{
	char text[4 * NAME_TEXT_MAX + 1] = "";
	size_t length = 0;

	for (int i = 0; i < n && i < NAME_TEXT_MAX; i++)
		length += (size_t)sprintf(text + length, bytes[i] ? "%c" : "\\x00", bytes[i]);
	proto_escape(to, NAME_TEXT_MAX, text);
	return true;
}

static bool address_text(char to[static NAME_TEXT_MAX], const uint8_t *bytes, int n)
{
	return (n == 4 || n == 16) &&
	       inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, to, NAME_TEXT_MAX);
}

/* False: it is of another kind. */
static bool general_name_text(char to[static NAME_TEXT_MAX], const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);

	if (type == GEN_DNS)
		return dns_text(to, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
	return type == GEN_IPADD &&
	       address_text(to, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
}

bool cert_names(struct proto_strings *names, const X509 *cert)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char text[NAME_TEXT_MAX];
	bool enough = true;

	names->items = calloc(PROTO_CERT_NAMES_MAX, sizeof(*names->items));
	enough = names->items;
	for (int i = 0; enough && i < sk_GENERAL_NAME_num(all) && names->n < PROTO_CERT_NAMES_MAX; i++) {
		if (!general_name_text(text, sk_GENERAL_NAME_value(all, i)))
			continue;
		names->items[names->n] = strdup(text);
		enough = names->items[names->n];
		names->n += enough;
	}
	GENERAL_NAMES_free(all);
	return enough;
}

/* --- errors */

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
