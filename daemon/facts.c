/* SPDX-License-Identifier: MIT */
#include "daemon/facts.h"

#include "daemon/cert.h"
#include "daemon/cipher.h"

#include <stdio.h>

static void group_name(struct proto_session *session, SSL *ssl)
{
	EVP_PKEY *key = NULL;
	char name[sizeof(((struct proto_session *)0)->group)] = "";
	const char *tls_name;

	if (SSL_get_peer_tmp_key(ssl, &key) == 1 &&
	    EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
		snprintf(name, sizeof(name), "%s", EVP_PKEY_get0_type_name(key));
	EVP_PKEY_free(key);
	tls_name = SSL_group_to_name(ssl, OBJ_sn2nid(name));
	snprintf(session->group, sizeof(session->group), "%s", tls_name ? tls_name : name);
}

static void peer_facts(struct proto_session *session, const X509 *cert)
{
	cert_subject(session->peer_subject, sizeof(session->peer_subject), cert);
	cert_hash(session->peer_cert_sha256, cert, PROTO_PIN_CERT);
	cert_hash(session->peer_spki_sha256, cert, PROTO_PIN_SPKI);
	cert_time(session->peer_not_after, X509_get0_notAfter(cert));
}

void facts_fill(struct proto_session *session, SSL *ssl)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);
	const struct cipher *cipher = cipher_of_suite(suite);
	const X509 *cert = SSL_get0_peer_certificate(ssl);
	const unsigned char *alpn;
	unsigned int n_alpn;

	SSL_get0_alpn_selected(ssl, &alpn, &n_alpn);
	snprintf(session->version, sizeof(session->version), "%s", SSL_get_version(ssl));
	snprintf(session->cipher, sizeof(session->cipher), "%s", SSL_CIPHER_get_name(suite));
	snprintf(session->kernel_cipher, sizeof(session->kernel_cipher), "%s",
		 cipher ? cipher->name : "");
	group_name(session, ssl);
	snprintf(session->alpn, sizeof(session->alpn), "%.*s", (int)n_alpn, (const char *)alpn);
	session->resumed = SSL_session_reused(ssl);
	if (cert)
		peer_facts(session, cert);
}
