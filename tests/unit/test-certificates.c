/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/certificates.h"
#include "proto/limits.h"
#include "proto/util.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END "-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"

static const struct {
	const char *text, *kept; /* NULL: EINVAL */
} cases[] = {
	{ BEGIN "AAAA\n" END, BEGIN "AAAA\n" END },
	{ BEGIN "AAAA\n" END "\n" BEGIN "BBBB\n" END, BEGIN "AAAA\n" END BEGIN "BBBB\n" END },
	{ KEY BEGIN "AAAA\n" END KEY, BEGIN "AAAA\n" END },
	{ "G\xe9n\xe9ration\n" BEGIN "AAAA\n" END "\xff\xfe", BEGIN "AAAA\n" END },
	{ "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n",
	  BEGIN "AAAA\n" END },
	{ BEGIN "AAAA\n-----END CERTIFICATE-----", BEGIN "AAAA\n" END },
	{ BEGIN "AAAA  \t\n" END, BEGIN "AAAA\n" END },
	{ "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
	  "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n" },
	{ "-----BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n",
	  "-----BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n" },
	{ "", NULL },
	{ "hello\n", NULL },
	{ KEY, NULL },
	{ "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", NULL },
	{ BEGIN "AAAA\n", NULL },
	{ BEGIN "AAAA\n" BEGIN "AAAA\n" END, NULL },
	{ BEGIN "AAAA\n" END BEGIN, NULL },
	{ BEGIN "AAAA\n-----END X509 CERTIFICATE-----\n", NULL },
	{ BEGIN "AA\x01""AA\n" END, NULL },
	{ BEGIN "AA\xc3\xa4\n" END, NULL },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < array_size(cases); i++) {
		_cleanup_free_ char *kept = NULL;

		print_message("# case %zu\n", i);
		errno = 0;
		kept = certificates_of_text(cases[i].text, strlen(cases[i].text));
		if (cases[i].kept) {
			assert_non_null(kept);
			assert_string_equal(kept, cases[i].kept);
		} else {
			assert_null(kept);
			assert_int_equal(errno, EINVAL);
		}
	}
}

static void test_nul_inside(void **state)
{
	static const char text[] = BEGIN "AA\0AA\n" END;

	assert_null(certificates_of_text(text, sizeof(text) - 1));
	assert_int_equal(errno, EINVAL);
}

/* One certificate of n bytes in all. */
static char *certificate_of(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'A', n);
	memcpy(text, BEGIN, strlen(BEGIN));
	strcpy(text + n - strlen(END) - 1, "\n" END);
	return text;
}

static void test_size(void **state)
{
	_cleanup_free_ char *fits = certificate_of(PROTO_CA_MAX);
	_cleanup_free_ char *large = certificate_of(PROTO_CA_MAX + 1);
	_cleanup_free_ char *kept = certificates_of_text(fits, PROTO_CA_MAX);

	assert_non_null(kept);
	assert_string_equal(kept, fits);
	assert_null(certificates_of_text(large, PROTO_CA_MAX + 1));
	assert_int_equal(errno, E2BIG);
}

/* A file of this text and so many blanks before it. */
static void write_file(const char *path, off_t blanks, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, blanks), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), blanks), strlen(text));
}

static void test_file(void **state)
{
	char directory[] = "/tmp/ktls-unit-XXXXXX", path[64];
	char *kept;

	assert_non_null(mkdtemp(directory));
	sprintf(path, "%s/ca.pem", directory);
	assert_null(certificates_of_file(path));
	assert_int_equal(errno, ENOENT);
	assert_null(certificates_of_file(directory));
	assert_int_equal(errno, EISDIR);
	write_file(path, 0, KEY BEGIN "AAAA\n" END);
	kept = certificates_of_file(path);
	assert_non_null(kept);
	assert_string_equal(kept, BEGIN "AAAA\n" END);
	free(kept);
	write_file(path, 16 * 1024 * 1024 - strlen("\n" BEGIN "AAAA\n" END),
		   "\n" BEGIN "AAAA\n" END);
	kept = certificates_of_file(path);
	assert_non_null(kept);
	free(kept);
	write_file(path, 16 * 1024 * 1024, "\n" BEGIN "AAAA\n" END);
	assert_null(certificates_of_file(path));
	assert_int_equal(errno, EFBIG);
	unlink(path);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nul_inside),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
