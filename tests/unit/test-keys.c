/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=OPENSSL_cleanse */
#include "tests/unit/pipe.h"

#include "daemon/keys.h"
#include "daemon/records.h"

#include <openssl/hmac.h>
#include <valgrind/memcheck.h>

void __real_OPENSSL_cleanse(void *buffer, size_t n);
void __wrap_OPENSSL_cleanse(void *buffer, size_t n);

/* A secret, and how many buffers that had it were wiped. */
static struct {
	uint8_t bytes[SSL_MAX_MASTER_KEY_LENGTH];
	unsigned int wiped;
} looked_for;

void __wrap_OPENSSL_cleanse(void *buffer, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(buffer, n); /* it is looked at, written to or not */
	looked_for.wiped += !!memmem(buffer, n, looked_for.bytes, sizeof(looked_for.bytes));
	__real_OPENSSL_cleanse(buffer, n);
}

/* --- RFC 5246, 5, a second time: from HMAC alone */

static void p_hash(const EVP_MD *md, const uint8_t *secret, size_t n_secret, const uint8_t *seed,
		   size_t n_seed, uint8_t *out, size_t n)
{
	unsigned int size = (unsigned int)EVP_MD_get_size(md), part;
	uint8_t a[EVP_MAX_MD_SIZE + 256], block[EVP_MAX_MD_SIZE];

	HMAC(md, secret, (int)n_secret, seed, n_seed, a, NULL);
	memcpy(a + size, seed, n_seed);
	for (size_t at = 0; at < n; at += part) {
		HMAC(md, secret, (int)n_secret, a, size + n_seed, block, NULL);
		part = n - at < size ? (unsigned int)(n - at) : size;
		memcpy(out + at, block, part);
		HMAC(md, secret, (int)n_secret, a, size, block, NULL);
		memcpy(a, block, size);
	}
}

/* The vectors of the TLS working group's list for the TLS 1.2 PRF: first and last bytes. */
static const struct {
	const char *digest;
	uint8_t secret[16], seed[16];
	size_t size;
	uint8_t first[16], last[16];
} vectors[] = {
	{
		"SHA256",
		{ 0x9b, 0xbe, 0x43, 0x6b, 0xa9, 0x40, 0xf0, 0x17,
		  0xb1, 0x76, 0x52, 0x84, 0x9a, 0x71, 0xdb, 0x35 },
		{ 0xa0, 0xba, 0x9f, 0x93, 0x6c, 0xda, 0x31, 0x18,
		  0x27, 0xa6, 0xf7, 0x96, 0xff, 0xd5, 0x19, 0x8c },
		100,
		{ 0xe3, 0xf2, 0x29, 0xba, 0x72, 0x7b, 0xe1, 0x7b,
		  0x8d, 0x12, 0x26, 0x20, 0x55, 0x7c, 0xd4, 0x53 },
		{ 0x22, 0xee, 0x42, 0xc5, 0xa7, 0x2e, 0x5a, 0x51,
		  0x10, 0xff, 0xf7, 0x01, 0x87, 0x34, 0x7b, 0x66 },
	},
	{
		"SHA384",
		{ 0xb8, 0x0b, 0x73, 0x3d, 0x6c, 0xee, 0xfc, 0xdc,
		  0x71, 0x56, 0x6e, 0xa4, 0x8e, 0x55, 0x67, 0xdf },
		{ 0xcd, 0x66, 0x5c, 0xf6, 0xa8, 0x44, 0x7d, 0xd6,
		  0xff, 0x8b, 0x27, 0x55, 0x5e, 0xdb, 0x74, 0x65 },
		148,
		{ 0x7b, 0x0c, 0x18, 0xe9, 0xce, 0xd4, 0x10, 0xed,
		  0x18, 0x04, 0xf2, 0xcf, 0xa3, 0x4a, 0x33, 0x6a },
		{ 0x68, 0x54, 0x30, 0x8d, 0x5e, 0xaa, 0x3b, 0xe8,
		  0x5e, 0x09, 0x90, 0x70, 0x3d, 0x73, 0xe5, 0x6f },
	},
};

static void test_the_second_prf_by_vectors(void **state)
{
	uint8_t out[200], seed[32] = "test label";

	for (size_t i = 0; i < array_size(vectors); i++) {
		memcpy(seed + 10, vectors[i].seed, 16);
		p_hash(EVP_get_digestbyname(vectors[i].digest), vectors[i].secret, 16, seed, 26,
		       out, vectors[i].size);
		assert_memory_equal(out, vectors[i].first, 16);
		assert_memory_equal(out + vectors[i].size - 16, vectors[i].last, 16);
	}
}

/* --- sessions of every cipher */

static const struct row {
	const char *suite, *digest, *aead;
	size_t key, fixed;
} rows[] = {
	{ "ECDHE-ECDSA-AES128-GCM-SHA256", "SHA256", "AES-128-GCM", 16, 4 },
	{ "ECDHE-ECDSA-AES256-GCM-SHA384", "SHA384", "AES-256-GCM", 32, 4 },
	{ "ECDHE-ECDSA-CHACHA20-POLY1305", "SHA256", "ChaCha20-Poly1305", 32, 12 },
	{ "ECDHE-ECDSA-AES128-CCM", "SHA256", "AES-128-CCM", 16, 4 },
};

struct session {
	struct ends ends;
	struct records sent;
};

static void watch(void *arg, bool by_client, const uint8_t *bytes, size_t n)
{
	struct session *session = arg;

	if (by_client)
		records_feed(&session->sent, bytes, n);
}

static void session_init(struct session *session, const struct identity *id, const char *suite,
			 int version)
{
	SSL_CTX *server = server_ctx(id, NULL), *client = SSL_CTX_new(TLS_client_method());

	*session = (struct session){ 0 };
	SSL_CTX_set_security_level(client, 0);
	SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
	assert_int_equal(SSL_CTX_set_max_proto_version(client, version), 1);
	if (suite) {
		assert_int_equal(SSL_CTX_set_cipher_list(client, suite), 1);
		assert_int_equal(SSL_CTX_set_cipher_list(server, suite), 1);
	}
	ends_init(&session->ends, SSL_new(client), SSL_new(server));
	session->ends.watch = watch;
	session->ends.arg = session;
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	assert_true(shake(&session->ends));
}

static void session_deinit(struct session *session)
{
	ends_deinit(&session->ends);
}

#define _session_ _cleanup_(session_deinit) struct session

/* RFC 5246, 6.3, with the second PRF. */
static void key_block(SSL *ssl, const struct row *row, uint8_t *block, size_t n)
{
	uint8_t seed[13 + 64] = "key expansion", master[48];

	assert_int_equal(SSL_get_server_random(ssl, seed + 13, 32), 32);
	assert_int_equal(SSL_get_client_random(ssl, seed + 45, 32), 32);
	assert_int_equal(SSL_SESSION_get_master_key(SSL_get0_session(ssl), master, 48), 48);
	p_hash(EVP_get_digestbyname(row->digest), master, 48, seed, sizeof(seed), block, n);
}

static void check_keys(const struct row *row, struct session *session,
		       const struct session_keys *keys)
{
	static const uint8_t zero[12], one[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
	const struct cipher *cipher = keys->cipher;
	uint8_t block[2 * (32 + 12)];
	const uint8_t *ivs = block + 2 * row->key;

	key_block(session->ends.client, row, block, 2 * (row->key + row->fixed));
	assert_int_equal(keys->version, 0x0303);
	assert_memory_equal(keys->tx.key, block, row->key);
	assert_memory_equal(keys->rx.key, block + row->key, row->key);
	assert_memory_equal(keys->tx.salt, ivs, cipher->salt_size);
	assert_memory_equal(keys->rx.salt, ivs + row->fixed, cipher->salt_size);
	assert_memory_equal(keys->tx.seq, one, 8);
	assert_memory_equal(keys->rx.seq, one, 8);
	if (row->fixed == 12) {
		assert_memory_equal(keys->tx.iv, ivs, 12);
		assert_memory_equal(keys->rx.iv, ivs + 12, 12);
	} else {
		assert_memory_equal(keys->rx.iv, zero, 8);
	}
}

/* --- the first record after Finished by hand, as the kernel makes it */

/* RFC 5246, 6.2.3.3; RFC 5288, 3; RFC 6655, 3; RFC 7905, 2 */
static size_t seal(const struct row *row, const struct cipher *cipher,
		   const struct direction_keys *keys, const uint8_t *iv, const char *text,
		   uint8_t *record)
{
	int n = (int)strlen(text), got;
	uint8_t aad[13] = { [8] = 23, 3, 3, 0, (uint8_t)n }, nonce[12];
	size_t n_explicit = cipher->explicit_nonce ? 8 : 0;
	uint8_t *body = record + 5 + n_explicit;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ccm = strstr(row->aead, "CCM");

	memcpy(aad, keys->seq, 8);
	memcpy(nonce, keys->salt, cipher->salt_size);
	memcpy(nonce + cipher->salt_size, iv, cipher->iv_size);
	for (size_t i = 0; i < 8 && !n_explicit; i++)
		nonce[4 + i] ^= keys->seq[i];
	memcpy(record, ((const uint8_t[]){ 23, 3, 3, 0, (uint8_t)(n_explicit + n + 16) }), 5);
	memcpy(record + 5, nonce + 4, n_explicit);

	EVP_EncryptInit_ex(ctx, EVP_get_cipherbyname(row->aead), NULL, NULL, NULL);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL);
	if (ccm)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, NULL);
	EVP_EncryptInit_ex(ctx, NULL, NULL, keys->key, nonce);
	if (ccm)
		assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &got, NULL, n), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &got, aad, sizeof(aad)), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, body, &got, (const uint8_t *)text, n), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, body + got, &got), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, body + n), 1);
	EVP_CIPHER_CTX_free(ctx);
	return 5 + n_explicit + (size_t)n + 16;
}

/* What we would send is what OpenSSL sends next, to the byte, and the server reads it. */
static void check_sending(const struct row *row, struct session *session,
			  const struct session_keys *keys)
{
	SSL *client = session->ends.client, *server = session->ends.server;
	uint8_t record[200], got[200];
	size_t n = seal(row, keys->cipher, &keys->tx, keys->tx.iv, "from the client", record);

	assert_int_equal(BIO_write(SSL_get_rbio(server), record, (int)n), (int)n);
	assert_int_equal(SSL_read(server, got, sizeof(got)), 15);
	assert_memory_equal(got, "from the client", 15);
	assert_int_equal(SSL_write(client, "from the client", 15), 15);
	assert_int_equal(BIO_read(SSL_get_wbio(client), got, sizeof(got)), (int)n);
	assert_memory_equal(got, record, n);
}

/* What the server sends is what we would make with its keys and the nonce that it shows. */
static void check_receiving(const struct row *row, struct session *session,
			    const struct session_keys *keys)
{
	uint8_t record[200], got[200];
	size_t n;

	assert_int_equal(SSL_write(session->ends.server, "from the server", 15), 15);
	n = (size_t)BIO_read(SSL_get_wbio(session->ends.server), got, sizeof(got));
	assert_int_equal(seal(row, keys->cipher, &keys->rx,
			      keys->cipher->explicit_nonce ? got + 5 : keys->rx.iv,
			      "from the server", record), n);
	assert_memory_equal(got, record, n);
}

static void test_sessions(void **state)
{
	_identity_ id = make(.cn = "server");

	for (size_t i = 0; i < array_size(rows); i++) {
		_session_ session;
		_cleanup_(session_keys_wipe) struct session_keys keys;

		session_init(&session, &id, rows[i].suite, TLS1_2_VERSION);
		assert_int_equal(session.sent.n_protected, 1);
		assert_int_equal(session_keys_derive(&keys, session.ends.client,
						     session.sent.nonce), 0);
		check_keys(&rows[i], &session, &keys);
		check_sending(&rows[i], &session, &keys);
		check_receiving(&rows[i], &session, &keys);
	}
}

static void test_master_secret_is_wiped(void **state)
{
	_identity_ id = make(.cn = "server");
	_session_ session;
	_cleanup_(session_keys_wipe) struct session_keys keys;

	session_init(&session, &id, rows[0].suite, TLS1_2_VERSION);
	assert_int_equal(SSL_SESSION_get_master_key(SSL_get0_session(session.ends.client),
						    looked_for.bytes, sizeof(looked_for.bytes)),
			 sizeof(looked_for.bytes));
	looked_for.wiped = 0;
	assert_int_equal(session_keys_derive(&keys, session.ends.client, session.sent.nonce), 0);
	assert_int_equal(looked_for.wiped, 1);
}

static void test_next_nonce_carries(void **state)
{
	static const struct {
		uint8_t last[8], next[8];
	} nonces[] = {
		{ { 0 }, { 0, 0, 0, 0, 0, 0, 0, 1 } },
		{ { 1, 2, 3, 4, 5, 6, 7, 0xff }, { 1, 2, 3, 4, 5, 6, 8, 0 } },
		{ { 1, 2, 3, 0xff, 0xff, 0xff, 0xff, 0xff }, { 1, 2, 4, 0 } },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0 } },
	};
	_identity_ id = make(.cn = "server");
	_session_ session;

	session_init(&session, &id, rows[0].suite, TLS1_2_VERSION);
	for (size_t i = 0; i < array_size(nonces); i++) {
		struct session_keys keys;

		assert_int_equal(session_keys_derive(&keys, session.ends.client, nonces[i].last),
				 0);
		assert_memory_equal(keys.tx.iv, nonces[i].next, 8);
		session_keys_wipe(&keys);
	}
}

static void check_refused(SSL *ssl)
{
	static const struct session_keys wiped;
	struct session_keys keys;

	memset(&keys, 0x55, sizeof(keys));
	assert_int_equal(session_keys_derive(&keys, ssl, (const uint8_t[8]){ 0 }), -ENOTSUP);
	assert_memory_equal(&keys, &wiped, sizeof(keys));
}

static void test_refuses_what_the_kernel_has_not(void **state)
{
	static const struct {
		const char *suite;
		int version;
	} others[] = {
		{ NULL, TLS1_3_VERSION },
		{ "ECDHE-ECDSA-AES128-SHA", TLS1_2_VERSION },
		{ "ECDHE-ECDSA-AES128-CCM8", TLS1_2_VERSION },
		{ "ECDHE-ECDSA-AES256-CCM", TLS1_2_VERSION },
		{ "ECDHE-ECDSA-AES128-SHA", TLS1_1_VERSION },
	};
	_identity_ id = make(.cn = "server");

	for (size_t i = 0; i < array_size(others); i++) {
		_session_ session;

		session_init(&session, &id, others[i].suite, others[i].version);
		check_refused(session.ends.client);
	}
}

static void test_refuses_before_the_handshake(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	check_refused(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_second_prf_by_vectors),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_master_secret_is_wiped),
		cmocka_unit_test(test_next_nonce_carries),
		cmocka_unit_test(test_refuses_what_the_kernel_has_not),
		cmocka_unit_test(test_refuses_before_the_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
