/* SPDX-License-Identifier: MIT */
#include "tests/unit/pipe.h"

#include "daemon/policy.h"
#include "daemon/survey.h"
#include "daemon/tls.h"

#include <stdio.h>

#define GROUPS "X25519:P-256:P-384:P-521"
#define SIGALGS "ECDSA+SHA256:ed25519:rsa_pss_pss_sha256:RSA-PSS+SHA256:RSA+SHA256"

#define POLICY(name, ciphers, groups, sigalgs, where)						\
	{ (char *)name, (char *)ciphers, (char *)groups, (char *)sigalgs, (char *)where }

static struct config_policy policies[] = {
	POLICY("default", "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM", GROUPS, SIGALGS,
	       "f:1"),
	POLICY("narrow", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305", "P-384",
	       "RSA+SHA256:ECDSA+SHA384", "f:2"),
	POLICY("wide", "ALL:COMPLEMENTOFALL", GROUPS, SIGALGS, "f:3"),
	POLICY("dhe", "DHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256:AES128-SHA", GROUPS, SIGALGS,
	       "f:4"),
};
static const struct config config = { .policies = policies, .n_policies = array_size(policies) };

/* --- what a peer sees of it */

struct hello {
	char ciphers[2000];	/* names with blanks between */
	uint8_t groups[64], sigalgs[128];
	size_t n_groups, n_sigalgs;
	char name[300], alpn[300];
	size_t n_alpn;
	bool ticket, versions, compression, empty_name;
};

static size_t extension(SSL *ssl, unsigned int type, size_t skip, uint8_t *to, size_t size)
{
	const unsigned char *data;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, type, &data, &n) || n < skip)
		return 0;
	assert_true(n - skip <= size);
	memcpy(to, data + skip, n - skip);
	return n - skip;
}

static void add_ciphers(SSL *ssl, struct hello *hello)
{
	const unsigned char *ids;
	size_t n = SSL_client_hello_get0_ciphers(ssl, &ids);

	for (size_t i = 0; i < n; i += 2) {
		const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, ids + i);

		if (!suite || strstr(SSL_CIPHER_get_name(suite), "SCSV"))
			continue;
		strcat(hello->ciphers, *hello->ciphers ? " " : "");
		strcat(hello->ciphers, SSL_CIPHER_get_name(suite));
	}
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct hello *hello = arg;
	const unsigned char *data;
	size_t n;

	add_ciphers(ssl, hello);
	hello->n_groups = extension(ssl, TLSEXT_TYPE_supported_groups, 2, hello->groups,
				    sizeof(hello->groups));
	hello->n_sigalgs = extension(ssl, TLSEXT_TYPE_signature_algorithms, 2, hello->sigalgs,
				     sizeof(hello->sigalgs));
	extension(ssl, TLSEXT_TYPE_server_name, 5, (uint8_t *)hello->name, sizeof(hello->name) - 1);
	hello->n_alpn = extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, 2,
				  (uint8_t *)hello->alpn, sizeof(hello->alpn));
	hello->ticket = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &data, &n);
	hello->versions = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &data, &n);
	hello->compression = SSL_client_hello_get0_compression_methods(ssl, &data) != 1;
	return SSL_CLIENT_HELLO_ERROR;
}

/* Takes over ssl. */
static void listen_to(SSL *ssl, struct hello *hello)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct ends ends;

	*hello = (struct hello){ .n_alpn = 0 };
	SSL_CTX_set_client_hello_cb(ctx, on_hello, hello);
	ends_init(&ends, ssl, SSL_new(ctx));
	assert_false(shake(&ends));
	ends_deinit(&ends);
	SSL_CTX_free(ctx);
}

/* --- requests */

static struct proto_connect request(void)
{
	return (struct proto_connect){ .host = (char *)"host.example" };
}

static struct tls *new_tls(const struct kernel *kernel)
{
	static const struct kernel all;
	char *message = NULL;
	struct tls *tls = tls_new(&config, kernel ? kernel : &all, &message);

	assert_null(message);
	assert_non_null(tls);
	return tls;
}

static void check_offer(struct tls *tls, const struct proto_connect *wanted, struct hello *hello)
{
	struct proto_status status;
	SSL *ssl = tls_session(tls, wanted, TLS_OFFER_KERNEL, &status);

	if (!ssl)
		fail_msg("%s", status.message);
	listen_to(ssl, hello);
}

static void check_refusal(struct tls *tls, const struct proto_connect *wanted,
			  enum proto_error error, const char *parameter)
{
	struct proto_status status = { .error = PROTO_OK };

	assert_null(tls_session(tls, wanted, TLS_OFFER_KERNEL, &status));
	assert_int_equal(status.error, error);
	assert_string_equal(status.parameter, parameter ? parameter : "");
	if (!parameter)
		assert_int_equal(status.stage, PROTO_STAGE_POLICY);
	assert_true(*status.message);
}

static void test_offer_of_the_default_policy(void **state)
{
	static const uint8_t groups[] = { 0, 29, 0, 23, 0, 24, 0, 25 };
	static const uint8_t sigalgs[] = { 4, 3, 8, 7, 8, 9, 8, 4, 4, 1 };
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct hello hello;

	check_offer(tls, &wanted, &hello);
	assert_string_equal(hello.ciphers,
			    "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
			    "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 "
			    "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305 "
			    "ECDHE-ECDSA-AES128-CCM");
	assert_int_equal(hello.n_groups, sizeof(groups));
	assert_memory_equal(hello.groups, groups, sizeof(groups));
	assert_int_equal(hello.n_sigalgs, sizeof(sigalgs));
	assert_memory_equal(hello.sigalgs, sigalgs, sizeof(sigalgs));
	assert_string_equal(hello.name, "host.example");
	assert_int_equal(hello.n_alpn, 0);
	assert_false(hello.ticket || hello.versions || hello.compression);
}

static void test_version_and_options(void **state)
{
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct proto_status status;
	SSL *ssl = tls_session(tls, &wanted, TLS_OFFER_KERNEL, &status);
	const uint64_t options = SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
				 SSL_OP_NO_COMPRESSION;

	assert_int_equal(SSL_get_min_proto_version(ssl), TLS1_2_VERSION);
	assert_int_equal(SSL_get_max_proto_version(ssl), TLS1_2_VERSION);
	assert_int_equal(SSL_get_security_level(ssl), 2);
	assert_int_equal(SSL_get_options(ssl) & options, options);
	assert_int_equal(SSL_get_verify_mode(ssl), SSL_VERIFY_PEER);
	assert_int_equal(SSL_get_read_ahead(ssl), 0);
	assert_int_equal(SSL_get_quiet_shutdown(ssl), 1);
	assert_int_equal(SSL_CTX_get_session_cache_mode(SSL_get_SSL_CTX(ssl)), SSL_SESS_CACHE_OFF);
	SSL_free(ssl);
}

/* --- ciphers */

static void test_request_narrows_in_its_own_order(void **state)
{
	static const struct {
		const char *policy, *asked, *offered;
	} rows[] = {
		{ NULL, "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ NULL, "ECDHE-RSA-CHACHA20-POLY1305:AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384",
		  "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-RSA-AES256-GCM-SHA384" },
		{ NULL, "ALL:!AESGCM:!CHACHA20", "ECDHE-ECDSA-AES128-CCM" },
		{ "narrow", NULL, "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ "narrow", "CHACHA20:AESGCM",
		  "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES256-GCM-SHA384" },
		{ "dhe", NULL, "DHE-RSA-AES128-GCM-SHA256 AES128-GCM-SHA256" },
		{ "dhe", "AES128-SHA:AES128-GCM-SHA256", "AES128-GCM-SHA256" },
		{ "wide", "AESCCM:AESCCM8",
		  "ECDHE-ECDSA-AES128-CCM DHE-RSA-AES128-CCM AES128-CCM" },
	};
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct hello hello;

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = request();

		wanted.policy.name = (char *)rows[i].policy;
		wanted.policy.ciphers = (char *)rows[i].asked;
		check_offer(tls, &wanted, &hello);
		assert_string_equal(hello.ciphers, rows[i].offered);
	}
}

/* Whatever a policy allows: nothing without a certificate, nothing that the kernel has not. */
static void test_wide_policy(void **state)
{
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct proto_status status;
	STACK_OF(SSL_CIPHER) *suites;
	SSL *ssl;

	wanted.policy.name = (char *)"wide";
	ssl = tls_session(tls, &wanted, TLS_OFFER_KERNEL, &status);
	suites = SSL_get_ciphers(ssl);
	assert_true(sk_SSL_CIPHER_num(suites) > 10);
	for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);
		int nid = SSL_CIPHER_get_auth_nid(suite);

		assert_true(nid == NID_auth_rsa || nid == NID_auth_ecdsa);
		assert_non_null(cipher_of_suite(suite));
		assert_null(strstr(SSL_CIPHER_get_name(suite), "CCM8"));
	}
	SSL_free(ssl);
}

static void test_emptied_by_policy(void **state)
{
	static const struct {
		const char *policy, *asked;
	} rows[] = {
		{ NULL, "AES128-SHA" }, { NULL, "DHE-RSA-AES128-GCM-SHA256" }, { NULL, "PSK" },
		{ NULL, "eNULL" }, { NULL, "aNULL" }, { NULL, "RC4" }, { NULL, "!RC4" },
		{ NULL, "AESCCM8" }, { "narrow", "ECDHE-RSA-AES128-GCM-SHA256" },
		{ "wide", "PSK-AES128-GCM-SHA256" }, { "wide", "ADH-AES128-GCM-SHA256" },
		{ "dhe", "ECDHE+AESGCM" },
	};
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = request();

		wanted.policy.name = (char *)rows[i].policy;
		wanted.policy.ciphers = (char *)rows[i].asked;
		check_refusal(tls, &wanted, PROTO_NOT_AUTHORIZED, NULL);
	}
}

static void test_emptied_by_the_record_format(void **state)
{
	static const char *const asked[] = { "AES128-SHA", "AESCCM8", "ECDHE-ECDSA-AES256-CCM" };
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);

	for (size_t i = 0; i < array_size(asked); i++) {
		struct proto_connect wanted = request();

		wanted.policy.name = (char *)"wide";
		wanted.policy.ciphers = (char *)asked[i];
		check_refusal(tls, &wanted, PROTO_NOT_OFFLOADABLE, NULL);
	}
}

static void test_emptied_by_the_kernel(void **state)
{
	/* Without GCM. */
	const struct kernel kernel = { .cipher_errno = { ENOENT, ENOENT } };
	_cleanup_(tls_freep) struct tls *tls = new_tls(&kernel);
	struct proto_connect wanted = request();
	struct hello hello;

	check_offer(tls, &wanted, &hello);
	assert_string_equal(hello.ciphers, "ECDHE-ECDSA-CHACHA20-POLY1305 "
			    "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-CCM");
	wanted.policy.ciphers = (char *)"AESGCM:ECDHE-RSA-CHACHA20-POLY1305";
	check_offer(tls, &wanted, &hello);
	assert_string_equal(hello.ciphers, "ECDHE-RSA-CHACHA20-POLY1305");
	wanted.policy.ciphers = (char *)"AESGCM";
	check_refusal(tls, &wanted, PROTO_NOT_OFFLOADABLE, NULL);
	wanted.policy.ciphers = NULL;
	wanted.policy.name = (char *)"dhe";
	check_refusal(tls, &wanted, PROTO_NOT_OFFLOADABLE, NULL);
}

static void test_kernel_without_tls(void **state)
{
	const struct kernel kernel = { .ulp_errno = ENOENT };
	_cleanup_(tls_freep) struct tls *tls = new_tls(&kernel);
	struct proto_connect wanted = request();

	check_refusal(tls, &wanted, PROTO_NOT_OFFLOADABLE, NULL);
	wanted.policy.ciphers = (char *)"ECDHE-RSA-AES128-GCM-SHA256";
	check_refusal(tls, &wanted, PROTO_NOT_OFFLOADABLE, NULL);
	wanted.policy.ciphers = (char *)"AES128-SHA";
	check_refusal(tls, &wanted, PROTO_NOT_AUTHORIZED, NULL);
}

/* --- groups, signature algorithms, the rest */

/* --- with no regard to the kernel */

/* What is offered, as the peer sees it and as a survey tells it. */
static void check_whole_offer(struct tls *tls, const struct proto_connect *wanted,
			      const struct kernel *kernel, struct hello *hello)
{
	struct proto_probe probe = { .takes_over = false };
	struct proto_status status;
	SSL *ssl = tls_session(tls, wanted, TLS_OFFER_ALL, &status);
	char told[2000] = "";

	if (!ssl)
		fail_msg("%s", status.message);
	assert_true(survey_offer(&probe, ssl, kernel));
	listen_to(ssl, hello);
	for (size_t i = 0; i < probe.offered.n; i++)
		sprintf(told + strlen(told), "%s%s", i ? " " : "", probe.offered.items[i]);
	assert_string_equal(told, hello->ciphers);
	proto_probe_deinit(&probe);
}

static void test_all_that_policy_allows(void **state)
{
	static const struct {
		const char *policy, *asked, *offered;
	} rows[] = {
		{ "dhe", NULL, "DHE-RSA-AES128-GCM-SHA256 AES128-GCM-SHA256 AES128-SHA" },
		{ "dhe", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256", "AES128-SHA AES128-GCM-SHA256" },
		{ "dhe", "AES128-SHA", "AES128-SHA" },
		{ "narrow", NULL, "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ "narrow", "CHACHA20:AESGCM",
		  "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES256-GCM-SHA384" },
		{ "wide", "ECDHE-ECDSA-AES256-CCM:ECDHE-ECDSA-AES128-CCM8:aNULL",
		  "ECDHE-ECDSA-AES256-CCM ECDHE-ECDSA-AES128-CCM8" },
	};
	static const struct kernel kernels[] = {
		{ .ulp_errno = 0 }, { .ulp_errno = ENOENT }, { .cipher_errno = { ENOENT, ENOENT } },
	};

	for (size_t i = 0; i < array_size(kernels) * array_size(rows); i++) {
		const struct kernel *kernel = &kernels[i / array_size(rows)];
		_cleanup_(tls_freep) struct tls *tls = new_tls(kernel);
		struct proto_connect wanted = request();
		struct hello hello;

		wanted.policy.name = (char *)rows[i % array_size(rows)].policy;
		wanted.policy.ciphers = (char *)rows[i % array_size(rows)].asked;
		check_whole_offer(tls, &wanted, kernel, &hello);
		assert_string_equal(hello.ciphers, rows[i % array_size(rows)].offered);
	}
}

/* The widest policy that there is fits into a reply; without a certificate there is nothing. */
static void test_all_of_a_wide_policy(void **state)
{
	static const struct kernel kernel;
	_cleanup_(tls_freep) struct tls *tls = new_tls(&kernel);
	struct proto_connect wanted = request();
	struct hello hello;

	wanted.policy.name = (char *)"wide";
	check_whole_offer(tls, &wanted, &kernel, &hello);
	assert_non_null(strstr(hello.ciphers, "AES256-SHA"));
	assert_null(strstr(hello.ciphers, "PSK"));
	assert_null(strstr(hello.ciphers, "ADH"));
	assert_null(strstr(hello.ciphers, "NULL"));
}

static void test_whole_offer_that_is_empty(void **state)
{
	static const char *const asked[] = { "AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "PSK" };
	const struct kernel kernel = { .ulp_errno = ENOENT };
	_cleanup_(tls_freep) struct tls *tls = new_tls(&kernel);

	for (size_t i = 0; i < array_size(asked); i++) {
		struct proto_status status = { .error = PROTO_OK };
		struct proto_connect wanted = request();

		wanted.policy.ciphers = (char *)asked[i];
		assert_null(tls_session(tls, &wanted, TLS_OFFER_ALL, &status));
		assert_int_equal(status.error, PROTO_NOT_AUTHORIZED);
	}
}

static void test_groups_and_sigalgs(void **state)
{
	static const uint8_t p384[] = { 0, 24 }, two[] = { 0, 25, 0, 29 };
	static const uint8_t of_policy[] = { 4, 1, 5, 3 }, of_both[] = { 5, 3 };
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct hello hello;

	wanted.policy.groups = (char *)"X448:secp521r1:x25519";
	check_offer(tls, &wanted, &hello);
	assert_int_equal(hello.n_groups, sizeof(two));
	assert_memory_equal(hello.groups, two, sizeof(two));

	wanted.policy.name = (char *)"narrow";
	check_refusal(tls, &wanted, PROTO_NOT_AUTHORIZED, NULL);
	wanted.policy.groups = NULL;
	check_offer(tls, &wanted, &hello);
	assert_int_equal(hello.n_groups, sizeof(p384));
	assert_memory_equal(hello.groups, p384, sizeof(p384));
	assert_int_equal(hello.n_sigalgs, sizeof(of_policy));
	assert_memory_equal(hello.sigalgs, of_policy, sizeof(of_policy));

	wanted.policy.signature_algorithms = (char *)"ecdsa_secp384r1_sha384:ed25519";
	check_offer(tls, &wanted, &hello);
	assert_int_equal(hello.n_sigalgs, sizeof(of_both));
	assert_memory_equal(hello.sigalgs, of_both, sizeof(of_both));
	wanted.policy.signature_algorithms = (char *)"ed25519";
	check_refusal(tls, &wanted, PROTO_NOT_AUTHORIZED, NULL);
}

static void test_invalid_parameters(void **state)
{
	static const struct {
		struct proto_policy policy;
		const char *parameter;
	} rows[] = {
		{ { .name = (char *)"nonesuch" }, "policy.name" },
		{ { .ciphers = (char *)"ECDHE-RSA-AES256-GCM-SHA384:TYPO" }, "policy.ciphers" },
		{ { .ciphers = (char *)"ALL:@SECLEVEL=0" }, "policy.ciphers" },
		{ { .ciphersuites = (char *)"TLS_NONESUCH" }, "policy.ciphersuites" },
		{ { .groups = (char *)"X25519:P-999" }, "policy.groups" },
		{ { .signature_algorithms = (char *)"RSA+MD7" }, "policy.signatureAlgorithms" },
		{ { .groups = (char *)"P-256:P-256" }, "policy.groups" },
	};
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = request();

		wanted.policy = rows[i].policy;
		check_refusal(tls, &wanted, PROTO_INVALID_PARAMETER, rows[i].parameter);
	}
}

static void test_without_effect(void **state)
{
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct hello hello;

	wanted.policy.min_version = PROTO_VERSION_TLS12;
	wanted.policy.max_version = PROTO_VERSION_TLS13;
	wanted.policy.ciphersuites = (char *)"TLS_AES_128_GCM_SHA256";
	check_offer(tls, &wanted, &hello);
	assert_false(hello.versions);
	assert_null(strstr(hello.ciphers, "TLS_"));
}

static void test_server_name(void **state)
{
	static const struct {
		const char *host, *server_name, *sent;
	} rows[] = {
		{ "host.example", NULL, "host.example" },
		{ "host.example.", NULL, "host.example" },
		{ "host.example", "other.example", "other.example" },
		{ "host.example", "other.example.", "other.example" },
		{ "192.0.2.1", NULL, "" },
		{ "2001:db8::1", NULL, "" },
		{ "192.0.2.1", "other.example", "other.example" },
	};
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct hello hello;

	for (size_t i = 0; i < array_size(rows); i++) {
		wanted.host = (char *)rows[i].host;
		wanted.server_name = (char *)rows[i].server_name;
		check_offer(tls, &wanted, &hello);
		assert_string_equal(hello.name, rows[i].sent);
	}
	wanted.server_name = (char *)"192.0.2.1";
	check_refusal(tls, &wanted, PROTO_INVALID_PARAMETER, "serverName");
}

static void test_alpn(void **state)
{
	static char *names[] = { (char *)"h2", (char *)"http/1.1" };
	_cleanup_(tls_freep) struct tls *tls = new_tls(NULL);
	struct proto_connect wanted = request();
	struct hello hello;

	wanted.alpn = (struct proto_strings){ names, 2 };
	check_offer(tls, &wanted, &hello);
	assert_int_equal(hello.n_alpn, 12);
	assert_memory_equal(hello.alpn, "\x02h2\x08http/1.1", 12);
}

/* --- the configuration */

#define WRONG(ciphers, groups, sigalgs) POLICY("p", ciphers, groups, sigalgs, "f:9")

static void test_wrong_policies(void **state)
{
	static const struct {
		struct config_policy policy;
		const char *fault;
	} rows[] = {
		{ WRONG("AESGCM", "P-1", SIGALGS), "f:9: Groups: this OpenSSL" },
		{ WRONG("AESGCM", GROUPS, "RSA"), "f:9: SignatureAlgorithms: this OpenSSL" },
		{ WRONG("AES128-SHA", GROUPS, SIGALGS), "f:9: Ciphers: no kernel" },
		{ WRONG("AESCCM8", GROUPS, SIGALGS), "f:9: Ciphers: no kernel" },
		{ WRONG("PSK-AES128-GCM-SHA256", GROUPS, SIGALGS), "f:9: Ciphers: no kernel" },
		{ WRONG("RC4", GROUPS, SIGALGS), "f:9: Ciphers: no kernel" },
	};
	static const struct kernel kernel;

	for (size_t i = 0; i < array_size(rows); i++) {
		struct config_policy both[] = { policies[0], rows[i].policy };
		const struct config with = { .policies = both, .n_policies = 2 };
		_cleanup_free_ char *message = NULL;

		assert_null(tls_new(&with, &kernel, &message));
		assert_non_null(message);
		assert_ptr_equal(strstr(message, rows[i].fault), message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer_of_the_default_policy),
		cmocka_unit_test(test_version_and_options),
		cmocka_unit_test(test_request_narrows_in_its_own_order),
		cmocka_unit_test(test_wide_policy),
		cmocka_unit_test(test_emptied_by_policy),
		cmocka_unit_test(test_emptied_by_the_record_format),
		cmocka_unit_test(test_emptied_by_the_kernel),
		cmocka_unit_test(test_kernel_without_tls),
		cmocka_unit_test(test_all_that_policy_allows),
		cmocka_unit_test(test_all_of_a_wide_policy),
		cmocka_unit_test(test_whole_offer_that_is_empty),
		cmocka_unit_test(test_groups_and_sigalgs),
		cmocka_unit_test(test_invalid_parameters),
		cmocka_unit_test(test_without_effect),
		cmocka_unit_test(test_server_name),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_wrong_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
