/* SPDX-License-Identifier: MIT */
#include "daemon/capabilities.h"

#include "daemon/access.h"
#include "daemon/quota.h"
#include "daemon/survey.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/utsname.h>

/* Room for n of them. calloc(0, ...) may be NULL. */
static bool make_room(struct proto_list *list, size_t n, size_t size)
{
	list->items = calloc(n + 1, size);
	return list->items;
}

static bool fill_kernel(struct proto_kernel *told, const struct kernel *kernel)
{
	struct proto_kernel_cipher *cipher;
	struct utsname names;

	if (!make_room(&told->ciphers, n_ciphers, sizeof(*cipher)))
		return false;
	if (uname(&names) == 0)
		snprintf(told->release, sizeof(told->release), "%s", names.release);
	told->tls_errno = kernel->ulp_errno;
	told->loopback_errno = kernel->loopback_errno;
	for (size_t i = 0; i < n_ciphers; i++) {
		cipher = (struct proto_kernel_cipher *)told->ciphers.items + told->ciphers.n++;
		*cipher = (struct proto_kernel_cipher){ ciphers[i].name, ciphers[i].module,
							kernel->cipher_errno[i] };
	}
	return true;
}

/* What a probe would offer that narrows nothing. */
static bool fill_offer(struct proto_policy_offer *offer, const struct env *env,
		       const struct config_policy *policy)
{
	char host[] = "127.0.0.1";
	const struct proto_connect wanted = { .host = host, .policy.name = policy->name };
	struct proto_probe probe = { .takes_over = false };
	struct proto_status status;
	SSL *ssl = tls_session(env->tls, &wanted, TLS_OFFER_ALL, &status);
	bool filled = ssl && survey_offer(&probe, ssl, &env->kernel);

	SSL_free(ssl);
	*offer = (struct proto_policy_offer){
		.name = policy->name, .groups = policy->groups,
		.signature_algorithms = policy->signature_algorithms,
		.suites = probe.offered, .offloadable = probe.offloadable,
	};
	return filled;
}

static bool fill_policies(struct proto_list *policies, const struct env *env)
{
	const struct config *config = env->config;
	struct proto_policy_offer *offers;

	if (!make_room(policies, config->n_policies, sizeof(*offers)))
		return false;
	offers = policies->items;
	for (size_t i = 0; i < config->n_policies; i++)
		if (!fill_offer(&offers[policies->n++], env, &config->policies[i]))
			return false;
	return true;
}

static bool fill_stores(struct proto_list *stores, const struct trust *trust)
{
	struct proto_store_state *states;
	size_t n = trust_count(trust);

	if (!make_room(stores, n, sizeof(*states)))
		return false;
	states = stores->items;
	for (; stores->n < n; stores->n++)
		states[stores->n] = trust_state(trust, stores->n);
	return true;
}

static bool fill_caller(struct proto_caller *told, const struct env *env,
			const struct credentials *caller)
{
	told->uid = caller->uid;
	told->barred = quota_barred(env, caller->account);
	return access_survey(env->config, caller, told);
}

bool capabilities_fill(struct proto_capabilities *capabilities, struct env *env,
		       const struct credentials *caller)
{
	const STACK_OF(SSL_CIPHER) *suites;

	env_refresh(env);
	suites = tls_suites(env->tls);
	capabilities->openssl = OpenSSL_version(OPENSSL_VERSION);
	capabilities->managed = env->managed;
	return survey_list(&capabilities->suites, suites, NULL) &&
	       survey_list(&capabilities->offloadable, suites, &env->kernel) &&
	       fill_kernel(&capabilities->kernel, &env->kernel) &&
	       fill_policies(&capabilities->policies, env) &&
	       fill_stores(&capabilities->stores, env->trust) &&
	       fill_caller(&capabilities->caller, env, caller);
}
