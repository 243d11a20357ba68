/* SPDX-License-Identifier: MIT */
#include "client/ctl-faults.h"

#include "client/ctl-view.h"

#include <stdio.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof(*(array)))
#define SERIES_MAX 4

struct version {
	unsigned int major, minor, patch;
};

/* The numbers are those of the kernel's stable releases, and of Debian's, where a mend came there
 * first. The first without a patch level is the release that never had the fault. */
static const struct fault {
	const char *name, *what;
	const char *behaviour; /* of the trial; NULL: it cannot be tried */
	struct version fixed[SERIES_MAX];
} faults[] = {
	{ "CVE-2025-39682", "an empty record lets a peer pass control records off as data", NULL,
	  { { 6, 1, 153 }, { 6, 12, 48 }, { 6, 17, 0 } } },
	{ "CVE-2025-39946", "a malformed record header does not end the connection", NULL,
	  { { 6, 1, 158 }, { 6, 12, 57 }, { 6, 17, 0 } } },
	{ "CVE-2025-38616", "who reads the socket by another way takes data from under TLS", NULL,
	  { { 6, 1, 187 }, { 6, 12, 43 }, { 6, 17, 0 } } },
	{ "splice loses data", "bytes of a record that a pipe has no room for are lost",
	  "behaviours.splice", { { 6, 1, 190 }, { 6, 12, 113 } } },
	{ "receive loses its place", "a retransmission that overlaps ends the connection", NULL,
	  { { 6, 1, 190 }, { 6, 12, 111 } } },
	{ "CVE-2026-74611", "TLS_RX_EXPECT_NO_PAD: a padded record is decrypted wrongly", NULL,
	  { { 6, 1, 192 }, { 6, 12, 115 } } },
	{ "CVE-2026-23240", "a socket that is closed may still be sending", NULL,
	  { { 6, 12, 85 } } },
	{ "CVE-2026-23414", "memory is lost where decryption is asynchronous", NULL,
	  { { 6, 1, 170 }, { 6, 12, 85 } } },
	{ "signal ends connection", "a signal while sending aborts the connection", NULL,
	  { { 6, 1, 187 }, { 6, 12, 105 } } },
	{ "CVE-2024-26585", "memory is used after it was freed where work is asynchronous", NULL,
	  { { 6, 1, 85 }, { 6, 8, 0 } } },
	{ "CVE-2023-28466", "reading a socket's keys while they are set uses freed memory", NULL,
	  { { 6, 1, 20 }, { 6, 3, 0 } } },
};

/* Debian's release names a series alone, and its version tells the rest: "#1 SMP Debian 6.1.176-1". */
static bool parse_version(const struct utsname *kernel, struct version *version)
{
	const char *debian = strstr(kernel->version, "Debian ");
	const char *text = debian ? debian + strlen("Debian ") : kernel->release;

	*version = (struct version){ 0 };
	return sscanf(text, "%u.%u.%u", &version->major, &version->minor, &version->patch) >= 2;
}

static int compare_series(const struct version *a, const struct version *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	return a->minor < b->minor ? -1 : a->minor > b->minor;
}

/* By the row of its own series, else by the release from which on nobody has it. */
static const char *state_by_version(const struct fault *fault, const struct version *version)
{
	for (size_t i = 0; i < SERIES_MAX && fault->fixed[i].major; i++) {
		const struct version *fixed = &fault->fixed[i];
		int order = compare_series(version, fixed);

		if (order == 0)
			return version->patch >= fixed->patch ? "fixed" : "affected";
		if (order > 0 && !fixed->patch)
			return "fixed";
	}
	return "unknown";
}

static struct json_object *versions_of(const struct fault *fault)
{
	struct json_object *array = json_object_new_array();
	char text[48];

	for (size_t i = 0; i < SERIES_MAX && fault->fixed[i].major; i++) {
		const struct version *fixed = &fault->fixed[i];

		snprintf(text, sizeof(text), fixed->patch ? "%u.%u.%u" : "%u.%u", fixed->major,
			 fixed->minor, fixed->patch);
		json_object_array_add(array, json_object_new_string(text));
	}
	return array;
}

/* "works" and "differs" are what the trial saw; a trial that could not be made says nothing. */
static const char *state_by_trial(const struct fault *fault, struct json_object *trial)
{
	const char *outcome = fault->behaviour ? view_text(trial, fault->behaviour) : "";

	if (strcmp(outcome, "works") == 0)
		return "fixed";
	return strcmp(outcome, "differs") == 0 ? "affected" : NULL;
}

static struct json_object *judge(const struct fault *fault, struct json_object *trial,
				 const struct version *version)
{
	struct json_object *row = json_object_new_object();
	const char *tried = state_by_trial(fault, trial);
	const char *state = tried ?: version ? state_by_version(fault, version) : "unknown";

	json_object_object_add(row, "name", json_object_new_string(fault->name));
	json_object_object_add(row, "what", json_object_new_string(fault->what));
	json_object_object_add(row, "state", json_object_new_string(state));
	json_object_object_add(row, "by", json_object_new_string(tried ? "behaviour" : "version"));
	json_object_object_add(row, "fixed", versions_of(fault));
	return row;
}

struct json_object *ctl_faults(struct json_object *trial, const struct utsname *kernel)
{
	struct json_object *rows = json_object_new_array();
	struct version version;
	bool known = parse_version(kernel, &version);

	for (size_t i = 0; i < N(faults); i++)
		json_object_array_add(rows, judge(&faults[i], trial, known ? &version : NULL));
	return rows;
}
