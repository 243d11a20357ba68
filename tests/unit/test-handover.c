/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/internal.h"
#include "proto/util.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* What the kernel says of the descriptor, which is the number of its row. */
static const struct kernel {
	int protocol;
	const char *ulp;	     /* NULL: no TCP at all */
	struct tls_crypto_info tx, rx; /* all 0: EBUSY, as before the keys */
	int err;
	const char *why; /* NULL: taken */
} kernels[] = {
	{ IPPROTO_TCP, "tls", { 0x303, 52 }, { 0x303, 52 }, 0, NULL },
	{ IPPROTO_TCP, "tls", { 0x304, 54 }, { 0x304, 54 }, 0, NULL },
	{ IPPROTO_TCP, "tls", { 0x303, 52 }, { 0 }, EBUSY, "decrypts" },
	{ IPPROTO_TCP, "tls", { 0 }, { 0x303, 52 }, EBUSY, "encrypts" },
	{ IPPROTO_TCP, "tls", { 0 }, { 0 }, EBUSY, "encrypts" },
	{ IPPROTO_TCP, "tls", { 0x303, 0 }, { 0x303, 0 }, 0, "encrypts" },
	{ IPPROTO_TCP, "tls", { 0, 52 }, { 0, 52 }, 0, "encrypts" },
	{ IPPROTO_TCP, "", { 0 }, { 0 }, 0, "no TLS" },
	{ IPPROTO_TCP, "mptcp", { 0 }, { 0 }, 0, "no TLS" },
	{ IPPROTO_TCP, "tls", { 0x303, 52 }, { 0x303, 51 }, 0, "differ" },
	{ IPPROTO_TCP, "tls", { 0x303, 52 }, { 0x304, 52 }, 0, "differ" },
	{ 262 /* MPTCP */, "", { 0 }, { 0 }, 0, "no TCP" },
	{ 0, NULL, { 0 }, { 0 }, 0, "no TCP" },
};

static int get_tls(const struct kernel *kernel, int name, void *value, socklen_t *length)
{
	const struct tls_crypto_info *info = name == TLS_TX ? &kernel->tx : &kernel->rx;

	/* More would be given keys. */
	assert_int_equal(*length, sizeof(*info));
	if (info->version || info->cipher_type)
		return memcpy(value, info, sizeof(*info)), 0;
	errno = EBUSY;
	return -1;
}

static int getsockopt_of_row(int fd, int level, int name, void *value, socklen_t *length)
{
	const struct kernel *kernel = &kernels[fd];

	if (level == SOL_SOCKET && name == SO_PROTOCOL)
		return *(int *)value = kernel->protocol, 0;
	assert_int_equal(kernel->protocol, IPPROTO_TCP);
	if (level == IPPROTO_TCP && name == TCP_ULP) {
		*length = strlen(kernel->ulp) + 1;
		return memcpy(value, kernel->ulp, *length), 0;
	}
	assert_int_equal(level, SOL_TLS);
	return get_tls(kernel, name, value, length);
}

static void test_rows(void **state)
{
	const char *why;

	for (size_t i = 0; i < array_size(kernels); i++) {
		why = "";
		if (!kernels[i].why) {
			assert_int_equal(handover_check(i, getsockopt_of_row, &why), 0);
			continue;
		}
		errno = EXDEV;
		assert_int_equal(handover_check(i, getsockopt_of_row, &why), -1);
		assert_int_equal(errno, kernels[i].err);
		assert_non_null(strstr(why, kernels[i].why));
	}
}

static void test_no_descriptor(void **state)
{
	const char *why;

	assert_int_equal(handover_check(-1, getsockopt, &why), -1);
	assert_int_equal(errno, EBADF);
}

/* The real kernel, with and without TLS in it: TCP alone is never enough. */
static void test_plain_tcp(void **state)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *why;

	assert_true(fd >= 0);
	assert_int_equal(handover_check(fd, getsockopt, &why), -1);
	assert_non_null(strstr(why, "no TLS"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_descriptor),
		cmocka_unit_test(test_plain_tcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
