/* SPDX-License-Identifier: MIT */
#include "client/ctl-crypto.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The slowest part of a driver counts, or the one of which the least is known. */
enum speed { INSTRUCTIONS, ENGINE, LIBRARY, UNKNOWN, GENERIC };

static const char *const speed_names[] = {
	[INSTRUCTIONS] = "instructions", [ENGINE] = "engine",	[LIBRARY] = "library",
	[UNKNOWN] = "unknown",		 [GENERIC] = "generic",
};

static const struct {
	const char *cipher, *algorithm;
} ciphers[] = {
	{ "aes-gcm-128", "gcm(aes)" },
	{ "aes-gcm-256", "gcm(aes)" },
	{ "aes-ccm-128", "ccm(aes)" },
	{ "chacha20-poly1305", "rfc7539(chacha20,poly1305)" },
	{ "sm4-gcm", "gcm(sm4)" },
	{ "sm4-ccm", "ccm(sm4)" },
	{ "aria-gcm-128", "gcm(aria)" },
	{ "aria-gcm-256", "gcm(aria)" },
};

/*
 * Of a whole driver, or of each of its parts; the longest that fits counts. "chacha20-x86" and so on
 * came with kernels whose rfc7539 says "poly1305-generic" whatever it uses.
 */
static const struct rule {
	const char *glob;
	enum speed speed;
} rules[] = {
	{ "rfc7539(chacha20-powerpc,poly1305-generic)", INSTRUCTIONS },
	{ "rfc7539(chacha20-arm64,poly1305-generic)", INSTRUCTIONS },
	{ "rfc7539(chacha20-riscv,poly1305-generic)", INSTRUCTIONS },
	{ "rfc7539(chacha20-lib,poly1305-generic)", LIBRARY },
	{ "rfc7539(chacha20-x86,poly1305-generic)", INSTRUCTIONS },
	{ "rfc7539-chacha20-poly1305-*", ENGINE },
	{ "aes-fixed-time", GENERIC },
	{ "chacha20-mips", GENERIC },
	{ "hisi_sec_*(*)", ENGINE },
	{ "*-keembay-ocs", ENGINE },
	{ "*-neonbs-sync", INSTRUCTIONS },
	{ "*-pclmulqdqni", INSTRUCTIONS },
	{ "poly1305-mips", GENERIC },
	{ "*-riscv64-zv*", INSTRUCTIONS },
	{ "*-vaes-avx10*", INSTRUCTIONS },
	{ "*-aesni-avx*", INSTRUCTIONS },
	{ "chacha20-arm", GENERIC },
	{ "poly1305-arm", GENERIC },
	{ "*-vaes-avx*", INSTRUCTIONS },
	{ "*-caam-qi*", ENGINE },
	{ "safexcel-*", ENGINE },
	{ "starfive-*", ENGINE },
	{ "aes-arm64", GENERIC },
	{ "*-ce-sync", INSTRUCTIONS },
	{ "*-clmulni", INSTRUCTIONS },
	{ "*-generic", GENERIC },
	{ "*-padlock", INSTRUCTIONS },
	{ "*-ppc-spe", INSTRUCTIONS },
	{ "*-sparc64", INSTRUCTIONS },
	{ "artpec-*", ENGINE },
	{ "*-avx512", INSTRUCTIONS },
	{ "*-dthev2", ENGINE },
	{ "*-neonbs", INSTRUCTIONS },
	{ "*-ppc4xx", ENGINE },
	{ "versal-*", ENGINE },
	{ "xilinx-*", ENGINE },
	{ "aes-arm", GENERIC },
	{ "*-aesni", INSTRUCTIONS },
	{ "atmel-*", ENGINE },
	{ "*-ccree", ENGINE },
	{ "*-geode", ENGINE },
	{ "*-iproc", ENGINE },
	{ "stm32-*", ENGINE },
	{ "*-tegra", ENGINE },
	{ "*-avx2", INSTRUCTIONS },
	{ "*-caam", ENGINE },
	{ "*-chcr", ENGINE },
	{ "*-neon", INSTRUCTIONS },
	{ "*-omap", ENGINE },
	{ "*-s390", INSTRUCTIONS },
	{ "*-simd", INSTRUCTIONS },
	{ "*_p10", INSTRUCTIONS },
	{ "*-avx", INSTRUCTIONS },
	{ "*-ccp", ENGINE },
	{ "cpt_*", ENGINE },
	{ "*-lib", LIBRARY },
	{ "*-p10", INSTRUCTIONS },
	{ "qat_*", ENGINE },
	{ "*-qce", ENGINE },
	{ "*-ce", INSTRUCTIONS },
	{ "n5_*", ENGINE },
	{ "*-nx", ENGINE },
	{ "p8_*", INSTRUCTIONS },
};

enum { N_CIPHERS = sizeof(ciphers) / sizeof(*ciphers), N_RULES = sizeof(rules) / sizeof(*rules) };
enum { NAME_SIZE = 128 }; /* the kernel's CRYPTO_MAX_ALG_NAME, the final NUL included */

/* One paragraph of the file. */
struct entry {
	char name[NAME_SIZE], driver[NAME_SIZE], module[NAME_SIZE];
	int priority;
	bool async, internal, tested, aead;
};

/* --- how fast */

static bool has_parts(const char *text)
{
	return strchr(text, '(') != NULL;
}

/* A rule of one part says nothing of a driver that is made of several. */
static const struct rule *find_rule(const char *text)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (has_parts(rules[i].glob) == has_parts(text) &&
		    fnmatch(rules[i].glob, text, 0) == 0)
			return &rules[i];
	return NULL;
}

/* What stands before a bracket puts parts together, and does nothing itself that takes long. */
static enum speed driver_speed(const char *driver)
{
	const struct rule *rule = find_rule(driver);
	enum speed slowest = INSTRUCTIONS;
	char part[NAME_SIZE];
	size_t n;

	if (rule)
		return rule->speed;
	for (; *driver; driver += n + (driver[n] != '\0')) {
		n = strcspn(driver, "(),");
		if (n == 0 || driver[n] == '(')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)n, driver);
		rule = find_rule(part);
		if ((rule ? rule->speed : UNKNOWN) > slowest)
			slowest = rule ? rule->speed : UNKNOWN;
	}
	return slowest;
}

/* --- the file */

static void set_name(char field[NAME_SIZE], const char *value)
{
	snprintf(field, NAME_SIZE, "%s", value);
}

static void set_field(struct entry *entry, const char *key, const char *value)
{
	if (strcmp(key, "name") == 0)
		set_name(entry->name, value);
	else if (strcmp(key, "driver") == 0)
		set_name(entry->driver, value);
	else if (strcmp(key, "module") == 0)
		set_name(entry->module, value);
	else if (strcmp(key, "priority") == 0)
		entry->priority = atoi(value);
	else if (strcmp(key, "async") == 0)
		entry->async = strcmp(value, "yes") == 0;
	else if (strcmp(key, "internal") == 0)
		entry->internal = strcmp(value, "yes") == 0;
	else if (strcmp(key, "selftest") == 0)
		entry->tested = strcmp(value, "passed") == 0;
	else if (strcmp(key, "type") == 0)
		entry->aead = strcmp(value, "aead") == 0;
}

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

/* Of two with the same priority the kernel takes the first in its list, as the file shows it. */
static void consider(struct entry best[N_CIPHERS], const struct entry *entry)
{
	if (!entry->aead || !entry->tested || entry->internal)
		return;
	for (size_t i = 0; i < N_CIPHERS; i++)
		if (strcmp(ciphers[i].algorithm, entry->name) == 0 &&
		    (!best[i].aead || entry->priority > best[i].priority))
			best[i] = *entry;
}

static void read_entries(struct entry best[N_CIPHERS], FILE *file)
{
	struct entry entry = { 0 };
	char line[256], *colon;

	while (fgets(line, sizeof(line), file)) {
		colon = strchr(line, ':');
		if (colon) {
			*colon = '\0';
			set_field(&entry, trim(line), trim(colon + 1));
		} else if (!*trim(line)) {
			consider(best, &entry);
			entry = (struct entry){ 0 };
		}
	}
	consider(best, &entry);
}

/* --- what is told of it */

static void add(struct json_object *object, const char *member, struct json_object *value)
{
	json_object_object_add(object, member, value);
}

static struct json_object *string_of(bool known, const char *text)
{
	return known ? json_object_new_string(text) : NULL;
}

static struct json_object *cipher_object(size_t i, const struct entry *entry)
{
	bool known = entry->aead;
	struct json_object *object = json_object_new_object();

	add(object, "cipher", json_object_new_string(ciphers[i].cipher));
	add(object, "algorithm", json_object_new_string(ciphers[i].algorithm));
	add(object, "driver", string_of(known, entry->driver));
	add(object, "module", string_of(known, entry->module));
	add(object, "priority", known ? json_object_new_int(entry->priority) : NULL);
	add(object, "async", known ? json_object_new_boolean(entry->async) : NULL);
	add(object, "speed", string_of(known, speed_names[driver_speed(entry->driver)]));
	return object;
}

struct json_object *ctl_crypto(const char *path)
{
	struct entry best[N_CIPHERS] = { 0 };
	struct json_object *array = json_object_new_array();
	FILE *file = fopen(path, "re");

	if (file) {
		read_entries(best, file);
		fclose(file);
	}
	for (size_t i = 0; i < N_CIPHERS; i++)
		json_object_array_add(array, cipher_object(i, &best[i]));
	return array;
}
