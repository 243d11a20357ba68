/* SPDX-License-Identifier: MIT */
#include "client/ctl-diag.c"

#include "tests/unit/diag.h"

/*
 * The kernel, played: each answer is one datagram, in the order in which they are received. What
 * was sent last gives them their number; after the last of them there is nothing, for ever.
 */
struct answer {
	int err; /* what receiving fails with, instead */
	size_t length;
	unsigned int questions; /* that had been asked when it was received */
	char bytes[4 * DIAG_SIZE];
};

static struct play {
	struct answer answers[32];
	size_t n, at;
	unsigned int seq, questions;
	int send_err;
	struct inet_diag_req_v2 request[8];
	unsigned int flags;
} play;

static ssize_t play_send(const struct mnl_socket *nl, const void *data, size_t length)
{
	const struct nlmsghdr *header = data;

	assert_int_equal(length, sizeof(*header) + sizeof(struct inet_diag_req_v2));
	assert_int_equal(header->nlmsg_len, length);
	assert_int_equal(header->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	play.seq = header->nlmsg_seq;
	play.flags = header->nlmsg_flags;
	memcpy(&play.request[play.questions++ % 8], header + 1, sizeof(struct inet_diag_req_v2));
	errno = play.send_err;
	return play.send_err ? -1 : (ssize_t)length;
}

static ssize_t play_receive(const struct mnl_socket *nl, void *data, size_t size)
{
	struct answer *answer = &play.answers[play.at];

	if (play.at == play.n) {
		errno = ENODATA;
		return -1;
	}
	play.at++;
	answer->questions = play.questions;
	errno = answer->err;
	if (answer->err)
		return -1;
	for (char *p = answer->bytes; p < answer->bytes + answer->length;) {
		struct nlmsghdr *header = (struct nlmsghdr *)p;

		header->nlmsg_seq = header->nlmsg_seq ?: play.seq;
		p += header->nlmsg_len < sizeof(*header) ? sizeof(*header) : MNL_ALIGN(header->nlmsg_len);
	}
	assert_true(answer->length <= size);
	memcpy(data, answer->bytes, answer->length);
	return answer->length;
}

static int setup(void **state)
{
	memset(&play, 0, sizeof(play));
	return 0;
}

static struct answer *answer_new(void)
{
	return &play.answers[play.n++];
}

static struct nlmsghdr *answer_put(struct answer *answer, const union diag_message *m)
{
	struct nlmsghdr *place = (struct nlmsghdr *)(answer->bytes + answer->length);

	memcpy(place, m, m->header.nlmsg_len);
	answer->length += MNL_ALIGN(m->header.nlmsg_len);
	return place;
}

static struct nlmsghdr *answer_put_socket(struct answer *answer, unsigned int inode, bool tls)
{
	union diag_message m;

	diag_message_init(&m, AF_INET, "192.0.2.1", "192.0.2.2");
	diag_message_head(&m)->idiag_inode = inode;
	if (tls)
		diag_message_put_tls(&m, TLS_1_2_VERSION, 51, 2, 2);
	return answer_put(answer, &m);
}

/* A message of control with one number in it, or cut to nothing. */
static struct nlmsghdr *answer_put_control(struct answer *answer, unsigned int type, size_t length,
					   int number)
{
	union diag_message m;
	int *payload;

	mnl_nlmsg_put_header(&m);
	m.header.nlmsg_type = type;
	m.header.nlmsg_pid = DIAG_PORTID;
	payload = mnl_nlmsg_put_extra_header(&m.header, 64);
	payload[0] = number;
	m.header.nlmsg_len = MNL_NLMSG_HDRLEN + length;
	return answer_put(answer, &m);
}

static void answer_end(int err)
{
	answer_put_control(answer_new(), NLMSG_DONE, sizeof(int), -err);
}

static struct json_object *list(int *err)
{
	struct diag diag = { .portid = DIAG_PORTID, .seq = 5, .send = play_send, .receive = play_receive };

	return diag_list(&diag, err);
}

static void check_inodes(const char *wanted)
{
	struct json_object *sockets;
	char inodes[256] = "";
	int err;

	sockets = list(&err);
	assert_int_equal(err, 0);
	assert_non_null(sockets);
	for (size_t i = 0; i < json_object_array_length(sockets); i++) {
		strcat(inodes, member(json_object_array_get_idx(sockets, i), "inode"));
		strcat(inodes, " ");
	}
	assert_string_equal(inodes, wanted);
	json_object_put(sockets);
}

static void check_failure(int wanted)
{
	int err;

	assert_null(list(&err));
	assert_int_equal(err, -wanted);
}

static void test_list(void **state)
{
	struct answer *answer = answer_new();

	answer_put_socket(answer, 1, true);
	answer_put_socket(answer, 2, false);
	answer_put_control(answer, NLMSG_NOOP, 0, 0);
	answer_put_socket(answer, 3, true);
	answer_put_socket(answer_new(), 4, true);
	answer_end(0);
	answer = answer_new();
	answer_put_socket(answer, 6, true);
	answer_put_control(answer, NLMSG_DONE, 0, 0);
	check_inodes("1 3 4 6 ");
	assert_int_equal(play.questions, 2);
	assert_int_equal(play.request[0].sdiag_family, AF_INET);
	assert_int_equal(play.request[1].sdiag_family, AF_INET6);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(play.request[i].sdiag_protocol, IPPROTO_TCP);
		assert_int_equal(play.request[i].idiag_ext, 1 << (INET_DIAG_INFO - 1));
		assert_int_equal(play.request[i].idiag_states, ~0U);
	}
	assert_int_equal(play.flags, NLM_F_REQUEST | NLM_F_DUMP);
}

static void test_none(void **state)
{
	answer_end(0);
	answer_end(0);
	check_inodes("");
}

/* An error as a message of its own, and at the end of a list. */
static void test_errors(void **state)
{
	static const int errors[] = { ENOENT, EPERM, EINVAL };

	for (size_t i = 0; i < array_size(errors); i++) {
		setup(NULL);
		answer_put_control(answer_new(), NLMSG_ERROR, sizeof(struct nlmsgerr), -errors[i]);
		check_failure(errors[i]);
		setup(NULL);
		answer_put_socket(answer_new(), 1, true);
		answer_end(errors[i]);
		check_failure(errors[i]);
		setup(NULL);
		answer_end(0);
		answer_end(errors[i]);
		check_failure(errors[i]);
	}
}

static void test_door(void **state)
{
	play.send_err = ENOBUFS;
	check_failure(ENOBUFS);
	play.send_err = 0;
	answer_new()->err = ENOSPC;
	check_failure(ENOSPC);
	answer_new(); /* of no length */
	check_failure(EBADMSG);
}

/* A signal interrupts the wait, and nothing else. */
static void test_signal(void **state)
{
	answer_new()->err = EINTR;
	answer_put_socket(answer_new(), 1, true);
	answer_new()->err = EINTR;
	answer_end(0);
	answer_end(0);
	check_inodes("1 ");
	assert_int_equal(play.questions, 2);
}

static void test_malformed(void **state)
{
	static const struct {
		unsigned int type;
		size_t length;
		int number;
	} controls[] = {
		{ NLMSG_ERROR, sizeof(struct nlmsgerr) - 1, -ENOENT },
		{ NLMSG_ERROR, 0, 0 },
		{ NLMSG_ERROR, sizeof(struct nlmsgerr), ENOENT },
		{ NLMSG_MIN_TYPE, 4, 0 },
		{ SOCK_DIAG_BY_FAMILY, sizeof(struct inet_diag_msg) - 16, 0 },
	};

	for (size_t i = 0; i < array_size(controls); i++) {
		setup(NULL);
		answer_put_control(answer_new(), controls[i].type, controls[i].length,
				   controls[i].number);
		answer_end(0);
		answer_end(0);
		print_message("# %zu\n", i);
		check_failure(EBADMSG);
	}
}

/* The last message is longer than what came, or too short to be one. */
static void test_cut(void **state)
{
	static const unsigned int lengths[] = { 0, 15, 17 };
	struct answer *answer = answer_new();

	answer_put_socket(answer, 1, true);
	answer->length -= 4;
	answer_end(0);
	answer_end(0);
	check_failure(EBADMSG);
	for (size_t i = 0; i < array_size(lengths); i++) {
		setup(NULL);
		answer = answer_new();
		answer_put_socket(answer, 1, true);
		answer_put_control(answer, NLMSG_NOOP, 0, 0)->nlmsg_len = lengths[i];
		answer_end(0);
		answer_end(0);
		check_failure(EBADMSG);
	}
	setup(NULL);
	answer = answer_new();
	answer_put_socket(answer, 1, true);
	answer_put_control(answer, NLMSG_NOOP, 0, 0);
	answer->length -= 15; /* one byte of a header */
	answer_end(0);
	answer_end(0);
	check_failure(EBADMSG);
}

/* Of another question, and of another's. */
static void test_strangers(void **state)
{
	answer_put_socket(answer_new(), 1, true)->nlmsg_seq = 3;
	check_failure(EPROTO);
	setup(NULL);
	answer_put_socket(answer_new(), 1, true)->nlmsg_pid = DIAG_PORTID + 1;
	check_failure(ESRCH);
}

/* A list that was changed while it was told is read to its end, and asked for anew. */
static void test_changed(void **state)
{
	struct answer *answer = answer_new();

	answer_put_socket(answer, 1, true);
	answer_put_socket(answer, 2, true)->nlmsg_flags |= NLM_F_DUMP_INTR;
	answer_put_socket(answer_new(), 3, true);
	answer_end(0);
	answer_put_socket(answer_new(), 4, true);
	answer = answer_new();
	answer_put_control(answer, NLMSG_DONE, 4, 0)->nlmsg_flags |= NLM_F_DUMP_INTR;
	answer_put_socket(answer_new(), 5, true);
	answer_end(0);
	answer_end(0);
	check_inodes("5 ");
	assert_int_equal(play.answers[2].questions, 1);
	assert_int_equal(play.answers[3].questions, 2);
	assert_int_equal(play.answers[4].questions, 2);
	assert_int_equal(play.questions, 4);
}

static void test_always_changed(void **state)
{
	struct answer *answer;

	for (int i = 0; i < 2 * TRIES; i++) {
		answer = answer_new();
		answer_put_socket(answer, 1, true)->nlmsg_flags |= NLM_F_DUMP_INTR;
		answer_put_control(answer, NLMSG_DONE, 4, 0);
	}
	check_failure(EINTR);
	assert_int_equal(play.questions, TRIES);
}

static int take_first(const struct nlmsghdr *message, void *data)
{
	++*(int *)data;
	return MNL_CB_STOP;
}

/* A question about one socket has an answer without an end. */
static void test_single(void **state)
{
	struct diag diag = { .portid = DIAG_PORTID, .send = play_send, .receive = play_receive };
	struct inet_diag_req_v2 request = { .sdiag_family = AF_INET };
	int visits = 0;

	answer_put_socket(answer_new(), 1, true);
	assert_int_equal(diag_ask(&diag, &request, 0, take_first, &visits), 0);
	assert_int_equal(visits, 1);
	assert_int_equal(play.flags, NLM_F_REQUEST);
}

static void test_explain(void **state)
{
	static const struct {
		int err;
		const char *message, *cure;
	} rows[] = {
		{ ENOENT, "tcp_diag", "modprobe tcp_diag" },
		{ EPROTONOSUPPORT, "tcp_diag", "modprobe tcp_diag" },
		{ EINTR, "changes faster", "try again" },
		{ EBADMSG, "malformed", NULL },
		{ EPERM, "forbidden", "root" },
		{ EACCES, "forbidden", "root" },
		{ EMFILE, "Too many open files", NULL },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct diag_failure failure;

		diag_explain(-rows[i].err, &failure);
		assert_int_equal(failure.err, rows[i].err);
		assert_non_null(strstr(failure.message, rows[i].message));
		assert_int_equal(!failure.cure, !rows[i].cure);
		if (rows[i].cure)
			assert_non_null(strstr(failure.cure, rows[i].cure));
	}
}

/* This machine's own kernel, whatever sockets it has. */
static void test_document(void **state)
{
	static const char *const members[] = { "sockets", "privileged", "processesHidden" };
	struct diag_failure failure = { 0 };
	struct json_object *all = diag_sockets("/proc", &failure);

	assert_non_null(all);
	assert_int_equal(json_object_object_length(all), array_size(members));
	for (size_t i = 0; i < array_size(members); i++)
		assert_string_not_equal(member(all, members[i]), "-");
	assert_true(json_object_is_type(json_object_object_get(all, "sockets"), json_type_array));
	json_object_put(all);
	assert_null(diag_sockets("/nowhere", &failure));
	assert_int_equal(failure.err, ENOENT);
	assert_non_null(strstr(failure.message, "/proc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_list, setup),
		cmocka_unit_test_setup(test_none, setup),
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_door, setup),
		cmocka_unit_test_setup(test_signal, setup),
		cmocka_unit_test_setup(test_malformed, setup),
		cmocka_unit_test_setup(test_cut, setup),
		cmocka_unit_test_setup(test_strangers, setup),
		cmocka_unit_test_setup(test_changed, setup),
		cmocka_unit_test_setup(test_always_changed, setup),
		cmocka_unit_test_setup(test_single, setup),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
