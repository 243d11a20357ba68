/* SPDX-License-Identifier: MIT */
#include "daemon/policy.h"

#include "daemon/verify.h"

#include <stdio.h>
#include <string.h>

/* A suite's name is at most 30 bytes. */
#define SUITE_NAME_SIZE 64

static bool among(const STACK_OF(SSL_CIPHER) *suites, const SSL_CIPHER *suite)
{
	for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++)
		if (sk_SSL_CIPHER_value(suites, i) == suite)
			return true;
	return false;
}

/* Anonymous and pre-shared-key suites have no certificate to verify, whatever a policy says. */
static bool has_certificate(const SSL_CIPHER *suite)
{
	int nid = SSL_CIPHER_get_auth_nid(suite);

	return nid == NID_auth_rsa || nid == NID_auth_ecdsa;
}

static bool taken(const struct kernel *kernel, const SSL_CIPHER *suite)
{
	const struct cipher *cipher = cipher_of_suite(suite);

	return !kernel || (cipher && kernel_takes(kernel, cipher));
}

char *policy_choose(const struct policy *policy, const STACK_OF(SSL_CIPHER) *asked,
		    const struct kernel *kernel, size_t *n_allowed)
{
	char *names = calloc((size_t)sk_SSL_CIPHER_num(asked) + 1, SUITE_NAME_SIZE), *end = names;

	*n_allowed = 0;
	for (int i = 0; names && i < sk_SSL_CIPHER_num(asked); i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(asked, i);

		if (!among(policy->allowed, suite))
			continue;
		++*n_allowed;
		if (taken(kernel, suite))
			end += snprintf(end, SUITE_NAME_SIZE, "%s%s", end == names ? "" : ":",
					SSL_CIPHER_get_name(suite));
	}
	return names;
}

void policy_deinit(struct policy *policy)
{
	free_pointer(&policy->name);
	free_pointer(&policy->groups);
	free_pointer(&policy->sigalgs);
	SSL_CTX_free(steal_ptr(&policy->ctx));
	sk_SSL_CIPHER_free(steal_ptr(&policy->allowed));
}

static SSL_CTX *new_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_security_level(ctx, POLICY_SECURITY_LEVEL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_ciphersuites(ctx, "");
	SSL_CTX_set_read_ahead(ctx, 0);
	/* Whoever frees a session must not write: the socket may have keys in the kernel. */
	SSL_CTX_set_quiet_shutdown(ctx, 1);
	verify_install(ctx);
	return ctx;
}

static bool keep_allowed(struct policy *policy)
{
	const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(policy->ctx);

	policy->allowed = sk_SSL_CIPHER_new_null();
	for (int i = 0; policy->allowed && i < sk_SSL_CIPHER_num(all); i++)
		if (has_certificate(sk_SSL_CIPHER_value(all, i)) &&
		    !sk_SSL_CIPHER_push(policy->allowed, sk_SSL_CIPHER_value(all, i)))
			return false;
	return policy->allowed;
}

/* Whether the policy's own cipher list, less what the kernel does not take, is set. */
static bool set_ciphers(struct policy *policy, const struct kernel *kernel)
{
	_cleanup_free_ char *names = NULL;
	size_t n_allowed;

	names = policy_choose(policy, policy->allowed, kernel, &n_allowed);
	policy->offloadable = names && *names;
	return names && (!*names || SSL_CTX_set_cipher_list(policy->ctx, names));
}

static bool some_offloadable(const struct policy *policy)
{
	for (int i = 0; i < sk_SSL_CIPHER_num(policy->allowed); i++)
		if (cipher_of_suite(sk_SSL_CIPHER_value(policy->allowed, i)))
			return true;
	return false;
}

/* What is wrong with the lists of names that are known; NULL: nothing. */
static const char *set_lists(struct policy *policy, const char *suites)
{
	if (!SSL_CTX_set1_groups_list(policy->ctx, policy->groups))
		return "Groups: this OpenSSL does not do them all";
	if (!SSL_CTX_set1_sigalgs_list(policy->ctx, policy->sigalgs))
		return "SignatureAlgorithms: this OpenSSL does not do them all";
	if (!SSL_CTX_set_cipher_list(policy->ctx, suites) || !keep_allowed(policy) ||
	    !some_offloadable(policy))
		return "Ciphers: no kernel takes over any of them";
	return NULL;
}

bool policy_init(struct policy *policy, const struct config_policy *config,
		 const struct kernel *kernel, char **fault)
{
	const char *wrong;

	*fault = NULL;
	*policy = (struct policy){
		.name = strdup(config->name),
		.groups = strdup(config->groups),
		.sigalgs = strdup(config->signature_algorithms),
		.ctx = new_ctx(),
	};
	if (!policy->name || !policy->groups || !policy->sigalgs || !policy->ctx)
		return false;
	wrong = set_lists(policy, config->ciphers);
	if (wrong && asprintf(fault, "%s: %s", config->where, wrong) < 0)
		*fault = NULL;
	return !wrong && set_ciphers(policy, kernel);
}
