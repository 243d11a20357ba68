/* SPDX-License-Identifier: MIT */
/*
 * What is offered to a peer: the request narrowed by the policy of the configuration and by what
 * this kernel takes over. One SSL_CTX for each policy is made once, with its cipher list; a request
 * that narrows nothing costs nothing.
 */
#pragma once

#include "daemon/config.h"
#include "daemon/kernel.h"
#include "proto/message.h"

#include <openssl/ssl.h>

struct tls;

/* How much of what request and policy allow: as much as this kernel takes, or all of it. */
enum tls_offer { TLS_OFFER_KERNEL, TLS_OFFER_ALL };

/* NULL: *message (malloc) is the fault of a policy, see policy_init(). kernel is copied. */
struct tls *tls_new(const struct config *config, const struct kernel *kernel, char **message);
struct tls *tls_free(struct tls *tls);
DEFINE_CLEANUP(struct tls *, tls_free)

/* What OpenSSL offers of itself at the security level of all policies, found when it is first asked
 * for; it lives as long as tls. NULL: no memory. */
const STACK_OF(SSL_CIPHER) *tls_suites(struct tls *tls);

/*
 * A client session that offers what is left, with SNI and ALPN, for the caller to free with
 * SSL_free(). Otherwise NULL and *status: INVALID_PARAMETER (unknown name in a cipher, group or
 * signature algorithm string; unknown policy), NOT_AUTHORIZED (the policy leaves nothing),
 * NOT_OFFLOADABLE (the kernel leaves nothing; not of TLS_OFFER_ALL).
 */
SSL *tls_session(struct tls *tls, const struct proto_connect *wanted, enum tls_offer offer,
		 struct proto_status *status);
