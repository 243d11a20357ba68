/* SPDX-License-Identifier: MIT */
#include "client/ctl-exam.h"

#include "client/ctl-crypto.h"
#include "client/ctl-faults.h"
#include "client/ctl-service.h"
#include "client/ctl-trial.h"
#include "client/ctl-view.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CATCH_UP_MS 1100
#define PATIENCE_MS 2500 /* for a service that does not answer: so much, and the library's margin */

/* --- the machine */

static bool says_one(const char *path)
{
	FILE *file = fopen(path, "re");
	bool one = file && fgetc(file) == '1';

	if (file)
		fclose(file);
	return one;
}

/* "kernel/crypto/gcm.ko.xz: ..." of modules.dep, or the same without what follows the name. */
static bool is_file_of(const char *line, const char *name, size_t *length)
{
	const char *base;

	*length = strcspn(line, ":\n");
	base = memrchr(line, '/', *length);
	base = base ? base + 1 : line;
	return strncmp(base, name, strlen(name)) == 0 && strncmp(base + strlen(name), ".ko", 3) == 0;
}

/* A list may name what is there no more. */
static bool lists(const char *directory, const char *list, const char *name, bool built_in)
{
	char path[512], line[4096];
	size_t length;
	FILE *file;
	bool found = false;

	snprintf(path, sizeof(path), "%s/%s", directory, list);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		if (!is_file_of(line, name, &length))
			continue;
		snprintf(path, sizeof(path), "%s/%.*s", directory, (int)length, line);
		found = built_in || access(path, F_OK) == 0;
	}
	if (file)
		fclose(file);
	return found;
}

/* Where modprobe(8) looks for it. */
static bool has_module(const struct utsname *kernel, const char *name)
{
	char directory[128];

	snprintf(directory, sizeof(directory), "/lib/modules/%s", kernel->release);
	return lists(directory, "modules.dep", name, false) ||
	       lists(directory, "modules.builtin", name, true);
}

static bool is_down(const char *interface)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = 0 };
	bool down;

	strncpy(request.ifr_name, interface, sizeof(request.ifr_name) - 1);
	down = fd >= 0 && (ioctl(fd, SIOCGIFFLAGS, &request) < 0 || !(request.ifr_flags & IFF_UP));
	if (fd >= 0)
		close(fd);
	return down;
}

static void examine_kernel(struct exam *exam)
{
	struct trial_door door = trial_kernel;

	door.first = TRIAL_N_OF_SERVICE;
	uname(&exam->kernel);
	exam->lo_down = is_down("lo");
	exam->has_module = has_module;
	exam->modules_disabled = says_one("/proc/sys/kernel/modules_disabled");
	exam->trial = ctl_trial(&door);
	exam->drivers = ctl_crypto(CTL_CRYPTO);
	exam->faults = ctl_faults(exam->trial, &exam->kernel);
}

/* --- the service */

static void note_reach(struct exam *exam, const struct ktls *k)
{
	exam->reached = ktls_get_status(k);
	exam->reach_errno = ktls_get_errno(k);
	snprintf(exam->reach_message, sizeof(exam->reach_message), "%s", ktls_get_message(k));
}

/* By a handle of its own: what the user wants of a request is for the target. */
static void ask_service(struct exam *exam, const struct ctl *ctl)
{
	struct ctl asking = { .k = ktls_new() };

	exam->reached = KTLS_LOCAL;
	if (!asking.k)
		return;
	ktls_set_socket(asking.k, ctl->socket);
	ktls_set_timeout(asking.k, PATIENCE_MS);
	exam->capabilities = ctl_service_call(&asking, "io.ktlsd.GetCapabilities");
	note_reach(exam, asking.k);
	if (exam->capabilities)
		exam->status = ctl_service_call(&asking, "io.ktlsd.GetStatus");
	ktls_free(asking.k);
}

static void ask_target(struct exam *exam, struct ctl *ctl)
{
	exam->target = ctl->target;
	if (!ctl->target || !exam->capabilities)
		return;
	exam->probed = ctl_service_call(ctl, "io.ktlsd.Probe");
	if (exam->probed)
		json_object_object_del(exam->probed, "error"); /* which is ours to say */
	else
		exam->probed = ctl_service_failure(ctl->k);
}

/* What KTLSD_SOCKET and --socket name besides is nobody's default, and has a configuration of its own. */
static void find_socket(struct exam *exam, const struct ctl *ctl)
{
	exam->socket = ctl->socket ? ctl->socket : KTLS_SOCKET;
	if (strcmp(exam->socket, KTLS_SOCKET) != 0)
		exam->named_by = ctl->socket == ctl->environment ? "KTLSD_SOCKET" : "--socket";
	if (stat(exam->socket, &exam->socket_stat) < 0)
		exam->socket_errno = errno;
}

static bool works(const struct exam *exam, const char *outcome)
{
	return strcmp(view_text(exam->trial, outcome), "works") == 0;
}

/* Whether the service may know less than this program has just found: it asks the kernel again, but
 * not more often than once in a second. */
static bool is_behind(const struct exam *exam)
{
	return (view_get(exam->capabilities, "kernel.tlsErrno") && works(exam, "tcpUlp")) ||
	       (view_get(exam->capabilities, "kernel.loopbackErrno") && works(exam, "loopback"));
}

static void let_catch_up(struct exam *exam, const struct ctl *ctl)
{
	if (!is_behind(exam))
		return;
	poll(NULL, 0, CATCH_UP_MS);
	json_object_put(exam->capabilities);
	json_object_put(exam->status);
	exam->capabilities = exam->status = NULL;
	ask_service(exam, ctl);
}

/* The service comes first: to answer it is started, and that has the module loaded. */
void exam_make(struct exam *exam, struct ctl *ctl)
{
	*exam = (struct exam){ .systemd = access("/run/systemd/system", F_OK) == 0 };
	find_socket(exam, ctl);
	ask_service(exam, ctl);
	if (!exam->named_by && (!exam->capabilities || view_true(exam->capabilities, "managed")))
		configuration_check(&exam->configuration);
	examine_kernel(exam);
	let_catch_up(exam, ctl);
	ask_target(exam, ctl);
}

void exam_deinit(struct exam *exam)
{
	struct json_object *const documents[] = { exam->trial,	      exam->drivers, exam->faults,
						  exam->capabilities, exam->status,  exam->probed };

	for (size_t i = 0; i < N(documents); i++)
		json_object_put(documents[i]);
}
