/* SPDX-License-Identifier: MIT */
#include "daemon/config-list.h"

#include "proto/message.h"
#include "proto/util.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Of a long word only its beginning is repeated. */
#define TOLD_MAX 100

/* Any of the lists, while it grows. */
struct list {
	void *items;
	size_t n;
};

static enum value_error append(struct list *list, const void *item, size_t size)
{
	char *grown = reallocarray(list->items, list->n + 1, size);

	if (!grown)
		return VALUE_NO_MEMORY;
	list->items = grown;
	memcpy(grown + list->n++ * size, item, size);
	return VALUE_OK;
}

/* A number that fits into 32 bits, but for the last, which means none to the kernel. */
static bool parse_id(const char *word, unsigned int *id)
{
	size_t digits = strspn(word, "0123456789");
	unsigned long long number = strtoull(word, NULL, 10);

	*id = (unsigned int)number;
	return digits && digits <= 10 && !word[digits] && number < UINT32_MAX;
}

static enum value_error take_user(struct list *list, const char *word)
{
	const struct passwd *user;
	unsigned int id;

	if (!parse_id(word, &id)) {
		user = getpwnam(word);
		if (!user)
			return VALUE_MALFORMED;
		id = user->pw_uid;
	}
	return append(list, &id, sizeof(id));
}

static enum value_error take_group(struct list *list, const char *word)
{
	const struct group *group;
	unsigned int id;

	if (!parse_id(word, &id)) {
		group = getgrnam(word);
		if (!group)
			return VALUE_MALFORMED;
		id = group->gr_gid;
	}
	return append(list, &id, sizeof(id));
}

static enum value_error take_word(struct list *list, const char *word)
{
	_cleanup_free_ char *copy = strdup(word);
	enum value_error error = copy ? append(list, &copy, sizeof(copy)) : VALUE_NO_MEMORY;

	if (error == VALUE_OK)
		steal_ptr(&copy);
	return error;
}

static const char *without_wildcard(const char *pattern)
{
	return pattern + (strncmp(pattern, "*.", 2) == 0 ? 2 : 0);
}

static enum value_error take_host(struct list *list, const char *word)
{
	return proto_dns_name_valid(without_wildcard(word)) ? take_word(list, word) :
							       VALUE_MALFORMED;
}

static enum value_error take_network(struct list *list, const char *word)
{
	const char *expansion = network_word(word);
	enum value_error error = VALUE_OK;
	struct network network;
	char one[64];
	int length;

	if (!expansion)
		return network_parse(&network, word) ? append(list, &network, sizeof(network)) :
						       VALUE_MALFORMED;
	for (; error == VALUE_OK && sscanf(expansion, " %63s%n", one, &length) == 1;
	     expansion += length)
		error = take_network(list, one);
	return error;
}

/* "443" or "8000-8100"; returns what follows the number, NULL: it is none, or no port. */
static const char *parse_port(const char *p, uint16_t *port)
{
	size_t digits = strspn(p, "0123456789");
	unsigned long number = strtoul(p, NULL, 10);

	*port = (uint16_t)number;
	return digits && digits <= 5 && number > 0 && number <= UINT16_MAX ? p + digits : NULL;
}

static enum value_error take_ports(struct list *list, const char *word)
{
	struct config_port_range range;
	const char *p = parse_port(word, &range.first);

	range.last = range.first;
	if (p && *p == '-')
		p = parse_port(p + 1, &range.last);
	if (!p || *p || range.last < range.first)
		return VALUE_MALFORMED;
	return append(list, &range, sizeof(range));
}

/* By the kind of the value; what is not here is no list. */
static const struct {
	enum value_error (*take)(struct list *list, const char *word);
	const char *malformed;
	bool words;
} kinds[] = {
	[VALUE_UIDS] = { take_user, "is no user of this machine", false },
	[VALUE_GIDS] = { take_group, "is no group of this machine", false },
	[VALUE_HOSTS] = { take_host, "is neither a DNS name nor one behind *.", true },
	[VALUE_NETWORKS] = { take_network, "is neither an address, nor ADDRESS/BITS, nor any, "
			     "localhost, link-local or multicast", false },
	[VALUE_PORTS] = { take_ports, "is neither a port nor a range of ports", false },
	[VALUE_NAMES] = { take_word, "", true },
};

void config_list_free(enum value_kind kind, void *field)
{
	struct list list;

	memcpy(&list, field, sizeof(list));
	for (size_t i = 0; kinds[kind].words && i < list.n; i++)
		free(((char **)list.items)[i]);
	free(list.items);
	memset(field, 0, sizeof(list));
}

static void explain(enum value_kind kind, const char *word, char **wrong)
{
	if (asprintf(wrong, "\"%.*s%s\" %s", TOLD_MAX, word, strlen(word) > TOLD_MAX ? "..." : "",
		     kinds[kind].malformed) < 0)
		*wrong = NULL;
}

enum value_error config_list_parse(enum value_kind kind, const char *text, void *field,
				   char **wrong)
{
	_cleanup_free_ char *copy = strdup(text);
	enum value_error error = copy ? VALUE_OK : VALUE_NO_MEMORY;
	char *state = NULL, *word = copy ? strtok_r(copy, " \t", &state) : NULL;
	struct list list = { 0 };

	*wrong = NULL;
	for (; word && error == VALUE_OK; word = strtok_r(NULL, " \t", &state)) {
		error = kinds[kind].take(&list, word);
		if (error == VALUE_MALFORMED)
			explain(kind, word, wrong);
	}
	if (error == VALUE_OK && !list.n)
		error = VALUE_EMPTY;
	if (error == VALUE_OK) {
		config_list_free(kind, field);
		memcpy(field, &list, sizeof(list));
	} else {
		config_list_free(kind, &list);
	}
	return error;
}

bool config_host_matches(const char *pattern, const char *host)
{
	const char *name = without_wildcard(pattern);
	size_t length = strlen(host), wanted = strlen(name);

	length -= length && host[length - 1] == '.';
	wanted -= wanted && name[wanted - 1] == '.';
	if (name == pattern)
		return length == wanted && strncasecmp(host, name, length) == 0;
	return length > wanted + 1 && host[length - wanted - 1] == '.' &&
	       strncasecmp(host + length - wanted, name, wanted) == 0;
}
