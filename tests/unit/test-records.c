/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/records.h"

#include <stdbool.h>
#include <string.h>

struct stream {
	uint8_t bytes[4096];
	size_t n;
};

/* A record whose body counts up from first. */
static void put(struct stream *stream, uint8_t type, size_t size, uint8_t first)
{
	uint8_t *at = stream->bytes + stream->n;

	at[0] = type;
	at[1] = at[2] = 3;
	at[3] = (uint8_t)(size >> 8);
	at[4] = (uint8_t)size;
	for (size_t i = 0; i < size; i++)
		at[5 + i] = (uint8_t)(first + i);
	stream->n += 5 + size;
}

static void flight(struct stream *stream)
{
	*stream = (struct stream){ .n = 0 };
	put(stream, 22, 300, 1);
	put(stream, 22, 0, 0);
	put(stream, 22, 7, 0);
	put(stream, 20, 1, 1);
	put(stream, 22, 40, 0x70);
}

static void check_flight(const struct records *records)
{
	static const uint8_t nonce[] = { 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77 };

	assert_true(records->ciphered);
	assert_int_equal(records->n_protected, 1);
	assert_int_equal(records->have, 0);
	assert_memory_equal(records->nonce, nonce, sizeof(nonce));
}

static void test_in_chunks_of_any_size(void **state)
{
	struct stream stream;

	flight(&stream);
	for (size_t chunk = 1; chunk <= stream.n; chunk++) {
		struct records records = { 0 };

		for (size_t at = 0; at < stream.n; at += chunk)
			records_feed(&records, stream.bytes + at,
				     stream.n - at < chunk ? stream.n - at : chunk);
		check_flight(&records);
	}
}

static void test_split_in_three_anywhere(void **state)
{
	struct stream stream;

	flight(&stream);
	for (size_t a = 0; a <= stream.n; a++) {
		for (size_t b = a; b <= stream.n; b += 3) {
			struct records records = { 0 };

			records_feed(&records, stream.bytes, a);
			records_feed(&records, stream.bytes + a, b - a);
			records_feed(&records, stream.bytes + b, stream.n - b);
			check_flight(&records);
		}
	}
}

static void test_nothing_before_change_cipher_spec(void **state)
{
	struct stream stream = { .n = 0 };
	struct records records = { 0 };

	put(&stream, 22, 40, 0x70);
	put(&stream, 21, 2, 1);
	records_feed(&records, stream.bytes, stream.n);
	assert_false(records.ciphered);
	assert_int_equal(records.n_protected, 0);
}

static void test_counts_on_and_keeps_the_last(void **state)
{
	static const uint8_t nonce[] = { 9, 10, 11, 12, 13, 14, 15, 16 };
	struct stream stream;
	struct records records = { 0 };

	flight(&stream);
	put(&stream, 21, 26, 9);
	records_feed(&records, stream.bytes, stream.n);
	assert_int_equal(records.n_protected, 2);
	assert_memory_equal(records.nonce, nonce, sizeof(nonce));
}

static void test_tells_an_incomplete_record(void **state)
{
	struct stream stream;

	flight(&stream);
	for (size_t short_of = 1; short_of < 45; short_of++) {
		struct records records = { 0 };

		records_feed(&records, stream.bytes, stream.n - short_of);
		assert_int_not_equal(records.have, 0);
		assert_int_equal(records.n_protected, 0);
	}
}

static void test_largest_record(void **state)
{
	static const uint8_t header[] = { 23, 3, 3, 0xff, 0xff };
	static uint8_t body[0xffff];
	struct records records = { .ciphered = true };

	records_feed(&records, header, sizeof(header));
	records_feed(&records, body, sizeof(body) - 1);
	assert_int_equal(records.n_protected, 0);
	records_feed(&records, body, 1);
	assert_int_equal(records.n_protected, 1);
	assert_int_equal(records.have, 0);
}

static uint8_t clear[4096];
static size_t n_clear;

static void note_clear(struct records *records, const uint8_t *bytes, size_t n)
{
	memcpy(clear + n_clear, bytes, n);
	n_clear += n;
}

/* Of handshake records alone, and only before ChangeCipherSpec; an empty one is none. */
static void test_what_is_in_the_clear(void **state)
{
	struct stream stream = { .n = 0 };

	put(&stream, 22, 300, 1);
	put(&stream, 21, 2, 1);
	put(&stream, 20, 0, 0);
	put(&stream, 22, 5, 7);
	put(&stream, 20, 1, 1);
	put(&stream, 22, 40, 0x70);
	for (size_t chunk = 1; chunk <= stream.n; chunk++) {
		struct records records = { .clear = note_clear };

		n_clear = 0;
		for (size_t at = 0; at < stream.n; at += chunk)
			records_feed(&records, stream.bytes + at,
				     stream.n - at < chunk ? stream.n - at : chunk);
		assert_int_equal(n_clear, 305);
		assert_memory_equal(clear, stream.bytes + 5, 300);
		assert_memory_equal(clear + 300, stream.bytes + 305 + 7 + 5 + 5, 5);
		assert_int_equal(records.n_protected, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_chunks_of_any_size),
		cmocka_unit_test(test_split_in_three_anywhere),
		cmocka_unit_test(test_nothing_before_change_cipher_spec),
		cmocka_unit_test(test_counts_on_and_keeps_the_last),
		cmocka_unit_test(test_tells_an_incomplete_record),
		cmocka_unit_test(test_largest_record),
		cmocka_unit_test(test_what_is_in_the_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
