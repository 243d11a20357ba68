/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=handshake_obstacle,--wrap=calloc,--wrap=strdup */
#include "tests/unit/pipe.h"

#include "daemon/survey.h"

#include <errno.h>
#include <string.h>

static const struct kernel takes_all, takes_no_tls = { .ulp_errno = ENOENT },
			   takes_no_gcm = { .cipher_errno = { ENOENT, ENOENT } };

/* --- what was offered */

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

static SSL *offering(const char *suites)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, suites), 1);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	return ssl;
}

static void expect_list(const struct proto_strings *names, const char *expected)
{
	char text[1024] = "";

	for (size_t i = 0; i < names->n; i++)
		sprintf(text + strlen(text), "%s%s", i ? ":" : "", names->items[i]);
	assert_string_equal(text, expected);
}

static void test_lists(void **state)
{
	static const char mixture[] = "ECDHE-ECDSA-AES256-CCM:ECDHE-RSA-CHACHA20-POLY1305:AES128-SHA:"
				      "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM8";
	static const struct {
		const char *offered;
		const struct kernel *kernel;
		const char *offloadable;
	} rows[] = {
		{ mixture, &takes_all, "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384" },
		{ mixture, &takes_no_gcm, "ECDHE-RSA-CHACHA20-POLY1305" },
		{ mixture, &takes_no_tls, "" },
		{ "AES128-SHA:AES256-SHA", &takes_all, "" },
		{ "AES128-GCM-SHA256", &takes_all, "AES128-GCM-SHA256" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_probe probe = { .takes_over = false };
		SSL *ssl = offering(rows[i].offered);

		assert_true(survey_offer(&probe, ssl, rows[i].kernel));
		expect_list(&probe.offered, rows[i].offered);
		expect_list(&probe.offloadable, rows[i].offloadable);
		proto_probe_deinit(&probe);
		SSL_free(ssl);
	}
}

/* What is set and will not be said is not offered. */
static void test_what_is_left_out_of_the_hello(void **state)
{
	SSL *ssl = offering("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
	struct proto_probe probe = { .takes_over = false };

	SSL_set1_sigalgs_list(ssl, "RSA+SHA256");
	assert_true(survey_offer(&probe, ssl, &takes_all));
	expect_list(&probe.offered, "ECDHE-RSA-AES128-GCM-SHA256");
	proto_probe_deinit(&probe);
	SSL_free(ssl);
}

static void test_nothing_is_left(void **state)
{
	SSL *ssl = offering("ECDHE-ECDSA-AES128-GCM-SHA256");
	struct proto_probe probe = { .takes_over = false };

	SSL_set1_sigalgs_list(ssl, "RSA+SHA256");
	assert_true(survey_offer(&probe, ssl, &takes_all));
	expect_list(&probe.offered, "");
	expect_list(&probe.offloadable, "");
	proto_probe_deinit(&probe);
	SSL_free(ssl);
}

static void test_no_more_than_a_reply_holds(void **state)
{
	SSL *ssl = offering("ALL:COMPLEMENTOFALL:@SECLEVEL=0");
	STACK_OF(SSL_CIPHER) *all = SSL_get1_supported_ciphers(ssl);
	struct proto_probe probe = { .takes_over = false };

	assert_true(sk_SSL_CIPHER_num(all) > PROTO_SUITES_MAX);
	assert_true(survey_offer(&probe, ssl, &takes_all));
	assert_int_equal(probe.offered.n, PROTO_SUITES_MAX);
	assert_true(probe.offloadable.n > 0 && probe.offloadable.n < PROTO_SUITES_MAX);
	assert_string_equal(probe.offered.items[PROTO_SUITES_MAX - 1],
			    SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, PROTO_SUITES_MAX - 1)));
	proto_probe_deinit(&probe);
	sk_SSL_CIPHER_free(all);
	SSL_free(ssl);
}

static void test_no_memory(void **state)
{
	SSL *ssl = offering("AES128-SHA:AES128-GCM-SHA256");
	size_t n;

	for (n = 1; n < 100; n++) {
		struct proto_probe probe = { .takes_over = false };
		bool listed;

		allocations = 0;
		fail_at = n;
		listed = survey_offer(&probe, ssl, &takes_all);
		fail_at = 0;
		assert_int_equal(listed, allocations < n);
		proto_probe_deinit(&probe);
		if (listed)
			break;
	}
	/* Two lists, and three names on them. */
	assert_int_equal(n, 2 + 3 + 1);
	SSL_free(ssl);
}

/* --- what was agreed on */

static const char *obstacle;

const char *__wrap_handshake_obstacle(const struct handshake *handshake);

const char *__wrap_handshake_obstacle(const struct handshake *handshake)
{
	return obstacle;
}

static void test_taking_over(void **state)
{
	static const struct {
		const char *suite;
		int version;
		const struct kernel *kernel;
		const char *obstacle;
		bool takes_over;
	} rows[] = {
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, &takes_all, NULL, true },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, &takes_all, "resumed", false },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, &takes_no_gcm, NULL, false },
		{ "ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION, &takes_no_gcm, NULL, true },
		{ "ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION, &takes_no_tls, NULL, false },
		{ "ECDHE-ECDSA-AES128-SHA", TLS1_2_VERSION, &takes_all, NULL, false },
		{ "ECDHE-ECDSA-AES256-CCM", TLS1_2_VERSION, &takes_all, NULL, false },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_3_VERSION, &takes_all, NULL, false },
	};
	_identity_ leaf = make(.cn = "leaf", .names = "DNS:host.example");

	for (size_t i = 0; i < array_size(rows); i++) {
		SSL_CTX *server = server_ctx(&leaf, rows[i].suite);
		struct handshake handshake = { .ssl = offering(rows[i].suite) };
		struct ends ends;

		SSL_set_max_proto_version(handshake.ssl, rows[i].version);
		ends_init(&ends, handshake.ssl, SSL_new(server));
		SSL_set_max_proto_version(ends.server, rows[i].version);
		assert_true(shake(&ends));
		assert_int_equal(SSL_version(handshake.ssl), rows[i].version);
		obstacle = rows[i].obstacle;
		assert_int_equal(survey_session(&handshake, rows[i].kernel), rows[i].takes_over);
		ends_deinit(&ends);
		SSL_CTX_free(server);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_what_is_left_out_of_the_hello),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_no_more_than_a_reply_holds),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_taking_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
