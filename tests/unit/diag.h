/* SPDX-License-Identifier: MIT */
/* Messages of inet_diag, built as the kernel builds them. */
#pragma once

#include "client/ctl-diag.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <string.h>

enum { DIAG_SIZE = 1024, DIAG_PORTID = 77, DIAG_SENT = 1001, DIAG_ACKED = 1002, DIAG_RECEIVED = 1003 };

union diag_message {
	char bytes[DIAG_SIZE];
	struct nlmsghdr header;
};

/* An established socket of this family, without attributes. */
static inline void diag_message_init(union diag_message *m, unsigned char family, const char *local,
				     const char *remote)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(m);
	struct inet_diag_msg *head = mnl_nlmsg_put_extra_header(header, sizeof(*head));

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_pid = DIAG_PORTID;
	head->idiag_family = family;
	head->idiag_state = 1;
	head->id.idiag_sport = htons(443);
	head->id.idiag_dport = htons(65535);
	assert_int_equal(inet_pton(family, local, head->id.idiag_src), 1);
	assert_int_equal(inet_pton(family, remote, head->id.idiag_dst), 1);
	head->idiag_uid = 4294967294U;
	head->idiag_inode = 4000000001U;
}

static inline struct inet_diag_msg *diag_message_head(union diag_message *m)
{
	return mnl_nlmsg_get_payload(&m->header);
}

static inline void diag_message_put_info(union diag_message *m, size_t length)
{
	union {
		struct tcp_info info;
		char bytes[512];
	} whole = { .info = { .tcpi_bytes_sent = DIAG_SENT,
			      .tcpi_bytes_acked = DIAG_ACKED,
			      .tcpi_bytes_received = DIAG_RECEIVED } };

	mnl_attr_put(&m->header, INET_DIAG_INFO, length, &whole);
}

/* What tls.ko says of a socket with keys in both directions. */
static inline void diag_message_put_tls(union diag_message *m, unsigned int version,
					unsigned int cipher, unsigned int transmit, unsigned int receive)
{
	struct nlattr *ulp = mnl_attr_nest_start(&m->header, INET_DIAG_ULP_INFO), *tls;

	mnl_attr_put_strz(&m->header, INET_ULP_INFO_NAME, "tls");
	tls = mnl_attr_nest_start(&m->header, INET_ULP_INFO_TLS);
	mnl_attr_put_u16(&m->header, TLS_INFO_VERSION, version);
	mnl_attr_put_u16(&m->header, TLS_INFO_CIPHER, cipher);
	mnl_attr_put_u16(&m->header, TLS_INFO_TXCONF, transmit);
	mnl_attr_put_u16(&m->header, TLS_INFO_RXCONF, receive);
	mnl_attr_nest_end(&m->header, tls);
	mnl_attr_nest_end(&m->header, ulp);
}

/* A member of an object as text; "-" if it has none of the name. */
static inline const char *member(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value))
		return "-";
	return value ? json_object_get_string(value) : "null";
}
