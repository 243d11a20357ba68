/* SPDX-License-Identifier: MIT */
#include "client/ctl-suites.h"

#include "client/ctl-service.h"
#include "client/ctl-view.h"

#include <string.h>

#define LIST_MAX 1024 /* bytes of a request's cipher names */
#define HANDSHAKES_MAX 256 /* more than there are suites */
#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct scan {
	struct ctl *ctl;
	struct json_object *offered, *taken, *refused; /* names; all that are offered at first */
	struct json_object *error; /* why not all of them could be tried; NULL: they were */
};

/* "": it is no text. */
static const char *name_at(struct json_object *names, size_t i)
{
	return view_text(json_object_array_get_idx(names, i), "");
}

static bool has(struct json_object *names, const char *name)
{
	for (size_t i = 0; i < view_count(names); i++)
		if (*name && strcmp(name_at(names, i), name) == 0)
			return true;
	return false;
}

/* What is no suite's name would never be refused as one. */
static bool is_unknown(const struct scan *scan, const char *name)
{
	return *name && !name[strspn(name, NAME)] && !has(scan->taken, name) &&
	       !has(scan->refused, name);
}

/* As many of the offered ones as fit into a request, of those of which nothing is known yet. Their
 * number. */
static size_t join_unknown(const struct scan *scan, char list[static LIST_MAX + 1])
{
	size_t length = 0, n = 0;

	list[0] = '\0';
	for (size_t i = 0; i < view_count(scan->offered); i++) {
		const char *name = name_at(scan->offered, i);

		if (!is_unknown(scan, name) || length + strlen(name) + 1 > LIST_MAX)
			continue;
		length += (size_t)sprintf(list + length, "%s%s", length ? ":" : "", name);
		n++;
	}
	return n;
}

static void add_refused(struct scan *scan, char *list)
{
	char *rest = NULL;

	for (char *name = strtok_r(list, ":", &rest); name; name = strtok_r(NULL, ":", &rest))
		json_object_array_add(scan->refused, json_object_new_string(name));
}

/* Offers the list. False: there is no point in going on. */
static bool scan_list(struct scan *scan, char *list)
{
	struct json_object *probed = NULL, *failure;
	bool goes_on = false;
	const char *cipher;

	ktls_reset(scan->ctl->k);
	if (ktls_set_ciphers(scan->ctl->k, list) == 0)
		probed = ctl_service_call(scan->ctl, CTL_PROBE);
	cipher = view_text(probed, "session.cipher");
	if (has(scan->offered, cipher) && !has(scan->taken, cipher)) {
		json_object_array_add(scan->taken, json_object_new_string(cipher));
		goes_on = true;
	} else if (!probed && ktls_get_status(scan->ctl->k) == KTLS_HANDSHAKE_FAILED) {
		add_refused(scan, list);
		goes_on = true;
	} else if (!probed) {
		failure = ctl_service_failure(scan->ctl->k);
		scan->error = json_object_get(view_get(failure, "error"));
		json_object_put(failure);
	}
	json_object_put(probed);
	return goes_on;
}

/* Whether the server takes it; NULL: nobody knows. */
static struct json_object *server_takes(const struct scan *scan, const char *name)
{
	if (has(scan->taken, name))
		return json_object_new_boolean(true);
	return has(scan->refused, name) ? json_object_new_boolean(false) : NULL;
}

/* scan NULL: the server was not asked for each. */
static struct json_object *rows_of(struct json_object *probed, const struct scan *scan)
{
	struct json_object *rows = json_object_new_array(), *offered = view_get(probed, "offered");

	for (size_t i = 0; i < view_count(offered); i++) {
		struct json_object *name = json_object_array_get_idx(offered, i);
		struct json_object *row = json_object_new_object();
		const char *text = name_at(offered, i);

		json_object_object_add(row, "cipher", json_object_get(name));
		json_object_object_add(row, "server", scan ? server_takes(scan, text) : NULL);
		json_object_object_add(row, "kernel",
				       json_object_new_boolean(
					       has(view_get(probed, "offloadable"), text)));
		json_object_array_add(rows, row);
	}
	return rows;
}

struct json_object *ctl_suites(struct json_object *probed)
{
	return rows_of(probed, NULL);
}

struct json_object *ctl_suites_scan(struct ctl *ctl, struct json_object *probed,
				    struct json_object **error)
{
	struct scan scan = {
		.ctl = ctl,
		.offered = view_get(probed, "offered"),
		.taken = json_object_new_array(),
		.refused = json_object_new_array(),
	};
	struct json_object *rows;
	char list[LIST_MAX + 1];

	json_object_array_add(scan.taken, json_object_get(view_get(probed, "session.cipher")));
	for (int n = 0; n < HANDSHAKES_MAX; n++)
		if (!join_unknown(&scan, list) || !scan_list(&scan, list))
			break;
	rows = rows_of(probed, &scan);
	json_object_put(scan.taken);
	json_object_put(scan.refused);
	*error = scan.error;
	return rows;
}
