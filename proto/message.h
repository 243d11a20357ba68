/* SPDX-License-Identifier: MIT */
/*
 * The messages of io.ktlsd as plain C data, and their way to and from JSON.
 *
 * Decoding is strict: what is not a JSON object (RFC 8259), too large or too deep is
 * PROTO_DECODE_CLOSE, for the connection to be closed; everything else that is wrong is
 * PROTO_DECODE_REFUSED with the status to answer. Nothing is ever converted: "443", 443.9 and true
 * are no port. Strings are checked: UTF-8, no NUL.
 *
 * Every char * in these structs belongs to the struct (malloc) and may be NULL = not given.
 * x_deinit() may be called twice. All zeros is a Connect with nothing given but the defaults;
 * timeout_ms 0 is left to the service.
 */
#pragma once

#include "proto/status.h"

#include <stdint.h>

enum proto_verify { PROTO_VERIFY_FULL, PROTO_VERIFY_CHAIN, PROTO_VERIFY_NONE };
enum proto_io { PROTO_IO_PLAIN, PROTO_IO_AWARE };
enum proto_version {
	PROTO_VERSION_UNSET = 0,
	PROTO_VERSION_TLS12 = 0x0303,
	PROTO_VERSION_TLS13 = 0x0304,
};

struct proto_strings {
	char **items;
	size_t n;
};

/* A pin: what is pinned, and its SHA-256. */
enum proto_pin_kind { PROTO_PIN_CERT, PROTO_PIN_SPKI };
struct proto_pin {
	enum proto_pin_kind kind;
	uint8_t sha256[32];
};

struct proto_trust {
	char *ca;		/* PEM text */
	char *store;
	struct proto_pin pins[PROTO_PINS_MAX];
	size_t n_pins;
	char *name;
	enum proto_verify verify;
};

struct proto_policy {
	char *name;
	enum proto_version min_version, max_version;
	char *ciphers;
	char *ciphersuites;
	char *groups;
	char *signature_algorithms;
};

/* Parameters of Connect and of Probe. */
struct proto_connect {
	char *host;
	uint16_t port;
	struct proto_trust trust;
	struct proto_policy policy;
	char *server_name;
	struct proto_strings alpn;
	enum proto_io io;
	unsigned int timeout_ms;
};

enum proto_method {
	PROTO_METHOD_CONNECT,
	PROTO_METHOD_PROBE,
	PROTO_METHOD_GET_STATUS,
	PROTO_METHOD_GET_CAPABILITIES,
	PROTO_METHOD_GET_INFO,
	PROTO_METHOD_GET_INTERFACE_DESCRIPTION,
};

struct proto_call {
	enum proto_method method;
	bool oneway;			/* the caller wants no reply */
	struct proto_connect connect;	/* of PROTO_METHOD_CONNECT and _PROBE */
	char *interface;		/* of PROTO_METHOD_GET_INTERFACE_DESCRIPTION */
};

/* How long each stage took, in microseconds. */
struct proto_timings {
	uint64_t resolve, connect, handshake, install, total;
};

/* Facts of the session that was handed over, or probed. On the wire kernelCipher, group and alpn are
 * null where empty. */
struct proto_session {
	char version[16];		/* "TLSv1.2" */
	char cipher[64];		/* OpenSSL's name */
	char kernel_cipher[24];		/* "aes-gcm-256"; empty: the kernel has none such */
	char group[32];			/* "secp384r1"; empty where none was used */
	char alpn[PROTO_ALPN_NAME_MAX + 1]; /* empty: none agreed */
	char address[64];		/* "192.0.2.1:443", "[2001:db8::1]:443" */
	char verified_by[24];		/* "chain+name", "chain", "pin", "pin+chain+name", "none" */
	char peer_subject[256];		/* RFC 2253, escaped and cut */
	char peer_cert_sha256[65];	/* lower-case hex */
	char peer_spki_sha256[65];
	char peer_not_after[32];	/* "2027-01-31T12:00:00Z" */
	bool resumed;
	struct proto_timings timings;
};

/* An array of structs. */
struct proto_list {
	void *items;
	size_t n;
};

enum proto_attempt_state { PROTO_ATTEMPT_ABANDONED, PROTO_ATTEMPT_FAILED, PROTO_ATTEMPT_CONNECTED };

/* An address that was tried. */
struct proto_attempt {
	char address[64];
	enum proto_attempt_state state;
	int sys_errno;			/* 0: none */
	uint64_t begun, took;		/* microseconds, from the start of the connect stage */
};

/* A certificate that the peer sent. */
struct proto_certificate {
	char subject[256], issuer[256];	/* RFC 2253, escaped and cut */
	struct proto_strings names;	/* of the leaf, at most PROTO_CERT_NAMES_MAX */
	char not_before[32], not_after[32]; /* "2027-01-31T12:00:00Z" */
	char key[48], signature[64];	/* "RSA 2048", "sha256WithRSAEncryption" */
	char cert_sha256[65], spki_sha256[65];
	char problem[64];		/* "X509_V_ERR_CERT_HAS_EXPIRED"; or empty */
};

/* How a probe went, as far as it went. */
struct proto_trace {
	struct proto_list attempts;	/* struct proto_attempt */
	struct proto_list chain;	/* struct proto_certificate, the leaf first */
	struct proto_timings timings;
};

/* What Probe tells beside the session: OpenSSL's names of suites, at most PROTO_SUITES_MAX each. */
struct proto_probe {
	struct proto_trace trace;
	struct proto_strings offered;		/* to the peer, in this order */
	struct proto_strings offloadable;	/* those of them that the kernel takes */
	bool takes_over;			/* the session could have gone to the kernel */
};

/* What GetInfo tells (org.varlink.service). */
struct proto_info {
	const char *vendor, *product, *version, *url;
};

enum proto_decoded {
	PROTO_DECODE_OK,
	PROTO_DECODE_REFUSED,
	PROTO_DECODE_CLOSE,
	PROTO_DECODE_NO_MEMORY,
};

void proto_connect_deinit(struct proto_connect *connect);
void proto_call_deinit(struct proto_call *call);
void proto_trace_deinit(struct proto_trace *trace);
void proto_probe_deinit(struct proto_probe *probe);

/*
 * Daemon: text is one message, length without its NUL. *call is filled on OK only; *status on
 * REFUSED only. On REFUSED *oneway tells that the caller wants no reply; it is false where the
 * method would have handed over a socket: that it cannot be had so is worth telling.
 */
enum proto_decoded proto_call_decode(struct proto_call *call, const char *text, size_t length,
				     struct proto_status *status, bool *oneway);

/*
 * Library: a Connect call as text (malloc, without NUL in it, ended by one); NULL: no memory.
 * *length is without the NUL. It is not judged here, the service does that; only a text longer than
 * PROTO_MESSAGE_MAX must not be sent, since the service would hang up without a word.
 */
char *proto_connect_encode(const struct proto_connect *connect, size_t *length);

/* The same of any other method, "io.ktlsd.GetStatus"; connect NULL: it has no parameters. */
char *proto_question_encode(const char *method, const struct proto_connect *connect, size_t *length);

/* Daemon: replies, as above. fileDescriptor is always index 0. */
char *proto_session_encode(const struct proto_session *session, size_t *length);
char *proto_probe_encode(const struct proto_session *session, const struct proto_probe *probe,
			 size_t *length);
char *proto_status_encode(const struct proto_status *status, size_t *length);
/* Of a probe: its error, with what was seen on the way to it. */
char *proto_probe_failure_encode(const struct proto_status *status, const struct proto_trace *trace,
				 size_t *length);
char *proto_info_encode(const struct proto_info *info, size_t *length);
/* The text of io.ktlsd or org.varlink.service; NULL with errno ENOENT: no such interface. */
char *proto_description_encode(const char *interface, size_t *length);

/*
 * Library: the reply to Connect. OK: *session is filled and *fd_index says which descriptor is
 * meant. REFUSED: *status is the service's error; one that this version does not know is
 * INTERNAL_ERROR with its name in the message. CLOSE: this is no reply of ktlsd's. Fields that this
 * version does not know are passed over, so that an old library speaks to a new service; texts come
 * as proto_escape() leaves them.
 */
enum proto_decoded proto_reply_decode(const char *text, size_t length,
				      struct proto_session *session, int *fd_index,
				      struct proto_status *status);

/* The same of a reply to any other method, as far as it goes without knowing that: *parameters is
 * their text (malloc) on OK, and on REFUSED, NULL where there are none. */
enum proto_decoded proto_answer_decode(const char *text, size_t length, char **parameters,
				       struct proto_status *status);

/* "cert-sha256:<64 hex>" or "spki-sha256:<64 hex>"; false if text is neither. */
bool proto_pin_parse(struct proto_pin *pin, const char *text);
void proto_pin_format(char text[static 80], const struct proto_pin *pin);

/*
 * A host as Connect takes it: an IPv4 or IPv6 address in text (no brackets, no zone), or a DNS name
 * (RFC 1123: letters, digits, hyphens and underscores, labels of 1 to 63 bytes that neither begin
 * nor end in a hyphen, an optional dot at the end). Anything else is false: `*.x`, `a..b`, `-x`,
 * `fe80::1%eth0`, non-ASCII (an IDN comes as its A-labels), and names whose last label is all
 * digits or starts with 0x, which C libraries read as addresses.
 */
bool proto_host_valid(const char *host);
/* The DNS name alone. */
bool proto_dns_name_valid(const char *name);
