/* SPDX-License-Identifier: MIT */
#include "daemon/keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

/* What key_block is made from, and what it is cut into. */
struct schedule {
	uint8_t master[SSL_MAX_MASTER_KEY_LENGTH];
	size_t master_size;
	uint8_t client_random[SSL3_RANDOM_SIZE], server_random[SSL3_RANDOM_SIZE];
	uint8_t block[2 * (CIPHER_KEY_MAX + CIPHER_IV_MAX)];
};

static void schedule_wipe(struct schedule *schedule)
{
	OPENSSL_cleanse(schedule, sizeof(*schedule));
}

void session_keys_wipe(struct session_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

static bool read_session(struct schedule *schedule, SSL *ssl)
{
	const SSL_SESSION *session = SSL_get0_session(ssl);
	size_t n_client, n_server;

	if (!session)
		return false;
	schedule->master_size = SSL_SESSION_get_master_key(session, schedule->master,
							   sizeof(schedule->master));
	n_client = SSL_get_client_random(ssl, schedule->client_random, SSL3_RANDOM_SIZE);
	n_server = SSL_get_server_random(ssl, schedule->server_random, SSL3_RANDOM_SIZE);
	return schedule->master_size == sizeof(schedule->master) && n_client == SSL3_RANDOM_SIZE &&
	       n_server == SSL3_RANDOM_SIZE;
}

/* RFC 5246, 6.3: key_block = PRF(master_secret, "key expansion", server_random + client_random) */
static bool expand(struct schedule *schedule, const char *digest, size_t size)
{
	char label[] = "key expansion";
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, strlen(digest)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SECRET, schedule->master,
					schedule->master_size),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SEED, label, strlen(label)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SEED, schedule->server_random,
					sizeof(schedule->server_random)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SEED, schedule->client_random,
					sizeof(schedule->client_random)),
		OSSL_PARAM_END,
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	bool ok = ctx && EVP_KDF_derive(ctx, schedule->block, size, params) > 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

static void increment(uint8_t *number, size_t size)
{
	while (size-- > 0 && ++number[size] == 0)
		;
}

/* The kernel's split of the nonce: salt, then iv. */
static void cut(struct direction_keys *keys, const struct cipher *cipher, const uint8_t *key,
		const uint8_t *fixed_iv)
{
	memcpy(keys->key, key, cipher->key_size);
	memcpy(keys->salt, fixed_iv, cipher->salt_size);
	memcpy(keys->iv, fixed_iv + cipher->salt_size, cipher->fixed_iv_size - cipher->salt_size);
	/* Number 0 of either direction was its Finished. */
	keys->seq[CIPHER_SEQ_SIZE - 1] = 1;
}

int session_keys_derive(struct session_keys *keys, SSL *ssl, const uint8_t last_nonce[static 8])
{
	_cleanup_(schedule_wipe) struct schedule schedule = { 0 };
	const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);
	const struct cipher *cipher = suite ? cipher_of_suite(suite) : NULL;
	const EVP_MD *digest = suite ? SSL_CIPHER_get_handshake_digest(suite) : NULL;
	const uint8_t *keys_at = schedule.block, *ivs_at;

	session_keys_wipe(keys);
	if (SSL_version(ssl) != TLS1_2_VERSION || !cipher || !digest)
		return -ENOTSUP;
	ivs_at = keys_at + 2 * cipher->key_size;
	if (!read_session(&schedule, ssl) ||
	    !expand(&schedule, EVP_MD_get0_name(digest),
		    2 * (cipher->key_size + cipher->fixed_iv_size)))
		return -ENOMEM;
	keys->cipher = cipher;
	keys->version = TLS1_2_VERSION;
	cut(&keys->tx, cipher, keys_at, ivs_at);
	cut(&keys->rx, cipher, keys_at + cipher->key_size, ivs_at + cipher->fixed_iv_size);
	if (cipher->explicit_nonce) {
		memcpy(keys->tx.iv, last_nonce, cipher->iv_size);
		increment(keys->tx.iv, cipher->iv_size);
	}
	return 0;
}
