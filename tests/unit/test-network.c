/* SPDX-License-Identifier: MIT */
#include "tests/unit/addresses.h"

#include "daemon/network.h"
#include "proto/util.h"

#include <stdio.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int family;	/* 0: it is none */
		unsigned int bits;
	} rows[] = {
		{ "192.0.2.1", AF_INET, 32 }, { "192.0.2.1/32", AF_INET, 32 },
		{ "192.0.2.1/0", AF_INET, 0 }, { "0.0.0.0/00", AF_INET, 0 },
		{ "::", AF_INET6, 128 }, { "2001:db8::/32", AF_INET6, 32 },
		{ "::/0", AF_INET6, 0 }, { "::ffff:192.0.2.1", AF_INET, 32 },
		{ "::ffff:c000:201/104", AF_INET, 8 }, { "::ffff:0:0/96", AF_INET, 0 },
		{ "::ffff:0:0/95", AF_INET6, 95 }, { "::192.0.2.1", AF_INET6, 128 },
		{ "192.0.2.1/33", 0, 0 }, { "::/129", 0, 0 }, { "::/0000", 0, 0 },
		{ "192.0.2/24", 0, 0 }, { "192.0.2.1/", 0, 0 }, { "/8", 0, 0 }, { "", 0, 0 },
		{ "192.0.2.1/-1", 0, 0 }, { "192.0.2.1/8x", 0, 0 }, { "192.0.2.1/8/8", 0, 0 },
		{ "192.0.2.01", 0, 0 }, { "0x7f.0.0.1", 0, 0 }, { "fe80::1%lo", 0, 0 },
		{ "[::1]", 0, 0 }, { "any", 0, 0 },
		{ "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", 0, 0 },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct network network = { .family = AF_UNIX };

		if (network_parse(&network, rows[i].text) != (rows[i].family != 0))
			fail_msg("%s", rows[i].text);
		assert_int_equal(network.family, rows[i].family ?: AF_UNIX);
		assert_int_equal(network.bits, rows[i].bits);
	}
}

static bool is_in(const char *network, const char *address, bool itself)
{
	struct sockaddr_storage storage = address_of(address);
	struct network_views views;
	struct network parsed;

	assert_true(network_parse(&parsed, network));
	network_views(&views, &storage);
	assert_in_range(views.n, 1, NETWORK_VIEWS_MAX);
	return network_among(&parsed, 1, &views, itself ? 1 : views.n);
}

static void test_among(void **state)
{
	static const struct {
		const char *network, *address;
		bool itself, at_all;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", true, true },
		{ "10.0.0.0/8", "11.0.0.1", false, false },
		{ "10.1.2.3/8", "10.9.9.9", true, true },
		{ "192.0.2.128/25", "192.0.2.127", false, false },
		{ "192.0.2.128/25", "192.0.2.128", true, true },
		{ "192.0.2.4/30", "192.0.2.7", true, true },
		{ "192.0.2.4/30", "192.0.2.8", false, false },
		{ "192.0.2.4", "192.0.2.5", false, false },
		{ "0.0.0.0/0", "255.255.255.255", true, true },
		{ "::/0", "192.0.2.1", false, false },
		{ "0.0.0.0/0", "2001:db8::1", false, false },
		{ "fe80::/10", "febf::1", true, true },
		{ "fe80::/10", "fec0::1", false, false },
		{ "127.0.0.0/8", "::ffff:127.0.0.1", true, true },
		{ "::/0", "::ffff:127.0.0.1", false, true },
		{ "::ffff:127.0.0.0/104", "127.0.0.1", true, true },
		{ "127.0.0.0/8", "::127.0.0.1", false, true },
		{ "::/96", "::127.0.0.1", true, true },
		{ "10.0.0.0/8", "64:ff9b::10.1.1.1", false, true },
		{ "64:ff9b::/96", "64:ff9b::10.1.1.1", true, true },
		{ "10.0.0.0/8", "64:ff9b::1:a01:101", false, false },
		{ "10.1.1.1", "64:ff9b:1::10.1.1.1", false, true },
		{ "10.1.1.1", "64:ff9b:1:2:3:4:a01:101", false, true },
		{ "10.1.2.3", "64:ff9b:1:a01:2:300::", false, true },
		{ "10.1.2.3", "64:ff9b:1:a01:2:300::1", false, false },
		{ "10.1.2.3", "64:ff9b:1:220a:1:203::", false, true },
		{ "10.1.2.3", "64:ff9b:1:2222:a:102:300::", false, true },
		{ "10.1.2.3", "2002:a01:203::1", false, true },
		{ "10.1.2.3", "2003:a01:203::1", false, false },
		{ "10.1.2.3", "2001:0:c000:201:0:0:f5fe:fdfc", false, true },
		{ "10.1.2.3", "2001:1:c000:201:0:0:f5fe:fdfc", false, false },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		if (is_in(rows[i].network, rows[i].address, true) != rows[i].itself)
			fail_msg("%s, itself in %s", rows[i].address, rows[i].network);
		if (is_in(rows[i].network, rows[i].address, false) != rows[i].at_all)
			fail_msg("%s in %s", rows[i].address, rows[i].network);
	}
}

/* Each word is a row of networks that can be read. */
static void test_words(void **state)
{
	static const char *const words[] = { "any", "localhost", "link-local", "multicast" };
	struct network network;
	char one[64];
	int length;

	for (size_t i = 0; i < array_size(words); i++) {
		const char *networks = network_word(words[i]);

		assert_non_null(networks);
		for (; sscanf(networks, " %63s%n", one, &length) == 1; networks += length)
			assert_true(network_parse(&network, one));
		assert_int_equal(*networks, '\0');
	}
	assert_null(network_word("Any"));
	assert_null(network_word(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_among),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
