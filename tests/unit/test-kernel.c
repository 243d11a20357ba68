/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=setsockopt,--wrap=getsockopt,--wrap=socket,--wrap=recv,--wrap=connect */
/* link: -Wl,--wrap=OPENSSL_cleanse */
#include "tests/unit/unit.h"

#include "daemon/kernel.h"

#include <dirent.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
ssize_t __real_recv(int fd, void *buffer, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t n, int flags);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
void __real_OPENSSL_cleanse(void *buffer, size_t n);
void __wrap_OPENSSL_cleanse(void *buffer, size_t n);

/* --- a kernel of our own */

enum call { SET_ULP, SET_TX, SET_RX, GET_ULP, GET_TX, GET_RX, N_CALLS };

static const char letters[N_CALLS + 1] = "UTRutr";

static struct {
	int errors[N_CALLS];		/* what each call fails with */
	int no_cipher;			/* cipher type that has no module; 0: all have */
	int no_family;
	int connect_error, connects;
	bool broken_ccm;
	bool ulp_needs_connection;
	char log[64];			/* the calls, a letter each */
	int fd;				/* the last that was touched */
	uint8_t info[2][64];		/* of TX and RX */
	socklen_t size[2];
	const char *ulp;
	int flip_direction, flip_byte;	/* what the read-back shows wrong; -1: nothing */
	int wrong_size;
	int cleansed;			/* buffers of key size */
} fake;

static void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.ulp = "tls";
	fake.flip_byte = -1;
}

static enum call call_of(int level, int option, bool get)
{
	enum call base = get ? GET_ULP : SET_ULP;

	if (level == SOL_TCP && option == TCP_ULP)
		return base;
	if (level == SOL_TLS && (option == TLS_TX || option == TLS_RX))
		return base + (option == TLS_TX ? 1 : 2);
	return N_CALLS;
}

static int fail_with(int error)
{
	errno = error;
	return -1;
}

static bool connected(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	return getpeername(fd, (struct sockaddr *)&address, &size) == 0;
}

static void note(enum call call, int fd)
{
	size_t n = strlen(fake.log);

	fake.fd = fd;
	if (n + 1 < sizeof(fake.log))
		fake.log[n] = letters[call];
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	enum call call = call_of(level, option, false);
	struct tls_crypto_info head = { 0 };

	if (call == N_CALLS)
		return __real_setsockopt(fd, level, option, value, size);
	note(call, fd);
	if (fake.errors[call])
		return fail_with(fake.errors[call]);
	if (call == SET_ULP) {
		if (fake.ulp_needs_connection && !connected(fd))
			return fail_with(ENOTCONN);
		return strncmp(value, "tls", size) == 0 ? 0 : fail_with(ENOENT);
	}
	assert_true(size <= sizeof(fake.info[0]) && size > sizeof(head));
	memcpy(&head, value, sizeof(head));
	if (head.cipher_type == fake.no_cipher)
		return fail_with(ENOENT);
	memcpy(fake.info[call - SET_TX], value, size);
	fake.size[call - SET_TX] = size;
	return 0;
}

static int get_info(int direction, uint8_t *value, socklen_t *size)
{
	if (*size != fake.size[direction])
		return fail_with(EINVAL);
	memcpy(value, fake.info[direction], *size);
	if (fake.flip_byte >= 0 && fake.flip_direction == direction)
		value[fake.flip_byte] ^= 0x10;
	*size -= (socklen_t)fake.wrong_size;
	return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	enum call call = call_of(level, option, true);

	if (call == N_CALLS)
		return __real_getsockopt(fd, level, option, value, size);
	note(call, fd);
	if (fake.errors[call])
		return fail_with(fake.errors[call]);
	if (call != GET_ULP)
		return get_info(call - GET_TX, value, size);
	/* As the kernel does: 16 bytes of name, or nothing at all. */
	assert_true(*size >= 16);
	*size = fake.ulp ? 16 : 0;
	if (fake.ulp)
		strncpy(value, fake.ulp, 16);
	return 0;
}

int __wrap_socket(int family, int type, int protocol)
{
	return family == fake.no_family ? fail_with(EAFNOSUPPORT)
					: __real_socket(family, type, protocol);
}

ssize_t __wrap_recv(int fd, void *buffer, size_t n, int flags)
{
	struct tls_crypto_info head;

	memcpy(&head, fake.info[1], sizeof(head));
	if (fake.broken_ccm && head.cipher_type == TLS_CIPHER_AES_CCM_128)
		return fail_with(EBADMSG);
	return __real_recv(fd, buffer, n, flags);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	fake.connects++;
	return fake.connect_error ? fail_with(fake.connect_error)
				  : __real_connect(fd, address, size);
}

void __wrap_OPENSSL_cleanse(void *buffer, size_t n)
{
	fake.cleansed += n >= sizeof(struct tls12_crypto_info_aes_gcm_256);
	__real_OPENSSL_cleanse(buffer, n);
}

/* --- installing */

/* Keys of which every byte is another. */
static struct session_keys keys_of(const struct cipher *cipher)
{
	struct session_keys keys = { .cipher = cipher, .version = 0x0303 };
	uint8_t next = 1;

	for (size_t i = 0; i < cipher->key_size; i++) {
		keys.tx.key[i] = next++;
		keys.rx.key[i] = next++;
	}
	for (size_t i = 0; i < cipher->salt_size; i++) {
		keys.tx.salt[i] = next++;
		keys.rx.salt[i] = next++;
	}
	for (size_t i = 0; i < cipher->iv_size; i++) {
		keys.tx.iv[i] = next++;
		keys.rx.iv[i] = next++;
	}
	keys.tx.seq[7] = keys.rx.seq[7] = 1;
	return keys;
}

static enum proto_error attach_and_install(const struct session_keys *keys,
					   struct proto_status *status)
{
	enum proto_error error;

	memset(status, 0, sizeof(*status));
	error = kernel_attach(99, status);
	return error == PROTO_OK ? kernel_install(99, keys, status) : error;
}

static void test_transmit_first_then_receive_then_back(void **state)
{
	struct proto_status status;

	for (size_t i = 0; i < n_ciphers; i++) {
		struct session_keys keys = keys_of(&ciphers[i]);

		fake_reset();
		assert_int_equal(attach_and_install(&keys, &status), PROTO_OK);
		assert_string_equal(fake.log, "UTRutr");
		assert_int_equal(fake.fd, 99);
		assert_int_equal(fake.cleansed, 6);
	}
}

#define CHECK_INFO(type, cipher_number)								\
	do {											\
		struct type info;								\
		struct session_keys keys = keys_of(&ciphers[cipher_number]);			\
		const struct direction_keys *both[] = { &keys.tx, &keys.rx };			\
		struct proto_status status;							\
		fake_reset();									\
		assert_int_equal(attach_and_install(&keys, &status), PROTO_OK);			\
		for (int d = 0; d < 2; d++) {							\
			assert_int_equal(fake.size[d], sizeof(info));				\
			memcpy(&info, fake.info[d], sizeof(info));				\
			assert_int_equal(info.info.version, TLS_1_2_VERSION);			\
			assert_int_equal(info.info.cipher_type, keys.cipher->kernel_type);	\
			assert_memory_equal(info.iv, both[d]->iv, sizeof(info.iv));		\
			assert_memory_equal(info.key, both[d]->key, sizeof(info.key));		\
			assert_memory_equal(info.salt, both[d]->salt, sizeof(info.salt));	\
			assert_memory_equal(info.rec_seq, both[d]->seq, sizeof(info.rec_seq));	\
		}										\
	} while (0)

static void test_fields_stand_where_the_kernel_wants_them(void **state)
{
	CHECK_INFO(tls12_crypto_info_aes_gcm_128, 0);
	CHECK_INFO(tls12_crypto_info_aes_gcm_256, 1);
	CHECK_INFO(tls12_crypto_info_chacha20_poly1305, 2);
	CHECK_INFO(tls12_crypto_info_aes_ccm_128, 3);
}

static void test_every_refusal(void **state)
{
	static const struct {
		enum call call;
		const char *name;
		int cleansed;		/* buffers that had held a key by then */
	} calls[] = {
		{ SET_ULP, "TCP_ULP failed", 0 },
		{ SET_TX, "TLS_TX failed", 1 },
		{ SET_RX, "TLS_RX failed", 2 },
		{ GET_ULP, "read-back of TCP_ULP failed", 2 },
		{ GET_TX, "read-back of TLS_TX failed", 4 },
		{ GET_RX, "read-back of TLS_RX failed", 6 },
	};
	static const int errors[] = { ENOENT, EBUSY, ENOMEM, EINVAL, ENOTCONN, EPERM };
	struct session_keys keys = keys_of(&ciphers[1]);
	struct proto_status status;

	for (size_t i = 0; i < array_size(calls); i++) {
		for (size_t j = 0; j < array_size(errors); j++) {
			fake_reset();
			fake.errors[calls[i].call] = errors[j];
			assert_int_equal(attach_and_install(&keys, &status),
					 PROTO_KERNEL_TLS_UNAVAILABLE);
			assert_int_equal(status.error, PROTO_KERNEL_TLS_UNAVAILABLE);
			assert_int_equal(status.stage, PROTO_STAGE_INSTALL);
			assert_int_equal(status.sys_errno, errors[j]);
			assert_int_equal(status.retry, errors[j] == ENOMEM);
			assert_non_null(strstr(status.message, calls[i].name));
			assert_non_null(strstr(status.message, strerror(errors[j])));
			/* Nothing is asked of the kernel after a refusal. */
			assert_int_equal(strlen(fake.log), calls[i].call + 1);
			assert_int_equal(fake.log[calls[i].call], letters[calls[i].call]);
			assert_int_equal(fake.cleansed, calls[i].cleansed);
		}
	}
}

static void test_cures(void **state)
{
	static const struct {
		enum call call;
		int error;
		size_t cipher;
		const char *cure;
	} cures[] = {
		{ SET_ULP, ENOENT, 0, "modprobe tls" },
		{ SET_TX, ENOENT, 0, "modprobe gcm" },
		{ SET_TX, ENOENT, 1, "modprobe gcm" },
		{ SET_TX, ENOENT, 2, "modprobe chacha20poly1305" },
		{ SET_RX, ENOENT, 3, "modprobe ccm" },
		{ SET_TX, EINVAL, 2, "does not take the cipher" },
		{ SET_TX, EPERM, 2, "security module" },
	};
	struct proto_status status;

	for (size_t i = 0; i < array_size(cures); i++) {
		struct session_keys keys = keys_of(&ciphers[cures[i].cipher]);

		fake_reset();
		fake.errors[cures[i].call] = cures[i].error;
		attach_and_install(&keys, &status);
		assert_non_null(strstr(status.message, cures[i].cure));
		if (cures[i].call != SET_ULP)
			assert_non_null(strstr(status.message, keys.cipher->name));
	}
}

/* Which field a byte of struct tls12_crypto_info_... is in. */
static const char *field_at(const struct cipher *cipher, int byte)
{
	const struct {
		const char *name;
		int size;
	} fields[] = {
		{ "version", 2 }, { "cipher", 2 }, { "iv", cipher->iv_size },
		{ "key", cipher->key_size }, { "salt", cipher->salt_size },
		{ "sequence number", 8 },
	};

	for (size_t i = 0; i < array_size(fields); byte -= fields[i++].size)
		if (byte < fields[i].size)
			return fields[i].name;
	return NULL;
}

static void check_difference(const struct cipher *cipher, int direction, int byte)
{
	static const char *const names[] = { "TLS_TX", "TLS_RX" };
	struct session_keys keys = keys_of(cipher);
	struct proto_status status;
	char text[80];

	snprintf(text, sizeof(text), "read-back of %s shows another %s", names[direction],
		 field_at(cipher, byte));
	fake_reset();
	fake.flip_direction = direction;
	fake.flip_byte = byte;
	assert_int_equal(attach_and_install(&keys, &status), PROTO_KERNEL_TLS_UNAVAILABLE);
	assert_int_equal(status.stage, PROTO_STAGE_INSTALL);
	assert_non_null(strstr(status.message, text));
}

static void test_every_byte_is_read_back(void **state)
{
	for (size_t i = 0; i < n_ciphers; i++) {
		int size = 4 + ciphers[i].iv_size + ciphers[i].key_size + ciphers[i].salt_size + 8;

		for (int direction = 0; direction < 2; direction++)
			for (int byte = 0; byte < size; byte++)
				check_difference(&ciphers[i], direction, byte);
	}
}

static void test_read_back_of_another_size_or_layer(void **state)
{
	static const char *const layers[] = { NULL, "", "espintcp", "tls-toe", "tl" };
	struct session_keys keys = keys_of(&ciphers[0]);
	struct proto_status status;

	fake_reset();
	fake.wrong_size = 8;
	assert_int_equal(attach_and_install(&keys, &status), PROTO_KERNEL_TLS_UNAVAILABLE);
	for (size_t i = 0; i < array_size(layers); i++) {
		fake_reset();
		fake.ulp = layers[i];
		assert_int_equal(attach_and_install(&keys, &status), PROTO_KERNEL_TLS_UNAVAILABLE);
		assert_non_null(strstr(status.message, "read-back of TCP_ULP"));
		assert_string_equal(fake.log, "UTRu");
	}
}

/* --- the probe */

static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static void check_probe(struct kernel *kernel, bool any)
{
	int before = count_fds();

	fake.ulp_needs_connection = true;
	memset(kernel, 0x55, sizeof(*kernel));
	assert_int_equal(kernel_probe(kernel), any);
	assert_int_equal(kernel_takes_any(kernel), any);
	assert_int_equal(count_fds(), before);
}

/* A machine may have IPv4 or IPv6 alone. */
static bool has_loopback(int family)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	_cleanup_fd_ int fd = __real_socket(family, SOCK_STREAM, 0);

	if (family == AF_INET)
		return bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
	return bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;
}

static void test_probe_of_a_kernel_that_takes_all(void **state)
{
	static const int families[] = { 0, AF_INET, AF_INET6 };
	struct kernel kernel;

	for (size_t i = 0; i < array_size(families); i++) {
		if ((families[i] == AF_INET && !has_loopback(AF_INET6)) ||
		    (families[i] == AF_INET6 && !has_loopback(AF_INET)))
			continue;
		fake_reset();
		fake.no_family = families[i];
		check_probe(&kernel, true);
		assert_int_equal(kernel.ulp_errno, 0);
		for (size_t j = 0; j < n_ciphers; j++)
			assert_true(kernel_takes(&kernel, &ciphers[j]));
	}
}

static void test_probe_without_the_module(void **state)
{
	struct kernel kernel;
	struct proto_status status;

	fake_reset();
	fake.errors[SET_ULP] = ENOENT;
	check_probe(&kernel, false);
	assert_int_equal(kernel.ulp_errno, ENOENT);
	assert_int_equal(kernel_ulp_errno(), ENOENT);
	assert_string_equal(fake.log, "UU");
	assert_int_equal(kernel_unavailable(&kernel, &status), PROTO_KERNEL_TLS_UNAVAILABLE);
	assert_int_equal(status.sys_errno, ENOENT);
	assert_int_equal(status.stage, PROTO_STAGE_INSTALL);
	assert_non_null(strstr(status.message, "modprobe tls"));
}

static void test_probe_without_one_cipher(void **state)
{
	struct kernel kernel;

	for (size_t i = 0; i < n_ciphers; i++) {
		fake_reset();
		fake.no_cipher = ciphers[i].kernel_type;
		check_probe(&kernel, true);
		for (size_t j = 0; j < n_ciphers; j++) {
			assert_int_equal(kernel_takes(&kernel, &ciphers[j]), i != j);
			assert_int_equal(kernel.cipher_errno[j], i == j ? ENOENT : 0);
		}
	}
}

static void test_probe_without_any_cipher(void **state)
{
	struct kernel kernel;
	struct proto_status status;

	fake_reset();
	fake.errors[SET_RX] = ENOENT;
	check_probe(&kernel, false);
	assert_int_equal(kernel.ulp_errno, 0);
	assert_int_equal(kernel_unavailable(&kernel, &status), PROTO_KERNEL_TLS_UNAVAILABLE);
	assert_int_equal(status.sys_errno, ENOENT);
	assert_non_null(strstr(status.message, "modprobe gcm"));
}

static void test_probe_sees_what_cannot_be_decrypted(void **state)
{
	struct kernel kernel;

	fake_reset();
	fake.broken_ccm = true;
	check_probe(&kernel, true);
	assert_false(kernel_takes(&kernel, &ciphers[3]));
	assert_int_equal(kernel.cipher_errno[3], EBADMSG);
	assert_true(kernel_takes(&kernel, &ciphers[0]));
}

static void test_probe_sees_a_wrong_read_back(void **state)
{
	struct kernel kernel;

	fake_reset();
	fake.flip_byte = 20;
	check_probe(&kernel, false);
	assert_int_equal(kernel.cipher_errno[0], EBADMSG);
}

/* Not tried is not refused: the text says which. Nothing is waited for twice. */
static void test_probe_without_loopback(void **state)
{
	static const struct {
		int error;
		const char *cure;
	} rows[] = {
		{ EADDRNOTAVAIL, "lo has no address" }, { ETIMEDOUT, "a packet filter" },
		{ EACCES, "Permission denied" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct kernel kernel;
		struct proto_status status;

		fake_reset();
		fake.connect_error = rows[i].error;
		check_probe(&kernel, false);
		assert_in_range(fake.connects, 1, 2);
		assert_int_equal(kernel.ulp_errno, 0);
		assert_int_equal(kernel.loopback_errno, rows[i].error);
		assert_int_equal(kernel_unavailable(&kernel, &status),
				 PROTO_KERNEL_TLS_UNAVAILABLE);
		assert_int_equal(status.sys_errno, rows[i].error);
		assert_non_null(strstr(status.message, "trial on loopback failed"));
		assert_non_null(strstr(status.message, rows[i].cure));
	}
}

static void test_ulp_on_an_unconnected_socket(void **state)
{
	fake_reset();
	fake.ulp_needs_connection = true;
	assert_int_equal(kernel_ulp_errno(), 0);
	fake.no_family = AF_INET;
	assert_int_equal(kernel_ulp_errno(), 0);
	fake.errors[SET_ULP] = EPERM;
	assert_int_equal(kernel_ulp_errno(), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transmit_first_then_receive_then_back),
		cmocka_unit_test(test_fields_stand_where_the_kernel_wants_them),
		cmocka_unit_test(test_every_refusal),
		cmocka_unit_test(test_cures),
		cmocka_unit_test(test_every_byte_is_read_back),
		cmocka_unit_test(test_read_back_of_another_size_or_layer),
		cmocka_unit_test(test_probe_of_a_kernel_that_takes_all),
		cmocka_unit_test(test_probe_without_the_module),
		cmocka_unit_test(test_probe_without_one_cipher),
		cmocka_unit_test(test_probe_without_any_cipher),
		cmocka_unit_test(test_probe_sees_what_cannot_be_decrypted),
		cmocka_unit_test(test_probe_sees_a_wrong_read_back),
		cmocka_unit_test(test_probe_without_loopback),
		cmocka_unit_test(test_ulp_on_an_unconnected_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
