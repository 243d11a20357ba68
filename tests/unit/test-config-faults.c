/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=calloc,--wrap=reallocarray,--wrap=strdup,--wrap=fopen,--wrap=scandir */
/* link: -Wl,--wrap=asprintf,--wrap=__asprintf_chk,--wrap=getgrnam */
#include "tests/unit/config-load.h"

#include <dirent.h>

/* --- allocations that fail: the n-th one from now; 0: none */

static unsigned int fail_at;

static bool fails(void)
{
	if (!fail_at || --fail_at)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	return fails() ? NULL : __real_fopen(path, mode);
}

typedef int select_entry(const struct dirent *entry);
typedef int compare_entries(const struct dirent **a, const struct dirent **b);
int __real_scandir(const char *path, struct dirent ***list, select_entry *select,
		   compare_entries *compare);
int __wrap_scandir(const char *path, struct dirent ***list, select_entry *select,
		   compare_entries *compare);
int __wrap_scandir(const char *path, struct dirent ***list, select_entry *select,
		   compare_entries *compare)
{
	return fails() ? -1 : __real_scandir(path, list, select, compare);
}

int __wrap_asprintf(char **to, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **to, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = fails() ? -1 : vasprintf(to, format, args);
	va_end(args);
	return n;
}

/* What asprintf() is under _FORTIFY_SOURCE. */
int __wrap___asprintf_chk(char **to, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **to, int flag, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = fails() ? -1 : vasprintf(to, format, args);
	va_end(args);
	return n;
}

static void test_every_allocation_may_fail(void **state)
{
	unsigned int n;

	write_file(*state, "ktlsd.conf", "[Policy p]\nCiphers=ALL\nCiphers=AES\n[Service]\n"
		   "[Store s]\nFile=/a\n[Policy p]\nGroups=P-256\n[Limits]\nRequests=5\n"
		   "[Access a]\nUsers=0 1\nHosts=a *.b\nAddresses=any ::1\nPorts=1 2\n"
		   "Policies=p default\nStores=t\n");
	make_drop_ins(*state);
	write_file(*state, "ktlsd.conf.d/10-a.conf", "[Store t]\nFile=/b\n");
	for (n = 1; n < 200; n++) {
		struct loaded loaded = { 0 };
		size_t size;
		FILE *errors = open_memstream(&loaded.errors, &size);
		const char *path = ((struct directory *)*state)->path;
		bool reached, good;

		fail_at = n;
		loaded.config = config_load_directory(path, errors, &good);
		reached = fail_at == 0;
		fail_at = 0;
		fclose(errors);
		assert_int_equal(good, !reached);
		assert_true(loaded.config || !good);
		if (reached)
			assert_true(strstr(loaded.errors, "out of memory") ||
				    strstr(loaded.errors, "Cannot allocate memory"));
		loaded_deinit(&loaded);
		if (!reached)
			break;
	}
	assert_in_range(n, 50, 100);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Changes, doubles or drops a byte at a time. */
static size_t mutate(char *text, size_t length, uint32_t *seed)
{
	static const char likely[] = "\n\n\n=[]#;: \t\\\0\r\xef\xff" "0a.";

	for (unsigned int n = next_random(seed) % 6 + 1; n && length > 1; n--) {
		size_t at = next_random(seed) % (length - 1);
		uint32_t how = next_random(seed) % 4;

		if (how == 0)
			memmove(text + at, text + at + 1, length-- - at - 1);
		else if (how == 1)
			text[at] = next_random(seed);
		else if (how == 2)
			text[at] = likely[next_random(seed) % (sizeof(likely) - 1)];
		else
			memmove(text + at + 1, text + at, length++ - at);
	}
	return length;
}

static void test_mutated(void **state)
{
	_cleanup_free_ char *text = shipped_settings();
	unsigned int good = 0, wrong = 0;
	uint32_t seed = 20111;
	size_t length = strlen(text);
	_cleanup_free_ char *mutant = malloc(length + 16);

	assert_non_null(mutant);
	for (int i = 0; i < 3000; i++) {
		memcpy(mutant, text, length);
		struct loaded loaded = load_bytes(mutant, mutate(mutant, length, &seed));

		for (const char *p = loaded.errors; *p; p++)
			assert_true((*p >= ' ' && *p != 0x7f) || *p == '\n' || *p < 0);
		good += loaded.config != NULL;
		wrong += loaded.config == NULL;
		loaded_deinit(&loaded);
	}
	assert_in_range(good, 200, 2800);
	assert_in_range(wrong, 200, 2800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_every_allocation_may_fail),
		cmocka_unit_test(test_mutated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
