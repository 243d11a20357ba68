/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=stat,--wrap=membership_of */
#include "tests/unit/unit.h"

#include "client/ctl-failure.c"
#include "client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { KTLS = 500 };

/* Of whom this process is, and of the socket. */
static struct {
	struct membership who;
	struct stat socket;
	int err;
	const char *path; /* that was looked at */
} fake;

int __wrap_stat(const char *path, struct stat *to);
void __wrap_membership_of(struct membership *membership, gid_t gid);

int __wrap_stat(const char *path, struct stat *to)
{
	fake.path = path;
	*to = fake.socket;
	errno = fake.err;
	return fake.err ? -1 : 0;
}

void __wrap_membership_of(struct membership *membership, gid_t gid)
{
	assert_int_equal(gid, fake.socket.st_gid);
	*membership = fake.who;
}

static void set_up(struct ctl *ctl, const char *group, bool in, bool listed)
{
	memset(&fake, 0, sizeof(fake));
	fake.socket = (struct stat){ .st_mode = S_IFSOCK | 0660, .st_gid = KTLS };
	fake.who = (struct membership){ .user = "alice", .in = in, .listed = listed };
	strcpy(fake.who.group, group);
	*ctl = (struct ctl){ .k = ktls_new(), .target = "a.example:443" };
}

/* The one line that it says. */
static int failure_line(const struct ctl *ctl, char text[static 1024])
{
	int ends[2], kept = dup(STDERR_FILENO), status;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	status = ctl_failure(ctl);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(ends[1]);
	n = read(ends[0], text, 1023);
	close(ends[0]);
	assert_true(n > 0);
	text[n] = '\0';
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	return status;
}

static const struct {
	enum ktls_status status;
	const char *stage, *message, *parameter;
	int err;
	bool retry;
	int exit;
	const char *line;
} failures[] = {
	{ KTLS_LOCAL, "service", "192.0.2.1:443", "", ECONNREFUSED, false, KTLS_WHO_INTERNAL,
	  "ktlsctl: service: 192.0.2.1:443: Connection refused (LocalFailure)\n" },
	{ KTLS_LOCAL, "service", "ECONNREFUSED of it", "", ECONNREFUSED, false,
	  KTLS_WHO_INTERNAL, "ktlsctl: service: ECONNREFUSED of it (LocalFailure)\n" },
	{ KTLS_LOCAL, "service", "Connection refused", "", ECONNREFUSED, false,
	  KTLS_WHO_INTERNAL, "ktlsctl: service: Connection refused (LocalFailure)\n" },
	{ KTLS_LOCAL, "resolve", "no answer", "", 0, true, KTLS_WHO_RETRY,
	  "ktlsctl: resolve: no answer (LocalFailure)\n" },
	{ KTLS_INVALID_PARAMETER, "request", "is empty", "policy.name", 0, false, KTLS_WHO_CALLER,
	  "ktlsctl: request: policy.name: is empty (InvalidParameter)\n" },
	{ KTLS_INVALID_PARAMETER, "request", "policy.name is empty", "policy.name", 0, false,
	  KTLS_WHO_CALLER, "ktlsctl: request: policy.name is empty (InvalidParameter)\n" },
	{ KTLS_CONNECT_FAILED, "connect", "192.0.2.1:443", "", ECONNREFUSED, false, KTLS_WHO_PEER,
	  "ktlsctl: connect: 192.0.2.1:443: Connection refused; is the port right, and does its server run? "
	  "(ConnectFailed)\n" },
	/* An answer came, and could not be kept. */
	{ KTLS_OK, "request", "", "", 0, false, KTLS_WHO_INTERNAL, "ktlsctl: no memory\n" },
};

static void test_failures(void **state)
{
	for (size_t i = 0; i < array_size(failures); i++) {
		struct ctl ctl;
		char text[1024];

		set_up(&ctl, "ktls", true, true);
		ctl.k->status = failures[i].status;
		ctl.k->stage = failures[i].stage;
		ctl.k->failure.sys_errno = failures[i].err;
		ctl.k->failure.retry = failures[i].retry;
		strcpy(ctl.k->failure.message, failures[i].message);
		strcpy(ctl.k->failure.parameter, failures[i].parameter);
		assert_int_equal(failure_line(&ctl, text), failures[i].exit);
		assert_string_equal(text, failures[i].line);
		ktls_free(ctl.k);
	}
}

#define PROBE "; ktlsctl probe a.example:443 shows "

/* Each kind of failure has the step that is next for it, and no other's. */
static const struct {
	enum ktls_status status;
	int err;
	const char *x509, *alert, *message, *step;
} steps[] = {
	{ KTLS_UNREACHABLE, ENOENT, .message = "; as root, run it", .step = "" },
	{ KTLS_UNREACHABLE, ECONNREFUSED, .message = "; as root, run it", .step = "" },
	{ KTLS_UNREACHABLE, EPROTOTYPE, .step = "; ktlsctl doctor tells why" },
	{ KTLS_SILENT, ETIMEDOUT, .message = "; is it full?", .step = " ktlsctl doctor tells why" },
	{ KTLS_LOST, .step = "; ktlsctl doctor tells why" },
	{ KTLS_PROTOCOL, .step = "; ktlsctl doctor tells why" },
	{ KTLS_BUSY, .step = "; ktlsctl status shows the limits, and what is used of them" },
	{ KTLS_RESOLVE_FAILED, .step = "; getent ahosts a.example shows what this machine knows of the name" },
	{ KTLS_CONNECT_FAILED, EHOSTUNREACH, .step = PROBE "each address that was tried" },
	{ KTLS_CERTIFICATE_REJECTED, .x509 = "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	  .step = "; --ca FILE, --store NAME or --pin PIN says what to trust" PROBE "the pins" },
	{ KTLS_CERTIFICATE_REJECTED, .x509 = "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
	  .step = "; --ca FILE, --store NAME or --pin PIN says what to trust" PROBE "the pins" },
	{ KTLS_CERTIFICATE_REJECTED, .x509 = "X509_V_ERR_HOSTNAME_MISMATCH",
	  .step = "; --name NAME says which name the right server's certificate has" PROBE
		  "the names that it has" },
	{ KTLS_CERTIFICATE_REJECTED, .x509 = "X509_V_ERR_IP_ADDRESS_MISMATCH",
	  .step = "; --name NAME says which name the right server's certificate has" PROBE
		  "the names that it has" },
	{ KTLS_CERTIFICATE_REJECTED, .x509 = "X509_V_ERR_CERT_HAS_EXPIRED",
	  .step = PROBE "the certificates, and pins of them" },
	{ KTLS_CERTIFICATE_REJECTED, .step = PROBE "the certificates, and pins of them" },
	{ KTLS_HANDSHAKE_FAILED, .alert = "protocol_version", .step = "; let the server have TLS 1.2" },
	{ KTLS_HANDSHAKE_FAILED, .alert = "handshake_failure",
	  .step = "; ktlsctl ciphers shows what each policy offers" },
	{ KTLS_HANDSHAKE_FAILED, .alert = "unrecognized_name", .step = "; --server-name NAME sends another" },
	{ KTLS_HANDSHAKE_FAILED, .alert = "no_application_protocol", .step = "; --alpn PROTOCOL offers one" },
	{ KTLS_HANDSHAKE_FAILED, .alert = "internal_error", .step = PROBE "how far it comes" },
	{ KTLS_TIMED_OUT, .step = PROBE "how far it comes" },
	{ KTLS_KERNEL_TLS_UNAVAILABLE, ENOENT, .step = "; where that fails, ktlsctl doctor tells why" },
	{ KTLS_KERNEL_TLS_UNAVAILABLE, EPERM, .step = "; ktlsctl doctor tells why" },
	{ KTLS_NOT_OFFLOADABLE,
	  .step = "; ktlsctl ciphers shows what this kernel takes, and what policies leave of it" },
	{ KTLS_INTERNAL_ERROR, .step = "; journalctl -u ktlsd may tell more" },
	/* What a later service has to say. */
	{ (enum ktls_status)77, .step = "" },
};

static void set_failure(struct ktls *k, size_t i)
{
	k->status = steps[i].status;
	k->stage = "policy";
	k->failure.sys_errno = steps[i].err;
	snprintf(k->failure.message, sizeof(k->failure.message), "x: %s%s", strerror(steps[i].err),
		 steps[i].message ?: "");
	snprintf(k->failure.x509, sizeof(k->failure.x509), "%s", steps[i].x509 ?: "");
	snprintf(k->failure.alert, sizeof(k->failure.alert), "%s", steps[i].alert ?: "");
}

static void assert_line(const struct ctl *ctl, const char *step)
{
	char text[1024], line[1024];

	snprintf(line, sizeof(line), "ktlsctl: policy: %s%s (%s)\n", ktls_get_message(ctl->k), step,
		 ktls_status_name(ktls_get_status(ctl->k)));
	failure_line(ctl, text);
	assert_string_equal(text, line);
}

static void test_steps(void **state)
{
	for (size_t i = 0; i < array_size(steps); i++) {
		struct ctl ctl;

		set_up(&ctl, "ktls", true, true);
		set_failure(ctl.k, i);
		assert_line(&ctl, steps[i].step);
		ktls_free(ctl.k);
	}
}

/* A probe does not send one to a probe, and without a target there is none to be named. */
static void test_steps_of_others(void **state)
{
	for (size_t i = 0; i < 2 * array_size(steps); i++) {
		const char *step = steps[i / 2].step, *probe = strstr(step, PROBE);
		char wanted[256];
		struct ctl ctl;

		set_up(&ctl, "ktls", true, true);
		set_failure(ctl.k, i / 2);
		ctl.probing = i % 2;
		if (!ctl.probing)
			ctl.target = NULL;
		snprintf(wanted, sizeof(wanted), "%.*s", (int)(probe ? probe - step : (ptrdiff_t)strlen(step)), step);
		if (ctl.target || (!strstr(step, "getent") && !strstr(step, "ktlsctl status")))
			assert_line(&ctl, wanted);
		else
			assert_line(&ctl, "");
		ktls_free(ctl.k);
	}
}

#define JOIN "as root, run usermod -aG ktls alice; then log in anew"
#define ANEW "the group ktls has alice, this session not yet: log in anew, or run newgrp ktls"
#define RULE "; the shipped access rule is for the group ktls, in which alice is not: "

static const struct {
	const char *socket, *group;
	unsigned int mode, gid;
	int err;
	bool in, listed;
	const char *unreachable, *unauthorized;
} doors[] = {
	{ NULL, "ktls", 0660, KTLS, 0, false, false, "; " JOIN, RULE JOIN },
	{ NULL, "ktls", 0660, KTLS, 0, false, true, "; " ANEW, RULE ANEW },
	{ NULL, "others", 0660, KTLS, 0, true, true, "; " DOCTOR, "" },
	/* Nobody is told to join root, or a group that may not open it. */
	{ NULL, "root", 0660, 0, 0, false, false, "; " DOCTOR, "" },
	{ NULL, "ktls", 0600, KTLS, 0, false, false, "; " DOCTOR, "" },
	{ NULL, "ktls", 0660, KTLS, EACCES, false, false, "; " DOCTOR, "" },
	/* Nor to join whatever group some other socket has. */
	{ "/run/other", "docker", 0660, KTLS, 0, false, false, "; " DOCTOR, "" },
	{ "/run/other", "ktls", 0660, KTLS, 0, false, false, "; " JOIN, RULE JOIN },
};

static void test_group(void **state)
{
	for (size_t i = 0; i < array_size(doors); i++) {
		struct ctl ctl;

		set_up(&ctl, doors[i].group, doors[i].in, doors[i].listed);
		fake.socket.st_mode = S_IFSOCK | doors[i].mode;
		fake.socket.st_gid = doors[i].gid;
		fake.err = doors[i].err;
		ctl.socket = doors[i].socket;
		ctl.k->stage = "policy";
		ctl.k->failure.sys_errno = EACCES;
		strcpy(ctl.k->failure.message, "x: Permission denied");
		ctl.k->status = KTLS_UNREACHABLE;
		assert_line(&ctl, doors[i].unreachable);
		assert_string_equal(fake.path, doors[i].socket ?: KTLS_SOCKET);
		ctl.k->status = KTLS_NOT_AUTHORIZED;
		assert_line(&ctl, doors[i].unauthorized);
		ktls_free(ctl.k);
	}
}

/* Told of what an earlier write could not do, too. */
static void test_flush(void **state)
{
	FILE *kept = stdout;
	char large[20000] = "";
	int full = 0;

	stdout = fopen("/dev/null", "w");
	printf("x");
	assert_int_equal(ctl_flush(), 0);
	fclose(stdout);
	for (size_t size = 1; size <= sizeof(large); size += sizeof(large) - 1, full++) {
		stdout = fopen("/dev/full", "w");
		fwrite(large, size, 1, stdout);
		assert_int_equal(ctl_flush(), -1);
		fclose(stdout);
	}
	stdout = kept;
	assert_int_equal(full, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_steps_of_others),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
