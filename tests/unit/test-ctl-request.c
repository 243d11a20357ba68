/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-request.c"
#include "client/internal.h"

const struct ctl_syntax ctl_help_syntax;

int ctl_usage(const char *format, ...)
{
	return KTLS_WHO_CALLER;
}

static const struct {
	const char *target, *host; /* NULL: refused */
	int port;
} targets[] = {
	{ "example.org:443", "example.org", 443 },
	{ "[::1]:443", "::1", 443 },
	{ "[2001:db8::1]:65535", "2001:db8::1", 65535 },
	{ "192.0.2.1:1", "192.0.2.1", 1 },
	{ "[192.0.2.1]:1", "192.0.2.1", 1 },
	{ "a:00443", "a", 443 },
	{ "", NULL, 0 },
	{ ":", NULL, 0 },
	{ ":443", NULL, 0 },
	{ "a", NULL, 0 },
	{ "a:", NULL, 0 },
	{ "::1:443", NULL, 0 },
	{ "[::1]443", NULL, 0 },
	{ "[::1:443", NULL, 0 },
	{ "::1]:443", NULL, 0 },
	{ "[]:443", NULL, 0 },
	{ "[:443", NULL, 0 },
	{ "[a]b:443", NULL, 0 },
	{ "a:0", NULL, 0 },
	{ "a:65536", NULL, 0 },
	{ "a:000443", NULL, 0 },
	{ "a:-1", NULL, 0 },
	{ "a: 1", NULL, 0 },
	{ "a:1x", NULL, 0 },
	{ "a:https", NULL, 0 },
	{ "a b:1", NULL, 0 },
	{ "fe80::1%eth0:1", NULL, 0 },
};

static void test_targets(void **state)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		struct ctl ctl = { .target = targets[i].target, .k = ktls_new() };

		print_message("# %s\n", targets[i].target);
		assert_int_equal(ctl_ask_target(&ctl), targets[i].host ? 0 : KTLS_WHO_CALLER);
		if (targets[i].host) {
			assert_string_equal(ctl.k->request.host, targets[i].host);
			assert_int_equal(ctl.k->request.port, targets[i].port);
		}
		ktls_free(ctl.k);
	}
}

static void test_long_host(void **state)
{
	char target[400];
	struct ctl ctl = { .target = target, .k = ktls_new() };

	for (int length = 250; length < 300; length++) {
		memset(target, 'a', length);
		for (int i = 50; i < length; i += 50)
			target[i] = '.';
		strcpy(target + length, ":1");
		assert_int_equal(ctl_ask_target(&ctl), length <= 253 ? 0 : KTLS_WHO_CALLER);
	}
	ktls_free(ctl.k);
}

static const struct {
	const char *text;
	int ms; /* -1: refused */
} timeouts[] = {
	{ "20", 20000 }, { "0.001", 1 }, { "120", 120000 }, { "120.000", 120000 }, { "1.5", 1500 },
	{ ".5", 500 }, { "2.", 2000 }, { "0", -1 }, { "0.0004", -1 }, { "120.001", -1 },
	{ "121", -1 }, { "99999999999999999999", -1 }, { "", -1 }, { ".", -1 }, { "1.2.3", -1 },
	{ "-1", -1 }, { "+1", -1 }, { "1e1", -1 }, { "0x10", -1 }, { "inf", -1 }, { "nan", -1 },
	{ " 1", -1 }, { "1s", -1 },
};

static void test_timeouts(void **state)
{
	struct ktls *k = ktls_new();

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++) {
		print_message("# %s\n", timeouts[i].text);
		errno = 0;
		assert_int_equal(ask_timeout(k, timeouts[i].text), timeouts[i].ms < 0 ? -1 : 0);
		if (timeouts[i].ms < 0)
			assert_int_equal(errno, EINVAL);
		else
			assert_int_equal(k->request.timeout_ms, timeouts[i].ms);
	}
	ktls_free(k);
}

static void test_words(void **state)
{
	struct ktls *k = ktls_new();

	assert_int_equal(ask_verify(k, "none"), 0);
	assert_int_equal(k->request.trust.verify, PROTO_VERIFY_NONE);
	assert_int_equal(ask_verify(k, "NONE"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ask_io(k, "aware"), 0);
	assert_int_equal(k->request.io, PROTO_IO_AWARE);
	assert_int_equal(ask_io(k, ""), -1);
	assert_int_equal(ask_min_version(k, "1.2"), 0);
	assert_int_equal(ask_max_version(k, "1.3"), 0);
	assert_int_equal(k->request.policy.min_version, PROTO_VERSION_TLS12);
	assert_int_equal(k->request.policy.max_version, PROTO_VERSION_TLS13);
	assert_int_equal(ask_min_version(k, "1.1"), -1);
	ktls_free(k);
}

static void test_one_target(void **state)
{
	struct ctl ctl = { 0 };

	assert_int_equal(ctl_set_target(&ctl, "a:1"), 0);
	assert_int_equal(ctl_set_target(&ctl, "b:1"), -1);
	assert_string_equal(ctl.target, "a:1");
}

/* What completion and help offer is what is taken. */
static void test_words_of_options(void **state)
{
	struct ktls *k = ktls_new();
	size_t n = 0;

	for (size_t i = 0; i < ctl_request_syntax.n; i++) {
		_cleanup_free_ char *words = strdup(options[i].words ?: "");

		for (char *word = strtok(words, " "); word; word = strtok(NULL, " "), n++) {
			print_message("# --%s %s\n", options[i].name, word);
			assert_int_equal(options[i].ask(k, word), 0);
		}
	}
	assert_true(n >= 9);
	ktls_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_one_target),
		cmocka_unit_test(test_words_of_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
