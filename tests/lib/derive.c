/* SPDX-License-Identifier: MIT */
/*
 * Makes known what a peer of ours and ktlsd have agreed on, to be preloaded into the peer: each
 * secret that OpenSSL derives from keys, or decrypts, goes in hexadecimal to a line of its own in
 * the file that DERIVED names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SECRET_MAX 1024

static void tell(const unsigned char *secret, size_t size)
{
	const char *path = getenv("DERIVED");
	char text[2 * SECRET_MAX + 2];
	int fd, n = 0;

	if (!path || size > SECRET_MAX)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	for (size_t i = 0; i < size; i++)
		n += sprintf(text + n, "%02x", secret[i]);
	text[n++] = '\n';
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
}

int EVP_PKEY_derive(EVP_PKEY_CTX *ctx, unsigned char *secret, size_t *size)
{
	int (*real)(EVP_PKEY_CTX *, unsigned char *, size_t *) =
		dlsym(RTLD_NEXT, "EVP_PKEY_derive");
	int r = real(ctx, secret, size);

	if (r > 0 && secret)
		tell(secret, *size);
	return r;
}

/* A server with an RSA key is sent the secret, encrypted. */
int EVP_PKEY_decrypt(EVP_PKEY_CTX *ctx, unsigned char *secret, size_t *size,
		     const unsigned char *in, size_t in_size)
{
	int (*real)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t) =
		dlsym(RTLD_NEXT, "EVP_PKEY_decrypt");
	int r = real(ctx, secret, size, in, in_size);

	if (r > 0 && secret)
		tell(secret, *size);
	return r;
}
