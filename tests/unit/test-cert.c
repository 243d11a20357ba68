/* SPDX-License-Identifier: MIT */
#include "tests/unit/x509.h"

#include "daemon/cert.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

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
		cmocka_unit_test(test_names_are_counted),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_error_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
