/* SPDX-License-Identifier: MIT */
/* What of status comes from the kernel; the service's part is test-ktlsctl-status.py's. */
#include "tests/unit/unit.h"

#include "client/ctl-status.c"

#include "tests/unit/shown.h"

static const char *counters_text;
static char order[16];

struct json_object *ctl_service_call(struct ctl *ctl, const char *method)
{
	assert_string_equal(method, "io.ktlsd.GetStatus");
	return json_tokener_parse("{\"version\": \"0.1.0\"}");
}

struct json_object *ctl_service_failure(const struct ktls *k)
{
	fail_msg("the service answers");
	return NULL;
}

struct json_object *ctl_tlsstat(const char *path)
{
	assert_string_equal(path, "/proc/net/tls_stat");
	strcat(order, "c");
	return counters_text ? json_tokener_parse(counters_text) : NULL;
}

struct json_object *ctl_trial(const struct trial_door *door)
{
	assert_int_equal(door->first, TRIAL_N_OF_SERVICE); /* all others cost seconds where they are missing */
	assert_string_equal(door->module, trial_kernel.module);
	strcat(order, "t");
	return json_tokener_parse("{\"behaviours\": {\"splice\": \"differs\"}}");
}

const struct trial_door trial_kernel = { .module = "/sys/module/tls" };

static char *status_text(struct ctl *ctl)
{
	int status;
	char *text = shown(&ctl_status, ctl, &status);

	assert_int_equal(status, 0);
	squeeze(text);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in %s", part, text);
}

static void test_counters_and_faults(void **state)
{
	struct ctl ctl = { 0 };
	char *text;

	counters_text = "[{\"name\": \"TlsCurrTxSw\", \"value\": 3, \"meaning\": \"open sockets\"},"
			"{\"name\": \"TlsNew\", \"value\": 12, \"meaning\": null}]";
	text = status_text(&ctl);
	assert_has(text, "\nThe kernel's counters of TLS, of this network namespace\nCOUNTER VALUE MEANING\n"
			 "TlsCurrTxSw 3 open sockets\nTlsNew 12 -\n\nKnown faults of kernel TLS\n");
	assert_has(text, "\nsplice loses data affected behaviour bytes of a record");
	assert_has(text, "\nCVE-2025-39682 ");
	free(text);
	counters_text = NULL;
	text = status_text(&ctl);
	assert_null(strstr(text, "counters"));
	assert_has(text, "Known faults");
	free(text);
}

/* What the trial leaves in the counters is there before they are read, and it is made once. */
static void test_json(void **state)
{
	struct ctl ctl = { .json = true };
	struct json_object *document;
	char *text;
	int status;

	counters_text = "[{\"name\": \"TlsCurrTxSw\", \"value\": 3, \"meaning\": \"open sockets\"}]";
	order[0] = '\0';
	text = shown(&ctl_status, &ctl, &status);
	document = json_tokener_parse(text);
	assert_int_equal(view_number(json_object_array_get_idx(view_get(document, "kernel.counters"), 0),
				     "value"), 3);
	assert_int_equal(json_object_array_length(view_get(document, "kernel.faults")), 11);
	assert_string_equal(order, "tc");
	json_object_put(document);
	free(text);
}

static void test_tones(void **state)
{
	static const struct {
		const char *row;
		enum view_tone tone;
	} rows[] = {
		{ "{\"state\": \"affected\"}", VIEW_BAD }, { "{\"state\": \"unknown\"}", VIEW_NOTE },
		{ "{\"state\": \"fixed\"}", VIEW_GOOD },   { "{\"state\": \"absent\"}", VIEW_GOOD },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct json_object *row = json_tokener_parse(rows[i].row);

		assert_int_equal(tone_of_fault(row), rows[i].tone);
		json_object_put(row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters_and_faults),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_tones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
