/* SPDX-License-Identifier: MIT */
#include "daemon/network.h"

#include "proto/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/*
 * Where IPv6 addresses have IPv4 addresses in them. Nothing follows these but zeros, from `rest`
 * on; that tells apart what translators make of 64:ff9b:1::/48, which is split as its owner likes
 * (RFC 8215; RFC 6052, 2.2).
 */
static const struct carrier {
	uint8_t prefix[12];
	unsigned int bits;
	uint8_t at[4];
	unsigned int rest;
	uint8_t flip;
} carriers[] = {
	/* IPv4-mapped: the kernel itself connects by IPv4 */
	{ { [10] = 0xff, 0xff }, 96, { 12, 13, 14, 15 }, 16, 0 },
	/* IPv4-compatible (RFC 4291, 2.5.5.1) */
	{ { 0 }, 96, { 12, 13, 14, 15 }, 16, 0 },
	/* NAT64 */
	{ { 0x00, 0x64, 0xff, 0x9b }, 96, { 12, 13, 14, 15 }, 16, 0 },
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 48, { 12, 13, 14, 15 }, 16, 0 },
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 48, { 9, 10, 11, 12 }, 13, 0 },
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 48, { 7, 9, 10, 11 }, 12, 0 },
	{ { 0x00, 0x64, 0xff, 0x9b, 0, 1 }, 48, { 6, 7, 9, 10 }, 11, 0 },
	/* 6to4 (RFC 3056) */
	{ { 0x20, 0x02 }, 16, { 2, 3, 4, 5 }, 16, 0 },
	/* Teredo (RFC 4380, 4): the client's */
	{ { 0x20, 0x01 }, 32, { 12, 13, 14, 15 }, 16, 0xff },
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int left = bits % 8;

	return memcmp(a, b, bits / 8) == 0 &&
	       (left == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - left) == 0);
}

static bool carries(const struct carrier *carrier, const uint8_t address[static 16])
{
	static const uint8_t zeros[16];

	return same_bits(address, carrier->prefix, carrier->bits) &&
	       memcmp(address + carrier->rest, zeros, 16 - carrier->rest) == 0;
}

static struct network carried(const struct carrier *carrier, const uint8_t address[static 16])
{
	struct network v4 = { .family = AF_INET, .bits = 32 };

	for (size_t i = 0; i < array_size(carrier->at); i++)
		v4.address[i] = address[carrier->at[i]] ^ carrier->flip;
	return v4;
}

/* Decimal, of at most three digits. */
static bool parse_bits(const char *text, unsigned int *bits)
{
	size_t digits = strspn(text, "0123456789");

	if (digits < 1 || digits > 3 || text[digits])
		return false;
	*bits = (unsigned int)strtoul(text, NULL, 10);
	return true;
}

bool network_parse(struct network *network, const char *text)
{
	const struct carrier *mapped = &carriers[0];
	char address[INET6_ADDRSTRLEN];
	size_t length = strcspn(text, "/");
	struct network parsed = { 0 };
	unsigned int most;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	parsed.family = strchr(address, ':') ? AF_INET6 : AF_INET;
	most = parsed.family == AF_INET6 ? 128 : 32;
	parsed.bits = most;
	if (inet_pton(parsed.family, address, parsed.address) != 1)
		return false;
	if (text[length] && (!parse_bits(text + length + 1, &parsed.bits) || parsed.bits > most))
		return false;
	*network = parsed;
	if (parsed.family == AF_INET6 && parsed.bits >= mapped->bits &&
	    carries(mapped, parsed.address)) {
		*network = carried(mapped, parsed.address);
		network->bits = parsed.bits - mapped->bits;
	}
	return true;
}

/*
 * As systemd has them, and what else leads there: Linux connects to loopback if told to connect to
 * nowhere in particular, and to every machine of the link if told to connect to all.
 */
const char *network_word(const char *word)
{
	static const struct {
		const char *word, *networks;
	} words[] = {
		{ "any", "0.0.0.0/0 ::/0" },
		{ "localhost", "127.0.0.0/8 ::1 0.0.0.0/8 ::" },
		{ "link-local", "169.254.0.0/16 fe80::/10" },
		{ "multicast", "224.0.0.0/4 ff00::/8 255.255.255.255" },
	};

	for (size_t i = 0; i < array_size(words); i++)
		if (strcmp(word, words[i].word) == 0)
			return words[i].networks;
	return NULL;
}

static void add_view(struct network_views *views, struct network view)
{
	views->items[views->n++] = view;
}

void network_views(struct network_views *views, const struct sockaddr_storage *address)
{
	struct network self = { .family = address->ss_family, .bits = 128 };

	views->n = 0;
	if (self.family == AF_INET) {
		self.bits = 32;
		memcpy(self.address, &((const struct sockaddr_in *)address)->sin_addr, 4);
		return add_view(views, self);
	}
	memcpy(self.address, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	if (carries(&carriers[0], self.address))
		add_view(views, carried(&carriers[0], self.address));
	add_view(views, self);
	for (size_t i = 1; i < array_size(carriers); i++)
		if (carries(&carriers[i], self.address))
			add_view(views, carried(&carriers[i], self.address));
}

bool network_among(const struct network *networks, size_t n, const struct network_views *views,
		   size_t n_views)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_views; k++)
			if (networks[i].family == views->items[k].family &&
			    same_bits(networks[i].address, views->items[k].address,
				      networks[i].bits))
				return true;
	return false;
}
