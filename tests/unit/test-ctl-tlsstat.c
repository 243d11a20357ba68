/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-tlsstat.c"

#include <stdlib.h>
#include <unistd.h>

static const char *text_of(struct json_object *row, const char *member)
{
	return json_object_get_string(json_object_object_get(row, member));
}

/* Of the kernels themselves: as many counters as there are lines, and we know them all. */
static void test_recorded_files(void **state)
{
	static const struct {
		const char *path, *last;
		size_t n;
	} files[] = {
		{ "tests/unit/tlsstat/6.1.txt", "TlsRxNoPadViolation", 12 },
		{ "tests/unit/tlsstat/6.12.txt", "TlsRxNoPadViolation", 12 },
		{ "tests/unit/tlsstat/7.2.txt", "TlsRxRekeyReceived", 17 },
	};

	for (size_t i = 0; i < array_size(files); i++) {
		struct json_object *rows = ctl_tlsstat(files[i].path);

		assert_non_null(rows);
		assert_int_equal(json_object_array_length(rows), files[i].n);
		for (size_t j = 0; j < files[i].n; j++)
			assert_non_null(text_of(json_object_array_get_idx(rows, j), "meaning"));
		assert_string_equal(text_of(json_object_array_get_idx(rows, 0), "name"), "TlsCurrTxSw");
		assert_string_equal(text_of(json_object_array_get_idx(rows, files[i].n - 1), "name"),
				    files[i].last);
		json_object_put(rows);
	}
}

/* No two counters mean the same. */
static void test_meanings_differ(void **state)
{
	for (size_t i = 0; i < array_size(counters); i++)
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(counters[i].meaning, counters[j].meaning);
			assert_string_not_equal(counters[i].name, counters[j].name);
		}
}

static void check(const char *text, const char *wanted)
{
	char path[] = "/tmp/tlsstat-XXXXXX";
	struct json_object *rows;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rows = ctl_tlsstat(path);
	unlink(path);
	assert_non_null(rows);
	assert_string_equal(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN), wanted);
	json_object_put(rows);
}

#define ROW(name, value) "{\"name\":\"" name "\",\"value\":" value ",\"meaning\":null}"
#define ERRORS "{\"name\":\"TlsDecryptError\",\"value\":7,\"meaning\":\"records that could not be "	\
	"decrypted: damaged, forged, or a wrong key\"}"

static void test_what_is_not_known_and_what_is_broken(void **state)
{
	check("", "[]");
	check("TlsTxRekeyFallback \t3\n", "[" ROW("TlsTxRekeyFallback", "3") "]");
	check("TlsNew 18446744073709551615\n", "[" ROW("TlsNew", "18446744073709551615") "]");
	check("TlsDecryptError                 \t7\n", "[" ERRORS "]");
	check("\nTlsBroken\nTlsBroken x\nTlsBroken 1 2\n\033[2J\377 3\nTls\377 3\nTlsDecryptError 7", "[" ERRORS "]");
}

static void test_no_file(void **state)
{
	assert_null(ctl_tlsstat("/nonexistent/tls_stat"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_files),
		cmocka_unit_test(test_meanings_differ),
		cmocka_unit_test(test_what_is_not_known_and_what_is_broken),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
