/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=setsockopt,--wrap=mnl_socket_sendto */
#include "client/ctl-diag-trial.c"

#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NOBODY 65534

/* A kernel that has no TLS takes a socket for one that has, if the test wants it to. */
static bool any_ulp;

int __real_setsockopt(int sock, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int sock, int level, int name, const void *value, socklen_t size);

int __wrap_setsockopt(int sock, int level, int name, const void *value, socklen_t size)
{
	if (level != IPPROTO_TCP || name != TCP_ULP)
		return __real_setsockopt(sock, level, name, value, size);
	assert_string_equal(value, "tls");
	errno = ENOENT;
	return any_ulp ? 0 : -1;
}

static void check_privileged(struct json_object *all, bool needed, bool had)
{
	struct json_object *columns = json_object_object_get(all, "columns");

	assert_string_equal(json_object_get_string(json_object_object_get(all, "capability")), "CAP_NET_ADMIN");
	assert_int_equal(json_object_get_boolean(json_object_object_get(all, "needed")), needed);
	assert_int_equal(json_object_get_boolean(json_object_object_get(all, "had")), had);
	assert_int_equal(json_object_array_length(columns), needed ? 7 : 0);
	if (needed)
		assert_string_equal(json_object_get_string(json_object_array_get_idx(columns, 0)), "version");
	json_object_put(all);
}

static void test_judge(void **state)
{
	static const struct {
		enum answer ours, unprivileged;
		bool capable, needed, had;
	} rows[] = {
		{ TOLD, TOLD, true, false, true },	     /* 6.15 and later */
		{ TOLD, TOLD, false, false, false },
		{ TOLD, NOT_TOLD, true, true, true },	     /* before */
		{ NOT_TOLD, NOT_TOLD, false, true, false },
		{ NOT_TOLD, NOT_TOLD, true, true, false },   /* root of a user namespace */
		{ NOT_TRIED, NOT_TRIED, true, true, true },
		{ NOT_TRIED, NOT_TRIED, false, true, false },
		{ TOLD, NOT_TRIED, false, true, true },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		print_message("# row %zu\n", i);
		check_privileged(judge(rows[i].ours, rows[i].unprivileged, rows[i].capable), rows[i].needed,
				 rows[i].had);
	}
}

static bool capable(void)
{
	struct capabilities all = capabilities_get();

	return net_admin(&all);
}

static bool asked_capable;

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *nl, const void *data, size_t length);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *data, size_t length);

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *data, size_t length)
{
	asked_capable = capable();
	return __real_mnl_socket_sendto(nl, data, length);
}

static void test_module(void **state)
{
	char proc[] = "/tmp/test-ctl-diag-trial.XXXXXX", path[128];

	assert_non_null(mkdtemp(proc));
	assert_false(module_is_there(proc));
	snprintf(path, sizeof(path), "%s/net", proc);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_false(module_is_there(proc));
	snprintf(path, sizeof(path), "%s/net/tls_stat", proc);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_true(module_is_there(proc));
	unlink(path);
	snprintf(path, sizeof(path), "%s/net", proc);
	rmdir(path);
	rmdir(proc);
}

static void test_no_module(void **state)
{
	check_privileged(diag_privileged(NULL, "/nowhere"), true, capable());
}

static struct diag real_diag(void)
{
	struct diag diag;

	assert_int_equal(diag_open(&diag), 0);
	return diag;
}

/* A connection that the kernel finds, and in which there is no TLS. */
static void test_connection(void **state)
{
	struct diag diag = real_diag();
	struct trial trial;

	any_ulp = true;
	trial_open(&trial);
	assert_true(trial_connect(&trial));
	assert_int_equal(ask_about(&diag, &trial), NOT_TOLD);
	assert_int_equal(ask_unprivileged(&trial), NOT_TOLD);
	/* A question that nothing answers. */
	trial.local.sin_port = 0;
	assert_int_equal(ask_about(&diag, &trial), NOT_TRIED);
	trial_close(&trial);
	diag_close(&diag);
}

static void test_no_ulp(void **state)
{
	enum answer ours = NOT_TRIED, unprivileged = NOT_TRIED;
	struct diag diag = real_diag();
	int before = dup(0), after;

	any_ulp = false;
	try(&diag, &ours, &unprivileged);
	assert_int_equal(ours, NOT_TRIED);
	assert_int_equal(unprivileged, NOT_TRIED);
	any_ulp = true;
	try(&diag, &ours, &unprivileged);
	assert_int_equal(ours, NOT_TOLD);
	assert_int_equal(unprivileged, NOT_TOLD);
	close(before);
	after = dup(0); /* no descriptor is left behind */
	assert_int_equal(after, before);
	close(after);
	diag_close(&diag);
}

/* Each question is asked without the capability, and that is there again behind it. */
static void test_capability(void **state)
{
	struct diag diag = real_diag();
	struct trial trial = { 0 };

	assert_true(capable());
	ask_about(&diag, &trial);
	assert_true(asked_capable);
	ask_unprivileged(&trial);
	assert_false(asked_capable);
	assert_true(capable());
	diag_close(&diag);
}

static void as_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(1);
	_exit(capable() ? 2 : 0);
}

static void test_nobody(void **state)
{
	int status;
	pid_t pid;

	assert_true(capable());
	pid = fork();
	if (pid == 0)
		as_nobody();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),	   cmocka_unit_test(test_module),
		cmocka_unit_test(test_no_module),  cmocka_unit_test(test_connection),
		cmocka_unit_test(test_no_ulp),	   cmocka_unit_test(test_capability),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
