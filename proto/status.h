/* SPDX-License-Identifier: MIT */
/*
 * How a call ended: one struct by value, of fixed size, so that saying what went wrong cannot
 * itself fail. It is made in the daemon, travels as a Varlink error (io.ktlsd(7)) and is read back
 * into the same struct by the library.
 */
#pragma once

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>

enum proto_error {
	PROTO_OK = 0,
#define ERROR(symbol, number, wire, sys, who, text) PROTO_##symbol = number,
#include "proto/error.def"
#undef ERROR
};

/* The exit statuses of ktlsctl. */
enum proto_who {
	PROTO_WHO_NOBODY = 0,
	PROTO_WHO_CALLER = 1,
	PROTO_WHO_ADMINISTRATOR = 2,
	PROTO_WHO_PEER = 3,
	PROTO_WHO_RETRY = 4,
	PROTO_WHO_INTERNAL = 5,
};

/* The stages of a request, in their order. NONE: no request was under way; on the wire, where every
 * error has a stage, that is "policy". */
enum proto_stage {
	PROTO_STAGE_NONE,
	PROTO_STAGE_POLICY,
	PROTO_STAGE_RESOLVE,
	PROTO_STAGE_CONNECT,
	PROTO_STAGE_HANDSHAKE,
	PROTO_STAGE_INSTALL,
};

struct proto_status {
	enum proto_error error;
	enum proto_stage stage;
	int sys_errno;			/* 0: none; on the wire its name ("ECONNREFUSED") */
	bool retry;			/* the same request may well succeed a little later */
	/* INVALID_PARAMETER: "host", "trust.pins"; METHOD_NOT_FOUND and so on: its subject. */
	char parameter[64];
	char alert[48];	/* the TLS alert received (RFC 5246, 7.2), "handshake_failure"; or empty */
	char x509[64];	/* "X509_V_ERR_CERT_HAS_EXPIRED"; or empty */
	char message[PROTO_TEXT_MAX];	/* one line for people; printable UTF-8, no newline */
};

struct proto_error_info {
	const char *symbol;
	const char *wire;
	const char *text;
	int sys_errno;
	enum proto_who who;
};

/* NULL for PROTO_OK and for numbers that are not in the table. */
const struct proto_error_info *proto_error_info(enum proto_error error);
/* PROTO_OK if no error bears this wire name. */
enum proto_error proto_error_from_wire(const char *wire);

const char *proto_stage_name(enum proto_stage stage);	/* "policy"; NULL for NONE */
enum proto_stage proto_stage_from_name(const char *name);

/* "ECONNREFUSED" and back; an errno that this C library cannot name is "E<number>". 0 <-> NULL.
 * A name that means nothing here is 0. */
const char *proto_errno_name(int sys_errno, char buffer[static 24]);
int proto_errno_from_name(const char *name);

/*
 * Fills the whole struct; what is not given is empty. The message is escaped as proto_escape() does
 * it; without one (format NULL) it is the sentence of the table. Returns error, so that a function
 * can end in `return proto_status_set(...)`.
 */
enum proto_error proto_status_set(struct proto_status *status, enum proto_error error,
				  enum proto_stage stage, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* INVALID_PARAMETER for one named parameter. */
enum proto_error proto_status_invalid(struct proto_status *status, const char *parameter,
				      const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Copies text that somebody else supplied, so that it cannot break a log line, a terminal or JSON:
 * control characters, DEL, what turns the direction of writing or breaks a line in Unicode, and
 * what is not UTF-8 become \xHH for each byte. It ends in "..." where it was cut. Always
 * terminated.
 */
void proto_escape(char *to, size_t size, const char *text);
