/* SPDX-License-Identifier: MIT */
/*
 * Real workers, as the supervisor forks them, and callers of theirs. Where their requests go is a
 * listening socket of the test's that never shakes hands, so a request lasts until its far end is
 * closed. A program that includes this links with -Wl,--wrap=kernel_attach,--wrap=tls_new.
 */
#pragma once

#include "tests/unit/process.h"
#include "tests/unit/x509.h"

#include "daemon/minder.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#define GET_INFO "{\"method\":\"org.varlink.service.GetInfo\"}"
#define INFO "\"product\":\"ktlsd\""
#define INTERNAL_ERROR "{\"error\":\"io.ktlsd.InternalError\""
#define BUSY "{\"error\":\"io.ktlsd.Busy\""
#define RETRY "\"retry\":true"
#define CLIENTS_MAX 32

/* --- what workers are made to believe; told before they are forked */

static struct {
	int attach_errno;	/* of the kernel's TLS for a socket */
	bool stillborn;		/* they cannot begin */
} belief;

enum proto_error __wrap_kernel_attach(int fd, struct proto_status *status);
struct tls *__real_tls_new(const struct config *config, const struct kernel *kernel,
			   char **message);
struct tls *__wrap_tls_new(const struct config *config, const struct kernel *kernel,
			   char **message);

enum proto_error __wrap_kernel_attach(int fd, struct proto_status *status)
{
	if (!belief.attach_errno)
		return PROTO_OK;
	return proto_status_set(status, PROTO_KERNEL_TLS_UNAVAILABLE, PROTO_STAGE_INSTALL,
				belief.attach_errno, "played");
}

struct tls *__wrap_tls_new(const struct config *config, const struct kernel *kernel,
			   char **message)
{
	return belief.stillborn ? NULL : __real_tls_new(config, kernel, message);
}

/* --- a configuration in files, once for a program */

static char files[] = "/tmp/test-household-XXXXXX";

static inline const char *path_of(const char *name)
{
	static char paths[4][80];
	static unsigned int n;

	snprintf(paths[++n % 4], sizeof(paths[0]), "%s/%s", files, name);
	return paths[n % 4];
}

static inline void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path_of(name), 0644), 0);
}

/* more: lines, or whole sections. The system's store is small, since it is read many times. */
static inline void write_config(const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s\n[Store system]\nFile=%s\n", more, path_of("ca.pem"));
	write_file("conf", text);
}

static inline int household_begin(void **state)
{
	struct identity ca = make(.cn = "ca", .ca = true);
	char *text = pem_of(&ca);

	/* As main.c has it: what OpenSSL writes to a peer that has gone must not end a worker. */
	signal(SIGPIPE, SIG_IGN);
	/* Otherwise a process that is forked would print once more what waits to be printed. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	assert_non_null(mkdtemp(files));
	assert_int_equal(chmod(files, 0755), 0);
	write_file("ca.pem", text);
	write_config("");
	free(text);
	identity_free(&ca);
	return 0;
}

static inline int household_end(void **state)
{
	unlink(path_of("ca.pem"));
	unlink(path_of("conf"));
	return rmdir(files);
}

static inline struct setup *setup_of(const char *more)
{
	struct setup *setup;

	write_config(more);
	setup = setup_load(path_of("conf"), false, stderr);
	assert_non_null(setup);
	return setup;
}

/* --- callers */

struct client {
	struct ev_loop *loop;
	ev_io io;
	char text[16384];
	size_t have;
	bool ended;
};

static inline void on_client(EV_P_ ev_io *io, int events)
{
	struct client *client = container_of(io, struct client, io);
	ssize_t n = recv(io->fd, client->text + client->have,
			 sizeof(client->text) - client->have, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	client->ended = n <= 0;
	if (client->ended)
		ev_io_stop(EV_A_ io);
	else
		client->have += (size_t)n;
}

/* Takes over fd. */
static inline void client_init(struct client *client, struct ev_loop *loop, int fd)
{
	client->loop = loop;
	client->have = 0;
	client->ended = false;
	ev_io_init(&client->io, on_client, fd, EV_READ);
	ev_io_start(loop, &client->io);
}

static inline void client_hang_up(struct client *client)
{
	ev_io_stop(client->loop, &client->io);
	close_fd(&client->io.fd);
}

static inline void client_send(struct client *client, const char *text)
{
	assert_int_equal(send(client->io.fd, text, strlen(text) + 1, MSG_NOSIGNAL),
			 strlen(text) + 1);
}

static inline bool client_has_message(void *arg)
{
	struct client *client = arg;

	return client->ended || memchr(client->text, '\0', client->have);
}

static inline bool client_has_ended(void *arg)
{
	return ((struct client *)arg)->ended;
}

/* The next message has both in it. */
static inline void expect_message(struct client *client, const char *part, const char *other)
{
	size_t length;

	run_until(client->loop, client_has_message, client);
	if (!memchr(client->text, '\0', client->have))
		fail_msg("the service has hung up without %s", part);
	if (!strstr(client->text, part) || !strstr(client->text, other))
		fail_msg("neither %s nor %s in %s", part, other, client->text);
	length = strlen(client->text) + 1;
	memmove(client->text, client->text + length, client->have - length);
	client->have -= length;
}

static inline void expect_info(struct client *client)
{
	client_send(client, GET_INFO);
	expect_message(client, INFO, "");
}

/* And nothing before it. */
static inline void expect_end(struct client *client)
{
	run_until(client->loop, client_has_ended, client);
	assert_int_equal(client->have, 0);
}

static inline void expect_lost(struct client *client)
{
	expect_message(client, INTERNAL_ERROR, RETRY);
	expect_end(client);
}

/* --- a household */

struct home {
	struct household household;
	struct log log;
	int logged;		/* what was logged can be read here */
	int peer;		/* where requests go */
	struct sockaddr_storage address;
	unsigned int account;
	struct client clients[CLIENTS_MAX];
	size_t n_clients;
	size_t descriptors;
};

static inline void home_init(struct home *home)
{
	int pipes[2];

	memset(&belief, 0, sizeof(belief));
	memset(home, 0, sizeof(*home));
	home->descriptors = count_descriptors();
	home->peer = tcp_listen(AF_INET, &home->address, 64);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	home->logged = pipes[0];
	log_init(&home->log, pipes[1]);
	close_fd(&pipes[1]);
	home->household = (struct household){
		.loop = loop_new(), .log = &home->log, .ledger = ledger_new(), .tally = tally_new(),
		.nursery = -1,
	};
	assert_non_null(home->household.ledger);
	assert_non_null(home->household.tally);
	assert_int_equal(watch_set_init(&home->household.watches, home->household.loop), 0);
}

/* Of what was charged or open nothing is left, nor a seat taken. */
static inline void expect_nothing_left(const struct ledger *ledger)
{
	for (enum quota quota = 0; quota < N_QUOTAS; quota++)
		assert_int_equal(ledger_in_all(ledger, quota), 0);
	for (unsigned int i = 0; i < LEDGER_ACCOUNTS; i++)
		assert_int_equal(ledger->users[i].connections, 0);
	for (unsigned int i = 0; i < LEDGER_SEATS; i++)
		assert_false(ledger->seated[i]);
}

static inline void home_deinit(struct home *home)
{
	pid_t child;

	for (size_t i = 0; i < home->n_clients; i++)
		client_hang_up(&home->clients[i]);
	expect_nothing_left(home->household.ledger);
	assert_int_equal(children_of(getpid(), &child, 1), 0);
	watch_set_deinit(&home->household.watches);
	loop_free(home->household.loop);
	ledger_free(home->household.ledger);
	tally_free(home->household.tally);
	log_deinit(&home->log);
	close_fd(&home->logged);
	close_fd(&home->peer);
	assert_int_equal(count_descriptors(), home->descriptors);
}

/* What was logged since. */
static inline const char *home_log(struct home *home)
{
	static char text[16384];
	ssize_t n = read(home->logged, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Both ends of a caller's connection: his, and *fd, to be dealt. */
static inline struct client *home_call(struct home *home, int *fd)
{
	struct client *client = &home->clients[home->n_clients++];
	int ends[2];

	assert_true(home->n_clients <= CLIENTS_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	client_init(client, home->household.loop, ends[1]);
	home->account = ledger_open(home->household.ledger, getuid(), clock_us());
	*fd = ends[0];
	return client;
}

/* A request that is under way: its far end, on which it waits. */
static inline int begin_request(struct client *client, int peer,
				const struct sockaddr_storage *address)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"method\":\"io.ktlsd.Connect\",\"parameters\":{\"host\":\"127.0.0.1\","
		 "\"port\":%u,\"trust\":{\"name\":\"host.example\"}}}",
		 ntohs(((const struct sockaddr_in *)address)->sin_port));
	client_send(client, text);
	return tcp_accept(peer);
}

/* The far end of a request that is no more: the greeting has come, and then the end. */
static inline void expect_far_end(int far)
{
	char bytes[4096];
	ssize_t n;

	do {
		assert_true(wait_for_events(far, POLLIN, PATIENCE));
		n = recv(far, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
}
