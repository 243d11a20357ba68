/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "client/ctl-faults.c"

#define DEBIAN_12 "6.1.0-37-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.140-1 (2025-05-22)"

static struct utsname machine(const char *release, const char *version)
{
	struct utsname kernel = { 0 };

	snprintf(kernel.release, sizeof(kernel.release), "%s", release);
	snprintf(kernel.version, sizeof(kernel.version), "%s", version);
	return kernel;
}

static struct json_object *find(struct json_object *rows, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		if (strcmp(view_text(json_object_array_get_idx(rows, i), "name"), name) == 0)
			return json_object_array_get_idx(rows, i);
	fail_msg("no row of %s", name);
	return NULL;
}

static void check(const char *release, const char *name, const char *state)
{
	struct utsname kernel = machine(release, "#1");
	struct json_object *rows = ctl_faults(NULL, &kernel), *row = find(rows, name);

	if (strcmp(view_text(row, "state"), state) != 0)
		fail_msg("%s on %s: %s, not %s", name, release, view_text(row, "state"), state);
	assert_string_equal(view_text(row, "by"), "version");
	json_object_put(rows);
}

static void test_versions_are_read(void **state)
{
	static const struct {
		const char *release, *version, *read;
	} rows[] = {
		{ "6.1.176", "#1 Mon Jul  6 12:00:00 UTC 2026", "6.1.176" },
		{ DEBIAN_12, "6.1.140" },
		{ "6.12.48+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)", "6.12.48" },
		{ "6.12.25+rpt-rpi-2712", "#1 SMP PREEMPT Debian 1:6.12.34-1+rpt1 (2025-06-26)", "6.12.34" },
		{ "6.12.0-rc1", "#1", "6.12.0 rc" },
		{ "6.17-rc4-amd64", "#1 SMP Debian 6.17~rc4-1~exp1 (2025-09-01)", "6.17.0 rc" },
		{ "6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC", "6.8.0" },
		{ "6.17.0-arch1-1", "#1 SMP PREEMPT_DYNAMIC", "6.17.0" },
		{ "6.6.87.2-microsoft-standard-WSL2", "#1 SMP", "6.6.87" },
		{ "5.14.0-427.el9.x86_64", "#1 SMP", "5.14.0" },
		{ "7.2", "#1", "7.2.0" },
		{ "6.1.5", "#1 SMP Debian of my own", "6.1.5" },
		{ "garbage", "#1", NULL },
		{ "6", "#1", NULL },
		{ "", "", NULL },
	};
	struct version version;
	char text[64];

	for (size_t i = 0; i < array_size(rows); i++) {
		struct utsname kernel = machine(rows[i].release, rows[i].version);

		assert_int_equal(version_of(&kernel, &version), rows[i].read != NULL);
		if (!rows[i].read)
			continue;
		snprintf(text, sizeof(text), "%u.%u.%u%s", version.major, version.minor, version.patch,
			 version.candidate ? " rc" : "");
		assert_string_equal(text, rows[i].read);
	}
}

/* What each row says at both ends of what it says. */
static void check_mend(const char *name, const struct mend *mend)
{
	char release[48];
	const struct {
		bool is;
		unsigned int patch;
		const char *suffix, *state;
	} edges[] = {
		{ !mend->to, 0, "", "fixed" },
		{ !mend->to, 0, "-rc7", "unknown" },
		{ mend->from > 0, 0, "", "absent" },
		{ mend->from > 0, mend->from - 1, "", "absent" },
		{ mend->to > 0, mend->from, "", "affected" },
		{ mend->to > 0, mend->to - 1, "", "affected" },
		{ mend->to > 0, mend->to, "", "fixed" },
		{ mend->to > 0, mend->to + 1, "", "fixed" },
	};

	for (size_t i = 0; i < array_size(edges); i++) {
		snprintf(release, sizeof(release), "%u.%u.%u%s", mend->major, mend->minor,
			 edges[i].patch, edges[i].suffix);
		if (edges[i].is)
			check(release, name, edges[i].state);
	}
}

static void test_every_row_at_its_edges(void **state)
{
	size_t last;

	for (size_t i = 0; i < N(faults); i++) {
		for (last = 0; last < SERIES_MAX && faults[i].mends[last].major; last++)
			check_mend(faults[i].name, &faults[i].mends[last]);
		assert_true(last > 1);
		assert_int_equal(faults[i].mends[last - 1].to, 0);
		check("5.15.180", faults[i].name, "unknown");
		check("99.0.0", faults[i].name, "fixed");
	}
	check("6.13.9", "CVE-2025-39682", "unknown");
	check("6.17.0-rc1", "CVE-2025-39682", "unknown");
	check("6.12.0-rc1", "CVE-2025-39682", "affected");
}

/* The numbers, as they were looked up, apart from the table. */
static void test_the_numbers(void **state)
{
	static const struct {
		const char *name, *fixed;
	} rows[] = {
		{ "CVE-2025-39682", "6.1.149 6.6.103 6.12.44 6.16.4 6.17" },
		{ "CVE-2025-39946", "6.1.154 6.6.108 6.12.49 6.16.9 6.17" },
		{ "CVE-2025-38616", "6.1.185 6.6.103 6.12.43 6.15.11 6.16.2 6.17" },
		{ "splice loses data", "6.1.189 6.12.112 7.1" },
		{ "receive loses its place", "6.1.188 6.12.110 7.2.6 7.3" },
		{ "CVE-2026-74611", "6.1.191 6.12.114 6.18.45 7.1.9 7.2" },
		{ "CVE-2026-23240", "6.12.75 6.18.16 6.19.6 7.0" },
		{ "CVE-2026-23414", "6.1.168 6.6.131 6.12.80 6.18.21 6.19.11 7.0" },
		{ "signal ends connection", "6.1.183 6.12.104 7.2.6 7.3" },
		{ "CVE-2024-26585", "6.1.84 6.6.18 6.7.6 6.8" },
		{ "CVE-2023-28466", "6.1.20 6.2.7 6.3" },
	};
	struct utsname kernel = machine("6.1.176", "#1");
	struct json_object *found = ctl_faults(NULL, &kernel);
	char scratch[VIEW_CELL];

	assert_int_equal(json_object_array_length(found), array_size(rows));
	for (size_t i = 0; i < array_size(rows); i++) {
		struct json_object *row = json_object_array_get_idx(found, i);

		assert_string_equal(view_text(row, "name"), rows[i].name);
		assert_string_equal(view_value(view_get(row, "fixed"), scratch), rows[i].fixed);
		assert_true(strlen(view_text(row, "what")) > 20);
	}
	json_object_put(found);
}

static void check_affected(const char *release, const char *version, const char *wanted)
{
	struct utsname kernel = machine(release, version);
	struct json_object *rows = ctl_faults(NULL, &kernel);
	char names[512] = "";

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (strcmp(view_text(row, "state"), "affected") == 0)
			strcat(strcat(names, view_text(row, "name")), "; ");
	}
	assert_string_equal(names, wanted);
	json_object_put(rows);
}

static void test_kernels_that_there_are(void **state)
{
	check_affected(DEBIAN_12, "CVE-2025-39682; CVE-2025-39946; CVE-2025-38616; splice loses data; "
				  "receive loses its place; CVE-2026-74611; signal ends connection; ");
	check_affected("6.1.176", "#1", "CVE-2025-38616; splice loses data; receive loses its place; "
					"CVE-2026-74611; signal ends connection; ");
	check_affected("6.12.101", "#1", "splice loses data; receive loses its place; CVE-2026-74611; "
					 "signal ends connection; ");
	check_affected("6.1.192", "#1", "");
	check_affected("6.12.117", "#1", "");
	check_affected("7.2.7", "#1", "");
	check_affected("nonsense", "", "");
}

/* What was tried counts more than what a version says, either way. */
static void test_behaviour_over_version(void **state)
{
	static const struct {
		const char *trial, *release, *state, *by;
	} rows[] = {
		{ "{\"behaviours\": {\"splice\": \"works\"}}", "6.1.176", "fixed", "behaviour" },
		{ "{\"behaviours\": {\"splice\": \"differs\"}}", "6.1.192", "affected", "behaviour" },
		{ "{\"behaviours\": {\"splice\": \"works\"}}", "nonsense", "fixed", "behaviour" },
		{ "{\"behaviours\": {\"splice\": null}}", "6.1.176", "affected", "version" },
		{ "{\"behaviours\": {\"splice\": \"EINVAL\"}}", "6.1.192", "fixed", "version" },
		{ "{\"module\": \"absent\"}", "6.1.192", "fixed", "version" },
		{ "{\"module\": \"absent\"}", "nonsense", "unknown", "version" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		struct utsname kernel = machine(rows[i].release, "#1");
		struct json_object *trial = json_tokener_parse(rows[i].trial);
		struct json_object *found = ctl_faults(trial, &kernel);
		struct json_object *row = find(found, "splice loses data");

		assert_string_equal(view_text(row, "state"), rows[i].state);
		assert_string_equal(view_text(row, "by"), rows[i].by);
		assert_string_equal(view_text(find(found, "CVE-2025-39682"), "by"), "version");
		json_object_put(found);
		json_object_put(trial);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions_are_read),
		cmocka_unit_test(test_every_row_at_its_edges),
		cmocka_unit_test(test_the_numbers),
		cmocka_unit_test(test_kernels_that_there_are),
		cmocka_unit_test(test_behaviour_over_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
