/* SPDX-License-Identifier: MIT */
#include "daemon/pem.h"

#include "daemon/spki.h"
#include "proto/util.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define BEGIN "-----BEGIN "

struct block {
	char *name, *header;
	unsigned char *data;
	long size;
};

static void block_deinit(struct block *block)
{
	OPENSSL_free(block->name);
	OPENSSL_free(block->header);
	/* It may have been a key. */
	OPENSSL_clear_free(block->data, (size_t)block->size);
	*block = (struct block){ 0 };
}

/* TRUSTED CERTIFICATE is not among them: it says of itself what it is trusted for. */
static bool is_certificate(const struct block *block)
{
	return (strcmp(block->name, PEM_STRING_X509) == 0 ||
		strcmp(block->name, PEM_STRING_X509_OLD) == 0) && block->header[0] == '\0';
}

static X509 *to_certificate(const struct block *block)
{
	const unsigned char *at = block->data;
	X509 *cert = d2i_X509(NULL, &at, block->size);

	if (cert && at == block->data + block->size)
		return cert;
	X509_free(cert);
	return NULL;
}

static const char *add_block(X509_STORE *store, const struct block *block, bool any_key)
{
	X509 *cert;
	const char *fault = NULL;

	if (!is_certificate(block))
		return "something else than certificates in it";
	if (!any_key)
		fault = spki_fault(block->data, (size_t)block->size);
	if (fault)
		return fault;
	cert = to_certificate(block);
	if (!cert)
		return "a certificate that cannot be read";
	if (!X509_STORE_add_cert(store, cert))
		fault = "a certificate that cannot be added";
	X509_free(cert);
	return fault;
}

/* Lines that want to begin a block, whether OpenSSL takes them for that or not. */
static int count_begins(const char *text, size_t size)
{
	const char *end = text + size, *at = text;
	int n = 0;

	while ((at = memmem(at, (size_t)(end - at), BEGIN, strlen(BEGIN)))) {
		n += at == text || at[-1] == '\n' || at[-1] == '\r';
		at += strlen(BEGIN);
	}
	return n;
}

static const char *add_all(X509_STORE *store, BIO *bio, int n_begins, bool any_key)
{
	const char *fault = NULL;
	int n = 0;

	for (bool more = true; more && !fault; n += more) {
		_cleanup_(block_deinit) struct block block = { 0 };

		more = PEM_read_bio(bio, &block.name, &block.header, &block.data, &block.size);
		fault = more ? add_block(store, &block, any_key) : NULL;
	}
	/* OpenSSL stops at what it cannot read as it does at the end. */
	return fault || n == n_begins ? fault : "a block that cannot be read";
}

X509_STORE *pem_to_store(const char *text, size_t size, int certs_max, bool any_key,
			 const char **fault)
{
	int n_begins = count_begins(text, size);
	X509_STORE *store;
	BIO *bio;

	*fault = n_begins == 0 ? "no certificate in PEM form" :
		 n_begins > certs_max ? "too many certificates" : NULL;
	if (*fault)
		return NULL;
	store = X509_STORE_new();
	bio = BIO_new_mem_buf(text, (int)size);
	if (store && bio)
		*fault = add_all(store, bio, n_begins, any_key);
	if (!bio || *fault) {
		X509_STORE_free(store);
		store = NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return store;
}
