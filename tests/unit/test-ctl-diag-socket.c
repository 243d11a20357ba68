/* SPDX-License-Identifier: MIT */
#include "tests/unit/diag.h"

#include <net/if.h>

static struct json_object *parse(const union diag_message *m)
{
	struct json_object *socket;

	assert_int_equal(diag_socket(&m->header, &socket), 0);
	return socket;
}

/* Takes the socket. names and values in turn, up to NULL. */
static void check(struct json_object *socket, const char *const *wanted)
{
	assert_non_null(socket);
	for (; *wanted; wanted += 2) {
		print_message("# %s\n", wanted[0]);
		assert_string_equal(member(socket, wanted[0]), wanted[1]);
	}
	json_object_put(socket);
}
#define CHECK(m, ...) check(parse(m), (const char *const[]){ __VA_ARGS__, NULL })

static void test_everything(void **state)
{
	union diag_message m;

	diag_message_init(&m, AF_INET, "192.0.2.1", "198.51.100.2");
	diag_message_put_info(&m, sizeof(struct tcp_info));
	diag_message_put_tls(&m, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256, TLS_CONF_SW, TLS_CONF_HW);
	CHECK(&m, "local", "192.0.2.1:443", "remote", "198.51.100.2:65535", "state", "established",
	      "version", "TLSv1.2", "cipher", "aes-gcm-256", "transmit", "software", "receive", "nic",
	      "zerocopySendfile", "false", "expectNoPad", "false", "maxPayload", "null", "bytesSent",
	      "1001", "bytesAcked", "1002", "bytesReceived", "1003", "uid", "4294967294", "inode",
	      "4000000001");
}

static void test_addresses(void **state)
{
	union diag_message m;
	char name[IF_NAMESIZE], scoped[64];

	diag_message_init(&m, AF_INET6, "2001:db8::1", "::ffff:192.0.2.1");
	diag_message_put_tls(&m, TLS_1_3_VERSION, TLS_CIPHER_AES_CCM_128, TLS_CONF_BASE,
			     TLS_CONF_HW_RECORD);
	CHECK(&m, "local", "[2001:db8::1]:443", "remote", "[::ffff:192.0.2.1]:65535", "version",
	      "TLSv1.3", "cipher", "aes-ccm-128", "transmit", "none", "receive", "nic");
	diag_message_init(&m, AF_INET6, "fe80::1", "2001:db8::2");
	diag_message_put_tls(&m, 0, 0, 0, 0);
	CHECK(&m, "local", "[fe80::1]:443", "remote", "[2001:db8::2]:65535");
	assert_non_null(if_indextoname(1, name));
	snprintf(scoped, sizeof(scoped), "[fe80::1%%%s]:443", name);
	diag_message_head(&m)->id.idiag_if = 1;
	CHECK(&m, "local", scoped, "remote", "[2001:db8::2]:65535");
}

static void test_words(void **state)
{
	static const struct {
		unsigned int number;
		const char *text;
	} ciphers[] = {
		{ 51, "aes-gcm-128" }, { 52, "aes-gcm-256" }, { 53, "aes-ccm-128" },
		{ 54, "chacha20-poly1305" }, { 55, "sm4-gcm" }, { 56, "sm4-ccm" },
		{ 57, "aria-gcm-128" }, { 58, "aria-gcm-256" }, { 59, "unknown (59)" },
		{ 65535, "unknown (65535)" },
	};

	for (size_t i = 0; i < array_size(ciphers); i++) {
		union diag_message m;

		diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
		diag_message_put_tls(&m, 0x0305, ciphers[i].number, 0, 5);
		CHECK(&m, "cipher", ciphers[i].text, "version", "unknown (773)", "transmit",
		      "unknown (0)", "receive", "unknown (5)");
	}
}

static void test_states(void **state)
{
	static const char *const states[] = {
		"unknown (0)", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
		"closed", "close-wait", "last-ack", "listening", "closing", "syn-recv", "unknown (13)",
	};

	for (size_t i = 0; i < array_size(states); i++) {
		union diag_message m;

		diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
		diag_message_put_tls(&m, TLS_1_2_VERSION, 51, 2, 2);
		diag_message_head(&m)->idiag_state = i;
		CHECK(&m, "state", states[i]);
	}
}

static void test_flags(void **state)
{
	union diag_message m;
	struct nlattr *ulp, *tls;

	diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
	ulp = mnl_attr_nest_start(&m.header, INET_DIAG_ULP_INFO);
	tls = mnl_attr_nest_start(&m.header, INET_ULP_INFO_TLS);
	mnl_attr_put(&m.header, TLS_INFO_ZC_RO_TX, 0, NULL);
	mnl_attr_put(&m.header, TLS_INFO_RX_NO_PAD, 0, NULL);
	mnl_attr_put_u16(&m.header, 7, 4096);
	mnl_attr_put_u16(&m.header, 31, 1);
	mnl_attr_put_u16(&m.header, 32, 1); /* beyond the table */
	mnl_attr_put_u16(&m.header, 16000, 1);
	mnl_attr_nest_end(&m.header, tls);
	mnl_attr_nest_end(&m.header, ulp);
	CHECK(&m, "zerocopySendfile", "true", "expectNoPad", "true", "maxPayload", "4096", "version",
	      "null", "cipher", "null", "transmit", "null", "receive", "null", "bytesSent", "null");
}

/* No ULP, another one, or a name that is not the whole of it: no kernel TLS. */
static void test_others(void **state)
{
	static const struct {
		const char *name;
		size_t length;
		bool tls;
	} names[] = {
		{ "tls", 3, true }, { "tls", 4, true },	   { "mptcp", 6, false }, { "tlsx", 4, false },
		{ "tl", 2, false }, { "smc", 4, false }, { "", 0, false },
	};
	union diag_message m;

	diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
	assert_null(parse(&m));
	diag_message_put_info(&m, sizeof(struct tcp_info));
	assert_null(parse(&m));
	for (size_t i = 0; i < array_size(names); i++) {
		struct json_object *socket;
		struct nlattr *ulp;

		diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
		ulp = mnl_attr_nest_start(&m.header, INET_DIAG_ULP_INFO);
		mnl_attr_put(&m.header, INET_ULP_INFO_NAME, names[i].length, names[i].name);
		mnl_attr_nest_end(&m.header, ulp);
		socket = parse(&m);
		print_message("# %s\n", names[i].name);
		assert_int_equal(socket != NULL, names[i].tls);
		json_object_put(socket);
	}
}

static void test_tcp_info(void **state)
{
	static const struct {
		size_t length;
		const char *sent, *acked, *received;
	} rows[] = {
		{ 0, "null", "null", "null" },
		{ offsetof(struct tcp_info, tcpi_bytes_acked) + 7, "null", "null", "null" },
		{ offsetof(struct tcp_info, tcpi_bytes_acked) + 8, "null", "1002", "null" },
		{ offsetof(struct tcp_info, tcpi_bytes_received) + 8, "null", "1002", "1003" },
		{ offsetof(struct tcp_info, tcpi_bytes_sent) + 7, "null", "1002", "1003" },
		{ offsetof(struct tcp_info, tcpi_bytes_sent) + 8, "1001", "1002", "1003" },
		{ sizeof(struct tcp_info) + 64, "1001", "1002", "1003" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		union diag_message m;

		diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
		diag_message_put_info(&m, rows[i].length);
		diag_message_put_tls(&m, TLS_1_2_VERSION, 51, 2, 2);
		CHECK(&m, "bytesSent", rows[i].sent, "bytesAcked", rows[i].acked, "bytesReceived",
		      rows[i].received);
	}
}

/* Numbers of a size that none has, and of the other one. */
static void test_numbers(void **state)
{
	static const char bytes[16] = { 3, 3, 3, 3 };
	static const struct {
		size_t length;
		const char *version;
	} rows[] = {
		{ 0, "null" }, { 1, "null" }, { 2, "unknown (771)" }, { 3, "null" },
		{ 4, "unknown (50529027)" }, { 8, "null" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		union diag_message m;
		struct nlattr *ulp, *tls;

		diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
		ulp = mnl_attr_nest_start(&m.header, INET_DIAG_ULP_INFO);
		tls = mnl_attr_nest_start(&m.header, INET_ULP_INFO_TLS);
		mnl_attr_put(&m.header, TLS_INFO_TXCONF, rows[i].length, bytes);
		mnl_attr_nest_end(&m.header, tls);
		mnl_attr_nest_end(&m.header, ulp);
		CHECK(&m, "transmit", rows[i].version);
	}
}

/* At each length the message is taken for no more than it has; nothing beyond it is read. */
static void test_cut(void **state)
{
	union diag_message m;
	size_t whole, told = 0;

	diag_message_init(&m, AF_INET6, "2001:db8::1", "2001:db8::2");
	diag_message_put_info(&m, sizeof(struct tcp_info));
	diag_message_put_tls(&m, TLS_1_2_VERSION, 51, 2, 3);
	whole = m.header.nlmsg_len;
	for (size_t n = sizeof(m.header); n <= whole; n += 4) {
		struct nlmsghdr *copy = malloc(n);
		struct json_object *socket = NULL;
		int r;

		assert_non_null(copy);
		memcpy(copy, &m, n);
		copy->nlmsg_len = n;
		r = diag_socket(copy, &socket);
		assert_int_equal(r, n < sizeof(m.header) + sizeof(struct inet_diag_msg) ? -EBADMSG : 0);
		told += socket != NULL;
		json_object_put(socket);
		free(copy);
	}
	assert_int_equal(told, 1);
}

static void test_nested_lengths(void **state)
{
	union diag_message m;
	struct nlattr *ulp;

	diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
	ulp = mnl_attr_nest_start(&m.header, INET_DIAG_ULP_INFO);
	mnl_attr_put_u16(&m.header, INET_ULP_INFO_TLS, 1); /* a nest of two bytes */
	mnl_attr_nest_end(&m.header, ulp);
	CHECK(&m, "version", "null", "transmit", "null");
	/* What is within says that it is longer than the whole: it is not there. */
	((struct nlattr *)mnl_attr_get_payload(ulp))->nla_len = 500;
	assert_null(parse(&m));
	((struct nlattr *)mnl_attr_get_payload(ulp))->nla_len = 3;
	assert_null(parse(&m));
	ulp->nla_len = 2;
	assert_null(parse(&m));
}

static void test_other_types(void **state)
{
	union diag_message m;
	struct json_object *socket;

	diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
	diag_message_put_tls(&m, TLS_1_2_VERSION, 51, 2, 3);
	m.header.nlmsg_type = SOCK_DIAG_BY_FAMILY + 1;
	assert_int_equal(diag_socket(&m.header, &socket), -EBADMSG);
	assert_null(socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_tcp_info),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_nested_lengths),
		cmocka_unit_test(test_other_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
