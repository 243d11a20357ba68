/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-crypto.c"
#include "proto/util.h"

#include <unistd.h>

/* What is told of one cipher, as one line. */
struct line {
	char text[256];
};

static struct line line_of(struct json_object *array, size_t i)
{
	static const char *const members[] = {
		"cipher", "algorithm", "driver", "module", "priority", "async", "speed",
	};
	struct json_object *object = json_object_array_get_idx(array, i), *value;
	struct line line = { "" };

	assert_int_equal(json_object_object_length(object), array_size(members));
	for (size_t j = 0; j < array_size(members); j++) {
		size_t n = strlen(line.text);

		assert_true(json_object_object_get_ex(object, members[j], &value));
		snprintf(line.text + n, sizeof(line.text) - n, "%s%s", n ? " " : "",
			 value ? json_object_get_string(value) : "-");
	}
	return line;
}

static void check_file(const char *path, const char *const lines[N_CIPHERS])
{
	struct json_object *array = ctl_crypto(path);

	assert_int_equal(json_object_array_length(array), N_CIPHERS);
	for (size_t i = 0; i < N_CIPHERS; i++)
		assert_string_equal(line_of(array, i).text, lines[i]);
	json_object_put(array);
}

#define NO_SM4										\
	"sm4-gcm gcm(sm4) - - - - -", "sm4-ccm ccm(sm4) - - - - -"
#define NO_ARIA										\
	"aria-gcm-128 gcm(aria) - - - - -", "aria-gcm-256 gcm(aria) - - - - -"
#define GCM(rest) "aes-gcm-128 gcm(aes) " rest, "aes-gcm-256 gcm(aes) " rest
#define CCM(rest) "aes-ccm-128 ccm(aes) " rest
#define CHACHA(rest) "chacha20-poly1305 rfc7539(chacha20,poly1305) " rest
#define SM4(gcm, ccm) "sm4-gcm gcm(sm4) " gcm, "sm4-ccm ccm(sm4) " ccm
#define ARIA(rest) "aria-gcm-128 gcm(aria) " rest, "aria-gcm-256 gcm(aria) " rest

static const struct {
	const char *file;
	const char *lines[N_CIPHERS];
} machines[] = {
	{ "uml-6.1",
	  { GCM("gcm_base(ctr(aes-generic),ghash-generic) gcm 100 false generic"),
	    CCM("ccm_base(ctr(aes-generic),cbcmac(aes-generic)) ccm 100 false generic"),
	    CHACHA("rfc7539(chacha20-generic,poly1305-generic) chacha20poly1305 100 false generic"),
	    NO_SM4, NO_ARIA } },
	{ "uml-6.12",
	  { GCM("gcm_base(ctr(aes-generic),ghash-generic) gcm 100 false generic"),
	    CCM("ccm_base(ctr(aes-generic),cbcmac(aes-generic)) ccm 100 false generic"),
	    CHACHA("rfc7539(chacha20-generic,poly1305-generic) chacha20poly1305 100 false generic"),
	    NO_SM4, NO_ARIA } },
	{ "uml-7.2",
	  { GCM("gcm_base(ctr(aes-lib),ghash-lib) gcm 100 false library"),
	    CCM("ccm_base(ctr(aes-lib),cbcmac-aes-lib) ccm 200 false library"),
	    CHACHA("rfc7539(chacha20-lib,poly1305-generic) chacha20poly1305 300 false library"),
	    NO_SM4, NO_ARIA } },
	{ "x86-aesni-6.1",
	  { GCM("generic-gcm-aesni aesni_intel 400 true instructions"),
	    CCM("ccm_base(ctr-aes-aesni,cbcmac(aes-aesni)) ccm 350 true instructions"),
	    CHACHA("rfc7539(chacha20-simd,poly1305-simd) chacha20poly1305 300 false instructions"),
	    NO_SM4, NO_ARIA } },
	{ "x86-qat-6.1",
	  { GCM("generic-gcm-aesni aesni_intel 400 true instructions"),
	    CCM("ccm_base(qat_aes_ctr,cbcmac(aes-aesni)) ccm 2150 true engine"),
	    CHACHA("rfc7539(chacha20-simd,poly1305-simd) chacha20poly1305 300 false instructions"),
	    NO_SM4, NO_ARIA } },
	{ "x86-vaes-6.12",
	  { GCM("generic-gcm-vaes-avx10_512 aesni_intel 800 true instructions"),
	    CCM("ccm_base(ctr-aes-aesni,cbcmac(aes-aesni)) ccm 350 true instructions"),
	    CHACHA("rfc7539(chacha20-simd,poly1305-simd) chacha20poly1305 300 false instructions"),
	    SM4("gcm_base(ctr-sm4-aesni-avx2,ghash-clmulni) gcm 450 true instructions",
		"ccm_base(ctr-sm4-aesni-avx2,cbcmac(sm4-generic)) ccm 300 true generic"),
	    ARIA("gcm_base(ctr-aria-avx512,ghash-clmulni) gcm 500 true instructions") } },
	{ "x86-vaes-7.2",
	  { GCM("generic-gcm-vaes-avx512 aesni_intel 800 false instructions"),
	    CCM("ccm_base(ctr-aes-vaes-avx512,cbcmac-aes-lib) ccm 550 false library"),
	    CHACHA("rfc7539(chacha20-lib,poly1305-generic) chacha20poly1305 300 false library"),
	    SM4("gcm_base(ctr-sm4-aesni-avx2,ghash-lib) gcm 500 false library",
		"ccm_base(ctr-sm4-aesni-avx2,cbcmac(sm4-generic)) ccm 300 false generic"),
	    ARIA("gcm_base(ctr-aria-avx512,ghash-lib) gcm 600 false library") } },
	{ "x86-plain-6.12",
	  { GCM("gcm_base(ctr(aes-generic),ghash-generic) gcm 100 false generic"),
	    CCM("ccm_base(ctr(aes-generic),cbcmac(aes-generic)) ccm 100 false generic"),
	    CHACHA("rfc7539(chacha20-simd,poly1305-simd) chacha20poly1305 300 false instructions"),
	    NO_SM4, NO_ARIA } },
	{ "arm64-ce-6.12",
	  { GCM("gcm-aes-ce ghash_ce 300 false instructions"),
	    CCM("ccm-aes-ce aes_ce_ccm 300 false instructions"),
	    CHACHA("rfc7539(chacha20-neon,poly1305-neon) chacha20poly1305 250 false instructions"),
	    SM4("gcm-sm4-ce sm4_ce_gcm 400 false instructions",
		"ccm-sm4-ce sm4_ce_ccm 400 false instructions"),
	    ARIA("gcm_base(ctr(aria-generic),ghash-generic) gcm 100 false generic") } },
	{ "arm64-neon-6.12",
	  { GCM("gcm_base(ctr-aes-neonbs,ghash-neon) gcm 200 false instructions"),
	    CCM("ccm_base(ctr-aes-neonbs,cbcmac-aes-neon) ccm 225 false instructions"),
	    CHACHA("rfc7539(chacha20-neon,poly1305-neon) chacha20poly1305 250 false instructions"),
	    NO_SM4, NO_ARIA } },
	{ "s390x-6.12",
	  { GCM("gcm-aes-s390 aes_s390 900 false instructions"),
	    CCM("ccm_base(ctr-aes-s390,cbcmac(aes-s390)) ccm 351 false instructions"),
	    CHACHA("rfc7539(chacha20-s390,poly1305-generic) chacha20poly1305 500 false generic"),
	    NO_SM4, NO_ARIA } },
	{ "ppc64le-p10-6.12",
	  { GCM("aes_gcm_p10 aes_gcm_p10_crypto 2100 false instructions"),
	    CCM("ccm_base(p8_aes_ctr,cbcmac(p8_aes)) ccm 1500 false instructions"),
	    CHACHA("rfc7539(chacha20-p10,poly1305-p10) chacha20poly1305 300 false instructions"),
	    NO_SM4, NO_ARIA } },
};

static void test_machines(void **state)
{
	char path[80];

	for (size_t i = 0; i < array_size(machines); i++) {
		snprintf(path, sizeof(path), "tests/unit/crypto/%s.txt", machines[i].file);
		check_file(path, machines[i].lines);
	}
}

static void test_no_file_and_an_empty_one(void **state)
{
	static const char *const nothing[] = { GCM("- - - - -"), CCM("- - - - -"),
					       CHACHA("- - - - -"), NO_SM4, NO_ARIA };

	check_file("/nowhere", nothing);
	check_file("/dev/null", nothing);
}

/* The last paragraph may end with the file, fields come in any order, and of equals the first counts. */
static void test_odd_files(void **state)
{
	static const char *const texts[] = {
		"type: aead\nname:gcm(aes)\nselftest : passed\npriority: -2\ndriver : b-ce\nmodule: m",
		"name: gcm(aes)\ntype: aead\nselftest: passed\npriority: -2\ndriver: b-ce\nmodule: m\n\n\n"
		"name: gcm(aes)\ntype: aead\nselftest: passed\npriority: -2\ndriver: c-ce\nmodule: n\n\n"
		"name: gcm(aes)\ntype: ahash\nselftest: passed\npriority: 7\ndriver: d-ce\nmodule: n\n\n"
		"name: gcm(aes)\ntype: aead\nselftest: passed\ninternal: yes\npriority: 8\ndriver: e-ce\n",
	};
	static const char *const wanted[] = { GCM("b-ce m -2 false instructions"), CCM("- - - - -"),
					      CHACHA("- - - - -"), NO_SM4, NO_ARIA };
	char path[] = "/tmp/test-ctl-crypto.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t i = 0; i < array_size(texts); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0), strlen(texts[i]));
		check_file(path, wanted);
	}
	close(fd);
	unlink(path);
}

static void test_speeds(void **state)
{
	static const struct {
		const char *driver;
		enum speed speed;
	} drivers[] = {
		{ "generic-gcm-aesni", INSTRUCTIONS },
		{ "gcm_base(ctr(aes-aesni),ghash-generic)", GENERIC },
		{ "gcm_base(ctr(aes-fixed-time),ghash-ce)", GENERIC },
		{ "gcm_base(ctr(aes-arm64),ghash-ce)", GENERIC },
		{ "gcm_base(ctr(aes-lib),ghash-lib)", LIBRARY },
		{ "gcm_base(ctr(something-new),ghash-lib)", UNKNOWN },
		{ "gcm_base(ctr(something-new),ghash-generic)", GENERIC },
		{ "something-new", UNKNOWN },
		{ "pcrypt(generic-gcm-vaes-avx2)", INSTRUCTIONS },
		{ "cryptd(__generic-gcm-aesni-avx)", INSTRUCTIONS },
		{ "rfc7539(chacha20-generic,poly1305-neon)", GENERIC },
		{ "rfc7539(chacha20-simd,poly1305-generic)", GENERIC },
		{ "rfc7539(chacha20-x86,poly1305-generic)", INSTRUCTIONS },
		{ "rfc7539(chacha20-arm,poly1305-arm)", GENERIC },
		{ "rfc7539-chacha20-poly1305-caam-qi2", ENGINE },
		{ "hisi_sec_gcm(aes)", ENGINE },
		{ "gcm-aes-ccp", ENGINE },
		{ "gcm-aes-nx", ENGINE },
		{ "stm32-gcm-aes", ENGINE },
		{ "gcm_base(ctr-aes-riscv64-zvkned-zvkb,ghash-riscv64-zvkg)", INSTRUCTIONS },
	};

	for (size_t i = 0; i < array_size(drivers); i++)
		assert_string_equal(speed_names[driver_speed(drivers[i].driver)],
				    speed_names[drivers[i].speed]);
}

/* So that the first rule that fits is the one that says most. */
static void test_the_longest_rule_stands_first(void **state)
{
	for (size_t i = 1; i < N_RULES; i++)
		assert_true(strlen(rules[i - 1].glob) >= strlen(rules[i].glob));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines),
		cmocka_unit_test(test_no_file_and_an_empty_one),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_speeds),
		cmocka_unit_test(test_the_longest_rule_stands_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
