/* SPDX-License-Identifier: MIT */
#include "tests/unit/loop.h"

#include "daemon/notify.h"

#include <stdio.h>
#include <sys/time.h>

/* A service manager's socket; abstract names are the kernel's to choose. */
static int manager_new(bool path, char name[static 128])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (path) {
		snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/test-notify.%d", getpid());
		length = sizeof(address);
	}
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	length = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	if (path)
		snprintf(name, 128, "%s", address.sun_path);
	else
		snprintf(name, 128, "@%s", address.sun_path + 1);
	return fd;
}

static const char *hear(int manager, char text[static 256])
{
	ssize_t n = recv(manager, text, 255, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void test_it_is_told(void **state)
{
	char name[128], text[256];

	for (int path = 0; path < 2; path++) {
		struct notify notify;
		int manager = manager_new(path, name);

		setenv("NOTIFY_SOCKET", name, 1);
		assert_int_equal(notify_init(&notify), 0);
		notify_tell(&notify, "READY=1\nSTATUS=%u workers", 3u);
		assert_string_equal(hear(manager, text), "READY=1\nSTATUS=3 workers");
		notify_again(&notify);
		notify_alive(&notify);
		assert_string_equal(hear(manager, text), "");
		notify_deinit(&notify);
		notify_deinit(&notify);
		close(manager);
		if (path)
			unlink(name);
	}
}

static void test_nobody_wants_to_know(void **state)
{
	static const char *const none[] = { NULL, "" };
	struct notify notify;

	for (size_t i = 0; i < array_size(none); i++) {
		if (none[i])
			setenv("NOTIFY_SOCKET", none[i], 1);
		else
			unsetenv("NOTIFY_SOCKET");
		assert_int_equal(notify_init(&notify), 0);
		assert_int_equal(notify.fd, -1);
		notify_tell(&notify, "READY=1");
		assert_string_equal(notify.owed, "");
		notify_deinit(&notify);
	}
}

static void test_no_address(void **state)
{
	char long_one[200];
	const char *const bad[] = { "x", "/", "@", "vsock:2:1", long_one };
	struct notify notify;

	memset(long_one, 'x', sizeof(long_one) - 1);
	long_one[0] = '/';
	long_one[sizeof(long_one) - 1] = '\0';
	for (size_t i = 0; i < array_size(bad); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		assert_int_equal(notify_init(&notify), -EINVAL);
		notify_tell(&notify, "READY=1");
		notify_deinit(&notify);
	}
}

/* A manager that does not read is not waited for, and hears the last that it was to be told. */
static void test_it_does_not_read(void **state)
{
	struct notify notify;
	char name[128], text[256];
	int manager = manager_new(false, name), n = 0;

	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_init(&notify), 0);
	alarm((unsigned int)PATIENCE);
	do
		notify_tell(&notify, "STATUS=%d", ++n);
	while (!notify.owed[0] && n < 100000);
	assert_true(n < 100000);
	notify_tell(&notify, "STATUS=last");
	alarm(0);
	for (int i = 1; i < n; i++) {
		char expected[32];

		snprintf(expected, sizeof(expected), "STATUS=%d", i);
		assert_string_equal(hear(manager, text), expected);
	}
	assert_string_equal(hear(manager, text), "");
	notify_again(&notify);
	notify_again(&notify);
	assert_string_equal(hear(manager, text), "STATUS=last");
	assert_string_equal(hear(manager, text), "");
	notify_deinit(&notify);
	close(manager);
}

static void test_the_watchdog(void **state)
{
	struct notify notify;
	char name[128], text[256], pid[16];
	int manager = manager_new(false, name);

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "10000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_init(&notify), 0);
	notify_alive(&notify);
	assert_string_equal(hear(manager, text), "WATCHDOG=1");
	notify_deinit(&notify);
	setenv("WATCHDOG_PID", "1", 1); /* somebody else's */
	assert_int_equal(notify_init(&notify), 0);
	notify_alive(&notify);
	assert_string_equal(hear(manager, text), "");
	notify_deinit(&notify);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	close(manager);
}

static void test_what_is_too_long_is_cut(void **state)
{
	struct notify notify;
	char name[128], text[2 * NOTIFY_TEXT_MAX], said[2 * NOTIFY_TEXT_MAX];
	int manager = manager_new(false, name);
	ssize_t n;

	memset(said, 'x', sizeof(said) - 1);
	said[sizeof(said) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_init(&notify), 0);
	notify_tell(&notify, "STATUS=%s", said);
	n = recv(manager, text, sizeof(text), 0);
	assert_int_equal(n, NOTIFY_TEXT_MAX - 1);
	notify_deinit(&notify);
	close(manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_told),
		cmocka_unit_test(test_nobody_wants_to_know),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_it_does_not_read),
		cmocka_unit_test(test_the_watchdog),
		cmocka_unit_test(test_what_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
