/* SPDX-License-Identifier: MIT */
/*
 * One run of a request whose stages are played. A program that includes this links with
 * -Wl,--wrap=SSL_free,--wrap=X509_STORE_free,--wrap=socket_prepare_hand_over,--wrap=calloc.
 */
#pragma once

#include "tests/unit/stages.h"

#include "daemon/sockopt.h"

int __real_socket_prepare_hand_over(int fd, const struct config *config);
int __wrap_socket_prepare_hand_over(int fd, const struct config *config);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool no_memory;

int __wrap_socket_prepare_hand_over(int fd, const struct config *config)
{
	if (play.refusal == OF_PREPARE)
		return errno = EPERM, -1;
	return __real_socket_prepare_hand_over(fd, config);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* --- one run */

struct run {
	struct theatre theatre;
	struct request *request;
	enum request_aim aim;
	bool take, free_in_done;
	bool done;
	unsigned int n_done;
	struct proto_status status;	/* as it was in done */
	struct proto_session session;
	int taken;
	uint64_t began_us, took_us;
};

static inline void on_done(struct request *request)
{
	struct run *run = request->owner;

	run->done = true;
	run->n_done++;
	run->took_us = clock_us() - run->began_us;
	run->status = request->status;
	run->session = request->session;
	if (run->take && run->status.error == PROTO_OK)
		run->taken = request_take(request);
	if (run->free_in_done)
		run->request = request_free(request);
}

static inline struct request *new_request(struct run *run, const char *host)
{
	struct proto_connect call = { .host = strdup(host), .port = 443, .timeout_ms = 20000 };
	struct request *request;

	call.trust.ca = strdup("CA text");
	request = request_new(&run->theatre.env, &run->theatre.caller, &call, run, on_done);
	assert_non_null(request);
	assert_null(call.host);
	assert_null(call.trust.ca);
	request->aim = run->aim;
	return request;
}

static inline void run_init(struct run *run)
{
	*run = (struct run){ .taken = -1 };
	theatre_open(&run->theatre);
}

static inline void run_begin(struct run *run, const char *host)
{
	if (!run->request)
		run->request = new_request(run, host);
	run->began_us = clock_us();
	request_start(run->request);
	assert_int_equal(run->n_done, 0);
}

static inline void run_to_done(struct run *run, const char *host)
{
	run_begin(run, host);
	run_until(play.loop, is_set, &run->done);
	assert_int_equal(run->n_done, 1);
}

/* The socket that connect made, if it did: alive in the caller's hands, or shut down. */
static inline void expect_socket(struct run *run)
{
	if (run->taken >= 0) {
		assert_string_equal(far_end_sees(play.far_end, 0), "");
		assert_int_equal(send(run->taken, "x", 1, MSG_NOSIGNAL), 1);
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "bytes");
	} else if (play.far_end >= 0) {
		assert_string_equal(far_end_sees(play.far_end, PATIENCE), "end");
	}
}

static inline void run_deinit(struct run *run)
{
	run->request = request_free(run->request);
	expect_quiet(play.loop);
	expect_socket(run);
	close_fd(&run->taken);
	theatre_close(&run->theatre);
}
