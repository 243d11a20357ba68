/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/cipher.h"
#include "daemon/kernel.h"

#include <linux/tls.h>
#include <string.h>

static const struct {
	const char *suite;
	const char *kernel;	/* NULL: the kernel has none such */
} known[] = {
	{ "ECDHE-ECDSA-AES128-GCM-SHA256", "aes-gcm-128" },
	{ "ECDHE-RSA-AES128-GCM-SHA256", "aes-gcm-128" },
	{ "DHE-RSA-AES128-GCM-SHA256", "aes-gcm-128" },
	{ "AES128-GCM-SHA256", "aes-gcm-128" },
	{ "ECDHE-RSA-AES256-GCM-SHA384", "aes-gcm-256" },
	{ "ECDHE-ECDSA-AES256-GCM-SHA384", "aes-gcm-256" },
	{ "ECDHE-ECDSA-CHACHA20-POLY1305", "chacha20-poly1305" },
	{ "ECDHE-RSA-CHACHA20-POLY1305", "chacha20-poly1305" },
	{ "ECDHE-ECDSA-AES128-CCM", "aes-ccm-128" },
	{ "DHE-RSA-AES128-CCM", "aes-ccm-128" },
	{ "AES128-CCM", "aes-ccm-128" },
	{ "ECDHE-ECDSA-AES128-CCM8", NULL },
	{ "DHE-RSA-AES128-CCM8", NULL },
	{ "AES128-CCM8", NULL },
	{ "ECDHE-ECDSA-AES256-CCM", NULL },
	{ "ECDHE-ECDSA-AES256-CCM8", NULL },
	{ "ECDHE-RSA-AES128-SHA", NULL },
	{ "ECDHE-RSA-AES256-SHA384", NULL },
	{ "AES256-SHA256", NULL },
	{ "ECDHE-ARIA128-GCM-SHA256", NULL },
	{ "ECDHE-RSA-CAMELLIA128-SHA256", NULL },
	{ "ECDHE-RSA-NULL-SHA", NULL },
};

static void test_suites(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_ciphersuites(ctx, "");
	for (size_t i = 0; i < array_size(known); i++) {
		const struct cipher *cipher;

		assert_int_equal(SSL_CTX_set_cipher_list(ctx, known[i].suite), 1);
		assert_int_equal(sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(ctx)), 1);
		cipher = cipher_of_suite(sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(ctx), 0));
		if (known[i].kernel) {
			assert_non_null(cipher);
			assert_string_equal(cipher->name, known[i].kernel);
		} else {
			assert_null(cipher);
		}
	}
	SSL_CTX_free(ctx);
}

/* Whatever this OpenSSL has: what the table takes has a tag of 16 bytes, a key of that size. */
static void test_all_suites(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	STACK_OF(SSL_CIPHER) *suites;
	int n = 0;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_ciphersuites(ctx, "");
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL"), 1);
	suites = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);
		const struct cipher *cipher = cipher_of_suite(suite);
		char text[200];

		SSL_CIPHER_description(suite, text, sizeof(text));
		if (!cipher) {
			assert_null(strstr(text, "Enc=AESGCM"));
			assert_null(strstr(text, "Enc=CHACHA20"));
			assert_null(strstr(text, "Enc=AESCCM(128)"));
			continue;
		}
		n++;
		assert_non_null(strstr(text, "Mac=AEAD"));
		assert_null(strstr(text, "CCM8"));
		assert_int_equal(SSL_CIPHER_get_bits(suite, NULL), cipher->key_size * 8);
	}
	assert_true(n >= 10);
	SSL_CTX_free(ctx);
}

static void test_table(void **state)
{
	static const struct {
		uint16_t type;
		size_t iv, key, salt;
	} kernel[] = {
		{ TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_128_IV_SIZE,
		  TLS_CIPHER_AES_GCM_128_KEY_SIZE, TLS_CIPHER_AES_GCM_128_SALT_SIZE },
		{ TLS_CIPHER_AES_GCM_256, TLS_CIPHER_AES_GCM_256_IV_SIZE,
		  TLS_CIPHER_AES_GCM_256_KEY_SIZE, TLS_CIPHER_AES_GCM_256_SALT_SIZE },
		{ TLS_CIPHER_CHACHA20_POLY1305, TLS_CIPHER_CHACHA20_POLY1305_IV_SIZE,
		  TLS_CIPHER_CHACHA20_POLY1305_KEY_SIZE, TLS_CIPHER_CHACHA20_POLY1305_SALT_SIZE },
		{ TLS_CIPHER_AES_CCM_128, TLS_CIPHER_AES_CCM_128_IV_SIZE,
		  TLS_CIPHER_AES_CCM_128_KEY_SIZE, TLS_CIPHER_AES_CCM_128_SALT_SIZE },
	};

	assert_int_equal(n_ciphers, array_size(kernel));
	assert_true(n_ciphers <= KERNEL_CIPHERS_MAX);
	for (size_t i = 0; i < n_ciphers; i++) {
		const struct cipher *c = &ciphers[i];

		assert_int_equal(c->kernel_type, kernel[i].type);
		assert_int_equal(c->iv_size, kernel[i].iv);
		assert_int_equal(c->key_size, kernel[i].key);
		assert_int_equal(c->salt_size, kernel[i].salt);
		assert_int_equal(c->salt_size + c->iv_size, 12);
		assert_int_equal(c->fixed_iv_size, c->explicit_nonce ? c->salt_size : 12);
		assert_true(c->key_size <= CIPHER_KEY_MAX && c->iv_size <= CIPHER_IV_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suites),
		cmocka_unit_test(test_all_suites),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
