/* SPDX-License-Identifier: MIT */
/* What the service tells of itself, as text: lists of objects, and what is null where it is empty. */
#include "tests/unit/unit.h"

#include "proto/report.h"

#include <stdlib.h>
#include <string.h>

static void expect(char *text, size_t length, const char *expected)
{
	assert_string_equal(text, expected);
	assert_int_equal(length, strlen(expected));
	free(text);
}

static struct proto_list list(const void *items, size_t n, size_t size)
{
	struct proto_list copy = { malloc(n * size), n };

	memcpy(copy.items, items, n * size);
	return copy;
}
#define LIST(...) list((__VA_ARGS__), array_size((__VA_ARGS__)), sizeof(*(__VA_ARGS__)))

static void test_nothing(void **state)
{
	const struct proto_report report = { .version = "1" };
	const struct proto_capabilities capabilities = { .openssl = "OpenSSL 3" };
	size_t length;
	char *text = proto_report_encode(&report, &length);

	expect(text, length, "{\"parameters\":{\"version\":\"1\",\"since\":\"\",\"loaded\":\"\",\"pid\":0,"
	       "\"workers\":[],\"workersLost\":0,\"reloads\":0,\"underWay\":0,\"callsRefused\":0,"
	       "\"recordsSuppressed\":0,\"outcomes\":[],\"latencies\":[],\"sessions\":[],\"quotas\":[],"
	       "\"configuration\":[]}}");
	text = proto_capabilities_encode(&capabilities, &length);
	expect(text, length, "{\"parameters\":{\"openssl\":\"OpenSSL 3\",\"managed\":false,\"suites\":[],\"offloadable\":[],"
	       "\"kernel\":{\"release\":\"\",\"tlsErrno\":null,\"loopbackErrno\":null,\"ciphers\":[]},"
	       "\"policies\":[],\"stores\":[],\"caller\":{\"uid\":0,\"allowed\":false,\"verifyNone\":false,"
	       "\"barred\":false,\"rules\":[]}}}");
}

static void test_report(void **state)
{
	struct proto_setting setting = { "Limits", "Requests", strdup("512") };
	struct proto_latency latency = { "resolve", 3, 600, 200, 300, 300,
		LIST(((struct proto_bucket[]){ { 64, 0 }, { 128, 3 } })) };
	struct proto_report report = {
		.version = "1", .since = "2027-01-31T12:00:00Z", .loaded = "2027-01-31T12:00:01Z",
		.pid = 7, .workers_lost = 1, .reloads = 2, .under_way = 3, .calls_refused = 4,
		.records_suppressed = UINT64_MAX,
		.workers = LIST(((struct proto_worker[]){ { 8, "2027-01-31T12:00:02Z", 5 } })),
		.outcomes = LIST(((struct proto_outcome[]){
			{ "Connect", "ok", NULL, 9 }, { "Probe", "TimedOut", "resolve", 1 } })),
		.latencies = list(&latency, 1, sizeof(latency)),
		.sessions = LIST(((struct proto_agreed[]){ { "TLSv1.2", "AES128-SHA", 2 } })),
		.quotas = LIST(((struct proto_quota[]){ { "requests", 1, 2, 3, 4 } })),
		.configuration = list(&setting, 1, sizeof(setting)),
	};
	size_t length;
	char *text = proto_report_encode(&report, &length);

	expect(text, length, "{\"parameters\":{\"version\":\"1\",\"since\":\"2027-01-31T12:00:00Z\","
	       "\"loaded\":\"2027-01-31T12:00:01Z\",\"pid\":7,\"workers\":[{\"pid\":8,"
	       "\"since\":\"2027-01-31T12:00:02Z\",\"underWay\":5}],\"workersLost\":1,\"reloads\":2,"
	       "\"underWay\":3,\"callsRefused\":4,\"recordsSuppressed\":18446744073709551615,\"outcomes\":["
	       "{\"method\":\"Connect\",\"outcome\":\"ok\",\"stage\":null,\"count\":9},"
	       "{\"method\":\"Probe\",\"outcome\":\"TimedOut\",\"stage\":\"resolve\",\"count\":1}],"
	       "\"latencies\":[{\"stage\":\"resolve\",\"count\":3,\"sum\":600,\"p50\":200,\"p90\":300,"
	       "\"p99\":300,\"buckets\":[{\"upTo\":64,\"count\":0},{\"upTo\":128,\"count\":3}]}],"
	       "\"sessions\":[{\"version\":\"TLSv1.2\",\"cipher\":\"AES128-SHA\",\"count\":2}],"
	       "\"quotas\":[{\"name\":\"requests\",\"used\":1,\"limit\":2,\"userUsed\":3,\"userLimit\":4}],"
	       "\"configuration\":[{\"section\":\"Limits\",\"key\":\"Requests\",\"value\":\"512\"}]}}");
	proto_report_deinit(&report);
	assert_null(report.latencies.items);
	assert_int_equal(report.latencies.n, 0);
	proto_report_deinit(&report);
}

static void test_capabilities(void **state)
{
	struct proto_policy_offer offer = { "default", "X25519", "ed25519", { NULL, 0 }, { NULL, 0 } };
	struct proto_capabilities capabilities = {
		.openssl = "OpenSSL 3", .managed = true,
		.kernel = { .release = "6.1", .tls_errno = ENOENT,
			    .ciphers = LIST(((struct proto_kernel_cipher[]){
				    { "aes-gcm-128", "gcm", EINVAL } })) },
		.policies = list(&offer, 1, sizeof(offer)),
		.stores = LIST(((struct proto_store_state[]){ { "system", NULL, 0, 0, "" } })),
		.caller = { .uid = 1000, .allowed = true },
	};
	size_t length;
	char *text = proto_capabilities_encode(&capabilities, &length);

	expect(text, length, "{\"parameters\":{\"openssl\":\"OpenSSL 3\",\"managed\":true,\"suites\":[],\"offloadable\":[],"
	       "\"kernel\":{\"release\":\"6.1\",\"tlsErrno\":\"ENOENT\",\"loopbackErrno\":null,\"ciphers\":["
	       "{\"name\":\"aes-gcm-128\",\"module\":\"gcm\",\"errno\":\"EINVAL\"}]},\"policies\":["
	       "{\"name\":\"default\",\"suites\":[],\"offloadable\":[],\"groups\":\"X25519\","
	       "\"signatureAlgorithms\":\"ed25519\"}],\"stores\":[{\"name\":\"system\",\"file\":null,"
	       "\"certificates\":0,\"valid\":0,\"notAfter\":null}],\"caller\":{\"uid\":1000,"
	       "\"allowed\":true,\"verifyNone\":false,\"barred\":false,\"rules\":[]}}}");
	proto_capabilities_deinit(&capabilities);
	assert_null(capabilities.policies.items);
	proto_capabilities_deinit(&capabilities);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
