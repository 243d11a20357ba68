/* SPDX-License-Identifier: MIT */
/*
 * libktls: asks ktlsd for a TCP connection on which the kernel does TLS.
 *
 *	struct ktls *k = ktls_new();
 *	int fd = -1;
 *
 *	if (k && !ktls_set_host(k, "example.org") && !ktls_set_port(k, 443))
 *		fd = ktls_connect(k);
 *	if (fd < 0)
 *		fprintf(stderr, "%s\n", k ? ktls_get_message(k) : "no memory");
 *	ktls_free(k);
 *
 * A handle is one request: made, set, started once, asked how it went, freed. It belongs to one
 * thread at a time; different handles are independent of each other. The library has no state of
 * its own, starts no thread, touches no signal (it never raises SIGPIPE either), calls nothing back
 * and reads no environment variable. Every descriptor it makes or receives is close-on-exec.
 *
 * Functions that return int return -1 with errno set on failure. Strings given are copied; strings
 * returned belong to the handle and live until it is started or freed. libktls(3) says the same
 * with examples.
 */
#ifndef KTLS_H
#define KTLS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

struct ktls;

/* Where the service listens unless ktls_set_socket() says otherwise. */
#define KTLS_SOCKET "/run/ktlsd/io.ktlsd"

/*
 * How a request ended. Below 100: the service's own word, as in io.ktlsd(7). From 100 on: what this
 * library found itself. Numbers are never reused; a newer service may say numbers that are not
 * listed here.
 */
enum ktls_status {
	KTLS_OK = 0,			  /* there, or no failure so far */
	KTLS_INVALID_PARAMETER = 1,	  /* malformed or out of range: ktls_get_parameter() */
	KTLS_METHOD_NOT_FOUND = 2,
	KTLS_INTERFACE_NOT_FOUND = 3,
	KTLS_METHOD_NOT_IMPLEMENTED = 4,
	KTLS_NOT_AUTHORIZED = 5,	  /* an access rule or policy says no to this caller */
	KTLS_BUSY = 6,			  /* a quota of the caller or of the service is full */
	KTLS_RESOLVE_FAILED = 7,	  /* the resolver answered no */
	KTLS_CONNECT_FAILED = 8,	  /* no address of the host could be connected */
	KTLS_HANDSHAKE_FAILED = 9,	  /* alert, protocol error, nothing in common */
	KTLS_CERTIFICATE_REJECTED = 10,	  /* chain, name, date, pin or size */
	KTLS_KERNEL_TLS_UNAVAILABLE = 11, /* the kernel refused TLS or the keys */
	KTLS_NOT_OFFLOADABLE = 12,	  /* nothing that policy allows can go to this kernel */
	KTLS_TIMED_OUT = 13,		  /* in the service; ktls_get_stage() says where */
	KTLS_INTERNAL_ERROR = 14,	  /* the service failed */

	KTLS_UNREACHABLE = 100,	  /* the service's socket cannot be reached */
	KTLS_LOST = 101,	  /* the service hung up before it had answered */
	KTLS_SILENT = 102,	  /* the service did not answer in time */
	KTLS_PROTOCOL = 103,	  /* what answered does not speak as ktlsd does */
	KTLS_NOT_ENCRYPTED = 104, /* no kernel TLS in both directions on the socket received */
	KTLS_LOCAL = 105	  /* memory or descriptors ran out in this process */
};

/* Who can mend it; also the exit statuses of ktlsctl(1). */
enum ktls_who {
	KTLS_WHO_NOBODY = 0, /* nothing failed */
	KTLS_WHO_CALLER = 1,
	KTLS_WHO_ADMINISTRATOR = 2,
	KTLS_WHO_PEER = 3,
	KTLS_WHO_RETRY = 4, /* try again later */
	KTLS_WHO_INTERNAL = 5
};

enum ktls_verify {
	KTLS_VERIFY_FULL = 0, /* chain and name: the default */
	KTLS_VERIFY_CHAIN = 1,
	KTLS_VERIFY_NONE = 2 /* refused unless the administrator allows it */
};

enum ktls_io {
	KTLS_IO_PLAIN = 0, /* the socket is safe with read() and write() alone: the default */
	KTLS_IO_AWARE = 1 /* the caller deals with TLS records that are not data */
};

enum ktls_tls {
	KTLS_TLS_DEFAULT = 0,
	KTLS_TLS_1_2 = 0x0303,
	KTLS_TLS_1_3 = 0x0304
};

enum ktls_timing {
	KTLS_TIMING_RESOLVE = 0,
	KTLS_TIMING_CONNECT = 1,
	KTLS_TIMING_HANDSHAKE = 2,
	KTLS_TIMING_INSTALL = 3,
	KTLS_TIMING_TOTAL = 4
};

/* A new request with every default set; NULL with ENOMEM. */
struct ktls *ktls_new(void);

/* Frees it and returns NULL; NULL is welcome. A request under way is cancelled; a socket not taken
 * is closed. */
struct ktls *ktls_free(struct ktls *k);

/*
 * Setters. 0, or -1 with EINVAL (malformed or out of range), E2BIG (too long), ENOMEM, or EBUSY
 * (the request has been started); after -1 the former value stands. NULL or 0 restores the default.
 * Text is printable ASCII. What the service alone can judge (does this policy exist, is this a
 * cipher) it judges later.
 */

/* The host to connect to: a DNS name (an IDN as its A-labels) or an IP address without brackets.
 * Needed. */
int ktls_set_host(struct ktls *k, const char *host);
/* Its TCP port, 1 to 65535. Needed. */
int ktls_set_port(struct ktls *k, unsigned int port);

/*
 * Trust. With no CA, store or pin given it is the store "system". Pins alone: exactly that
 * certificate or key, within its dates. Whatever is given besides must hold as well.
 */

/*
 * CA certificates as PEM text. Only the blocks of certificates are kept, so a key that lies in the
 * same text goes nowhere; 384 KiB of them at most. EINVAL: there is none, or one without an end.
 */
int ktls_set_ca(struct ktls *k, const char *pem);
/* The same out of a file, which is read here and now with the caller's own rights, and at most 16
 * MiB of it. Also -1 with any errno of open(2) and read(2), or EFBIG. May block as these do. */
int ktls_set_ca_file(struct ktls *k, const char *path);
/* A trust store that the administrator named, "system" for instance. At most 64 bytes. */
int ktls_set_store(struct ktls *k, const char *store);
/* Adds a pin, "cert-sha256:<64 hex digits>" of the certificate or "spki-sha256:<64 hex digits>" of
 * its key; any one of them is enough. E2BIG: 16 there are already. NULL removes all. */
int ktls_add_pin(struct ktls *k, const char *pin);
/* The DNS name or IP address that the certificate must carry; default: the host. */
int ktls_set_name(struct ktls *k, const char *name);
int ktls_set_verify(struct ktls *k, enum ktls_verify verify);

/* The name sent in the handshake (SNI); default: the host if it is a name. */
int ktls_set_server_name(struct ktls *k, const char *name);
/* Adds a protocol (ALPN), best first; 1 to 255 bytes. E2BIG: longer, or 16 there are already. NULL
 * removes all. */
int ktls_add_alpn(struct ktls *k, const char *protocol);

/*
 * Policy: these narrow what the administrator's policy allows and never widen it. Lists are in
 * OpenSSL's own syntax, at most 1024 bytes each.
 */
int ktls_set_policy(struct ktls *k, const char *name);
int ktls_set_min_version(struct ktls *k, enum ktls_tls version);
int ktls_set_max_version(struct ktls *k, enum ktls_tls version);
int ktls_set_ciphers(struct ktls *k, const char *list); /* TLS 1.2 */
int ktls_set_ciphersuites(struct ktls *k, const char *list); /* TLS 1.3 */
int ktls_set_groups(struct ktls *k, const char *list);
int ktls_set_signature_algorithms(struct ktls *k, const char *list);

int ktls_set_io(struct ktls *k, enum ktls_io io);
/*
 * Milliseconds that the service may take for the whole request, 1 to 120000; default 20000. The
 * library itself gives up two seconds later (KTLS_SILENT), so that a service that hangs cannot hang
 * its caller.
 */
int ktls_set_timeout(struct ktls *k, unsigned int ms);
/* The service's AF_UNIX socket; default KTLS_SOCKET. ENAMETOOLONG: longer than such an address can
 * be; it is never cut. */
int ktls_set_socket(struct ktls *k, const char *path);

/*
 * Does it all and returns the connected socket, which is then the caller's: blocking,
 * close-on-exec, and checked here to be under kernel TLS in both directions. -1: errno tells
 * roughly, the getters below tell exactly. A signal does not end it. Close the socket only after a
 * close_notify, or the peer will see its stream cut off: libktls(3) shows how.
 */
int ktls_connect(struct ktls *k);

/*
 * The same without ever blocking. After ktls_start() and after each ktls_step() that returned 0,
 * wait until ktls_fd() is ready for ktls_events() or ktls_timeout() milliseconds have passed, all
 * three asked anew each time, and call ktls_step().
 */

/* 0: under way. -1: failed at once, as ktls_step() fails; EBUSY: it has been started before. */
int ktls_start(struct ktls *k);
/* The descriptor to wait for, which stays the library's; -1: there is none at the moment, wait for
 * the timeout alone. */
int ktls_fd(const struct ktls *k);
/* What to wait for on it: POLLIN or POLLOUT of poll(2). */
int ktls_events(const struct ktls *k);
/* Milliseconds after which ktls_step() must be called even so, as poll(2) takes them; -1: the
 * request is not under way. */
int ktls_timeout(const struct ktls *k);
/* 0: more to wait for. 1: the socket is there. -1: failed, errno as of ktls_connect(). EINVAL: it
 * was never started. May be called too early or too often, it then says the same again. */
int ktls_step(struct ktls *k);
/* Gives the socket to the caller, once. -1 with ENOTCONN: there is none to give. */
int ktls_take(struct ktls *k);

/*
 * Calls another method of the service: "Probe", with what was set for this request, or one without
 * parameters, "GetStatus" or "GetCapabilities"; a name with dots may be of any interface. 0: it has
 * answered. -1 as ktls_connect(); EINVAL also for Connect. One handle is for one call at a time, as for
 * one socket.
 */
int ktls_call(struct ktls *k, const char *method);
/* The same without ever blocking: goes on as after ktls_start(), and ends without a socket to take. */
int ktls_start_call(struct ktls *k, const char *method);
/* What the service has told, after ktls_call() or where that failed with a word of the service's: the
 * parameters of its reply or of its error, a JSON object as io.ktlsd(7) has them. Valid as long as the
 * handle is; NULL: there is none. */
const char *ktls_get_reply(const struct ktls *k);

/* Makes the handle new again but for what was set. What is under way is cancelled, and a socket not
 * taken is closed. */
void ktls_reset(struct ktls *k);

/*
 * How it failed. Valid in any state; KTLS_OK, 0, false and NULL where there is nothing to tell.
 * Failures of setters are told by errno alone and not here.
 */
enum ktls_status ktls_get_status(const struct ktls *k);
/* Where: "request" (refused as such), "service" (reaching it and hearing from it), "policy",
 * "resolve", "connect", "handshake", "install" (the service's own stages) or "handover" (checking
 * the socket received). */
const char *ktls_get_stage(const struct ktls *k);
/* One line for people, without a newline; never NULL. */
const char *ktls_get_message(const struct ktls *k);
/* The errno behind it, of the service's system calls or of this library's; 0: there was none. */
int ktls_get_errno(const struct ktls *k);
/* Whether the same request may well succeed a little later. */
bool ktls_get_retry(const struct ktls *k);
/* The TLS alert that the peer sent, "handshake_failure". */
const char *ktls_get_alert(const struct ktls *k);
/* OpenSSL's verdict on the certificate, "X509_V_ERR_CERT_HAS_EXPIRED". */
const char *ktls_get_x509(const struct ktls *k);
/* The parameter that was refused, "trust.pins". */
const char *ktls_get_parameter(const struct ktls *k);

/* What a status is called in io.ktlsd(7) ("ConnectFailed"), what it means, and who can mend it.
 * Never NULL. */
const char *ktls_status_name(enum ktls_status status);
const char *ktls_status_text(enum ktls_status status);
enum ktls_who ktls_status_who(enum ktls_status status);

/* Facts of the session, once the socket is there, taken or not; NULL, 0 or false before and where
 * there is none. */
const char *ktls_get_tls_version(const struct ktls *k); /* "TLSv1.2" */
const char *ktls_get_cipher(const struct ktls *k); /* OpenSSL's name */
const char *ktls_get_kernel_cipher(const struct ktls *k); /* "aes-gcm-256" */
const char *ktls_get_group(const struct ktls *k); /* "secp384r1" */
const char *ktls_get_alpn(const struct ktls *k);
const char *ktls_get_address(const struct ktls *k); /* "192.0.2.1:443", "[2001:db8::1]:443" */
const char *ktls_get_verified_by(const struct ktls *k); /* "chain+name", "pin" and so on, "none" */
const char *ktls_get_peer_subject(const struct ktls *k); /* RFC 2253 */
const char *ktls_get_peer_cert_sha256(const struct ktls *k); /* lower-case hex */
const char *ktls_get_peer_spki_sha256(const struct ktls *k);
const char *ktls_get_peer_not_after(const struct ktls *k); /* "2027-01-31T12:00:00Z" */
bool ktls_get_resumed(const struct ktls *k);
uint64_t ktls_get_timing(const struct ktls *k,
			 enum ktls_timing timing); /* microseconds, as the service measured them */

/* The version of the library that runs. */
const char *ktls_library_version(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
