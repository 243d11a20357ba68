/* SPDX-License-Identifier: MIT */
/*
 * What Landlock by itself takes away, where this kernel has it: the system call filter that comes
 * on top of it (test-sandbox.c) would hide most of that.
 */
#include "tests/unit/loop.h"

#include "daemon/landlock.h"
#include "daemon/sanitizer.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct {
	char directory[32], file[64], other[64];
	int fd;				/* of the file, open for writing before */
	struct sockaddr_un address;	/* abstract */
	socklen_t size;
	int listening;			/* there */
	struct sockaddr_in tcp;		/* somebody listens there */
	int tcp_listening;
} scene;

/* --- what is tried: 0, or errno */

static int outcome(long result)
{
	return result < 0 ? errno : 0;
}

static int opened(int flags)
{
	int fd = open(scene.file, flags | O_CLOEXEC), error = outcome(fd);

	close_fd(&fd);
	return error;
}

static int reads(void)
{
	return opened(O_RDONLY);
}

static int writes(void)
{
	return opened(O_WRONLY);
}

static int lists(void)
{
	int fd = open(scene.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = outcome(fd);

	close_fd(&fd);
	return error;
}

static int creates(void)
{
	int fd = open(scene.other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), error = outcome(fd);

	close_fd(&fd);
	return error;
}

static int makes_a_directory(void)
{
	return outcome(mkdir(scene.other, 0700));
}

static int makes_a_link(void)
{
	return outcome(symlink("nowhere", scene.other));
}

static int removes(void)
{
	return outcome(unlink(scene.file));
}

static int executes(void)
{
	return outcome(execl("/bin/true", "true", NULL));
}

static int truncates(void)
{
	return outcome(truncate(scene.file, 0));
}

static int writes_what_is_open(void)
{
	return outcome(write(scene.fd, "x", 1));
}

static int bound(in_port_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : outcome(bind(fd, (struct sockaddr *)&in, sizeof(in)));
}

static int binds_to_any_port(void)
{
	return bound(0);
}

/* Somebody is there already, unless it is refused before that is found out. */
static int binds_to_a_port(void)
{
	int error = bound(scene.tcp.sin_port);

	return error == EADDRINUSE ? 0 : error;
}

static int connects(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : outcome(connect(fd, (struct sockaddr *)&scene.tcp, sizeof(scene.tcp)));
}

static int connects_to_abstract(void)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : outcome(connect(fd, (struct sockaddr *)&scene.address, scene.size));
}

static int signals_its_parent(void)
{
	return outcome(kill(getppid(), 0));
}

static int signals_itself(void)
{
	return outcome(kill(getpid(), 0));
}

#define NEVER 99

static const struct {
	const char *what;
	int (*does)(void);
	int abi;		/* the first that refuses it */
	int error;
	bool spared;		/* in a build for the address sanitizer */
} rows[] = {
	{ "reading", reads, 1, EACCES, true },
	{ "writing", writes, 1, EACCES },
	{ "listing", lists, 1, EACCES, true },
	{ "a new file", creates, 1, EACCES },
	{ "a new directory", makes_a_directory, 1, EACCES },
	{ "a new link", makes_a_link, 1, EACCES },
	{ "removing", removes, 1, EACCES },
	{ "executing", executes, 1, EACCES },
	/* before ABI 3 it is left to those that came before: writing is what open(2) asks for */
	{ "truncating", truncates, 3, EACCES },
	{ "writing to what is open", writes_what_is_open, NEVER },
	{ "a port of the kernel's choice", binds_to_any_port, NEVER },
	{ "a port of its own choice", binds_to_a_port, 4, EACCES },
	{ "connecting", connects, NEVER },
	{ "connecting to an abstract socket", connects_to_abstract, 6, EPERM },
	{ "a signal to its parent", signals_its_parent, 6, EPERM },
	{ "a signal to itself", signals_itself, NEVER },
};

/* --- in a process of its own, which cannot come back */

static int in_child(bool confined, int (*does)(void))
{
	int *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, error;
	pid_t pid;

	assert_true(result != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (confined && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_enter() < 0))
			_exit(1);
		*result = does();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	error = *result;
	munmap(result, sizeof(*result));
	return error;
}

static void make_file(void)
{
	unlink(scene.other);
	rmdir(scene.other);
	close_fd(&scene.fd);
	scene.fd = open(scene.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(scene.fd >= 0);
}

static void test_what_is_taken_away(void **state)
{
	int abi = landlock_abi();

	for (size_t i = 0; i < array_size(rows) && abi > 0; i++) {
		bool refused = abi >= rows[i].abi && !(rows[i].spared && ADDRESS_SANITIZER);
		int error;

		make_file();
		error = in_child(true, rows[i].does);
		if (error != (refused ? rows[i].error : 0))
			fail_msg("%s, ABI %d: %s", rows[i].what, abi, strerror(error));
	}
}

/* Or else it would not be Landlock that refuses it. */
static void test_what_others_may(void **state)
{
	for (size_t i = 0; i < array_size(rows); i++) {
		int error;

		make_file();
		error = in_child(false, rows[i].does);
		if (error != 0)
			fail_msg("%s: %s", rows[i].what, strerror(error));
	}
}

/* What the kernel itself says; what is younger than we know counts as what we know. */
static void test_abi(void **state)
{
	long said = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	assert_int_equal(landlock_abi(), said < 0 ? 0 : said > 6 ? 6 : said);
}

static int enters_without_no_new_privs(void)
{
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return errno;
	return -landlock_enter();
}

static void test_failure(void **state)
{
	int error = in_child(false, enters_without_no_new_privs);

	assert_int_equal(error, landlock_abi() ? EPERM : ENOSYS);
}

/* --- the scene */

static int begin(void **state)
{
	socklen_t size = sizeof(scene.tcp);

	strcpy(scene.directory, "/tmp/ktls-unit-XXXXXX");
	assert_non_null(mkdtemp(scene.directory));
	snprintf(scene.file, sizeof(scene.file), "%s/file", scene.directory);
	snprintf(scene.other, sizeof(scene.other), "%s/other", scene.directory);
	scene.fd = -1;
	scene.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	scene.size = sizeof(sa_family_t);
	scene.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* a name that the kernel chooses (unix(7), autobind) */
	assert_int_equal(bind(scene.listening, (struct sockaddr *)&scene.address, scene.size), 0);
	scene.size = sizeof(scene.address);
	assert_int_equal(getsockname(scene.listening, (struct sockaddr *)&scene.address, &scene.size), 0);
	assert_int_equal(listen(scene.listening, 8), 0);
	scene.tcp = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	scene.tcp_listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(scene.tcp_listening, (struct sockaddr *)&scene.tcp, sizeof(scene.tcp)), 0);
	assert_int_equal(listen(scene.tcp_listening, 8), 0);
	return getsockname(scene.tcp_listening, (struct sockaddr *)&scene.tcp, &size);
}

static int end(void **state)
{
	close_fd(&scene.fd);
	close_fd(&scene.listening);
	close_fd(&scene.tcp_listening);
	unlink(scene.file);
	unlink(scene.other);
	rmdir(scene.other);
	return rmdir(scene.directory);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_taken_away),
		cmocka_unit_test(test_what_others_may),
		cmocka_unit_test(test_abi),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
