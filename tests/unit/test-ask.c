/* SPDX-License-Identifier: MIT */
/* tests: client/ask.c */
/* tests: client/sync.c */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup */
#include "tests/unit/client-service.h"

#include "client/internal.h"

#include <linux/tls.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

/* The allocation of the library that fails, of this thread, counted from 0; -1: none. */
static __thread int allocation_to_fail = -1;

static bool allocation_fails(void)
{
	if (allocation_to_fail < 0 || allocation_to_fail-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return allocation_fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return allocation_fails() ? NULL : __real_strdup(text);
}

static struct ktls *fresh(const struct service *service)
{
	struct ktls *k = ktls_new();

	assert_non_null(k);
	assert_int_equal(ktls_set_socket(k, service->path), 0);
	return k;
}

/* ktls_call() by hand. */
static int call_by_steps(struct ktls *k, const char *method)
{
	int r = ktls_start_call(k, method);

	while (r == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		assert_in_range(ktls_timeout(k), 0, 20000 + KTLS_MARGIN_MS);
		assert_true(poll(&p, 1, ktls_timeout(k)) >= 0);
		r = ktls_step(k);
	}
	assert_int_equal(ktls_fd(k), -1);
	assert_int_equal(ktls_events(k), 0);
	assert_int_equal(ktls_timeout(k), -1);
	return r < 0 ? -1 : 0;
}

static int (*const manners[])(struct ktls *k, const char *method) = { ktls_call, call_by_steps };

/* What the service answers, with so many descriptors. */
static struct {
	const char *text;
	size_t length, n_fds;
} answer;

static void serve_answer(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, answer.text, answer.length, service->pair, answer.n_fds);
}

static struct service *service_saying(const char *text, size_t n_fds)
{
	answer.text = text;
	answer.length = strlen(text) + 1;
	answer.n_fds = n_fds;
	return service_new(serve_answer);
}

static void assert_heard(struct service *service, const char *text)
{
	service_join(service);
	assert_int_equal(service->length, strlen(text) + 1);
	assert_string_equal(service->request, text);
}

static void test_without_parameters(void **state)
{
	static const char *const questions[][2] = {
		{ "GetStatus", "{\"method\":\"io.ktlsd.GetStatus\"}" },
		{ "GetCapabilities", "{\"method\":\"io.ktlsd.GetCapabilities\"}" },
		{ "io.ktlsd.GetStatus", "{\"method\":\"io.ktlsd.GetStatus\"}" },
		{ "org.varlink.service.GetInfo", "{\"method\":\"org.varlink.service.GetInfo\"}" },
		{ "org.example.Connect", "{\"method\":\"org.example.Connect\"}" },
	};

	for (size_t i = 0; i < 2 * array_size(questions); i++) {
		size_t before = count_descriptors();
		struct service *service =
			service_saying("{\"parameters\": {\"a\": [1, null]}}", 0);
		struct ktls *k = fresh(service);

		/* A host that was set goes nowhere. */
		assert_int_equal(ktls_set_host(k, "example.org"), 0);
		assert_null(ktls_get_reply(k));
		assert_int_equal(manners[i % 2](k, questions[i / 2][0]), 0);
		assert_heard(service, questions[i / 2][1]);
		assert_string_equal(ktls_get_reply(k), "{\"a\":[1,null]}");
		assert_int_equal(ktls_get_status(k), KTLS_OK);
		assert_null(ktls_get_stage(k));
		ktls_free(k);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

/* What Probe is asked is what Connect is, and as complete. */
static void test_probe(void **state)
{
	static const char *const names[] = { "Probe", "io.ktlsd.Probe" };

	for (size_t i = 0; i < array_size(names); i++) {
		struct service *service = service_saying("{\"parameters\":{}}", 0);
		struct ktls *k = fresh(service);

		assert_int_equal(ktls_set_host(k, "example.org"), 0);
		assert_int_equal(ktls_set_port(k, 443), 0);
		assert_int_equal(ktls_set_policy(k, "strict"), 0);
		assert_int_equal(manners[i](k, names[i]), 0);
		assert_heard(service, "{\"method\":\"io.ktlsd.Probe\",\"parameters\":{"
			     "\"host\":\"example.org\",\"port\":443,"
			     "\"policy\":{\"name\":\"strict\"},\"timeoutMs\":20000}}");
		assert_string_equal(ktls_get_reply(k), "{}");
		ktls_free(k);
		service_free(service);
	}
}

static void test_probe_incomplete(void **state)
{
	struct service *service = service_saying("{\"parameters\":{}}", 0);
	struct ktls *k = fresh(service);

	assert_int_equal(ktls_call(k, "Probe"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ktls_get_status(k), KTLS_INVALID_PARAMETER);
	assert_string_equal(ktls_get_parameter(k), "host");
	assert_int_equal(ktls_call(k, "GetStatus"), -1);
	assert_int_equal(errno, EBUSY);
	ktls_reset(k);
	assert_int_equal(ktls_set_host(k, "example.org"), 0);
	assert_int_equal(ktls_start_call(k, "Probe"), -1);
	assert_string_equal(ktls_get_parameter(k), "port");
	ktls_reset(k);
	assert_null(ktls_get_parameter(k));
	assert_int_equal(ktls_call(k, "GetStatus"), 0);
	ktls_free(k);
	service_free(service);
}

/* n letters. */
static const char *long_name(size_t n)
{
	static char name[512];

	assert_true(n < sizeof(name));
	memset(name, 'a', n);
	name[n] = '\0';
	return name;
}

/* None of these begins anything: the handle asks for a connection afterwards, or for anything. */
static void test_names_refused(void **state)
{
	const char *const names[] = {
		NULL, "", "Connect", "io.ktlsd.Connect", long_name(256), "Get Status", "GetStatus\n",
		"Get\"Status", "Get\xc3\xa4",
	};

	for (size_t i = 0; i < 2 * array_size(names); i++) {
		struct service *service = service_saying("{\"parameters\":{\"b\":1}}", 0);
		struct ktls *k = fresh(service);

		errno = 0;
		assert_int_equal(manners[i % 2](k, names[i / 2]), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(ktls_get_status(k), KTLS_OK);
		assert_int_equal(ktls_set_host(k, "example.org"), 0);
		assert_int_equal(ktls_set_port(k, 443), 0);
		if (i / 2 == 2) {
			assert_int_equal(ktls_connect(k), -1);
			assert_heard(service, "{\"method\":\"io.ktlsd.Connect\",\"parameters\":{"
				     "\"host\":\"example.org\",\"port\":443,\"timeoutMs\":20000}}");
			assert_int_equal(ktls_get_status(k), KTLS_PROTOCOL);
			assert_null(ktls_get_reply(k));
		} else {
			assert_int_equal(ktls_call(k, "GetStatus"), 0);
			assert_string_equal(ktls_get_reply(k), "{\"b\":1}");
		}
		ktls_free(k);
		service_free(service);
	}
}

static void test_longest_name(void **state)
{
	struct service *service = service_saying("{\"parameters\":{}}", 0);
	struct ktls *k = fresh(service);
	char text[1024];

	snprintf(text, sizeof(text), "{\"method\":\"io.ktlsd.%s\"}", long_name(255));
	assert_int_equal(ktls_call(k, long_name(255)), 0);
	assert_heard(service, text);
	ktls_free(k);
	service_free(service);
}

static void test_busy(void **state)
{
	struct service *service = service_saying("{\"parameters\":{\"a\":1}}", 0);
	struct ktls *k = fresh(service);

	assert_int_equal(ktls_start_call(k, "GetStatus"), 0);
	assert_int_equal(ktls_start_call(k, "GetCapabilities"), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_call(k, ""), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_start(k), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_set_host(k, "example.org"), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(ktls_get_status(k), KTLS_OK);
	while (ktls_step(k) == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	assert_string_equal(ktls_get_reply(k), "{\"a\":1}");
	assert_heard(service, "{\"method\":\"io.ktlsd.GetStatus\"}");
	assert_int_equal(ktls_call(k, "GetStatus"), -1);
	assert_int_equal(errno, EBUSY);
	assert_string_equal(ktls_get_reply(k), "{\"a\":1}");
	ktls_free(k);
	service_free(service);
}

/* Whatever came with it is closed, and there is nothing to take. */
static void test_reply_with_descriptors(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		size_t before = count_descriptors();
		struct service *service = service_saying("{\"parameters\":{\"fileDescriptor\":0}}",
							 i + 1);
		struct ktls *k = fresh(service);
		char byte;

		assert_int_equal(manners[i](k, "GetStatus"), 0);
		assert_int_equal(ktls_step(k), 1);
		service_join(service);
		assert_int_equal(count_descriptors(), before + 3);
		close_fd(&service->pair[0]);
		assert_int_equal(recv(service->pair[1], &byte, 1, MSG_DONTWAIT), 0);
		errno = 0;
		assert_int_equal(ktls_take(k), -1);
		assert_int_equal(errno, ENOTCONN);
		assert_null(ktls_get_cipher(k));
		assert_null(ktls_get_address(k));
		assert_int_equal(ktls_get_timing(k, KTLS_TIMING_TOTAL), 0);
		ktls_free(k);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

#define FAILURE								\
	"{\"stage\":\"connect\",\"message\":\"no\",\"errno\":\"ECONNREFUSED\",\"retry\":true,"	\
	"\"trace\":{\"attempts\":[{\"address\":\"192.0.2.1:443\",\"begun\":18446744073709551615}]}}"

static const struct {
	const char *text;
	enum ktls_status status;
	int err;
	const char *stage, *message, *reply;
} failures[] = {
	{ "{\"error\":\"io.ktlsd.ConnectFailed\",\"parameters\":" FAILURE "}", KTLS_CONNECT_FAILED,
	  ECONNREFUSED, "connect", "no", FAILURE },
	{ "{\"error\":\"io.ktlsd.Busy\"}", KTLS_BUSY, EAGAIN, "request", "quota", NULL },
	{ "{\"error\":\"io.ktlsd.Busy\",\"parameters\":null}", KTLS_BUSY, EAGAIN, "request",
	  "quota", NULL },
	{ "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"a.B\"}}",
	  KTLS_METHOD_NOT_FOUND, ENOSYS, "request", "a.B", "{\"method\":\"a.B\"}" },
	{ "{\"error\":\"a.B\",\"parameters\":{\"c\":1}}", KTLS_INTERNAL_ERROR, EIO, "request",
	  "a.B", "{\"c\":1}" },
	{ "{}", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
	{ "{\"parameters\":null}", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
	{ "{\"parameters\":[]}", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
	{ "{\"parameters\":\"a\"}", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
	{ "{\"parameters\":{}", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
	{ "{\"parameters\":{\"a\":1,\"a\":2}}", KTLS_PROTOCOL, EBADMSG, "service",
	  "not one of ktlsd's", NULL },
	{ "{\"parameters\":{\"a\":\"\\u0000\"}}", KTLS_PROTOCOL, EBADMSG, "service",
	  "not one of ktlsd's", NULL },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", KTLS_PROTOCOL, EBADMSG, "service",
	  "not one of ktlsd's", NULL },
	{ "", KTLS_PROTOCOL, EBADMSG, "service", "not one of ktlsd's", NULL },
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
	assert_null(strchr(ktls_get_message(k), '\n'));
}

static void test_failures(void **state)
{
	for (size_t i = 0; i < 2 * array_size(failures); i++) {
		size_t before = count_descriptors(), row = i / 2;
		struct service *service = service_saying(failures[row].text, i % 2);
		struct ktls *k = fresh(service);
		int r = manners[i % 2](k, "GetStatus");

		assert_failed(k, r, failures[row].err, failures[row].status);
		print_message("# row %zu: %s\n", row, ktls_get_message(k));
		service_join(service);
		assert_int_equal(count_descriptors(), before + 3);
		assert_string_equal(ktls_get_stage(k), failures[row].stage);
		assert_non_null(strstr(ktls_get_message(k), failures[row].message));
		if (failures[row].reply)
			assert_string_equal(ktls_get_reply(k), failures[row].reply);
		else
			assert_null(ktls_get_reply(k));
		ktls_free(k);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

/* A second answer, or the beginning of one; behind an error it does not matter. */
static void test_more_than_an_answer(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		enum ktls_status status;
		int err;
	} cases[] = {
		{ "{\"parameters\":{}}\0{}", 21, KTLS_PROTOCOL, EBADMSG },
		{ "{\"parameters\":{}}\0{", 19, KTLS_PROTOCOL, EBADMSG },
		{ "{\"error\":\"io.ktlsd.Busy\"}\0{}", 28, KTLS_BUSY, EAGAIN },
	};

	for (size_t i = 0; i < array_size(cases); i++) {
		struct service *service = service_new(NULL);
		struct ktls *k = fresh(service);

		/* Nobody is there yet to answer. */
		assert_int_equal(ktls_start_call(k, "GetStatus"), 0);
		assert_int_equal(ktls_step(k), 0);
		answer.text = cases[i].text;
		answer.length = cases[i].length;
		answer.n_fds = 1;
		service->serve = serve_answer;
		service_run(service);
		service_join(service);
		assert_failed(k, ktls_step(k), cases[i].err, cases[i].status);
		assert_null(ktls_get_reply(k));
		ktls_free(k);
		service_free(service);
	}
}

/* {"parameters":{"a":[{"b":1},...]}}: so many members in all, an even number. */
static char *members(size_t n)
{
	char *text = malloc(n * 5 + 64), *at;

	assert_non_null(text);
	at = stpcpy(text, "{\"parameters\":{\"a\":[{\"b\":1}");
	for (size_t there = 4; there < n; there += 2)
		at = stpcpy(at, ",{\"b\":1}");
	strcpy(at, "]}}");
	return text;
}

static void test_members_of_a_report(void **state)
{
	for (size_t n = PROTO_REPORT_MEMBERS_MAX; n <= PROTO_REPORT_MEMBERS_MAX + 2; n += 2) {
		_cleanup_free_ char *text = members(n);
		struct service *service = service_saying(text, 0);
		struct ktls *k = fresh(service);
		int r = ktls_call(k, "GetStatus");

		if (n == PROTO_REPORT_MEMBERS_MAX) {
			assert_int_equal(r, 0);
			assert_int_equal(strlen(ktls_get_reply(k)),
					 strlen(text) - strlen("{\"parameters\":}"));
		} else {
			assert_failed(k, r, EBADMSG, KTLS_PROTOCOL);
			assert_null(ktls_get_reply(k));
		}
		ktls_free(k);
		service_free(service);
	}
}

static void serve_hang_up(struct service *service, int caller)
{
	service_hear(service, caller);
}

static void serve_half(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send(caller, "{\"parameters\":{", 15, service->pair, 1);
}

static void serve_silence(struct service *service, int caller)
{
	service_hear(service, caller);
	service_await_end(service, caller);
}

static void test_hang_up(void **state)
{
	void (*const serve[])(struct service *service, int caller) = { serve_hang_up, serve_half };

	for (size_t i = 0; i < 2 * array_size(serve); i++) {
		size_t before = count_descriptors();
		struct service *service = service_new(serve[i / 2]);
		struct ktls *k = fresh(service);

		assert_failed(k, manners[i % 2](k, "GetStatus"), ECONNRESET, KTLS_LOST);
		assert_null(ktls_get_reply(k));
		service_join(service);
		assert_int_equal(count_descriptors(), before + 3);
		ktls_free(k);
		service_free(service);
	}
}

static void test_silence_ends(void **state)
{
	struct service *service = service_new(serve_silence);
	struct ktls *k = fresh(service);

	assert_int_equal(ktls_set_timeout(k, 1), 0);
	assert_failed(k, ktls_call(k, "GetStatus"), ETIMEDOUT, KTLS_SILENT);
	assert_non_null(strstr(ktls_get_message(k), "2001 ms"));
	service_join(service);
	assert_int_equal(service->end, 0);
	ktls_free(k);
	service_free(service);
}

static void test_nobody_there(void **state)
{
	struct ktls *k = ktls_new();

	assert_int_equal(ktls_set_socket(k, "/nonexistent"), 0);
	assert_failed(k, ktls_call(k, "GetStatus"), ENOENT, KTLS_UNREACHABLE);
	ktls_free(k);
}

/* The n-th allocation fails, for every n that there is: a whole answer, or an orderly failure. */
static void test_no_memory(void **state)
{
	static const char reply[] = "{\"parameters\":{\"a\":[\"b\",1,-2,1.50,true,false,null,{}]}}";
	struct service *service;
	struct ktls *k;
	int n, r = -1;

	for (n = 0; n < 1000 && r < 0; n++) {
		service = service_saying(reply, 0);
		k = fresh(service);
		allocation_to_fail = n;
		errno = 0;
		r = ktls_call(k, "GetStatus");
		allocation_to_fail = -1;
		if (r < 0)
			assert_failed(k, r, ENOMEM, KTLS_LOCAL);
		else
			assert_string_equal(ktls_get_reply(k),
					    "{\"a\":[\"b\",1,-2,1.50,true,false,null,{}]}");
		if (r < 0)
			assert_null(ktls_get_reply(k));
		ktls_free(k);
		service_free(service);
	}
	assert_in_range(n, 5, 999);
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

static void serve_socket(struct service *service, int caller)
{
	service_hear(service, caller);
	service_send_session(caller, service->pair, 1);
}

/* As ktls_new() leaves it, but for what was set. */
static void assert_new(struct ktls *k)
{
	assert_int_equal(ktls_get_status(k), KTLS_OK);
	assert_null(ktls_get_stage(k));
	assert_string_equal(ktls_get_message(k), ktls_status_text(KTLS_OK));
	assert_int_equal(ktls_get_errno(k), 0);
	assert_false(ktls_get_retry(k));
	assert_null(ktls_get_alert(k));
	assert_null(ktls_get_x509(k));
	assert_null(ktls_get_parameter(k));
	assert_null(ktls_get_reply(k));
	assert_null(ktls_get_cipher(k));
	assert_false(ktls_get_resumed(k));
	assert_int_equal(ktls_get_timing(k, KTLS_TIMING_TOTAL), 0);
	assert_int_equal(ktls_fd(k), -1);
	assert_int_equal(ktls_events(k), 0);
	assert_int_equal(ktls_timeout(k), -1);
	assert_int_equal(ktls_take(k), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(ktls_step(k), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_reset_closes_untaken_socket(void **state)
{
	struct service *service = service_new(serve_socket);
	struct ktls *k = fresh(service);
	char byte;

	k->getsockopt = getsockopt_tls;
	assert_int_equal(ktls_set_host(k, "example.org"), 0);
	assert_int_equal(ktls_set_port(k, 443), 0);
	assert_int_equal(ktls_start(k), 0);
	while (ktls_step(k) == 0) {
		struct pollfd p = { .fd = ktls_fd(k), .events = ktls_events(k) };

		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	assert_non_null(ktls_get_cipher(k));
	service_join(service);
	close_fd(&service->pair[0]);
	ktls_reset(k);
	assert_int_equal(recv(service->pair[1], &byte, 1, MSG_DONTWAIT), 0);
	assert_new(k);
	ktls_free(k);
	service_free(service);
}

/* A socket that was taken is the caller's. */
static void test_reset_leaves_taken_socket(void **state)
{
	struct service *service = service_new(serve_socket);
	struct ktls *k = fresh(service);
	int sock;

	k->getsockopt = getsockopt_tls;
	assert_int_equal(ktls_set_host(k, "example.org"), 0);
	assert_int_equal(ktls_set_port(k, 443), 0);
	sock = ktls_connect(k);
	assert_true(sock >= 0);
	ktls_reset(k);
	assert_new(k);
	assert_int_equal(send(sock, "x", 1, MSG_NOSIGNAL), 1);
	close_fd(&sock);
	ktls_free(k);
	service_free(service);
}

/* Each state of a call has its end there; the service sees that nobody waits any more. */
static void test_reset_cancels(void **state)
{
	static const enum call_state states[] = { CALL_REACHING, CALL_RECEIVING };

	for (size_t i = 0; i < array_size(states); i++) {
		size_t before = count_descriptors();
		struct service *service = service_new(serve_silence);
		struct ktls *k = fresh(service);

		assert_int_equal(ktls_start_call(k, "GetStatus"), 0);
		while (k->state != states[i])
			assert_int_equal(ktls_step(k), 0);
		ktls_reset(k);
		assert_new(k);
		if (states[i] == CALL_RECEIVING)
			service_join(service);
		assert_int_equal(service->end, states[i] == CALL_RECEIVING ? 0 : -1);
		ktls_free(k);
		service_free(service);
		assert_int_equal(count_descriptors(), before);
	}
}

static void serve_many(struct service *service, int caller)
{
	while (caller >= 0) {
		service->length = 0;
		serve_answer(service, caller);
		close_fd(&caller);
		caller = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC);
	}
}

static void call_and_reset(struct ktls *k, size_t round)
{
	static const char *const texts[] = {
		"{\"parameters\":{\"text\":\"a long one, which would be seen to be left\"}}",
		"{\"error\":\"io.ktlsd.ConnectFailed\",\"parameters\":" FAILURE "}",
		"garbage",
	};

	answer.text = texts[round % 3];
	answer.length = strlen(answer.text) + 1;
	answer.n_fds = 1;
	assert_int_equal(manners[round % 2](k, "Probe"), round % 3 ? -1 : 0);
	assert_int_equal(ktls_get_reply(k) != NULL, round % 3 < 2);
	ktls_reset(k);
	assert_new(k);
	assert_string_equal(k->request.host, "example.org");
	assert_int_equal(k->request.port, 443);
	assert_int_equal(k->request.timeout_ms, 1234);
}

/* After each end that there is, settings are as they were and nothing is left. */
static void test_reset_again_and_again(void **state)
{
	size_t before = count_descriptors(), memory = 0;
	struct service *service = service_new(serve_many);
	struct ktls *k = fresh(service);

	assert_int_equal(ktls_set_host(k, "example.org"), 0);
	assert_int_equal(ktls_set_port(k, 443), 0);
	assert_int_equal(ktls_set_timeout(k, 1234), 0);
	for (size_t round = 0; round < 106; round++) {
		if (round == 6)
			memory = mallinfo2().uordblks;
		call_and_reset(k, round);
	}
	/* A sanitizer counts for itself. */
	assert_in_range(mallinfo2().uordblks, 0, memory + 1024);
	service_free(service);
	assert_int_equal(count_descriptors(), before);
	ktls_free(k);
}

static void test_reset_of_new(void **state)
{
	struct ktls *k = ktls_new();

	ktls_reset(k);
	assert_new(k);
	assert_string_equal(k->service.sun_path, KTLS_SOCKET);
	ktls_reset(k);
	ktls_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_parameters),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_probe_incomplete),
		cmocka_unit_test(test_names_refused),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_reply_with_descriptors),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_more_than_an_answer),
		cmocka_unit_test(test_members_of_a_report),
		cmocka_unit_test(test_hang_up),
		cmocka_unit_test(test_silence_ends),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_reset_closes_untaken_socket),
		cmocka_unit_test(test_reset_leaves_taken_socket),
		cmocka_unit_test(test_reset_cancels),
		cmocka_unit_test(test_reset_again_and_again),
		cmocka_unit_test(test_reset_of_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
