/* SPDX-License-Identifier: MIT */
#include "tests/unit/keys-of.h"

#include "daemon/messages.h"

#include <string.h>

struct stream {
	uint8_t bytes[131072];
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

static void feed(struct messages *messages, const struct stream *stream, size_t chunk)
{
	for (size_t at = 0; at < stream->n; at += chunk)
		messages_feed(messages, stream->bytes + at,
			      stream->n - at < chunk ? stream->n - at : chunk);
}

static unsigned int count(const struct stream *stream, size_t chunk)
{
	struct messages messages = { 0 };

	feed(&messages, stream, chunk);
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

/* --- their keys */

static struct der good, bad;

static int begin(void **state)
{
	good = der_about(EVP_EC_gen("P-256"));
	bad = der_about(EVP_EC_gen("secp224r1"));
	return 0;
}

static int end(void **state)
{
	der_free(&good);
	der_free(&bad);
	return 0;
}

static void put_list(struct stream *stream, const struct der *const *certs, size_t n)
{
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += 3 + certs[i]->n;
	stream->bytes[stream->n++] = 11;
	put_number(stream, all + 3);
	put_number(stream, all);
	for (size_t i = 0; i < n; i++) {
		put_number(stream, certs[i]->n);
		memcpy(stream->bytes + stream->n, certs[i]->bytes, certs[i]->n);
		stream->n += certs[i]->n;
	}
}

/* Byte by byte: the verdict is there before the last byte of the bad one goes out, not earlier. */
static void check_where(const struct stream *stream, size_t first_bad)
{
	struct messages messages = { 0 };

	for (size_t i = 0; i < stream->n; i++) {
		messages_feed(&messages, stream->bytes + i, 1);
		if (messages.n_certificates < first_bad)
			assert_null(messages.fault);
		if (messages.n_certificates > first_bad)
			assert_non_null(messages.fault);
	}
	assert_non_null(messages.fault);
}

static void test_bad_one_at_every_place(void **state)
{
	for (size_t place = 0; place < 10; place++) {
		const struct der *certs[10];
		struct stream stream = { .n = 0 };

		for (size_t i = 0; i < array_size(certs); i++)
			certs[i] = i == place ? &bad : &good;
		put_message(&stream, 2, 80);
		put_list(&stream, certs, array_size(certs));
		check_where(&stream, place + 1);
		for (size_t chunk = 1; chunk < 2 * good.n; chunk += 7) {
			struct messages messages = { 0 };

			feed(&messages, &stream, chunk);
			assert_non_null(messages.fault);
			assert_non_null(strstr(messages.fault, "another curve"));
			assert_int_equal(messages.n_certificates, array_size(certs));
		}
	}
}

static void test_good_ones(void **state)
{
	const struct der *certs[] = { &good, &good, &good };
	struct stream stream = { .n = 0 };

	put_message(&stream, 2, 80);
	put_list(&stream, certs, array_size(certs));
	put_message(&stream, 12, 300);
	put_list(&stream, certs, 1);
	put_message(&stream, 14, 0);
	for (size_t chunk = 1; chunk <= stream.n; chunk++) {
		struct messages messages = { 0 };

		feed(&messages, &stream, chunk);
		assert_null(messages.fault);
		assert_int_equal(messages.n_certificates, 4);
	}
}

/* In a message of its own, behind others; the first fault is the one that is told. */
static void test_second_message_and_second_fault(void **state)
{
	const struct der junk = { (uint8_t *)"\x30\x03\x02\x01\x01", 5 };
	const struct der *const certs[] = { &good }, *const bad_ones[] = { &good, &bad, &junk };
	struct messages messages = { 0 };
	struct stream stream = { .n = 0 };

	put_list(&stream, certs, 1);
	put_message(&stream, 12, 300);
	put_list(&stream, bad_ones, 3);
	check_where(&stream, 3);
	feed(&messages, &stream, stream.n);
	assert_non_null(strstr(messages.fault, "another curve"));
}

/* Of one that is larger than what is kept of it, the beginning counts. */
static void test_large_ones(void **state)
{
	static const char *const curves[] = { "P-256", "secp224r1" };
	static uint8_t ballast[30000];

	for (size_t i = 0; i < array_size(curves); i++) {
		EVP_PKEY *key = EVP_EC_gen(curves[i]);
		_identity_ id = make(.cn = "large", .key = key);
		ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
		X509_EXTENSION *extension = NULL;
		struct stream stream = { .n = 0 };
		_der_ der = { 0 };
		const struct der *const certs[] = { &der, &good };

		ASN1_OCTET_STRING_set(data, ballast, sizeof(ballast));
		X509_EXTENSION_create_by_NID(&extension, NID_netscape_comment, 0, data);
		X509_add_ext(id.cert, extension, -1);
		X509_sign(id.cert, id.key, EVP_sha256());
		der = der_of(id.cert);
		put_list(&stream, certs, 2);
		for (size_t chunk = 1; chunk < 40000; chunk = chunk * 3 + 1) {
			struct messages messages = { 0 };

			feed(&messages, &stream, chunk);
			assert_int_equal(messages.fault != NULL, i);
			assert_int_equal(messages.n_certificates, 2);
		}
		X509_EXTENSION_free(extension);
		ASN1_OCTET_STRING_free(data);
		EVP_PKEY_free(key);
	}
}

/* One whose length goes beyond its list is judged by what there is of it. */
static void test_one_that_is_cut(void **state)
{
	const struct der *const certs[] = { &good };

	for (size_t less = 0; less < 2; less++) {
		struct messages messages = { 0 };
		struct stream stream = { .n = 0 }, length = { .n = 0 };

		put_list(&stream, certs, 1);
		put_number(&length, good.n + 1 - 2 * less);
		memcpy(stream.bytes + 7, length.bytes, 3);
		feed(&messages, &stream, stream.n);
		assert_int_equal(messages.fault != NULL, less);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_chunks_of_any_size),
		cmocka_unit_test(test_empty_lists),
		cmocka_unit_test(test_lengths_that_do_not_fit),
		cmocka_unit_test(test_bad_one_at_every_place),
		cmocka_unit_test(test_good_ones),
		cmocka_unit_test(test_second_message_and_second_fault),
		cmocka_unit_test(test_large_ones),
		cmocka_unit_test(test_one_that_is_cut),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
