/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=free */
/* link: -Wl,--whole-archive,-l:libjson-c.a,--no-whole-archive */
/*
 * What happens when memory runs out, here and in json-c, which is linked in for that: the answer is
 * "no memory" or the right one, never another one and never a crash. And how much it takes at all.
 */
#include "tests/unit/calls.h"

#include "proto/tree.h"

#include <json-c/json.h>
#include <malloc.h>

#define BLOCKS_MAX 1024
#define NEVER SIZE_MAX

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static struct {
	size_t fail_at;	/* the allocation to fail, counted from 0 */
	size_t budget;	/* bytes that there are */
	bool spare_strdup;
	size_t allocations, failures, live, peak;
	void *blocks[BLOCKS_MAX];	/* those that are out */
	size_t sizes[BLOCKS_MAX];
} heap;

static void heap_reset(size_t fail_at, size_t budget)
{
	memset(&heap, 0, sizeof(heap));
	heap.fail_at = fail_at;
	heap.budget = budget;
	/* json-c of old does not look whether a key was copied: that is never the nth. */
	heap.spare_strdup = budget == NEVER && json_c_version_num() < ((0 << 16) | (17 << 8));
}

static bool heap_refuses(size_t size)
{
	bool refuses = heap.allocations++ == heap.fail_at || size > heap.budget - heap.live;

	heap.failures += refuses;
	return refuses;
}

static void *heap_enter(void *block, size_t size)
{
	size_t i = 0;

	while (i < BLOCKS_MAX && heap.blocks[i])
		i++;
	assert_true(i < BLOCKS_MAX);
	heap.blocks[i] = block;
	heap.sizes[i] = size;
	heap.live += size;
	heap.peak = heap.live > heap.peak ? heap.live : heap.peak;
	return block;
}

static void heap_leave(void *block)
{
	for (size_t i = 0; block && i < BLOCKS_MAX; i++) {
		if (heap.blocks[i] != block)
			continue;
		heap.live -= heap.sizes[i];
		heap.blocks[i] = NULL;
		return;
	}
}

void *__wrap_malloc(size_t size)
{
	return heap_refuses(size) ? NULL : heap_enter(__real_malloc(size), size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return heap_refuses(n * size) ? NULL : heap_enter(__real_calloc(n, size), n * size);
}

/* The old block and the new one are there at once. */
void *__wrap_realloc(void *block, size_t size)
{
	void *grown;

	if (heap_refuses(size))
		return NULL;
	grown = __real_malloc(size);
	if (block)
		memcpy(grown, block, malloc_usable_size(block) < size ?
		       malloc_usable_size(block) : size);
	heap_enter(grown, size);
	heap_leave(block);
	__real_free(block);
	return grown;
}

char *__wrap_strdup(const char *text)
{
	if (heap.spare_strdup)
		return heap_enter(__real_strdup(text), strlen(text) + 1);
	return heap_refuses(strlen(text) + 1) ? NULL :
	       heap_enter(__real_strdup(text), strlen(text) + 1);
}

void __wrap_free(void *block)
{
	heap_leave(block);
	__real_free(block);
}

/* What json-c before 0.18 loses when a member has no place is given back for it. */
static void free_what_json_c_lost(size_t failed_in_tree)
{
	if (heap.live && failed_in_tree && json_c_version_num() < ((0 << 16) | (18 << 8)))
		for (size_t i = 0; i < BLOCKS_MAX; i++)
			if (heap.blocks[i])
				__wrap_free(heap.blocks[i]);
	assert_int_equal(heap.live, 0);
}

/* How many allocations reading the tree of it takes, of those of reading all of it. */
static size_t allocations_of_tree(const char *text)
{
	struct json_object *tree;
	struct proto_scan scan;

	heap_reset(NEVER, NEVER);
	assert_int_equal(proto_tree_read(&tree, &scan, text, strlen(text), PROTO_MEMBERS_MAX),
			 PROTO_DECODE_OK);
	json_object_put(tree);
	return heap.allocations;
}

static void expect_as_well_as(const struct proto_call *call, const char *expected)
{
	size_t length;
	char *text;

	heap.fail_at = heap.budget = NEVER;
	text = proto_connect_encode(&call->connect, &length);
	assert_string_equal(text, expected);
	free(text);
}

/* What the call says once it is decoded, for comparison. */
static char *said(const char *text)
{
	struct proto_status status;
	struct proto_call call;
	size_t length;
	char *expected;

	assert_int_equal(decode(&call, text, &status), PROTO_DECODE_OK);
	expected = proto_connect_encode(&call.connect, &length);
	proto_call_deinit(&call);
	heap_leave(expected);
	return expected;
}

/* True: the call was decoded in spite of it all. */
static bool decode_in_need(const char *text, const char *expected)
{
	struct proto_status status;
	struct proto_call call;
	enum proto_decoded decoded = decode(&call, text, &status);

	if (decoded != PROTO_DECODE_OK) {
		assert_int_equal(decoded, PROTO_DECODE_NO_MEMORY);
		return false;
	}
	expect_as_well_as(&call, expected);
	proto_call_deinit(&call);
	return true;
}

static void test_decode_without_the_nth(void **state)
{
	for (size_t i = 0; i < array_size(golden); i++) {
		size_t in_tree = allocations_of_tree(golden[i]), n;
		char *expected = said(golden[i]);

		for (n = 0; n < 1000; n++) {
			heap_reset(n, NEVER);
			decode_in_need(golden[i], expected);
			free_what_json_c_lost(n < in_tree);
			if (!heap.failures)
				break;
		}
		assert_in_range(n, in_tree, 999);
		__real_free(expected);
	}
}

static void tree_on_a_budget(const char *text, size_t budget, size_t *read)
{
	struct json_object *tree;
	struct proto_scan scan;

	heap_reset(NEVER, budget);
	if (proto_tree_read(&tree, &scan, text, strlen(text), PROTO_MEMBERS_MAX) ==
	    PROTO_DECODE_OK) {
		json_object_put(tree);
		(*read)++;
	} else {	/* it did not so much as begin */
		assert_int_equal(heap.allocations, 1);
	}
	assert_int_equal(heap.failures, heap.allocations == 1);
	assert_int_equal(heap.live, 0);
}

/* n times one piece between what opens and closes. */
static char *repeat(const char *open, const char *piece, size_t n, const char *close)
{
	char *text = __real_malloc(strlen(open) + n * strlen(piece) + strlen(close) + 1);
	char *at = stpcpy(text, open);

	while (n--)
		at = stpcpy(at, piece);
	strcpy(at, close);
	return text;
}

/* As json-c never meets a want of memory, since that is asked for in advance: what takes most. */
static void test_no_parse_without_memory(void **state)
{
	static const struct {
		const char *open, *piece, *close;
		size_t n;
	} cases[] = {
		{ "{\"a\":[{}", ",{}", "]}", 62 }, { "{\"a\":[[]", ",[]", "]}", 62 },
		{ "{\"a\":[{\"a\":{}}", ",{\"a\":{}}", "]}", 30 },
		{ "{\"a\":[1.5", ",1.5", "]}", 62 },
		{ "{\"a\":[[[[[[[]]]]]]", ",[[[[[[]]]]]]", "]}", 9 },
		{ "{\"a\":\"", "x", "\"}", 1 },
		{ "{\"a\":\"", "xxxxxxx\\n", "\"}", 50000 }, { "{\"a\":\"", "\\n", "\"}", 200000 },
		{ "{\"a\":\"", "x", "\"}", 500000 }, { "{\"a\":1", "0", "}", 400000 },
		{ "{\"a\":{\"b\":\"c\"}", "", "}", 1 }, { "{", "", "}", 1 },
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		char *text = repeat(cases[i].open, cases[i].piece, cases[i].n, cases[i].close);
		size_t step = strlen(text) / 16 + 512, read = 0, budget = 0;

		for (; read < 3 && budget < 1000 * step; budget += step)
			tree_on_a_budget(text, budget, &read);
		assert_int_equal(read, 3);
		__real_free(text);
	}
}

/* True: all of it was told in spite of it all. */
static bool answer_in_need(const char *text, enum proto_decoded expected, const char *parameters)
{
	struct proto_status status;
	char *told;
	enum proto_decoded decoded = proto_answer_decode(text, strlen(text), &told, &status);

	if (decoded == PROTO_DECODE_NO_MEMORY) {
		assert_null(told);
		return false;
	}
	assert_int_equal(decoded, expected);
	assert_string_equal(told, parameters);
	free(told);
	return true;
}

#define TOLD "{\"a\":[1,-2,1.5,true,null,{}],\"b\":{\"c\":\"d\\n\",\"e\":\"" HEX64 HEX64	\
	HEX64 HEX64 HEX64 HEX64 HEX64 HEX64 HEX64 HEX64 "\"}}"

static void test_answer_without_the_nth(void **state)
{
	static const struct {
		const char *text;
		enum proto_decoded decoded;
	} cases[] = {
		{ "{\"parameters\":" TOLD "}", PROTO_DECODE_OK },
		{ "{\"error\":\"io.ktlsd.Busy\",\"parameters\":" TOLD "}", PROTO_DECODE_REFUSED },
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		size_t in_tree = allocations_of_tree(cases[i].text), n;
		bool told = false;

		for (n = 0; n < 1000; n++) {
			heap_reset(n, NEVER);
			told = answer_in_need(cases[i].text, cases[i].decoded, TOLD);
			free_what_json_c_lost(n < in_tree);
			if (!heap.failures)
				break;
		}
		assert_true(told);
		/* A text that grows once, behind the tree. */
		assert_in_range(n, in_tree + 2, 999);
	}
}

static char *encode_question(const void *what, size_t *length)
{
	return proto_question_encode("io.ktlsd.Probe", what, length);
}

static char *encode_connect(const void *what, size_t *length)
{
	return proto_connect_encode(what, length);
}

static char *encode_session(const void *what, size_t *length)
{
	return proto_session_encode(what, length);
}

static char *encode_status(const void *what, size_t *length)
{
	return proto_status_encode(what, length);
}

static char *encode_description(const void *what, size_t *length)
{
	return proto_description_encode(what, length);
}

static void encode_without_the_nth(char *(*encode)(const void *what, size_t *length),
				   const void *what)
{
	size_t length, again, n;
	char *whole, *text;

	heap_reset(NEVER, NEVER);
	whole = encode(what, &length);
	for (n = 0; n < 100; n++) {
		heap_reset(n, NEVER);
		text = encode(what, &again);
		if (!heap.failures)
			break;
		assert_null(text);
		assert_int_equal(heap.live, 0);
	}
	assert_in_range(n, 1, 99);
	assert_string_equal(text, whole);
	assert_int_equal(length, again);
	free(text);
	__real_free(whole);
}

static void test_encode_without_the_nth(void **state)
{
	struct proto_session session = { .version = "TLSv1.2" };
	struct proto_status status;
	struct proto_call call;

	proto_status_set(&status, PROTO_BUSY, PROTO_STAGE_POLICY, 0, "full");
	heap_reset(NEVER, NEVER);
	assert_int_equal(decode(&call, golden_all, &status), PROTO_DECODE_OK);
	encode_without_the_nth(encode_connect, &call.connect);
	encode_without_the_nth(encode_question, &call.connect);
	encode_without_the_nth(encode_question, NULL);
	encode_without_the_nth(encode_session, &session);
	encode_without_the_nth(encode_status, &status);
	encode_without_the_nth(encode_description, "io.ktlsd");
	heap_reset(NEVER, NEVER);
	proto_call_deinit(&call);
}

static void test_hostile_takes_none(void **state)
{
	static const struct {
		const char *open, *piece;
	} cases[] = {
		{ "{\"a\":[", "{}," }, { "", "[" }, { "", "{\"a\":" }, { "{\"a\":[", "0," },
		{ "{\"a\":[{", "\"\":{}," }, { "{\"a\":\"", "\\" },
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		size_t n = (PROTO_MESSAGE_MAX - strlen(cases[i].open)) / strlen(cases[i].piece);
		char *text = repeat(cases[i].open, cases[i].piece, n, "");
		struct proto_status status;
		struct proto_call call;

		heap_reset(NEVER, NEVER);
		assert_int_equal(decode(&call, text, &status), PROTO_DECODE_CLOSE);
		assert_int_equal(heap.allocations, 0);
		__real_free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_without_the_nth),
		cmocka_unit_test(test_no_parse_without_memory),
		cmocka_unit_test(test_answer_without_the_nth),
		cmocka_unit_test(test_encode_without_the_nth),
		cmocka_unit_test(test_hostile_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
