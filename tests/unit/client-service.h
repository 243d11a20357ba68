/* SPDX-License-Identifier: MIT */
/*
 * A service that speaks what a test tells it: it listens in a directory of its own, takes one
 * caller in a thread, and answers by the test's function.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proto/message.h"
#include "proto/util.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct service {
	char directory[32], path[64];
	int listener;
	pthread_t thread;
	bool running;
	void (*serve)(struct service *service, int caller);
	int pair[2]; /* [0] is what is handed over */
	char request[PROTO_MESSAGE_MAX + 1];
	size_t length;
	char end; /* what the caller's connection gave after the answer: 0 is its end */
};

static const struct proto_session session_sample = {
	.version = "TLSv1.2",
	.cipher = "ECDHE-RSA-AES256-GCM-SHA384",
	.kernel_cipher = "aes-gcm-256",
	.group = "secp384r1",
	.alpn = "h2",
	.address = "[2001:db8::1]:443",
	.verified_by = "pin+chain+name",
	.peer_subject = "CN=example.org",
	.peer_cert_sha256 = "aa00000000000000000000000000000000000000000000000000000000000001",
	.peer_spki_sha256 = "bb00000000000000000000000000000000000000000000000000000000000002",
	.peer_not_after = "2027-01-31T12:00:00Z",
	.resumed = true,
	.timings = { 1, 20, 300, 4000, 50000 },
};

static inline void *service_thread(void *data)
{
	struct service *service = data;
	int caller = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC);

	if (caller >= 0)
		service->serve(service, caller);
	close_fd(&caller);
	return NULL;
}

static inline void service_address(const struct service *service, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(address->sun_path, service->path);
}

static inline void service_listen(struct service *service, int backlog)
{
	struct sockaddr_un address;

	strcpy(service->directory, "/tmp/ktls-unit-XXXXXX");
	assert_non_null(mkdtemp(service->directory));
	sprintf(service->path, "%s/io.ktlsd", service->directory);
	service_address(service, &address);
	service->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(service->listener >= 0);
	assert_int_equal(bind(service->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(service->listener, backlog), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, service->pair), 0);
}

static inline void service_run(struct service *service)
{
	sigset_t all, former;

	/* The signals of a test are its own. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &former);
	assert_int_equal(pthread_create(&service->thread, NULL, service_thread, service), 0);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	service->running = true;
}

static inline struct service *service_new(void (*serve)(struct service *service, int caller))
{
	struct service *service = calloc(1, sizeof(*service));

	assert_non_null(service);
	service->serve = serve;
	service->end = -1;
	service_listen(service, 8);
	if (serve)
		service_run(service);
	return service;
}

static inline void service_join(struct service *service)
{
	if (service->running)
		assert_int_equal(pthread_join(service->thread, NULL), 0);
	service->running = false;
}

static inline void service_free(struct service *service)
{
	shutdown(service->listener, SHUT_RDWR);
	service_join(service);
	close_fd(&service->listener);
	close_fd(&service->pair[0]);
	close_fd(&service->pair[1]);
	unlink(service->path);
	assert_int_equal(rmdir(service->directory), 0);
	free(service);
}

/* The request up to its NUL; all there is if it ends before. */
static inline void service_hear(struct service *service, int caller)
{
	ssize_t n = 1;

	while (n > 0 && !memchr(service->request, '\0', service->length)) {
		n = recv(caller, service->request + service->length,
			 sizeof(service->request) - service->length, 0);
		if (n > 0)
			service->length += n;
	}
}

static inline void service_send(int caller, const void *bytes, size_t length, const int *fds,
				size_t n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (n_fds) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	while (part.iov_len) {
		ssize_t n = sendmsg(caller, &message, MSG_NOSIGNAL);

		if (n < 0)
			return;
		part.iov_base = (char *)part.iov_base + n;
		part.iov_len -= n;
		message.msg_controllen = 0;
	}
}

static inline void service_send_session(int caller, const int *fds, size_t n_fds)
{
	size_t length;
	_cleanup_free_ char *text = proto_session_encode(&session_sample, &length);

	service_send(caller, text, length + 1, fds, n_fds);
}

/* Waits for the caller's end. */
static inline void service_await_end(struct service *service, int caller)
{
	char byte;

	service->end = recv(caller, &byte, 1, 0) == 0 ? 0 : 1;
}

static inline size_t count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}
