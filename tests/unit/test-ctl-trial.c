/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-trial.c"
#include "client/ctl-loopback.c"
#include "proto/util.h"

#include <dirent.h>
#include <stdlib.h>

/*
 * A kernel that takes everything, but for what a test wants refused. Its connections are pairs of
 * Unix sockets; what it was asked for is kept, a letter each: Connect, Ulp, Transmit, Receive, and
 * in small letters what came on top of keys that were there.
 */
enum { N_FDS = 1024, LOG_SIZE = 2048 };
enum call { CONNECT, ULP, TX, RX, REKEY_TX, REKEY_RX, SEND, RECV, MAX_PAYLOAD, SPLICE, N_CALLS };

static struct {
	enum call call; /* what fails */
	int error; /* 0: nothing; DIFFERS: it says it worked, and did something else */
	uint16_t version, type; /* for these keys; 0: for all */
	int skipped, times; /* so many are let through, so many fail (-1: all) */
	char log[LOG_SIZE];
	int patience; /* the last connection's */
	struct tls_crypto_info keyed[N_FDS][2];
} fake;

static bool refuses(enum call call, const struct tls_crypto_info *keys)
{
	if (fake.call != call || !fake.error || fake.times == 0)
		return false;
	if (keys && fake.version && (keys->version != fake.version || keys->cipher_type != fake.type))
		return false;
	if (fake.skipped > 0)
		return fake.skipped--, false;
	fake.times -= fake.times > 0;
	return true;
}

static int fail_with(int error)
{
	errno = error;
	return -1;
}

static void note(char letter)
{
	size_t n = strlen(fake.log);

	assert_true(n + 1 < LOG_SIZE);
	fake.log[n] = letter;
}

static int fake_connect(struct loopback *ends, int patience_ms)
{
	note('C');
	fake.patience = patience_ms;
	if (refuses(CONNECT, NULL))
		return -fake.error;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends->fd), 0);
	for (int i = 0; i < 2; i++)
		memset(fake.keyed[ends->fd[i]], 0, sizeof(fake.keyed[0]));
	return 0;
}

#define CHECK_INFO(cipher, struct_name)								\
	do {											\
		struct tls12_crypto_info_##struct_name info;					\
		if (head.cipher_type != TLS_CIPHER_##cipher)					\
			break;									\
		assert_int_equal(size, sizeof(info));						\
		memcpy(&info, value, sizeof(info));						\
		/* Another key for a change of keys, and nothing but zeros else. */		\
		assert_int_equal(info.key[0], again);						\
		info.key[0] = 0;								\
		memset(&info.info, 0, sizeof(info.info));					\
		for (size_t at = 0; at < sizeof(info); at++)					\
			assert_int_equal(((uint8_t *)&info)[at], 0);				\
		known = true;									\
	} while (0)

static void check_info(struct tls_crypto_info head, const void *value, socklen_t size, bool again)
{
	bool known = false;

	CHECK_INFO(AES_GCM_128, aes_gcm_128);
	CHECK_INFO(AES_GCM_256, aes_gcm_256);
	CHECK_INFO(AES_CCM_128, aes_ccm_128);
	CHECK_INFO(CHACHA20_POLY1305, chacha20_poly1305);
	CHECK_INFO(SM4_GCM, sm4_gcm);
	CHECK_INFO(SM4_CCM, sm4_ccm);
	CHECK_INFO(ARIA_GCM_128, aria_gcm_128);
	CHECK_INFO(ARIA_GCM_256, aria_gcm_256);
	assert_true(known);
}

static int set_info(int fd, int option, const void *value, socklen_t size)
{
	struct tls_crypto_info head, *keyed = &fake.keyed[fd][option == TLS_RX];
	bool again = keyed->version != 0;
	enum call call = (option == TLS_RX ? RX : TX) + (again ? REKEY_TX - TX : 0);

	assert_true(size > sizeof(head));
	memcpy(&head, value, sizeof(head));
	check_info(head, value, size, again);
	note((option == TLS_RX ? "Rr" : "Tt")[again]);
	if (refuses(call, &head))
		return fail_with(fake.error);
	*keyed = head;
	return 0;
}

static int fake_set(int fd, int level, int option, const void *value, socklen_t size)
{
	assert_true(fd < N_FDS);
	if (level == SOL_TLS && (option == TLS_TX || option == TLS_RX))
		return set_info(fd, option, value, size);
	if (level == SOL_TLS) {
		assert_int_equal(option, OPTION_MAX_PAYLOAD);
		assert_int_equal(size, sizeof(uint16_t));
		return refuses(MAX_PAYLOAD, NULL) ? fail_with(fake.error) : 0;
	}
	assert_int_equal(level, IPPROTO_TCP);
	assert_int_equal(option, TCP_ULP);
	assert_string_equal(value, "tls");
	note('U');
	return refuses(ULP, NULL) ? fail_with(fake.error) : 0;
}

/* One that lies has sent nothing: a packet filter is in the way. */
static ssize_t fake_send(int fd, const void *data, size_t n, int flags)
{
	assert_int_equal(flags, MSG_NOSIGNAL);
	if (!refuses(SEND, &fake.keyed[fd][0]))
		return send(fd, data, n, flags);
	return fake.error == DIFFERS ? (ssize_t)n : fail_with(fake.error);
}

static ssize_t fake_recv(int fd, void *data, size_t n, int flags)
{
	ssize_t got;

	if (!refuses(RECV, &fake.keyed[fd][1]))
		return recv(fd, data, n, flags);
	if (fake.error != DIFFERS)
		return fail_with(fake.error);
	got = recv(fd, data, n, flags);
	((char *)data)[got - 1] ^= 1;
	return got;
}

/* One that lies loses a few bytes. */
static ssize_t fake_splice(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
	char lost[5];

	assert_true(flags & SPLICE_F_NONBLOCK);
	if (!refuses(SPLICE, NULL))
		return splice(in, in_at, out, out_at, n, flags);
	if (fake.error != DIFFERS)
		return fail_with(fake.error);
	assert_int_equal(recv(in, lost, sizeof(lost), 0), sizeof(lost));
	return splice(in, in_at, out, out_at, n, flags);
}

static const struct trial_door door = {
	.statistics = "/nowhere",
	.module = "/proc/self",
	.layers = "/nowhere",
	.connect = fake_connect,
	.set = fake_set,
	.send = fake_send,
	.recv = fake_recv,
	.splice = fake_splice,
};

static int set_up(void **state)
{
	memset(&fake, 0, sizeof(fake));
	fake.times = -1;
	return 0;
}

static void refuse(enum call call, int error, const struct version *version, const struct aead *aead)
{
	set_up(NULL);
	fake.call = call;
	fake.error = error;
	fake.version = version ? version->number : 0;
	fake.type = aead ? aead->type : 0;
}

static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static struct json_object *run(const struct trial_door *which)
{
	int before = count_fds();
	struct json_object *object = ctl_trial(which);

	assert_int_equal(count_fds(), before);
	assert_int_equal(json_object_object_length(object), 5);
	return object;
}

/* The member as text, null as "-". */
static const char *text_of(struct json_object *object, const char *member)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(object, member, &value));
	return value ? json_object_get_string(value) : "-";
}

static struct json_object *part_of(struct json_object *object, const char *member)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(object, member, &value));
	return value;
}

/* transmit, receive, roundTrip, rekey: as one text. */
static void check_cell(struct json_object *object, size_t i, const char *wanted)
{
	struct json_object *cell = json_object_array_get_idx(part_of(object, "ciphers"), i);
	char text[128];

	assert_int_equal(json_object_object_length(cell), 6);
	assert_string_equal(text_of(cell, "version"), i < N_AEADS ? "1.2" : "1.3");
	assert_string_equal(text_of(cell, "cipher"), aeads[i % N_AEADS].name);
	snprintf(text, sizeof(text), "%s %s %s %s", text_of(cell, "transmit"),
		 text_of(cell, "receive"), text_of(cell, "roundTrip"), text_of(cell, "rekey"));
	assert_string_equal(text, wanted);
}

static void check_behaviours(struct json_object *object, const char *rekey, const char *splicing,
			     const char *max_payload)
{
	struct json_object *behaviours = part_of(object, "behaviours");

	assert_int_equal(json_object_object_length(behaviours), 3);
	assert_string_equal(text_of(behaviours, "rekey"), rekey);
	assert_string_equal(text_of(behaviours, "splice"), splicing);
	assert_string_equal(text_of(behaviours, "maxPayload"), max_payload);
}

static void check_head(struct json_object *object, const char *module, const char *loopback,
		       const char *layer)
{
	assert_string_equal(text_of(object, "module"), module);
	assert_string_equal(text_of(object, "loopback"), loopback);
	assert_string_equal(text_of(object, "tcpUlp"), layer);
	assert_int_equal(json_object_array_length(part_of(object, "ciphers")),
			 N_VERSIONS * N_AEADS);
}

static const char *all_of(size_t i)
{
	return i < N_AEADS ? "works works works -" : "works works works works";
}

/* Every cell is as if nothing had been refused, but for one. */
static void check_one(struct json_object *object, size_t odd, const char *wanted)
{
	check_head(object, "present", "works", "works");
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++)
		check_cell(object, i, i == odd ? wanted : all_of(i));
	json_object_put(object);
}

static void test_everything_works(void **state)
{
	static const char first[] = "CU" "CUT" "CUR" "CUTRUTR" "CUTRUTR" "CUTRUTR" "CUT" "CUR";
	static const char last[] = "CUT" "CUR" "CUTRUTR" "CUTRUTRrt";
	struct json_object *object = run(&door);

	check_behaviours(object, "works", "works", "works");
	check_one(object, 0, all_of(0));
	assert_int_equal(fake.patience, PATIENCE_MS);
	/* The layer; each direction alone, a pair, a pair for what splice does, and one for the limit. */
	assert_memory_equal(fake.log, first, sizeof(first) - 1);
	assert_string_equal(fake.log + strlen(fake.log) - (sizeof(last) - 1), last);
}

/* Of the others nothing is asked, and nothing told. */
static void test_the_first_few(void **state)
{
	struct trial_door few = door;
	struct json_object *object;

	few.first = 3;
	object = run(&few);
	check_head(object, "present", "works", "works");
	check_behaviours(object, "works", "works", "works");
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++)
		check_cell(object, i, i % N_AEADS < 3 ? all_of(i) : "- - - -");
	json_object_put(object);
}

#define ERRNO(name) { name, #name }

static const struct {
	int number;
	const char *name;
} errors[] = {
	ERRNO(ENOENT), ERRNO(EBUSY), ERRNO(ENOMEM), ERRNO(EINVAL), ERRNO(EPERM), ERRNO(EOPNOTSUPP),
	{ 524, "errno 524" }, /* the kernel's own ENOTSUPP */
};

static void check_cell_refused(size_t cell, enum call call, const char *format)
{
	char wanted[128];

	for (size_t e = 0; e < array_size(errors); e++) {
		refuse(call, errors[e].number, &versions[cell / N_AEADS], &aeads[cell % N_AEADS]);
		snprintf(wanted, sizeof(wanted), "%s", format);
		*strchr(wanted, '?') = '\0';
		strcat(strcat(wanted, errors[e].name), strchr(format, '?') + 1);
		check_one(run(&door), cell, wanted);
	}
}

static void test_each_errno_of_each_cell(void **state)
{
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++) {
		check_cell_refused(i, TX, "? works - -");
		check_cell_refused(i, RX, "works ? - -");
	}
}

static void test_each_errno_of_a_round_trip(void **state)
{
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++) {
		check_cell_refused(i, SEND, "works works ? -");
		check_cell_refused(i, RECV, "works works ? -");
		refuse(RECV, DIFFERS, &versions[i / N_AEADS], &aeads[i % N_AEADS]);
		check_one(run(&door), i, "works works differs -");
	}
}

/* The second direction of the pair is tried, too. */
static void test_the_way_back(void **state)
{
	refuse(RECV, EBADMSG, &versions[0], &aeads[2]);
	fake.skipped = fake.times = 1;
	check_one(run(&door), 2, "works works EBADMSG -");
	assert_int_equal(fake.times, 0);
}

static void test_each_errno_of_a_change_of_keys(void **state)
{
	struct json_object *object;

	for (size_t i = N_AEADS; i < N_VERSIONS * N_AEADS; i++) {
		check_cell_refused(i, REKEY_TX, "works works works ?");
		check_cell_refused(i, REKEY_RX, "works works works ?");
	}
	refuse(REKEY_RX, EBUSY, NULL, NULL);
	object = run(&door);
	check_behaviours(object, "EBUSY", "works", "works");
	json_object_put(object);
}

static void check_nothing(struct json_object *object, const char *module, const char *loopback,
			  const char *layer)
{
	check_head(object, module, loopback, layer);
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++)
		check_cell(object, i, "- - - -");
	check_behaviours(object, "-", "-", "-");
	json_object_put(object);
}

static void test_without_what_all_need(void **state)
{
	for (size_t e = 0; e < array_size(errors); e++) {
		refuse(CONNECT, errors[e].number, NULL, NULL);
		check_nothing(run(&door), "present", errors[e].name, "-");
		assert_string_equal(fake.log, "C");
		refuse(ULP, errors[e].number, NULL, NULL);
		check_nothing(run(&door), "present", "works", errors[e].name);
		assert_string_equal(fake.log, "CU");
	}
}

/* Nothing is asked of a kernel that would load its module for it. */
static void check_signs(const char *statistics, const char *module, const char *layers, bool present)
{
	struct trial_door signs = door;
	struct json_object *object;

	set_up(NULL);
	signs.statistics = statistics;
	signs.module = module;
	signs.layers = layers;
	object = run(&signs);
	if (!present) {
		check_nothing(object, "absent", "-", "-");
		assert_string_equal(fake.log, "");
		return;
	}
	check_head(object, "present", "works", "works");
	json_object_put(object);
}

static void test_whether_there_is_a_module(void **state)
{
	static const struct {
		const char *words;
		bool present;
	} files[] = {
		{ "", false },	       { "\n", false },		{ "espintcp mptcp\n", false },
		{ "tls-toe\n", false }, { "espintcp tls\n", true }, { "tls mptcp\n", true },
		{ "tls", true },
	};
	char path[] = "/tmp/test-ctl-trial.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t i = 0; i < array_size(files); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, files[i].words, strlen(files[i].words), 0),
				 strlen(files[i].words));
		check_signs("/nowhere", "/nowhere", path, files[i].present);
	}
	check_signs("/nowhere", "/nowhere", "/nowhere", false);
	check_signs("/proc/self", "/nowhere", "/nowhere", true);
	check_signs("/nowhere", "/proc/self", "/nowhere", true);
	close(fd);
	unlink(path);
}

/* It is waited for once, and then no more for as long. */
static void test_what_is_swallowed(void **state)
{
	struct json_object *object;

	refuse(SEND, DIFFERS, NULL, NULL);
	object = run(&door);
	for (size_t i = 0; i < N_VERSIONS * N_AEADS; i++)
		check_cell(object, i, "works works ETIMEDOUT -");
	check_behaviours(object, "-", "-", "-");
	assert_int_equal(fake.patience, LITTLE_PATIENCE_MS);
	json_object_put(object);
	refuse(CONNECT, ETIMEDOUT, NULL, NULL);
	check_nothing(run(&door), "present", "ETIMEDOUT", "-");
}

static void check_splice(int error, int times, const char *wanted)
{
	struct json_object *object;

	refuse(SPLICE, error, NULL, NULL);
	fake.times = times;
	object = run(&door);
	check_behaviours(object, "works", wanted, "works");
	check_one(object, 0, all_of(0));
	/* What is lost is seen by what comes instead of it: nobody waited in vain. */
	assert_int_equal(fake.patience, PATIENCE_MS);
}

static void test_splice(void **state)
{
	check_splice(EINVAL, 1, "EINVAL");
	check_splice(DIFFERS, 1, "differs");
	/* Until the rest of a record is there. */
	check_splice(EAGAIN, 3, "works");
	check_splice(EAGAIN, -1, "ETIMEDOUT");
}

static void test_max_payload(void **state)
{
	struct json_object *object;

	refuse(MAX_PAYLOAD, ENOPROTOOPT, NULL, NULL);
	object = run(&door);
	check_behaviours(object, "works", "works", "ENOPROTOOPT");
	check_one(object, 0, all_of(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_everything_works, set_up),
		cmocka_unit_test_setup(test_the_first_few, set_up),
		cmocka_unit_test_setup(test_each_errno_of_each_cell, set_up),
		cmocka_unit_test_setup(test_each_errno_of_a_round_trip, set_up),
		cmocka_unit_test_setup(test_the_way_back, set_up),
		cmocka_unit_test_setup(test_each_errno_of_a_change_of_keys, set_up),
		cmocka_unit_test_setup(test_without_what_all_need, set_up),
		cmocka_unit_test_setup(test_whether_there_is_a_module, set_up),
		cmocka_unit_test_setup(test_what_is_swallowed, set_up),
		cmocka_unit_test_setup(test_splice, set_up),
		cmocka_unit_test_setup(test_max_payload, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
