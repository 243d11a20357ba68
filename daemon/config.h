/* SPDX-License-Identifier: MIT */
/*
 * The configuration: read once, then only looked at. Which keys there are, of what type, with what
 * default and range, is options.def; the parser, --check-config and the test of the manual come
 * from it.
 */
#pragma once

#include "proto/util.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * [Policy NAME]: what may be offered, in OpenSSL's own syntax. What the files don't say has the
 * default of options.def.
 */
struct config_policy {
	char *name;
	char *ciphers;			/* TLS 1.2 cipher list */
	char *groups;
	char *signature_algorithms;
	char *where;			/* "FILE:LINE" of its section, or "built in" */
};

/* [Store NAME]: trust anchors, a file of PEM certificates. */
struct config_store {
	char *name;
	char *file;			/* NULL: for "system", the distribution's bundle */
	char *where;
};

struct config {
	struct {
		bool allow_verify_none;
		bool tcp_no_delay;
		bool tcp_keepalive;
	} service;
	struct {
		unsigned int connections;	/* callers' connections */
		unsigned int requests;		/* under way, in all */
		unsigned int resolvers;		/* look-ups at the same time */
		unsigned int resolve_ms, connect_ms, handshake_ms;
		unsigned int idle_ms, message_ms, delivery_ms;
	} limits;
	struct config_policy *policies;		/* "default" is always there, and first */
	size_t n_policies;
	struct config_store *stores;		/* "system" is always there, and first */
	size_t n_stores;
};

/*
 * file NULL: SYSCONFDIR/ktlsd/ktlsd.conf, if it is there, and what of SYSCONFDIR/ktlsd/ktlsd.conf.d
 * ends in .conf, in the order of the names. Otherwise that file alone. Every fault is told on
 * errors, one line each, as FILE:LINE: KEY: ...; NULL if there was any.
 */
struct config *config_load(const char *file, FILE *errors);
/* The same from another directory than SYSCONFDIR/ktlsd. */
struct config *config_load_directory(const char *directory, FILE *errors);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free)

/* NULL: there is no such thing. A policy without a name is "default". */
const struct config_policy *config_policy(const struct config *config, const char *name);
const struct config_store *config_store(const struct config *config, const char *name);
