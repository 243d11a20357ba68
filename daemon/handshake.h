/* SPDX-License-Identifier: MIT */
/*
 * A TLS client handshake on a connected, non-blocking socket, driven by the loop. The socket stays
 * its owner's. The process must ignore SIGPIPE: OpenSSL writes with write().
 *
 * OpenSSL reads exactly one record at a time (read_ahead is off), so what the peer sends behind its
 * Finished stays in the socket for the kernel; that this held is checked when the keys are taken.
 *
 * Each move costs up to some milliseconds, and waits for its turn.
 */
#pragma once

#include "daemon/keys.h"
#include "daemon/messages.h"
#include "daemon/records.h"
#include "daemon/turns.h"
#include "daemon/verify.h"
#include "daemon/watch.h"

#include <ev.h>

/*
 * What one peer may send, all in all: the certificates of VERIFY_CHAIN_BYTES_MAX and room for the
 * rest. And how often it is read from before the loop gets its turn, two reads being one record:
 * OpenSSL alone would go on for as long as HelloRequests come in.
 */
#define HANDSHAKE_BYTES_MAX (96 * 1024)
#define HANDSHAKE_READS_PER_TURN 32

struct handshake {
	struct watch_set *watches;
	struct watch watch;		/* rests while the next move waits for its turn */
	struct turn turn;
	SSL *ssl;			/* owned */
	struct verify verify;
	const struct proto_connect *wanted;	/* borrowed */
	struct proto_status *status;	/* borrowed; filled on failure */
	void (*done)(struct handshake *handshake, enum proto_error error);
	struct records sent, received;
	struct messages messages;	/* received */
	size_t bytes;			/* received, all in all */
	unsigned int reads;		/* in this turn of the loop */
	char greeting[5];		/* the first bytes received, to tell what is not TLS */
};

/*
 * Takes over ssl and anchors, on failure too. done is called once, as the last act of a callback
 * from the loop (never from inside start), unless handshake_stop() came first; in it the owner may
 * stop and free everything. PROTO_OK: the session stands and the peer is verified.
 */
enum proto_error handshake_start(struct handshake *handshake, struct watch_set *watches,
				 struct turns *turns, unsigned int account, int fd, SSL *ssl,
				 X509_STORE *anchors, const struct proto_connect *wanted,
				 struct proto_status *status,
				 void (*done)(struct handshake *, enum proto_error));
/*
 * At any time, more than once, also on a struct of zeroes; wipes what OpenSSL held. Nothing is
 * sent: an alert would be in the way of the kernel's keys.
 */
void handshake_stop(struct handshake *handshake);

/*
 * After done(PROTO_OK), of a session whose keys stay here: sends close_notify, if the socket takes
 * it at once. Nothing else can be done with the session afterwards.
 */
void handshake_farewell(struct handshake *handshake);

/* After done(PROTO_OK): why the kernel could not go on where OpenSSL stopped; NULL: it can, if it
 * has the cipher. */
const char *handshake_obstacle(const struct handshake *handshake);
/*
 * After done(PROTO_OK), once: whether the session can go to the kernel (TLS 1.2, a cipher of the
 * table, no byte left in OpenSSL, no max_fragment_length, one protected record each way), and its
 * keys. Otherwise NOT_OFFLOADABLE or INTERNAL_ERROR in *status.
 */
enum proto_error handshake_keys(struct handshake *handshake, struct session_keys *keys);
/* Fills version, cipher, kernel_cipher, group, alpn, verified_by, peer_*, resumed. */
void handshake_facts(const struct handshake *handshake, struct proto_session *session);
