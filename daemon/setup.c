/* SPDX-License-Identifier: MIT */
#include "daemon/setup.h"

#include "daemon/policy.h"

#include <string.h>

static bool tell(FILE *errors, const char *fault)
{
	char safe[16384];	/* two paths and a sentence */

	proto_escape(safe, sizeof(safe), fault ? fault : "out of memory");
	fprintf(errors, "%s\n", safe);
	return false;
}

static bool check_policy(const struct config_policy *config, FILE *errors)
{
	_cleanup_(policy_deinit) struct policy policy = { 0 };
	_cleanup_free_ char *fault = NULL;

	return !config->where || policy_init(&policy, config, NULL, &fault) || tell(errors, fault);
}

static bool check_store(const struct config_store *config, FILE *errors)
{
	_cleanup_free_ char *fault = NULL;

	return !config->where || trust_check_store(config, &fault) || tell(errors, fault);
}

/* What the parser cannot judge: policies as a whole, and files that are named. */
static bool check_named(const struct config *config, FILE *errors)
{
	bool good = true;

	for (size_t i = 0; i < config->n_policies; i++)
		good &= check_policy(&config->policies[i], errors);
	for (size_t i = 0; i < config->n_stores; i++)
		good &= check_store(&config->stores[i], errors);
	return good;
}

static bool read_stores(struct setup *setup, FILE *errors)
{
	_cleanup_free_ char *message = NULL;

	setup->trust = trust_new(setup->config, &message);
	if (!setup->trust || message)
		tell(errors, message);
	return setup->trust;
}

struct setup *setup_load(const char *file, bool check, FILE *errors)
{
	_cleanup_(setup_freep) struct setup *setup = calloc(1, sizeof(*setup));
	bool good;

	if (!setup) {
		tell(errors, NULL);
		return NULL;
	}
	setup->loaded = time(NULL);
	setup->config = config_load(file, errors, &good);
	if (!setup->config || !check_named(setup->config, errors) || !good)
		return NULL;
	if (!check && !read_stores(setup, errors))
		return NULL;
	return steal_ptr(&setup);
}

static void log_each_line(struct log *log, char *text)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_line(log, LOG_ERR, "%s", line);
}

struct setup *setup_load_logged(const char *file, struct log *log)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *errors = open_memstream(&text, &size);
	struct setup *setup;

	if (!errors) {
		log_line(log, LOG_ERR, "the configuration cannot be read: %s", strerror(errno));
		return NULL;
	}
	setup = setup_load(file, false, errors);
	fclose(errors);
	if (text)
		log_each_line(log, text);
	return setup;
}

struct setup *setup_free(struct setup *setup)
{
	if (!setup)
		return NULL;
	trust_free(setup->trust);
	config_free(setup->config);
	free(setup);
	return NULL;
}
