/* SPDX-License-Identifier: MIT */
#include "client/certificates.h"
#include "client/internal.h"
#include "proto/util.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)KTLS_VERIFY_FULL == PROTO_VERIFY_FULL &&
		       (int)KTLS_VERIFY_CHAIN == PROTO_VERIFY_CHAIN &&
		       (int)KTLS_VERIFY_NONE == PROTO_VERIFY_NONE,
	       "ktls.h repeats these");
_Static_assert((int)KTLS_IO_PLAIN == PROTO_IO_PLAIN && (int)KTLS_IO_AWARE == PROTO_IO_AWARE,
	       "ktls.h repeats these");
_Static_assert((int)KTLS_TLS_1_2 == PROTO_VERSION_TLS12 && (int)KTLS_TLS_1_3 == PROTO_VERSION_TLS13,
	       "ktls.h repeats these");
_Static_assert(sizeof(KTLS_SOCKET) <= sizeof(((struct sockaddr_un *)NULL)->sun_path),
	       "the default must fit");

static int fail(int err)
{
	errno = err;
	return -1;
}

/* What belongs to one call. */
static void begin(struct ktls *k)
{
	k->state = CALL_NEW;
	k->sock = k->tls = -1;
	k->session = (struct proto_session){ .version = "" };
	k->failure = (struct proto_status){ .error = PROTO_OK };
	k->status = KTLS_OK;
	k->stage = NULL;
	proto_writer_init(&k->writer);
	proto_reader_init(&k->reader, true);
}

static void end(struct ktls *k)
{
	proto_writer_deinit(&k->writer);
	proto_reader_deinit(&k->reader);
	close_fd(&k->sock);
	close_fd(&k->tls);
	free_pointer(&k->method);
	free_pointer(&k->reply);
}

struct ktls *ktls_new(void)
{
	struct ktls *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->getsockopt = getsockopt;
	k->request.timeout_ms = PROTO_TIMEOUT_DEFAULT_MS;
	k->service.sun_family = AF_UNIX;
	strcpy(k->service.sun_path, KTLS_SOCKET);
	begin(k);
	return k;
}

void ktls_reset(struct ktls *k)
{
	end(k);
	begin(k);
}

struct ktls *ktls_free(struct ktls *k)
{
	if (!k)
		return NULL;
	end(k);
	proto_connect_deinit(&k->request);
	free(k);
	return NULL;
}

static bool is_text(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* A copy of text if it may be sent. NULL with errno. */
static char *copy_text(const char *text, size_t max)
{
	if (!*text || !is_text(text)) {
		errno = EINVAL;
		return NULL;
	}
	if (strlen(text) > max) {
		errno = E2BIG;
		return NULL;
	}
	return strdup(text);
}

static int set_owned(char **field, char *copy)
{
	free(*field);
	*field = copy;
	return 0;
}

static int set_text(struct ktls *k, char **field, const char *text, size_t max)
{
	char *copy = NULL;

	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (text) {
		copy = copy_text(text, max);
		if (!copy)
			return -1;
	}
	return set_owned(field, copy);
}

/* 0 stands for the default. */
static int set_number(struct ktls *k, unsigned int *field, unsigned int number, unsigned int max,
		      unsigned int otherwise)
{
	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (number > max)
		return fail(EINVAL);
	*field = number ?: otherwise;
	return 0;
}

int ktls_set_host(struct ktls *k, const char *host)
{
	if (k->state == CALL_NEW && host && !proto_host_valid(host))
		return fail(EINVAL);
	return set_text(k, &k->request.host, host, PROTO_HOST_MAX + 1);
}

int ktls_set_port(struct ktls *k, unsigned int port)
{
	unsigned int checked;

	if (set_number(k, &checked, port, UINT16_MAX, 0) < 0)
		return -1;
	k->request.port = checked;
	return 0;
}

static int set_certificates(struct ktls *k, char *certificates)
{
	return certificates ? set_owned(&k->request.trust.ca, certificates) : -1;
}

int ktls_set_ca(struct ktls *k, const char *pem)
{
	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (!pem)
		return set_owned(&k->request.trust.ca, NULL);
	return set_certificates(k, certificates_of_text(pem, strlen(pem)));
}

int ktls_set_ca_file(struct ktls *k, const char *path)
{
	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (!path)
		return set_owned(&k->request.trust.ca, NULL);
	return set_certificates(k, certificates_of_file(path));
}

int ktls_set_store(struct ktls *k, const char *store)
{
	return set_text(k, &k->request.trust.store, store, PROTO_NAME_MAX);
}

int ktls_add_pin(struct ktls *k, const char *pin)
{
	struct proto_trust *trust = &k->request.trust;
	struct proto_pin parsed;

	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (!pin) {
		trust->n_pins = 0;
		return 0;
	}
	if (!proto_pin_parse(&parsed, pin))
		return fail(EINVAL);
	if (trust->n_pins == array_size(trust->pins))
		return fail(E2BIG);
	trust->pins[trust->n_pins++] = parsed;
	return 0;
}

int ktls_set_name(struct ktls *k, const char *name)
{
	return set_text(k, &k->request.trust.name, name, PROTO_HOST_MAX);
}

int ktls_set_verify(struct ktls *k, enum ktls_verify verify)
{
	return set_number(k, &k->request.trust.verify, verify, KTLS_VERIFY_NONE, KTLS_VERIFY_FULL);
}

int ktls_set_server_name(struct ktls *k, const char *name)
{
	return set_text(k, &k->request.server_name, name, PROTO_HOST_MAX);
}

static void drop_alpn(struct proto_strings *alpn)
{
	while (alpn->n)
		free(alpn->items[--alpn->n]);
	free_pointer(&alpn->items);
}

static int add_alpn(struct proto_strings *alpn, char *copy)
{
	if (alpn->n == PROTO_ALPN_MAX)
		return fail(E2BIG);
	if (!alpn->items)
		alpn->items = calloc(PROTO_ALPN_MAX, sizeof(*alpn->items));
	if (!alpn->items)
		return fail(ENOMEM);
	alpn->items[alpn->n++] = copy;
	return 0;
}

int ktls_add_alpn(struct ktls *k, const char *protocol)
{
	_cleanup_free_ char *copy = NULL;

	if (set_text(k, &copy, protocol, PROTO_ALPN_NAME_MAX) < 0)
		return -1;
	if (!copy) {
		drop_alpn(&k->request.alpn);
		return 0;
	}
	if (add_alpn(&k->request.alpn, copy) < 0)
		return -1;
	steal_ptr(&copy);
	return 0;
}

int ktls_set_policy(struct ktls *k, const char *name)
{
	return set_text(k, &k->request.policy.name, name, PROTO_NAME_MAX);
}

static int set_version(struct ktls *k, enum proto_version *field, enum ktls_tls version)
{
	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (version != KTLS_TLS_DEFAULT && version != KTLS_TLS_1_2 && version != KTLS_TLS_1_3)
		return fail(EINVAL);
	*field = (enum proto_version)version;
	return 0;
}

int ktls_set_min_version(struct ktls *k, enum ktls_tls version)
{
	return set_version(k, &k->request.policy.min_version, version);
}

int ktls_set_max_version(struct ktls *k, enum ktls_tls version)
{
	return set_version(k, &k->request.policy.max_version, version);
}

int ktls_set_ciphers(struct ktls *k, const char *list)
{
	return set_text(k, &k->request.policy.ciphers, list, PROTO_CIPHERS_MAX);
}

int ktls_set_ciphersuites(struct ktls *k, const char *list)
{
	return set_text(k, &k->request.policy.ciphersuites, list, PROTO_CIPHERS_MAX);
}

int ktls_set_groups(struct ktls *k, const char *list)
{
	return set_text(k, &k->request.policy.groups, list, PROTO_CIPHERS_MAX);
}

int ktls_set_signature_algorithms(struct ktls *k, const char *list)
{
	return set_text(k, &k->request.policy.signature_algorithms, list, PROTO_CIPHERS_MAX);
}

int ktls_set_io(struct ktls *k, enum ktls_io io)
{
	return set_number(k, &k->request.io, io, KTLS_IO_AWARE, KTLS_IO_PLAIN);
}

int ktls_set_timeout(struct ktls *k, unsigned int ms)
{
	return set_number(k, &k->request.timeout_ms, ms, PROTO_TIMEOUT_MAX_MS,
			  PROTO_TIMEOUT_DEFAULT_MS);
}

int ktls_set_socket(struct ktls *k, const char *path)
{
	if (k->state != CALL_NEW)
		return fail(EBUSY);
	if (path && !*path)
		return fail(EINVAL);
	if (path && strlen(path) >= sizeof(k->service.sun_path))
		return fail(ENAMETOOLONG);
	memset(k->service.sun_path, 0, sizeof(k->service.sun_path));
	strcpy(k->service.sun_path, path ?: KTLS_SOCKET);
	return 0;
}
