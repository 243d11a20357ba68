/* SPDX-License-Identifier: MIT */
#include "daemon/names.h"

#include "proto/util.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

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

SSL_CTX *names_scratch(void)
{
	return SSL_CTX_new(TLS_client_method());
}

static bool is_plain(const char *name, const char *letters)
{
	return strchr(ALNUM, name[0]) && name[0] && name[strspn(name, letters)] == '\0';
}

/* One item of a list, which is cut up in doing so: parts joined by +, behind a prefix. */
static bool known(SSL_CTX *scratch, enum names_kind kind, char *item)
{
	char *part;

	if (item[0] && strchr(kinds[kind].prefixes, item[0]))
		item++;
	while ((part = strsep(&item, kinds[kind].joint)))
		if (!is_plain(part, kinds[kind].letters) || !kinds[kind].known(scratch, part))
			return false;
	return true;
}

static char *format_fault(const char *item)
{
	char *fault;

	return asprintf(&fault, "\"%s\" is not a name that is known here", item) < 0 ? NULL : fault;
}

char *names_fault(SSL_CTX *scratch, enum names_kind kind, const char *list)
{
	_cleanup_free_ char *copy = strdup(list), *item_copy = NULL;
	char *rest = copy, *item;
	size_t n = 0;

	while ((item = strsep(&rest, kinds[kind].separators))) {
		/* OpenSSL takes empty items in a cipher list only. */
		if (!*item && kind == NAMES_CIPHERS)
			continue;
		if (n++ == 0 && *item && strcmp(item, kinds[kind].first) == 0)
			continue;
		free_pointer(&item_copy);
		item_copy = strdup(item);
		if (!item_copy || !known(scratch, kind, item_copy))
			break;
	}
	ERR_clear_error();
	if (item || !copy)
		return format_fault(item ? item : "");
	return n ? NULL : strdup("it names nothing");
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
