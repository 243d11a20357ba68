/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=group_member,--wrap=getpwuid,--wrap=getgrnam */
#include "client/ctl-checks-request.c"

#include "tests/unit/exam.h"

#include <pwd.h>

enum { ROOT, ALICE = 1000, KTLS = 500 };

static struct {
	bool member, no_group;
} fake;

int __wrap_group_member(gid_t gid);
struct passwd *__wrap_getpwuid(uid_t uid);
struct group *__wrap_getgrnam(const char *name);

int __wrap_group_member(gid_t gid)
{
	return fake.member && gid == KTLS;
}

struct passwd *__wrap_getpwuid(uid_t uid)
{
	static char names[][8] = { "root", "alice" };
	static struct passwd entries[] = { { .pw_name = names[0] }, { .pw_name = names[1] } };

	return uid == ROOT ? &entries[0] : uid == ALICE ? &entries[1] : NULL;
}

struct group *__wrap_getgrnam(const char *name)
{
	static struct group ktls = { .gr_gid = KTLS };

	assert_string_equal(name, "ktls");
	return fake.no_group ? NULL : &ktls;
}

static const char capabilities[] =
	"{\"managed\":true,\"caller\":{\"uid\":1000,\"allowed\":true,\"barred\":false},"
	"\"policies\":[{\"name\":\"default\",\"offloadable\":[\"a\"]},{\"name\":\"strict\",\"offloadable\":[\"b\"]}],"
	"\"stores\":[{\"name\":\"system\",\"file\":\"/etc/ssl/certs/ca-certificates.crt\",\"certificates\":9,\"valid\":8},"
	"{\"name\":\"own\",\"file\":\"/etc/ktlsd/own.pem\",\"certificates\":1,\"valid\":1}]}";

static const char status[] =
	"{\"pid\":17,\"quotas\":[{\"name\":\"requests\",\"used\":3,\"limit\":4,\"userUsed\":1,\"userLimit\":2},"
	"{\"name\":\"connections\",\"used\":4,\"limit\":4,\"userUsed\":2,\"userLimit\":2}]}";

static struct exam exam_of(void)
{
	memset(&fake, 0, sizeof(fake));
	return (struct exam){ .capabilities = document(capabilities), .status = document(status) };
}

static void check(const struct exam *exam, const char *name, enum verdict verdict, enum ktls_who who,
		  const char *what, const char *cure)
{
	struct finding found = look(checks_of_request, name, exam);

	check_finding(&found, verdict, who, what, cure);
}

#define ADMIN KTLS_WHO_ADMINISTRATOR
#define NOBODY KTLS_WHO_NOBODY

static void put_caller(struct exam *exam, const char *text)
{
	put(exam->capabilities, "caller", text);
}

static void test_allowed(void **state)
{
	struct exam exam = exam_of();

	check(&exam, "access", VERDICT_OK, NOBODY, "alice may ask for connections", "");
	put_caller(&exam, "{\"uid\":77,\"allowed\":true,\"barred\":false}");
	check(&exam, "access", VERDICT_OK, NOBODY, "77 may ask for connections", "");
	put_caller(&exam, "{\"uid\":1000,\"allowed\":true,\"barred\":true}");
	check(&exam, "access", VERDICT_FAULT, KTLS_WHO_RETRY,
	      "a worker has crashed at a request of alice, who has to wait",
	      "wait, at most as long as UserPenaltySec= says; journalctl -u ktlsd tells of the crash");
	exam_deinit(&exam);
}

#define NO_RULE(user) "no access rule lets " user " have a connection"
#define JOIN(user) "as root, run usermod -aG ktls " user "; then log in anew; or let an [Access] section of "	\
		   "/etc/ktlsd have Users=" user ", and run systemctl reload ktlsd"
#define NAME(user) "as root, let an [Access] section of /etc/ktlsd that comes before any that denies have "	\
		   "Users=" user ", and run systemctl reload ktlsd"

static void test_no_rule(void **state)
{
	struct exam exam = exam_of();

	put_caller(&exam, "{\"uid\":1000,\"allowed\":false,\"barred\":false}");
	check(&exam, "access", VERDICT_FAULT, ADMIN, NO_RULE("alice"), JOIN("alice"));
	fake.member = true;
	check(&exam, "access", VERDICT_FAULT, ADMIN, NO_RULE("alice"), NAME("alice"));
	fake.member = false;
	fake.no_group = true;
	check(&exam, "access", VERDICT_FAULT, ADMIN, NO_RULE("alice"), NAME("alice"));
	fake.member = true;
	check(&exam, "access", VERDICT_FAULT, ADMIN, NO_RULE("alice"), NAME("alice"));
	put_caller(&exam, "{\"uid\":0,\"allowed\":false,\"barred\":false}");
	check(&exam, "access", VERDICT_NOTE, ADMIN, NO_RULE("root"), NAME("root"));
	exam_deinit(&exam);
}

static void test_policies(void **state)
{
	struct exam exam = exam_of();

	check(&exam, "policies", VERDICT_OK, NOBODY, "each policy leaves suites that this kernel takes", "");
	put(exam.capabilities, "policies", "[{\"name\":\"a\",\"offloadable\":[\"x\"]},{\"name\":\"b\",\"offloadable\":[]}]");
	check(&exam, "policies", VERDICT_FAULT, ADMIN, "policy b leaves nothing that this kernel takes",
	      "as root, change its Ciphers= in /etc/ktlsd, and run systemctl reload ktlsd; ktlsctl ciphers shows "
	      "what the kernel takes");
	exam_deinit(&exam);
}

static void check_store(const char *store, const char *what, const char *cure)
{
	struct exam exam = exam_of();
	char text[512];

	snprintf(text, sizeof(text), "[{\"name\":\"good\",\"certificates\":1,\"valid\":1},%s]", store);
	put(exam.capabilities, "stores", text);
	check(&exam, "stores", VERDICT_FAULT, ADMIN, what, cure);
	exam_deinit(&exam);
}

static void test_stores(void **state)
{
	struct exam exam = exam_of();

	check(&exam, "stores", VERDICT_OK, NOBODY, "each trust store has valid certificates", "");
	exam_deinit(&exam);
	check_store("{\"name\":\"system\",\"file\":null,\"certificates\":0,\"valid\":0}", "trust store system is empty",
		    "as root, install the package ca-certificates, and run systemctl reload ktlsd");
	check_store("{\"name\":\"system\",\"file\":\"/etc/ssl/certs/ca-certificates.crt\",\"certificates\":0,\"valid\":0}",
		    "trust store system is empty: /etc/ssl/certs/ca-certificates.crt",
		    "as root, run update-ca-certificates && systemctl reload ktlsd; the package ca-certificates has "
		    "what it takes");
	check_store("{\"name\":\"system\",\"file\":\"/etc/pki/tls.pem\",\"certificates\":2,\"valid\":0}",
		    "no certificate of trust store system is within its dates: /etc/pki/tls.pem",
		    "as root, run update-ca-trust && systemctl reload ktlsd; the package ca-certificates has what it takes");
	check_store("{\"name\":\"own\",\"file\":\"/srv/own.pem\",\"certificates\":2,\"valid\":0}",
		    "no certificate of trust store own is within its dates: /srv/own.pem",
		    "as root, put current certificates into /srv/own.pem, and run systemctl reload ktlsd");
}

static void check_limit(const char *quotas, const char *what)
{
	struct exam exam = exam_of();

	put(exam.status, "quotas", quotas);
	check(&exam, "limits", VERDICT_FAULT, KTLS_WHO_RETRY, what,
	      "try again later, or have it raised in [Limits] of /etc/ktlsd: ktlsd.conf(5)");
	exam_deinit(&exam);
}

static void test_limits(void **state)
{
	struct exam exam = exam_of();

	/* doctor's own connection is among them. */
	check(&exam, "limits", VERDICT_OK, NOBODY, "no limit is reached", "");
	put(exam.status, "quotas", "[{\"name\":\"connections\",\"used\":-9223372036854775808,\"limit\":1,"
				   "\"userUsed\":2,\"userLimit\":2}]");
	check(&exam, "limits", VERDICT_OK, NOBODY, "no limit is reached", "");
	json_object_put(exam.status);
	exam.status = NULL;
	check(&exam, "limits", VERDICT_UNKNOWN, NOBODY, "the service does not tell", "");
	exam_deinit(&exam);
	check_limit("[{\"name\":\"requests\",\"used\":2,\"limit\":9,\"userUsed\":2,\"userLimit\":2}]",
		    "this user has reached the limit of requests, which is 2");
	check_limit("[{\"name\":\"requests\",\"used\":9,\"limit\":9,\"userUsed\":0,\"userLimit\":2}]",
		    "all users together have reached the limit of requests, which is 9");
	check_limit("[{\"name\":\"connections\",\"used\":5,\"limit\":4,\"userUsed\":1,\"userLimit\":2}]",
		    "all users together have reached the limit of connections, which is 4");
}

static void check_target(const char *probed, enum verdict verdict, enum ktls_who who, const char *what,
			 const char *cure)
{
	struct exam exam = exam_of();

	exam.target = "a.test:1";
	exam.probed = document(probed);
	check(&exam, "target", verdict, who, what, cure);
	exam_deinit(&exam);
}

static void test_target(void **state)
{
	struct exam exam = exam_of();

	check(&exam, "target", VERDICT_UNKNOWN, NOBODY, "no HOST:PORT was named to be tried", "");
	exam_deinit(&exam);
	check_target("{\"takesOver\":true,\"session\":{\"cipher\":\"GCM\"}}", VERDICT_OK, NOBODY,
		     "a.test:1: GCM, which the kernel takes", "");
	check_target("{\"takesOver\":false,\"session\":{\"cipher\":\"CBC\"}}", VERDICT_FAULT, KTLS_WHO_PEER,
		     "a.test:1: CBC, which the kernel does not take",
		     "let the server have an AEAD suite: ktlsctl probe a.test:1 shows which it takes");
	check_target("{\"error\":{\"name\":\"ConnectFailed\",\"stage\":\"connect\",\"message\":\"no\",\"exitStatus\":3}}",
		     VERDICT_FAULT, KTLS_WHO_PEER, "a.test:1: connect: no (ConnectFailed)",
		     "ktlsctl probe a.test:1 shows all of it");
	check_target("{\"error\":{\"name\":\"NotAuthorized\",\"stage\":\"policy\",\"message\":\"no\",\"exitStatus\":2}}",
		     VERDICT_FAULT, ADMIN, "a.test:1: policy: no (NotAuthorized)",
		     "ktlsctl probe a.test:1 shows all of it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_no_rule),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
