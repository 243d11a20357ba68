/* SPDX-License-Identifier: MIT */
/*
 * usage: bare loop PORT CA NAME WARMUP COUNT     in this process, the CA file loaded once
 *        bare each PORT CA NAME WARMUP COUNT     forked and executed for each connection
 *        bare once PORT CA NAME                  what "each" executes
 *
 * What a program has to do that makes its kernel TLS sockets itself, and nothing beyond it:
 * connect, handshake and verification, key derivation, installation. "loop" and "each" are what
 * ktlsd is measured against.
 */
#include "daemon/keys.h"
#include "tests/bench/measure.h"

#include <arpa/inet.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

struct target {
	struct sockaddr_in address;
	const char *self, *port, *ca, *name;
};

static SSL_CTX *context_new(const struct target *target)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_load_verify_file(ctx, target->ca)) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		return ctx;
	}
	ERR_print_errors_fp(stderr);
	SSL_CTX_free(ctx);
	return NULL;
}

static bool shake_hands(SSL *ssl, int fd, const char *name)
{
	if (ssl && SSL_set_fd(ssl, fd) && SSL_set_tlsext_host_name(ssl, name) &&
	    SSL_set1_host(ssl, name) && SSL_connect(ssl) == 1)
		return true;
	ERR_print_errors_fp(stderr);
	return false;
}

/* The one cipher of the server here. */
static int install(int fd, int which, const struct direction_keys *keys)
{
	struct tls12_crypto_info_aes_gcm_256 info = {
		.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_256 },
	};
	int result;

	memcpy(info.key, keys->key, sizeof(info.key));
	memcpy(info.salt, keys->salt, sizeof(info.salt));
	memcpy(info.iv, keys->iv, sizeof(info.iv));
	memcpy(info.rec_seq, keys->seq, sizeof(info.rec_seq));
	result = setsockopt(fd, SOL_TLS, which, &info, sizeof(info));
	OPENSSL_cleanse(&info, sizeof(info));
	return result;
}

static bool hand_to_kernel(SSL *ssl, int fd)
{
	static const uint8_t nonce[8];
	_cleanup_(session_keys_wipe) struct session_keys keys = { 0 };

	if (session_keys_derive(&keys, ssl, nonce) < 0 ||
	    keys.cipher->kernel_type != TLS_CIPHER_AES_GCM_256) {
		fprintf(stderr, "bare: not the expected cipher\n");
		return false;
	}
	if (install(fd, TLS_TX, &keys.tx) == 0 && install(fd, TLS_RX, &keys.rx) == 0)
		return true;
	perror("bare: install");
	return false;
}

/* A socket on which the kernel does TLS, or -1. */
static int tls_socket(SSL_CTX *ctx, const struct target *target)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl;
	bool ok;

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&target->address, sizeof(target->address)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0) {
		perror("bare: connect");
		return -1;
	}
	ssl = SSL_new(ctx);
	ok = shake_hands(ssl, fd, target->name) && hand_to_kernel(ssl, fd);
	SSL_free(ssl);
	return ok ? steal_fd(&fd) : -1;
}

static int run_once(const struct target *target)
{
	SSL_CTX *ctx = context_new(target);
	_cleanup_fd_ int fd = ctx ? tls_socket(ctx, target) : -1;

	SSL_CTX_free(ctx);
	return fd >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_loop(const struct target *target, struct measure *m)
{
	SSL_CTX *ctx = context_new(target);
	uint64_t cpu = 0;

	while (ctx && measure_more(m)) {
		_cleanup_fd_ int fd = -1;

		if (measure_is_first(m))
			cpu = measure_clock(CLOCK_PROCESS_CPUTIME_ID);
		measure_begin(m);
		fd = tls_socket(ctx, target);
		if (fd < 0)
			break;
		measure_end(m);
	}
	measure_print_cpu("bare", measure_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	SSL_CTX_free(ctx);
	return measure_more(m) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The child's processor time in ns, or -1. */
static int64_t fork_and_execute(const struct target *target)
{
	struct rusage used;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl(target->self, target->self, "once", target->port, target->ca, target->name, NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status != 0) {
		fprintf(stderr, "bare: a child ended with %#x\n", (unsigned int)status);
		return -1;
	}
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000000) +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * INT64_C(1000);
}

static int run_each(const struct target *target, struct measure *m)
{
	uint64_t cpu = 0, children = 0;

	while (measure_more(m)) {
		int64_t child;

		if (measure_is_first(m)) {
			cpu = measure_clock(CLOCK_PROCESS_CPUTIME_ID);
			children = 0;
		}
		measure_begin(m);
		child = fork_and_execute(target);
		if (child < 0)
			return EXIT_FAILURE;
		measure_end(m);
		children += (uint64_t)child;
	}
	measure_print_cpu("driver", measure_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	measure_print_cpu("children", children);
	return EXIT_SUCCESS;
}

static const struct mode {
	const char *name;
	int (*run)(const struct target *target, struct measure *m);
} modes[] = { { "loop", run_loop }, { "each", run_each } };

static int run_mode(const char *name, const struct target *target, struct measure *m)
{
	int status = EXIT_FAILURE;

	for (size_t i = 0; i < array_size(modes); i++)
		if (strcmp(name, modes[i].name) == 0)
			status = modes[i].run(target, m);
	if (status == EXIT_SUCCESS)
		measure_print_latencies(m);
	return status;
}

int main(int argc, char **argv)
{
	_cleanup_(measure_deinit) struct measure m = { 0 };
	struct target target = { .address = { .sin_family = AF_INET,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };

	if (argc != 5 && argc != 7) {
		fprintf(stderr, "usage: bare once|loop|each PORT CA NAME [WARMUP COUNT]\n");
		return EXIT_FAILURE;
	}
	target.address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	target.self = argv[0];
	target.port = argv[2];
	target.ca = argv[3];
	target.name = argv[4];
	if (argc == 5)
		return run_once(&target);
	return measure_init(&m, argv[5], argv[6]) ? run_mode(argv[1], &target, &m) : EXIT_FAILURE;
}
