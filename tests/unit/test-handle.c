/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/internal.h"
#include "proto/util.h"

#include <string.h>

#define PIN "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define CA "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

/* The allocation of the library that fails, counted from 0; -1: none. */
static int allocation_to_fail = -1;

static bool allocation_fails(void)
{
	if (allocation_to_fail < 0 || allocation_to_fail-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return allocation_fails() ? NULL : __real_strdup(text);
}

static struct ktls *fresh(void)
{
	struct ktls *k = ktls_new();

	assert_non_null(k);
	return k;
}

/* A text of n bytes. */
static const char *long_text(size_t n)
{
	static char text[2048];

	assert_true(n < sizeof(text));
	memset(text, 'a', n);
	text[n] = '\0';
	return text;
}

static const struct {
	int (*set)(struct ktls *k, const char *text);
	size_t max;
} texts[] = {
	{ ktls_set_store, 64 },
	{ ktls_set_name, 253 },
	{ ktls_set_server_name, 253 },
	{ ktls_add_alpn, 255 },
	{ ktls_set_policy, 64 },
	{ ktls_set_ciphers, 1024 },
	{ ktls_set_ciphersuites, 1024 },
	{ ktls_set_groups, 1024 },
	{ ktls_set_signature_algorithms, 1024 },
};

static void test_text_limits(void **state)
{
	struct ktls *k = fresh();

	for (size_t i = 0; i < array_size(texts); i++) {
		assert_int_equal(texts[i].set(k, long_text(texts[i].max)), 0);
		assert_int_equal(texts[i].set(k, long_text(texts[i].max + 1)), -1);
		assert_int_equal(errno, E2BIG);
		assert_int_equal(texts[i].set(k, ""), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(texts[i].set(k, "a\nb"), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(texts[i].set(k, "h\xc3\xa4"), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(texts[i].set(k, NULL), 0);
	}
	assert_null(k->request.trust.store);
	assert_null(k->request.policy.groups);
	assert_int_equal(k->request.alpn.n, 0);
	ktls_free(k);
}

static void test_former_value_stands(void **state)
{
	struct ktls *k = fresh();
	char name[] = "store";

	assert_int_equal(ktls_set_store(k, name), 0);
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(ktls_set_store(k, long_text(65)), -1);
	assert_string_equal(k->request.trust.store, "store");
	assert_int_equal(ktls_set_port(k, 443), 0);
	assert_int_equal(ktls_set_port(k, 65536), -1);
	assert_int_equal(k->request.port, 443);
	assert_int_equal(ktls_set_ca(k, CA), 0);
	assert_int_equal(ktls_set_ca(k, "nothing"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_set_ca_file(k, "/nonexistent"), -1);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(k->request.trust.ca, CA);
	assert_int_equal(ktls_set_ca_file(k, NULL), 0);
	assert_null(k->request.trust.ca);
	ktls_free(k);
}

static void test_hosts(void **state)
{
	static const char *const good[] = {
		"example.org", "example.org.", "a_b", "::1", "192.0.2.1",
	};
	static const char *const bad[] = {
		"", "a..b", "-a", "*.example.org", "fe80::1%eth0", "[::1]", "127.1", "0x7f000001",
		"a b", "h\xc3\xa4", "example.org:443",
	};
	struct ktls *k = fresh();

	for (size_t i = 0; i < array_size(good); i++) {
		assert_int_equal(ktls_set_host(k, good[i]), 0);
		assert_string_equal(k->request.host, good[i]);
	}
	for (size_t i = 0; i < array_size(bad); i++) {
		assert_int_equal(ktls_set_host(k, bad[i]), -1);
		assert_int_equal(errno, EINVAL);
	}
	assert_string_equal(k->request.host, "192.0.2.1");
	assert_int_equal(ktls_set_host(k, NULL), 0);
	assert_null(k->request.host);
	ktls_free(k);
}

static void test_numbers(void **state)
{
	struct ktls *k = fresh();

	assert_int_equal(k->request.timeout_ms, 20000);
	assert_int_equal(ktls_set_timeout(k, 1), 0);
	assert_int_equal(ktls_set_timeout(k, 120000), 0);
	assert_int_equal(ktls_set_timeout(k, 120001), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(k->request.timeout_ms, 120000);
	assert_int_equal(ktls_set_timeout(k, 0), 0);
	assert_int_equal(k->request.timeout_ms, 20000);
	assert_int_equal(ktls_set_port(k, 65535), 0);
	assert_int_equal(ktls_set_verify(k, KTLS_VERIFY_NONE), 0);
	assert_int_equal(ktls_set_verify(k, (enum ktls_verify)3), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(k->request.trust.verify, PROTO_VERIFY_NONE);
	assert_int_equal(ktls_set_io(k, (enum ktls_io)2), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_set_min_version(k, (enum ktls_tls)0x0302), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_set_max_version(k, (enum ktls_tls)0x0305), -1);
	assert_int_equal(errno, EINVAL);
	ktls_free(k);
}

static void test_pins(void **state)
{
	struct ktls *k = fresh();

	assert_int_equal(ktls_add_pin(k, "sha256:" PIN), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_add_pin(k, "cert-sha256:" PIN "0"), -1);
	assert_int_equal(errno, EINVAL);
	for (int i = 0; i < 16; i++)
		assert_int_equal(ktls_add_pin(k, i % 2 ? "cert-sha256:" PIN : "spki-sha256:" PIN),
				 0);
	assert_int_equal(ktls_add_pin(k, "cert-sha256:" PIN), -1);
	assert_int_equal(errno, E2BIG);
	assert_int_equal(k->request.trust.n_pins, 16);
	assert_int_equal(ktls_add_pin(k, NULL), 0);
	assert_int_equal(k->request.trust.n_pins, 0);
	ktls_free(k);
}

static void test_alpn(void **state)
{
	struct ktls *k = fresh();

	for (int i = 0; i < 16; i++)
		assert_int_equal(ktls_add_alpn(k, i ? "http/1.1" : "h2"), 0);
	assert_int_equal(ktls_add_alpn(k, "h3"), -1);
	assert_int_equal(errno, E2BIG);
	assert_int_equal(k->request.alpn.n, 16);
	assert_string_equal(k->request.alpn.items[0], "h2");
	assert_string_equal(k->request.alpn.items[15], "http/1.1");
	assert_int_equal(ktls_add_alpn(k, NULL), 0);
	assert_int_equal(ktls_add_alpn(k, "h3"), 0);
	assert_string_equal(k->request.alpn.items[0], "h3");
	ktls_free(k);
}

static void test_socket(void **state)
{
	struct ktls *k = fresh();

	assert_string_equal(k->service.sun_path, "/run/ktlsd/io.ktlsd");
	assert_int_equal(ktls_set_socket(k, long_text(107)), 0);
	assert_int_equal(strlen(k->service.sun_path), 107);
	assert_int_equal(ktls_set_socket(k, long_text(108)), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(ktls_set_socket(k, ""), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(strlen(k->service.sun_path), 107);
	assert_int_equal(ktls_set_socket(k, NULL), 0);
	assert_string_equal(k->service.sun_path, "/run/ktlsd/io.ktlsd");
	assert_int_equal(k->service.sun_path[50], 0);
	ktls_free(k);
}

/* Every setter once, in an order that does not matter. Returns how many took their value. */
static int set_all(struct ktls *k)
{
	int n = 0;

	n += ktls_set_host(k, "example.org") == 0;
	n += ktls_set_port(k, 4433) == 0;
	n += ktls_set_ca(k, CA) == 0;
	n += ktls_set_store(k, "corporate") == 0;
	n += ktls_add_pin(k, "spki-sha256:" PIN) == 0;
	n += ktls_set_name(k, "name.example.org") == 0;
	n += ktls_set_verify(k, KTLS_VERIFY_CHAIN) == 0;
	n += ktls_set_server_name(k, "sni.example.org") == 0;
	n += ktls_add_alpn(k, "h2") == 0;
	n += ktls_add_alpn(k, "http/1.1") == 0;
	n += ktls_set_policy(k, "strict") == 0;
	n += ktls_set_min_version(k, KTLS_TLS_1_2) == 0;
	n += ktls_set_max_version(k, KTLS_TLS_1_3) == 0;
	n += ktls_set_ciphers(k, "ECDHE+AESGCM") == 0;
	n += ktls_set_ciphersuites(k, "TLS_AES_128_GCM_SHA256") == 0;
	n += ktls_set_groups(k, "P-384:X25519") == 0;
	n += ktls_set_signature_algorithms(k, "RSA+SHA256") == 0;
	n += ktls_set_io(k, KTLS_IO_AWARE) == 0;
	n += ktls_set_timeout(k, 1234) == 0;
	n += ktls_set_socket(k, "/run/other") == 0;
	return n;
}

/* What is set is what the service reads. */
static void test_all_of_it_is_sent(void **state)
{
	struct ktls *k = fresh();
	struct proto_call call = { 0 };
	const struct proto_connect *c = &call.connect;
	struct proto_status status;
	size_t length;
	bool oneway;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(set_all(k), 20);
	text = proto_connect_encode(&k->request, &length);
	assert_int_equal(proto_call_decode(&call, text, length, &status, &oneway), PROTO_DECODE_OK);
	assert_string_equal(c->host, "example.org");
	assert_int_equal(c->port, 4433);
	assert_string_equal(c->trust.ca, CA);
	assert_string_equal(c->trust.store, "corporate");
	assert_int_equal(c->trust.n_pins, 1);
	assert_int_equal(c->trust.pins[0].kind, PROTO_PIN_SPKI);
	assert_int_equal(c->trust.pins[0].sha256[15], 0xef);
	assert_string_equal(c->trust.name, "name.example.org");
	assert_int_equal(c->trust.verify, PROTO_VERIFY_CHAIN);
	assert_string_equal(c->server_name, "sni.example.org");
	assert_int_equal(c->alpn.n, 2);
	assert_string_equal(c->alpn.items[1], "http/1.1");
	assert_string_equal(c->policy.name, "strict");
	assert_int_equal(c->policy.min_version, PROTO_VERSION_TLS12);
	assert_int_equal(c->policy.max_version, PROTO_VERSION_TLS13);
	assert_string_equal(c->policy.ciphers, "ECDHE+AESGCM");
	assert_string_equal(c->policy.ciphersuites, "TLS_AES_128_GCM_SHA256");
	assert_string_equal(c->policy.groups, "P-384:X25519");
	assert_string_equal(c->policy.signature_algorithms, "RSA+SHA256");
	assert_int_equal(c->io, PROTO_IO_AWARE);
	assert_int_equal(c->timeout_ms, 1234);
	proto_call_deinit(&call);
	ktls_free(k);
}

static void test_busy_once_started(void **state)
{
	struct ktls *k = fresh();

	assert_int_equal(ktls_set_socket(k, "/nonexistent"), 0);
	assert_int_equal(ktls_start(k), -1);
	assert_int_equal(set_all(k), 0);
	errno = 0;
	assert_int_equal(ktls_set_host(k, "a..b"), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_add_alpn(k, NULL), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_add_pin(k, NULL), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_set_ca_file(k, NULL), -1);
	assert_int_equal(errno, EBUSY);
	ktls_free(k);
}

static int ask_for_all(struct ktls *k)
{
	if (!k || set_all(k) < 20)
		return -1;
	return ktls_start(k);
}

/* The n-th allocation fails, for every n that there is: a whole request, or an orderly failure. */
static void test_no_memory(void **state)
{
	struct ktls *k;
	int n, r = -1;

	for (n = 0; n < 1000 && r < 0; n++) {
		allocation_to_fail = n;
		errno = 0;
		k = ktls_new();
		r = ask_for_all(k);
		assert_int_equal(errno, r < 0 ? ENOMEM : 0);
		allocation_to_fail = -1;
		ktls_free(k);
	}
	assert_in_range(n, 18, 999);
}

static void test_handle_free(void **state)
{
	assert_null(ktls_free(NULL));
	assert_null(ktls_free(fresh()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_limits),
		cmocka_unit_test(test_former_value_stands),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_all_of_it_is_sent),
		cmocka_unit_test(test_busy_once_started),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_handle_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
