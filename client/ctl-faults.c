/* SPDX-License-Identifier: MIT */
#include "client/ctl-faults.h"

#include "client/ctl-view.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SERIES_MAX 6

struct version {
	unsigned int major, minor, patch;
	bool candidate; /* of a release that is not yet made: "6.17-rc4" */
};

/* In a series: the patch level that brought the fault, and the first without it. The last of a fault
 * has no patch levels: from that release on nobody has it. */
struct mend {
	unsigned int major, minor, from, to;
};

/* By the kernel's CVE records and the change logs of its stable releases; where those are silent, the
 * first release in which the mend was seen. */
static const struct fault {
	const char *name, *what;
	const char *behaviour; /* of the trial; NULL: it cannot be tried */
	struct mend mends[SERIES_MAX];
} faults[] = {
	{ "CVE-2025-39682", "a peer's empty record has the kernel use freed memory", NULL,
	  { { 6, 1, 0, 149 }, { 6, 6, 0, 103 }, { 6, 12, 0, 44 }, { 6, 16, 0, 4 }, { 6, 17 } } },
	{ "CVE-2025-39946", "a peer's malformed record has the kernel write behind its memory", NULL,
	  { { 6, 1, 0, 154 }, { 6, 6, 0, 108 }, { 6, 12, 0, 49 }, { 6, 16, 0, 9 }, { 6, 17 } } },
	{ "CVE-2025-38616", "who reads the socket by another way takes data from under TLS", NULL,
	  { { 6, 1, 0, 185 }, { 6, 6, 0, 103 }, { 6, 12, 0, 43 }, { 6, 15, 0, 11 }, { 6, 16, 0, 2 },
	    { 6, 17 } } },
	{ "splice loses data", "bytes of a record that a pipe has no room for are lost",
	  "behaviours.splice", { { 6, 1, 0, 189 }, { 6, 12, 0, 112 }, { 7, 1 } } },
	{ "receive loses its place", "a retransmission that overlaps ends the connection", NULL,
	  { { 6, 1, 0, 188 }, { 6, 12, 0, 110 }, { 7, 2, 0, 6 }, { 7, 3 } } },
	{ "CVE-2026-74611", "with TLS_RX_EXPECT_NO_PAD a peer can write behind what was received", NULL,
	  { { 6, 1, 0, 191 }, { 6, 12, 0, 114 }, { 6, 18, 0, 45 }, { 7, 1, 0, 9 }, { 7, 2 } } },
	{ "CVE-2026-23240", "closing a socket that is still sending uses freed memory", NULL,
	  { { 6, 12, 0, 75 }, { 6, 18, 0, 16 }, { 6, 19, 0, 6 }, { 7, 0 } } },
	{ "CVE-2026-23414", "memory is lost where decryption is asynchronous", NULL,
	  { { 6, 1, 158, 168 }, { 6, 6, 114, 131 }, { 6, 12, 55, 80 }, { 6, 18, 0, 21 },
	    { 6, 19, 0, 11 }, { 7, 0 } } },
	{ "signal ends connection", "a signal while sending ends the connection", NULL,
	  { { 6, 1, 0, 183 }, { 6, 12, 0, 104 }, { 7, 2, 0, 6 }, { 7, 3 } } },
	{ "CVE-2024-26585", "closing a socket while encryption is asynchronous uses freed memory", NULL,
	  { { 6, 1, 0, 84 }, { 6, 6, 0, 18 }, { 6, 7, 0, 6 }, { 6, 8 } } },
	{ "CVE-2023-28466", "asking a socket for its keys while it is closed uses freed memory", NULL,
	  { { 6, 1, 0, 20 }, { 6, 2, 0, 7 }, { 6, 3 } } },
};

static bool parse(const char *text, struct version *version)
{
	int end = 0;

	*version = (struct version){ 0 };
	if (sscanf(text, "%u.%u%n.%u%n", &version->major, &version->minor, &end, &version->patch,
		   &end) < 2)
		return false;
	text += end;
	version->candidate = (*text == '-' || *text == '~') && strncmp(text + 1, "rc", 2) == 0;
	return true;
}

/* Debian's release names a series alone, and its version tells the rest, with or without an epoch:
 * "#1 SMP Debian 6.1.176-1 (2026-07-01)". */
static bool version_of(const struct utsname *kernel, struct version *version)
{
	const char *text = strstr(kernel->version, "Debian ");
	int epoch = 0;

	if (text) {
		text += strlen("Debian ");
		sscanf(text, "%*u:%n", &epoch);
		if (parse(text + epoch, version))
			return true;
	}
	return parse(kernel->release, version);
}

static int compare_series(const struct version *version, const struct mend *mend)
{
	if (version->major != mend->major)
		return version->major < mend->major ? -1 : 1;
	return version->minor < mend->minor ? -1 : version->minor > mend->minor;
}

static const char *state_within(const struct mend *mend, const struct version *version)
{
	if (!mend->to) /* which of its candidates had it is not known */
		return version->candidate ? "unknown" : "fixed";
	if (version->patch < mend->from)
		return "absent";
	return version->patch < mend->to ? "affected" : "fixed";
}

static const char *state_by_version(const struct fault *fault, const struct version *version)
{
	for (size_t i = 0; i < SERIES_MAX && fault->mends[i].major; i++) {
		const struct mend *mend = &fault->mends[i];
		int order = compare_series(version, mend);

		if (order == 0)
			return state_within(mend, version);
		if (order > 0 && !mend->to)
			return "fixed";
	}
	return "unknown";
}

static struct json_object *versions_of(const struct fault *fault)
{
	struct json_object *array = json_object_new_array();
	char text[48];

	for (size_t i = 0; i < SERIES_MAX && fault->mends[i].major; i++) {
		const struct mend *mend = &fault->mends[i];

		snprintf(text, sizeof(text), mend->to ? "%u.%u.%u" : "%u.%u", mend->major,
			 mend->minor, mend->to);
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
	bool known = version_of(kernel, &version);

	for (size_t i = 0; i < N(faults); i++)
		json_object_array_add(rows, judge(&faults[i], trial, known ? &version : NULL));
	return rows;
}
