/* SPDX-License-Identifier: MIT */
#include "client/ctl-diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TX_MAX_PAYLOAD_LEN 7 /* of TLS_INFO_*: younger than the headers of many */
#define TYPES 32
#define ADDRESS_SIZE (INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[%]:65535"))

/* The attributes of one level, by their types; of two of a type the last. */
struct attributes {
	const struct nlattr *of[TYPES];
};

static int index_attribute(const struct nlattr *attribute, void *data)
{
	struct attributes *all = data;

	if (mnl_attr_get_type(attribute) < TYPES)
		all->of[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

static struct attributes attributes_within(const struct nlattr *outer)
{
	struct attributes all = { 0 };

	if (outer)
		mnl_attr_parse_nested(outer, index_attribute, &all);
	return all;
}

/* -1: there is none of a size that a number has. */
static int64_t attribute_number(const struct nlattr *attribute)
{
	switch (attribute ? mnl_attr_get_payload_len(attribute) : 0) {
	case 2:
		return mnl_attr_get_u16(attribute);
	case 4:
		return mnl_attr_get_u32(attribute);
	default:
		return -1;
	}
}

struct word {
	int64_t number;
	const char *text;
};

static struct json_object *json_word(const struct word *words, int64_t number)
{
	char text[48];

	if (number < 0)
		return NULL;
	for (; words->text; words++)
		if (words->number == number)
			return json_object_new_string(words->text);
	snprintf(text, sizeof(text), "unknown (%lld)", (long long)number);
	return json_object_new_string(text);
}

/* Of the kernel's net/tcp_states.h, which is in no header for programs. */
static const struct word states[] = {
	{ 1, "established" }, { 2, "syn-sent" },   { 3, "syn-recv" },
	{ 4, "fin-wait-1" },  { 5, "fin-wait-2" }, { 6, "time-wait" },
	{ 7, "closed" },      { 8, "close-wait" }, { 9, "last-ack" },
	{ 10, "listening" },  { 11, "closing" },   { 12, "syn-recv" },
	{ 0, NULL },
};

static const struct word versions[] = {
	{ TLS_1_2_VERSION, "TLSv1.2" },
	{ TLS_1_3_VERSION, "TLSv1.3" },
	{ 0, NULL },
};

static const struct word ciphers[] = {
	{ TLS_CIPHER_AES_GCM_128, "aes-gcm-128" },
	{ TLS_CIPHER_AES_GCM_256, "aes-gcm-256" },
	{ TLS_CIPHER_AES_CCM_128, "aes-ccm-128" },
	{ TLS_CIPHER_CHACHA20_POLY1305, "chacha20-poly1305" },
	{ TLS_CIPHER_SM4_GCM, "sm4-gcm" },
	{ TLS_CIPHER_SM4_CCM, "sm4-ccm" },
	{ TLS_CIPHER_ARIA_GCM_128, "aria-gcm-128" },
	{ TLS_CIPHER_ARIA_GCM_256, "aria-gcm-256" },
	{ 0, NULL },
};

static const struct word ways[] = {
	{ TLS_CONF_BASE, "none" },
	{ TLS_CONF_SW, "software" },
	{ TLS_CONF_HW, "nic" },
	{ TLS_CONF_HW_RECORD, "nic" },
	{ 0, NULL },
};

static void add_tls(struct json_object *socket, const struct attributes *tls)
{
	static const struct {
		const char *name;
		unsigned int type;
		const struct word *words;
	} columns[] = {
		{ "version", TLS_INFO_VERSION, versions },
		{ "cipher", TLS_INFO_CIPHER, ciphers },
		{ "transmit", TLS_INFO_TXCONF, ways },
		{ "receive", TLS_INFO_RXCONF, ways },
	};
	int64_t most = attribute_number(tls->of[TX_MAX_PAYLOAD_LEN]);

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		json_object_object_add(
			socket, columns[i].name,
			json_word(columns[i].words, attribute_number(tls->of[columns[i].type])));
	json_object_object_add(socket, "zerocopySendfile",
			       json_object_new_boolean(!!tls->of[TLS_INFO_ZC_RO_TX]));
	json_object_object_add(socket, "expectNoPad",
			       json_object_new_boolean(!!tls->of[TLS_INFO_RX_NO_PAD]));
	json_object_object_add(socket, "maxPayload", most < 0 ? NULL : json_object_new_int64(most));
}

/* struct tcp_info grows from kernel to kernel. */
static void add_bytes(struct json_object *socket, const struct nlattr *info)
{
	static const struct {
		const char *name;
		size_t offset;
	} columns[] = {
		{ "bytesSent", offsetof(struct tcp_info, tcpi_bytes_sent) },
		{ "bytesAcked", offsetof(struct tcp_info, tcpi_bytes_acked) },
		{ "bytesReceived", offsetof(struct tcp_info, tcpi_bytes_received) },
	};
	size_t length = info ? mnl_attr_get_payload_len(info) : 0;

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		struct json_object *value = NULL;
		uint64_t bytes;

		if (columns[i].offset + sizeof(bytes) <= length) {
			memcpy(&bytes, (char *)mnl_attr_get_payload(info) + columns[i].offset,
			       sizeof(bytes));
			value = json_object_new_uint64(bytes);
		}
		json_object_object_add(socket, columns[i].name, value);
	}
}

static struct json_object *json_address(const struct inet_diag_msg *head, const __be32 *address,
					__be16 port)
{
	char host[INET6_ADDRSTRLEN] = "", zone[1 + IF_NAMESIZE] = "", text[ADDRESS_SIZE];
	bool six = head->idiag_family == AF_INET6;
	struct in6_addr in6;

	memcpy(&in6, address, sizeof(in6));
	inet_ntop(head->idiag_family, &in6, host, sizeof(host));
	if (six && IN6_IS_ADDR_LINKLOCAL(&in6) && if_indextoname(head->id.idiag_if, zone + 1))
		*zone = '%';
	snprintf(text, sizeof(text), six ? "[%s%s]:%u" : "%s%s:%u", host, zone, ntohs(port));
	return json_object_new_string(text);
}

static bool is_tls(const struct attributes *ulp)
{
	const struct nlattr *name = ulp->of[INET_ULP_INFO_NAME];

	if (ulp->of[INET_ULP_INFO_TLS])
		return true;
	return name && strnlen(mnl_attr_get_payload(name), mnl_attr_get_payload_len(name)) == 3 &&
	       memcmp(mnl_attr_get_payload(name), "tls", 3) == 0;
}

static struct json_object *json_socket(const struct inet_diag_msg *head,
				       const struct attributes *all, const struct attributes *tls)
{
	struct json_object *socket = json_object_new_object();
	const struct inet_diag_sockid *id = &head->id;

	json_object_object_add(socket, "local", json_address(head, id->idiag_src, id->idiag_sport));
	json_object_object_add(socket, "remote",
			       json_address(head, id->idiag_dst, id->idiag_dport));
	json_object_object_add(socket, "state", json_word(states, head->idiag_state));
	add_tls(socket, tls);
	add_bytes(socket, all->of[INET_DIAG_INFO]);
	json_object_object_add(socket, "uid", json_object_new_int64(head->idiag_uid));
	json_object_object_add(socket, "inode", json_object_new_int64(head->idiag_inode));
	return socket;
}

int diag_socket(const struct nlmsghdr *message, struct json_object **socket)
{
	const struct inet_diag_msg *head = mnl_nlmsg_get_payload(message);
	struct attributes all = { 0 }, ulp, tls;

	*socket = NULL;
	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*head))
		return -EBADMSG;
	mnl_attr_parse(message, sizeof(*head), index_attribute, &all);
	ulp = attributes_within(all.of[INET_DIAG_ULP_INFO]);
	if (!is_tls(&ulp))
		return 0;
	tls = attributes_within(ulp.of[INET_ULP_INFO_TLS]);
	*socket = json_socket(head, &all, &tls);
	return 0;
}
