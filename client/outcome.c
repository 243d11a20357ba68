/* SPDX-License-Identifier: MIT */
#include "client/internal.h"
#include "proto/util.h"

#include <string.h>

#define ERROR(symbol, number, wire, sys, who, text)                                \
	_Static_assert(KTLS_##symbol == (number), "ktls.h repeats the numbers of " \
						  "proto/error.def");
#include "proto/error.def"
#undef ERROR

_Static_assert((int)KTLS_WHO_CALLER == PROTO_WHO_CALLER &&
		       (int)KTLS_WHO_ADMINISTRATOR == PROTO_WHO_ADMINISTRATOR &&
		       (int)KTLS_WHO_PEER == PROTO_WHO_PEER &&
		       (int)KTLS_WHO_RETRY == PROTO_WHO_RETRY &&
		       (int)KTLS_WHO_INTERNAL == PROTO_WHO_INTERNAL,
	       "ktls.h repeats these");

/* The wire's names without their interface, which is what people look up. */
static const struct outcome outcomes[] = {
	{ KTLS_OK, "Ok", "nothing failed", 0, KTLS_WHO_NOBODY },
#define ERROR(symbol, number, wire, sys, who, text) \
	{ KTLS_##symbol, wire, text, sys, KTLS_WHO_##who },
#include "proto/error.def"
#undef ERROR
	{ KTLS_UNREACHABLE, "ServiceUnreachable", "the service's socket cannot be reached",
	  ECONNREFUSED, KTLS_WHO_ADMINISTRATOR },
	{ KTLS_LOST, "ServiceLost", "the service hung up before it had answered", ECONNRESET,
	  KTLS_WHO_RETRY },
	{ KTLS_SILENT, "ServiceSilent", "the service did not answer in time", ETIMEDOUT,
	  KTLS_WHO_RETRY },
	{ KTLS_PROTOCOL, "ProtocolViolation", "what answered does not speak as ktlsd does", EBADMSG,
	  KTLS_WHO_ADMINISTRATOR },
	{ KTLS_NOT_ENCRYPTED, "NotEncrypted",
	  "the socket received is not under kernel TLS in both directions", EPROTO,
	  KTLS_WHO_INTERNAL },
	{ KTLS_LOCAL, "LocalFailure", "memory or descriptors ran out in this process", ENOMEM,
	  KTLS_WHO_INTERNAL },
};

static const struct outcome unknown = {
	.name = "Unknown",
	.text = "the service is newer than this library",
	.sys_errno = EIO,
	.who = KTLS_WHO_INTERNAL,
};

const struct outcome *outcome_find(enum ktls_status status)
{
	for (size_t i = 0; i < array_size(outcomes); i++)
		if (outcomes[i].status == status)
			return &outcomes[i];
	return &unknown;
}

const char *ktls_status_name(enum ktls_status status)
{
	const char *name = outcome_find(status)->name, *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

const char *ktls_status_text(enum ktls_status status)
{
	return outcome_find(status)->text;
}

enum ktls_who ktls_status_who(enum ktls_status status)
{
	return outcome_find(status)->who;
}

static const char *some(const char *text)
{
	return *text ? text : NULL;
}

enum ktls_status ktls_get_status(const struct ktls *k)
{
	return k->status;
}

const char *ktls_get_stage(const struct ktls *k)
{
	return k->stage;
}

const char *ktls_get_message(const struct ktls *k)
{
	return some(k->failure.message) ?: ktls_status_text(k->status);
}

int ktls_get_errno(const struct ktls *k)
{
	return k->failure.sys_errno;
}

bool ktls_get_retry(const struct ktls *k)
{
	return k->failure.retry;
}

const char *ktls_get_alert(const struct ktls *k)
{
	return some(k->failure.alert);
}

const char *ktls_get_x509(const struct ktls *k)
{
	return some(k->failure.x509);
}

const char *ktls_get_parameter(const struct ktls *k)
{
	return some(k->failure.parameter);
}

const char *ktls_get_tls_version(const struct ktls *k)
{
	return some(k->session.version);
}

const char *ktls_get_cipher(const struct ktls *k)
{
	return some(k->session.cipher);
}

const char *ktls_get_kernel_cipher(const struct ktls *k)
{
	return some(k->session.kernel_cipher);
}

const char *ktls_get_group(const struct ktls *k)
{
	return some(k->session.group);
}

const char *ktls_get_alpn(const struct ktls *k)
{
	return some(k->session.alpn);
}

const char *ktls_get_address(const struct ktls *k)
{
	return some(k->session.address);
}

const char *ktls_get_verified_by(const struct ktls *k)
{
	return some(k->session.verified_by);
}

const char *ktls_get_peer_subject(const struct ktls *k)
{
	return some(k->session.peer_subject);
}

const char *ktls_get_peer_cert_sha256(const struct ktls *k)
{
	return some(k->session.peer_cert_sha256);
}

const char *ktls_get_peer_spki_sha256(const struct ktls *k)
{
	return some(k->session.peer_spki_sha256);
}

const char *ktls_get_peer_not_after(const struct ktls *k)
{
	return some(k->session.peer_not_after);
}

bool ktls_get_resumed(const struct ktls *k)
{
	return k->session.resumed;
}

uint64_t ktls_get_timing(const struct ktls *k, enum ktls_timing timing)
{
	switch (timing) {
	case KTLS_TIMING_RESOLVE:
		return k->session.timings.resolve;
	case KTLS_TIMING_CONNECT:
		return k->session.timings.connect;
	case KTLS_TIMING_HANDSHAKE:
		return k->session.timings.handshake;
	case KTLS_TIMING_INSTALL:
		return k->session.timings.install;
	case KTLS_TIMING_TOTAL:
		return k->session.timings.total;
	}
	return 0;
}

const char *ktls_library_version(void)
{
	return KTLSD_VERSION;
}
