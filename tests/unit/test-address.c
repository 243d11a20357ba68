/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* --- literals */

static const struct {
	const char *host;
	const char *text;	/* NULL: a name, for the resolver */
} literals[] = {
	{ "127.0.0.1", "127.0.0.1:443" },
	{ "255.255.255.255", "255.255.255.255:443" },
	{ "0.0.0.0", "0.0.0.0:443" },
	{ "::1", "[::1]:443" },
	{ "::", "[::]:443" },
	{ "2001:DB8::1", "[2001:db8::1]:443" },
	{ "2001:db8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:443" },
	{ "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:443" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:443" },
	/* inet_aton(3) would take these. */
	{ "127.1", NULL },
	{ "2130706433", NULL },
	{ "0x7f000001", NULL },
	{ "127.0.0.01", NULL },
	{ "0177.0.0.1", NULL },
	{ "127.0.0.1.", NULL },
	{ "256.0.0.1", NULL },
	{ " 127.0.0.1", NULL },
	{ "127.0.0.1 ", NULL },
	{ "[::1]", NULL },
	{ "::1%lo", NULL },
	{ "fe80::1%1", NULL },
	{ ":::", NULL },
	{ "", NULL },
	{ "localhost", NULL },
	{ "a", NULL },
};

static void test_literals(void **state)
{
	struct addresses addresses;
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < array_size(literals); i++) {
		memset(&addresses, 0x5a, sizeof(addresses));
		if (addresses_from_literal(&addresses, literals[i].host) != !!literals[i].text)
			fail_msg("%s", literals[i].host);
		if (!literals[i].text) {
			assert_int_equal(addresses.n, 0x5a5a5a5a); /* untouched */
			continue;
		}
		assert_int_equal(addresses.n, 1);
		assert_true(addresses_valid(&addresses));
		address_set_port(&addresses.items[0], 443);
		address_format(text, &addresses.items[0]);
		assert_string_equal(text, literals[i].text);
	}
}

/* --- the resolver's list */

struct list_item {
	struct addrinfo info;
	struct sockaddr_storage address;
};

#define LIST_MAX 64

/* "4" and "6" for each address; they are numbered by their place. */
static const struct addrinfo *make_list(struct list_item items[LIST_MAX], const char *families)
{
	size_t n = strlen(families);

	assert_true(n <= LIST_MAX);
	memset(items, 0, LIST_MAX * sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		struct addrinfo *info = &items[i].info;

		info->ai_family = families[i] == '4' ? AF_INET : AF_INET6;
		info->ai_socktype = SOCK_STREAM;
		info->ai_addr = (struct sockaddr *)&items[i].address;
		info->ai_addrlen = families[i] == '4' ? sizeof(struct sockaddr_in) :
							sizeof(struct sockaddr_in6);
		info->ai_next = i + 1 < n ? &items[i + 1].info : NULL;
		items[i].address.ss_family = (sa_family_t)info->ai_family;
		if (families[i] == '4')
			((struct sockaddr_in *)&items[i].address)->sin_addr.s_addr = htonl(i);
		else
			((struct sockaddr_in6 *)&items[i].address)->sin6_addr.s6_addr[15] = i;
	}
	return n ? &items[0].info : NULL;
}

static unsigned int number(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
	return ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr[15];
}

static const struct {
	const char *families;
	const char *order;	/* places in the list */
} lists[] = {
	{ "", "" },
	{ "4", "0" },
	{ "6", "0" },
	{ "64", "01" },
	{ "46", "01" },
	{ "6644", "0213" },
	{ "4466", "0213" },
	{ "66664", "04123" },
	{ "6444", "0123" },
	{ "46666", "01234" },
	{ "444444444", "01234567" },
	{ "4444444446", "09123456" },
	{ "6666666666444444", "0a1b2c3d" },
};

static void test_families_take_turns(void **state)
{
	struct list_item items[LIST_MAX];
	struct addresses addresses;

	for (size_t i = 0; i < array_size(lists); i++) {
		char order[ADDRESSES_MAX + 1] = "";

		addresses_from_list(&addresses, make_list(items, lists[i].families));
		assert_true(addresses.n <= ADDRESSES_MAX);
		assert_true(addresses_valid(&addresses));
		for (uint32_t k = 0; k < addresses.n; k++)
			sprintf(order + k, "%x", number(&addresses.items[k]));
		assert_string_equal(order, lists[i].order);
	}
}

/* Another family, and one that is too long for its place, are passed over; the rest is there. */
static void test_strange_entries(void **state)
{
	struct list_item items[LIST_MAX];
	const struct addrinfo *list = make_list(items, "464");
	struct addresses addresses;

	items[1].info.ai_addrlen = sizeof(struct sockaddr_storage) + 1;
	addresses_from_list(&addresses, list);
	assert_int_equal(addresses.n, 2);
	assert_int_equal(number(&addresses.items[1]), 2);

	items[0].info.ai_addrlen = sizeof(struct sockaddr_storage) + 1;
	addresses_from_list(&addresses, list);
	assert_int_equal(addresses.n, 1);

	items[2].info.ai_addrlen = sizeof(struct sockaddr_storage) + 1;
	addresses_from_list(&addresses, list);
	assert_int_equal(addresses.n, 0);
}

/* --- what came from a process */

static void test_valid(void **state)
{
	struct addresses addresses = { .n = 0 };

	assert_true(addresses_valid(&addresses));
	assert_true(addresses_from_literal(&addresses, "::1"));
	addresses.n = 2;
	assert_false(addresses_valid(&addresses));
	addresses.items[1].ss_family = AF_UNIX;
	assert_false(addresses_valid(&addresses));
	addresses.items[1].ss_family = AF_INET;
	assert_true(addresses_valid(&addresses));
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		addresses.items[i].ss_family = AF_INET;
	addresses.n = ADDRESSES_MAX;
	assert_true(addresses_valid(&addresses));
	addresses.n = ADDRESSES_MAX + 1;
	assert_false(addresses_valid(&addresses));
	addresses.n = UINT32_MAX;
	assert_false(addresses_valid(&addresses));
}

static void test_length(void **state)
{
	struct sockaddr_storage address = { .ss_family = AF_INET };

	assert_int_equal(address_length(&address), sizeof(struct sockaddr_in));
	address.ss_family = AF_INET6;
	assert_int_equal(address_length(&address), sizeof(struct sockaddr_in6));
	address.ss_family = AF_UNIX;
	assert_int_equal(address_length(&address), 0);
	address.ss_family = AF_UNSPEC;
	assert_int_equal(address_length(&address), 0);
}

static const uint16_t ports[] = { 1, 443, 0x0102, 65535 };

static void test_ports(void **state)
{
	static const char *const hosts[] = { "192.0.2.1", "2001:db8::1" };
	struct addresses addresses;
	char text[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < array_size(hosts); i++)
		for (size_t k = 0; k < array_size(ports); k++) {
			assert_true(addresses_from_literal(&addresses, hosts[i]));
			address_set_port(&addresses.items[0], ports[k]);
			address_format(text, &addresses.items[0]);
			sprintf(expected, i ? "[%s]:%u" : "%s:%u", hosts[i], ports[k]);
			assert_string_equal(text, expected);
		}
}

static void test_longest_text(void **state)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = 0xffff };
	struct sockaddr_storage address = { 0 };
	char text[ADDRESS_TEXT_MAX];

	memset(&v6.sin6_addr, 0xff, sizeof(v6.sin6_addr));
	memcpy(&address, &v6, sizeof(v6));
	address_format(text, &address);
	assert_string_equal(text, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	address.ss_family = AF_UNIX;
	address_format(text, &address);
	assert_string_equal(text, "?:65535");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_families_take_turns),
		cmocka_unit_test(test_strange_entries),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_longest_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
