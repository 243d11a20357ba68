/* SPDX-License-Identifier: MIT */
/*
 * The verdict on a peer's certificates: limits on their size and cost first (a handshake must not
 * burn the daemon's processor), then pins, chain and name as the request wants them. What their
 * keys may be was seen to when they came in (messages.h).
 */
#pragma once

#include "proto/message.h"

#include <openssl/ssl.h>

/* With OpenSSL's defaults, 100 KiB and a depth of 100, one handshake was seen to cost 326 ms. */
#define VERIFY_CHAIN_BYTES_MAX (32 * 1024)
#define VERIFY_CERTS_MAX 10
#define VERIFY_DEPTH_MAX 8
#define VERIFY_SECURITY_BITS_MIN 112	/* of the peer's own key: what level 2 of OpenSSL means */
#define VERIFY_NAMES_MAX 1000		/* subjectAltName entries of one certificate */

struct verify {
	const struct proto_connect *wanted;	/* borrowed for the time of the handshake */
	X509_STORE *anchors;		/* a reference, owned; NULL: the chain is not checked */
	bool check_name;
	bool accepted;			/* the verdict was yes; without it no session stands */
	bool rejected;			/* it was no, and status says why */
	struct proto_status *status;	/* borrowed */
	/* For who wants to know of the certificates to set, after verify_init(); NULL: nobody. */
	struct proto_trace *trace;
	const X509 *culprit;		/* with which it is wrong; gone with the verdict */
	int problem;			/* what, OpenSSL's number */
};

/*
 * anchors is taken over, on failure too. The struct must stay where it is until verify_deinit(),
 * which may be called more than once.
 */
enum proto_error verify_init(struct verify *verify, SSL *ssl, const struct proto_connect *wanted,
			     X509_STORE *anchors, struct proto_status *status);
void verify_deinit(struct verify *verify);

/* For tls.c: makes every session of this context ask here. */
void verify_install(SSL_CTX *ctx);

/* "chain+name", "pin" ...: by what a session that passed was verified. */
const char *verify_by(const struct verify *verify);

/* verify: none. It needs the configuration's permission, with pins or without. */
bool verify_is_none(const struct proto_trust *trust);

/* Whether the request wants a chain to anchors at all. */
bool verify_wants_chain(const struct proto_trust *trust);

/* The name without the root's dot, if it is a DNS name; false: it is an IP address. */
bool verify_dns_name(char to[static PROTO_HOST_MAX + 1], const char *name);
