/* SPDX-License-Identifier: MIT */
#include "tests/unit/x509.h"

#include "daemon/cert.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>

static EVP_PKEY *key_from(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* A public key of these sizes that nobody has the private one of. */
static EVP_PKEY *rsa_of(int bits, int exponent_bits)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	OSSL_PARAM *params;
	EVP_PKEY *key;

	BN_set_bit(n, bits - 1);
	BN_set_bit(n, 0);
	BN_set_bit(e, exponent_bits - 1);
	BN_set_bit(e, 0);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e);
	params = OSSL_PARAM_BLD_to_param(bld);
	key = key_from("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return key;
}

static EVP_PKEY *generate(const char *type, const OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *explicit_ec(void)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 5),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, (char *)"explicit", 8),
		OSSL_PARAM_END,
	};

	return generate("EC", params);
}

/* As it comes off the wire: through its DER. */
static X509 *cert_about(EVP_PKEY *key)
{
	_identity_ issuer = make(.cn = "issuer", .ca = true);
	_identity_ id = make(.cn = "about", .key = key, .issuer = &issuer);
	unsigned char *der = NULL;
	const unsigned char *at;
	int n = i2d_X509(id.cert, &der);
	X509 *cert;

	at = der;
	cert = d2i_X509(NULL, &at, n);
	assert_non_null(cert);
	OPENSSL_free(der);
	return cert;
}

/* Takes over key. */
static void check_key(EVP_PKEY *key, const char *fault)
{
	X509 *cert = cert_about(key);
	char buffer[64];
	const char *found = cert_key_fault(cert, buffer);

	if (!fault && found)
		fail_msg("%s", found);
	if (fault)
		assert_string_equal(found, fault);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void test_keys(void **state)
{
	check_key(rsa_of(2048, 17), NULL);
	check_key(rsa_of(8192, 17), NULL);
	check_key(rsa_of(8192, 32), NULL);
	check_key(rsa_of(8193, 17), "an RSA key of 8193 bits with an exponent of 17");
	check_key(rsa_of(16384, 17), "an RSA key of 16384 bits with an exponent of 17");
	check_key(rsa_of(2048, 33), "an RSA key of 2048 bits with an exponent of 33");
	check_key(rsa_of(3072, 3071), "an RSA key of 3072 bits with an exponent of 3071");
	check_key(EVP_EC_gen("P-256"), NULL);
	check_key(EVP_EC_gen("P-521"), NULL);
	check_key(EVP_EC_gen("brainpoolP512r1"), NULL);
	check_key(EVP_EC_gen("sect571r1"), "an EC key of 570 bits");
	check_key(explicit_ec(), "an EC key with explicit parameters instead of a named curve");
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
		  "a public key of a type that is not accepted");
}

static void test_key_that_cannot_be_read(void **state)
{
	_identity_ id = make(.cn = "odd");
	X509_ALGOR *algorithm;
	char buffer[64];
	unsigned char *der = NULL;
	const unsigned char *at;
	X509 *cert;
	int n;

	X509_PUBKEY_get0_param(NULL, NULL, NULL, &algorithm, X509_get_X509_PUBKEY(id.cert));
	X509_ALGOR_set0(algorithm, OBJ_txt2obj("1.2.3.4", 1), V_ASN1_NULL, NULL);
	X509_sign(id.cert, id.key, EVP_sha256());
	n = i2d_X509(id.cert, &der);
	at = der;
	cert = d2i_X509(NULL, &at, n);
	assert_non_null(cert);
	assert_string_equal(cert_key_fault(cert, buffer), "a public key that cannot be read");
	X509_free(cert);
	OPENSSL_free(der);
}

static void test_names_are_counted(void **state)
{
	static const struct {
		const char *names;
		size_t n;
	} rows[] = {
		{ NULL, 0 }, { "DNS:a", 1 }, { "DNS:a,IP:192.0.2.1,email:a@b.example", 3 },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_identity_ id = make(.cn = "names", .names = rows[i].names);

		assert_int_equal(cert_count_names(id.cert), rows[i].n);
	}
}

/* What a subjectAltName extension may hold instead of names: it ends the count, nothing else. */
static void test_names_that_are_none(void **state)
{
	static const struct {
		const char *der;
		int size;
		size_t n;
	} rows[] = {
		{ "", 0, 0 },
		{ "\x30", 1, 0 },
		{ "\x30\x00", 2, 0 },
		{ "\x30\x03\x82\x01x", 5, 1 },
		{ "\x30\x05\x82\x01x\x82\x05", 7, 1 },	/* the second is longer than there is */
		{ "\x30\x7f\x82\x01x", 5, 0 },		/* the sequence is */
		{ "\x30\x80\x82\x01x\x00\x00", 7, 0 },	/* indefinite length is not DER */
		{ "\x30\x06\x82\x01x\x82\x01y", 8, 2 },
		{ "\xff\xff\xff\xff\xff", 5, 0 },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_identity_ id = make(.cn = "names");
		ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
		X509_EXTENSION *extension = NULL;

		ASN1_OCTET_STRING_set(data, (const unsigned char *)rows[i].der, rows[i].size);
		X509_EXTENSION_create_by_NID(&extension, NID_subject_alt_name, 0, data);
		X509_add_ext(id.cert, extension, -1);
		assert_int_equal(cert_count_names(id.cert), rows[i].n);
		X509_EXTENSION_free(extension);
		ASN1_OCTET_STRING_free(data);
	}
}

static void check_subject(const char *cn, const char *subject)
{
	_identity_ id = make(.cn = cn);
	char text[256];

	cert_subject(text, sizeof(text), id.cert);
	assert_string_equal(text, subject);
}

static void test_subjects(void **state)
{
	char longest[65], text[20];
	_identity_ id = { 0 };

	check_subject("host", "CN=host");
	check_subject("a,b", "CN=a\\,b");
	check_subject("Z\xc3\xbcrich", "CN=Z\xc3\xbcrich");
	check_subject("line\nline", "CN=line\\0Aline");
	memset(longest, 'x', 64);
	longest[64] = '\0';
	id = make(.cn = longest);
	cert_subject(text, sizeof(text), id.cert);
	assert_string_equal(text, "CN=xxxxxxxxxxxxx...");
}

static void test_digests(void **state)
{
	_identity_ id = make(.cn = "digest");
	uint8_t expected[32], got[32];
	unsigned char *der = NULL;
	int n = i2d_X509(id.cert, &der);

	SHA256(der, (size_t)n, expected);
	OPENSSL_free(der);
	assert_true(cert_digest(id.cert, PROTO_PIN_CERT, got));
	assert_memory_equal(got, expected, 32);

	der = NULL;
	n = i2d_PUBKEY(id.key, &der);
	SHA256(der, (size_t)n, expected);
	OPENSSL_free(der);
	assert_true(cert_digest(id.cert, PROTO_PIN_SPKI, got));
	assert_memory_equal(got, expected, 32);
}

static void test_error_names(void **state)
{
	static const struct {
		int code;
		const char *name;
	} rows[] = {
		{ X509_V_ERR_UNSPECIFIED, "X509_V_ERR_UNSPECIFIED" },
		{ X509_V_ERR_CERT_HAS_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED" },
		{ X509_V_ERR_HOSTNAME_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH" },
		{ X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, "X509_V_ERR_EC_KEY_EXPLICIT_PARAMS" },
		{ 100000, "100000" }, { 0, "0" }, { -1, "-1" },
	};
	char name[64];

	for (size_t i = 0; i < array_size(rows); i++) {
		cert_error_name(name, sizeof(name), rows[i].code);
		assert_string_equal(name, rows[i].name);
	}
	/* Whatever has a text of OpenSSL's has a name of ours. */
	for (int code = 1; code < 200; code++) {
		bool known = !strstr(X509_verify_cert_error_string(code), "unknown certificate");

		cert_error_name(name, sizeof(name), code);
		if (known && strncmp(name, "X509_V_ERR_", 11) != 0)
			fail_msg("%d (%s) has no name", code, X509_verify_cert_error_string(code));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_key_that_cannot_be_read),
		cmocka_unit_test(test_names_are_counted),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_error_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
