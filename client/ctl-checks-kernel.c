/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-view.h"

#include <string.h>

#define LIST_MAX 256

static void add_name(char list[static LIST_MAX], const char *name, const char *between)
{
	size_t n = strlen(list);

	snprintf(list + n, LIST_MAX - n, "%s%s", n ? between : "", name);
}

/* --- the module */

static const char *socket_errno(const struct exam *exam)
{
	return view_text(exam->capabilities, "kernel.tlsErrno");
}

/* Why, from what cannot be mended while the machine runs to what one command mends. */
static void cure_modules(const struct exam *exam, const char *modules, struct finding *finding)
{
	char first[32], command[COMMAND_MAX];
	bool tls = strcmp(modules, "tls") == 0;

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(modules, " "), modules);
	if (!exam->has_module(&exam->kernel, first))
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "no module %s is installed for %s: install the package with this kernel's modules; "
			     "then, as root, run modprobe -a %s%s%s", first, exam->kernel.release, modules,
			     tls ? "" : " && ", tls ? "" : exam_reload(exam, command));
	else if (exam->modules_disabled)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "kernel.modules_disabled is 1, so that none can be loaded: as root, run "
			     "printf '%%s\\n' tls gcm > /etc/modules-load.d/tls.conf && reboot");
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run modprobe -a %s%s%s", modules, tls ? "" : " && ",
			     tls ? "" : exam_reload(exam, command));
}

/* The service, where it answers, has had the module loaded if that was possible. */
static void look_unasked(const struct exam *exam, struct finding *finding)
{
	if (view_is(exam->trial, "module", "present"))
		return finding_set(finding, VERDICT_OK, "the kernel's module tls is there");
	if (exam->has_module(&exam->kernel, "tls") && !exam->modules_disabled)
		return finding_set(finding, VERDICT_UNKNOWN,
				   "the kernel's module tls is not loaded; it is when the service starts");
	finding_set(finding, VERDICT_FAULT, "the kernel's module tls is not loaded");
	cure_modules(exam, "tls", finding);
}

/* --- what the service could not do, by the error it had */

static bool is_among(const char *err, const char *const *errors)
{
	while (*errors && strcmp(err, *errors) != 0)
		errors++;
	return *errors;
}

static const char *const down[] = { "EADDRNOTAVAIL", "ENETUNREACH", "ENETDOWN", NULL };
static const char *const forbidden[] = { "EPERM", "EACCES", NULL };

static void look_module(const struct exam *exam, struct finding *finding)
{
	const char *err = socket_errno(exam);

	if (!exam->capabilities)
		return look_unasked(exam, finding);
	if (!*err)
		return finding_set(finding, VERDICT_OK, "the kernel's TLS is there");
	if (strcmp(err, "ENOENT") == 0) {
		finding_set(finding, VERDICT_FAULT, "the kernel's module tls is not loaded");
		return cure_modules(exam, "tls", finding);
	}
	if (is_among(err, down))
		return finding_set(finding, VERDICT_UNKNOWN, "the kernel's TLS could not be tried");
	finding_set(finding, VERDICT_FAULT, "the kernel refuses its TLS to the service: %s", err);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "%s",
		     is_among(err, forbidden) ? "as root, find the security module or system call filter that "
						"forbids it: journalctl -k may tell" :
						"see what journalctl -u ktlsd and journalctl -k tell");
}

/* What the service found before counts; where it has found nothing, what this program finds. */
static void look_loopback(const struct exam *exam, struct finding *finding)
{
	const char *err = view_text(exam->capabilities, "kernel.loopbackErrno");

	if (!*err && is_among(socket_errno(exam), down))
		err = socket_errno(exam);
	if (!*err && !exam->capabilities && !view_is(exam->trial, "loopback", "works"))
		err = view_text(exam->trial, "loopback");
	if (!*err && !exam->capabilities && !view_get(exam->trial, "loopback"))
		return finding_set(finding, VERDICT_UNKNOWN, "nothing was tried on loopback without the module");
	if (!*err)
		return finding_set(finding, VERDICT_OK, "the kernel's TLS can be tried on loopback");
	finding_set(finding, VERDICT_FAULT, "the kernel's TLS cannot be tried on loopback: %s%s",
		    exam->lo_down ? "the interface lo is down: " : "", err);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "%s",
		     exam->lo_down ? "as root, run ip link set lo up" :
		     is_among(err, down) ? "as root, run ip address add 127.0.0.1/8 dev lo" :
		     "let no packet filter hold up what goes over lo; as root, nft list ruleset and iptables -S "
		     "show them");
}

/* --- ciphers */

/* Where everybody speaks it, its absence stops connections; the others are seldom the only ones. */
static bool is_indispensable(struct json_object *cipher)
{
	return strncmp(view_text(cipher, "name"), "aes-gcm-", 8) == 0;
}

struct missing {
	char ciphers[LIST_MAX];
	char modules[LIST_MAX]; /* that they are in, where it is that which is missing */
	bool fault;
};

/* What root is told to paste holds nothing but names. */
static bool is_module(const char *name)
{
	return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

static void add_missing(struct missing *missing, struct json_object *cipher)
{
	const char *module = view_text(cipher, "module");

	add_name(missing->ciphers, view_text(cipher, "name"), ", ");
	if (view_is(cipher, "errno", "ENOENT") && is_module(module) && !strstr(missing->modules, module))
		add_name(missing->modules, module, " ");
	missing->fault = missing->fault || is_indispensable(cipher);
}

static void look_ciphers(const struct exam *exam, struct finding *finding)
{
	struct json_object *ciphers = view_get(exam->capabilities, "kernel.ciphers");
	struct missing missing = { .fault = false };

	for (size_t i = 0; i < view_count(ciphers); i++)
		if (view_get(json_object_array_get_idx(ciphers, i), "errno"))
			add_missing(&missing, json_object_array_get_idx(ciphers, i));
	if (*socket_errno(exam) || view_get(exam->capabilities, "kernel.loopbackErrno"))
		return finding_set(finding, VERDICT_UNKNOWN, "which ciphers the kernel takes could not be tried");
	if (!*missing.ciphers)
		return finding_set(finding, VERDICT_OK, "the kernel takes all ciphers that the service has for it");
	finding_set(finding, missing.fault ? VERDICT_FAULT : VERDICT_NOTE, "the kernel does not take %s",
		    missing.ciphers);
	if (*missing.modules)
		cure_modules(exam, missing.modules, finding);
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "install a later kernel");
}

static void look_speed(const struct exam *exam, struct finding *finding)
{
	char slow[LIST_MAX] = "";

	for (size_t i = 0; i < view_count(exam->drivers); i++) {
		struct json_object *driver = json_object_array_get_idx(exam->drivers, i);

		if (view_is(driver, "speed", "generic"))
			add_name(slow, view_text(driver, "cipher"), ", ");
	}
	if (view_is(exam->trial, "module", "absent"))
		return finding_set(finding, VERDICT_UNKNOWN, "who would do the work is seen with the module alone");
	if (!*slow)
		return finding_set(finding, VERDICT_OK, "no cipher falls back to slow code");
	finding_set(finding, VERDICT_NOTE, "slow code, without the processor's instructions: %s", slow);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, load the kernel's module for this processor (aesni_intel, aes_ce_blk, ...), "
		     "if it has one");
}

static void look_rekey(const struct exam *exam, struct finding *finding)
{
	if (view_is(exam->trial, "behaviours.rekey", "works"))
		return finding_set(finding, VERDICT_OK, "keys of TLS 1.3 can be renewed");
	if (!view_get(exam->trial, "behaviours.rekey"))
		return finding_set(finding, VERDICT_UNKNOWN, "whether keys of TLS 1.3 can be renewed was not tried");
	finding_set(finding, VERDICT_NOTE,
		    "keys of TLS 1.3 cannot be renewed (TLS 1.2, which the service speaks, has no need of it)");
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "install a kernel from Linux 6.14 on");
}

static void look_faults(const struct exam *exam, struct finding *finding)
{
	char names[LIST_MAX] = "";

	for (size_t i = 0; i < view_count(exam->faults); i++) {
		struct json_object *fault = json_object_array_get_idx(exam->faults, i);

		if (view_is(fault, "state", "affected"))
			add_name(names, view_text(fault, "name"), ", ");
	}
	if (!*names)
		return finding_set(finding, VERDICT_OK, "no known fault of kernel TLS was found in this kernel");
	finding_set(finding, VERDICT_NOTE, "this kernel has known faults: %s", names);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "install a later kernel; ktlsctl status tells what each is");
}

const struct check checks_of_kernel[] = {
	{ "module", NEEDS_NOTHING, look_module },
	{ "loopback", NEEDS_NOTHING, look_loopback },
	{ "ciphers", NEEDS_CAPABILITIES, look_ciphers },
	{ "speed", NEEDS_NOTHING, look_speed },
	{ "rekey", NEEDS_NOTHING, look_rekey },
	{ "kernel faults", NEEDS_NOTHING, look_faults },
	{ NULL },
};
