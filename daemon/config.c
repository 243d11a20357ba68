/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"

#include "daemon/config-check.h"
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
	struct names *names;
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
#define OFFSET_Access(field) offsetof(struct config_access, field)

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
		    value_parse(&key->type, NULL, key->fallback, (char *)target + key->offset))
			return false;
	}
	return true;
}

/* A section that bears a name fills an element of an array, others the configuration itself. */
static const struct section {
	const char *kind;
	size_t size;		/* of an element; 0: it bears no name */
	size_t array, n;	/* in struct config */
	size_t name;		/* in an element */
} sections[] = {
#define NAMED(type, array, n)									\
	sizeof(struct type), offsetof(struct config, array), offsetof(struct config, n),	\
	offsetof(struct type, name)
	{ "Service" },
	{ "Limits" },
	{ "Policy", NAMED(config_policy, policies, n_policies) },
	{ "Store", NAMED(config_store, stores, n_stores) },
	{ "Access", NAMED(config_access, access, n_access) },
#undef NAMED
};

/* Keys that can be judged only when all is read, and where in an element it is kept where they
 * stand. */
static const struct late {
	const char *section, *key;
	size_t where;
} lates[] = {
	{ "Policy", "Ciphers", offsetof(struct config_policy, where) },
	{ "Store", "File", offsetof(struct config_store, where) },
	{ "Access", "Policies", offsetof(struct config_access, policies_where) },
	{ "Access", "Stores", offsetof(struct config_access, stores_where) },
};

static void **array_of(const struct config *config, const struct section *section)
{
	return (void **)((char *)config + section->array);
}

static void *element(const struct config *config, const struct section *section, size_t i)
{
	return (char *)*array_of(config, section) + i * section->size;
}

static size_t *n_elements(const struct config *config, const struct section *section)
{
	return (size_t *)((char *)config + section->n);
}

static char **text_at(void *element, size_t offset)
{
	return (char **)((char *)element + offset);
}

/*
 * The line that is being read becomes where the key is from; key NULL: where all such keys of the
 * section are from. told: with a fault, then that is NULL.
 */
static bool set_where(struct parser *parser, void *element, const char *key, bool told)
{
	const struct config_lines *lines = &parser->lines;

	for (size_t i = 0; i < array_size(lates); i++) {
		char **where = text_at(element, lates[i].where), *text = NULL;

		if (strcmp(lates[i].section, parser->section->kind) ||
		    (key && strcmp(lates[i].key, key)))
			continue;
		if (!told &&
		    asprintf(&text, lines->line ? "%s:%u" : "%s", lines->path, lines->line) < 0)
			return false;
		free(*where);
		*where = text;
	}
	return true;
}

static void *find_element(struct parser *parser, const char *name)
{
	const struct section *section = parser->section;

	for (size_t i = 0; i < *n_elements(parser->config, section); i++)
		if (!strcmp(*text_at(element(parser->config, section, i), section->name), name))
			return element(parser->config, section, i);
	return NULL;
}

/* NULL: no memory. */
static void *add_element(struct parser *parser, const char *name)
{
	const struct section *section = parser->section;
	size_t *n = n_elements(parser->config, section);
	void **array = array_of(parser->config, section), *grown, *added;

	grown = reallocarray(*array, *n + 1, section->size);
	if (!grown)
		return NULL;
	*array = grown;
	added = memset(element(parser->config, section, *n), 0, section->size);
	*text_at(added, section->name) = strdup(name);
	if (!*text_at(added, section->name))
		return NULL;
	++*n;
	return set_defaults(section->kind, added) && set_where(parser, added, NULL, false) ? added :
											      NULL;
}

static void *open_section(struct parser *parser, const char *name)
{
	void *found;

	if (!parser->section->size)
		return parser->config;
	found = find_element(parser, name);
	return found ? found : add_element(parser, name);
}

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
	if (!section->size)
		return *name ? "this section bears no name" : NULL;
	if (!*name)
		return "this section needs a name";
	return valid_name(name) ? NULL : "a name is 1 to 64 letters, digits, '-', '_' and '.'";
}

static void on_section(struct config_lines *lines, const char *text)
{
	struct parser *parser = container_of(lines, struct parser, lines);
	size_t length = strcspn(text ? text : "", " \t");
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
	parser->target = open_section(parser, name);
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
	char wrong[PROTO_TEXT_MAX];

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
	error = value_parse(&key->type, parser->names, value,
			    (char *)parser->target + key->offset);
	lines->no_memory |= error == VALUE_NO_MEMORY;
	lines->no_memory |= !set_where(parser, parser->target, name, error != VALUE_OK);
	if (error == VALUE_OK)
		return;
	value_explain(&key->type, parser->names, value, error, wrong, sizeof(wrong));
	config_lines_fault(lines, name, "%s", wrong);
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

static bool add_built_in(struct parser *parser, const char *kind, const char *name)
{
	parser->section = find_section(kind, strlen(kind));
	return add_element(parser, name);
}

static bool set_built_in(struct parser *parser)
{
	parser->lines.path = "built in";
	return set_defaults("Service", parser->config) && set_defaults("Limits", parser->config) &&
	       add_built_in(parser, "Policy", "default") && add_built_in(parser, "Store", "system");
}

static struct config *load(const char *directory, const char *file, FILE *errors, bool *good)
{
	_cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
	_cleanup_(names_freep) struct names *names = names_new();
	struct parser parser = {
		.lines = { .on_section = on_section, .on_entry = on_entry, .errors = errors },
		.config = config,
		.names = names,
	};

	*good = false;
	if (!config || !names || !set_built_in(&parser))
		parser.lines.no_memory = true;
	else if (file)
		read_file(&parser, file, false);
	else
		read_directory(&parser, directory);
	if (parser.lines.no_memory) {
		fputs("the configuration was not read: out of memory\n", errors);
		return NULL;
	}
	parser.lines.faults += config_check(config, errors);
	*good = !parser.lines.faults;
	return steal_ptr(&config);
}

struct config *config_load(const char *file, FILE *errors, bool *good)
{
	return load(KTLSD_SYSCONFDIR "/ktlsd", file, errors, good);
}

struct config *config_load_directory(const char *directory, FILE *errors, bool *good)
{
	return load(directory, NULL, errors, good);
}

static void free_elements(struct config *config, const struct section *section)
{
	for (size_t i = 0; i < *n_elements(config, section); i++) {
		void *freed = element(config, section, i);

		free(*text_at(freed, section->name));
		for (size_t k = 0; k < array_size(lates); k++)
			if (!strcmp(lates[k].section, section->kind))
				free(*text_at(freed, lates[k].where));
		for (size_t k = 0; k < array_size(keys); k++)
			if (!strcmp(keys[k].section, section->kind))
				value_free(&keys[k].type, (char *)freed + keys[k].offset);
	}
	free(*array_of(config, section));
}

struct config *config_free(struct config *config)
{
	for (size_t i = 0; config && i < array_size(sections); i++)
		if (sections[i].size)
			free_elements(config, &sections[i]);
	free(config);
	return NULL;
}
