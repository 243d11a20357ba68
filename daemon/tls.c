/* SPDX-License-Identifier: MIT */
#include "daemon/tls.h"

#include "daemon/names.h"
#include "daemon/policy.h"
#include "daemon/verify.h"

#include <assert.h>
#include <openssl/err.h>
#include <string.h>

struct tls {
	struct kernel kernel;
	struct names *names;
	struct policy *policies;
	size_t n_policies;
	STACK_OF(SSL_CIPHER) *suites;
};

/* One of the lists of names that a policy or a request has. */
static const struct {
	enum names_kind kind;
	const char *parameter;
	size_t offset;				/* in struct proto_policy */
} lists[] = {
	{ NAMES_CIPHERS, "policy.ciphers", offsetof(struct proto_policy, ciphers) },
	{ NAMES_CIPHERSUITES, "policy.ciphersuites", offsetof(struct proto_policy, ciphersuites) },
	{ NAMES_GROUPS, "policy.groups", offsetof(struct proto_policy, groups) },
	{ NAMES_SIGALGS, "policy.signatureAlgorithms",
	  offsetof(struct proto_policy, signature_algorithms) },
};

struct tls *tls_new(const struct config *config, const struct kernel *kernel, char **message)
{
	_cleanup_(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));

	*message = NULL;
	if (!tls)
		return NULL;
	tls->kernel = *kernel;
	tls->names = names_new();
	tls->policies = calloc(config->n_policies, sizeof(*tls->policies));
	if (!tls->names || !tls->policies)
		return NULL;
	for (size_t i = 0; i < config->n_policies; i++)
		if (!policy_init(&tls->policies[tls->n_policies++], &config->policies[i], kernel,
				 message))
			return NULL;
	ERR_clear_error();
	return steal_ptr(&tls);
}

struct tls *tls_free(struct tls *tls)
{
	if (!tls)
		return NULL;
	for (size_t i = 0; i < tls->n_policies; i++)
		policy_deinit(&tls->policies[i]);
	free(tls->policies);
	names_free(tls->names);
	sk_SSL_CIPHER_free(tls->suites);
	free(tls);
	return NULL;
}

/* It takes most of a millisecond. */
const STACK_OF(SSL_CIPHER) *tls_suites(struct tls *tls)
{
	SSL_CTX *ctx = tls->suites ? NULL : SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	if (ctx) {
		SSL_CTX_set_security_level(ctx, POLICY_SECURITY_LEVEL);
		ssl = SSL_new(ctx);
	}
	if (ssl)
		tls->suites = SSL_get1_supported_ciphers(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return tls->suites;
}

/* --- sessions */

/* What a session is made from, for the steps that make it. */
struct making {
	struct tls *tls;
	const struct policy *policy;
	const struct proto_connect *wanted;
	const struct kernel *kernel;	/* to leave out what it does not take; NULL: nothing */
	SSL *ssl;
	struct proto_status *status;
};

static enum proto_error no_memory(const struct making *m)
{
	return proto_status_set(m->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_POLICY, ENOMEM,
				"out of memory");
}

static enum proto_error nothing_left(const struct making *m, const char *what)
{
	return proto_status_set(m->status, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY, 0,
				"policy \"%s\" allows none of the %s that the request names",
				m->policy->name, what);
}

static enum proto_error check_names(struct making *m)
{
	for (size_t i = 0; i < array_size(lists); i++) {
		char fault[PROTO_TEXT_MAX];
		const char *list = *(char *const *)((const char *)&m->wanted->policy +
						    lists[i].offset);

		if (list && !names_known(m->tls->names, lists[i].kind, list, fault, sizeof(fault)))
			return proto_status_invalid(m->status, lists[i].parameter, "%s", fault);
	}
	return PROTO_OK;
}

static enum proto_error make_ssl(struct making *m)
{
	m->ssl = SSL_new(m->policy->ctx);
	return m->ssl ? PROTO_OK : no_memory(m);
}

static enum proto_error narrow_ciphers(struct making *m)
{
	const char *asked = m->wanted->policy.ciphers;
	_cleanup_free_ char *names = NULL;
	size_t n_allowed;

	/* The context has what the kernel takes of the policy's own list already. */
	if (!asked && m->kernel && m->policy->offloadable)
		return PROTO_OK;
	if (asked && !SSL_set_cipher_list(m->ssl, asked))
		return nothing_left(m, "ciphers");
	names = policy_choose(m->policy, asked ? SSL_get_ciphers(m->ssl) : m->policy->allowed,
			      m->kernel, &n_allowed);
	if (!names)
		return no_memory(m);
	if (n_allowed == 0)
		return nothing_left(m, "ciphers");
	if (!*names)
		return proto_status_set(m->status, PROTO_NOT_OFFLOADABLE, PROTO_STAGE_POLICY, 0,
					"this kernel takes over none of the ciphers that are left "
					"of request and policy \"%s\"", m->policy->name);
	return SSL_set_cipher_list(m->ssl, names) ? PROTO_OK : no_memory(m);
}

/* Groups or signature algorithms: set is OpenSSL's, 1 being success. */
static enum proto_error narrow(struct making *m, const char *asked, const char *allowed,
			       const char *what, long (*set)(SSL *ssl, const char *list))
{
	_cleanup_free_ char *left = NULL;

	if (!asked)
		return PROTO_OK;
	left = names_narrow(asked, allowed);
	if (!left)
		return no_memory(m);
	if (!*left)
		return nothing_left(m, what);
	return set(m->ssl, left) == 1 ? PROTO_OK : no_memory(m);
}

static long set_groups(SSL *ssl, const char *list)
{
	return SSL_set1_groups_list(ssl, list);
}

static long set_sigalgs(SSL *ssl, const char *list)
{
	return SSL_set1_sigalgs_list(ssl, list);
}

static enum proto_error narrow_groups(struct making *m)
{
	return narrow(m, m->wanted->policy.groups, m->policy->groups, "groups", set_groups);
}

static enum proto_error narrow_sigalgs(struct making *m)
{
	return narrow(m, m->wanted->policy.signature_algorithms, m->policy->sigalgs,
		      "signature algorithms", set_sigalgs);
}

/* RFC 6066, 3: a DNS name without the root's dot, never an address. */
static enum proto_error set_server_name(struct making *m)
{
	const char *asked = m->wanted->server_name;
	char name[PROTO_HOST_MAX + 1];

	if (verify_dns_name(name, asked ? asked : m->wanted->host))
		return SSL_set_tlsext_host_name(m->ssl, name) ? PROTO_OK : no_memory(m);
	if (!asked)
		return PROTO_OK;
	return proto_status_invalid(m->status, "serverName", "an address is no server name");
}

/* RFC 7301, 3.1: each with its length in a byte before it. */
static enum proto_error set_alpn(struct making *m)
{
	const struct proto_strings *alpn = &m->wanted->alpn;
	uint8_t wire[PROTO_ALPN_MAX * (PROTO_ALPN_NAME_MAX + 1)];
	unsigned int size = 0;

	assert(alpn->n <= PROTO_ALPN_MAX);
	for (size_t i = 0; i < alpn->n; i++) {
		size_t n = strlen(alpn->items[i]);

		assert(n > 0 && n <= PROTO_ALPN_NAME_MAX);
		wire[size++] = (uint8_t)n;
		memcpy(wire + size, alpn->items[i], n);
		size += (unsigned int)n;
	}
	/* This one of OpenSSL's returns 0 for success. */
	return size == 0 || SSL_set_alpn_protos(m->ssl, wire, size) == 0 ? PROTO_OK : no_memory(m);
}

static const struct policy *find_policy(const struct tls *tls, const char *name)
{
	for (size_t i = 0; i < tls->n_policies; i++)
		if (strcmp(tls->policies[i].name, name ? name : "default") == 0)
			return &tls->policies[i];
	return NULL;
}

SSL *tls_session(struct tls *tls, const struct proto_connect *wanted, enum tls_offer offer,
		 struct proto_status *status)
{
	static enum proto_error (*const steps[])(struct making *m) = {
		check_names, make_ssl, narrow_ciphers, narrow_groups, narrow_sigalgs,
		set_server_name, set_alpn,
	};
	struct making m = {
		.tls = tls, .policy = find_policy(tls, wanted->policy.name), .wanted = wanted,
		.kernel = offer == TLS_OFFER_ALL ? NULL : &tls->kernel, .status = status,
	};
	enum proto_error error = PROTO_OK;

	if (!m.policy) {
		proto_status_invalid(status, "policy.name", "there is no policy of this name: it takes a "
				     "[Policy] section of ktlsd.conf(5)");
		return NULL;
	}
	for (size_t i = 0; i < array_size(steps) && error == PROTO_OK; i++)
		error = steps[i](&m);
	ERR_clear_error();
	if (error == PROTO_OK)
		return m.ssl;
	SSL_free(m.ssl);
	return NULL;
}
