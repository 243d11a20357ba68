/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "daemon/endpoint.h"
#include "daemon/server.h"
#include "tests/unit/loop.h"

#include <signal.h>
#include <sys/un.h>
#include <sys/wait.h>

#define GET_INFO "{\"method\":\"org.varlink.service.GetInfo\"}"

/* A server in a process of its own: it gives up root for good, and is stopped by signals. */
struct service {
	char directory[32], path[64], notify_path[64];
	int notify;
	pid_t pid;
};

static int serve(const char *path)
{
	struct log log = { .fd = -1 };
	struct server server = { 0 };
	bool good;
	struct config *config = config_load("/dev/null", stderr, &good);
	int fd = endpoint_open(path, &log), status = 1;

	if (config && good && fd >= 0 && server_init(&server, config, &log, fd)) {
		server_run(&server);
		status = 0;
	}
	server_deinit(&server);
	server_deinit(&server);
	config_free(config);
	return status;
}

static void begin(struct service *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(s->directory, "/tmp/test-server.XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	assert_int_equal(chmod(s->directory, 0755), 0);
	snprintf(s->path, sizeof(s->path), "%s/socket", s->directory);
	snprintf(s->notify_path, sizeof(s->notify_path), "%s/notify", s->directory);
	strcpy(address.sun_path, s->notify_path);
	s->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->notify, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chmod(s->notify_path, 0666), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", s->notify_path, 1), 0);
	s->pid = fork();
	if (s->pid == 0)
		exit(serve(s->path));
	unsetenv("NOTIFY_SOCKET");
}

static void expect_notification(struct service *s, const char *what)
{
	char text[256] = "";

	assert_true(wait_for_events(s->notify, POLLIN, PATIENCE));
	assert_true(recv(s->notify, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, what);
}

static void end(struct service *s, int number)
{
	int status;

	assert_int_equal(kill(s->pid, number), 0);
	expect_notification(s, "STOPPING=1");
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 0);
	close_fd(&s->notify);
	unlink(s->path);
	unlink(s->notify_path);
	assert_int_equal(rmdir(s->directory), 0);
}

static int call(struct service *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, GET_INFO, sizeof(GET_INFO), 0), sizeof(GET_INFO));
	return fd;
}

static void test_serves_until_it_is_told_to_stop(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct service s;
	char text[1024];

	for (size_t i = 0; i < array_size(signals); i++) {
		_cleanup_fd_ int fd = -1;

		begin(&s);
		expect_notification(&s, "READY=1");
		fd = call(&s);
		assert_true(wait_for_events(fd, POLLIN, PATIENCE));
		assert_true(recv(fd, text, sizeof(text), 0) > 0);
		assert_non_null(strstr(text, "\"product\":\"ktlsd\""));
		end(&s, signals[i]);
		/* The caller is told by the end of its connection. */
		assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_until_it_is_told_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
