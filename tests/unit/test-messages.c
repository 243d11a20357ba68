/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/messages.h"

#include <string.h>

struct stream {
	uint8_t bytes[8192];
	size_t n;
};

static void put_number(struct stream *stream, size_t number)
{
	stream->bytes[stream->n++] = (uint8_t)(number >> 16);
	stream->bytes[stream->n++] = (uint8_t)(number >> 8);
	stream->bytes[stream->n++] = (uint8_t)number;
}

/* Bodies are of elevens, each of which would begin a Certificate message if it were looked at. */
static void put_body(struct stream *stream, size_t n)
{
	memset(stream->bytes + stream->n, 11, n);
	stream->n += n;
}

static void put_message(struct stream *stream, uint8_t type, size_t n)
{
	stream->bytes[stream->n++] = type;
	put_number(stream, n);
	put_body(stream, n);
}

static void put_certificates(struct stream *stream, const size_t *sizes, size_t n)
{
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += 3 + sizes[i];
	stream->bytes[stream->n++] = 11;
	put_number(stream, all + 3);
	put_number(stream, all);
	for (size_t i = 0; i < n; i++) {
		put_number(stream, sizes[i]);
		put_body(stream, sizes[i]);
	}
}

static unsigned int count(const struct stream *stream, size_t chunk)
{
	struct messages messages = { 0 };

	for (size_t at = 0; at < stream->n; at += chunk)
		messages_feed(&messages, stream->bytes + at,
			      stream->n - at < chunk ? stream->n - at : chunk);
	return messages.n_certificates;
}

static void test_in_chunks_of_any_size(void **state)
{
	static const size_t sizes[] = { 500, 1, 0, 300 };
	struct stream stream = { .n = 0 };

	put_message(&stream, 2, 80);
	put_certificates(&stream, sizes, array_size(sizes));
	put_message(&stream, 12, 300);
	put_message(&stream, 0, 0);
	put_certificates(&stream, sizes, 2);
	put_message(&stream, 14, 0);
	for (size_t chunk = 1; chunk <= stream.n; chunk++)
		assert_int_equal(count(&stream, chunk), 6);
}

static void test_empty_lists(void **state)
{
	struct stream stream = { .n = 0 };

	put_certificates(&stream, NULL, 0);
	put_message(&stream, 11, 0);
	put_message(&stream, 11, 2);
	put_message(&stream, 11, 3);
	assert_int_equal(count(&stream, 1), 0);
	assert_int_equal(count(&stream, stream.n), 0);
}

/* Lengths that lie: counted is what there is, and the next message is found where it should be. */
static void test_lengths_that_do_not_fit(void **state)
{
	static const uint8_t longer[] = { 11, 0, 0, 8, 0, 0, 5, 0, 0, 99, 1, 2 };
	static const uint8_t cut[] = { 11, 0, 0, 5, 0, 0, 2, 0, 0 };
	static const size_t one[] = { 10 };
	struct stream stream = { .n = 0 };

	memcpy(stream.bytes, longer, sizeof(longer));
	stream.n = sizeof(longer);
	put_certificates(&stream, one, 1);
	assert_int_equal(count(&stream, 1), 2);
	assert_int_equal(count(&stream, stream.n), 2);

	memcpy(stream.bytes, cut, sizeof(cut));
	stream.n = sizeof(cut);
	assert_int_equal(count(&stream, 1), 0);
	/* The last length of the list is taken from what follows, and the list is over. */
	put_message(&stream, 11, 100);
	assert_int_equal(count(&stream, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_chunks_of_any_size),
		cmocka_unit_test(test_empty_lists),
		cmocka_unit_test(test_lengths_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
