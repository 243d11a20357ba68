/* SPDX-License-Identifier: MIT */
#include "daemon/config-check.h"

#include "proto/status.h"

#include <string.h>

/* "system", the first, has the distribution's file. */
static unsigned int check_stores(const struct config *config, FILE *errors)
{
	unsigned int faults = 0;

	for (size_t i = 1; i < config->n_stores; i++) {
		const struct config_store *store = &config->stores[i];

		if (store->file || !store->where)
			continue;
		fprintf(errors, "%s: File: is missing in [Store %s]\n", store->where, store->name);
		faults++;
	}
	return faults;
}

static bool is_policy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_policies; i++)
		if (strcmp(config->policies[i].name, name) == 0)
			return true;
	return false;
}

static bool is_store(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_stores; i++)
		if (strcmp(config->stores[i].name, name) == 0)
			return true;
	return false;
}

static unsigned int check_names(const struct config *config, FILE *errors, const char *where,
				const struct config_words *names, const char *key, const char *kind,
				bool (*is)(const struct config *config, const char *name))
{
	unsigned int faults = 0;

	for (size_t i = 0; where && i < names->n; i++) {
		char safe[PROTO_TEXT_MAX];

		if (is(config, names->items[i]))
			continue;
		proto_escape(safe, sizeof(safe), names->items[i]);
		fprintf(errors, "%s: %s: there is no [%s %s]\n", where, key, kind, safe);
		faults++;
	}
	return faults;
}

unsigned int config_check(const struct config *config, FILE *errors)
{
	unsigned int faults = check_stores(config, errors);

	for (size_t i = 0; i < config->n_access; i++) {
		const struct config_access *rule = &config->access[i];

		faults += check_names(config, errors, rule->policies_where, &rule->policies,
				      "Policies", "Policy", is_policy);
		faults += check_names(config, errors, rule->stores_where, &rule->stores, "Stores",
				      "Store", is_store);
	}
	return faults;
}
