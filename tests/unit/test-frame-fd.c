/* SPDX-License-Identifier: MIT */
#include "tests/unit/wire.h"

#include <fcntl.h>
#include <poll.h>

static size_t count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A pipe whose reading end travels; its writing end tells by POLLERR when nobody has that. */
static int pipe_end(int *other)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*other = ends[1];
	return ends[0];
}

static bool nobody_has_it(int other)
{
	struct pollfd fd = { .fd = other };

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLERR;
}

static void test_descriptor_arrives(void **state)
{
	size_t before = count_fds();
	int other;
	struct wire wire;

	wire_init(&wire, true);
	wire_put(&wire, "with", pipe_end(&other));
	assert_int_equal(proto_writer_flush(&wire.writer, wire.ends[0]), PROTO_FRAME_OK);
	assert_int_equal(count_fds(), before + 3);	/* ours is closed: 2 sockets, 1 pipe end */
	assert_false(nobody_has_it(other));
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	expect_next(&wire, "with");
	assert_true(wire.reader.fd >= 0);
	assert_int_equal(fcntl(wire.reader.fd, F_GETFD), FD_CLOEXEC);
	wire_deinit(&wire);
	assert_true(nobody_has_it(other));
	close_fd(&other);
	assert_int_equal(count_fds(), before);
}

static void test_descriptor_goes_once(void **state)
{
	size_t size = 300 * KIB;
	char *text = calloc(1, size + 1);
	int other, arrivals = 0;
	enum proto_frame frame = PROTO_FRAME_AGAIN;
	struct wire wire;

	wire_init(&wire, true);
	memset(text, 'x', size);
	proto_writer_put(&wire.writer, text, size, pipe_end(&other));
	for (int i = 0; i < 1000 && frame == PROTO_FRAME_AGAIN; i++) {
		frame = proto_writer_flush(&wire.writer, wire.ends[0]);
		assert_int_equal(wire.writer.fd, NO_FD);
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		arrivals += wire.reader.fd >= 0;
		close_fd(&wire.reader.fd);
	}
	assert_int_equal(frame, PROTO_FRAME_OK);
	assert_int_equal(arrivals, 1);
	assert_true(nobody_has_it(other));
	close_fd(&other);
	wire_deinit(&wire);
}

static void test_unsent_descriptor_stays_ours(void **state)
{
	int other;
	struct wire wire;

	wire_init(&wire, true);
	close_fd(&wire.ends[1]);
	wire_put(&wire, "text", pipe_end(&other));
	assert_int_equal(proto_writer_flush(&wire.writer, wire.ends[0]), PROTO_FRAME_END);
	assert_false(nobody_has_it(other));
	wire_deinit(&wire);
	assert_true(nobody_has_it(other));
	close_fd(&other);
}

/* n descriptors of one pipe's end on a message, past the writer. */
static void send_fds(struct wire *wire, const char *text, size_t n, int fd)
{
	struct iovec data = { .iov_base = (char *)text, .iov_len = strlen(text) + 1 };
	char control[CMSG_SPACE(253 * sizeof(int))] = "";
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (size_t i = 0; i < n; i++)
		memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(fd));
	assert_int_equal(sendmsg(wire->ends[0], &message, MSG_NOSIGNAL), data.iov_len);
}

static void test_descriptors_that_nobody_wants(void **state)
{
	static const size_t numbers[] = { 1, 2, 253 };
	size_t before;
	int fd, other;
	struct wire wire;

	for (size_t i = 0; i < array_size(numbers); i++) {
		wire_init(&wire, false);
		fd = pipe_end(&other);
		send_fds(&wire, "here", numbers[i], fd);
		close_fd(&fd);
		before = count_fds();
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		assert_true(wire.reader.fd_refused);
		assert_int_equal(wire.reader.fd, NO_FD);
		assert_int_equal(count_fds(), before);
		assert_true(nobody_has_it(other));
		expect_next(&wire, "here");
		close_fd(&other);
		wire_deinit(&wire);
	}
}

static void test_descriptors_beyond_the_first(void **state)
{
	static const size_t numbers[] = { 2, 3, 253 };
	size_t before;
	int fd, other;
	struct wire wire;

	for (size_t i = 0; i < array_size(numbers); i++) {
		wire_init(&wire, true);
		fd = pipe_end(&other);
		send_fds(&wire, "one", numbers[i], fd);
		send_fds(&wire, "two", 1, fd);
		close_fd(&fd);
		before = count_fds();
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		assert_int_equal(count_fds(), before + 1);
		assert_false(wire.reader.fd_refused);
		close_fd(&wire.reader.fd);
		assert_true(nobody_has_it(other));
		close_fd(&other);
		wire_deinit(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptor_arrives),
		cmocka_unit_test(test_descriptor_goes_once),
		cmocka_unit_test(test_unsent_descriptor_stays_ours),
		cmocka_unit_test(test_descriptors_that_nobody_wants),
		cmocka_unit_test(test_descriptors_beyond_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
