/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=kernel_attach,--wrap=tls_new,--wrap=kernel_probe,--wrap=kernel_ulp_errno */
#include "tests/unit/household.h"

#include "daemon/supervisor.h"

#include <sys/un.h>

bool __real_kernel_probe(struct kernel *kernel);
bool __wrap_kernel_probe(struct kernel *kernel);

/* Whatever the machine has, the service believes that its kernel takes TLS. */
bool __wrap_kernel_probe(struct kernel *kernel)
{
	*kernel = (struct kernel){ 0 };
	return true;
}

static bool module_is_there;

int __wrap_kernel_ulp_errno(void);

int __wrap_kernel_ulp_errno(void)
{
	return module_is_there ? 0 : ENOENT;
}

/* A service in a process of its own: it gives up root for good, and is told by signals. */
struct service {
	struct ev_loop *loop;
	int notify, listening, logged;
	int peer;			/* where requests go */
	struct sockaddr_storage address;
	pid_t pid;
	size_t descriptors;
	char log[32768];		/* all of it so far */
	size_t have;
};

enum { FAILED = 7, LEFT = 8 };

/* In the service's process. */
static int serve(int listening, int log_fd, bool managed)
{
	struct supervisor supervisor;
	struct setup *setup = setup_load(path_of("conf"), false, stderr);
	struct log log;
	int status = 0;

	log_init(&log, log_fd);
	if (!setup)
		return 1;
	if (!supervisor_init(&supervisor, setup, path_of("conf"), &log, listening, managed) ||
	    !supervisor_run(&supervisor))
		status = FAILED;
	/* Whoever ended has given everything back. */
	else if (supervisor.current || supervisor.next || !list_empty(&supervisor.old))
		status = LEFT;
	else
		expect_nothing_left(supervisor.household.ledger);
	supervisor_deinit(&supervisor);
	log_deinit(&log);
	return status;
}

static int bound(int type, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path_of(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chmod(address.sun_path, 0666), 0);
	return fd;
}

static struct service *service_fork(const char *config, bool managed)
{
	static struct service s;
	int pipes[2];

	s = (struct service){ .descriptors = count_descriptors() };
	write_config(config);
	s.loop = loop_new();
	s.peer = tcp_listen(AF_INET, &s.address, 64);
	s.notify = bound(SOCK_DGRAM, "notify");
	s.listening = bound(SOCK_STREAM | SOCK_NONBLOCK, "socket");
	assert_int_equal(listen(s.listening, 64), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	s.logged = pipes[0];
	assert_int_equal(setenv("NOTIFY_SOCKET", path_of("notify"), 1), 0);
	s.pid = fork();
	if (s.pid == 0)
		exit(serve(fcntl(s.listening, F_DUPFD_CLOEXEC, 0), pipes[1], managed));
	unsetenv("NOTIFY_SOCKET");
	close_fd(&pipes[1]);
	return &s;
}

/* Text of the notification that comes next, pulses left out. */
static const char *notification(struct service *s)
{
	static char text[1024];
	ssize_t n;

	do {
		assert_true(wait_for_events(s->notify, POLLIN, PATIENCE));
		n = recv(s->notify, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
	} while (strcmp(text, "WATCHDOG=1") == 0);
	return text;
}

static void expect_notification(struct service *s, const char *start, const char *part)
{
	const char *text = notification(s);

	if (strncmp(text, start, strlen(start)) != 0 || !strstr(text, part))
		fail_msg("not %s with %s, but %s", start, part, text);
}

#define expect_ready(s) expect_notification(s, "READY=1\nSTATUS=", "workers: 2 ")

static struct service *service_new_managed(const char *config, bool managed)
{
	struct service *s = service_fork(config, managed);

	expect_ready(s);
	return s;
}

#define TWO "[Service]\nWorkers=2\n"

static struct service *service_new(const char *more)
{
	char config[512];

	memset(&belief, 0, sizeof(belief));
	snprintf(config, sizeof(config), TWO "%s", more);
	return service_new_managed(config, false);
}

/* Waits until it has been logged. */
static void expect_logged(struct service *s, const char *part)
{
	while (!strstr(s->log, part)) {
		ssize_t n;

		if (!wait_for_events(s->logged, POLLIN, PATIENCE))
			fail_msg("no %s in: %s", part, s->log);
		n = read(s->logged, s->log + s->have, sizeof(s->log) - 1 - s->have);
		if (n <= 0)
			fail_msg("no %s in: %s", part, s->log);
		s->have += (size_t)n;
		s->log[s->have] = '\0';
	}
}

/* It ends well, and of all processes that it had none is left. */
static void expect_status(struct service *s, int expected)
{
	pid_t children[16];
	int status;

	assert_true(ends(s->pid));
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
	/* They would be ours by now. */
	for (size_t n = children_of(getpid(), children, 16); n--;)
		assert_true(ends(children[n]));
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void service_free(struct service *s, int status)
{
	expect_status(s, status);
	close_fd(&s->notify);
	close_fd(&s->listening);
	close_fd(&s->logged);
	close_fd(&s->peer);
	loop_free(s->loop);
	unlink(path_of("notify"));
	unlink(path_of("socket"));
	assert_int_equal(count_descriptors(), s->descriptors);
}

static void end(struct service *s)
{
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	expect_notification(s, "STOPPING=1", "");
	service_free(s, 0);
}

static struct client clients[8];

static struct client *call_as(struct service *s, size_t which)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path_of("socket"));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	client_init(&clients[which], s->loop, fd);
	return &clients[which];
}

static int begin_to_wait(struct service *s, struct client *client)
{
	return begin_request(client, s->peer, &s->address);
}

/* --- it serves */

static const int stop_signals[] = { SIGTERM, SIGINT };

static void test_serves_until_it_is_told_to_stop(void **state)
{
	for (size_t i = 0; i < array_size(stop_signals); i++) {
		struct service *s = service_new("");
		struct client *client = call_as(s, 0);

		expect_info(client);
		assert_int_equal(kill(s->pid, stop_signals[i]), 0);
		expect_notification(s, "STOPPING=1", "");
		expect_end(client);
		client_hang_up(client);
		service_free(s, 0);
	}
}

static void test_callers_of_both_workers(void **state)
{
	struct service *s = service_new("");

	for (size_t i = 0; i < 4; i++)
		expect_info(call_as(s, i));
	for (size_t i = 0; i < 4; i++) {
		expect_info(&clients[i]);
		client_hang_up(&clients[i]);
	}
	end(s);
}

/* Supervisor's children: the keeper of the nursery, and two workers. */
static size_t workers_of(const struct service *s, pid_t workers[8])
{
	pid_t children[8];
	size_t n = children_of(s->pid, children, 8), found = 0;
	char name[32];

	for (size_t i = 0; i < n; i++)
		if (read_proc(children[i], "comm", name, sizeof(name)) &&
		    strncmp(name, "ktlsd-worker", 12) == 0)
			workers[found++] = children[i];
	return found;
}

static void test_a_worker_is_killed(void **state)
{
	struct service *s = service_new("");
	pid_t workers[8], after[8];

	for (size_t i = 0; i < 2; i++)
		expect_info(call_as(s, i));
	assert_int_equal(workers_of(s, workers), 2);
	kill(workers[0], SIGKILL);
	/* One of the two callers is told, the other one served on, and so is whoever comes. */
	while (!clients[0].ended && !clients[1].ended)
		run_one_turn(s->loop);
	expect_lost(&clients[clients[0].ended ? 0 : 1]);
	expect_info(&clients[clients[0].ended ? 1 : 0]);
	expect_info(call_as(s, 2));
	expect_logged(s, "signal 9");
	while (workers_of(s, after) != 2)
		sched_yield();
	for (size_t i = 0; i < 3; i++)
		client_hang_up(&clients[i]);
	end(s);
}

/* --- limits */

static void test_connections_of_one_user(void **state)
{
	struct service *s = service_new("[Limits]\nUserConnections=2\n");

	expect_info(call_as(s, 0));
	expect_info(call_as(s, 1));
	expect_message(call_as(s, 2), BUSY, "UserConnections=");
	expect_end(&clients[2]);
	client_hang_up(&clients[0]);
	client_hang_up(&clients[2]);
	/* As soon as the service has seen that one has gone. */
	for (bool busy = true; busy; client_hang_up(&clients[2])) {
		client_send(call_as(s, 2), GET_INFO);
		run_until(s->loop, client_has_message, &clients[2]);
		busy = strstr(clients[2].text, INFO) == NULL;
	}
	client_hang_up(&clients[1]);
	end(s);
}

/* Of all together: one more waits, and is served when somebody goes. */
static void test_connections_in_all(void **state)
{
	struct service *s = service_new("[Limits]\nConnections=2\n");

	expect_info(call_as(s, 0));
	expect_info(call_as(s, 1));
	client_send(call_as(s, 2), GET_INFO);
	run_for(s->loop, 0.05);
	assert_false(clients[2].ended || clients[2].have);
	client_hang_up(&clients[0]);
	expect_message(&clients[2], INFO, "");
	client_hang_up(&clients[1]);
	client_hang_up(&clients[2]);
	end(s);
}

/* Accepted, and not dealt yet, when the service ends: he is told. */
static void test_held_at_the_end(void **state)
{
	struct service *s = service_new("[Limits]\nConnections=1\n");
	int far;

	far = begin_to_wait(s, call_as(s, 0));
	client_send(call_as(s, 1), GET_INFO);
	run_for(s->loop, 0.05);
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	expect_notification(s, "STOPPING=1", "");
	expect_message(&clients[1], BUSY, RETRY);
	close_fd(&far);
	expect_message(&clients[0], "io.ktlsd.HandshakeFailed", "");
	client_hang_up(&clients[0]);
	client_hang_up(&clients[1]);
	service_free(s, 0);
}

/* --- the end */

static void test_what_is_under_way_ends_first(void **state)
{
	struct service *s = service_new("[Limits]\nStopTimeoutSec=60\n");
	int far = begin_to_wait(s, call_as(s, 0));

	expect_info(call_as(s, 1));
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	expect_notification(s, "STOPPING=1", "");
	expect_end(&clients[1]);
	run_for(s->loop, 0.05);
	assert_false(clients[0].ended);
	close_fd(&far);
	expect_message(&clients[0], "io.ktlsd.HandshakeFailed", "");
	expect_end(&clients[0]);
	client_hang_up(&clients[0]);
	client_hang_up(&clients[1]);
	service_free(s, 0);
}

/* Until its time is over, or somebody says so a second time; which is told once. */
static void test_what_is_under_way_is_cut_off(void **state)
{
	for (int twice = 0; twice < 2; twice++) {
		struct service *s = service_new(twice ? "[Limits]\nStopTimeoutSec=60\n"
						      : "[Limits]\nStopTimeoutSec=0.06\n");
		int far = begin_to_wait(s, call_as(s, 0));

		assert_int_equal(kill(s->pid, SIGTERM), 0);
		expect_notification(s, "STOPPING=1", "");
		if (twice)
			assert_int_equal(kill(s->pid, SIGTERM), 0);
		expect_message(&clients[0], BUSY, RETRY);
		expect_end(&clients[0]);
		expect_far_end(far);
		close_fd(&far);
		client_hang_up(&clients[0]);
		assert_true(ends(s->pid));
		assert_false(wait_for_events(s->notify, POLLIN, 0));
		service_free(s, 0);
	}
}

/* Who was not accepted when it ends waits for the next one. */
static void test_the_backlog_is_not_lost(void **state)
{
	struct service *s = service_new("[Limits]\nStopTimeoutSec=60\n");
	int far = begin_to_wait(s, call_as(s, 0)), accepted;

	assert_int_equal(kill(s->pid, SIGTERM), 0);
	expect_notification(s, "STOPPING=1", "");
	client_send(call_as(s, 1), GET_INFO);
	close_fd(&far);
	expect_message(&clients[0], "io.ktlsd.HandshakeFailed", "");
	client_hang_up(&clients[0]);
	assert_true(ends(s->pid));
	assert_false(clients[1].ended);
	accepted = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	close_fd(&accepted);
	client_hang_up(&clients[1]);
	service_free(s, 0);
}

/* --- reload */

static void reload(struct service *s, const char *more)
{
	char config[512];

	snprintf(config, sizeof(config), TWO "%s", more);
	write_config(config);
	assert_int_equal(kill(s->pid, SIGHUP), 0);
	expect_notification(s, "RELOADING=1\nMONOTONIC_USEC=", "");
}

/* The old workers end what is under way, and only new ones serve new callers. */
static void test_reload(void **state)
{
	struct service *s = service_new("[Limits]\nStopTimeoutSec=60\n");
	int far = begin_to_wait(s, call_as(s, 0));
	pid_t before[8], after[8];

	expect_info(call_as(s, 1));
	assert_int_equal(workers_of(s, before), 2);
	reload(s, "[Limits]\nUserConnections=3\n");
	expect_ready(s);
	expect_logged(s, "was read anew");
	expect_end(&clients[1]);
	assert_false(clients[0].ended);
	expect_info(call_as(s, 2));
	expect_info(call_as(s, 3));
	/* What it says is in force. */
	expect_message(call_as(s, 4), BUSY, "UserConnections=");
	close_fd(&far);
	expect_message(&clients[0], "io.ktlsd.HandshakeFailed", "");
	expect_end(&clients[0]);
	while (workers_of(s, after) != 2)
		sched_yield();
	for (size_t i = 0; i < 4; i++)
		assert_int_not_equal(before[i / 2], after[i % 2]);
	for (size_t i = 0; i < 5; i++)
		client_hang_up(&clients[i]);
	end(s);
}

/* Faults are told, each with its place, and everything stays as it was. */
static void test_reload_of_faults(void **state)
{
	struct service *s = service_new("");
	pid_t before[8], after[8];
	char fault[128];

	expect_info(call_as(s, 0));
	assert_int_equal(workers_of(s, before), 2);
	reload(s, "[Limits]\nRequests=zero\n[Policy p]\nCiphers=NULL\n");
	expect_notification(s, "READY=1\nSTATUS=", "faults");
	snprintf(fault, sizeof(fault), "%s:4: Requests: ", path_of("conf"));
	expect_logged(s, fault);
	snprintf(fault, sizeof(fault), "%s:6: Ciphers: ", path_of("conf"));
	expect_logged(s, fault);
	expect_logged(s, "the one before stays in force");
	expect_info(&clients[0]);
	assert_int_equal(workers_of(s, after), 2);
	assert_memory_equal(before, after, 2 * sizeof(pid_t));
	/* And the next one is taken. */
	reload(s, "");
	expect_ready(s);
	expect_end(&clients[0]);
	client_hang_up(&clients[0]);
	end(s);
}

/* As often as anybody likes, and callers come all the time. */
static void test_reload_under_way(void **state)
{
	struct service *s = service_new("");

	for (int i = 0; i < 5; i++) {
		assert_int_equal(kill(s->pid, SIGHUP), 0);
		expect_info(call_as(s, 0));
		client_hang_up(&clients[0]);
	}
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	while (strcmp(notification(s), "STOPPING=1") != 0)
		;
	service_free(s, 0);
}

/* --- what cannot begin */

static void test_stillborn(void **state)
{
	struct service *s;

	memset(&belief, 0, sizeof(belief));
	belief.stillborn = true;
	s = service_fork(TWO, false);
	expect_logged(s, "has ended with status 1");
	service_free(s, FAILED);
}

/* --- the kernel */

/* The caller is told to come again, nobody else is accepted, and the socket stays for the next. */
static void test_the_kernel_is_lost(void **state)
{
	struct service *s;
	int far, accepted;

	memset(&belief, 0, sizeof(belief));
	belief.attach_errno = ENOENT;
	s = service_new_managed(TWO, true);
	far = begin_to_wait(s, call_as(s, 0));
	expect_message(&clients[0], "io.ktlsd.KernelTlsUnavailable", RETRY);
	/* He comes at once. */
	client_send(call_as(s, 1), GET_INFO);
	expect_notification(s, "STOPPING=1", "");
	expect_logged(s, "no TLS module any more");
	assert_true(ends(s->pid));
	run_for(s->loop, 0.01);
	assert_false(clients[1].ended || clients[1].have);
	accepted = accept4(s->listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	close_fd(&accepted);
	close_fd(&far);
	client_hang_up(&clients[0]);
	client_hang_up(&clients[1]);
	service_free(s, 0);
}

/* On a worker's word alone the service does not end. */
static void test_the_kernel_is_not_lost(void **state)
{
	struct service *s;

	memset(&belief, 0, sizeof(belief));
	belief.attach_errno = ENOENT;
	module_is_there = true;
	s = service_new_managed(TWO, true);
	module_is_there = false;
	for (unsigned int i = 0; i < 3; i++) {
		int far = begin_to_wait(s, call_as(s, i));

		expect_message(&clients[i], "io.ktlsd.KernelTlsUnavailable", RETRY);
		expect_info(&clients[i]);
		client_hang_up(&clients[i]);
		close_fd(&far);
	}
	end(s);
}

/* --- the watchdog */

static void test_the_watchdog(void **state)
{
	struct service *s;
	char text[64];

	memset(&belief, 0, sizeof(belief));
	assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
	s = service_new_managed(TWO, false);
	unsetenv("WATCHDOG_USEC");
	assert_true(wait_for_events(s->notify, POLLIN, PATIENCE));
	assert_int_equal(recv(s->notify, text, sizeof(text), 0), strlen("WATCHDOG=1"));
	assert_memory_equal(text, "WATCHDOG=1", strlen("WATCHDOG=1"));
	end(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_until_it_is_told_to_stop),
		cmocka_unit_test(test_callers_of_both_workers),
		cmocka_unit_test(test_a_worker_is_killed),
		cmocka_unit_test(test_connections_of_one_user),
		cmocka_unit_test(test_connections_in_all),
		cmocka_unit_test(test_held_at_the_end),
		cmocka_unit_test(test_what_is_under_way_ends_first),
		cmocka_unit_test(test_what_is_under_way_is_cut_off),
		cmocka_unit_test(test_the_backlog_is_not_lost),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_of_faults),
		cmocka_unit_test(test_reload_under_way),
		cmocka_unit_test(test_stillborn),
		cmocka_unit_test(test_the_kernel_is_lost),
		cmocka_unit_test(test_the_kernel_is_not_lost),
		cmocka_unit_test(test_the_watchdog),
	};

	return cmocka_run_group_tests(tests, household_begin, household_end);
}
