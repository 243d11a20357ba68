/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=getgrnam,--wrap=calloc,--wrap=strdup */
#include "tests/unit/config-load.h"

#include "daemon/config-settings.h"
#include "proto/report.h"

#include <stdlib.h>

/* --- memory: so many allocations, and then one that fails; -1: none does */

static int left = -1;

static bool is_short(void)
{
	return left >= 0 && left-- == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t n, size_t size)
{
	return is_short() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
	return is_short() ? NULL : __real_strdup(text);
}

/* --- what is told */

static struct proto_report told_of(const struct config *config)
{
	struct proto_report report = { 0 };

	assert_true(config_settings(config, &report.configuration));
	return report;
}

static const struct proto_setting *setting(const struct proto_report *report, const char *key)
{
	const struct proto_setting *items = report->configuration.items;

	for (size_t i = 0; i < report->configuration.n; i++)
		if (!strcmp(items[i].key, key))
			return &items[i];
	fail_msg("nothing is told of %s", key);
	return NULL;
}

static void expect_told(const char *text, const char *key, const char *value)
{
	struct loaded loaded = load(text);
	struct proto_report report;

	if (!loaded.config)
		fail_msg("%s", loaded.errors);
	report = told_of(loaded.config);
	assert_string_equal(setting(&report, key)->value, value);
	proto_report_deinit(&report);
	loaded_deinit(&loaded);
}

static void test_values(void **state)
{
	expect_told("[Service]\nNoDelay=off\n", "NoDelay", "no");
	expect_told("[Service]\nNoDelay=1\n", "NoDelay", "yes");
	expect_told("[Limits]\nRequests=007\n", "Requests", "7");
	expect_told("[Limits]\nIdleTimeoutSec=1min\n", "IdleTimeoutSec", "60");
	expect_told("[Limits]\nIdleTimeoutSec=1.5\n", "IdleTimeoutSec", "1500ms");
	expect_told("[Limits]\nUserPenaltySec=0\n", "UserPenaltySec", "0");
}

/* --- what is told can be written in a file, and is the same there: of every key */

struct option {
	const char *section, *key;
	bool is_flag, is_time;
	unsigned int min, max;
};

static const struct option options[] = {
#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)	\
	{ #section, #key, VALUE_##kind == VALUE_FLAG, VALUE_##kind == VALUE_TIME, min, max },
#include "daemon/options.def"
#undef OPTION
};

static bool is_told(const struct option *option)
{
	return !strcmp(option->section, "Service") || !strcmp(option->section, "Limits");
}

static void write_each(char *text, size_t size, bool greatest)
{
	size_t n = 0;

	for (size_t i = 0; i < array_size(options); i++) {
		const struct option *o = &options[i];

		if (!is_told(o))
			continue;
		n += snprintf(text + n, size - n, "[%s]\n%s=", o->section, o->key);
		if (o->is_flag)
			n += snprintf(text + n, size - n, "%s\n", greatest ? "yes" : "no");
		else
			n += snprintf(text + n, size - n, "%u%s\n", greatest ? o->max : o->min,
				      o->is_time ? "ms" : "");
	}
}

/* As a file. */
static void write_told(char *text, size_t size, const struct proto_report *report)
{
	const struct proto_setting *items = report->configuration.items;
	size_t n = 0;

	for (size_t i = 0; i < report->configuration.n; i++)
		n += snprintf(text + n, size - n, "[%s]\n%s=%s\n", items[i].section, items[i].key,
			      items[i].value);
}

static void there_and_back(const char *text)
{
	struct loaded loaded = load(text), again;
	struct proto_report report;
	static char told[8192];

	if (!loaded.config)
		fail_msg("%s", loaded.errors);
	report = told_of(loaded.config);
	write_told(told, sizeof(told), &report);
	again = load(told);
	if (!again.config)
		fail_msg("%s in:\n%s", again.errors, told);
	assert_memory_equal(&again.config->service, &loaded.config->service,
			    sizeof(loaded.config->service));
	assert_memory_equal(&again.config->limits, &loaded.config->limits,
			    sizeof(loaded.config->limits));
	proto_report_deinit(&report);
	loaded_deinit(&loaded);
	loaded_deinit(&again);
}

static void test_there_and_back(void **state)
{
	static char text[8192];

	there_and_back("");
	for (int greatest = 0; greatest < 2; greatest++) {
		write_each(text, sizeof(text), greatest);
		there_and_back(text);
	}
}

static void test_every_key_in_its_order(void **state)
{
	struct loaded loaded = load("");
	struct proto_report report = told_of(loaded.config);
	const struct proto_setting *items = report.configuration.items;
	size_t n = 0;

	for (size_t i = 0; i < array_size(options); i++) {
		if (!is_told(&options[i]))
			continue;
		assert_true(n < report.configuration.n);
		assert_string_equal(items[n].section, options[i].section);
		assert_string_equal(items[n++].key, options[i].key);
	}
	assert_int_equal(n, report.configuration.n);
	assert_in_range(n, 20, 100);
	proto_report_deinit(&report);
	loaded_deinit(&loaded);
}

static void test_no_memory(void **state)
{
	struct loaded loaded = load("");
	struct proto_report report = { 0 };
	size_t all;

	report = told_of(loaded.config);
	all = report.configuration.n;
	proto_report_deinit(&report);
	for (size_t i = 0; i <= all; i++) {
		left = (int)i;
		assert_false(config_settings(loaded.config, &report.configuration));
		assert_int_equal(left, -1);
		assert_int_equal(report.configuration.n, i ? i - 1 : 0);
		proto_report_deinit(&report);
	}
	loaded_deinit(&loaded);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_every_key_in_its_order),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
