/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=calloc,--wrap=strdup */
#include "tests/unit/addresses.h"
#include "tests/unit/x509.h"

#include "daemon/cert.h"
#include "daemon/trace.h"
#include "daemon/verify.h"

#include <openssl/err.h>
#include <stdio.h>

static size_t allocations, fail_at;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t n, size_t size)
{
	return ++allocations == fail_at ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
	return ++allocations == fail_at ? NULL : __real_strdup(text);
}

static size_t openssl_allocations, openssl_fails_at;

static void *openssl_malloc(size_t n, const char *file, int line)
{
	return ++openssl_allocations == openssl_fails_at ? NULL : malloc(n);
}

static void *openssl_realloc(void *block, size_t n, const char *file, int line)
{
	return ++openssl_allocations == openssl_fails_at ? NULL : realloc(block, n);
}

static void openssl_free(void *block, const char *file, int line)
{
	free(block);
}

/* --- attempts */

static void expect_attempt(const struct proto_trace *trace, size_t i, const char *address,
			   enum proto_attempt_state state, int sys_errno, uint64_t begun,
			   uint64_t took)
{
	const struct proto_attempt *attempt = (const struct proto_attempt *)trace->attempts.items + i;

	assert_string_equal(attempt->address, address);
	assert_int_equal(attempt->state, state);
	assert_int_equal(attempt->sys_errno, sys_errno);
	assert_int_equal(attempt->begun, begun);
	assert_int_equal(attempt->took, took);
}

/* They end in another order than they have begun in. */
static void test_attempts(void **state)
{
	struct sockaddr_storage one = address_of("192.0.2.1"), two = address_of("2001:db8::1");
	struct proto_trace trace = { 0 };

	address_set_port(&one, 443);
	address_set_port(&two, 8443);
	assert_true(trace_begin(&trace));
	assert_int_equal(trace.attempts.n, 0);
	trace_attempt(&trace, &one, 5);
	trace_attempt(&trace, &two, 105);
	trace_attempt(&trace, &one, 205);
	trace_attempt_over(&trace, 1, PROTO_ATTEMPT_FAILED, ECONNREFUSED, 110);
	trace_attempt_over(&trace, 2, PROTO_ATTEMPT_CONNECTED, 0, 300);
	trace_attempt_over(&trace, 0, PROTO_ATTEMPT_ABANDONED, 0, 301);
	assert_int_equal(trace.attempts.n, 3);
	expect_attempt(&trace, 0, "192.0.2.1:443", PROTO_ATTEMPT_ABANDONED, 0, 5, 296);
	expect_attempt(&trace, 1, "[2001:db8::1]:8443", PROTO_ATTEMPT_FAILED, ECONNREFUSED, 105, 5);
	expect_attempt(&trace, 2, "192.0.2.1:443", PROTO_ATTEMPT_CONNECTED, 0, 205, 95);
	proto_trace_deinit(&trace);
}

/* --- the chain */

static struct identity root, between, leaf;

static int begin(void **state)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	root = make(.cn = "root", .ca = true, .key = rsa);
	between = make(.cn = "between", .ca = true, .issuer = &root);
	leaf = make(.cn = "leaf", .names = "DNS:a.example,email:a@b.example,IP:192.0.2.1,"
					   "DNS:*.b.example,IP:2001:db8::1", .issuer = &between,
		    .key = edwards);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(edwards);
	return 0;
}

static int end(void **state)
{
	identity_free(&root);
	identity_free(&between);
	identity_free(&leaf);
	return 0;
}

static STACK_OF(X509) *chain_of(X509 *const certs[], size_t n)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (size_t i = 0; i < n; i++)
		sk_X509_push(chain, certs[i]);
	return chain;
}

static struct proto_trace traced(X509 *const certs[], size_t n, const X509 *culprit, int code)
{
	STACK_OF(X509) *chain = chain_of(certs, n);
	struct proto_trace trace = { 0 };

	assert_true(trace_begin(&trace));
	assert_true(trace_chain(&trace, chain, culprit, code));
	sk_X509_free(chain);
	return trace;
}

static const struct proto_certificate *cert_at(const struct proto_trace *trace, size_t i)
{
	assert_true(i < trace->chain.n);
	return (const struct proto_certificate *)trace->chain.items + i;
}

static void expect_names(const struct proto_strings *names, const char *expected)
{
	char text[1024] = "";

	for (size_t i = 0; i < names->n; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", names->items[i]);
	assert_string_equal(text, expected);
}

static void expect_hashes(const struct proto_certificate *told, const X509 *cert)
{
	const struct {
		enum proto_pin_kind kind;
		const char *text;
	} rows[] = { { PROTO_PIN_CERT, told->cert_sha256 }, { PROTO_PIN_SPKI, told->spki_sha256 } };
	char text[96];
	struct proto_pin pin;
	uint8_t sha256[32];

	for (size_t i = 0; i < array_size(rows); i++) {
		snprintf(text, sizeof(text), "%s-sha256:%s", i ? "spki" : "cert", rows[i].text);
		assert_true(proto_pin_parse(&pin, text));
		assert_true(cert_digest(cert, rows[i].kind, sha256));
		assert_memory_equal(pin.sha256, sha256, sizeof(sha256));
	}
}

static void test_chain(void **state)
{
	X509 *certs[] = { leaf.cert, between.cert, root.cert };
	static const struct {
		const char *subject, *issuer, *key, *signature, *names;
	} rows[] = {
		{ "CN=leaf", "CN=between", "ED25519", "ecdsa-with-SHA256",
		  "a.example 192.0.2.1 *.b.example 2001:db8::1" },
		{ "CN=between", "CN=root", "EC prime256v1", "sha256WithRSAEncryption", "" },
		{ "CN=root", "CN=root", "RSA 2048", "sha256WithRSAEncryption", "" },
	};
	struct proto_trace trace = traced(certs, array_size(certs), NULL, 0);

	assert_int_equal(trace.chain.n, 3);
	for (size_t i = 0; i < array_size(rows); i++) {
		const struct proto_certificate *told = cert_at(&trace, i);

		assert_string_equal(told->subject, rows[i].subject);
		assert_string_equal(told->issuer, rows[i].issuer);
		assert_string_equal(told->key, rows[i].key);
		assert_string_equal(told->signature, rows[i].signature);
		assert_string_equal(told->problem, "");
		expect_names(&told->names, rows[i].names);
		expect_hashes(told, certs[i]);
	}
	proto_trace_deinit(&trace);
}

static void test_dates(void **state)
{
	_identity_ id = make(.cn = "dates");
	struct proto_trace trace;

	assert_int_equal(ASN1_TIME_set_string(X509_getm_notBefore(id.cert), "19991231235958Z"), 1);
	assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(id.cert), "99991231235959Z"), 1);
	trace = traced(&id.cert, 1, NULL, 0);
	assert_string_equal(cert_at(&trace, 0)->not_before, "1999-12-31T23:59:58Z");
	assert_string_equal(cert_at(&trace, 0)->not_after, "9999-12-31T23:59:59Z");
	proto_trace_deinit(&trace);
}

#define EXPIRED X509_V_ERR_CERT_HAS_EXPIRED

static void test_culprit(void **state)
{
	_identity_ stranger = make(.cn = "stranger");
	X509 *copy = X509_dup(between.cert);
	X509 *certs[] = { leaf.cert, between.cert, between.cert, root.cert };
	const struct {
		const X509 *culprit;
		size_t at;
	} rows[] = {
		{ leaf.cert, 0 }, { between.cert, 1 }, { root.cert, 3 }, { copy, 1 },
		{ stranger.cert, 4 }, { NULL, 4 },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_trace trace = traced(certs, array_size(certs), rows[i].culprit, EXPIRED);

		for (size_t n = 0; n < array_size(certs); n++)
			assert_string_equal(cert_at(&trace, n)->problem,
					    n == rows[i].at ? "X509_V_ERR_CERT_HAS_EXPIRED" : "");
		proto_trace_deinit(&trace);
	}
	X509_free(copy);
}

/* --- what a hostile peer sends */

static struct identity with_names(const char *text, size_t size, size_t n)
{
	struct identity id = make(.cn = "names");
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	for (size_t i = 0; i < n; i++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *value = ASN1_IA5STRING_new();

		assert_int_equal(ASN1_STRING_set(value, text, (int)size), 1);
		GENERAL_NAME_set0_value(name, GEN_DNS, value);
		sk_GENERAL_NAME_push(names, name);
	}
	assert_int_equal(X509_add1_ext_i2d(id.cert, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
	return id;
}

static void test_names_of_a_hostile_leaf(void **state)
{
	char long_name[3000];
	const struct {
		const char *text;
		size_t size, n, told;
		const char *name;
	} rows[] = {
		{ "x", 1, PROTO_CERT_NAMES_MAX, PROTO_CERT_NAMES_MAX, "x" },
		{ "x", 1, PROTO_CERT_NAMES_MAX + 1, PROTO_CERT_NAMES_MAX, "x" },
		{ "x", 1, VERIFY_NAMES_MAX, PROTO_CERT_NAMES_MAX, "x" },
		{ "x", 1, VERIFY_NAMES_MAX + 1, 0, NULL },
		{ "good.example\0.evil", 18, 1, 1, "good.example\\x00.evil" },
		{ "\x1b[2J\xff", 5, 1, 1, "\\x1b[2J\\xff" },
		{ "", 0, 1, 1, "" },
		{ long_name, sizeof(long_name), 1, 1, NULL },
	};

	memset(long_name, 0, sizeof(long_name));
	for (size_t i = 0; i < array_size(rows); i++) {
		_identity_ id = with_names(rows[i].text, rows[i].size, rows[i].n);
		struct proto_trace trace = traced(&id.cert, 1, NULL, 0);
		const struct proto_strings *names = &cert_at(&trace, 0)->names;

		assert_int_equal(names->n, rows[i].told);
		for (size_t n = 0; rows[i].name && n < names->n; n++)
			assert_string_equal(names->items[n], rows[i].name);
		for (size_t n = 0; n < names->n; n++)
			assert_true(strlen(names->items[n]) < 256);
		proto_trace_deinit(&trace);
	}
}

static void test_addresses_that_are_none(void **state)
{
	/* iPAddress of 5 bytes, of none; and of 4, behind them */
	static const unsigned char der[] = "\x30\x0f\x87\x05\1\2\3\4\5\x87\x00\x87\x04\xc0\0\2\1";
	_identity_ id = make(.cn = "addresses");
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	struct proto_trace trace;

	ASN1_OCTET_STRING_set(data, der, sizeof(der) - 1);
	X509_EXTENSION_create_by_NID(&extension, NID_subject_alt_name, 0, data);
	X509_add_ext(id.cert, extension, -1);
	trace = traced(&id.cert, 1, NULL, 0);
	expect_names(&cert_at(&trace, 0)->names, "192.0.2.1");
	proto_trace_deinit(&trace);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
}

/* Who has too many names is refused before they are parsed, and told of without that. */
static void test_names_of_a_hostile_issuer(void **state)
{
	_identity_ id = with_names("x", 1, VERIFY_NAMES_MAX + 1);
	const uint8_t *at;
	uint8_t *der = NULL;
	int size = i2d_X509(id.cert, &der);
	X509 *certs[] = { leaf.cert, (at = der, d2i_X509(NULL, &at, size)) };
	struct proto_trace trace;

	openssl_allocations = 0;
	trace = traced(certs, array_size(certs), certs[1], EXPIRED);
	assert_in_range(openssl_allocations, 1, VERIFY_NAMES_MAX / 2);
	assert_string_equal(cert_at(&trace, 1)->problem, "X509_V_ERR_CERT_HAS_EXPIRED");
	proto_trace_deinit(&trace);
	X509_free(certs[1]);
	OPENSSL_free(der);
}

static void test_a_long_chain(void **state)
{
	X509 *certs[VERIFY_CERTS_MAX + 5];
	struct proto_trace trace;

	for (size_t i = 0; i < array_size(certs); i++)
		certs[i] = leaf.cert;
	trace = traced(certs, array_size(certs), NULL, 0);
	assert_int_equal(trace.chain.n, VERIFY_CERTS_MAX);
	proto_trace_deinit(&trace);
	trace = traced(certs, 0, NULL, 0);
	assert_int_equal(trace.chain.n, 0);
	proto_trace_deinit(&trace);
}

/* --- want of memory */

static bool make_trace(STACK_OF(X509) *chain)
{
	struct proto_trace trace = { 0 };
	bool made = trace_begin(&trace) && trace_chain(&trace, chain, NULL, 0);

	proto_trace_deinit(&trace);
	return made;
}

static void test_no_memory(void **state)
{
	STACK_OF(X509) *chain = chain_of(&leaf.cert, 1);
	size_t n;

	allocations = fail_at = 0;
	assert_true(make_trace(chain));
	/* Its two lists, that of the names, and four of these. */
	n = allocations;
	assert_int_equal(n, 7);
	for (size_t i = 1; i <= n; i++) {
		allocations = 0;
		fail_at = i;
		assert_false(make_trace(chain));
	}
	fail_at = 0;
	sk_X509_free(chain);
}

static void expect_same(const struct proto_trace *trace, const struct proto_trace *whole)
{
	assert_int_equal(trace->chain.n, whole->chain.n);
	for (size_t i = 0; i < whole->chain.n; i++) {
		struct proto_certificate a = *cert_at(trace, i), b = *cert_at(whole, i);

		assert_int_equal(a.names.n, b.names.n);
		a.names = b.names;
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* OpenSSL's memory: all is told, or it is said that this was not to be had. */
static void test_no_memory_of_openssl(void **state)
{
	X509 *certs[] = { leaf.cert, between.cert, root.cert };
	STACK_OF(X509) *chain = chain_of(certs, array_size(certs));
	struct proto_trace whole = traced(certs, array_size(certs), NULL, 0);
	size_t n = SIZE_MAX, refusals = 0;

	for (size_t i = 0; i <= n; i++) {
		struct proto_trace trace = { 0 };
		bool made;

		assert_true(trace_begin(&trace));
		openssl_allocations = 0;
		openssl_fails_at = i;
		made = trace_chain(&trace, chain, NULL, 0);
		openssl_fails_at = 0;
		n = i ? n : openssl_allocations;
		refusals += !made;
		if (made)
			expect_same(&trace, &whole);
		assert_int_equal(ERR_peek_error(), 0);
		proto_trace_deinit(&trace);
	}
	assert_true(refusals > 0);
	proto_trace_deinit(&whole);
	sk_X509_free(chain);
}

int main(void)
{
	CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);

	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_culprit),
		cmocka_unit_test(test_names_of_a_hostile_leaf),
		cmocka_unit_test(test_addresses_that_are_none),
		cmocka_unit_test(test_names_of_a_hostile_issuer),
		cmocka_unit_test(test_a_long_chain),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_memory_of_openssl),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
