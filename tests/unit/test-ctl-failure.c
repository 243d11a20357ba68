/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-failure.c"
#include "client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const struct {
	enum ktls_status status;
	const char *stage, *message, *parameter;
	int err;
	bool retry;
	int exit;
	const char *line;
} failures[] = {
	{ KTLS_CONNECT_FAILED, "connect", "192.0.2.1:443", "", ECONNREFUSED, false, KTLS_WHO_PEER,
	  "ktlsctl: connect: 192.0.2.1:443: Connection refused (ConnectFailed)\n" },
	{ KTLS_CONNECT_FAILED, "connect", "ECONNREFUSED of it", "", ECONNREFUSED, false,
	  KTLS_WHO_PEER, "ktlsctl: connect: ECONNREFUSED of it (ConnectFailed)\n" },
	{ KTLS_CONNECT_FAILED, "connect", "Connection refused", "", ECONNREFUSED, false,
	  KTLS_WHO_PEER, "ktlsctl: connect: Connection refused (ConnectFailed)\n" },
	{ KTLS_RESOLVE_FAILED, "resolve", "no answer", "", 0, true, KTLS_WHO_RETRY,
	  "ktlsctl: resolve: no answer (ResolveFailed)\n" },
	{ KTLS_INVALID_PARAMETER, "request", "is empty", "policy.name", 0, false, KTLS_WHO_CALLER,
	  "ktlsctl: request: policy.name: is empty (InvalidParameter)\n" },
	{ KTLS_INVALID_PARAMETER, "request", "policy.name is empty", "policy.name", 0, false,
	  KTLS_WHO_CALLER, "ktlsctl: request: policy.name is empty (InvalidParameter)\n" },
	{ KTLS_UNREACHABLE, "service", "x", "", 0, false, KTLS_WHO_ADMINISTRATOR,
	  "ktlsctl: service: x (ServiceUnreachable)\n" },
	/* An answer came, and could not be kept. */
	{ KTLS_OK, "request", "", "", 0, false, KTLS_WHO_INTERNAL, "ktlsctl: no memory\n" },
};

static void test_failures(void **state)
{
	for (size_t i = 0; i < array_size(failures); i++) {
		struct ktls *k = ktls_new();
		int ends[2], kept = dup(STDERR_FILENO), status;
		char text[256];
		ssize_t n;

		k->status = failures[i].status;
		k->stage = failures[i].stage;
		k->failure.sys_errno = failures[i].err;
		k->failure.retry = failures[i].retry;
		strcpy(k->failure.message, failures[i].message);
		strcpy(k->failure.parameter, failures[i].parameter);
		assert_int_equal(pipe(ends), 0);
		dup2(ends[1], STDERR_FILENO);
		status = ctl_failure(k);
		dup2(kept, STDERR_FILENO);
		close(kept);
		close(ends[1]);
		n = read(ends[0], text, sizeof(text) - 1);
		close(ends[0]);
		assert_true(n > 0);
		text[n] = '\0';
		assert_string_equal(text, failures[i].line);
		assert_int_equal(status, failures[i].exit);
		ktls_free(k);
	}
}

/* Told of what an earlier write could not do, too. */
static void test_flush(void **state)
{
	FILE *kept = stdout;
	char large[20000] = "";
	int full = 0;

	stdout = fopen("/dev/null", "w");
	printf("x");
	assert_int_equal(ctl_flush(), 0);
	fclose(stdout);
	for (size_t size = 1; size <= sizeof(large); size += sizeof(large) - 1, full++) {
		stdout = fopen("/dev/full", "w");
		fwrite(large, size, 1, stdout);
		assert_int_equal(ctl_flush(), -1);
		fclose(stdout);
	}
	stdout = kept;
	assert_int_equal(full, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
