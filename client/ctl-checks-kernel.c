/* SPDX-License-Identifier: MIT */
#include "client/ctl-checks.h"

#include "client/ctl-view.h"

#include <string.h>

#define LIST_MAX 256

static bool is(struct json_object *row, const char *path, const char *text)
{
	return strcmp(view_text(row, path), text) == 0;
}

static void add_name(char list[static LIST_MAX], const char *name)
{
	size_t n = strlen(list);

	snprintf(list + n, LIST_MAX - n, "%s%s", n ? ", " : "", name);
}

/* --- the module */

/* Whether the one who matters has it: the service, and where it says nothing, this program. */
static bool module_missing(const struct exam *exam)
{
	if (exam->capabilities)
		return is(exam->capabilities, "kernel.tlsErrno", "ENOENT");
	return is(exam->trial, "module", "absent");
}

/* Why, from what cannot be mended while it runs to what one command mends. */
static void cure_module(const struct exam *exam, struct finding *finding)
{
	if (exam->modules_disabled)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "kernel.modules_disabled is 1, so that none can be loaded: add tls to "
			     "/etc/modules-load.d, and reboot");
	else if (!exam->module_file)
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "there is none for %s: install the package of this kernel's modules, or a "
			     "kernel with CONFIG_TLS", exam->kernel.release);
	else
		finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
			     "as root, run modprobe tls; for good, add tls to /etc/modules-load.d");
}

static void look_module(const struct exam *exam, struct finding *finding)
{
	const char *err = view_text(exam->capabilities, "kernel.tlsErrno");

	if (module_missing(exam)) {
		finding_set(finding, VERDICT_FAULT, "the kernel's module tls is not loaded");
		return cure_module(exam, finding);
	}
	if (*err) {
		finding_set(finding, VERDICT_FAULT, "the kernel refuses its TLS to the service: %s", err);
		return finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
				    "a security module or system call filter forbids it");
	}
	finding_set(finding, VERDICT_OK, "the kernel's TLS is there");
}

static void look_loopback(const struct exam *exam, struct finding *finding)
{
	const char *err = view_text(exam->capabilities, "kernel.loopbackErrno");

	if (!*err && !is(exam->trial, "loopback", "works"))
		err = view_text(exam->trial, "loopback");
	if (!*err && !view_get(exam->trial, "loopback"))
		return finding_set(finding, VERDICT_UNKNOWN, "nothing was tried on loopback without the module");
	if (!*err)
		return finding_set(finding, VERDICT_OK, "the kernel's TLS can be tried on loopback");
	finding_set(finding, VERDICT_FAULT, "the kernel's TLS cannot be tried on loopback: %s", err);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run ip link set lo up, and let no packet filter hold up what goes over lo");
}

/* --- ciphers */

/* Where everybody speaks it, its absence stops connections; the others are seldom the only ones. */
static bool is_indispensable(struct json_object *cipher)
{
	return strncmp(view_text(cipher, "name"), "aes-gcm-", 8) == 0;
}

static void look_ciphers(const struct exam *exam, struct finding *finding)
{
	struct json_object *ciphers = view_get(exam->capabilities, "kernel.ciphers");
	char missing[LIST_MAX] = "";
	const char *module = "";
	bool fault = false;

	if (view_get(exam->capabilities, "kernel.tlsErrno"))
		return finding_set(finding, VERDICT_UNKNOWN, "which ciphers the service can have is not known");
	for (size_t i = 0; i < json_object_array_length(ciphers); i++) {
		struct json_object *cipher = json_object_array_get_idx(ciphers, i);

		if (!view_get(cipher, "errno"))
			continue;
		add_name(missing, view_text(cipher, "name"));
		module = *module ? module : view_text(cipher, "module");
		fault = fault || is_indispensable(cipher);
	}
	if (!*missing)
		return finding_set(finding, VERDICT_OK, "the kernel takes all ciphers that the service has for it");
	finding_set(finding, fault ? VERDICT_FAULT : VERDICT_NOTE, "the kernel does not take %s", missing);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR,
		     "as root, run modprobe %s, and systemctl reload ktlsd", module);
}

static void look_speed(const struct exam *exam, struct finding *finding)
{
	char slow[LIST_MAX] = "";

	for (size_t i = 0; exam->drivers && i < json_object_array_length(exam->drivers); i++) {
		struct json_object *driver = json_object_array_get_idx(exam->drivers, i);

		if (is(driver, "speed", "generic"))
			add_name(slow, view_text(driver, "cipher"));
	}
	if (is(exam->trial, "module", "absent"))
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
	if (is(exam->trial, "behaviours.rekey", "works"))
		return finding_set(finding, VERDICT_OK, "keys of TLS 1.3 can be renewed");
	if (!view_get(exam->trial, "behaviours.rekey"))
		return finding_set(finding, VERDICT_UNKNOWN, "whether keys of TLS 1.3 can be renewed was not tried");
	finding_set(finding, VERDICT_NOTE,
		    "keys of TLS 1.3 cannot be renewed (TLS 1.2, which the service speaks, has no need of it)");
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "Linux 6.14 and later can");
}

static void look_faults(const struct exam *exam, struct finding *finding)
{
	char names[LIST_MAX] = "";

	for (size_t i = 0; exam->faults && i < json_object_array_length(exam->faults); i++) {
		struct json_object *fault = json_object_array_get_idx(exam->faults, i);

		if (is(fault, "state", "affected"))
			add_name(names, view_text(fault, "name"));
	}
	if (!*names)
		return finding_set(finding, VERDICT_OK, "no known fault of kernel TLS was found in this kernel");
	finding_set(finding, VERDICT_NOTE, "this kernel has known faults: %s", names);
	finding_cure(finding, KTLS_WHO_ADMINISTRATOR, "install a later kernel; ktlsctl status tells what each is");
}

const struct check checks_of_kernel[] = {
	{ "module", false, look_module },
	{ "loopback", false, look_loopback },
	{ "ciphers", true, look_ciphers },
	{ "speed", false, look_speed },
	{ "rekey", false, look_rekey },
	{ "kernel faults", false, look_faults },
	{ NULL },
};
