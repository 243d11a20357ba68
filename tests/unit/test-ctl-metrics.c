/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=ctl_failure */
/* What of metrics comes from the kernel; the service's and the formats are test-ktlsctl-metrics.py's. */
#include "tests/unit/unit.h"

#include "client/ctl-metrics.c"

#include "tests/unit/shown.h"

static const char *counters;

struct json_object *ctl_service_call(struct ctl *ctl, const char *method)
{
	assert_string_equal(method, "io.ktlsd.GetStatus");
	return NULL;
}

int __wrap_ctl_failure(const struct ktls *k);

int __wrap_ctl_failure(const struct ktls *k)
{
	return KTLS_WHO_ADMINISTRATOR;
}

struct json_object *ctl_tlsstat(const char *path)
{
	assert_string_equal(path, "/proc/net/tls_stat");
	return counters ? json_tokener_parse(counters) : NULL;
}

#define UP "# TYPE ktlsd_up gauge\n# HELP ktlsd_up Whether the service answers.\nktlsd_up 0\n"
#define SOCKETS "# TYPE ktlsd_kernel_tls_sockets gauge\n# HELP ktlsd_kernel_tls_sockets Open sockets "	\
	"under kernel TLS, of this network namespace.\n"
#define EVENTS "# TYPE ktlsd_kernel_tls_events counter\n# HELP ktlsd_kernel_tls_events What the kernel "	\
	"has counted of TLS, of this network namespace.\n"

static void check(const char *json, const char *wanted)
{
	struct ctl ctl = { 0 };
	int status;
	char *text;

	counters = json;
	text = shown(&ctl_metrics, &ctl, &status);
	assert_string_equal(text, wanted);
	assert_int_equal(status, KTLS_WHO_ADMINISTRATOR);
	free(text);
}

static void test_what_is_open_and_what_was_counted(void **state)
{
	check("[{\"name\": \"TlsCurrTxSw\", \"value\": 3, \"meaning\": \"x\"},"
	      "{\"name\": \"TlsTxSw\", \"value\": 18446744073709551615, \"meaning\": \"x\"},"
	      "{\"name\": \"TlsCurrRxDevice\", \"value\": 0, \"meaning\": \"x\"},"
	      "{\"name\": \"TlsNew\\\"\", \"value\": 5, \"meaning\": null}]",
	      UP SOCKETS "ktlsd_kernel_tls_sockets{counter=\"TlsCurrTxSw\"} 3\n"
			 "ktlsd_kernel_tls_sockets{counter=\"TlsCurrRxDevice\"} 0\n"
	      EVENTS "ktlsd_kernel_tls_events_total{counter=\"TlsTxSw\"} 18446744073709551615\n"
		     "ktlsd_kernel_tls_events_total{counter=\"TlsNew\\\"\"} 5\n"
	      "# EOF\n");
}

static void test_a_kernel_without(void **state)
{
	check(NULL, UP SOCKETS EVENTS "# EOF\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_open_and_what_was_counted),
		cmocka_unit_test(test_a_kernel_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
