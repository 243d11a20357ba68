/* SPDX-License-Identifier: MIT */
#include "daemon/survey.h"

#include <string.h>

/* Those of TLS 1.3 have the same ciphers, but another way of keying that the kernel was not asked for. */
static bool taken(const SSL_CIPHER *suite, const struct kernel *kernel)
{
	const struct cipher *cipher = suite ? cipher_of_suite(suite) : NULL;

	return cipher && kernel_takes(kernel, cipher) &&
	       strcmp(SSL_CIPHER_get_version(suite), "TLSv1.3") != 0;
}

/* There is room for it. */
static bool add(struct proto_strings *names, const SSL_CIPHER *suite)
{
	names->items[names->n] = strdup(SSL_CIPHER_get_name(suite));
	return names->items[names->n] && ++names->n;
}

static bool make_room(struct proto_strings *names)
{
	names->items = calloc(PROTO_SUITES_MAX, sizeof(*names->items));
	return names->items;
}

bool survey_list(struct proto_strings *names, const STACK_OF(SSL_CIPHER) *suites,
		 const struct kernel *kernel)
{
	if (!suites || !make_room(names))
		return false;
	for (int i = 0; i < sk_SSL_CIPHER_num(suites) && i < PROTO_SUITES_MAX; i++) {
		const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);

		if ((!kernel || taken(suite, kernel)) && !add(names, suite))
			return false;
	}
	return true;
}

/*
 * What goes into the ClientHello: less than what is set, where the signature algorithms or the
 * security level leave something out. They may leave nothing, of which OpenSSL makes NULL, as of a
 * want of memory; but that it hardly has twice, and an empty list then.
 */
static STACK_OF(SSL_CIPHER) *supported(SSL *ssl)
{
	STACK_OF(SSL_CIPHER) *suites = SSL_get1_supported_ciphers(ssl);

	if (!suites)
		suites = SSL_get1_supported_ciphers(ssl);
	return suites ? suites : sk_SSL_CIPHER_new_null();
}

bool survey_offer(struct proto_probe *probe, SSL *ssl, const struct kernel *kernel)
{
	STACK_OF(SSL_CIPHER) *suites = supported(ssl);
	bool listed = survey_list(&probe->offered, suites, NULL) &&
		      survey_list(&probe->offloadable, suites, kernel);

	sk_SSL_CIPHER_free(suites);
	return listed;
}

bool survey_session(const struct handshake *handshake, const struct kernel *kernel)
{
	return !handshake_obstacle(handshake) && SSL_version(handshake->ssl) == TLS1_2_VERSION &&
	       taken(SSL_get_current_cipher(handshake->ssl), kernel);
}
