/* SPDX-License-Identifier: MIT */
#include "client/ctl-crypto.h"
#include "client/ctl-nic.h"
#include "client/ctl-service.h"
#include "client/ctl-trial.h"
#include "client/ctl-view.h"

#include <string.h>

static const struct ctl_syntax syntax = { .more = &ctl_json_syntax };

/* --- the text */

static enum view_tone tone_of(const char *outcome)
{
	return strcmp(outcome, "works") == 0 ? VIEW_GOOD : *outcome ? VIEW_BAD : VIEW_FAINT;
}

static enum view_tone tone_of_transmit(struct json_object *row)
{
	return tone_of(view_text(row, "transmit"));
}

static enum view_tone tone_of_receive(struct json_object *row)
{
	return tone_of(view_text(row, "receive"));
}

static enum view_tone tone_of_round_trip(struct json_object *row)
{
	return tone_of(view_text(row, "roundTrip"));
}

static enum view_tone tone_of_speed(struct json_object *row)
{
	return view_is(row, "driver.speed", "generic") ? VIEW_BAD :
	       view_is(row, "driver.speed", "instructions") ? VIEW_GOOD : VIEW_PLAIN;
}

/* A cipher that works, and slowly, is what people come here for. */
static const char *show_speed(struct json_object *speed, char scratch[static VIEW_CELL])
{
	const char *text = speed ? json_object_get_string(speed) : "-";

	return strcmp(text, "generic") == 0 ? "generic: SLOW" : text;
}

static const struct view_column cells[] = {
	{ "VERSION", "version" },
	{ "CIPHER", "cipher" },
	{ "TRANSMIT", "transmit", NULL, false, tone_of_transmit },
	{ "RECEIVE", "receive", NULL, false, tone_of_receive },
	{ "ROUND TRIP", "roundTrip", NULL, false, tone_of_round_trip },
	{ "REKEY", "rekey" },
	{ "SPEED", "driver.speed", show_speed, false, tone_of_speed },
	{ "DRIVER", "driver.driver" },
};

static const struct view_column interfaces[] = {
	{ "INTERFACE", "interface" }, { "TRANSMIT", "transmit" }, { "RECEIVE", "receive" },
	{ "RECORD", "record" },	      { "DRIVER", "driver" },
};

static const struct view_column suites[] = {
	{ "SUITE", "suite" },
	{ "KERNEL", "kernel" },
	{ "POLICIES", "policies" },
};

static struct json_object *driver_of(struct json_object *drivers, const char *cipher)
{
	for (size_t i = 0; i < view_count(drivers); i++) {
		struct json_object *driver = json_object_array_get_idx(drivers, i);

		if (view_is(driver, "cipher", cipher))
			return json_object_get(driver);
	}
	return NULL;
}

/* Each cell of the trial with the driver that would do the work. */
static void render_cells(struct view *view, struct json_object *document)
{
	struct json_object *rows = view_get(document, "trial.ciphers");

	for (size_t i = 0; i < view_count(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		json_object_object_add(row, "driver",
				       driver_of(view_get(document, "drivers"),
						 view_text(row, "cipher")));
	}
	view_heading(view, "What this kernel takes over, by trying");
	if (view_is(document, "trial.module", "absent"))
		view_line(view, VIEW_BAD,
			  "its TLS is not loaded: as root, run modprobe tls; nothing was tried");
	else if (!view_is(document, "trial.loopback", "works"))
		view_line(view, VIEW_BAD, "nothing could be tried, on loopback: %s",
			  view_text(document, "trial.loopback"));
	else if (!view_is(document, "trial.tcpUlp", "works"))
		view_line(view, VIEW_BAD, "a socket does not get its TLS: %s",
			  view_text(document, "trial.tcpUlp"));
	else
		view_table(view, rows, cells, N(cells));
}

static bool has(struct json_object *names, struct json_object *name)
{
	for (size_t i = 0; i < view_count(names); i++)
		if (json_object_equal(json_object_array_get_idx(names, i), name))
			return true;
	return false;
}

static struct json_object *policies_with(struct json_object *policies, struct json_object *suite)
{
	struct json_object *names = json_object_new_array();

	for (size_t i = 0; i < view_count(policies); i++) {
		struct json_object *policy = json_object_array_get_idx(policies, i);

		if (has(view_get(policy, "suites"), suite))
			json_object_array_add(names, json_object_get(view_get(policy, "name")));
	}
	return names;
}

static struct json_object *suite_row(struct json_object *service, struct json_object *suite)
{
	struct json_object *row = json_object_new_object();
	bool taken = has(view_get(service, "offloadable"), suite);

	json_object_object_add(row, "suite", json_object_get(suite));
	json_object_object_add(row, "kernel", json_object_new_boolean(taken));
	json_object_object_add(row, "policies", policies_with(view_get(service, "policies"), suite));
	return row;
}

static void render_suites(struct view *view, struct json_object *service)
{
	struct json_object *rows = json_object_new_array(), *all = view_get(service, "suites");

	for (size_t i = 0; i < view_count(all); i++)
		json_object_array_add(rows, suite_row(service, json_object_array_get_idx(all, i)));
	view_heading(view, "Suites that %s offers, and the policies that leave them",
		     view_text(service, "openssl"));
	view_table(view, rows, suites, N(suites));
	json_object_put(rows);
}

static void render(struct view *view, struct json_object *document)
{
	render_cells(view, document);
	view_heading(view, "What network interfaces do themselves");
	view_table(view, view_get(document, "interfaces"), interfaces, N(interfaces));
	if (!view_get(document, "interfaces"))
		view_line(view, VIEW_NOTE, "the kernel does not tell which there are");
	if (view_get(document, "service"))
		render_suites(view, view_get(document, "service"));
}

/* --- the document */

/* The kernel is asked here, and whether the service answers does not matter to it. */
static int run(struct ctl *ctl)
{
	struct json_object *service = ctl_service_call(ctl, "io.ktlsd.GetCapabilities");
	int status = service ? KTLS_WHO_NOBODY : ctl_failure(ctl);
	struct json_object *document = service ? json_object_new_object() :
						 ctl_service_failure(ctl->k);

	json_object_object_add(document, "trial", ctl_trial(&trial_kernel));
	json_object_object_add(document, "drivers", ctl_crypto(CTL_CRYPTO));
	json_object_object_add(document, "interfaces", ctl_nic(&nic_kernel));
	json_object_object_add(document, "service", service);
	return ctl_show(ctl, document, render, status);
}

const struct ctl_command ctl_ciphers = {
	.name = "ciphers",
	.operands = "",
	.sentence = "show what this kernel takes over, how fast, and what policies leave of it",
	.about = "Tries each cipher with this kernel, and shows who would do the work.",
	.syntax = &syntax,
	.run = run,
};
