/* SPDX-License-Identifier: MIT */
#include "tests/unit/keys-of.h"

#include "daemon/spki.h"

#include <openssl/err.h>
#include <time.h>

#define CANNOT_BE_READ "a certificate that cannot be read"
#define OTHER_CURVE "a certificate with an EC key on another curve than P-256, P-384 and P-521"
#define OTHER_FORM "a certificate with an EC key in another form than uncompressed"
#define EXPLICIT "a certificate with an EC key with explicit parameters instead of a named curve"
#define OTHER_TYPE "a certificate with a public key of a type that is not accepted"
#define RSA_BITS "a certificate with an RSA key of more than 8192 bits"
#define RSA_EXPONENT "a certificate with an RSA key with an exponent of more than 32 bits"

static const char *expected(const char *fault)
{
	return fault ? fault : "nothing";
}

/* In memory of its own, of which no byte is beyond what may be looked at. */
static const char *judge(const uint8_t *der, size_t size)
{
	size_t n = size < SPKI_HEAD_MAX ? size : SPKI_HEAD_MAX;
	_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, der, n);
	return spki_fault(copy, size);
}

static void check(const struct der *der, const char *fault)
{
	assert_string_equal(expected(judge(der->bytes, der->n)), expected(fault));
}

static void check_key(EVP_PKEY *key, const char *fault)
{
	_der_ der = der_about(key);

	check(&der, fault);
}

static void test_keys(void **state)
{
	static const char *const good[] = { "P-256", "P-384", "P-521" };
	static const char *const others[] = {
		"secp224r1", "secp256k1", "brainpoolP256r1", "brainpoolP512r1", "sect571r1",
	};
	static const char *const forms[] = { "compressed", "hybrid" };

	for (size_t i = 0; i < array_size(good); i++) {
		check_key(EVP_EC_gen(good[i]), NULL);
		check_key(explicit_ec(good[i]), EXPLICIT);
		for (size_t j = 0; j < array_size(forms); j++)
			check_key(ec_in_form(good[i], forms[j]), OTHER_FORM);
	}
	for (size_t i = 0; i < array_size(others); i++)
		check_key(EVP_EC_gen(others[i]), OTHER_CURVE);
	check_key(rsa_of(1024, 17), NULL);
	check_key(rsa_of(2048, 2), NULL);
	check_key(rsa_of(8192, 32), NULL);
	check_key(rsa_of(8193, 17), RSA_BITS);
	check_key(rsa_of(16384, 17), RSA_BITS);
	check_key(rsa_of(2048, 33), RSA_EXPONENT);
	check_key(rsa_of(3072, 3071), RSA_EXPONENT);
	check_key(generate("RSA-PSS", NULL), NULL);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), OTHER_TYPE);
	check_key(EVP_PKEY_Q_keygen(NULL, NULL, "X448"), OTHER_TYPE);
}

/* --- what is changed in a good one */

struct change {
	const char *from, *to;		/* of one length, as hexadecimal; the first such place */
	const char *fault;
};

static void apply(struct der *der, const struct change *change)
{
	long n = 0;
	uint8_t *from = OPENSSL_hexstr2buf(change->from, &n);
	uint8_t *to = OPENSSL_hexstr2buf(change->to, &n);
	uint8_t *at = memmem(der->bytes, der->n, from, (size_t)n);

	assert_int_equal(strlen(change->from), strlen(change->to));
	assert_non_null(at);
	memcpy(at, to, (size_t)n);
	OPENSSL_free(from);
	OPENSSL_free(to);
}

/* Takes over key. */
static void check_changes(EVP_PKEY *key, const struct change *changes, size_t n)
{
	_der_ der = der_about(key);

	check(&der, NULL);
	for (size_t i = 0; i < n; i++) {
		_der_ changed = { OPENSSL_memdup(der.bytes, der.n), der.n };

		apply(&changed, &changes[i]);
		check(&changed, changes[i].fault);
	}
}

static void test_changed_ec_key(void **state)
{
	static const struct change changes[] = {
		{ "06072a8648ce3d0201", "06072a8648ce3d0202", OTHER_TYPE },
		{ "06072a8648ce3d0201", "05072a8648ce3d0201", CANNOT_BE_READ },
		{ "06082a8648ce3d030107", "06082a8648ce3d030106", OTHER_CURVE },
		{ "06082a8648ce3d030107", "06072a8648ce3d030107", CANNOT_BE_READ },
		{ "06082a8648ce3d030107", "05082a8648ce3d030107", CANNOT_BE_READ },
		{ "06082a8648ce3d030107", "30082a8648ce3d030107", EXPLICIT },
		{ "03420004", "03420002", OTHER_FORM },
		{ "03420004", "03420003", OTHER_FORM },
		{ "03420004", "03420000", OTHER_FORM },
		{ "03420004", "03420104", CANNOT_BE_READ },
		{ "03420004", "04420004", CANNOT_BE_READ },
		{ "03420004", "03410004", CANNOT_BE_READ },
		{ "03420004", "03430004", CANNOT_BE_READ },
		{ "03420004", "03000004", CANNOT_BE_READ },
		{ "03420004", "03800004", CANNOT_BE_READ },
		{ "03420004", "03ff0004", CANNOT_BE_READ },
		{ "03420004", "03840004", CANNOT_BE_READ },
		{ "a003020102", "a103020102", CANNOT_BE_READ },
		{ "a003020102", "a004020102", CANNOT_BE_READ },
		{ "3059301306", "3159301306", CANNOT_BE_READ },
		{ "3059301306", "3058301306", CANNOT_BE_READ },
		{ "3059301306", "305a301306", CANNOT_BE_READ },
		{ "3059301306", "3059311306", CANNOT_BE_READ },
		{ "3059301306", "3059301206", CANNOT_BE_READ },
		{ "3059301306", "3059308106", CANNOT_BE_READ },
	};

	check_changes(EVP_EC_gen("P-256"), changes, array_size(changes));
}

static void test_changed_rsa_key(void **state)
{
	static const struct change changes[] = {
		{ "0203010001", "0203810001", CANNOT_BE_READ },	/* negative */
		{ "0203010001", "0203000001", CANNOT_BE_READ },	/* padded */
		{ "0203010001", "0303010001", CANNOT_BE_READ },
		{ "0203010001", "0202010001", CANNOT_BE_READ },
		{ "0203010001", "0204010001", CANNOT_BE_READ },
		{ "028201010080", "028201010180", NULL },
		{ "028201010080", "028201018080", CANNOT_BE_READ },
		{ "028201010080", "02820101007f", CANNOT_BE_READ },
		{ "028201010080", "028200010080", CANNOT_BE_READ },
		{ "0382010f00", "0382010f01", CANNOT_BE_READ },
		{ "2a864886f70d010101", "2a864886f70d010102", OTHER_TYPE },
		{ "2a864886f70d010101", "2a864886f70d01010a", NULL },
	};

	check_changes(rsa_of(2048, 17), changes, array_size(changes));
}

static void test_length_that_is_not_minimal(void **state)
{
	_der_ der = der_about(EVP_EC_gen("P-256"));
	uint8_t longer[1024];

	assert_true(der.n < sizeof(longer));
	assert_memory_equal(der.bytes, "\x30\x82\x01", 3);
	memcpy(longer + 1, der.bytes, der.n);
	memcpy(longer, "\x30\x83\x00", 3);
	assert_string_equal(judge(longer, der.n + 1), CANNOT_BE_READ);
	/* The same with an end mark instead of a length. */
	memcpy(longer, der.bytes, der.n);
	longer[1] = 0x80;
	assert_string_equal(judge(longer, der.n), CANNOT_BE_READ);
}

static void test_ends_where_it_should_not(void **state)
{
	_der_ der = der_about(EVP_EC_gen("P-256"));
	uint8_t longer[1024] = { 0 };

	assert_true(der.n < sizeof(longer));
	for (size_t n = 0; n < der.n; n++)
		assert_string_equal(judge(der.bytes, n), CANNOT_BE_READ);
	memcpy(longer, der.bytes, der.n);
	assert_string_equal(judge(longer, der.n + 1), CANNOT_BE_READ);
}

/* A key without anything behind it that would be there to be read in its stead. */
static void test_ends_with_the_key(void **state)
{
	static const struct {
		const char *spki, *fault;
	} rows[] = {
		{ "300506032b65700300", CANNOT_BE_READ },
		{ "300506032b6570030100", NULL },
		{ "300506032b657003", CANNOT_BE_READ },
		{ "300506032b65700381", CANNOT_BE_READ },
		{ "300506032b65700383ff", CANNOT_BE_READ },
		{ "300006032b6570030100", CANNOT_BE_READ },
		{ "", CANNOT_BE_READ },
		{ "30", CANNOT_BE_READ },
		{ "301306072a8648ce3d020106082a8648ce3d030107030100", CANNOT_BE_READ },
		{ "301306072a8648ce3d020106082a8648ce3d03010703020004", NULL },
		{ "300906072a8648ce3d020103020004", CANNOT_BE_READ },
		{ "300b06072a8648ce3d0201050003020004", CANNOT_BE_READ },
		{ "300b06092a864886f70d010101030100", CANNOT_BE_READ },
		{ "300b06092a864886f70d0101010303003000", CANNOT_BE_READ },
		{ "300b06092a864886f70d01010103050030020200", CANNOT_BE_READ },
		{ "300b06092a864886f70d0101010306003003020100", CANNOT_BE_READ },
		{ "300b06092a864886f70d0101010309003006020100020100", NULL },
		{ "300b06092a864886f70d01010103080030050201000200", CANNOT_BE_READ },
		{ "300b06092a864886f70d010101030b0030060201000201000500", CANNOT_BE_READ },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		uint8_t der[64] = "\x30\x0f\x30\x0d\x02\x01\x01\x30\x00\x30\x00\x30\x00\x30\x00"
				  "\x30";
		size_t n = 0;

		if (*rows[i].spki)
			assert_int_equal(OPENSSL_hexstr2buf_ex(der + 17, sizeof(der) - 17, &n,
							       rows[i].spki, '\0'), 1);
		der[1] += (uint8_t)n;
		der[3] += (uint8_t)n;
		der[16] = (uint8_t)n;
		assert_string_equal(expected(judge(der, 17 + n)), expected(rows[i].fault));
	}
}

static void test_version_1(void **state)
{
	_identity_ id = make(.cn = "old");
	_der_ der = { 0 };

	assert_int_equal(X509_set_version(id.cert, 0), 1);
	assert_true(X509_sign(id.cert, id.key, EVP_sha256()) > 0);
	der = der_of(id.cert);
	check(&der, NULL);
}

/* --- where the key is */

static void add_ballast(X509 *cert, size_t n)
{
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	_cleanup_free_ uint8_t *ballast = calloc(1, n);

	ASN1_OCTET_STRING_set(data, ballast, (int)n);
	X509_EXTENSION_create_by_NID(&extension, NID_netscape_comment, 0, data);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
}

static void test_what_is_behind_the_key_is_not_looked_at(void **state)
{
	static const size_t sizes[] = { 100, 7000, 8000, 20000, 70000 };

	for (size_t i = 0; i < array_size(sizes); i++) {
		_identity_ id = make(.cn = "ballast");
		_der_ der = { 0 };

		add_ballast(id.cert, sizes[i]);
		X509_sign(id.cert, id.key, EVP_sha256());
		der = der_of(id.cert);
		check(&der, NULL);
	}
}

/* As many names as make it so long, and the key must still lie in what is looked at. */
static void test_names_before_the_key(void **state)
{
	bool refused = false;

	for (int n = 100; n <= 140; n++) {
		_identity_ id = make(.cn = "names");
		_der_ der = { 0 };
		const char *fault;
		bool fits;

		for (int i = 0; i < n; i++)
			X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "OU",
						   MBSTRING_ASC,
						   (const unsigned char *)"fifty characters of a "
						   "unit that nobody has heard of.", -1, -1, 0);
		X509_sign(id.cert, id.key, EVP_sha256());
		der = der_of(id.cert);
		fits = (size_t)((uint8_t *)memmem(der.bytes, der.n, "\x03\x42\x00\x04", 4) -
				der.bytes) + 4 + 64 <= SPKI_HEAD_MAX;
		fault = judge(der.bytes, der.n);
		assert_string_equal(expected(fault), expected(fits ? NULL : CANNOT_BE_READ));
		refused |= !fits;
	}
	assert_true(refused);
}

/* --- anything at all */

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What is let through costs OpenSSL next to nothing, whether it is good or not; returns if so. */
static bool try(const uint8_t *der, size_t n)
{
	const unsigned char *at = der;
	double begin;

	if (judge(der, n))
		return false;
	begin = seconds();
	X509_free(d2i_X509(NULL, &at, (long)n));
	ERR_clear_error();
	assert_true(seconds() - begin < 0.05);
	return true;
}

static void mutate(const struct der *der, uint32_t seed)
{
	_cleanup_free_ uint8_t *copy = malloc(der->n);
	const unsigned char *at = der->bytes;
	size_t through = 0, all = 0;

	/* The first one of a kind is dearer: decoders are fetched. */
	X509_free(d2i_X509(NULL, &at, (long)der->n));
	memcpy(copy, der->bytes, der->n);
	for (size_t i = 0; i < der->n; i++) {
		const uint8_t values[] = { copy[i] ^ 0x80, (uint8_t)next(&seed) };

		for (size_t j = 0; j < sizeof(values); j++, all++) {
			copy[i] = values[j];
			through += try(copy, der->n);
			copy[i] = der->bytes[i];
		}
	}
	for (int i = 0; i < 500; i++, all++) {
		for (uint32_t n = 1 + next(&seed) % 4; n; n--)
			copy[next(&seed) % der->n] = (uint8_t)next(&seed);
		through += try(copy, der->n);
		memcpy(copy, der->bytes, der->n);
	}
	/* Both happen, or nothing was tried. */
	assert_true(through > all / 10 && through < all);
}

static void test_mutations(void **state)
{
	_der_ ec = der_about(EVP_EC_gen("P-521"));
	_der_ rsa = der_about(rsa_of(2048, 17));
	_der_ edwards = der_about(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));

	mutate(&ec, 1);
	mutate(&rsa, 2);
	mutate(&edwards, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_changed_ec_key),
		cmocka_unit_test(test_changed_rsa_key),
		cmocka_unit_test(test_length_that_is_not_minimal),
		cmocka_unit_test(test_ends_where_it_should_not),
		cmocka_unit_test(test_ends_with_the_key),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_what_is_behind_the_key_is_not_looked_at),
		cmocka_unit_test(test_names_before_the_key),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
