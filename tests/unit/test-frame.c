/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=free */
#include "tests/unit/wire.h"

#include <malloc.h>

void __real_free(void *block);
void __wrap_free(void *block);

/* What was given back unwiped: blocks that still hold this. */
#define CANARY "canary in a cage"
static size_t unwiped;

void __wrap_free(void *block)
{
	if (block && memmem(block, malloc_usable_size(block), CANARY, strlen(CANARY)))
		unwiped++;
	__real_free(block);
}

static void test_one_message(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_AGAIN);
	wire_put(&wire, "{\"a\":1}", NO_FD);
	assert_false(proto_writer_idle(&wire.writer));
	assert_int_equal(proto_writer_flush(&wire.writer, wire.ends[0]), PROTO_FRAME_OK);
	assert_true(proto_writer_idle(&wire.writer));
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	assert_int_equal(proto_reader_waiting(&wire.reader), 1);
	expect_next(&wire, "{\"a\":1}");
	assert_int_equal(proto_reader_waiting(&wire.reader), 0);
	expect_none(&wire);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_AGAIN);
	wire_deinit(&wire);
}

static void test_byte_by_byte(void **state)
{
	static const char bytes[] = "first\0\0third";	/* and its NUL */
	struct wire wire;

	wire_init(&wire, false);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		wire_send(&wire, &bytes[i], 1);
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		assert_int_equal(proto_reader_begun(&wire.reader), bytes[i] != '\0');
	}
	assert_int_equal(proto_reader_waiting(&wire.reader), 3);
	expect_next(&wire, "first");
	expect_next(&wire, "");
	expect_next(&wire, "third");
	expect_none(&wire);
	wire_deinit(&wire);
}

static void test_whole_and_begun_in_one_read(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	wire_send(&wire, "one\0two\0thr", 11);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	assert_true(proto_reader_begun(&wire.reader));
	expect_next(&wire, "one");
	wire_send(&wire, "ee\0", 3);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	assert_false(proto_reader_begun(&wire.reader));
	expect_next(&wire, "two");
	expect_next(&wire, "three");
	expect_none(&wire);
	wire_deinit(&wire);
}

static void test_as_many_wait_as_may(void **state)
{
	static const char bytes[] = "1\0002\0003\0004\0005\0006";
	size_t may = 2 * (1 + PROTO_PIPELINE_MAX);
	struct wire wire;

	wire_init(&wire, false);
	wire_send(&wire, bytes, may);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	assert_int_equal(proto_reader_waiting(&wire.reader), 1 + PROTO_PIPELINE_MAX);
	wire_send(&wire, bytes + may, 1);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	wire_send(&wire, bytes + may + 1, 1);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_TOO_LARGE);
	wire_deinit(&wire);
}

static void test_waiting_goes_down_by_next(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	for (int i = 0; i < 100; i++) {
		wire_send(&wire, "x\0y", 4);
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
		expect_next(&wire, "x");
		expect_next(&wire, "y");
	}
	wire_deinit(&wire);
}

/* Sends n bytes x and what follows, read all the while; the last verdict of the reader. */
static enum proto_frame pump(struct wire *wire, size_t n, const char *tail, size_t tail_length)
{
	char *text = malloc(n + tail_length);
	enum proto_frame frame = PROTO_FRAME_OK;
	ssize_t sent;

	memset(text, 'x', n);
	memcpy(text + n, tail, tail_length);
	n += tail_length;
	for (size_t at = 0; at < n && frame == PROTO_FRAME_OK;) {
		sent = send(wire->ends[0], text + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		at += sent > 0 ? (size_t)sent : 0;
		for (int i = 0; i < 1000 && frame == PROTO_FRAME_OK; i++)
			frame = wire_fill(wire);
		frame = frame == PROTO_FRAME_AGAIN ? PROTO_FRAME_OK : frame;
	}
	free(text);
	return frame;
}

static void test_largest_message(void **state)
{
	size_t length;
	struct wire wire;

	wire_init(&wire, false);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pump(&wire, PROTO_MESSAGE_MAX, "\0next", 6), PROTO_FRAME_OK);
		assert_int_equal(proto_reader_waiting(&wire.reader), 2);
		assert_int_equal(strspn(proto_reader_next(&wire.reader, &length), "x"),
				 PROTO_MESSAGE_MAX);
		assert_int_equal(length, PROTO_MESSAGE_MAX);
		expect_next(&wire, "next");
	}
	wire_deinit(&wire);
}

static void test_one_byte_more(void **state)
{
	static const struct {
		const char *tail;
		size_t length;
	} tails[] = { { "y", 1 }, { "y\0", 2 }, { "y\0z\0", 4 } };
	struct wire wire;

	for (size_t i = 0; i < array_size(tails); i++) {
		wire_init(&wire, false);
		assert_int_equal(pump(&wire, PROTO_MESSAGE_MAX, tails[i].tail, tails[i].length),
				 PROTO_FRAME_TOO_LARGE);
		wire_deinit(&wire);
	}
}

static void test_buffer_is_bounded(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	assert_int_equal(pump(&wire, PROTO_MESSAGE_MAX, "", 1), PROTO_FRAME_OK);
	assert_int_equal(pump(&wire, PROTO_PIPELINE_BYTES_MAX - 1, "", 1), PROTO_FRAME_OK);
	assert_int_equal(wire.reader.size,
			 (size_t)PROTO_MESSAGE_MAX + 1 + PROTO_PIPELINE_BYTES_MAX + 1);
	assert_int_equal(pump(&wire, 1, "", 0), PROTO_FRAME_TOO_LARGE);
	wire_deinit(&wire);
}

/* What waits for its caller's next word waits without memory. */
static void test_rest(void **state)
{
	struct wire wire;
	size_t length;

	wire_init(&wire, false);
	assert_int_equal(pump(&wire, 100000, "\0y", 2), PROTO_FRAME_OK);
	assert_non_null(proto_reader_next(&wire.reader, &length));
	proto_reader_rest(&wire.reader);
	assert_true(proto_reader_begun(&wire.reader));
	assert_true(wire.reader.size > 0);
	assert_int_equal(pump(&wire, 0, "\0", 1), PROTO_FRAME_OK);
	assert_string_equal(proto_reader_next(&wire.reader, &length), "y");
	proto_reader_rest(&wire.reader);
	assert_int_equal(wire.reader.size, 0);
	assert_int_equal(pump(&wire, 3, "", 1), PROTO_FRAME_OK);
	assert_non_null(proto_reader_next(&wire.reader, &length));
	assert_int_equal(length, 3);
	wire_deinit(&wire);
}

/* A large one behind small ones: what is read makes room, nothing is lost in moving. */
static void test_moving_keeps_the_bytes(void **state)
{
	char tail[] = "0\0";
	size_t length;
	const char *text;
	struct wire wire;

	wire_init(&wire, false);
	for (int i = 0; i < 200; i++) {
		tail[0] = (char)('0' + i % 10);
		assert_int_equal(pump(&wire, (size_t)(i * 997 % (32 * KIB)), tail, 2),
				 PROTO_FRAME_OK);
		assert_int_equal(pump(&wire, (size_t)(i % 7), "", 0), PROTO_FRAME_OK);
		text = proto_reader_next(&wire.reader, &length);
		assert_non_null(text);
		assert_int_equal(length, (i ? (i - 1) % 7 : 0) + i * 997 % (32 * KIB) + 1);
		assert_int_equal(strspn(text, "x"), length - 1);
		assert_int_equal(text[length - 1], tail[0]);
	}
	assert_true(wire.reader.size <= 128 * KIB);
	wire_deinit(&wire);
}

static void test_end_and_hang_up(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	wire_send(&wire, "half", 4);
	close_fd(&wire.ends[0]);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_END);
	assert_true(proto_reader_begun(&wire.reader));
	wire_deinit(&wire);

	wire_init(&wire, false);
	assert_int_equal(send(wire.ends[1], "unread", 6, 0), 6);
	close_fd(&wire.ends[0]);
	assert_int_equal(wire_fill(&wire), PROTO_FRAME_END);
	wire_deinit(&wire);
}

static void test_reading_what_is_no_socket(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	assert_int_equal(proto_reader_fill(&wire.reader, NO_FD), PROTO_FRAME_FAILED);
	assert_int_equal(errno, EBADF);
	wire_deinit(&wire);
}

static void test_writer_waits_and_goes_on(void **state)
{
	size_t length, size = 300 * KIB;
	char *text = malloc(size + 1);
	enum proto_frame frame = PROTO_FRAME_AGAIN;
	int waits = 0;
	struct wire wire;

	wire_init(&wire, false);
	memset(text, 'x', size);
	text[size] = '\0';
	proto_writer_put(&wire.writer, text, size, NO_FD);
	for (int i = 0; i < 1000 && frame == PROTO_FRAME_AGAIN; i++) {
		frame = proto_writer_flush(&wire.writer, wire.ends[0]);
		waits += frame == PROTO_FRAME_AGAIN;
		assert_int_equal(wire_fill(&wire), PROTO_FRAME_OK);
	}
	assert_int_equal(frame, PROTO_FRAME_OK);
	assert_true(waits > 0);
	for (int i = 0; i < 1000 && !proto_reader_waiting(&wire.reader); i++)
		wire_fill(&wire);
	assert_non_null(proto_reader_next(&wire.reader, &length));
	assert_int_equal(length, size);
	wire_deinit(&wire);
}

static void test_writer_without_reader(void **state)
{
	struct wire wire;

	wire_init(&wire, false);
	close_fd(&wire.ends[1]);
	wire_put(&wire, "text", NO_FD);
	assert_int_equal(proto_writer_flush(&wire.writer, wire.ends[0]), PROTO_FRAME_END);
	wire_deinit(&wire);
}

static void test_buffers_are_wiped(void **state)
{
	char *volatile proof;
	char text[8 * KIB];
	struct wire wire;

	memset(text, 'x', sizeof(text));
	strcpy(text + sizeof(text) - sizeof(CANARY), CANARY);
	unwiped = 0;
	wire_init(&wire, false);
	wire_put(&wire, text, NO_FD);
	assert_int_equal(proto_writer_flush(&wire.writer, wire.ends[0]), PROTO_FRAME_OK);
	for (int i = 0; i < 3; i++)	/* it grows on its way */
		wire_fill(&wire);
	expect_next(&wire, text);
	wire_put(&wire, CANARY, NO_FD);
	wire_deinit(&wire);
	assert_int_equal(unwiped, 0);
	proof = strdup(CANARY);
	free(proof);
	assert_int_equal(unwiped, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_message),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_whole_and_begun_in_one_read),
		cmocka_unit_test(test_as_many_wait_as_may),
		cmocka_unit_test(test_waiting_goes_down_by_next),
		cmocka_unit_test(test_largest_message),
		cmocka_unit_test(test_one_byte_more),
		cmocka_unit_test(test_buffer_is_bounded),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_moving_keeps_the_bytes),
		cmocka_unit_test(test_end_and_hang_up),
		cmocka_unit_test(test_reading_what_is_no_socket),
		cmocka_unit_test(test_writer_waits_and_goes_on),
		cmocka_unit_test(test_writer_without_reader),
		cmocka_unit_test(test_buffers_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
