/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-service.c"
#include "client/internal.h"
#include "tests/unit/client-service.h"

static const char *answer; /* without its NUL; NULL: the service hangs up */

static void serve(struct service *service, int caller)
{
	service_hear(service, caller);
	if (answer)
		service_send(caller, answer, strlen(answer) + 1, NULL, 0);
}

static void expect(struct json_object *document, const char *wanted)
{
	struct json_object *object = wanted ? json_tokener_parse(wanted) : NULL;

	assert_true(!wanted == !object);
	print_message("# %s\n", document ? json_object_to_json_string(document) : "none");
	assert_true(json_object_equal(document, object));
	json_object_put(document);
	json_object_put(object);
}

#define ERROR(facts) "{\"error\": {" facts "}}"
#define NOTHING "\"errno\": null, \"alert\": null, \"x509\": null, \"parameter\": null"

static const struct {
	const char *answer;
	const char *document; /* NULL: a failure */
	const char *failure;
} calls[] = {
	{ "{\"parameters\":{\"a\":{\"b\":[1,null]}}}", "{\"a\": {\"b\": [1, null]}}", NULL },
	{ "{\"parameters\":{}}", "{}", NULL },
	{ "{\"error\":\"io.ktlsd.CertificateRejected\",\"parameters\":{\"stage\":\"handshake\","
	  "\"message\":\"expired\",\"errno\":null,\"retry\":false,\"alert\":\"unknown_ca\","
	  "\"x509\":\"X509_V_ERR_CERT_HAS_EXPIRED\",\"trace\":{\"addresses\":[]}}}",
	  NULL,
	  "{\"error\": {\"name\": \"CertificateRejected\", \"stage\": \"handshake\","
	  " \"message\": \"expired\", \"errno\": null, \"retry\": false, \"alert\": \"unknown_ca\","
	  " \"x509\": \"X509_V_ERR_CERT_HAS_EXPIRED\", \"parameter\": null, \"who\": \"peer\","
	  " \"exitStatus\": 3},"
	  " \"trace\": {\"addresses\": []}}" },
	{ "{\"error\":\"io.ktlsd.ConnectFailed\",\"parameters\":{\"stage\":\"connect\","
	  "\"message\":\"a\",\"errno\":\"ECONNREFUSED\",\"retry\":true}}",
	  NULL,
	  ERROR("\"name\": \"ConnectFailed\", \"stage\": \"connect\", \"message\": \"a\","
		" \"errno\": \"ECONNREFUSED\", \"retry\": true, \"alert\": null, \"x509\": null,"
		" \"parameter\": null, \"who\": \"retry\", \"exitStatus\": 4") },
	{ "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
	  "\"parameter\":\"host\",\"message\":\"no\"}}",
	  NULL,
	  ERROR("\"name\": \"InvalidParameter\", \"stage\": \"request\", \"message\": \"no\","
		" \"errno\": null, \"retry\": false, \"alert\": null, \"x509\": null,"
		" \"parameter\": \"host\", \"who\": \"caller\", \"exitStatus\": 1") },
	{ NULL, NULL,
	  ERROR("\"name\": \"ServiceLost\", \"stage\": \"service\","
		" \"message\": \"the service hung up without an answer\", \"retry\": true,"
		" \"who\": \"retry\", \"exitStatus\": 4, " NOTHING) },
};

static void test_calls(void **state)
{
	for (size_t i = 0; i < array_size(calls); i++) {
		struct service *service;
		struct ctl ctl = { .k = ktls_new() };

		answer = calls[i].answer;
		service = service_new(serve);
		assert_int_equal(ktls_set_socket(ctl.k, service->path), 0);
		expect(ctl_service_call(&ctl, "GetStatus"), calls[i].document);
		assert_string_equal(service->request, "{\"method\":\"io.ktlsd.GetStatus\"}");
		if (calls[i].failure)
			expect(ctl_service_failure(ctl.k), calls[i].failure);
		ktls_free(ctl.k);
		service_free(service);
	}
}

static void test_the_handle_goes_on(void **state)
{
	struct ctl ctl = { .k = ktls_new() };
	struct service *service;

	answer = NULL;
	service = service_new(serve);
	assert_int_equal(ktls_set_socket(ctl.k, service->path), 0);
	expect(ctl_service_call(&ctl, "GetStatus"), NULL);
	service_join(service);
	answer = "{\"parameters\":{\"n\":1}}";
	service->length = 0;
	service_run(service);
	expect(ctl_service_call(&ctl, "GetCapabilities"), "{\"n\": 1}");
	ktls_free(ctl.k);
	service_free(service);
}

/* The answer came, and there was no memory to read it: the status says nothing of that. */
static void test_no_memory(void **state)
{
	struct ktls *k = ktls_new();
	struct json_object *document = ctl_service_failure(k), *error;

	error = json_object_object_get(document, "error");
	assert_string_equal(json_object_get_string(json_object_object_get(error, "name")), "LocalFailure");
	assert_string_equal(json_object_get_string(json_object_object_get(error, "message")), "no memory");
	assert_int_equal(json_object_get_int(json_object_object_get(error, "exitStatus")), ctl_failure(&(struct ctl){ .k = k }));
	json_object_put(document);
	ktls_free(k);
}

static void test_who(void **state)
{
	static const char *const names[] = {
		[KTLS_WHO_NOBODY] = "nobody", [KTLS_WHO_CALLER] = "caller",
		[KTLS_WHO_ADMINISTRATOR] = "administrator", [KTLS_WHO_PEER] = "peer",
		[KTLS_WHO_RETRY] = "retry", [KTLS_WHO_INTERNAL] = "internal",
	};

	for (size_t who = 0; who < array_size(names); who++)
		assert_string_equal(ctl_who_name((enum ktls_who)who), names[who]);
	assert_string_equal(ctl_who_name((enum ktls_who)array_size(names)), "internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_the_handle_goes_on),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_who),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
