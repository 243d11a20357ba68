/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"

#include "daemon/config-lines.h"
#include "daemon/config-value.h"
#include "proto/limits.h"

#include <dirent.h>
#include <string.h>

#ifndef KTLSD_SYSCONFDIR
#define KTLSD_SYSCONFDIR "/etc"
#endif

struct parser {
	struct config_lines lines;
	struct config *config;
	bool entered;			/* there was a section line in this file */
	const struct section *section;
	void *target;	/* what its keys fill; NULL: nobody knows, they are passed over */
};

struct key {
	const char *section;
	const char *name;
	const char *fallback;
	size_t offset;
	struct value_type type;
};

#define OFFSET_Service(field) offsetof(struct config, service.field)
#define OFFSET_Limits(field) offsetof(struct config, limits.field)
#define OFFSET_Policy(field) offsetof(struct config_policy, field)
#define OFFSET_Store(field) offsetof(struct config_store, field)

static const struct key keys[] = {
#define OPTION(section, key, field, kind, fallback, min, max, unit, sentence)			\
	{ #section, #key, fallback, OFFSET_##section(field), { VALUE_##kind, min, max } },
#include "daemon/options.def"
#undef OPTION
};

static bool set_defaults(const char *section, void *target)
{
	for (size_t i = 0; i < array_size(keys); i++) {
		const struct key *key = &keys[i];

		if (!strcmp(key->section, section) && *key->fallback &&
		    value_parse(&key->type, key->fallback, (char *)target + key->offset))
			return false;
	}
	return true;
}

static bool set_text(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return false;
	free(*to);
	*to = copy;
	return true;
}

static struct config_policy *find_policy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_policies; i++)
		if (!strcmp(config->policies[i].name, name))
			return &config->policies[i];
	return NULL;
}

static struct config_policy *add_policy(struct config *config, const char *name)
{
	size_t n = config->n_policies;
	struct config_policy *policy, *grown;

	grown = reallocarray(config->policies, n + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	config->policies = grown;
	policy = &grown[n];
	*policy = (struct config_policy){ .name = strdup(name) };
	if (!policy->name)
		return NULL;
	config->n_policies++;
	return set_defaults("Policy", policy) ? policy : NULL;
}

static void *open_policy(struct config *config, const char *name, const char *where)
{
	struct config_policy *policy = find_policy(config, name);

	if (!policy)
		policy = add_policy(config, name);
	return policy && set_text(&policy->where, where) ? policy : NULL;
}

static struct config_store *find_store(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_stores; i++)
		if (!strcmp(config->stores[i].name, name))
			return &config->stores[i];
	return NULL;
}

static struct config_store *add_store(struct config *config, const char *name)
{
	size_t n = config->n_stores;
	struct config_store *store, *grown;

	grown = reallocarray(config->stores, n + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	config->stores = grown;
	store = &grown[n];
	*store = (struct config_store){ .name = strdup(name) };
	if (!store->name)
		return NULL;
	config->n_stores++;
	return set_defaults("Store", store) ? store : NULL;
}

static void *open_store(struct config *config, const char *name, const char *where)
{
	struct config_store *store = find_store(config, name);

	if (!store)
		store = add_store(config, name);
	return store && set_text(&store->where, where) ? store : NULL;
}

static void *open_config(struct config *config, const char *name, const char *where)
{
	return config;
}

static const struct section {
	const char *kind;
	bool named;
	/* NULL: no memory */
	void *(*open)(struct config *config, const char *name, const char *where);
} sections[] = {
	{ "Service", false, open_config },
	{ "Limits", false, open_config },
	{ "Policy", true, open_policy },
	{ "Store", true, open_store },
};

static const struct section *find_section(const char *kind, size_t length)
{
	for (size_t i = 0; i < array_size(sections); i++)
		if (strlen(sections[i].kind) == length && !strncmp(sections[i].kind, kind, length))
			return &sections[i];
	return NULL;
}

static bool valid_name(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_.");

	return length > 0 && length <= PROTO_NAME_MAX && !name[length];
}

/* What is wrong with a section line; NULL: nothing. */
static const char *section_fault(const struct section *section, const char *name)
{
	if (!section)
		return "there is no such section";
	if (!section->named)
		return *name ? "this section bears no name" : NULL;
	if (!*name)
		return "this section needs a name";
	return valid_name(name) ? NULL : "a name is 1 to 64 letters, digits, '-', '_' and '.'";
}

static void on_section(struct config_lines *lines, const char *text)
{
	struct parser *parser = container_of(lines, struct parser, lines);
	size_t length = strcspn(text ? text : "", " \t");
	_cleanup_free_ char *where = NULL;
	const char *name, *wrong;

	parser->entered = true;
	parser->target = NULL;
	if (!text)
		return;
	name = text + length + strspn(text + length, " \t");
	parser->section = find_section(text, length);
	wrong = section_fault(parser->section, name);
	if (wrong) {
		config_lines_fault(lines, NULL, "[%s]: %s", text, wrong);
		return;
	}
	if (asprintf(&where, "%s:%u", lines->path, lines->line) < 0)
		where = NULL;
	parser->target = where ? parser->section->open(parser->config, name, where) : NULL;
	lines->no_memory |= !parser->target;
}

static const struct key *find_key(const char *section, const char *name)
{
	for (size_t i = 0; i < array_size(keys); i++)
		if (!strcmp(keys[i].section, section) && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static void on_entry(struct config_lines *lines, const char *name, const char *value)
{
	struct parser *parser = container_of(lines, struct parser, lines);
	const struct key *key;
	enum value_error error;
	char wrong[128];

	if (!parser->entered)
		config_lines_fault(lines, name, "stands before any section");
	if (!parser->target)
		return;
	key = find_key(parser->section->kind, name);
	if (!key) {
		config_lines_fault(lines, name, "there is no such key in [%s]",
				   parser->section->kind);
		return;
	}
	error = value_parse(&key->type, value, (char *)parser->target + key->offset);
	if (error == VALUE_OK)
		return;
	value_explain(&key->type, error, wrong, sizeof(wrong));
	config_lines_fault(lines, name, "\"%s\" %s", value, wrong);
	lines->no_memory |= error == VALUE_NO_MEMORY;
}

static void read_file(struct parser *parser, const char *path, bool optional)
{
	parser->entered = false;
	parser->target = NULL;
	config_lines_read(&parser->lines, path, optional);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_drop_ins(struct parser *parser, const char *directory)
{
	struct dirent **entries = NULL;
	int n = scandir(directory, &entries, is_drop_in, by_name);

	if (n < 0 && errno != ENOENT) {
		parser->lines.path = directory;
		parser->lines.line = 0;
		config_lines_fault(&parser->lines, NULL, "cannot be read: %s", strerror(errno));
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
			path = NULL;
		if (path)
			read_file(parser, path, false);
		parser->lines.no_memory |= !path;
		free(entries[i]);
	}
	free(entries);
}

static void read_directory(struct parser *parser, const char *directory)
{
	_cleanup_free_ char *file = NULL, *drop_ins = NULL;

	if (asprintf(&file, "%s/ktlsd.conf", directory) < 0)
		file = NULL;
	if (asprintf(&drop_ins, "%s/ktlsd.conf.d", directory) < 0)
		drop_ins = NULL;
	if (!file || !drop_ins) {
		parser->lines.no_memory = true;
		return;
	}
	read_file(parser, file, true);
	read_drop_ins(parser, drop_ins);
}

static bool set_built_in(struct config *config)
{
	return set_defaults("Service", config) && set_defaults("Limits", config) &&
	       open_policy(config, "default", "built in") &&
	       open_store(config, "system", "built in");
}

/* What cannot be seen before all is read. "system", the first, has the distribution's file. */
static void check_stores(struct parser *parser)
{
	const struct config *config = parser->config;

	for (size_t i = 1; i < config->n_stores; i++) {
		const struct config_store *store = &config->stores[i];

		if (store->file)
			continue;
		fprintf(parser->lines.errors, "%s: File: is missing in [Store %s]\n", store->where,
			store->name);
		parser->lines.faults++;
	}
}

static struct config *load(const char *directory, const char *file, FILE *errors)
{
	_cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
	struct parser parser = {
		.lines = { .on_section = on_section, .on_entry = on_entry, .errors = errors },
		.config = config,
	};

	if (!config || !set_built_in(config))
		parser.lines.no_memory = true;
	else if (file)
		read_file(&parser, file, false);
	else
		read_directory(&parser, directory);
	if (parser.lines.no_memory) {
		fputs("the configuration was not read: out of memory\n", errors);
		return NULL;
	}
	check_stores(&parser);
	return parser.lines.faults ? NULL : steal_ptr(&config);
}

struct config *config_load(const char *file, FILE *errors)
{
	return load(KTLSD_SYSCONFDIR "/ktlsd", file, errors);
}

struct config *config_load_directory(const char *directory, FILE *errors)
{
	return load(directory, NULL, errors);
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->n_policies; i++) {
		free(config->policies[i].name);
		free(config->policies[i].ciphers);
		free(config->policies[i].groups);
		free(config->policies[i].signature_algorithms);
		free(config->policies[i].where);
	}
	for (size_t i = 0; i < config->n_stores; i++) {
		free(config->stores[i].name);
		free(config->stores[i].file);
		free(config->stores[i].where);
	}
	free(config->policies);
	free(config->stores);
	free(config);
	return NULL;
}

const struct config_policy *config_policy(const struct config *config, const char *name)
{
	return find_policy(config, name ? name : "default");
}

const struct config_store *config_store(const struct config *config, const char *name)
{
	return find_store(config, name);
}
