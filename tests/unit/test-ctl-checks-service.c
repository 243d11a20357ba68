/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=geteuid,--wrap=group_member,--wrap=access,--wrap=getpwuid,--wrap=getgrgid */
#include "client/ctl-checks-service.c"

#include "tests/unit/exam.h"

#include <grp.h>
#include <pwd.h>

enum { ALICE = 1000, KTLS = 500, OTHERS = 600 };

static struct {
	bool member; /* alice is one of ktls */
	bool listed; /* and would be after a new login */
	const char *closed; /* directory that she may not look into */
} fake;

uid_t __wrap_geteuid(void);
int __wrap_group_member(gid_t gid);
int __wrap_access(const char *path, int mode);
struct passwd *__wrap_getpwuid(uid_t uid);
struct group *__wrap_getgrgid(gid_t gid);

uid_t __wrap_geteuid(void)
{
	return ALICE;
}

int __wrap_group_member(gid_t gid)
{
	return gid == OTHERS || (fake.member && gid == KTLS);
}

int __wrap_access(const char *path, int mode)
{
	assert_int_equal(mode, X_OK);
	return fake.closed && strcmp(path, fake.closed) == 0 ? -1 : 0;
}

struct passwd *__wrap_getpwuid(uid_t uid)
{
	static char name[] = "alice";
	static struct passwd alice = { .pw_name = name };

	return uid == ALICE ? &alice : NULL;
}

struct group *__wrap_getgrgid(gid_t gid)
{
	static char name[] = "ktls";
	static char bob[] = "bob", alice[] = "alice";
	static char *members[] = { bob, alice, NULL };
	static struct group ktls = { .gr_name = name, .gr_mem = members };

	members[1] = fake.listed ? alice : NULL;
	return gid == KTLS ? &ktls : NULL;
}

static struct exam exam_of(enum ktls_status reached, int err)
{
	memset(&fake, 0, sizeof(fake));
	return (struct exam){
		.socket = "/run/ktlsd/io.ktlsd", .reached = reached, .reach_errno = err,
		.reach_message = "what came", .systemd = true,
		.socket_stat = { .st_mode = S_IFSOCK | 0660, .st_gid = KTLS },
	};
}

static void check(const struct exam *exam, const char *name, enum verdict verdict, enum ktls_who who,
		  const char *what, const char *cure)
{
	struct finding found = look(checks_of_service, name, exam);

	check_finding(&found, verdict, who, what, cure);
}

#define ADMIN KTLS_WHO_ADMINISTRATOR
#define NOBODY KTLS_WHO_NOBODY
#define CALLER KTLS_WHO_CALLER
#define PATH "/run/ktlsd/io.ktlsd"

/* --- the socket */

static void test_answers(void **state)
{
	struct exam exam = exam_of(KTLS_OK, 0);

	check(&exam, "service", VERDICT_OK, NOBODY, "the service answers at " PATH, "");
	exam.socket_stat.st_mode = S_IFSOCK | 0666;
	exam.socket_stat.st_gid = 0;
	check(&exam, "service", VERDICT_OK, NOBODY, "the service answers at " PATH, "");
	exam.socket_stat.st_mode = S_IFSOCK | 0600;
	exam.socket_stat.st_gid = KTLS;
	check(&exam, "service", VERDICT_NOTE, ADMIN,
	      "the service answers, but " PATH " is 0600: others may not ask it",
	      "as root, run systemctl restart ktlsd.socket; that makes it 0660 and of group ktls");
}

static void test_rights(void **state)
{
	struct exam exam = exam_of(KTLS_UNREACHABLE, EACCES);

	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0660 and of group ktls",
	      "as root, run usermod -aG ktls alice; then log in anew");
	fake.listed = true;
	check(&exam, "service", VERDICT_FAULT, CALLER, "alice may not open " PATH ", which is 0660 and of group ktls",
	      "log in anew, or run newgrp ktls; the group has alice, this session not yet");
	fake.member = true;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0660 and of group ktls",
	      "a security module forbids it: journalctl -k may tell");
	exam.socket_stat.st_mode = S_IFSOCK | 0600;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0600 and of group ktls",
	      "as root, run systemctl restart ktlsd.socket; that makes it 0660 and of group ktls");
	exam.systemd = false;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0600 and of group ktls",
	      "as root, run chgrp ktls " PATH " && chmod 660 " PATH);
	exam.socket_stat.st_mode = S_IFSOCK | 0660;
	exam.socket_stat.st_gid = 0;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0660 and of group gid 0",
	      "as root, run chgrp ktls " PATH " && chmod 660 " PATH);
}

static void test_closed(void **state)
{
	struct exam exam = exam_of(KTLS_UNREACHABLE, EACCES);

	exam.socket_errno = EACCES;
	fake.closed = "/run/ktlsd";
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not look into /run/ktlsd, where the socket is",
	      "as root, run chmod 755 /run/ktlsd");
	fake.closed = "/run";
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not look into /run, where the socket is",
	      "as root, run chmod 755 /run");
	exam.named_by = "--socket";
	check(&exam, "service", VERDICT_FAULT, CALLER, "alice may not look into /run, where the socket is",
	      "name the service's socket, or let the directory's owner open it");
}

static void check_named(struct exam *exam, const char *what)
{
	char text[256];

	exam->named_by = "KTLSD_SOCKET";
	snprintf(text, sizeof(text), "%s " PATH ", which KTLSD_SOCKET names", what);
	check(exam, "service", VERDICT_FAULT, CALLER, text,
	      "run unset KTLSD_SOCKET; or let it name the service's socket");
	exam->named_by = "--socket";
	snprintf(text, sizeof(text), "%s " PATH ", which --socket names", what);
	check(exam, "service", VERDICT_FAULT, CALLER, text, "leave out --socket, or name the service's socket");
	exam->named_by = NULL;
}

static void test_absent(void **state)
{
	struct exam exam = exam_of(KTLS_UNREACHABLE, ENOENT);

	check(&exam, "service", VERDICT_FAULT, ADMIN, "the service is not started: there is no " PATH,
	      "as root, run systemctl enable --now ktlsd.socket");
	check_named(&exam, "there is no");
	exam.systemd = false;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "the service is not started: there is no " PATH,
	      "as root, run ktlsd");
	exam.reach_errno = ENOTDIR;
	check_named(&exam, "there is no");
}

static void test_dead(void **state)
{
	struct exam exam = exam_of(KTLS_UNREACHABLE, ECONNREFUSED);

	check(&exam, "service", VERDICT_FAULT, ADMIN, "the service has ended: nobody listens at " PATH,
	      "as root, run systemctl restart ktlsd.socket");
	check_named(&exam, "nobody listens at");
	exam.socket_stat.st_mode = S_IFREG | 0644;
	check_named(&exam, "no socket is");
	/* The same, of a file that this user may not write to; nobody is told to give it away. */
	exam.reach_errno = EACCES;
	check_named(&exam, "no socket is");
}

static void test_named_rights(void **state)
{
	struct exam exam = exam_of(KTLS_UNREACHABLE, EACCES);

	exam.named_by = "KTLSD_SOCKET";
	exam.socket_stat.st_mode = S_IFSOCK | 0600;
	check(&exam, "service", VERDICT_FAULT, ADMIN, "alice may not open " PATH ", which is 0600 and of group ktls",
	      "let its owner make it 0660 and of group ktls");
}

static void test_silent(void **state)
{
	struct exam exam = exam_of(KTLS_SILENT, ETIMEDOUT);

	strcpy(exam.reach_message, "what came; does it start?");
	for (int i = 0; i < 2; i++) {
		check(&exam, "service", VERDICT_FAULT, ADMIN, "what came",
		      "as root, run systemctl restart ktlsd; journalctl -u ktlsd tells what held it up");
		exam.reached = KTLS_LOST;
	}
	exam.named_by = "--socket";
	check(&exam, "service", VERDICT_FAULT, ADMIN, "what came",
	      "end ktlsd, by kill -KILL if need be, and start it anew");
}

static void test_stranger(void **state)
{
	static const enum ktls_status strangers[] = { KTLS_PROTOCOL,
						      KTLS_INTERFACE_NOT_FOUND, KTLS_UNREACHABLE };

	for (size_t i = 0; i < array_size(strangers); i++) {
		struct exam exam = exam_of(strangers[i], EPROTOTYPE);

		check(&exam, "service", VERDICT_FAULT, ADMIN, "it is not ktlsd that listens at " PATH ": what came",
		      "as root, run ss -xlp src " PATH "; end what it shows, and run systemctl restart ktlsd.socket");
		check_named(&exam, "it is not ktlsd that listens at");
	}
}

static void test_older(void **state)
{
	static const enum ktls_status older[] = { KTLS_METHOD_NOT_FOUND, KTLS_METHOD_NOT_IMPLEMENTED };

	for (size_t i = 0; i < array_size(older); i++) {
		struct exam exam = exam_of(older[i], 0);

		check(&exam, "service", VERDICT_FAULT, ADMIN,
		      "the service at " PATH " is older than ktlsctl, and knows less",
		      "as root, run systemctl daemon-reload && systemctl restart ktlsd");
		exam.named_by = "KTLSD_SOCKET";
		check(&exam, "service", VERDICT_FAULT, ADMIN,
		      "the service at " PATH " is older than ktlsctl, and knows less",
		      "start ktlsd anew, of the version that ktlsctl has");
	}
}

static void test_other_failure(void **state)
{
	struct exam exam = exam_of(KTLS_BUSY, 0);

	check(&exam, "service", VERDICT_FAULT, KTLS_WHO_RETRY, "what came", ktls_status_text(KTLS_BUSY));
}

/* --- how it runs */

static void test_configuration(void **state)
{
	struct exam exam = exam_of(KTLS_SILENT, ETIMEDOUT);

	check(&exam, "configuration", VERDICT_UNKNOWN, NOBODY, "the configuration was not read", "");
	exam.configuration.state = CONFIGURATION_UNREADABLE;
	check(&exam, "configuration", VERDICT_UNKNOWN, ADMIN, "the configuration was not read",
	      "as root, run ktlsd --check-config");
	exam.configuration.state = CONFIGURATION_GOOD;
	check(&exam, "configuration", VERDICT_OK, NOBODY, "the configuration has no fault", "");
}

static void test_configuration_faults(void **state)
{
	struct exam exam = exam_of(KTLS_SILENT, ETIMEDOUT);

	exam.configuration = (struct configuration){ CONFIGURATION_FAULTY, "a.conf:2: Key: why", 1 };
	check(&exam, "configuration", VERDICT_FAULT, ADMIN, "the service cannot start with a.conf:2: Key: why",
	      "as root, mend it, see it gone with ktlsd --check-config, and run systemctl restart ktlsd");
	exam.configuration.faults = 3;
	exam.reached = KTLS_LOST;
	check(&exam, "configuration", VERDICT_FAULT, ADMIN,
	      "the service cannot start with a.conf:2: Key: why (and 2 more)",
	      "as root, mend it, see it gone with ktlsd --check-config, and run systemctl restart ktlsd");
	exam.reached = KTLS_OK;
	check(&exam, "configuration", VERDICT_NOTE, ADMIN,
	      "the service could not start anew with a.conf:2: Key: why (and 2 more)",
	      "as root, mend it, see it gone with ktlsd --check-config, and run systemctl reload ktlsd");
	/* One cause is one fault: that it does not run at all is another. */
	exam.reached = KTLS_UNREACHABLE;
	assert_int_equal(look(checks_of_service, "configuration", &exam).verdict, VERDICT_NOTE);
}

static void test_version(void **state)
{
	struct exam exam = exam_of(KTLS_OK, 0);
	char text[128];

	check(&exam, "version", VERDICT_UNKNOWN, NOBODY, "the service does not tell", "");
	exam.status = document("{\"version\":\"0.0.1\"}");
	snprintf(text, sizeof(text), "the service is of version 0.0.1, ktlsctl of %s", ktls_library_version());
	check(&exam, "version", VERDICT_NOTE, ADMIN, text,
	      "as root, run systemctl daemon-reload && systemctl restart ktlsd");
	json_object_object_add(exam.status, "version", json_object_new_string(ktls_library_version()));
	snprintf(text, sizeof(text), "service and ktlsctl are of version %s", ktls_library_version());
	check(&exam, "version", VERDICT_OK, NOBODY, text, "");
	exam_deinit(&exam);
}

static void test_manager(void **state)
{
	struct exam exam = exam_of(KTLS_OK, 0);

	exam.capabilities = document("{\"managed\":true}");
	check(&exam, "manager", VERDICT_OK, NOBODY, "a service manager watches the service", "");
	put(exam.capabilities, "managed", "false");
	check(&exam, "manager", VERDICT_NOTE, ADMIN,
	      "the service runs by itself: nobody restarts it, or loads a module for it",
	      "as root, end it, and run systemctl enable --now ktlsd.socket");
	exam.systemd = false;
	check(&exam, "manager", VERDICT_NOTE, NOBODY,
	      "the service runs by itself: nobody restarts it, or loads a module for it", "");
	exam_deinit(&exam);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_named_rights),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_other_failure),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_configuration_faults),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
