/* SPDX-License-Identifier: MIT */
#include "daemon/trust.h"

#include "daemon/pem.h"
#include "daemon/utc.h"
#include "daemon/verify.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Where distributions keep the bundle that "system" means: the first one there counts. */
static const char *const system_files[] = {
	"/etc/ssl/certs/ca-certificates.crt",			/* Debian, Alpine, Arch */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",	/* Fedora, RHEL */
	"/etc/ssl/ca-bundle.pem",				/* SUSE */
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

struct dates {
	time_t from, until;
};

struct store {
	char *name;
	char *file;			/* escaped, for it is told; NULL: it has none */
	X509_STORE *anchors;
	struct dates *dates;		/* of each anchor */
	size_t n_dates;
};

/* A CA text that came with a request. */
struct text {
	uint8_t sha256[32];
	size_t size;
	uint64_t used;			/* greater is later */
	X509_STORE *anchors;		/* NULL: the place is free */
};

struct trust {
	struct store *stores;
	size_t n_stores;
	struct text texts[TRUST_CACHE_ENTRIES];
	size_t bytes;
	uint64_t clock;
};

/* --- stores of the configuration */

/* Returns its size, or -errno. A pipe or the like is not waited for. */
static ssize_t read_file(const char *path, char **text)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *buffer = fd < 0 ? NULL : malloc(TRUST_FILE_MAX + 1);
	size_t size = 0;
	ssize_t n;

	if (!buffer)
		return -errno;
	do {
		n = read(fd, buffer + size, TRUST_FILE_MAX + 1 - size);
		if (n < 0)
			return -errno;
		size += (size_t)n;
	} while (n > 0 && size <= TRUST_FILE_MAX);
	if (size > TRUST_FILE_MAX)
		return -EFBIG;
	*text = steal_ptr(&buffer);
	return (ssize_t)size;
}

static X509_STORE *load_store(const char *path, char **message)
{
	_cleanup_free_ char *text = NULL;
	const char *fault = NULL;
	X509_STORE *anchors = NULL;
	ssize_t size = read_file(path, &text);

	if (size < 0)
		fault = strerror((int)-size);
	else
		anchors = pem_to_store(text, (size_t)size, INT_MAX, true, &fault);
	if (!anchors && asprintf(message, "%s: %s%s", path, size >= 0 && fault ? "it has " : "",
				 fault ? fault : "out of memory") < 0)
		*message = NULL;
	return anchors;
}

static X509_STORE *configured_store(const struct config_store *config, char **message)
{
	_cleanup_free_ char *fault = NULL;
	X509_STORE *anchors = load_store(config->file, &fault);

	if (!anchors && asprintf(message, "%s: File: %s", config->where,
				 fault ? fault : "out of memory") < 0)
		*message = NULL;
	return anchors;
}

/* NULL: there is none. */
static const char *system_file(void)
{
	for (size_t i = 0; i < array_size(system_files); i++)
		if (access(system_files[i], R_OK) == 0)
			return system_files[i];
	return NULL;
}

/*
 * Whoever brings own CAs, or pins, can do without a bundle of the system's: what is wrong with it
 * is a warning.
 */
static X509_STORE *system_store(const char *file, char **message)
{
	X509_STORE *anchors = file ? load_store(file, message) : NULL;

	if (!file && asprintf(message, "the system has no CA bundle, such as %s: the store "
				       "\"system\" is empty", system_files[0]) < 0)
		*message = NULL;
	return anchors ? anchors : X509_STORE_new();
}

/* A path is whatever the administrator's file system takes. */
static char *escaped(const char *path)
{
	size_t size = 4 * strlen(path) + 1;
	char *text = malloc(size);

	if (text)
		proto_escape(text, size, path);
	return text;
}

static time_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

/* Once, so that telling of them costs nothing. */
static bool read_dates(struct store *store)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(store->anchors);

	if (!all)
		return false;
	store->dates = calloc((size_t)sk_X509_num(all) + 1, sizeof(*store->dates));
	for (int i = 0; store->dates && i < sk_X509_num(all); i++) {
		const X509 *cert = sk_X509_value(all, i);

		store->dates[store->n_dates++] = (struct dates){
			seconds_of(X509_get0_notBefore(cert)), seconds_of(X509_get0_notAfter(cert)),
		};
	}
	sk_X509_pop_free(all, X509_free);
	return store->dates;
}

static bool add_store(struct trust *trust, const struct config_store *config, char **message)
{
	struct store *store = &trust->stores[trust->n_stores++];
	const char *file = config->file ? config->file : system_file();

	store->name = strdup(config->name);
	store->file = file ? escaped(file) : NULL;
	store->anchors = config->file ? configured_store(config, message)
				      : system_store(file, message);
	return store->name && (store->file || !file) && store->anchors && read_dates(store);
}

bool trust_check_store(const struct config_store *config, char **message)
{
	X509_STORE *anchors = config->file ? configured_store(config, message) : NULL;

	X509_STORE_free(anchors);
	return anchors || !config->file;
}

struct trust *trust_new(const struct config *config, char **message)
{
	_cleanup_(trust_freep) struct trust *trust = calloc(1, sizeof(*trust));

	*message = NULL;
	if (trust)
		trust->stores = calloc(config->n_stores, sizeof(*trust->stores));
	if (!trust || !trust->stores)
		return NULL;
	for (size_t i = 0; i < config->n_stores; i++) {
		_cleanup_free_ char *warning = steal_ptr(message);

		if (!add_store(trust, &config->stores[i], message))
			return NULL;
		if (!*message)
			*message = steal_ptr(&warning);
	}
	return steal_ptr(&trust);
}

/* --- CA texts of requests */

static enum proto_error no_memory(struct proto_status *status)
{
	return proto_status_set(status, PROTO_INTERNAL_ERROR, PROTO_STAGE_POLICY, ENOMEM,
				"out of memory");
}

static void forget(struct trust *trust, struct text *text)
{
	X509_STORE_free(text->anchors);
	trust->bytes -= text->size;
	*text = (struct text){ 0 };
}

static struct text *find_text(struct trust *trust, const uint8_t sha256[static 32])
{
	for (size_t i = 0; i < TRUST_CACHE_ENTRIES; i++)
		if (trust->texts[i].anchors &&
		    memcmp(trust->texts[i].sha256, sha256, sizeof(trust->texts[i].sha256)) == 0)
			return &trust->texts[i];
	return NULL;
}

/* Of all places, of which a free one counts as oldest; or of those in use, if there is one. */
static struct text *oldest(struct trust *trust, bool in_use)
{
	struct text *found = NULL;

	for (size_t i = 0; i < TRUST_CACHE_ENTRIES; i++) {
		struct text *text = &trust->texts[i];

		if ((text->anchors || !in_use) && (!found || text->used < found->used))
			found = text;
	}
	return found;
}

static void keep(struct trust *trust, const uint8_t sha256[static 32], size_t size,
		 X509_STORE *anchors)
{
	struct text *place;

	while (trust->bytes + size > TRUST_CACHE_BYTES && (place = oldest(trust, true)))
		forget(trust, place);
	place = oldest(trust, false);
	if (place->anchors)
		forget(trust, place);
	memcpy(place->sha256, sha256, sizeof(place->sha256));
	place->size = size;
	place->anchors = anchors;
	place->used = ++trust->clock;
	trust->bytes += size;
}

/* The cache's own reference. */
static enum proto_error from_text(struct trust *trust, const char *ca, X509_STORE **anchors,
				  struct proto_status *status)
{
	size_t size = strlen(ca);
	const char *fault = NULL;
	struct text *text;
	uint8_t sha256[32];

	assert(size <= PROTO_CA_MAX);
	if (!EVP_Digest(ca, size, sha256, NULL, EVP_sha256(), NULL))
		return no_memory(status);
	text = find_text(trust, sha256);
	if (text) {
		text->used = ++trust->clock;
		*anchors = text->anchors;
		return PROTO_OK;
	}
	*anchors = pem_to_store(ca, size, PROTO_CA_CERTS_MAX, false, &fault);
	if (!*anchors)
		return fault ? proto_status_invalid(status, "trust.ca", "it has %s", fault)
			     : no_memory(status);
	keep(trust, sha256, size, *anchors);
	return PROTO_OK;
}

static enum proto_error from_store(struct trust *trust, const char *name, X509_STORE **anchors,
				   struct proto_status *status)
{
	for (size_t i = 0; i < trust->n_stores; i++) {
		if (strcmp(trust->stores[i].name, name) == 0) {
			*anchors = trust->stores[i].anchors;
			return PROTO_OK;
		}
	}
	return proto_status_invalid(status, "trust.store", "there is no trust store of this name: it takes a "
				    "[Store] section of ktlsd.conf(5)");
}

enum proto_error trust_get(struct trust *trust, const struct proto_trust *wanted,
			   X509_STORE **store, struct proto_status *status)
{
	X509_STORE *anchors = NULL;
	enum proto_error error = PROTO_OK;

	*store = NULL;
	if (wanted->ca && wanted->store)
		return proto_status_invalid(status, "trust.store", "ca is given as well");
	/* What is given has to be right, whether it is needed or not. */
	if (wanted->ca)
		error = from_text(trust, wanted->ca, &anchors, status);
	else if (wanted->store || verify_wants_chain(wanted))
		error = from_store(trust, wanted->store ? wanted->store : "system", &anchors,
				   status);
	if (error != PROTO_OK || !verify_wants_chain(wanted))
		return error;
	X509_STORE_up_ref(anchors);
	*store = anchors;
	return PROTO_OK;
}

/* --- what is told of them */

size_t trust_count(const struct trust *trust)
{
	return trust->n_stores;
}

struct proto_store_state trust_state(const struct trust *trust, size_t i)
{
	const struct store *store = &trust->stores[i];
	struct proto_store_state state = { .name = store->name, .file = store->file,
					   .certificates = (unsigned int)store->n_dates };
	time_t now = time(NULL), last = 0;
	struct tm tm;

	for (size_t n = 0; n < store->n_dates; n++) {
		const struct dates *dates = &store->dates[n];

		state.valid += dates->from <= now && now <= dates->until;
		if (n == 0 || dates->until > last)
			last = dates->until;
	}
	utc_text(state.not_after, store->n_dates ? gmtime_r(&last, &tm) : NULL);
	return state;
}

struct trust *trust_free(struct trust *trust)
{
	if (!trust)
		return NULL;
	for (size_t i = 0; i < TRUST_CACHE_ENTRIES; i++)
		forget(trust, &trust->texts[i]);
	for (size_t i = 0; i < trust->n_stores; i++) {
		free(trust->stores[i].name);
		free(trust->stores[i].file);
		free(trust->stores[i].dates);
		X509_STORE_free(trust->stores[i].anchors);
	}
	free(trust->stores);
	free(trust);
	return NULL;
}
