/* SPDX-License-Identifier: MIT */
#include "daemon/nursery.h"

#include "daemon/channel.h"
#include "proto/limits.h"
#include "proto/util.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Between the end of a nursery and the next, lest one that cannot live keeps the processor busy. */
#define KEEPER_REST_MS 100

/* Where nursery and resolvers have their one socket, each its own. */
#define SOCKET (STDERR_FILENO + 1)

static void resolve(const char *host, struct resolver_answer *answer)
{
	/* Without AI_ADDRCONFIG: it would hide ::1 from a machine that has no other IPv6 address.
	 * Addresses that cannot be reached are sorted last by the C library, and fail at once in
	 * the race. */
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	*answer = (struct resolver_answer){ 0 };
	errno = 0;
	answer->gai_error = getaddrinfo(host, NULL, &hints, &list);
	answer->sys_errno = errno;
	if (!answer->gai_error)
		addresses_from_list(&answer->addresses, list);
	if (!answer->gai_error && !answer->addresses.n)
		answer->gai_error = EAI_NONAME;
	if (list)
		freeaddrinfo(list);
}

/*
 * A look-up cannot be interrupted, but a signal is handled inside it, and the other end being
 * closed raises one: that is how a resolver that is stuck is ended, with no pid to go stale. The
 * host's own arrival may raise it, too, even after the host has been read (the kernel queues a
 * message first and tells of it afterwards), so a look is taken.
 */
static void on_sigio(int number)
{
	int kept = errno;
	char byte;

	if (recv(SOCKET, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(0);
	errno = kept;
}

static void die_on_hangup(void)
{
	const struct sigaction action = { .sa_handler = on_sigio, .sa_flags = SA_RESTART };

	sigaction(SIGIO, &action, NULL);
	fcntl(SOCKET, F_SETOWN, getpid());
	fcntl(SOCKET, F_SETFL, O_ASYNC);
}

/* What a module of the C library may expect of the process that it is loaded into. */
static void reset_signals(void)
{
	static const int inherited[] = { SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM };
	sigset_t none;

	for (size_t i = 0; i < array_size(inherited); i++)
		signal(inherited[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void resolver_main(void)
{
	struct resolver_answer answer;
	char host[PROTO_HOST_MAX + 2];
	ssize_t n;

	prctl(PR_SET_NAME, "ktlsd-resolver");
	reset_signals();
	die_on_hangup();
	while ((n = recv(SOCKET, host, sizeof(host) - 1, 0)) > 0) {
		host[n] = '\0';
		/* A close while the host was still queued has raised its signal in vain. */
		if (recv(SOCKET, &answer, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			break;
		resolve(host, &answer);
		if (send(SOCKET, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* The socket of a new resolver, or -1: it could not be had. The daemon's end is ours, too. */
static int receive_socket(int sock)
{
	char byte;
	int fd;

	if (channel_receive(sock, &byte, 1, 0, &fd) == 0)
		_exit(0);
	return fd;
}

/*
 * Leaves a process its standard streams and this socket, and that at a place which a signal handler
 * knows without a variable. The streams' places are taken (main.c), so no socket of the daemon's is
 * among them: with the daemon's end of its own socket the nursery would never end.
 */
static void keep_only(int sock)
{
	assert(sock > STDERR_FILENO);
	if (sock != SOCKET)
		dup3(sock, SOCKET, O_CLOEXEC);
	if (close_range(SOCKET + 1, ~0U, 0) < 0)
		_exit(1);
}

static _Noreturn void nursery_main(void)
{
	int child;

	prctl(PR_SET_NAME, "ktlsd-nursery");
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	while ((child = receive_socket(SOCKET)) >= 0) {
		if (fork() == 0) {
			keep_only(child);
			resolver_main();
		}
		close(child);
	}
	_exit(1);
}

/* A nursery ends with 0 when the daemon's end of the socket is closed. Otherwise it was killed, or
 * is in trouble that the next one need not have. */
static _Noreturn void keeper_main(void)
{
	int status;
	pid_t pid;

	prctl(PR_SET_NAME, "ktlsd-keeper");
	signal(SIGCHLD, SIG_DFL); /* for waitpid(2), whatever was inherited */
	/* A stop of the whole group is told by the daemon's end closing. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (;;) {
		pid = fork();
		if (pid == 0)
			nursery_main();
		if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
			_exit(0);
		poll(NULL, 0, KEEPER_REST_MS);
	}
}

int nursery_start(pid_t *keeper)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int r = channel_pair(&ours, &theirs);

	if (r < 0)
		return r;
	*keeper = fork();
	if (*keeper < 0)
		return -errno;
	if (*keeper == 0) {
		keep_only(theirs);
		keeper_main();
	}
	return steal_fd(&ours);
}

int nursery_fork(int nursery)
{
	_cleanup_fd_ int ours = -1, theirs = -1;
	int r = channel_pair(&ours, &theirs);

	if (r < 0)
		return r;
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = channel_send(nursery, &(char){ 0 }, 1, theirs);
	return r < 0 ? r : steal_fd(&ours);
}
