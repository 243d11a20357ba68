/* SPDX-License-Identifier: MIT */
/* A TLS client and server whose bytes pass through the test's hands. */
#pragma once

#include "tests/unit/x509.h"

#include <openssl/err.h>

struct ends {
	SSL *client, *server;
	void (*watch)(void *arg, bool by_client, const uint8_t *bytes, size_t n);
	void *arg;
};

/* Takes over both. */
static inline void ends_init(struct ends *ends, SSL *client, SSL *server)
{
	*ends = (struct ends){ .client = client, .server = server };
	SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(client), -1);
	BIO_set_mem_eof_return(SSL_get_rbio(server), -1);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
}

static inline void ends_deinit(struct ends *ends)
{
	SSL_free(ends->client);
	SSL_free(ends->server);
	*ends = (struct ends){ 0 };
}

static inline bool carry(struct ends *ends, SSL *from, SSL *to)
{
	uint8_t buffer[4096];
	int n = BIO_read(SSL_get_wbio(from), buffer, sizeof(buffer));

	if (n <= 0)
		return false;
	if (ends->watch)
		ends->watch(ends->arg, from == ends->client, buffer, (size_t)n);
	assert_int_equal(BIO_write(SSL_get_rbio(to), buffer, n), n);
	return true;
}

/* Both work until neither has more to say; true: both have finished. */
static inline bool shake(struct ends *ends)
{
	bool moved = true;

	for (int i = 0; i < 1000 && moved; i++) {
		ERR_clear_error();
		SSL_do_handshake(ends->client);
		moved = carry(ends, ends->client, ends->server);
		ERR_clear_error();
		SSL_do_handshake(ends->server);
		moved |= carry(ends, ends->server, ends->client);
	}
	ERR_clear_error();
	return SSL_is_init_finished(ends->client) && SSL_is_init_finished(ends->server);
}
