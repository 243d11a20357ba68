/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getsockopt,--wrap=socket,--wrap=malloc */
/* It must be root, for users, groups and namespaces of its own. */
#include "tests/unit/loop.h"

#include "daemon/credentials.h"

#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static struct {
	int option, error;	/* of getsockopt() */
	int socket;		/* errno */
	bool memory;
} fails;

int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	if (fails.error && option == fails.option)
		return errno = fails.error, -1;
	return __real_getsockopt(fd, level, option, value, length);
}

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
	if (fails.socket && family == AF_INET)
		return errno = fails.socket, -1;
	return __real_socket(family, type, protocol);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return fails.memory ? NULL : __real_malloc(size);
}

/* --- a service, and a caller that is a process */

struct house {
	struct sockaddr_un address;
	socklen_t length;
	int listener;
	size_t descriptors;
};

static int house_setup(void **state)
{
	struct house *house = calloc(1, sizeof(*house));

	house->descriptors = count_descriptors();
	house->address.sun_family = AF_UNIX;
	snprintf(house->address.sun_path, sizeof(house->address.sun_path), "/tmp/ktlsd-unit.%d",
		 (int)getpid());
	house->length = sizeof(house->address);
	house->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*state = house;
	if (bind(house->listener, (struct sockaddr *)&house->address, house->length) < 0 ||
	    chmod(house->address.sun_path, 0666) < 0)
		return -1;
	return listen(house->listener, 8);
}

static int house_teardown(void **state)
{
	struct house *house = *state;
	bool leaks;

	memset(&fails, 0, sizeof(fails));
	unlink(house->address.sun_path);
	close_fd(&house->listener);
	leaks = count_descriptors() != house->descriptors;
	free(house);
	return leaks ? -1 : 0;
}

/* The caller makes its socket, becomes somebody, calls, and is somebody else when it is asked. */
static int house_call(struct house *house, void (*before)(void), void (*after)(void))
{
	pid_t pid = fork();
	int fd, status;

	assert_true(pid >= 0);
	if (pid == 0) {
		before();
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&house->address, house->length) < 0)
			_exit(1);
		after();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd = accept4(house->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void as_is(void)
{
}

static const gid_t some[] = { 100, 4711, 65533 };

static void become_somebody(void)
{
	if (setgroups(array_size(some), some) < 0 || setresgid(12, 12, 0) < 0 ||
	    setresuid(1234, 1234, 0) < 0)
		_exit(2);
}

static void become_root(void)
{
	if (setresuid(0, 0, 0) < 0 || setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0)
		_exit(3);
}

/* As it was at the time of connect(2), and the process need not be there any more. */
static void test_at_the_time_of_connect(void **state)
{
	_cleanup_fd_ int fd = house_call(*state, become_somebody, become_root);
	struct credentials c;

	assert_int_equal(credentials_read(&c, fd), 0);
	assert_int_equal(c.uid, 1234);
	assert_int_equal(c.gid, 12);
	assert_int_equal(c.n_groups, array_size(some));
	assert_memory_equal(c.groups, some, sizeof(some));
	assert_int_equal(c.namespace, NAMESPACE_OURS);
	credentials_deinit(&c);
	assert_null(c.groups);
	credentials_deinit(&c);
}

static void without_groups(void)
{
	if (setgroups(0, NULL) < 0)
		_exit(2);
}

static void with_groups(size_t n)
{
	gid_t *many = calloc(n, sizeof(*many));

	for (size_t i = 0; i < n; i++)
		many[i] = (gid_t)(1000 + i);
	if (setgroups(n, many) < 0)
		_exit(2);
	free(many);
}

static void with_a_few_groups(void)
{
	with_groups(32);
}

static void with_more_groups(void)
{
	with_groups(33);
}

static void with_all_groups(void)
{
	with_groups(NGROUPS_MAX);
}

static void test_groups(void **state)
{
	static const struct {
		void (*become)(void);
		size_t n;
	} rows[] = {
		{ without_groups, 0 }, { with_a_few_groups, 32 }, { with_more_groups, 33 },
		{ with_all_groups, NGROUPS_MAX },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_cleanup_fd_ int fd = house_call(*state, rows[i].become, as_is);
		struct credentials c;

		assert_int_equal(credentials_read(&c, fd), 0);
		assert_int_equal(c.n_groups, rows[i].n);
		for (size_t k = 0; k < c.n_groups; k++)
			assert_int_equal(c.groups[k], 1000 + k);
		credentials_deinit(&c);
	}
}

static void go_away(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		_exit(4);
}

/* Where the socket was made counts, not where its maker is when it calls. */
static void test_namespace(void **state)
{
	_cleanup_fd_ int ours = house_call(*state, as_is, go_away);
	_cleanup_fd_ int theirs = house_call(*state, go_away, as_is);
	struct credentials c;

	assert_int_equal(credentials_read(&c, ours), 0);
	assert_int_equal(c.namespace, NAMESPACE_OURS);
	credentials_deinit(&c);
	assert_int_equal(credentials_read(&c, theirs), 0);
	assert_int_equal(c.namespace, NAMESPACE_OTHER);
	credentials_deinit(&c);
}

/* An old kernel does not tell; then it is not ours. */
static void test_unknown_namespace(void **state)
{
	_cleanup_fd_ int fd = house_call(*state, as_is, as_is);
	struct credentials c;

	fails.option = SO_NETNS_COOKIE;
	fails.error = ENOPROTOOPT;
	assert_int_equal(credentials_read(&c, fd), 0);
	assert_int_equal(c.namespace, NAMESPACE_UNKNOWN);
	credentials_deinit(&c);
}

static void test_failures(void **state)
{
	static const int options[] = { SO_PEERCRED, SO_PEERGROUPS, SO_NETNS_COOKIE };
	_cleanup_fd_ int fd = house_call(*state, become_somebody, as_is);
	struct credentials c;

	for (size_t i = 0; i < array_size(options); i++) {
		fails.option = options[i];
		fails.error = EPERM;
		assert_int_equal(credentials_read(&c, fd), -EPERM);
		assert_int_equal(c.namespace, NAMESPACE_UNKNOWN);
		credentials_deinit(&c);
	}
	/* a kernel that never has enough */
	fails.option = SO_PEERGROUPS;
	fails.error = ERANGE;
	assert_int_equal(credentials_read(&c, fd), -ERANGE);
	credentials_deinit(&c);
	fails.error = 0;
	fails.socket = EMFILE;
	assert_int_equal(credentials_read(&c, fd), -EMFILE);
	credentials_deinit(&c);
	fails.socket = 0;
	fails.memory = true;
	assert_int_equal(credentials_read(&c, fd), -ENOMEM);
	fails.memory = false;
	credentials_deinit(&c);
	assert_int_equal(credentials_read(&c, -1), -EBADF);
	assert_int_equal(c.uid, (uid_t)-1);
}

#define house_test(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		house_test(test_at_the_time_of_connect),
		house_test(test_groups),
		house_test(test_namespace),
		house_test(test_unknown_namespace),
		house_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
