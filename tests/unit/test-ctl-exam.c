/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=configuration_check,--wrap=ctl_service_call,--wrap=ktls_get_status,--wrap=poll */
#include "client/ctl-exam.c"

#include "tests/unit/exam.h"

#include <stdlib.h>

/* A service that answers as it is told. */
static struct {
	const char *capabilities[2]; /* one after the other; NULL: none */
	size_t asked;
	int checked, waited;
	char calls[256];
} fake;

void __wrap_configuration_check(struct configuration *configuration);
struct json_object *__wrap_ctl_service_call(struct ctl *ctl, const char *method);
enum ktls_status __wrap_ktls_get_status(const struct ktls *k);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

void __wrap_configuration_check(struct configuration *configuration)
{
	fake.checked++;
	configuration->state = CONFIGURATION_GOOD;
}

struct json_object *__wrap_ctl_service_call(struct ctl *ctl, const char *method)
{
	const char *text = "{}";

	snprintf(fake.calls + strlen(fake.calls), sizeof(fake.calls) - strlen(fake.calls), "%s%s",
		 *fake.calls ? " " : "", strrchr(method, '.') + 1);
	if (strcmp(method, "io.ktlsd.GetCapabilities") == 0)
		text = fake.capabilities[fake.asked++];
	else if (strcmp(method, "io.ktlsd.Probe") == 0)
		text = "{\"error\":{\"exitStatus\":77}}";
	return text ? document(text) : NULL;
}

enum ktls_status __wrap_ktls_get_status(const struct ktls *k)
{
	return fake.capabilities[0] ? KTLS_OK : KTLS_SILENT;
}

/* No waiting here; what the trial on loopback waits for is its own. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (n)
		return __real_poll(fds, n, timeout);
	fake.waited = timeout;
	return 0;
}

static struct exam exam_of(const char *capabilities)
{
	struct exam exam = { .socket = NULL };
	struct ctl ctl = { .k = ktls_new() };

	memset(&fake, 0, sizeof(fake));
	fake.capabilities[0] = capabilities;
	exam_make(&exam, &ctl);
	ktls_free(ctl.k);
	return exam;
}

/* --- the service */

static void test_asked(void **state)
{
	struct exam exam = exam_of("{\"managed\":true}");

	assert_string_equal(exam.socket, "/run/ktlsd/io.ktlsd");
	assert_null(exam.named_by);
	assert_int_equal(exam.reached, KTLS_OK);
	assert_string_equal(fake.calls, "GetCapabilities GetStatus");
	assert_true(view_true(exam.capabilities, "managed"));
	assert_non_null(exam.status);
	assert_null(exam.probed);
	assert_non_null(exam.trial);
	assert_int_equal(exam.configuration.state, CONFIGURATION_GOOD);
	exam_deinit(&exam);
}

static void test_silent(void **state)
{
	struct exam exam = exam_of(NULL);

	assert_int_equal(exam.reached, KTLS_SILENT);
	assert_string_equal(fake.calls, "GetCapabilities");
	assert_null(exam.capabilities);
	assert_int_equal(fake.checked, 1);
	exam_deinit(&exam);
}

/* It has a configuration of its own, which this program does not know. */
static void test_by_itself(void **state)
{
	struct exam exam = exam_of("{\"managed\":false}");

	assert_int_equal(fake.checked, 0);
	assert_int_equal(exam.configuration.state, CONFIGURATION_UNCHECKED);
	exam_deinit(&exam);
}

static void check_named(struct ctl *ctl, const char *by, int error)
{
	struct exam exam;

	ctl->k = ktls_new();
	memset(&fake, 0, sizeof(fake));
	exam_make(&exam, ctl);
	assert_string_equal(exam.socket, ctl->socket);
	assert_int_equal(exam.socket_errno, error);
	assert_int_equal(fake.checked, by ? 0 : 1);
	if (by)
		assert_string_equal(exam.named_by, by);
	else
		assert_null(exam.named_by);
	exam_deinit(&exam);
	ktls_free(ctl->k);
}

static void test_named(void **state)
{
	static const char path[] = "/nowhere/at/all", default_path[] = KTLS_SOCKET;

	check_named(&(struct ctl){ .socket = path, .environment = path }, "KTLSD_SOCKET", ENOENT);
	check_named(&(struct ctl){ .socket = path }, "--socket", ENOENT);
	check_named(&(struct ctl){ .socket = "/dev/null", .environment = path }, "--socket", 0);
	/* Whoever names what is the default anyway. */
	memset(&fake, 0, sizeof(fake));
	check_named(&(struct ctl){ .socket = default_path, .environment = default_path }, NULL,
		    access(default_path, F_OK) == 0 ? 0 : errno);
}

static void test_target(void **state)
{
	struct ctl ctl = { .k = ktls_new(), .target = "a.test:1" };
	struct exam exam;

	memset(&fake, 0, sizeof(fake));
	exam_make(&exam, &ctl);
	assert_string_equal(fake.calls, "GetCapabilities");
	exam_deinit(&exam);
	memset(&fake, 0, sizeof(fake));
	fake.capabilities[0] = "{}";
	exam_make(&exam, &ctl);
	assert_string_equal(fake.calls, "GetCapabilities GetStatus Probe");
	/* An answer does not pass for a failure. */
	assert_null(view_get(exam.probed, "error"));
	assert_string_equal(exam.target, "a.test:1");
	assert_non_null(exam.probed);
	exam_deinit(&exam);
	ktls_free(ctl.k);
}

/* --- what it is to find out by itself */

static void check_behind(const char *kernel, const char *trial, bool behind)
{
	struct exam exam = { .capabilities = document("{}"), .trial = document(trial) };
	struct ctl ctl = { .k = NULL };

	memset(&fake, 0, sizeof(fake));
	fake.capabilities[0] = "{\"anew\":true}";
	put(exam.capabilities, "kernel", kernel);
	let_catch_up(&exam, &ctl);
	assert_int_equal(view_true(exam.capabilities, "anew"), behind);
	assert_int_equal(fake.waited, behind ? CATCH_UP_MS : 0);
	exam_deinit(&exam);
}

static void test_behind(void **state)
{
	static const char works_all[] = "{\"tcpUlp\":\"works\",\"loopback\":\"works\"}";
	static const char none[] = "{\"tcpUlp\":null,\"loopback\":null}";

	check_behind("{\"tlsErrno\":null,\"loopbackErrno\":null}", works_all, false);
	check_behind("{\"tlsErrno\":\"ENOENT\",\"loopbackErrno\":null}", works_all, true);
	check_behind("{\"tlsErrno\":null,\"loopbackErrno\":\"ETIMEDOUT\"}", works_all, true);
	check_behind("{\"tlsErrno\":\"ENOENT\",\"loopbackErrno\":null}", none, false);
	check_behind("{\"tlsErrno\":null,\"loopbackErrno\":\"ETIMEDOUT\"}", none, false);
}

/* --- the machine */

static void write_to(const char *directory, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_modules(void **state)
{
	static const char *const files[] = { "modules.dep", "modules.builtin", "gcm.ko", "ccm.ko.xz" };
	char directory[] = "/tmp/ktls-unit-XXXXXX", path[128];

	assert_non_null(mkdtemp(directory));
	write_to(directory, "modules.dep", "k/gcm-more.ko: x.ko\ngcm.ko: ghash.ko\nccm.ko.xz:\nk/tls.ko: gcm.ko\n");
	write_to(directory, "modules.builtin", "kernel/net/tls/tls.ko\nkernel/last.ko");
	write_to(directory, "gcm.ko", "");
	write_to(directory, "ccm.ko.xz", "");
	assert_true(lists(directory, "modules.dep", "gcm", false));
	assert_true(lists(directory, "modules.dep", "ccm", false));
	/* Listed, and not there; what others need it for does not count; nor does half a name. */
	assert_false(lists(directory, "modules.dep", "tls", false));
	assert_false(lists(directory, "modules.dep", "ghash", false));
	assert_false(lists(directory, "modules.dep", "gc", false));
	assert_false(lists(directory, "modules.dep", "cm", false));
	assert_true(lists(directory, "modules.builtin", "tls", true));
	assert_true(lists(directory, "modules.builtin", "last", true));
	assert_false(lists(directory, "modules.none", "tls", true));
	for (size_t i = 0; i < N(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(directory), 0);
}

static void test_no_modules(void **state)
{
	const struct utsname kernel = { .release = "no such release" };

	assert_false(has_module(&kernel, "tls"));
}

static void test_says_one(void **state)
{
	char directory[] = "/tmp/ktls-unit-XXXXXX", path[128];

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/flag", directory);
	assert_false(says_one(path));
	write_to(directory, "flag", "0\n");
	assert_false(says_one(path));
	write_to(directory, "flag", "1\n");
	assert_true(says_one(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void test_down(void **state)
{
	assert_false(is_down("lo"));
	assert_true(is_down("no-such"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_by_itself),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_no_modules),
		cmocka_unit_test(test_says_one),
		cmocka_unit_test(test_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
