/* SPDX-License-Identifier: MIT */
#include "daemon/access.h"

#include "daemon/verify.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* What is asked of every rule. */
struct question {
	const struct credentials *caller;
	const struct proto_connect *wanted;
	const struct sockaddr_storage *address; /* NULL: not yet known */
	struct network_views views;		/* of address */
};

enum answer { NO, MAYBE, YES };

/* --- the conditions of a rule; each holds if it is not given */

static bool has_id(const struct config_ids *ids, unsigned int id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->items[i] == id)
			return true;
	return false;
}

static enum answer caller_fits(const struct question *q, const struct config_access *rule)
{
	const struct credentials *caller = q->caller;

	if (!rule->users.n && !rule->groups.n)
		return YES;
	if (has_id(&rule->users, caller->uid) || has_id(&rule->groups, caller->gid))
		return YES;
	for (size_t i = 0; i < caller->n_groups; i++)
		if (has_id(&rule->groups, caller->groups[i]))
			return YES;
	return NO;
}

/* A rule that denies is for everybody: who it is for must not get around it by a namespace. */
static enum answer namespace_fits(const struct question *q, const struct config_access *rule)
{
	return rule->deny || rule->any_namespace || q->caller->namespace == NAMESPACE_OURS ? YES :
											       NO;
}

static enum answer host_fits(const struct question *q, const struct config_access *rule)
{
	for (size_t i = 0; i < rule->hosts.n; i++)
		if (config_host_matches(rule->hosts.items[i], q->wanted->host))
			return YES;
	return rule->hosts.n ? NO : YES;
}

static enum answer port_fits(const struct question *q, const struct config_access *rule)
{
	for (size_t i = 0; i < rule->ports.n; i++)
		if (q->wanted->port >= rule->ports.items[i].first &&
		    q->wanted->port <= rule->ports.items[i].last)
			return YES;
	return rule->ports.n ? NO : YES;
}

static bool has_word(const struct config_words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcmp(words->items[i], word) == 0)
			return true;
	return false;
}

static enum answer policy_fits(const struct question *q, const struct config_access *rule)
{
	const char *name = q->wanted->policy.name;

	return !rule->policies.n || has_word(&rule->policies, name ? name : "default") ? YES : NO;
}

/* What comes with the request needs no store. */
static enum answer store_fits(const struct question *q, const struct config_access *rule)
{
	const struct proto_trust *trust = &q->wanted->trust;
	const char *name = trust->store;

	if (!name && !trust->ca && verify_wants_chain(trust))
		name = "system";
	return !rule->stores.n || !name || has_word(&rule->stores, name) ? YES : NO;
}

/*
 * By the address itself or by anything that it carries: what allows has to mean the address itself,
 * what forbids need only mean something that it carries.
 */
static bool address_in(const struct question *q, const struct config_networks *networks,
		       bool forbids)
{
	return network_among(networks->items, networks->n, &q->views,
			     forbids ? q->views.n : 1);
}

static enum answer address_fits(const struct question *q, const struct config_access *rule)
{
	if (!rule->addresses.n && !rule->not_addresses.n)
		return YES;
	if (!q->address)
		return MAYBE;
	if (rule->addresses.n && !address_in(q, &rule->addresses, rule->deny))
		return NO;
	return address_in(q, &rule->not_addresses, !rule->deny) ? NO : YES;
}

/* The caller first: of a rule that is for others nothing is told. */
static const struct condition {
	enum answer (*fits)(const struct question *q, const struct config_access *rule);
	const char *what;
} conditions[] = {
	{ caller_fits, NULL },
	{ namespace_fits, NULL },
	{ host_fits, "this host (Hosts=)" },
	{ port_fits, "this port (Ports=)" },
	{ policy_fits, "this policy (Policies=)" },
	{ store_fits, "this trust store (Stores=)" },
	{ address_fits, "this address (Addresses=, NotAddresses=)" },
};

/* --- the rules, one after the other */

/* *failed: the first condition that does not hold; all of them: none. */
static enum answer rule_fits(const struct question *q, const struct config_access *rule,
			     size_t *failed)
{
	enum answer answer = YES, one;

	for (*failed = 0; *failed < array_size(conditions); ++*failed) {
		one = conditions[*failed].fits(q, rule);
		if (one == NO)
			return NO;
		if (one == MAYBE)
			answer = MAYBE;
	}
	return answer;
}

#define NO_VERIFY_NONE "does not allow verify: none (AllowVerifyNone=)"
/* Of a long host only the beginning is told: who can mend it has to be seen, too. */
#define HOST_TOLD_MAX 120
#define MEND "; an administrator can change that in ktlsd.conf(5), and reload ktlsd"

static enum proto_error refuse(const struct question *q, struct proto_status *status,
			       const char *rule, const char *what)
{
	char host[HOST_TOLD_MAX + ADDRESS_TEXT_MAX + 8];
	char address[INET6_ADDRSTRLEN] = "";

	snprintf(host, sizeof(host), "%.*s", HOST_TOLD_MAX, q->wanted->host);
	if (q->address) {
		const void *in = q->address->ss_family == AF_INET6 ?
			(const void *)&((const struct sockaddr_in6 *)q->address)->sin6_addr :
			(const void *)&((const struct sockaddr_in *)q->address)->sin_addr;

		inet_ntop(q->address->ss_family, in, address, sizeof(address));
	}
	if (*address && strcmp(address, q->wanted->host) != 0)
		snprintf(host + strlen(host), sizeof(host) - strlen(host), ", at %s,", address);
	return proto_status_set(status, PROTO_NOT_AUTHORIZED, PROTO_STAGE_POLICY, 0,
				"%s port %u: %s%s%s%s" MEND, host, q->wanted->port,
				rule ? "access rule \"" : "", rule ? rule : "", rule ? "\" " : "",
				what);
}

static const char *namespace_text(const struct credentials *caller)
{
	return caller->namespace == NAMESPACE_UNKNOWN ?
		"does not allow callers of another network namespace (AnyNamespace=), and this "
		"kernel does not tell which is the caller's (it takes Linux 5.14)" :
		"does not allow callers of another network namespace (AnyNamespace=)";
}

/* No rule fits: nearest is the one of the caller's that came closest to it. */
static enum proto_error nothing_fits(const struct question *q, struct proto_status *status,
				     const struct config_access *nearest, size_t failed)
{
	char what[PROTO_TEXT_MAX];

	if (!nearest)
		return refuse(q, status, NULL, "no access rule allows this caller anything (Users=, Groups=)");
	if (failed == array_size(conditions))
		return refuse(q, status, nearest->name, NO_VERIFY_NONE);
	if (conditions[failed].fits == namespace_fits)
		return refuse(q, status, nearest->name, namespace_text(q->caller));
	snprintf(what, sizeof(what), "does not allow %s", conditions[failed].what);
	return refuse(q, status, nearest->name, what);
}

static enum proto_error no_rules(const struct question *q, struct access_grant *grant,
				 struct proto_status *status)
{
	*grant = (struct access_grant){ 0 };
	if (verify_is_none(&q->wanted->trust))
		return refuse(q, status, NULL,
			      "verify: none takes an access rule with AllowVerifyNone=yes, and "
			      "there is no access rule");
	if (q->caller->namespace == NAMESPACE_OTHER)
		return refuse(q, status, NULL,
			      "callers of another network namespace take an access rule with "
			      "AnyNamespace=yes, and there is no access rule");
	if (q->caller->namespace == NAMESPACE_UNKNOWN)
		return refuse(q, status, NULL,
			      "this kernel does not tell the caller's network namespace (it takes "
			      "Linux 5.14); without an access rule with AnyNamespace=yes it "
			      "counts as another one");
	return PROTO_OK;
}

static bool allows(const struct question *q, const struct config_access *rule)
{
	return !rule->deny && (rule->allow_verify_none || !verify_is_none(&q->wanted->trust));
}

/* A rule that may fit, and does not allow it then, may as well not fit, and another allow it. */
static enum proto_error ask_rules(const struct config *config, const struct question *q,
				  struct access_grant *grant, struct proto_status *status)
{
	const struct config_access *nearest = NULL;
	size_t failed, furthest = 0;

	for (size_t i = 0; i < config->n_access; i++) {
		const struct config_access *rule = &config->access[i];
		enum answer fits = rule_fits(q, rule, &failed);

		if (fits != NO && allows(q, rule)) {
			*grant = (struct access_grant){ rule->name, rule->requests };
			return PROTO_OK;
		}
		if (fits == YES)
			return refuse(q, status, rule->name,
				      rule->deny ? "denies this (Action=deny)" : NO_VERIFY_NONE);
		if (!rule->deny && failed > furthest) {
			nearest = rule;
			furthest = failed;
		}
	}
	return nothing_fits(q, status, nearest, furthest);
}

enum proto_error access_check(const struct config *config, const struct credentials *caller,
			      const struct proto_connect *wanted,
			      const struct sockaddr_storage *address, struct access_grant *grant,
			      struct proto_status *status)
{
	struct question q = { .caller = caller, .wanted = wanted, .address = address };
	struct addresses literal;

	if (!address && addresses_from_literal(&literal, wanted->host))
		q.address = &literal.items[0];
	if (q.address)
		network_views(&q.views, q.address);
	return config->n_access ? ask_rules(config, &q, grant, status) :
				  no_rules(&q, grant, status);
}

enum proto_error access_filter(const struct config *config, const struct credentials *caller,
			       const struct proto_connect *wanted, struct addresses *addresses,
			       struct access_grant *grant, struct proto_status *status)
{
	enum proto_error first = PROTO_OK, error;
	struct proto_status refusal;
	struct access_grant given;
	uint32_t left = 0;

	for (uint32_t i = 0; i < addresses->n; i++) {
		error = access_check(config, caller, wanted, &addresses->items[i], &given,
				     first == PROTO_OK ? status : &refusal);
		if (error != PROTO_OK) {
			first = error;
			continue;
		}
		if (left == 0)
			*grant = given;
		addresses->items[left++] = addresses->items[i];
	}
	addresses->n = left;
	if (left || first == PROTO_OK)
		*status = (struct proto_status){ 0 };
	return left ? PROTO_OK : first;
}

/* --- what is told of them */

/* Whether it fits whatever this caller may ask for. */
static bool is_for_everything(const struct config_access *rule)
{
	return !rule->hosts.n && !rule->ports.n && !rule->policies.n && !rule->stores.n &&
	       !rule->addresses.n && !rule->not_addresses.n;
}

static bool tell_rule(const struct config_access *rule, struct proto_caller *told)
{
	char *name = strdup(rule->name);

	if (!name)
		return false;
	told->rules.items[told->rules.n++] = name;
	told->allowed = true;
	told->verify_none |= rule->allow_verify_none;
	return true;
}

bool access_survey(const struct config *config, const struct credentials *caller,
		   struct proto_caller *told)
{
	struct question q = { .caller = caller };

	if (!config->n_access) {
		told->allowed = caller->namespace == NAMESPACE_OURS;
		return true;
	}
	told->rules.items = calloc(config->n_access, sizeof(*told->rules.items));
	if (!told->rules.items)
		return false;
	for (size_t i = 0; i < config->n_access; i++) {
		const struct config_access *rule = &config->access[i];

		if (caller_fits(&q, rule) == NO || namespace_fits(&q, rule) == NO)
			continue;
		if (!rule->deny && !tell_rule(rule, told))
			return false;
		if (is_for_everything(rule))
			break;
	}
	return true;
}
