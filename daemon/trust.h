/* SPDX-License-Identifier: MIT */
/*
 * Trust anchors. Stores of the configuration are read at start; CA texts that come with requests
 * are parsed once and kept by content (SHA-256), least recently used out first.
 */
#pragma once

#include "daemon/config.h"
#include "proto/report.h"

#include <openssl/x509.h>

/*
 * Bounds of the cache: a migration host sees a handful of CAs. Counted in bytes of text; parsed,
 * it is about four times as much.
 */
#define TRUST_CACHE_ENTRIES 64
#define TRUST_CACHE_BYTES (4 * 1024 * 1024)

/* A store's file; the bundles of distributions are under 1 MiB. */
#define TRUST_FILE_MAX (4 * 1024 * 1024)

struct trust;

/*
 * Reads every [Store]. NULL: *message (malloc) tells what is wrong as FILE:LINE: File: ..., or is
 * NULL: no memory. Where no file is configured for "system" and none of the usual ones is there and
 * good, it is empty: then trust_new() succeeds, and *message is a warning to log.
 */
struct trust *trust_new(const struct config *config, char **message);
/* How many stores there are, and the state of one of them as of now. What it points to lives as long
 * as trust does. */
size_t trust_count(const struct trust *trust);
struct proto_store_state trust_state(const struct trust *trust, size_t i);
struct trust *trust_free(struct trust *trust);
DEFINE_CLEANUP(struct trust *, trust_free)

/* Whether trust_new() would take this one; otherwise *message as there. */
bool trust_check_store(const struct config_store *config, char **message);

/*
 * The anchors that a request names, as a reference for the caller to give back with
 * X509_STORE_free(); NULL in *store if it needs none (pins alone, verify none). INVALID_PARAMETER
 * "trust.ca": no certificate in it, something else than certificates in it (a private key above
 * all; its text is never repeated), or over the limits; "trust.store": there is no such store, or
 * ca is given as well.
 */
enum proto_error trust_get(struct trust *trust, const struct proto_trust *wanted,
			   X509_STORE **store, struct proto_status *status);
