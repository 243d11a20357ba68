/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=socket,--wrap=connect,--wrap=accept4 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/ctl-loopback.c"
#include "proto/util.h"

#include <dirent.h>
#include <stdbool.h>

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);

enum { STRANGERS_MAX = 9, PATIENCE = 5000 };

static struct {
	int no_family, no_family_error;
	int connect_error, accept_error;
	bool swallowed; /* as a packet filter does */
	int n_strangers, strangers[STRANGERS_MAX];
} fake;

static int fail_with(int error)
{
	errno = error;
	return -1;
}

int __wrap_socket(int family, int type, int protocol)
{
	assert_true(type & SOCK_CLOEXEC && type & SOCK_NONBLOCK);
	return family == fake.no_family ? fail_with(fake.no_family_error)
					: __real_socket(family, type, protocol);
}

/* Somebody else may be faster. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	if (fake.connect_error)
		return fail_with(fake.connect_error);
	if (fake.swallowed)
		return fail_with(EINPROGRESS);
	for (int i = 0; i < fake.n_strangers; i++) {
		fake.strangers[i] = __real_socket(address->sa_family, SOCK_STREAM, 0);
		assert_int_equal(__real_connect(fake.strangers[i], address, size), 0);
	}
	return __real_connect(fd, address, size);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	int error = fake.accept_error;

	assert_int_equal(flags, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (error == ECONNABORTED)
		fake.accept_error = 0;
	return error ? fail_with(error) : __real_accept4(fd, address, size, flags);
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

static int set_up(void **state)
{
	memset(&fake, 0, sizeof(fake));
	fake.no_family = -1;
	return 0;
}

static void check_delivery(int from, int to)
{
	char got[8] = "";

	assert_int_equal(send(from, "canary", 6, 0), 6);
	assert_int_equal(loopback_wait(to, POLLIN, PATIENCE), 0);
	assert_int_equal(recv(to, got, sizeof(got), 0), 6);
	assert_string_equal(got, "canary");
}

static void check_connection(int family)
{
	int before = count_fds();
	struct loopback ends = { { -1, -1 } };
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	assert_int_equal(loopback_connect(&ends, PATIENCE), 0);
	assert_int_equal(getsockname(ends.fd[1], (struct sockaddr *)&address, &size), 0);
	assert_int_equal(address.ss_family, family);
	check_delivery(ends.fd[0], ends.fd[1]);
	check_delivery(ends.fd[1], ends.fd[0]);
	assert_int_equal(loopback_wait(ends.fd[0], POLLIN, 0), -ETIMEDOUT);
	loopback_close(&ends);
	assert_int_equal(ends.fd[0], -1);
	assert_int_equal(ends.fd[1], -1);
	for (int i = 0; i < fake.n_strangers; i++)
		close(fake.strangers[i]);
	assert_int_equal(count_fds(), before);
}

static void check_failure(int error)
{
	int before = count_fds();
	struct loopback ends = { { -1, -1 } };

	assert_int_equal(loopback_connect(&ends, 10), -error);
	loopback_close(&ends);
	for (int i = 0; i < fake.n_strangers; i++)
		close(fake.strangers[i]);
	assert_int_equal(count_fds(), before);
}

static void test_both_families(void **state)
{
	check_connection(AF_INET);
	fake.no_family = AF_INET;
	fake.no_family_error = EAFNOSUPPORT;
	check_connection(AF_INET6);
}

static void test_our_own_end_and_no_other(void **state)
{
	fake.n_strangers = 3;
	check_connection(AF_INET);
	fake.accept_error = ECONNABORTED;
	fake.n_strangers = 0;
	check_connection(AF_INET);
	fake.n_strangers = 8;
	fake.no_family = AF_INET6;
	fake.no_family_error = EAFNOSUPPORT;
	check_failure(ECONNABORTED);
}

static void test_failures(void **state)
{
	static const int errors[] = { EADDRNOTAVAIL, ENETUNREACH, EPERM, ECONNREFUSED };

	for (size_t i = 0; i < array_size(errors); i++) {
		fake.connect_error = errors[i];
		check_failure(errors[i]);
	}
	fake.connect_error = 0;
	fake.accept_error = EMFILE;
	check_failure(EMFILE);
	fake.accept_error = 0;
	fake.swallowed = true;
	check_failure(ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_both_families, set_up),
		cmocka_unit_test_setup(test_our_own_end_and_no_other, set_up),
		cmocka_unit_test_setup(test_failures, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
