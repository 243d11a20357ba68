/* SPDX-License-Identifier: MIT */
/*
 * The configuration: read once, then only looked at. Which keys there are, of what type, with what
 * default and range, is options.def; the parser, --check-config and the test of the manual come
 * from it.
 */
#pragma once

#include "daemon/config-list.h"
#include "proto/util.h"

#include <stdbool.h>
#include <stdio.h>

/*
 * where: for what is judged only when all is read, "FILE:LINE" of the key that is judged then; of
 * the section, if it does not have that key; "built in"; NULL: it is at fault, and that was told.
 *
 * [Policy NAME]: what may be offered, in OpenSSL's own syntax. What the files don't say has the
 * default of options.def.
 */
struct config_policy {
	char *name;
	char *ciphers;			/* TLS 1.2 cipher list */
	char *groups;
	char *signature_algorithms;
	char *where;			/* of Ciphers, see above */
};

/* [Store NAME]: trust anchors, a file of PEM certificates. */
struct config_store {
	char *name;
	char *file;			/* NULL: for "system", the distribution's bundle */
	char *where;			/* of File */
};

/*
 * [Access NAME]: who may ask for what; the first that fits decides. An empty list is no condition,
 * but of users and groups either will do.
 */
struct config_access {
	char *name;
	bool deny;
	struct config_ids users, groups;
	bool any_namespace;
	struct config_words hosts;
	struct config_ports ports;
	struct config_words policies, stores;
	struct config_networks addresses, not_addresses;
	bool allow_verify_none;
	unsigned int requests;		/* 0: as [Limits] says */
	char *policies_where, *stores_where;
};

struct config {
	struct {
		unsigned int workers;		/* 0: one for each processor */
		bool tcp_no_delay;
		bool tcp_keepalive;
	} service;
	struct {
		unsigned int connections;	/* callers' connections */
		unsigned int user_connections;	/* of one user */
		unsigned int requests;		/* under way, in all */
		unsigned int user_requests;
		unsigned int user_requests_per_sec, user_requests_burst;
		unsigned int user_records_per_sec, user_records_burst;
		unsigned int undelivered;	/* sockets handed over and not taken, in all */
		unsigned int user_undelivered;
		unsigned int memory_mib, user_memory_mib; /* of messages that have come in */
		unsigned int resolvers;		/* look-ups at the same time */
		unsigned int user_resolvers;	/* those for one user */
		unsigned int resolve_ms, connect_ms, handshake_ms;
		unsigned int idle_ms, message_ms, delivery_ms, stop_ms;
		unsigned int user_penalty_ms;	/* at whose work a worker was lost, at most */
	} limits;
	struct config_policy *policies;		/* "default" is always there, and first */
	size_t n_policies;
	struct config_store *stores;		/* "system" is always there, and first */
	size_t n_stores;
	struct config_access *access;	/* in the order of the files; none: see access.h */
	size_t n_access;
};

/*
 * file NULL: SYSCONFDIR/ktlsd/ktlsd.conf, if it is there, and what of SYSCONFDIR/ktlsd/ktlsd.conf.d
 * ends in .conf, in the order of the names. Otherwise that file alone. Every fault is told on
 * errors, one line each, as FILE:LINE: KEY: ..., and makes *good false. What was without fault is
 * returned all the same, so that the rest of it can be judged, too. NULL: no memory.
 */
struct config *config_load(const char *file, FILE *errors, bool *good);
/* The same from another directory than SYSCONFDIR/ktlsd. */
struct config *config_load_directory(const char *directory, FILE *errors, bool *good);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free)
