/* SPDX-License-Identifier: MIT */
#include "client/ctl-service.h"
#include "client/ctl-suites.h"
#include "client/ctl-view.h"

#include <stdlib.h>
#include <string.h>

#define HASH_DIGITS 64

static int set_quick(struct ctl *ctl, const char *value)
{
	ctl->quick = true;
	return 0;
}

static const struct ctl_option options[] = {
	{ .name = "quick", .letter = 'q', .set = set_quick,
	  .sentence = "one handshake, instead of one for each cipher and each way of io" },
	CTL_JSON_OPTION,
};

static const struct ctl_syntax syntax = {
	options, sizeof(options) / sizeof(*options), ctl_set_target, &ctl_request_syntax,
};

/* --- what one handshake tells */

/* They are copied into command lines: nothing else passes for one. */
static bool is_hash(const char *text)
{
	return strspn(text, "0123456789abcdef") == HASH_DIGITS && !text[HASH_DIGITS];
}

static void add_pin(struct json_object *pins, const char *kind, const char *hash)
{
	char pin[96];

	if (!is_hash(hash))
		return;
	snprintf(pin, sizeof(pin), "%s:%s", kind, hash);
	json_object_array_add(pins, json_object_new_string(pin));
}

/* As --pin takes them. */
static struct json_object *pins_of(struct json_object *probed)
{
	struct json_object *pins = json_object_new_array();

	add_pin(pins, "cert-sha256", view_text(probed, "session.peer.certSha256"));
	add_pin(pins, "spki-sha256", view_text(probed, "session.peer.spkiSha256"));
	return pins;
}

/* Whether the session could go to the kernel, for each io. NULL: that could not be found out. */
static struct json_object *takes_over(struct ctl *ctl, enum ktls_io io)
{
	struct json_object *probed = NULL, *takes = NULL;

	ktls_reset(ctl->k);
	if (ktls_set_io(ctl->k, io) == 0)
		ctl->probing = true;
	probed = ctl_service_call(ctl, CTL_PROBE);
	if (probed)
		takes = json_object_get(view_get(probed, "takesOver"));
	json_object_put(probed);
	return takes;
}

/* --- the document */

/* What further handshakes tell. */
static void add_scan(struct json_object *document, struct ctl *ctl, struct json_object *probed)
{
	struct json_object *io = json_object_new_object(), *error = NULL;

	json_object_object_add(io, "plain", takes_over(ctl, KTLS_IO_PLAIN));
	json_object_object_add(io, "aware", takes_over(ctl, KTLS_IO_AWARE));
	json_object_object_add(document, "io", io);
	json_object_object_add(document, "ciphers", ctl_suites_scan(ctl, probed, &error));
	json_object_object_add(document, "scanError", error);
}

static struct json_object *document_of(struct ctl *ctl, struct json_object *probed)
{
	struct json_object *document = json_object_new_object();

	json_object_object_add(document, "session", json_object_get(view_get(probed, "session")));
	json_object_object_add(document, "trace", json_object_get(view_get(probed, "trace")));
	json_object_object_add(document, "pins", pins_of(probed));
	json_object_object_add(document, "takesOver",
			       json_object_get(view_get(probed, "takesOver")));
	json_object_object_add(document, "io", NULL);
	json_object_object_add(document, "ciphers", ctl_suites(probed));
	json_object_object_add(document, "scanError", NULL);
	if (!ctl->quick)
		add_scan(document, ctl, probed);
	return document;
}

/* --- the text */

static const char *show_state(struct json_object *attempt, char scratch[static VIEW_CELL])
{
	const char *err = view_text(attempt, "errno");

	snprintf(scratch, VIEW_CELL, "%s%s%s", view_text(attempt, "state"), *err ? ": " : "", err);
	return scratch;
}

/* 0 is of a stage that was not completed. */
static const char *show_stage(struct json_object *usec, char scratch[static VIEW_CELL])
{
	return json_object_get_int64(usec) ? view_usec(usec, scratch) : "-";
}

static enum view_tone tone_of_state(struct json_object *attempt)
{
	const char *state = view_text(attempt, "state");

	return strcmp(state, "failed") == 0 ? VIEW_BAD :
	       strcmp(state, "connected") == 0 ? VIEW_GOOD : VIEW_FAINT;
}

static enum view_tone tone_of_problem(struct json_object *certificate)
{
	return view_get(certificate, "problem") ? VIEW_BAD : VIEW_GOOD;
}

static const char *show_problem(struct json_object *problem, char scratch[static VIEW_CELL])
{
	return problem ? json_object_get_string(problem) : "nothing wrong";
}

static const struct view_column attempts[] = {
	{ "ADDRESS", "address" },
	{ "BEGUN", "begun", view_usec, true },
	{ "TOOK", "took", view_usec, true },
	{ "STATE", "", show_state, false, tone_of_state },
};

static const struct view_column timings[] = {
	{ "resolve", "resolve", show_stage },
	{ "connect", "connect", show_stage },
	{ "handshake", "handshake", show_stage },
	{ "total", "total", view_usec },
};

static const struct view_column session[] = {
	{ "address", "address" },
	{ "version", "version" },
	{ "cipher", "cipher" },
	{ "kernel cipher", "kernelCipher" },
	{ "group", "group" },
	{ "alpn", "alpn" },
	{ "verified by", "verifiedBy" },
	{ "resumed", "resumed" },
};

static const struct view_column certificate[] = {
	{ "  subject", "subject" },
	{ "  issuer", "issuer" },
	{ "  names", "names" },
	{ "  key", "key" },
	{ "  signature", "signature" },
	{ "  not before", "notBefore" },
	{ "  not after", "notAfter" },
	{ "  cert-sha256", "certSha256" },
	{ "  spki-sha256", "spkiSha256" },
	{ "  verdict", "problem", show_problem, false, tone_of_problem },
};

static const struct view_column ciphers[] = {
	{ "CIPHER", "cipher" },
	{ "KERNEL", "kernel" },
	{ "SERVER", "server" },
};

static const struct view_column io[] = {
	{ "with io plain", "plain" },
	{ "with io aware", "aware" },
};

static void render_trace(struct view *view, struct json_object *trace)
{
	struct json_object *chain = view_get(trace, "chain");

	view_heading(view, "Addresses");
	view_table(view, view_get(trace, "attempts"), attempts, N(attempts));
	view_heading(view, "Times");
	view_facts(view, view_get(trace, "timings"), timings, N(timings));
	for (size_t i = 0; i < view_count(chain); i++) {
		view_heading(view, "Certificate %zu", i);
		view_facts(view, json_object_array_get_idx(chain, i), certificate, N(certificate));
	}
}

static void render_success(struct view *view, struct json_object *document)
{
	struct json_object *pins = view_get(document, "pins");

	view_heading(view, "Session");
	view_facts(view, view_get(document, "session"), session, N(session));
	view_heading(view, "Pins");
	for (size_t i = 0; i < view_count(pins); i++)
		view_line(view, VIEW_PLAIN, "--pin %s",
			  json_object_get_string(json_object_array_get_idx(pins, i)));
	view_heading(view, "Ciphers offered, and who takes them");
	view_table(view, view_get(document, "ciphers"), ciphers, N(ciphers));
	if (view_get(document, "scanError"))
		view_line(view, VIEW_NOTE, "not all of them could be tried: %s",
			  view_text(document, "scanError.message"));
	view_heading(view, "Could go to the kernel: %s",
		     view_true(document, "takesOver") ? "yes" : "no");
	if (view_get(document, "io"))
		view_facts(view, view_get(document, "io"), io, N(io));
}

static void render(struct view *view, struct json_object *document)
{
	if (view_get(document, "trace"))
		render_trace(view, view_get(document, "trace"));
	if (!view_get(document, "error"))
		render_success(view, document);
}

static int run(struct ctl *ctl)
{
	struct json_object *probed, *document;
	int status = KTLS_WHO_NOBODY;

	if (!ctl->target)
		return ctl_usage("probe takes HOST:PORT; try `ktlsctl probe --help`");
	if (ctl_ask_target(ctl) != 0)
		return KTLS_WHO_CALLER;
	ctl->probing = true;
	probed = ctl_service_call(ctl, CTL_PROBE);
	if (!probed)
		status = ctl_failure(ctl);
	document = probed ? document_of(ctl, probed) : ctl_service_failure(ctl->k);
	json_object_put(probed);
	return ctl_show(ctl, document, render, status);
}

const struct ctl_command ctl_probe = {
	.name = "probe",
	.operands = "HOST:PORT",
	.sentence = "show what a connection would come to: addresses, certificates, ciphers",
	.about = "Does a handshake, shows all of it, and hangs up. Nothing is handed over.",
	.syntax = &syntax,
	.run = run,
};
