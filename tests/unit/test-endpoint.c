/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=listen */
#include "tests/unit/own-files.h"

#include "daemon/endpoint.h"

#include <pwd.h>
#include <sys/un.h>
#include <sys/wait.h>

#define GROUPS_WITHOUT "root:x:0:\nnogroup:x:65534:\n"
#define GROUPS_WITH GROUPS_WITHOUT "ktls:x:4321:\n"
#define KTLS 4321
#define NOBODY 65534

int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);

/* Somebody who may write to the directory puts this in the socket's place at once. */
static const char *swap_path, *swap_target;

int __wrap_listen(int fd, int backlog)
{
	if (swap_path) {
		assert_int_equal(unlink(swap_path), 0);
		assert_int_equal(symlink(swap_target, swap_path), 0);
	}
	return __real_listen(fd, backlog);
}

/* --- helpers */

static char log_text[4096];

static const char *path_of(const char *name)
{
	static char path[4][256];
	static unsigned int turn;

	turn = (turn + 1) % array_size(path);
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", own_files.directory, name);
	return path[turn];
}

/* endpoint_open(), and what it logs is in log_text. */
static int open_logged(const char *path)
{
	int pipes[2], fd;
	struct log log;
	ssize_t n;

	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(&log, pipes[1]);
	fd = endpoint_open(path, &log);
	log_deinit(&log);
	n = read(pipes[0], log_text, sizeof(log_text) - 1);
	log_text[n > 0 ? n : 0] = '\0';
	close_fd(&pipes[0]);
	close_fd(&pipes[1]);
	return fd;
}

static void expect_refused(const char *path, const char *why)
{
	assert_int_equal(open_logged(path), -1);
	if (!strstr(log_text, why) || (path && !strstr(log_text, path)))
		fail_msg("no %s in %s", why, log_text);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		close_fd(&fd);
	return fd;
}

static void expect_serving(int fd, const char *path)
{
	int caller = connect_to(path), accepted;

	assert_true(caller >= 0);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	close_fd(&accepted);
	close_fd(&caller);
	assert_int_equal(accept4(fd, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void expect_mode(const char *path, mode_t mode, gid_t gid)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & ~S_IFMT, mode);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_uid, geteuid());
}

static int listen_somewhere(int type, const char *path, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listening)
		assert_int_equal(__real_listen(fd, 0), 0);
	return fd;
}

/* In a process of its own: true if it came to the end. */
static bool in_a_child(void (*run)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define child_expect(condition)                                                                \
	do {                                                                                   \
		if (!(condition)) {                                                            \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                              \
		}                                                                              \
	} while (0)

/* --- a socket of our own */

static void test_made_for_the_group(void **state)
{
	static const mode_t masks[] = { 0022, 0077, 0, 0777 };
	const char *path = path_of("made");

	for (size_t i = 0; i < array_size(masks); i++) {
		mode_t kept = umask(masks[i]);
		int fd = open_logged(path);

		assert_int_equal(umask(kept), masks[i]);
		assert_true(fd >= 0);
		assert_string_equal(log_text, "");
		expect_mode(path, 0660, KTLS);
		expect_serving(fd, path);
		close_fd(&fd);
	}
	unlink(path);
}

static void test_made_without_the_group(void **state)
{
	const char *path = path_of("made");
	int fd;

	write_file("group", GROUPS_WITHOUT);
	fd = open_logged(path);
	write_file("group", GROUPS_WITH);
	assert_true(fd >= 0);
	assert_string_equal(log_text, "");
	expect_mode(path, 0600, 0);
	expect_serving(fd, path);
	close_fd(&fd);
	unlink(path);
}

static void make_as_nobody(void)
{
	const char *path = path_of("nobody/made");
	int fd;

	child_expect(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	fd = open_logged(path);
	child_expect(fd >= 0);
	child_expect(strstr(log_text, "ktls"));
	expect_mode(path, 0600, NOBODY);
	expect_serving(fd, path);
}

static void test_made_by_somebody_who_cannot_give_it(void **state)
{
	const char *directory = path_of("nobody");

	assert_int_equal(mkdir(directory, 0755), 0);
	assert_int_equal(chown(directory, NOBODY, NOBODY), 0);
	assert_true(in_a_child(make_as_nobody));
	assert_int_equal(unlink(path_of("nobody/made")), 0);
	assert_int_equal(rmdir(directory), 0);
}

static void test_the_default_place(void **state)
{
	mode_t kept;
	int fd;

	assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=0755"), 0);
	kept = umask(0077);
	fd = open_logged(NULL);
	umask(kept);
	assert_true(fd >= 0);
	expect_mode("/run/ktlsd", 0755, 0);
	expect_mode(ENDPOINT_DEFAULT, 0660, KTLS);
	expect_serving(fd, ENDPOINT_DEFAULT);
	close_fd(&fd);
	/* The directory may be there. */
	fd = open_logged(NULL);
	assert_true(fd >= 0);
	close_fd(&fd);
	assert_int_equal(unlink(ENDPOINT_DEFAULT), 0);
	assert_int_equal(rmdir("/run/ktlsd"), 0);
	fd = open("/run/ktlsd", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close_fd(&fd);
	expect_refused(NULL, ENDPOINT_DEFAULT);
	assert_int_equal(umount2("/run", MNT_DETACH), 0);
}

/* --- who is there already */

static void test_a_stale_socket_is_replaced(void **state)
{
	const char *path = path_of("stale");
	int fd = listen_somewhere(SOCK_STREAM, path, true);

	close_fd(&fd);
	fd = open_logged(path);
	assert_true(fd >= 0);
	expect_mode(path, 0660, KTLS);
	expect_serving(fd, path);
	close_fd(&fd);
	unlink(path);
}

static void test_a_live_socket_is_left_alone(void **state)
{
	const char *path = path_of("live");
	int fd = listen_somewhere(SOCK_STREAM, path, true), waiting[2], accepted;

	expect_refused(path, "somebody serves it");
	accepted = accept(fd, NULL, NULL); /* it was asked whether it lives */
	assert_true(accepted >= 0);
	close_fd(&accepted);
	/* Neither is one that has more callers than it can take. */
	waiting[0] = connect_to(path);
	waiting[1] = connect_to(path);
	assert_true(waiting[0] >= 0 && waiting[1] < 0 && errno == EAGAIN);
	expect_refused(path, "somebody serves it");
	close_fd(&waiting[0]);
	accepted = accept(fd, NULL, NULL);
	assert_true(accepted >= 0);
	close_fd(&accepted);
	close_fd(&fd);
	unlink(path);
}

static int make_file(const char *path)
{
	return open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
}

static int make_directory(const char *path)
{
	return mkdir(path, 0750);
}

static int make_fifo(const char *path)
{
	return mkfifo(path, 0640);
}

static int make_datagram_socket(const char *path)
{
	return listen_somewhere(SOCK_DGRAM, path, false);
}

/* Also one to a socket that nobody serves: the link is somebody else's. */
static int make_link(const char *path)
{
	int fd = listen_somewhere(SOCK_STREAM, path_of("stale"), true);

	close_fd(&fd);
	return symlink(path_of("stale"), path);
}

static int make_dangling_link(const char *path)
{
	return symlink(path_of("nowhere"), path);
}

static int (*const others[])(const char *path) = {
	make_file, make_directory, make_fifo, make_datagram_socket, make_link, make_dangling_link,
};

static void test_what_is_no_socket_of_ours_is_left_alone(void **state)
{
	const char *path = path_of("other");
	struct stat before, after;

	for (size_t i = 0; i < array_size(others); i++) {
		int fd = others[i](path);

		assert_true(fd >= 0);
		assert_int_equal(lstat(path, &before), 0);
		expect_refused(path, path);
		assert_int_equal(lstat(path, &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(before.st_mode, after.st_mode);
		assert_int_equal(before.st_gid, after.st_gid);
		if (fd > STDERR_FILENO)
			close_fd(&fd);
		assert_int_equal(remove(path), 0);
	}
	assert_int_equal(unlink(path_of("stale")), 0);
	assert_int_equal(access(path_of("nowhere"), F_OK), -1);
}

/* In a directory that others write to: it is the socket that is given to the group, or nothing. */
static void test_a_link_in_the_socket_s_place(void **state)
{
	const char *path = path_of("swapped"), *victim = path_of("victim");
	int fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close_fd(&fd);
	swap_path = path;
	swap_target = victim;
	fd = open_logged(path);
	swap_path = NULL;
	expect_mode(victim, 0600, 0);
	close_fd(&fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(victim), 0);
}

/* --- paths */

static void test_paths(void **state)
{
	struct sockaddr_un address;
	char path[sizeof(address.sun_path) + 1];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s/", own_files.directory);
	int fd;

	memset(path + n, 'p', sizeof(path) - n);
	path[sizeof(address.sun_path)] = '\0';
	expect_refused(path, "too long");
	path[sizeof(address.sun_path) - 1] = '\0';
	fd = open_logged(path);
	assert_true(fd >= 0);
	expect_serving(fd, path);
	close_fd(&fd);
	assert_int_equal(unlink(path), 0);

	expect_refused(path_of("no/where"), "directory");
	/* It would be an address without any mode, which everybody may connect to. */
	expect_refused("", "");
}

/* --- sockets from systemd */

static void pass(int fd, int n, bool to_us)
{
	char text[16];

	child_expect(dup2(fd, 3) == 3);
	if (n > 1)
		child_expect(dup2(fd, 4) == 4);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof(text), "%d", to_us ? getpid() : getppid());
	setenv("LISTEN_PID", text, 1);
}

/* The log's own descriptors must not be in the way of 3 and 4. */
static int open_passed(int fd, int n, bool to_us)
{
	struct log log;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	child_expect(high >= 0);
	pass(high, n, to_us);
	log_init(&log, -1);
	fd = endpoint_open(path_of("unused"), &log);
	log_deinit(&log);
	return fd;
}

static int passed_socket(int type, bool listening)
{
	return listen_somewhere(type, path_of("passed"), listening);
}

static void take_one(void)
{
	int fd = open_passed(passed_socket(SOCK_STREAM, true), 1, true);

	child_expect(fd == 3);
	child_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	child_expect(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID"));
	child_expect(access(path_of("unused"), F_OK) < 0);
	expect_serving(fd, path_of("passed"));
}

static void refuse_two(void)
{
	child_expect(open_passed(passed_socket(SOCK_STREAM, true), 2, true) < 0);
	child_expect(access(path_of("unused"), F_OK) < 0);
}

static void refuse_one_that_does_not_listen(void)
{
	child_expect(open_passed(passed_socket(SOCK_STREAM, false), 1, true) < 0);
}

static void refuse_datagrams(void)
{
	child_expect(open_passed(passed_socket(SOCK_DGRAM, false), 1, true) < 0);
}

static void refuse_tcp(void)
{
	struct sockaddr_storage address;

	child_expect(open_passed(tcp_listen(AF_INET, &address, 1), 1, true) < 0);
}

static void refuse_what_is_no_socket(void)
{
	child_expect(open_passed(STDIN_FILENO, 1, true) < 0);
}

/* They are for another process: it has none. */
static void take_none(void)
{
	int fd = open_passed(passed_socket(SOCK_STREAM, true), 1, false);

	child_expect(fd > 3);
	expect_serving(fd, path_of("unused"));
	unlink(path_of("unused"));
}

static void (*const passing[])(void) = {
	take_one, refuse_two, refuse_one_that_does_not_listen, refuse_datagrams, refuse_tcp,
	refuse_what_is_no_socket, take_none,
};

static void test_sockets_from_systemd(void **state)
{
	for (size_t i = 0; i < array_size(passing); i++) {
		unlink(path_of("passed"));
		if (!in_a_child(passing[i]))
			fail_msg("number %zu", i);
	}
	unlink(path_of("passed"));
}

static int files_init(void **state)
{
	own_files_init(0);
	replace_etc("group", GROUPS_WITH);
	replace_etc("nsswitch.conf", "group: files\n");
	return 0;
}

static int files_deinit(void **state)
{
	own_files_deinit();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_for_the_group),
		cmocka_unit_test(test_made_without_the_group),
		cmocka_unit_test(test_made_by_somebody_who_cannot_give_it),
		cmocka_unit_test(test_the_default_place),
		cmocka_unit_test(test_a_stale_socket_is_replaced),
		cmocka_unit_test(test_a_live_socket_is_left_alone),
		cmocka_unit_test(test_what_is_no_socket_of_ours_is_left_alone),
		cmocka_unit_test(test_a_link_in_the_socket_s_place),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_sockets_from_systemd),
	};

	return cmocka_run_group_tests(tests, files_init, files_deinit);
}
