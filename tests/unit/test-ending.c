/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/ending.h"

#include <string.h>

static void test_what_it_is(void **state)
{
	assert_int_equal(ending_of(PROTO_OK, true), PROTO_OK);
	assert_int_equal(ending_of(PROTO_OK, false), ENDING_NOT_TAKEN);
	assert_int_equal(ending_of(PROTO_TIMED_OUT, true), PROTO_TIMED_OUT);
	assert_int_equal(ending_of(PROTO_TIMED_OUT, false), PROTO_TIMED_OUT);
}

/* Every ending has a word, and none has another one's. */
static void test_words(void **state)
{
	assert_int_equal(ENDING_LAST_ERROR, PROTO_INTERNAL_ERROR);
	assert_string_equal(ending_name(PROTO_OK), "ok");
	assert_string_equal(ending_name(PROTO_INVALID_PARAMETER), "InvalidParameter");
	assert_string_equal(ending_name(PROTO_INTERNAL_ERROR), "InternalError");
	assert_string_equal(ending_name(ENDING_NOT_TAKEN), "not-taken");
	assert_string_equal(ending_name(ENDING_CANCELLED), "cancelled");
	assert_string_equal(ending_name(ENDING_LOST), "lost");
	for (unsigned int one = 0; one < N_ENDINGS; one++)
		for (unsigned int other = 0; other < one; other++)
			assert_string_not_equal(ending_name(one), ending_name(other));
}

static void test_aims(void **state)
{
	assert_int_equal(N_REQUEST_AIMS, 2);
	assert_string_equal(ending_aim_name(REQUEST_CONNECT), "Connect");
	assert_string_equal(ending_aim_name(REQUEST_PROBE), "Probe");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_is),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_aims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
