/* SPDX-License-Identifier: MIT */
/*
 * Messages that are nearly right. Whatever is done to one, it gets a verdict, and what is taken
 * says the same again once it is written and read anew. The mutations are the same in every run.
 */
#include "tests/unit/calls.h"

#include "proto/scan.h"

#include <stdio.h>

struct verdicts {
	size_t taken, refused, closed;
};

/* In a block of its own size, so that a sanitizer sees a step beyond its end. */
static char *exactly(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	memcpy(copy, text, length);
	copy = realloc(copy, length ? length : 1);
	return copy;
}

static void expect_same_again(const struct proto_call *call)
{
	size_t length, again_length;
	char *text = proto_connect_encode(&call->connect, &length), *again_text;
	struct proto_call again;
	struct proto_status status;

	if (decode(&again, text, &status) != PROTO_DECODE_OK)
		fail_msg("%s: %s", status.message, text);
	again_text = proto_connect_encode(&again.connect, &again_length);
	assert_string_equal(text, again_text);
	assert_int_equal(length, again_length);
	assert_string_equal(call->connect.host, again.connect.host);
	assert_int_equal(call->connect.port, again.connect.port);
	assert_int_equal(call->connect.timeout_ms, again.connect.timeout_ms);
	assert_memory_equal(call->connect.trust.pins, again.connect.trust.pins,
			    call->connect.trust.n_pins * sizeof(struct proto_pin));
	assert_int_equal(call->connect.trust.verify, again.connect.trust.verify);
	assert_int_equal(call->connect.alpn.n, again.connect.alpn.n);
	proto_call_deinit(&again);
	free(text);
	free(again_text);
}

/* That it can itself be told: json-c reads it, and nothing in it breaks a line. */
static void expect_tellable(const struct proto_status *status)
{
	char escaped[PROTO_TEXT_MAX];
	size_t length;
	char *text = proto_status_encode(status, &length);
	struct proto_scan scan;

	assert_true(proto_scan(&scan, text, length, PROTO_MEMBERS_MAX));
	assert_null(scan.fault);
	proto_escape(escaped, sizeof(escaped), status->message);
	assert_string_equal(escaped, status->message);
	free(text);
}

static void judge_call(struct verdicts *verdicts, const char *text, size_t length)
{
	char *copy = exactly(text, length);
	struct proto_call call;
	struct proto_status status;
	bool oneway;

	switch (proto_call_decode(&call, copy, length, &status, &oneway)) {
	case PROTO_DECODE_OK:
		verdicts->taken++;
		if (call.method == PROTO_METHOD_CONNECT)
			expect_same_again(&call);
		proto_call_deinit(&call);
		break;
	case PROTO_DECODE_REFUSED:
		verdicts->refused++;
		expect_tellable(&status);
		break;
	case PROTO_DECODE_CLOSE:
		verdicts->closed++;
		break;
	default:	/* json-c would not have what the scan has let pass */
		fail_msg("%.*s", (int)length, copy);
	}
	free(copy);
}

static void judge_reply(struct verdicts *verdicts, const char *text, size_t length)
{
	char *copy = exactly(text, length);
	struct proto_session session;
	struct proto_status status;
	int fd_index;

	switch (proto_reply_decode(copy, length, &session, &fd_index, &status)) {
	case PROTO_DECODE_OK:
		verdicts->taken++;
		assert_true(fd_index >= 0);
		break;
	case PROTO_DECODE_REFUSED:
		verdicts->refused++;
		expect_tellable(&status);
		break;
	case PROTO_DECODE_CLOSE:
		verdicts->closed++;
		break;
	default:
		fail_msg("%.*s", (int)length, copy);
	}
	free(copy);
}

typedef void judge(struct verdicts *verdicts, const char *text, size_t length);

static void mutate_byte(judge *verdict, struct verdicts *verdicts, char *text, size_t length,
			size_t at)
{
	static const char bytes[] = "\"\\{}[],:0-e \n\xff\xed" "n";
	char was = text[at];

	for (int bit = 0; bit < 8; bit++) {
		text[at] = (char)(was ^ 1 << bit);
		verdict(verdicts, text, length);
	}
	for (size_t i = 0; i < sizeof(bytes); i++) {
		text[at] = bytes[i];
		verdict(verdicts, text, length);
	}
	text[at] = was;
}

static void mutate_length(judge *verdict, struct verdicts *verdicts, const char *text,
			  size_t length, size_t at)
{
	char longer[4096];

	verdict(verdicts, text, at);
	verdict(verdicts, text + at, length - at);
	memcpy(longer, text, at);
	memcpy(longer + at, text + at + 1, length - at - 1);
	verdict(verdicts, longer, length - 1);
	memcpy(longer, text, at + 1);
	memcpy(longer + at + 1, text + at, length - at);
	verdict(verdicts, longer, length + 1);
}

static void mutate(judge *verdict, struct verdicts *verdicts, const char *original)
{
	size_t length = strlen(original);
	char *text = strdup(original);

	verdict(verdicts, text, length);
	for (size_t at = 0; at < length; at++) {
		mutate_byte(verdict, verdicts, text, length, at);
		mutate_length(verdict, verdicts, text, length, at);
	}
	free(text);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Pieces of one message put into another, a few at a time. */
static void splice(judge *verdict, struct verdicts *verdicts, const char *const *texts, size_t n)
{
	uint32_t seed = 1;
	char text[8192];
	size_t length, from, at, piece;

	for (int i = 0; i < 4000; i++) {
		length = strlen(strcpy(text, texts[next_random(&seed) % n]));
		for (uint32_t cuts = next_random(&seed) % 4; cuts > 0; cuts--) {
			const char *other = texts[next_random(&seed) % n];

			from = next_random(&seed) % strlen(other);
			piece = next_random(&seed) % (strlen(other) - from) % 64;
			at = next_random(&seed) % length;
			memmove(text + at + piece, text + at, length - at);
			memcpy(text + at, other + from, piece);
			length += piece;
		}
		verdict(verdicts, text, length);
	}
}


static void test_calls(void **state)
{
	struct verdicts verdicts = { 0 };

	for (size_t i = 0; i < array_size(golden); i++)
		mutate(judge_call, &verdicts, golden[i]);
	splice(judge_call, &verdicts, golden, array_size(golden));
	assert_true(verdicts.taken > 500 && verdicts.refused > 500 && verdicts.closed > 500);
}

static void test_replies(void **state)
{
	struct proto_session session = { .version = "TLSv1.2", .alpn = "h2", .resumed = true };
	struct verdicts verdicts = { 0 };
	struct proto_status status;
	size_t length;
	char *texts[2];

	proto_status_set(&status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, EPROTO, "m");
	texts[0] = proto_session_encode(&session, &length);
	texts[1] = proto_status_encode(&status, &length);
	for (size_t i = 0; i < array_size(texts); i++)
		mutate(judge_reply, &verdicts, texts[i]);
	splice(judge_reply, &verdicts, (const char *const *)texts, array_size(texts));
	assert_true(verdicts.taken > 500 && verdicts.refused > 500 && verdicts.closed > 500);
	free(texts[0]);
	free(texts[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
