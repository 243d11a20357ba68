/* SPDX-License-Identifier: MIT */
#include "daemon/names.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

/* The longest that OpenSSL has is half of it. */
#define NAME_SIZE 80
/* Of a list that is at fault, so much is repeated: the rest of the sentence has to be seen, too. */
#define TOLD_MAX 100

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Names that ciphers(1) has, or had, and that need not match anything any more. */
static const char *const dead_ciphers[] = {
	"ADH", "AECDH", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "DES", "DH", "DSS", "ECDH",
	"EXP", "EXPORT", "EXPORT40", "EXPORT56", "FZA", "GOST89", "GOST89MAC", "GOST94", "IDEA",
	"KRB5", "LOW", "MD5", "MEDIUM", "RC2", "RC4", "SEED", "SSLv2", "3DES", "aDH", "aDSS",
	"aECDH", "aGOST", "aGOST01", "aGOST12", "aKRB5", "aNULL", "eFZA", "eNULL", "kDH", "kDHd",
	"kDHr", "kECDH", "kECDHe", "kECDHr", "kFZA", "kGOST", "kGOST18", "kKRB5",
	"DES-CBC3-SHA", "DHE-DSS-AES128-GCM-SHA256", "DHE-DSS-AES256-GCM-SHA384",
	"ECDHE-ECDSA-DES-CBC3-SHA", "ECDHE-ECDSA-RC4-SHA", "ECDHE-RSA-DES-CBC3-SHA",
	"ECDHE-RSA-RC4-SHA", "EDH-DSS-DES-CBC3-SHA", "EDH-RSA-DES-CBC3-SHA", "IDEA-CBC-SHA",
	"RC4-MD5", "RC4-SHA", "SEED-SHA",
};

/* The same thing under several names. */
static const struct {
	const char *other, *name;
} aliases[] = {
	{ "P-256", "secp256r1" },
	{ "prime256v1", "secp256r1" },
	{ "P-384", "secp384r1" },
	{ "P-521", "secp521r1" },
	{ "ECDSA+SHA256", "ecdsa_secp256r1_sha256" },
	{ "ECDSA+SHA384", "ecdsa_secp384r1_sha384" },
	{ "ECDSA+SHA512", "ecdsa_secp521r1_sha512" },
	{ "RSA+SHA256", "rsa_pkcs1_sha256" },
	{ "RSA+SHA384", "rsa_pkcs1_sha384" },
	{ "RSA+SHA512", "rsa_pkcs1_sha512" },
	{ "RSA-PSS+SHA256", "rsa_pss_rsae_sha256" },
	{ "RSA-PSS+SHA384", "rsa_pss_rsae_sha384" },
	{ "RSA-PSS+SHA512", "rsa_pss_rsae_sha512" },
	{ "PSS+SHA256", "rsa_pss_rsae_sha256" },
	{ "PSS+SHA384", "rsa_pss_rsae_sha384" },
	{ "PSS+SHA512", "rsa_pss_rsae_sha512" },
};

static bool known_cipher(SSL_CTX *scratch, const char *name)
{
	for (size_t i = 0; i < array_size(dead_ciphers); i++)
		if (strcmp(name, dead_ciphers[i]) == 0)
			return true;
	/* OpenSSL compares these only as far as they go, and they mean more than ciphers. */
	if (strncmp(name, "DEFAULT", strlen("DEFAULT")) == 0 ||
	    strncmp(name, "SUITEB", strlen("SUITEB")) == 0)
		return false;
	return SSL_CTX_set_cipher_list(scratch, name) == 1;
}

static bool known_ciphersuite(SSL_CTX *scratch, const char *name)
{
	return SSL_CTX_set_ciphersuites(scratch, name) == 1;
}

static bool known_group(SSL_CTX *scratch, const char *name)
{
	return SSL_CTX_set1_groups_list(scratch, name) == 1;
}

static bool known_sigalg(SSL_CTX *scratch, const char *name)
{
	return SSL_CTX_set1_sigalgs_list(scratch, name) == 1;
}

/* letters: of a name. All others may have a meaning for OpenSSL, in this version or a later one. */
static const struct {
	const char *separators, *prefixes, *joint, *letters, *first;
	bool (*known)(SSL_CTX *scratch, const char *name);
} kinds[] = {
	[NAMES_CIPHERS] = { ":, ", "!-+", "+", ALNUM "-_.", "DEFAULT", known_cipher },
	[NAMES_CIPHERSUITES] = { ":", "", "", ALNUM "_", "", known_ciphersuite },
	[NAMES_GROUPS] = { ":", "", "", ALNUM "-_", "", known_group },
	[NAMES_SIGALGS] = { ":", "", "", ALNUM "-_+", "", known_sigalg },
};

struct names {
	SSL_CTX *scratch;
};

struct names *names_new(void)
{
	_cleanup_(names_freep) struct names *names = calloc(1, sizeof(*names));

	if (names)
		names->scratch = SSL_CTX_new(TLS_client_method());
	return names && names->scratch ? steal_ptr(&names) : NULL;
}

struct names *names_free(struct names *names)
{
	if (names)
		SSL_CTX_free(names->scratch);
	free(names);
	return NULL;
}

static bool is_plain(const char *name, const char *letters)
{
	return strchr(ALNUM, name[0]) && name[0] && name[strspn(name, letters)] == '\0';
}

static bool known_part(SSL_CTX *scratch, enum names_kind kind, const char *part, size_t length)
{
	char name[NAME_SIZE];

	if (length >= sizeof(name))
		return false;
	memcpy(name, part, length);
	name[length] = '\0';
	return is_plain(name, kinds[kind].letters) && kinds[kind].known(scratch, name);
}

/* One item of a list: parts joined by +, behind a prefix. */
static bool known_item(SSL_CTX *scratch, enum names_kind kind, const char *item, size_t length)
{
	const char *end = item + length;
	size_t n;

	if (length && strchr(kinds[kind].prefixes, *item))
		item++;
	for (;; item += n + 1) {
		n = strcspn(item, kinds[kind].joint);
		if (n > (size_t)(end - item))
			n = (size_t)(end - item);
		if (!known_part(scratch, kind, item, n))
			return false;
		if (item + n == end)
			return true;
	}
}

/* Of the items counts those that say something; NULL: all are known, else the one that is not. */
static const char *unknown_item(SSL_CTX *scratch, enum names_kind kind, const char *list,
				size_t *count, size_t *length)
{
	const char *first = kinds[kind].first;

	for (const char *item = list;; item += *length + 1) {
		*length = strcspn(item, kinds[kind].separators);
		/* OpenSSL takes empty items in a cipher list only. */
		if (*length || kind != NAMES_CIPHERS) {
			bool is_first = ++*count == 1 && *length && *length == strlen(first) &&
					!strncmp(item, first, *length);

			if (!is_first && !known_item(scratch, kind, item, *length))
				return item;
		}
		if (!item[*length])
			return NULL;
	}
}

bool names_known(const struct names *names, enum names_kind kind, const char *list, char *fault,
		 size_t size)
{
	size_t count = 0, length;
	const char *unknown = unknown_item(names->scratch, kind, list, &count, &length);
	bool good = false;

	if (unknown)
		snprintf(fault, size, "\"%.*s\" is not a name that is known here",
			 (int)(length < TOLD_MAX ? length : TOLD_MAX), unknown);
	else if (!count)
		snprintf(fault, size, "it names nothing");
	/* Ciphers that take each other away are no slip of the pen. */
	else if (kind != NAMES_CIPHERS && !kinds[kind].known(names->scratch, list))
		snprintf(fault, size, "\"%.*s\" names one of them twice, or too many", TOLD_MAX,
			 list);
	else
		good = true;
	ERR_clear_error();
	return good;
}

static const char *canonical(const char *name)
{
	for (size_t i = 0; i < array_size(aliases); i++)
		if (strcasecmp(name, aliases[i].other) == 0)
			return aliases[i].name;
	return name;
}

static bool contains(const char *list, const char *name)
{
	_cleanup_free_ char *copy = strdup(list);
	char *rest = copy, *item;

	while ((item = strsep(&rest, ":")))
		if (strcasecmp(canonical(item), canonical(name)) == 0)
			return true;
	return false;
}

char *names_narrow(const char *wanted, const char *allowed)
{
	_cleanup_free_ char *copy = strdup(wanted), *left = calloc(1, strlen(wanted) + 1);
	char *rest = copy, *item, *end = left;

	if (!copy || !left)
		return NULL;
	while ((item = strsep(&rest, ":"))) {
		if (!contains(allowed, item))
			continue;
		end = stpcpy(end, end == left ? "" : ":");
		end = stpcpy(end, item);
	}
	return steal_ptr(&left);
}

bool names_suites(const char **suites, size_t room, size_t *n)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	const STACK_OF(SSL_CIPHER) *all;

	*n = 0;
	if (!ctx || SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL:@SECLEVEL=0") != 1) {
		SSL_CTX_free(ctx);
		return false;
	}
	all = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(all) && *n < room; i++)
		suites[(*n)++] = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i));
	SSL_CTX_free(ctx);
	return true;
}
