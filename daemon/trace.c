/* SPDX-License-Identifier: MIT */
#include "daemon/trace.h"

#include "daemon/cert.h"
#include "daemon/verify.h"
#include "proto/util.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

bool trace_begin(struct proto_trace *trace)
{
	trace->attempts.items = calloc(ADDRESSES_MAX, sizeof(struct proto_attempt));
	trace->chain.items = calloc(VERIFY_CERTS_MAX, sizeof(struct proto_certificate));
	return trace->attempts.items && trace->chain.items;
}

void trace_attempt(struct proto_trace *trace, const struct sockaddr_storage *address, uint64_t now_us)
{
	struct proto_attempt *attempts = trace->attempts.items;

	assert(trace->attempts.n < ADDRESSES_MAX);
	attempts += trace->attempts.n++;
	address_format(attempts->address, address);
	attempts->begun = now_us;
}

void trace_attempt_over(struct proto_trace *trace, unsigned int number,
			enum proto_attempt_state state, int sys_errno, uint64_t now_us)
{
	struct proto_attempt *attempt = (struct proto_attempt *)trace->attempts.items + number;

	assert(number < trace->attempts.n);
	attempt->state = state;
	attempt->sys_errno = sys_errno;
	attempt->took = now_us - attempt->begun;
}

static bool describe(struct proto_certificate *told, const X509 *cert)
{
	cert_time(told->not_before, X509_get0_notBefore(cert));
	cert_time(told->not_after, X509_get0_notAfter(cert));
	cert_key(told->key, sizeof(told->key), cert);
	snprintf(told->signature, sizeof(told->signature), "%s",
		 OBJ_nid2ln(X509_get_signature_nid(cert)));
	return cert_subject(told->subject, sizeof(told->subject), cert) &&
	       cert_issuer(told->issuer, sizeof(told->issuer), cert) &&
	       cert_hash(told->cert_sha256, cert, PROTO_PIN_CERT) &&
	       cert_hash(told->spki_sha256, cert, PROTO_PIN_SPKI);
}

/* Then something that is there was told as if it were not. Of this OpenSSL keeps a note. */
static bool memory_was_short(void)
{
	bool was_short = false;
	unsigned long code;

	while ((code = ERR_get_error()))
		was_short |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	return was_short;
}

/* OpenSSL may have taken the store's copy of what the peer sent, so a pointer is not enough; and
 * X509_cmp() would parse all names, in vain where they are too many. */
bool trace_chain(struct proto_trace *trace, const STACK_OF(X509) *chain, const X509 *culprit, int code)
{
	struct proto_certificate *told = trace->chain.items;
	char wrong[sizeof(told->cert_sha256)] = "";
	bool whole = true;

	ERR_clear_error();
	if (culprit)
		whole = cert_hash(wrong, culprit, PROTO_PIN_CERT);
	for (int i = 0; i < sk_X509_num(chain) && i < VERIFY_CERTS_MAX; i++) {
		const X509 *cert = sk_X509_value(chain, i);

		trace->chain.n++;
		whole &= describe(&told[i], cert);
		if (!*wrong || strcmp(wrong, told[i].cert_sha256) != 0)
			continue;
		cert_error_name(told[i].problem, sizeof(told[i].problem), code);
		*wrong = '\0';
	}
	/* Who has more of them than are accepted is not asked for them. */
	if (trace->chain.n && cert_count_names(sk_X509_value(chain, 0)) <= VERIFY_NAMES_MAX &&
	    !cert_names(&told->names, sk_X509_value(chain, 0)))
		whole = false;
	return !memory_was_short() && whole;
}
