/* SPDX-License-Identifier: MIT */
#include "tests/unit/calls.h"

/* 63 bytes, the longest label there may be. */
#define LABEL "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXY"
#define THREE LABEL "." LABEL "." LABEL "."	/* 192 */

enum verdict { NEITHER, NAME, ADDRESS };

static const struct {
	const char *text;
	enum verdict verdict;
} hosts[] = {
	{ "example.org", NAME }, { "EXAMPLE.Org", NAME }, { "example.org.", NAME },
	{ "localhost", NAME }, { "localhost.", NAME }, { "a", NAME }, { "a-b", NAME },
	{ "a--b", NAME }, { "_dmarc.example.org", NAME }, { "a_b", NAME }, { "1a", NAME },
	{ "123.example", NAME }, { "0x7f.example", NAME }, { "xn--mnchen-3ya.de", NAME },
	{ "a.0b", NAME }, { "a.b0x1", NAME }, { LABEL, NAME },
	{ THREE "0123456789012345678901234567890123456789012345678901234567890", NEITHER },
	{ THREE "a123456789012345678901234567890123456789012345678901234567890", NAME },
	{ THREE "a12345678901234567890123456789012345678901234567890123456789.", NAME },
	{ THREE "a1234567890123456789012345678901234567890123456789012345678901", NEITHER },
	{ THREE "a123456789012345678901234567890123456789012345678901234567890.", NEITHER },
	{ LABEL "x", NEITHER }, { "a." LABEL "x", NEITHER },
	{ "", NEITHER }, { ".", NEITHER }, { "..", NEITHER }, { ".a", NEITHER },
	{ "a..b", NEITHER },
	{ "a..", NEITHER }, { "*.x", NEITHER }, { "-x", NEITHER }, { "x-", NEITHER },
	{ "a.-b", NEITHER }, { "a-.b", NEITHER }, { "a b", NEITHER }, { " a", NEITHER },
	{ "a ", NEITHER }, { "x\n", NEITHER }, { "a/b", NEITHER }, { "a:443", NEITHER },
	{ "user@host", NEITHER }, { "m\xc3\xbcnchen.de", NEITHER }, { "\xd0\xb0pple.com", NEITHER },
	{ "a%b", NEITHER }, { "a\177", NEITHER }, { "/run/x.sock", NEITHER }, { "a,b", NEITHER },
	{ "192.0.2.1", ADDRESS }, { "0.0.0.0", ADDRESS }, { "255.255.255.255", ADDRESS },
	{ "127.1", NEITHER }, { "127.0.1", NEITHER }, { "2130706433", NEITHER },
	{ "0x7f000001", NEITHER }, { "0X7F000001", NEITHER }, { "0x7f.1", NEITHER },
	{ "a.0x1", NEITHER }, { "017700000001", NEITHER }, { "127.0.0.01", NEITHER },
	{ "127.0.0.1.", NEITHER }, { "256.0.0.1", NEITHER }, { "1.2.3.4.5", NEITHER },
	{ "1.2.3", NEITHER }, { "a.1", NEITHER }, { "a.1.", NEITHER }, { "0x", NEITHER },
	{ "192.0.2.1 ", NEITHER }, { "192.0.2.1\n", NEITHER }, { "192.0.2.1:443", NEITHER },
	{ "::", ADDRESS }, { "::1", ADDRESS }, { "2001:db8::1", ADDRESS },
	{ "2001:DB8::1", ADDRESS },
	{ "::ffff:192.0.2.1", ADDRESS }, { "1:2:3:4:5:6:7:8", ADDRESS }, { "[::1]", NEITHER },
	{ "fe80::1%eth0", NEITHER }, { "[::1%eth0]", NEITHER }, { "1::2::3", NEITHER },
	{ "::1.", NEITHER }, { ":", NEITHER }, { "1:2:3:4:5:6:7:8:9", NEITHER },
	{ "::ffff:127.1", NEITHER }, { "12345::", NEITHER },
};

static void test_hosts(void **state)
{
	for (size_t i = 0; i < array_size(hosts); i++) {
		if (proto_host_valid(hosts[i].text) != (hosts[i].verdict != NEITHER))
			fail_msg("host: %s", hosts[i].text);
		if (proto_dns_name_valid(hosts[i].text) != (hosts[i].verdict == NAME))
			fail_msg("name: %s", hosts[i].text);
	}
}

static void test_every_byte_of_a_name(void **state)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-_.";
	char name[] = "x?x";

	for (int c = 1; c < 256; c++) {
		name[1] = (char)c;
		assert_int_equal(proto_dns_name_valid(name), strchr(may, c) != NULL);
	}
}

static void test_pins(void **state)
{
	static const char *const cases[] = { "cert-sha256:" HEX64, "spki-sha256:" HEX64 };
	struct proto_pin pin;
	char text[80];

	for (size_t i = 0; i < array_size(cases); i++) {
		memset(&pin, '#', sizeof(pin));
		assert_true(proto_pin_parse(&pin, cases[i]));
		assert_int_equal(pin.kind, i ? PROTO_PIN_SPKI : PROTO_PIN_CERT);
		for (int j = 0; j < 32; j++)
			assert_int_equal(pin.sha256[j], j);
		proto_pin_format(text, &pin);
		assert_string_equal(text, cases[i]);
	}
	assert_true(proto_pin_parse(&pin, "cert-sha256:AbCdEf0123456789aBcDeF0123456789"
				    "ABCDEF0123456789abcdef0123456789"));
	assert_int_equal(pin.sha256[0], 0xab);
	assert_int_equal(pin.sha256[31], 0x89);
}

static void test_not_pins(void **state)
{
	static const char *const cases[] = {
		"", HEX64, "cert-sha256:", "cert-sha256:" HEX64 "0", "cert-sha256:" HEX64 "00",
		"cert-sha256: " HEX64, "cert-sha256:" HEX64 "\n", "sha256:" HEX64, "sha256//AAAA",
		"CERT-SHA256:" HEX64, "cert-sha256" HEX64, "spki-sha1:" HEX64,
		" cert-sha256:" HEX64,
		"spki-sha256:0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"spki-sha256:g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"spki-sha256:0`0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"spki-sha256:00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14",
	};
	struct proto_pin pin = { .kind = PROTO_PIN_SPKI };

	for (size_t i = 0; i < array_size(cases); i++)
		if (proto_pin_parse(&pin, cases[i]))
			fail_msg("taken: %s", cases[i]);
	assert_int_equal(pin.kind, PROTO_PIN_SPKI);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_every_byte_of_a_name),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_not_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
