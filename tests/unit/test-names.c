/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/names.h"

#include <stdbool.h>
#include <string.h>

static struct names *names;

static int begin(void **state)
{
	names = names_new();
	return names ? 0 : -1;
}

static int end(void **state)
{
	names = names_free(names);
	return 0;
}

static void check_fault(enum names_kind kind, const char *list, const char *expected)
{
	char fault[512];
	bool known = names_known(names, kind, list, fault, sizeof(fault));

	if (!expected && !known)
		fail_msg("\"%s\" was refused: %s", list, fault);
	if (expected && known)
		fail_msg("\"%s\" was taken", list);
	if (expected && !strstr(fault, expected))
		fail_msg("\"%s\": %s", list, fault);
}

static void check_good(enum names_kind kind, const char *const *lists, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_fault(kind, lists[i], NULL);
}

static void test_good_ciphers(void **state)
{
	static const char *const lists[] = {
		"ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM",
		"HIGH:!aNULL:!MD5:!RC4:!3DES:!DES:!IDEA:!SEED:!EXPORT:!LOW:!MEDIUM",
		"EECDH+AESGCM:EDH+AESGCM:AES256+EECDH",
		"DEFAULT", "DEFAULT:!kRSA", "ALL:COMPLEMENTOFALL", "ALL:!COMPLEMENTOFDEFAULT",
		"AES128-SHA,AES256-SHA", "AES128-SHA AES256-SHA", "::AES128-SHA:",
		"kECDHE+aRSA+AESGCM", "-AES", "+AES256:ECDHE", "!eNULL:!aNULL:ALL", "PSK", "eNULL",
		"RC4", "RC4-SHA", "!DES-CBC3-SHA:AES", "AESCCM8", "TLSv1.2", "aNULL", "SSLv3",
	};

	check_good(NAMES_CIPHERS, lists, array_size(lists));
}

static void test_bad_ciphers(void **state)
{
	static const struct {
		const char *list, *fault;
	} lists[] = {
		{ "ECDHE-RSA-AES256-GCM-SHA385", "\"ECDHE-RSA-AES256-GCM-SHA385\"" },
		{ "ECDHE+AESGCM:TYPO", "\"TYPO\"" },
		{ "TYPO:ECDHE+AESGCM", "\"TYPO\"" },
		{ "ECDHE+TYPO", "\"ECDHE+TYPO\"" },
		{ "ECDHE+", "\"ECDHE+\"" },
		{ "!TYPO:ALL", "\"!TYPO\"" },
		{ "ALL:@SECLEVEL=0", "\"@SECLEVEL=0\"" },
		{ "@STRENGTH", "\"@STRENGTH\"" },
		{ "ALL@SECLEVEL=0", "\"ALL@SECLEVEL=0\"" },
		{ "DEFAULT@SECLEVEL=0", "\"DEFAULT@SECLEVEL=0\"" },
		{ "ALL:DEFAULT", "\"DEFAULT\"" },
		{ "!DEFAULT", "\"!DEFAULT\"" },
		{ "DEFAULTS", "\"DEFAULTS\"" },
		{ "SUITEB128", "\"SUITEB128\"" },
		{ "SUITEB192:ALL", "\"SUITEB192\"" },
		{ "!!RC4", "\"!!RC4\"" },
		{ "!", "\"!\"" },
		{ "ALL;AES", "\"ALL;AES\"" },
		{ "AL\nL", "\"AL\nL\"" },
		{ "aes128-sha", "\"aes128-sha\"" },
		{ "TLS_AES_128_GCM_SHA256", "\"TLS_AES_128_GCM_SHA256\"" },
		{ "PROFILE=SYSTEM", "\"PROFILE=SYSTEM\"" },
		{ "", "names nothing" },
		{ ":, :", "names nothing" },
	};

	for (size_t i = 0; i < array_size(lists); i++)
		check_fault(NAMES_CIPHERS, lists[i].list, lists[i].fault);
}

static void test_other_kinds(void **state)
{
	static const char *const groups[] = { "X25519", "P-256:secp384r1:X448:P-521",
					      "prime256v1" };
	static const char *const sigalgs[] = {
		"RSA+SHA256",
		"ECDSA+SHA256:ed25519:rsa_pss_rsae_sha256:rsa_pss_pss_sha512:PSS+SHA512",
	};
	static const char *const suites[] = {
		"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
	};

	check_good(NAMES_GROUPS, groups, array_size(groups));
	check_good(NAMES_SIGALGS, sigalgs, array_size(sigalgs));
	check_good(NAMES_CIPHERSUITES, suites, array_size(suites));
}

static void test_other_kinds_are_refused(void **state)
{
	static const struct {
		enum names_kind kind;
		const char *list, *fault;
	} lists[] = {
		{ NAMES_GROUPS, "X25519:P-257", "\"P-257\"" },
		{ NAMES_GROUPS, "X25519:", "\"\"" },
		{ NAMES_GROUPS, "", "\"\"" },
		{ NAMES_GROUPS, ":X25519", "\"\"" },
		{ NAMES_GROUPS, "X25519:P-256:X25519", "twice" },
		{ NAMES_SIGALGS, "RSA+SHA256:rsa_pkcs1_sha256", "twice" },
		{ NAMES_GROUPS, "?X25519", "\"?X25519\"" },
		{ NAMES_GROUPS, "*X25519", "\"*X25519\"" },
		{ NAMES_GROUPS, "-X25519", "\"-X25519\"" },
		{ NAMES_GROUPS, "X25519/P-256", "\"X25519/P-256\"" },
		{ NAMES_GROUPS, "auto", "\"auto\"" },
		{ NAMES_SIGALGS, "RSA+SHA256:RSA+SHA999", "\"RSA+SHA999\"" },
		{ NAMES_SIGALGS, "RSA", "\"RSA\"" },
		{ NAMES_SIGALGS, "+SHA256", "\"+SHA256\"" },
		{ NAMES_SIGALGS, "?RSA+SHA256", "\"?RSA+SHA256\"" },
		{ NAMES_CIPHERSUITES, "TLS_AES_128_GCM_SHA257", "\"TLS_AES_128_GCM_SHA257\"" },
		{ NAMES_CIPHERSUITES, "ECDHE-RSA-AES256-GCM-SHA384",
		  "\"ECDHE-RSA-AES256-GCM-SHA384\"" },
	};

	for (size_t i = 0; i < array_size(lists); i++)
		check_fault(lists[i].kind, lists[i].list, lists[i].fault);
}

static void test_narrowing(void **state)
{
	static const struct {
		const char *wanted, *allowed, *left;
	} lists[] = {
		{ "P-384:X25519", "X25519:P-256:P-384:P-521", "P-384:X25519" },
		{ "X448:P-384", "X25519:P-384", "P-384" },
		{ "secp384r1:prime256v1:x25519", "X25519:P-256:P-384",
		  "secp384r1:prime256v1:x25519" },
		{ "P-256", "secp256r1", "P-256" },
		{ "P-256", "prime256v1", "P-256" },
		{ "X448", "X25519", "" },
		{ "P-25", "P-256", "" },
		{ "rsa_pss_rsae_sha256:RSA+SHA1", "RSA-PSS+SHA256", "rsa_pss_rsae_sha256" },
		{ "PSS+SHA512", "RSA-PSS+SHA256:RSA-PSS+SHA512", "PSS+SHA512" },
		{ "ECDSA+SHA256", "ecdsa_secp384r1_sha384", "" },
		{ "RSA+SHA256", "RSA-PSS+SHA256", "" },
	};

	for (size_t i = 0; i < array_size(lists); i++) {
		_cleanup_free_ char *left = names_narrow(lists[i].wanted, lists[i].allowed);

		assert_string_equal(left, lists[i].left);
	}
}

static bool has(const char *const *suites, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(suites[i], name) == 0)
			return true;
	return false;
}

/* All of them, the worst among them; of both versions. */
static void test_all_suites(void **state)
{
	const char *suites[256];
	size_t n, few;

	assert_true(names_suites(suites, array_size(suites), &n));
	assert_in_range(n, 30, array_size(suites) - 1);
	assert_true(has(suites, n, "ECDHE-ECDSA-AES128-CCM"));
	assert_true(has(suites, n, "NULL-SHA256"));
	assert_true(has(suites, n, "AECDH-NULL-SHA"));
	assert_true(has(suites, n, "TLS_AES_256_GCM_SHA384"));
	assert_true(names_suites(suites, 3, &few));
	assert_int_equal(few, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_ciphers),
		cmocka_unit_test(test_bad_ciphers),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_other_kinds_are_refused),
		cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_all_suites),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
