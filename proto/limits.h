/* SPDX-License-Identifier: MIT */
/* Every limit of the wire, with its reason. Both sides hold to them; io.ktlsd(7) tells them too. */
#pragma once

/* One message without its NUL. A CA text of PROTO_CA_MAX, its newlines escaped, fits with room for
 * the rest. */
#define PROTO_MESSAGE_MAX (512 * 1024)

/* CA text of one request. A distribution's whole bundle is about 220 KiB and 144 certificates. */
#define PROTO_CA_MAX (384 * 1024)
#define PROTO_CA_CERTS_MAX 256

/* JSON: nesting (a request needs 4 levels), and object members and array elements of one message
 * taken together. json-c makes up to 264 bytes of heap from one byte of nested empty containers, so
 * both are held before it sees the text. */
#define PROTO_DEPTH_MAX 8
#define PROTO_MEMBERS_MAX 64
/* The same of a reply: two lists of PROTO_SUITES_MAX, the 24 of a session and what is around it, and
 * room for what a later service may add. */
#define PROTO_REPLY_MEMBERS_MAX 192

/* And of a reply to anything but Connect, of which a client makes text: GetStatus with everything that
 * can be counted in it has some 1500, GetCapabilities up to 80 for each policy, and no less than 16
 * bytes for each of them: so it is the size that bounds a true one. */
#define PROTO_REPORT_MEMBERS_MAX (PROTO_MESSAGE_MAX / 16)

/* Name of an object's member. The longest one that exists has 19 bytes; a bound makes looking for
 * doubled ones cheap. */
#define PROTO_KEY_MAX 64
/* And so many of them are kept for that: of an object, and of those that it lies in. */
#define PROTO_OPEN_KEYS_MAX PROTO_REPLY_MEMBERS_MAX

/* A DNS name in text is at most 253 bytes (RFC 1035, 2.3.4). A dot at its end counts here. */
#define PROTO_HOST_MAX 253

/* Cipher, group and signature algorithm strings, each. */
#define PROTO_CIPHERS_MAX 1024

/* Names of policies and stores. */
#define PROTO_NAME_MAX 64

/* Cipher suites of one list in a reply. The OpenSSL of today has 59 with a certificate at security
 * level 2. The longest name has 30 bytes. */
#define PROTO_SUITES_MAX 64
#define PROTO_SUITE_NAME_MAX 64

/* Pins and ALPN protocols of one request; a protocol has at most 255 bytes (RFC 7301, 3.1). */
#define PROTO_PINS_MAX 16
#define PROTO_ALPN_MAX 16
#define PROTO_ALPN_NAME_MAX 255

/* Names of a certificate in a probe's trace. One with more is told of in part: 32 say whose it is. */
#define PROTO_CERT_NAMES_MAX 32

/* The whole request, in milliseconds. */
#define PROTO_TIMEOUT_MIN_MS 1
#define PROTO_TIMEOUT_MAX_MS 120000
#define PROTO_TIMEOUT_DEFAULT_MS 20000

/* What a caller may have waiting behind the call under way. One more, and it is disconnected. */
#define PROTO_PIPELINE_MAX 4
/* All of these together: they wait in the service's memory, for as long as the call under way takes. */
#define PROTO_PIPELINE_BYTES_MAX (512 * 1024)

/* Text of an error, the peer's part of it escaped and cut. */
#define PROTO_TEXT_MAX 512
