/* SPDX-License-Identifier: MIT */
#include "daemon/env.h"

#include "daemon/clock.h"
#include "daemon/events.h"

#include <string.h>

void env_log_kernel(const struct kernel *kernel, const struct kernel *before, struct log *log)
{
	struct proto_status status;

	if (before && memcmp(before, kernel, sizeof(*before)) == 0)
		return;
	if (!kernel_takes_any(kernel)) {
		kernel_unavailable(kernel, &status);
		log_record(log, LOG_WARNING, EVENT_KERNEL_TLS_UNAVAILABLE, NULL, 0, "%s",
			   status.message);
		return;
	}
	for (size_t i = 0; i < n_ciphers; i++)
		if (!kernel_takes(kernel, &ciphers[i]))
			log_line(log, LOG_NOTICE, "the kernel does not take %s: %s",
				 ciphers[i].name, strerror(kernel->cipher_errno[i]));
}

/* Offers are made from what the kernel takes. */
static bool make_tls(struct env *env)
{
	_cleanup_free_ char *message = NULL;
	struct tls *tls = tls_new(env->config, &env->kernel, &message);

	if (!tls) {
		log_line(env->log, LOG_ERR, "%s", message ? message : "out of memory");
		return false;
	}
	tls_free(env->tls);
	env->tls = tls;
	return true;
}

/* An answer that a moment's want of memory may have given does not take the place of a better one. */
static void probe(struct env *env)
{
	struct kernel found;

	kernel_probe(&found);
	env->probed_us = clock_us();
	if (kernel_was_hindered(&found) && kernel_takes_any(&env->kernel))
		return;
	env->kernel_changed = false;
	env_log_kernel(&found, &env->kernel, env->log);
	env->kernel = found;
	make_tls(env);
}

/* Of what all workers have together, one's part; something is left for each. */
static unsigned int share(unsigned int all, unsigned int workers)
{
	return (all + workers - 1) / workers;
}

/* One user alone must not have all look-ups of a worker, unless he may have all there are. */
static void init_resolver(struct env *env, const struct env_parts *parts)
{
	unsigned int all = parts->config->limits.resolvers, one = parts->config->limits.user_resolvers;
	unsigned int max = share(all, parts->workers), max_of_user = share(one, parts->workers);

	if (max == max_of_user && all > one)
		max++;
	resolver_init(&env->resolver, env->loop, parts->nursery, max, max_of_user);
}

bool env_init(struct env *env, struct ev_loop *loop, const struct env_parts *parts)
{
	*env = (struct env){
		.loop = loop, .config = parts->config, .trust = parts->trust, .log = parts->log,
		.kernel = parts->kernel, .probed_us = clock_us(), .book = parts->book,
		.managed = parts->managed,
		.tally = parts->tally, .loaded = parts->loaded,
	};
	turns_init(&env->turns, loop);
	env->turns.at_work = &env->book->ledger->at_work[env->book->seat];
	init_resolver(env, parts);
	if (watch_set_init(&env->watches, loop) < 0) {
		log_line(env->log, LOG_ERR, "no epoll set can be made");
		return false;
	}
	return make_tls(env);
}

void env_deinit(struct env *env)
{
	resolver_deinit(&env->resolver);
	watch_set_deinit(&env->watches);
	env->tls = tls_free(env->tls);
}

/* How old an answer of the kernel's may be. Who has just loaded the module, as he was told to, is not
 * to be told so again; to see that takes no more than a socket. */
static uint64_t answer_lasts_us(const struct env *env)
{
	if (env->kernel.ulp_errno && kernel_ulp_errno() == 0)
		return 0;
	if (env->kernel_changed || !kernel_takes_any(&env->kernel) ||
	    kernel_was_hindered(&env->kernel))
		return ENV_PROBE_INTERVAL_US;
	return UINT64_MAX;
}

void env_refresh(struct env *env)
{
	if (clock_us() - env->probed_us >= answer_lasts_us(env))
		probe(env);
}
