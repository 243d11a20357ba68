/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "client/internal.h"
#include "proto/util.h"

#include <string.h>

static const struct {
	enum ktls_status status;
	const char *name;
	enum ktls_who who;
} rows[] = {
	{ KTLS_OK, "Ok", KTLS_WHO_NOBODY },
	{ KTLS_INVALID_PARAMETER, "InvalidParameter", KTLS_WHO_CALLER },
	{ KTLS_METHOD_NOT_FOUND, "MethodNotFound", KTLS_WHO_CALLER },
	{ KTLS_INTERFACE_NOT_FOUND, "InterfaceNotFound", KTLS_WHO_CALLER },
	{ KTLS_METHOD_NOT_IMPLEMENTED, "MethodNotImplemented", KTLS_WHO_CALLER },
	{ KTLS_NOT_AUTHORIZED, "NotAuthorized", KTLS_WHO_ADMINISTRATOR },
	{ KTLS_BUSY, "Busy", KTLS_WHO_RETRY },
	{ KTLS_RESOLVE_FAILED, "ResolveFailed", KTLS_WHO_PEER },
	{ KTLS_CONNECT_FAILED, "ConnectFailed", KTLS_WHO_PEER },
	{ KTLS_HANDSHAKE_FAILED, "HandshakeFailed", KTLS_WHO_PEER },
	{ KTLS_CERTIFICATE_REJECTED, "CertificateRejected", KTLS_WHO_PEER },
	{ KTLS_KERNEL_TLS_UNAVAILABLE, "KernelTlsUnavailable", KTLS_WHO_ADMINISTRATOR },
	{ KTLS_NOT_OFFLOADABLE, "NotOffloadable", KTLS_WHO_ADMINISTRATOR },
	{ KTLS_TIMED_OUT, "TimedOut", KTLS_WHO_RETRY },
	{ KTLS_INTERNAL_ERROR, "InternalError", KTLS_WHO_INTERNAL },
	{ KTLS_UNREACHABLE, "ServiceUnreachable", KTLS_WHO_ADMINISTRATOR },
	{ KTLS_LOST, "ServiceLost", KTLS_WHO_RETRY },
	{ KTLS_SILENT, "ServiceSilent", KTLS_WHO_RETRY },
	{ KTLS_PROTOCOL, "ProtocolViolation", KTLS_WHO_ADMINISTRATOR },
	{ KTLS_NOT_ENCRYPTED, "NotEncrypted", KTLS_WHO_INTERNAL },
	{ KTLS_LOCAL, "LocalFailure", KTLS_WHO_INTERNAL },
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < array_size(rows); i++) {
		assert_string_equal(ktls_status_name(rows[i].status), rows[i].name);
		assert_int_equal(ktls_status_who(rows[i].status), rows[i].who);
		assert_true(strlen(ktls_status_text(rows[i].status)) > 10);
		assert_int_equal(outcome_find(rows[i].status)->sys_errno != 0, i > 0);
	}
}

/* The rows above are all there are: what follows the wire's last error is known to neither side. */
static void test_all_there_are(void **state)
{
	size_t n = 1;

	for (int number = 1; number < 100; number++)
		if (proto_error_info(number))
			n++;
	for (int number = 100; number < 1000; number++)
		if (strcmp(ktls_status_name(number), "Unknown") != 0)
			n++;
	assert_int_equal(n, array_size(rows));
}

static void test_unknown(void **state)
{
	assert_string_equal(ktls_status_name((enum ktls_status)99), "Unknown");
	assert_string_equal(ktls_status_name((enum ktls_status)-1), "Unknown");
	assert_int_equal(ktls_status_who((enum ktls_status)99), KTLS_WHO_INTERNAL);
	assert_true(strlen(ktls_status_text((enum ktls_status)99)) > 10);
}

/* Before anything happened there is nothing to tell, and telling it is safe. */
static void test_fresh(void **state)
{
	struct ktls *k = ktls_new();
	const char *(*const strings[])(const struct ktls *k) = {
		ktls_get_stage, ktls_get_alert, ktls_get_x509, ktls_get_parameter,
		ktls_get_tls_version, ktls_get_cipher, ktls_get_kernel_cipher, ktls_get_group,
		ktls_get_alpn, ktls_get_address, ktls_get_verified_by, ktls_get_peer_subject,
		ktls_get_peer_cert_sha256, ktls_get_peer_spki_sha256, ktls_get_peer_not_after,
	};

	assert_non_null(k);
	for (size_t i = 0; i < array_size(strings); i++)
		assert_null(strings[i](k));
	assert_int_equal(ktls_get_status(k), KTLS_OK);
	assert_string_equal(ktls_get_message(k), "nothing failed");
	assert_int_equal(ktls_get_errno(k), 0);
	assert_false(ktls_get_retry(k));
	assert_false(ktls_get_resumed(k));
	for (int timing = KTLS_TIMING_RESOLVE; timing <= KTLS_TIMING_TOTAL + 1; timing++)
		assert_int_equal(ktls_get_timing(k, (enum ktls_timing)timing), 0);
	ktls_free(k);
}

static void test_version(void **state)
{
	assert_string_equal(ktls_library_version(), KTLSD_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all_there_are),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
