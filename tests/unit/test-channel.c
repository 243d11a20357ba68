/* SPDX-License-Identifier: MIT */
#include "tests/unit/process.h"

#include "daemon/channel.h"

#include <sys/resource.h>
#include <sys/stat.h>

struct ends {
	int ours, theirs;
	size_t descriptors;
};

static struct ends ends_new(void)
{
	struct ends ends = { .descriptors = count_descriptors() };

	assert_int_equal(channel_pair(&ends.ours, &ends.theirs), 0);
	return ends;
}

static void ends_free(struct ends *ends)
{
	close_fd(&ends->ours);
	close_fd(&ends->theirs);
	assert_int_equal(count_descriptors(), ends->descriptors);
}

static bool is_same_file(int a, int b)
{
	struct stat one, two;

	assert_int_equal(fstat(a, &one), 0);
	assert_int_equal(fstat(b, &two), 0);
	return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static void test_a_pair(void **state)
{
	struct ends ends = ends_new();
	const int both[] = { ends.ours, ends.theirs };

	for (size_t i = 0; i < array_size(both); i++) {
		int type = 0;
		socklen_t size = sizeof(type);

		assert_int_equal(fcntl(both[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(both[i], F_GETFL) & O_NONBLOCK, 0);
		assert_int_equal(getsockopt(both[i], SOL_SOCKET, SO_TYPE, &type, &size), 0);
		assert_int_equal(type, SOCK_SEQPACKET);
	}
	ends_free(&ends);
}

/* Each message by itself, both ways. */
static void test_messages(void **state)
{
	struct ends ends = ends_new();
	char text[16];
	int fd = 99;

	assert_int_equal(channel_send(ends.ours, "one", 3, -1), 0);
	assert_int_equal(channel_send(ends.ours, "two2", 4, -1), 0);
	assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), 0, &fd), 3);
	assert_memory_equal(text, "one", 3);
	assert_int_equal(fd, -1);
	assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), 0, NULL), 4);
	assert_memory_equal(text, "two2", 4);
	assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), MSG_DONTWAIT, &fd),
			 -EAGAIN);
	assert_int_equal(fd, -1);
	assert_int_equal(channel_send(ends.theirs, "x", 1, -1), 0);
	assert_int_equal(channel_receive(ends.ours, text, sizeof(text), MSG_DONTWAIT, NULL), 1);
	ends_free(&ends);
}

static void test_a_descriptor(void **state)
{
	struct ends ends = ends_new();
	_cleanup_fd_ int sent = open("/dev/null", O_RDWR), got = -1;
	char byte;

	assert_int_equal(channel_send(ends.ours, "a", 1, sent), 0);
	assert_true(fcntl(sent, F_GETFD) >= 0); /* it stays the sender's */
	assert_int_equal(channel_receive(ends.theirs, &byte, 1, 0, &got), 1);
	assert_true(got >= 0);
	assert_true(is_same_file(sent, got));
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	close_fd(&sent);
	close_fd(&got);
	ends_free(&ends);
}

/* Nobody who does not expect one has one. */
static void test_a_descriptor_that_is_not_expected(void **state)
{
	struct ends ends = ends_new();
	size_t descriptors = count_descriptors();
	char byte;

	assert_int_equal(channel_send(ends.ours, "a", 1, STDIN_FILENO), 0);
	assert_int_equal(channel_receive(ends.theirs, &byte, 1, 0, NULL), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(count_descriptors(), descriptors);
	ends_free(&ends);
}

static void send_two(int channel)
{
	const int fds[2] = { STDIN_FILENO, STDIN_FILENO };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(fds)) } };
	struct iovec data = { .iov_base = (char[]){ 'a' }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	assert_int_equal(sendmsg(channel, &message, 0), 1);
}

/* Of more than one, which only a process that went astray sends, the others are nobody's. */
static void test_two_descriptors(void **state)
{
	struct ends ends = ends_new();
	int got;
	char byte;

	send_two(ends.ours);
	assert_int_equal(channel_receive(ends.theirs, &byte, 1, 0, &got), 1);
	assert_true(got >= 0);
	close_fd(&got);
	ends_free(&ends);
}

/* No place for it: the message comes all the same, and the next one whole. */
static void test_no_place_for_a_descriptor(void **state)
{
	struct ends ends = ends_new();
	struct rlimit limit, none;
	int fd = 99, next = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	char byte;
	ssize_t n;

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(channel_send(ends.ours, "a", 1, STDIN_FILENO), 0);
	if (!RUNNING_ON_VALGRIND) /* it has places of its own */
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	n = channel_receive(ends.theirs, &byte, 1, 0, &fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(n, 1);
	if (!RUNNING_ON_VALGRIND)
		assert_int_equal(fd, -1);
	close_fd(&fd);
	assert_int_equal(channel_send(ends.ours, "b", 1, -1), 0);
	assert_int_equal(channel_receive(ends.theirs, &byte, 1, 0, &fd), 1);
	assert_int_equal(byte, 'b');
	assert_int_equal(fd, -1);
	ends_free(&ends);
}

/* The sender does not wait for a reader who sleeps. */
static void test_a_channel_that_is_full(void **state)
{
	struct ends ends = ends_new();
	unsigned int n = 0;
	char text[64] = "";
	int r;

	while ((r = channel_send(ends.ours, text, sizeof(text), -1)) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_true(n > 0);
	for (; n; n--)
		assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), MSG_DONTWAIT, NULL),
				 sizeof(text));
	assert_int_equal(channel_send(ends.ours, text, sizeof(text), -1), 0);
	ends_free(&ends);
}

/* The end, told to both: what was sent before it still comes, and there is no signal. */
static void test_the_end(void **state)
{
	struct ends ends = ends_new();
	char text[4];
	int fd = 99;

	assert_int_equal(channel_send(ends.ours, "one", 3, -1), 0);
	close_fd(&ends.ours);
	assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), 0, &fd), 3);
	assert_int_equal(channel_receive(ends.theirs, text, sizeof(text), 0, &fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(channel_send(ends.theirs, "x", 1, -1), -EPIPE);
	ends_free(&ends);
}

/* Of a process that ends as well, however it ends. */
static void test_the_end_of_a_process(void **state)
{
	struct ends ends = ends_new();
	char byte;
	pid_t pid = fork();

	if (pid == 0) {
		close(ends.ours);
		raise(SIGKILL);
	}
	close_fd(&ends.theirs);
	assert_int_equal(channel_receive(ends.ours, &byte, 1, 0, NULL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	ends_free(&ends);
}

static void test_no_channel(void **state)
{
	char byte;

	assert_int_equal(channel_send(-1, "a", 1, -1), -EBADF);
	assert_int_equal(channel_receive(-1, &byte, 1, 0, NULL), -EBADF);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pair),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_a_descriptor),
		cmocka_unit_test(test_a_descriptor_that_is_not_expected),
		cmocka_unit_test(test_two_descriptors),
		cmocka_unit_test(test_no_place_for_a_descriptor),
		cmocka_unit_test(test_a_channel_that_is_full),
		cmocka_unit_test(test_the_end),
		cmocka_unit_test(test_the_end_of_a_process),
		cmocka_unit_test(test_no_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
