/* SPDX-License-Identifier: MIT */
#include "daemon/env.h"

#include "daemon/clock.h"

#include <string.h>

/* What was found, where it is something to tell, and new. */
static void log_kernel(struct env *env, const struct kernel *before)
{
	struct proto_status status;

	if (memcmp(before, &env->kernel, sizeof(*before)) == 0)
		return;
	if (!kernel_takes_any(&env->kernel)) {
		kernel_unavailable(&env->kernel, &status);
		log_line(env->log, LOG_WARNING, "%s", status.message);
		return;
	}
	for (size_t i = 0; i < n_ciphers; i++)
		if (!kernel_takes(&env->kernel, &ciphers[i]))
			log_line(env->log, LOG_NOTICE, "the kernel does not take %s: %s",
				 ciphers[i].name, strerror(env->kernel.cipher_errno[i]));
}

static bool probe(struct env *env)
{
	_cleanup_free_ char *message = NULL;
	_cleanup_(tls_freep) struct tls *tls = NULL;
	struct kernel before = env->kernel;

	kernel_probe(&env->kernel);
	env->probed_us = clock_us();
	env->kernel_changed = false;
	log_kernel(env, &before);
	tls = tls_new(env->config, &env->kernel, &message);
	if (!tls) {
		log_line(env->log, LOG_ERR, "%s", message ? message : "out of memory");
		return false;
	}
	tls_free(env->tls);
	env->tls = steal_ptr(&tls);
	return true;
}

bool env_init(struct env *env, struct ev_loop *loop, const struct config *config, struct log *log)
{
	_cleanup_free_ char *message = NULL;

	*env = (struct env){ .loop = loop, .config = config, .log = log };
	turns_init(&env->turns, loop);
	list_init(&env->resolver.waiting);
	list_init(&env->resolver.running);
	env->resolver.spare = env->resolver.nursery = env->watches.epoll = -1;
	if (watch_set_init(&env->watches, loop) < 0) {
		log_line(log, LOG_ERR, "no epoll set can be made");
		return false;
	}
	env->trust = trust_new(config, &message);
	if (!env->trust)
		log_line(log, LOG_ERR, "%s", message ? message : "out of memory");
	else if (message)
		log_line(log, LOG_WARNING, "%s", message);
	return env->trust && probe(env);
}

bool env_start(struct env *env)
{
	int r = resolver_init(&env->resolver, env->config->limits.resolvers,
			      env->config->limits.user_resolvers);

	if (r < 0) {
		log_line(env->log, LOG_ERR, "cannot fork the resolvers' process: %s", strerror(-r));
		return false;
	}
	resolver_run(&env->resolver, env->loop);
	return true;
}

void env_deinit(struct env *env)
{
	resolver_deinit(&env->resolver);
	watch_set_deinit(&env->watches);
	env->tls = tls_free(env->tls);
	env->trust = trust_free(env->trust);
}

/* How old an answer of the kernel's may be. */
static uint64_t answer_lasts_us(const struct env *env)
{
	if (env->kernel_changed || !kernel_takes_any(&env->kernel) ||
	    kernel_was_hindered(&env->kernel))
		return ENV_PROBE_INTERVAL_US;
	return kernel_takes_all(&env->kernel) ? UINT64_MAX : ENV_PROBE_RARELY_US;
}

void env_refresh(struct env *env)
{
	if (clock_us() - env->probed_us >= answer_lasts_us(env))
		probe(env);
}
