/* SPDX-License-Identifier: MIT */
#include "tests/unit/loop.h"

#include "daemon/unread.h"

#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>

/* link: -Wl,--wrap=ioctl */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int left_over; /* what the kernel says where it is not asked; 0: it is asked */

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	int *n;

	va_start(arguments, request);
	n = va_arg(arguments, int *);
	va_end(arguments);
	if (!left_over)
		return __real_ioctl(fd, request, n);
	assert_int_equal(request, SIOCOUTQ);
	*n = left_over;
	return 0;
}

static void make_pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
}

static void test_read_and_not_read(void **state)
{
	char text[4];
	int ends[2];

	make_pair(ends);
	assert_false(unread_any(ends[0]));
	assert_int_equal(send(ends[0], "text", 4, 0), 4);
	assert_true(unread_any(ends[0]));
	assert_false(unread_any(ends[1]));
	assert_int_equal(recv(ends[1], text, 3, 0), 3);
	assert_true(unread_any(ends[0]));
	assert_int_equal(recv(ends[1], text, 4, 0), 1);
	assert_false(unread_any(ends[0]));
	close_fd(&ends[0]);
	close_fd(&ends[1]);
}

/* The kernel's memory is held by the other end, not by this one's being shut down. */
static void test_ends(void **state)
{
	int ends[2];

	make_pair(ends);
	assert_int_equal(send(ends[0], "text", 4, 0), 4);
	shutdown(ends[0], SHUT_RDWR);
	assert_true(unread_any(ends[0]));
	shutdown(ends[1], SHUT_RDWR);
	assert_true(unread_any(ends[0]));
	close_fd(&ends[1]);
	assert_false(unread_any(ends[0]));
	close_fd(&ends[0]);
}

/* Within the reading of the last buffer the kernel tells one byte of it, and wakes nobody after. */
static void test_while_the_last_is_read(void **state)
{
	left_over = 1;
	assert_false(unread_any(STDIN_FILENO));
	left_over = 2;
	assert_true(unread_any(STDIN_FILENO));
	left_over = 0;
}

static void test_no_socket(void **state)
{
	assert_false(unread_any(-1));
}

static void test_each_reading_is_told(void **state)
{
	int ends[2], epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = UNREAD_EVENTS };
	char byte;

	make_pair(ends);
	assert_int_equal(send(ends[0], "a", 1, 0), 1);
	assert_int_equal(send(ends[0], "b", 1, 0), 1);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
	assert_int_equal(epoll_wait(epoll, &event, 1, 0), 1);
	assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(recv(ends[1], &byte, 1, 0), 1);
		assert_int_equal(epoll_wait(epoll, &event, 1, (int)(PATIENCE * 1e3)), 1);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
	}
	close_fd(&epoll);
	close_fd(&ends[0]);
	close_fd(&ends[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_not_read),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_while_the_last_is_read),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_each_reading_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
