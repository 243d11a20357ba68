/* SPDX-License-Identifier: MIT */
/* tests: client/call.c */
/* tests: client/sync.c */
/* link: -Wl,--wrap=connect,--wrap=access */
#include "tests/unit/client-service.h"

#include "client/internal.h"

#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <valgrind/valgrind.h>

/* connect(2) as the library sees it: fails so often, with this errno, before it is let through. */
static __thread struct {
	int times, err;
} connect_failure;

int __real_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	if (connect_failure.times > 0) {
		connect_failure.times--;
		errno = connect_failure.err;
		return -1;
	}
	return __real_connect(fd, address, length);
}

/* A kernel that has TLS on every socket. */
static int getsockopt_tls(int fd, int level, int name, void *value, socklen_t *length)
{
	struct tls_crypto_info info = { TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256 };
	int protocol = IPPROTO_TCP;

	if (level == SOL_SOCKET && name == SO_PROTOCOL)
		memcpy(value, &protocol, *length);
	else if (level == IPPROTO_TCP && name == TCP_ULP)
		strcpy(value, "tls");
	else
		memcpy(value, &info, *length);
	return 0;
}

static struct ktls *ask(const struct service *service)
{
	struct ktls *k = ktls_new();

	assert_non_null(k);
	assert_int_equal(ktls_set_socket(k, service->path), 0);
	assert_int_equal(ktls_set_host(k, "example.org"), 0);
	assert_int_equal(ktls_set_port(k, 443), 0);
	return k;
}

/* ktls_connect() by hand, of which 0 to 100 ms at a time are waited. */
static int connect_by_steps(struct ktls *k)
{
	int r = ktls_start(k), ms;

	while (r == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		ms = ktls_timeout(k);
		assert_in_range(ms, 0, 20000 + KTLS_MARGIN_MS);
		assert_true(poll(&p, 1, ms < 100 ? ms : 100) >= 0);
		r = ktls_step(k);
	}
	assert_int_equal(ktls_fd(k), -1);
	assert_int_equal(ktls_events(k), 0);
	assert_int_equal(ktls_timeout(k), -1);
	return r < 0 ? -1 : ktls_take(k);
}

static int (*const manners[])(struct ktls *k) = { ktls_connect, connect_by_steps };

static void serve_hang_up(struct service *service, int caller)
{
}

static void serve_hang_up_later(struct service *service, int caller)
{
	service_hear(service, caller);
}

static void serve_half(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, "{\"parameters\":{", 15, NULL, 0);
}

static void serve_garbage(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, "HTTP/1.1 400 Bad Request\r\n\r\n", 29, NULL, 0);
}

static void serve_too_much(struct service *service, int caller)
{
	static const char blanks[4096] = { [0 ... 4095] = ' ' };

	service_hear(service, caller);
	for (size_t sent = 0; sent <= PROTO_MESSAGE_MAX; sent += sizeof(blanks))
		service_send(caller, blanks, sizeof(blanks), NULL, 0);
	service_await_end(service, caller);
}

static void serve_no_socket(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send_session(caller, NULL, 0);
}

static void serve_plain_socket(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send_session(caller, service->pair, 1);
}

/* Once the test says so, at the other end of what is handed over. */
static void serve_when_told(struct service *service, int caller)
{
	char word;

	if (recv(service->pair[0], &word, 1, 0) == 1)
		serve_plain_socket(service, caller);
}

static void serve_file(struct service *service, int caller)
{
	_cleanup_fd_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	service_hear(service, caller);
	service_send_session(caller, &fd, 1);
}

static void serve_two_answers(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, "{\"error\":\"io.ktlsd.Busy\"}\0{}", 28, NULL, 0);
}

static void serve_answer_and_more(struct service *service, int caller)
{
	size_t length;
	_cleanup_free_ char *text = proto_session_encode(&session_sample, &length);
	char both[4096];

	memcpy(both, text, length + 1);
	memcpy(both + length + 1, "{", 1);
	service_hear(service, caller);
	service_send(caller, both, length + 2, service->pair, 1);
}

static void serve_other_index(struct service *service, int caller)
{
	size_t length;
	_cleanup_free_ char *text = proto_session_encode(&session_sample, &length);
	char *index = strstr(text, "\"fileDescriptor\":0");

	service_hear(service, caller);
	if (index)
		index[strlen("\"fileDescriptor\":")] = '1';
	service_send(caller, text, length + 1, service->pair, 1);
}

static void serve_refusal_with_socket(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, "{\"error\":\"io.ktlsd.Busy\"}", 26, service->pair, 1);
}

static const struct {
	void (*serve)(struct service *service, int caller);
	enum ktls_status status;
	int err;
	bool retry;
	const char *stage, *message;
} failures[] = {
	{ serve_hang_up, KTLS_LOST, ECONNRESET, true, "service", "without an answer" },
	{ serve_hang_up_later, KTLS_LOST, ECONNRESET, true, "service", "without an answer" },
	{ serve_half, KTLS_LOST, ECONNRESET, true, "service", "in the middle" },
	{ serve_garbage, KTLS_PROTOCOL, EBADMSG, false, "service", "not one of ktlsd's" },
	{ serve_too_much, KTLS_PROTOCOL, EBADMSG, false, "service", "larger than" },
	{ serve_no_socket, KTLS_PROTOCOL, EBADMSG, false, "service", "did not come with it" },
	{ serve_other_index, KTLS_PROTOCOL, EBADMSG, false, "service", "did not come with it" },
	{ serve_plain_socket, KTLS_NOT_ENCRYPTED, EPROTO, false, "handover", "no TCP socket" },
	{ serve_file, KTLS_NOT_ENCRYPTED, ENOTSOCK, false, "handover", "no TCP socket" },
	{ serve_two_answers, KTLS_BUSY, EAGAIN, false, "request", "" },
	{ serve_answer_and_more, KTLS_PROTOCOL, EBADMSG, false, "service", "more than its answer" },
	{ serve_refusal_with_socket, KTLS_BUSY, EAGAIN, false, "request", "" },
};

static void assert_failed(struct ktls *k, int r, int err, enum ktls_status status)
{
	assert_int_equal(r, -1);
	assert_int_equal(errno, err);
	assert_int_equal(ktls_get_status(k), status);
	assert_int_equal(ktls_step(k), -1);
	assert_int_equal(errno, err);
	assert_int_equal(ktls_take(k), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(ktls_fd(k), -1);
	assert_null(ktls_get_cipher(k));
	assert_null(strchr(ktls_get_message(k), '\n'));
}

static void test_failures(void **state)
{
	for (size_t i = 0; i < 2 * array_size(failures); i++) {
		size_t before = count_descriptors(), row = i / 2;
		struct service *service = service_new(failures[row].serve);
		struct ktls *k = ask(service);
		int r = manners[i % 2](k);

		assert_failed(k, r, failures[row].err, failures[row].status);
		print_message("# row %zu: %s\n", row, ktls_get_message(k));
		/* What came is gone by now, and does not wait for the handle's end. */
		service_join(service);
		assert_int_equal(count_descriptors(), before + 3);
		assert_string_equal(ktls_get_stage(k), failures[row].stage);
		assert_non_null(strstr(ktls_get_message(k), failures[row].message));
		assert_int_equal(ktls_get_retry(k), failures[row].retry);
		ktls_free(k);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

/* What was refused must not be usable through another copy either. */
static void test_refused_socket_is_shut_down(void **state)
{
	struct service *service = service_new(serve_plain_socket);
	struct ktls *k = ask(service);
	char byte;

	assert_int_equal(ktls_connect(k), -1);
	assert_int_equal(send(service->pair[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(recv(service->pair[1], &byte, 1, MSG_DONTWAIT), 0);
	ktls_free(k);
	service_free(service);
}

static void test_not_there(void **state)
{
	struct service *service = service_new(NULL);
	struct ktls *k = ask(service);

	close_fd(&service->listener);
	assert_failed(k, ktls_connect(k), ECONNREFUSED, KTLS_UNREACHABLE);
	assert_non_null(strstr(ktls_get_message(k), service->path));
	assert_non_null(strstr(ktls_get_message(k), "; does ktlsd run, and listen there?"));
	assert_string_equal(ktls_get_stage(k), "service");
	assert_int_equal(ktls_get_errno(k), ECONNREFUSED);
	ktls_free(k);
	unlink(service->path);
	k = ask(service);
	assert_failed(k, connect_by_steps(k), ENOENT, KTLS_UNREACHABLE);
	assert_int_equal(ktls_get_errno(k), ENOENT);
	ktls_free(k);
	k = ask(service);
	connect_failure.times = 1;
	connect_failure.err = EACCES;
	assert_failed(k, ktls_connect(k), EACCES, KTLS_UNREACHABLE);
	assert_non_null(strstr(ktls_get_message(k), "group"));
	ktls_free(k);
	service_free(service);
}

/* access(2) as the library sees it, which asks for nothing but who runs the machine. */
static bool has_systemd;

int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
	assert_string_equal(path, "/run/systemd/system/");
	errno = ENOENT;
	return has_systemd ? 0 : -1;
}

static const struct {
	int err;
	bool systemd;
	const char *hint;
} hints[] = {
	{ ENOENT, true, "; as root, run systemctl enable --now ktlsd.socket" },
	{ ENOENT, false, "; as root, run ktlsd" },
	{ ECONNREFUSED, true, "; as root, run systemctl restart ktlsd.socket" },
	{ ECONNREFUSED, false, "; as root, run ktlsd" },
	{ EACCES, true, "; are this user and this session in the group ktls?" },
	{ EACCES, false, "; are this user and this session in the group ktls?" },
	{ EPROTOTYPE, true, "" },
};

/* At the place where the service is installed; other places are nothing that systemd knows. */
static void test_hints(void **state)
{
	for (size_t i = 0; i < array_size(hints); i++) {
		struct ktls *k = ktls_new();
		char wanted[256];

		has_systemd = hints[i].systemd;
		assert_int_equal(ktls_set_host(k, "example.org"), 0);
		assert_int_equal(ktls_set_port(k, 443), 0);
		connect_failure.times = 1;
		connect_failure.err = hints[i].err;
		assert_failed(k, ktls_connect(k), hints[i].err, KTLS_UNREACHABLE);
		snprintf(wanted, sizeof(wanted), "cannot reach " KTLS_SOCKET ": %s%s",
			 strerror(hints[i].err), hints[i].hint);
		assert_string_equal(ktls_get_message(k), wanted);
		ktls_free(k);
	}
}

static void serve_silence(struct service *service, int caller)
{
	service_hear(service, caller);
	service_await_end(service, caller);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void on_alarm(int number)
{
}

/* Signals or not. */
static void test_silence_ends(void **state)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { { 0 } };
	struct sigaction action = { .sa_handler = on_alarm }, former;
	struct service *service = service_new(serve_silence);
	struct ktls *k = ask(service);
	int64_t start = now_ms();

	assert_int_equal(ktls_set_timeout(k, 50), 0);
	assert_int_equal(sigaction(SIGALRM, &action, &former), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_failed(k, ktls_connect(k), ETIMEDOUT, KTLS_SILENT);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &former, NULL), 0);
	assert_in_range(now_ms() - start, 50 + KTLS_MARGIN_MS, 50 + KTLS_MARGIN_MS + 10000);
	assert_non_null(strstr(ktls_get_message(k), "2050 ms"));
	assert_true(ktls_get_retry(k));
	service_join(service);
	assert_int_equal(service->end, 0);
	ktls_free(k);
	service_free(service);
}

/* An answer that came in time counts, however late it is read. */
static void test_answer_beats_deadline(void **state)
{
	struct service *service = service_new(serve_when_told);
	struct ktls *k = ask(service);
	int sock;

	k->getsockopt = getsockopt_tls;
	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_step(k), 0);
	assert_int_equal(send(service->pair[1], "x", 1, MSG_NOSIGNAL), 1);
	service_join(service);
	k->deadline = now_ms() - 1;
	assert_int_equal(ktls_timeout(k), 0);
	assert_int_equal(ktls_step(k), 1);
	sock = ktls_take(k);
	assert_true(sock >= 0);
	close_fd(&sock);
	ktls_free(k);
	service_free(service);
}

static void test_free_cancels(void **state)
{
	struct service *service = service_new(serve_silence);
	struct ktls *k = ask(service);

	assert_int_equal(ktls_start(k), 0);
	while (k->state != CALL_RECEIVING)
		assert_int_equal(ktls_step(k), 0);
	assert_true(ktls_fd(k) >= 0);
	assert_true(fcntl(ktls_fd(k), F_GETFD) & FD_CLOEXEC);
	assert_int_equal(ktls_events(k), POLLIN);
	assert_null(ktls_free(k));
	service_join(service);
	assert_int_equal(service->end, 0);
	service_free(service);
}

static void assert_session(const struct ktls *k)
{
	const struct proto_session *s = &session_sample;

	assert_string_equal(ktls_get_tls_version(k), s->version);
	assert_string_equal(ktls_get_cipher(k), s->cipher);
	assert_string_equal(ktls_get_kernel_cipher(k), s->kernel_cipher);
	assert_string_equal(ktls_get_group(k), s->group);
	assert_string_equal(ktls_get_alpn(k), s->alpn);
	assert_string_equal(ktls_get_address(k), s->address);
	assert_string_equal(ktls_get_verified_by(k), s->verified_by);
	assert_string_equal(ktls_get_peer_subject(k), s->peer_subject);
	assert_string_equal(ktls_get_peer_cert_sha256(k), s->peer_cert_sha256);
	assert_string_equal(ktls_get_peer_spki_sha256(k), s->peer_spki_sha256);
	assert_string_equal(ktls_get_peer_not_after(k), s->peer_not_after);
	assert_true(ktls_get_resumed(k));
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_RESOLVE), s->timings.resolve);
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_CONNECT), s->timings.connect);
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_HANDSHAKE), s->timings.handshake);
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_INSTALL), s->timings.install);
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_TOTAL), s->timings.total);
}

static void assert_same_socket(int a, int b)
{
	assert_int_equal(send(a, "x", 1, MSG_NOSIGNAL), 1);
	char byte = 0;

	assert_int_equal(recv(b, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 'x');
}

static void serve_two_sockets(struct service *service, int caller)
{
	int fds[] = { service->pair[0], service->listener };

	service_hear(service, caller);
	service_send_session(caller, fds, 2);
}

static void serve_drop_by_drop(struct service *service, int caller)
{
	size_t length;
	_cleanup_free_ char *text = proto_session_encode(&session_sample, &length);

	service_hear(service, caller);
	for (size_t i = 0; i <= length; i++)
		service_send(caller, text + i, 1, service->pair, i == 0);
}

/* A second socket goes no further than the library; which one is meant the answer says. */
static void test_success(void **state)
{
	void (*const serve[])(struct service *service, int caller) = {
		serve_plain_socket,
		serve_two_sockets,
		serve_drop_by_drop,
	};

	for (size_t i = 0; i < 2 * array_size(serve); i++) {
		size_t before = count_descriptors();
		struct service *service = service_new(serve[i / 2]);
		struct ktls *k = ask(service);
		int sock;

		k->getsockopt = getsockopt_tls;
		sock = manners[i % 2](k);
		assert_true(sock >= 0);
		assert_true(fcntl(sock, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(ktls_get_status(k), KTLS_OK);
		assert_null(ktls_get_stage(k));
		assert_session(k);
		assert_int_equal(ktls_step(k), 1);
		assert_int_equal(ktls_take(k), -1);
		assert_int_equal(errno, ENOTCONN);
		ktls_free(k);
		assert_same_socket(sock, service->pair[1]);
		close_fd(&sock);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

static void test_untaken_socket_is_closed(void **state)
{
	struct service *service = service_new(NULL);
	struct ktls *k = ask(service);
	char byte;

	k->getsockopt = getsockopt_tls;
	/* Nobody is there yet to answer. */
	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_step(k), 0);
	service->serve = serve_plain_socket;
	service_run(service);
	service_join(service);
	assert_int_equal(ktls_step(k), 1);
	close_fd(&service->pair[0]);
	ktls_free(k);
	assert_int_equal(recv(service->pair[1], &byte, 1, MSG_DONTWAIT), 0);
	service_free(service);
}

static void test_once(void **state)
{
	struct service *service = service_new(serve_hang_up);
	struct ktls *k = ask(service);

	assert_int_equal(ktls_step(k), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_take(k), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(ktls_timeout(k), -1);
	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_start(k), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_get_status(k), KTLS_OK);
	ktls_free(k);
	service_free(service);
}

static void test_incomplete(void **state)
{
	struct ktls *k = ktls_new();

	assert_failed(k, ktls_connect(k), EINVAL, KTLS_INVALID_PARAMETER);
	assert_string_equal(ktls_get_parameter(k), "host");
	assert_string_equal(ktls_get_stage(k), "request");
	ktls_free(k);
	k = ktls_new();
	assert_int_equal(ktls_set_host(k, "::1"), 0);
	assert_failed(k, ktls_start(k), EINVAL, KTLS_INVALID_PARAMETER);
	assert_string_equal(ktls_get_parameter(k), "port");
	ktls_free(k);
}

/* Fills the queue of a service that accepts nobody. Returns how many it took. */
static size_t fill_queue(const struct service *service, int fds[static 64])
{
	struct sockaddr_un address;
	size_t n = 0;

	service_address(service, &address);
	for (n = 0; n < 64; n++) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (__real_connect(fds[n], (struct sockaddr *)&address, sizeof(address)) < 0)
			break;
	}
	assert_in_range(n, 1, 63);
	assert_int_equal(errno, EAGAIN);
	close_fd(&fds[n]);
	return n;
}

static void test_full_queue(void **state)
{
	struct service *service = service_new(NULL);
	struct ktls *k = ask(service), *late = ask(service);
	int fds[64], accepted;
	size_t n = fill_queue(service, fds);

	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_timeout(k), 0);
	assert_int_equal(ktls_step(k), 0);
	assert_int_equal(ktls_fd(k), -1);
	assert_in_range(ktls_timeout(k), 0, 10);
	assert_int_equal(ktls_start(late), 0);
	late->deadline = now_ms();
	assert_failed(late, ktls_step(late), ETIMEDOUT, KTLS_SILENT);
	assert_non_null(strstr(ktls_get_message(late), "accepted no caller"));
	accepted = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(ktls_step(k), 0);
	assert_true(ktls_fd(k) >= 0);
	close_fd(&accepted);
	while (n)
		close_fd(&fds[--n]);
	ktls_free(k);
	ktls_free(late);
	service_free(service);
}

static void test_interrupted_connect(void **state)
{
	struct service *service = service_new(serve_garbage);
	struct ktls *k = ask(service);

	connect_failure.times = 2;
	connect_failure.err = EINTR;
	assert_failed(k, ktls_connect(k), EBADMSG, KTLS_PROTOCOL);
	assert_int_equal(connect_failure.times, 0);
	ktls_free(k);
	service_free(service);
}

/* PEM in form alone, which is all that the library looks at. */
static char *large_ca(void)
{
	static const char line[] = "MIICertificateCertificateCertificateCertificate/+/+/+/+/+/+/+/\n";
	static const char head[] = "-----BEGIN CERTIFICATE-----\n";
	static const char tail[] = "-----END CERTIFICATE-----\n";
	char *text = malloc(PROTO_CA_MAX), *at = text;

	assert_non_null(text);
	at = stpcpy(at, head);
	while (at - text + sizeof(line) + sizeof(tail) < PROTO_CA_MAX)
		at = stpcpy(at, line);
	strcpy(at, tail);
	return text;
}

static void serve_after_a_word(struct service *service, int caller)
{
	char byte;

	assert_int_equal(read(service->pair[0], &byte, 1), 1);
	serve_hang_up_later(service, caller);
}

/* More than a socket takes at once goes out bit by bit, and arrives whole. */
static void test_large_request(void **state)
{
	struct service *service = service_new(serve_after_a_word);
	struct ktls *k = ask(service);
	_cleanup_free_ char *ca = large_ca();
	struct proto_call call = { 0 };
	struct proto_status status;
	bool oneway;
	int r;

	assert_int_equal(ktls_set_ca(k, ca), 0);
	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_step(k), 0);
	assert_int_equal(ktls_events(k), POLLOUT);
	assert_int_equal(write(service->pair[1], "x", 1), 1);
	do {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		assert_int_equal(poll(&p, 1, 5000), 1);
		r = ktls_step(k);
	} while (r == 0);
	assert_failed(k, r, ECONNRESET, KTLS_LOST);
	service_join(service);
	assert_int_equal(proto_call_decode(&call, service->request, service->length - 1, &status,
					   &oneway), PROTO_DECODE_OK);
	assert_string_equal(call.connect.trust.ca, ca);
	proto_call_deinit(&call);
	ktls_free(k);
	service_free(service);
}

/* A service that hangs up on a large request may have said why; SIGPIPE would end this process. */
static void serve_refusal_unread(struct service *service, int caller)
{
	static const char refusal[] = "{\"error\":\"io.ktlsd.NotAuthorized\"}";

	service_send(caller, refusal, sizeof(refusal), NULL, 0);
}

static void test_refused_while_sending(void **state)
{
	for (size_t i = 0; i < array_size(manners); i++) {
		struct service *service = service_new(serve_refusal_unread);
		struct ktls *k = ask(service);
		_cleanup_free_ char *ca = large_ca();

		assert_int_equal(ktls_set_ca(k, ca), 0);
		assert_failed(k, manners[i](k), EACCES, KTLS_NOT_AUTHORIZED);
		ktls_free(k);
		service_free(service);
	}
}

/* Takes every descriptor that a process with this limit may have. Returns how many. */
static size_t take_descriptors(const struct rlimit *limit, int fds[static 256])
{
	size_t n = 0;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, limit), 0);
	while (n < 256 && (fds[n] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	assert_in_range(n, 0, 255);
	assert_int_equal(errno, EMFILE);
	return n;
}

/*
 * The kernel drops the descriptor then, and the service is not to blame. Valgrind plays the limit
 * itself, and not to descriptors that come in a message.
 */
static void no_descriptor_left(void)
{
	struct service *service = service_new(NULL);
	struct rlimit limit, less = { .rlim_cur = 256, .rlim_max = 256 };
	struct ktls *k = ask(service);
	int fds[256], r;
	size_t n;

	k->getsockopt = getsockopt_tls;
	/* Nobody is there yet to answer. */
	assert_int_equal(ktls_start(k), 0);
	assert_int_equal(ktls_step(k), 0);
	service->serve = serve_plain_socket;
	service_run(service);
	service_join(service);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less.rlim_max = limit.rlim_max;
	n = take_descriptors(&less, fds);
	r = ktls_step(k);
	while (n)
		close_fd(&fds[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(r, -1);
	assert_failed(k, ktls_step(k), EMFILE, KTLS_LOCAL);
	assert_string_equal(ktls_get_stage(k), "handover");
	ktls_free(k);
	service_free(service);
}

static void test_no_descriptor_left(void **state)
{
	if (!RUNNING_ON_VALGRIND)
		no_descriptor_left();
}

static void serve_status(struct service *service, int caller)
{
	const struct proto_status *status = (const void *)service->request;
	size_t length;
	_cleanup_free_ char *text = proto_status_encode(status, &length);

	service_send(caller, text, length + 1, NULL, 0);
}

/* Every error of the table arrives as it was sent. */
static void test_each_error(void **state)
{
	for (int number = 1; proto_error_info(number); number++) {
		struct proto_status status;
		struct service *service = service_new(NULL);
		struct ktls *k = ask(service);

		proto_status_set(&status, number, PROTO_STAGE_HANDSHAKE, ENETDOWN, "so it is %d",
				 number);
		status.retry = number % 2;
		strcpy(status.alert, "unknown_ca");
		strcpy(status.x509, "X509_V_ERR_CERT_HAS_EXPIRED");
		strcpy(status.parameter, "trust.pins");
		memcpy(service->request, &status, sizeof(status));
		service->serve = serve_status;
		service_run(service);
		assert_int_equal(ktls_connect(k), -1);
		assert_int_equal(ktls_get_status(k), number);
		/* The errors of Varlink itself carry no more than their subject. */
		if (strncmp(proto_error_info(number)->wire, "io.ktlsd.", 9) == 0) {
			assert_string_equal(ktls_get_stage(k), "handshake");
			assert_string_equal(ktls_get_message(k), status.message);
			assert_int_equal(ktls_get_errno(k), ENETDOWN);
			assert_int_equal(ktls_get_retry(k), status.retry);
			assert_string_equal(ktls_get_alert(k), status.alert);
			assert_string_equal(ktls_get_x509(k), status.x509);
		}
		ktls_free(k);
		service_free(service);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_refused_socket_is_shut_down),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_silence_ends),
		cmocka_unit_test(test_answer_beats_deadline),
		cmocka_unit_test(test_free_cancels),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_untaken_socket_is_closed),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_interrupted_connect),
		cmocka_unit_test(test_large_request),
		cmocka_unit_test(test_refused_while_sending),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_each_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
