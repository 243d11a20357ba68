/* SPDX-License-Identifier: MIT */
/*
 * usage: server CHAIN KEY GROUP
 *
 * A TLS 1.2 server for one connection after the other, without resumption. It prints its port,
 * and ends when its standard input does.
 */
#include "proto/util.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#define CIPHER "ECDHE-RSA-AES256-GCM-SHA384"
#define BACKLOG 16

static SSL_CTX *context_new(char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_cipher_list(ctx, CIPHER) &&
	    SSL_CTX_use_certificate_chain_file(ctx, argv[0]) == 1 &&
	    SSL_CTX_use_PrivateKey_file(ctx, argv[1], SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_set1_groups_list(ctx, argv[2])) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		return ctx;
	}
	ERR_print_errors_fp(stderr);
	SSL_CTX_free(ctx);
	return NULL;
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		perror("server");
		return -1;
	}
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return steal_fd(&fd);
}

/* Handshake, then whatever comes until the peer hangs up. */
static void serve(SSL *ssl, int fd)
{
	struct timeval patience = { .tv_sec = 20 };
	char data[4096];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_accept(ssl) != 1) {
		ERR_print_errors_fp(stderr);
		return;
	}
	while (SSL_read(ssl, data, sizeof(data)) > 0)
		;
	ERR_clear_error();
}

static bool wait_for_peer(int listener)
{
	struct pollfd fds[] = { { .fd = listener, .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN } };

	return poll(fds, array_size(fds), -1) > 0 && !fds[1].revents;
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = argc == 4 ? context_new(argv + 1) : NULL;
	_cleanup_fd_ int listener = ctx ? listen_on_loopback() : -1;

	signal(SIGPIPE, SIG_IGN);
	while (listener >= 0 && wait_for_peer(listener)) {
		_cleanup_fd_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		SSL *ssl = fd >= 0 ? SSL_new(ctx) : NULL;

		if (fd >= 0)
			serve(ssl, fd);
		SSL_free(ssl);
	}
	SSL_CTX_free(ctx);
	return listener >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
