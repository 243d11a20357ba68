/* SPDX-License-Identifier: MIT */
/*
 * What a probe sees on its way: the addresses that it tries, and the certificates that it is shown.
 * A connect has no trace, and nothing is collected for it.
 */
#pragma once

#include "daemon/address.h"
#include "proto/message.h"

#include <openssl/x509.h>

/* Makes room, once, for all but the names. False: no memory. proto_trace_deinit() is due either way. */
bool trace_begin(struct proto_trace *trace);

/* An attempt at this address begins. They are numbered in this order, from 0; there are no more than
 * ADDRESSES_MAX. */
void trace_attempt(struct proto_trace *trace, const struct sockaddr_storage *address, uint64_t now_us);
/* It is over. */
void trace_attempt_over(struct proto_trace *trace, unsigned int number,
			enum proto_attempt_state state, int sys_errno, uint64_t now_us);

/*
 * Once the verdict is spoken: the certificates that the peer sent, VERIFY_CERTS_MAX of them at most,
 * with code as the problem of the culprit, if that is among them; NULL: there is none. An anchor
 * that the peer did not send is not. False: no memory. Leaves
 * OpenSSL's queue of errors empty.
 */
bool trace_chain(struct proto_trace *trace, const STACK_OF(X509) *chain, const X509 *culprit, int code);
