/* SPDX-License-Identifier: MIT */
#include "tests/unit/pipe.h"

#include "daemon/cert.h"
#include "daemon/facts.h"
#include "daemon/handshake.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define GCM "ECDHE-ECDSA-AES128-GCM-SHA256"

static struct identity ca, leaf;

static int begin(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	ca = make(.cn = "ca", .ca = true);
	leaf = make(.cn = "leaf", .names = "DNS:host.example", .issuer = &ca);
	return 0;
}

static int end(void **state)
{
	identity_free(&ca);
	identity_free(&leaf);
	return 0;
}

/* --- the peer: a real server, or bytes, of which so many go out in a turn of the loop */

struct peer {
	int fd;
	SSL *ssl;			/* NULL: it plays back */
	const uint8_t *play;
	size_t n_play;
	bool close;			/* behind the last byte to play, or where it stops */
	size_t chunk;			/* bytes in a turn */
	size_t written;
	size_t flip;			/* byte of the stream that goes out changed; 0: none */
	size_t stop;			/* bytes after which nothing comes; 0: no such place */
	const char *banner;		/* data right behind Finished */
};

struct game {
	struct watch_set watches;
	struct turns turns_of_loop;
	struct ev_loop *loop;
	ev_timer guard;
	ev_prepare turn;
	unsigned int turns;
	struct peer peer;
	int fd;
	struct handshake handshake;
	struct proto_connect wanted;
	struct proto_status status;
	unsigned int done;		/* how often */
	enum proto_error error;
	size_t most;			/* bytes that came in during one turn */
	size_t seen;
};

static void on_guard(EV_P_ ev_timer *timer, int events)
{
	fail_msg("the handshake does not end");
}

static void peer_hang_up(struct peer *peer)
{
	close_fd(&peer->fd);
}

/* Lets the server work on what has come in; what it says waits in its BIO. */
static void peer_work(struct peer *peer)
{
	uint8_t buffer[4096];
	ssize_t n;

	while ((n = recv(peer->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		if (peer->ssl)
			BIO_write(SSL_get_rbio(peer->ssl), buffer, (int)n);
	if (!peer->ssl)
		return;
	ERR_clear_error();
	if (SSL_do_handshake(peer->ssl) == 1 && peer->banner) {
		SSL_write(peer->ssl, peer->banner, (int)strlen(peer->banner));
		peer->banner = NULL;
	}
	ERR_clear_error();
}

static size_t peer_next(struct peer *peer, uint8_t *buffer, size_t n)
{
	int got;

	if (peer->stop && peer->written + n > peer->stop)
		n = peer->stop - peer->written;
	if (!peer->ssl) {
		n = n < peer->n_play - peer->written ? n : peer->n_play - peer->written;
		memcpy(buffer, peer->play + peer->written, n);
		return n;
	}
	got = n ? BIO_read(SSL_get_wbio(peer->ssl), buffer, (int)n) : 0;
	return got > 0 ? (size_t)got : 0;
}

static void peer_speak(struct peer *peer)
{
	uint8_t buffer[65536];
	size_t room = peer->chunk ? peer->chunk : sizeof(buffer), n;
	ssize_t sent;

	n = peer_next(peer, buffer, room);
	if (peer->flip > peer->written && peer->flip <= peer->written + n)
		buffer[peer->flip - peer->written - 1] ^= 0x41;
	sent = n ? send(peer->fd, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	/* Of bytes to play, what did not fit goes out in the next turn. */
	if (sent > 0)
		peer->written += (size_t)sent;
	if (peer->close && ((!peer->ssl && peer->written == peer->n_play) ||
			    (peer->stop && peer->written == peer->stop)))
		peer_hang_up(peer);
}

static void on_turn(EV_P_ ev_prepare *prepare, int events)
{
	struct game *game = container_of(prepare, struct game, turn);
	size_t came = game->handshake.bytes - game->seen;

	/* Our ClientHello has its turn behind this. */
	if (!game->turns++)
		return;
	game->seen = game->handshake.bytes;
	game->most = came > game->most ? came : game->most;
	if (game->peer.fd >= 0) {
		peer_work(&game->peer);
		peer_speak(&game->peer);
	}
}

/* --- the game */

static void on_done(struct handshake *handshake, enum proto_error error)
{
	struct game *game = container_of(handshake, struct game, handshake);

	game->done++;
	game->error = error;
	ev_break(game->loop, EVBREAK_ONE);
}

static SSL_CTX *client_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	verify_install(ctx);
	return ctx;
}

/* Takes over both; server NULL: the peer plays back. */
static void game_init(struct game *game, SSL_CTX *client, SSL_CTX *server)
{
	SSL *ssl = SSL_new(client);
	int fds[2];

	*game = (struct game){ .loop = ev_loop_new(0), .wanted.host = (char *)"host.example" };
	assert_int_equal(watch_set_init(&game->watches, game->loop), 0);
	turns_init(&game->turns_of_loop, game->loop);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	game->fd = fds[0];
	game->peer.fd = fds[1];
	if (server) {
		SSL *mine = game->peer.ssl = SSL_new(server);

		SSL_set_bio(mine, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
		BIO_set_mem_eof_return(SSL_get_rbio(mine), -1);
		SSL_set_accept_state(mine);
	}
	ev_timer_init(&game->guard, on_guard, 20, 0);
	ev_timer_start(game->loop, &game->guard);
	ev_prepare_init(&game->turn, on_turn);
	ev_prepare_start(game->loop, &game->turn);
	game->handshake.ssl = ssl;
	SSL_CTX_free(client);
	SSL_CTX_free(server);
}

static void game_start(struct game *game)
{
	SSL *ssl = game->handshake.ssl;

	assert_int_equal(handshake_start(&game->handshake, &game->watches, &game->turns_of_loop, 0,
					 game->fd, ssl, store_of(&ca), &game->wanted, &game->status,
					 on_done),
			 PROTO_OK);
	assert_int_equal(game->done, 0);
}

static void game_run(struct game *game)
{
	game_start(game);
	while (!game->done)
		ev_run(game->loop, EVRUN_NOWAIT);
	assert_int_equal(game->done, 1);
}

static void game_deinit(struct game *game)
{
	handshake_stop(&game->handshake);
	handshake_stop(&game->handshake);
	watch_set_deinit(&game->watches);
	/* Nobody else holds on to the loop. */
	ev_timer_stop(game->loop, &game->guard);
	ev_prepare_stop(game->loop, &game->turn);
	assert_int_equal(ev_run(game->loop, EVRUN_NOWAIT), 0);
	ev_loop_destroy(game->loop);
	SSL_free(game->peer.ssl);
	close_fd(&game->fd);
	close_fd(&game->peer.fd);
}

#define _game_ _cleanup_(game_deinit) struct game

static void check_failed(const struct game *game, enum proto_error error, const char *text)
{
	assert_int_equal(game->error, error);
	assert_int_equal(game->status.error, error);
	assert_int_equal(game->status.stage, PROTO_STAGE_HANDSHAKE);
	if (!strstr(game->status.message, text))
		fail_msg("\"%s\" has no \"%s\"", game->status.message, text);
}

static void check_stands(struct game *game)
{
	if (game->error != PROTO_OK)
		fail_msg("%s", game->status.message);
}

/* --- sessions that stand */

static void check_keys(struct game *game)
{
	_cleanup_(session_keys_wipe) struct session_keys keys = { 0 };

	assert_int_equal(handshake_keys(&game->handshake, &keys), PROTO_OK);
	assert_int_equal(keys.version, TLS1_2_VERSION);
	if (!keys.cipher->explicit_nonce)
		return;
	/* One more than that of our Finished, which the server has as it came. */
	assert_int_equal(keys.tx.iv[7], (uint8_t)(game->handshake.sent.nonce[7] + 1));
}

static void test_facts(void **state)
{
	static const struct {
		const char *suite, *group, *kernel, *told;
	} rows[] = {
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", "P-256", "aes-gcm-128", "secp256r1" },
		{ "ECDHE-ECDSA-AES256-GCM-SHA384", "P-384:P-256", "aes-gcm-256", "secp384r1" },
		{ "ECDHE-ECDSA-CHACHA20-POLY1305", "X25519:P-256", "chacha20-poly1305", "x25519" },
		{ "ECDHE-ECDSA-AES128-CCM", "P-521:P-256", "aes-ccm-128", "secp521r1" },
	};
	char digest[65];
	uint8_t sha256[32];

	assert_true(cert_digest(leaf.cert, PROTO_PIN_CERT, sha256));
	for (int i = 0; i < 32; i++)
		sprintf(digest + 2 * i, "%02x", sha256[i]);
	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_session session = { 0 };
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, rows[i].suite));
		SSL_set_cipher_list(game.handshake.ssl, rows[i].suite);
		SSL_set1_groups_list(game.handshake.ssl, rows[i].group);
		game_run(&game);
		check_stands(&game);
		handshake_facts(&game.handshake, &session);
		assert_string_equal(session.version, "TLSv1.2");
		assert_string_equal(session.cipher, rows[i].suite);
		assert_string_equal(session.kernel_cipher, rows[i].kernel);
		assert_string_equal(session.group, rows[i].told);
		assert_string_equal(session.alpn, "");
		assert_string_equal(session.verified_by, "chain+name");
		assert_string_equal(session.peer_subject, "CN=leaf");
		assert_string_equal(session.peer_cert_sha256, digest);
		assert_int_equal(strlen(session.peer_spki_sha256), 64);
		assert_int_equal(strlen(session.peer_not_after), strlen("2027-01-31T12:00:00Z"));
		assert_false(session.resumed);
		check_keys(&game);
	}
}

static void test_not_after_as_it_is(void **state)
{
	_identity_ id = make(.cn = "until", .names = "DNS:host.example", .issuer = &ca);
	struct proto_session session = { 0 };
	_game_ game;

	ASN1_TIME_set_string_X509(X509_getm_notAfter(id.cert), "20990131120000Z");
	X509_sign(id.cert, ca.key, EVP_sha256());
	game_init(&game, client_ctx(), server_ctx(&id, GCM));
	game_run(&game);
	check_stands(&game);
	handshake_facts(&game.handshake, &session);
	assert_string_equal(session.peer_not_after, "2099-01-31T12:00:00Z");
}

static void test_key_exchange_without_a_group(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	_identity_ id = make(.cn = "rsa", .names = "DNS:host.example", .key = key, .issuer = &ca);
	struct proto_session session = { 0 };
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&id, "AES128-GCM-SHA256"));
	game_run(&game);
	check_stands(&game);
	handshake_facts(&game.handshake, &session);
	assert_string_equal(session.group, "");
	check_keys(&game);
	EVP_PKEY_free(key);
}

/* What the server sends behind its Finished stays where the kernel will look for it. */
static void test_banner_stays_in_the_socket(void **state)
{
	static const size_t chunks[] = { 0, 1, 3, 5, 7, 64, 1000 };
	uint8_t header[5];
	int waiting;

	for (size_t i = 0; i < array_size(chunks); i++) {
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
		game.peer.banner = "220 ready\r\n";
		game.peer.chunk = chunks[i];
		game_run(&game);
		check_stands(&game);
		check_keys(&game);
		/* Let it say the rest. */
		for (int j = 0; j < 100; j++)
			peer_speak(&game.peer);
		assert_int_equal(ioctl(game.fd, FIONREAD, &waiting), 0);
		assert_int_equal(waiting, 5 + 8 + 11 + 16);
		assert_int_equal(recv(game.fd, header, 5, 0), 5);
		assert_memory_equal(header, "\x17\x03\x03\x00\x23", 5);
	}
}

/* --- peers that fail */

static void play(struct game *game, const void *bytes, size_t n)
{
	game_init(game, client_ctx(), NULL);
	game->peer.play = bytes;
	game->peer.n_play = n;
	game->peer.close = true;
	game_run(game);
}

static void test_alerts(void **state)
{
	static const struct {
		uint8_t number;
		const char *name, *text;
	} rows[] = {
		{ 40, "handshake_failure", "alert handshake_failure: it has no cipher" },
		{ 70, "protocol_version", "does not speak TLS 1.2" },
		{ 71, "insufficient_security", "insufficient_security: " },
		{ 112, "unrecognized_name", "does not know the server name" },
		{ 120, "no_application_protocol", "no application protocol" },
		{ 10, "unexpected_message", "unexpected_message" },
		{ 20, "bad_record_mac", "bad_record_mac" },
		{ 48, "unknown_ca", "unknown_ca" },
		{ 49, "access_denied", "access_denied" },
		{ 80, "internal_error", "internal_error" },
		{ 200, "200", "200" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, rows[i].number };
		_game_ game;

		play(&game, alert, sizeof(alert));
		check_failed(&game, PROTO_HANDSHAKE_FAILED, rows[i].text);
		assert_string_equal(game.status.alert, rows[i].name);
	}
}

static void test_what_is_not_tls(void **state)
{
	static const char *const greetings[] = {
		"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "SSH-2.0-x\r\n",
		"+OK\r\n", "\x16\x04\x01", "\x80\x03", "<html>", "\n", "\x15HTTP",
	};

	for (size_t i = 0; i < array_size(greetings); i++) {
		_game_ game;

		play(&game, greetings[i], strlen(greetings[i]));
		check_failed(&game, PROTO_HANDSHAKE_FAILED, "does not speak TLS: it began with ");
		assert_string_equal(game.status.alert, "");
	}
}

static void test_peer_that_closes(void **state)
{
	static const uint8_t begun[] = { 22, 3, 3, 0, 100, 2, 0, 0, 96, 3, 3 };
	static const uint8_t close_notify[] = { 21, 3, 3, 0, 2, 1, 0 };
	static const struct {
		const void *bytes;
		size_t n;
	} rows[] = { { begun, 0 }, { begun, 3 }, { begun, 5 }, { begun, 11 }, { close_notify, 7 } };

	for (size_t i = 0; i < array_size(rows); i++) {
		_game_ game;

		play(&game, rows[i].bytes, rows[i].n);
		check_failed(&game, PROTO_HANDSHAKE_FAILED, "closed the connection during");
		assert_int_equal(game.status.sys_errno, 0);
	}
}

/* A socket that is closed with something unread in it is reset. */
static void test_peer_that_resets(void **state)
{
	_game_ game;

	game_init(&game, client_ctx(), NULL);
	ev_prepare_stop(game.loop, &game.turn);
	game_start(&game);
	ev_run(game.loop, EVRUN_NOWAIT);
	peer_hang_up(&game.peer);
	ev_run(game.loop, 0);
	check_failed(&game, PROTO_HANDSHAKE_FAILED, "the connection broke");
	assert_int_equal(game.status.sys_errno, ECONNRESET);
}

static void test_server_of_another_version(void **state)
{
	static const struct {
		int version;
		const char *text, *alert;
	} rows[] = {
		{ TLS1_3_VERSION, "does not speak TLS 1.2", "protocol_version" },
		{ TLS1_1_VERSION, "unsupported protocol", "" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, NULL));
		SSL_set_min_proto_version(game.peer.ssl, rows[i].version);
		SSL_set_max_proto_version(game.peer.ssl, rows[i].version);
		game_run(&game);
		check_failed(&game, PROTO_HANDSHAKE_FAILED, rows[i].text);
		assert_string_equal(game.status.alert, rows[i].alert);
	}
}

static void test_nothing_in_common(void **state)
{
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, "AES128-SHA"));
	SSL_set_cipher_list(game.handshake.ssl, GCM);
	game_run(&game);
	check_failed(&game, PROTO_HANDSHAKE_FAILED, "no cipher");
	assert_string_equal(game.status.alert, "handshake_failure");
}

static void test_server_that_wants_a_client_certificate(void **state)
{
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	SSL_set_verify(game.peer.ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	game_run(&game);
	check_failed(&game, PROTO_HANDSHAKE_FAILED, "wants a client certificate");
}

static void test_rejected_certificate(void **state)
{
	_identity_ other = make(.cn = "stranger", .names = "DNS:host.example");
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&other, GCM));
	game_run(&game);
	check_failed(&game, PROTO_CERTIFICATE_REJECTED, "CN=stranger");
	assert_string_equal(game.status.x509, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
}

static void test_certificates_that_are_too_large(void **state)
{
	_identity_ id = make(.cn = "large", .names = "DNS:host.example", .issuer = &ca);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	static uint8_t ballast[40000];
	_game_ game;

	ASN1_OCTET_STRING_set(data, ballast, sizeof(ballast));
	X509_EXTENSION_create_by_NID(&extension, NID_netscape_comment, 0, data);
	X509_add_ext(id.cert, extension, -1);
	X509_sign(id.cert, ca.key, EVP_sha256());
	game_init(&game, client_ctx(), server_ctx(&id, GCM));
	game_run(&game);
	check_failed(&game, PROTO_CERTIFICATE_REJECTED, "excessive message size");
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
}

/* They are counted before OpenSSL makes anything of them. */
static void test_too_many_certificates(void **state)
{
	static const size_t chunks[] = { 0, 1, 100 };

	for (size_t i = 0; i < 2 * array_size(chunks); i++) {
		SSL_CTX *server = server_ctx(&leaf, GCM);
		bool too_many = i % 2;
		_game_ game;

		for (int j = 0; j < VERIFY_CERTS_MAX - 1 + too_many; j++)
			SSL_CTX_add1_chain_cert(server, ca.cert);
		game_init(&game, client_ctx(), server);
		game.peer.chunk = chunks[i / 2];
		game_run(&game);
		if (!too_many) {
			check_stands(&game);
			check_keys(&game);
			continue;
		}
		check_failed(&game, PROTO_CERTIFICATE_REJECTED, "more than 10 certificates");
		assert_string_equal(game.status.x509, "X509_V_ERR_CERT_CHAIN_TOO_LONG");
		assert_null(SSL_get_peer_cert_chain(game.handshake.ssl));
	}
}

/* Their keys are looked at before OpenSSL makes anything of them, whoever of the chain has them. */
static void test_key_that_is_not_accepted(void **state)
{
	static const size_t chunks[] = { 0, 1, 100 };
	EVP_PKEY *key = EVP_EC_gen("secp224r1");
	_identity_ bad = make(.cn = "bad", .ca = true, .key = key, .issuer = &ca);

	for (size_t i = 0; i < array_size(chunks); i++) {
		SSL_CTX *server = server_ctx(&leaf, GCM);
		_game_ game;

		SSL_CTX_add1_chain_cert(server, bad.cert);
		game_init(&game, client_ctx(), server);
		game.peer.chunk = chunks[i];
		game_run(&game);
		check_failed(&game, PROTO_CERTIFICATE_REJECTED,
			     "the peer sent a certificate with an EC key on another curve than");
		assert_string_equal(game.status.x509, "");
		assert_null(SSL_get_peer_cert_chain(game.handshake.ssl));
	}
	EVP_PKEY_free(key);
}

/* --- application protocols */

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *n,
			   const unsigned char *in, unsigned int n_in, void *arg)
{
	*out = arg;
	*n = (unsigned char)strlen(arg);
	return SSL_TLSEXT_ERR_OK;
}

static void play_alpn(struct game *game, const char *selected)
{
	static char *names[] = { (char *)"h2", (char *)"http/1.1" };
	SSL_CTX *server = server_ctx(&leaf, GCM);

	SSL_CTX_set_alpn_select_cb(server, select_protocol, (void *)selected);
	game_init(game, client_ctx(), server);
	game->wanted.alpn = (struct proto_strings){ names, 2 };
	SSL_set_alpn_protos(game->handshake.ssl, (const uint8_t *)"\x02h2\x08http/1.1\x01x", 14);
	game_run(game);
}

static void test_alpn(void **state)
{
	static const char *const selected[] = { "h2", "http/1.1" };

	for (size_t i = 0; i < array_size(selected); i++) {
		struct proto_session session = { 0 };
		_game_ game;

		play_alpn(&game, selected[i]);
		check_stands(&game);
		handshake_facts(&game.handshake, &session);
		assert_string_equal(session.alpn, selected[i]);
	}
}

/* OpenSSL may or may not see it itself; of the last it thinks that it was offered. */
static void test_alpn_that_was_not_offered(void **state)
{
	static const struct {
		const char *selected, *text;
	} rows[] = {
		{ "h", "" }, { "h2x", "" }, { "e\n\xff", "" }, { "x", "application protocol" },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_game_ game;

		play_alpn(&game, rows[i].selected);
		check_failed(&game, PROTO_HANDSHAKE_FAILED, rows[i].text);
	}
}

/* --- peers that keep us busy */

static uint8_t flood[400000];

/* Fills the flood with this record; returns its size. */
static size_t fill_flood(const void *record, size_t n)
{
	size_t at;

	for (at = 0; at + n <= sizeof(flood); at += n)
		memcpy(flood + at, record, n);
	return at;
}

static void test_flood_of_hello_requests(void **state)
{
	static const uint8_t request[] = { 22, 3, 3, 0, 4, 0, 0, 0, 0 };
	_game_ game;

	play(&game, flood, fill_flood(request, sizeof(request)));
	check_failed(&game, PROTO_HANDSHAKE_FAILED, "bytes before its Finished");
	/* A record is two reads of ours. */
	assert_true(game.most <= HANDSHAKE_READS_PER_TURN / 2 * sizeof(request));
	assert_true(game.turns >= HANDSHAKE_BYTES_MAX / game.most);
}

static void test_flood_of_large_records(void **state)
{
	uint8_t *record = calloc(1, 5 + 16384);
	_game_ game;

	memcpy(record, "\x16\x03\x03\x40\x00", 5);
	play(&game, flood, fill_flood(record, 5 + 16384));
	check_failed(&game, PROTO_HANDSHAKE_FAILED, "bytes before its Finished");
	assert_true(game.handshake.bytes <= HANDSHAKE_BYTES_MAX + 16384 + 5);
	free(record);
}

static void test_other_floods(void **state)
{
	static const struct {
		const char *record;
		size_t n;
	} rows[] = {
		{ "\x15\x03\x03\x00\x02\x01\x5a", 7 },	/* warnings: user_canceled */
		{ "\x16\x03\x03\x00\x00", 5 },		/* empty records */
		{ "\x14\x03\x03\x00\x01\x01", 6 },	/* ChangeCipherSpec */
		{ "\x17\x03\x03\x00\x01x", 6 },		/* data */
		{ "\x16\x03\x03\xff\xff", 5 },		/* longer than a record may be */
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		_game_ game;

		play(&game, flood, fill_flood(rows[i].record, rows[i].n));
		assert_int_equal(game.error, PROTO_HANDSHAKE_FAILED);
		assert_true(game.handshake.bytes < 4000);
	}
}

/* --- everything that can go wrong, one byte at a time */

/* How much the server says in all. */
static size_t length_of_all(void)
{
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	game_run(&game);
	check_stands(&game);
	return game.peer.written;
}

static void test_stream_that_ends_early(void **state)
{
	size_t all = length_of_all();

	for (size_t n = 1; n < all - 8; n += 5) {
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
		game.peer.stop = n;
		game.peer.close = true;
		game_run(&game);
		assert_int_equal(game.error, PROTO_HANDSHAKE_FAILED);
		assert_true(*game.status.message);
	}
}

/* The server of a changed stream may stop as well: then it has hung up. */
static void test_stream_with_a_changed_byte(void **state)
{
	size_t all = length_of_all();

	for (size_t at = 1; at < all - 8; at += 3) {
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
		game.peer.flip = at;
		game_start(&game);
		for (int i = 0; i < 50 && !game.done; i++)
			ev_run(game.loop, EVRUN_NOWAIT);
		if (!game.done) {
			peer_hang_up(&game.peer);
			while (!game.done)
				ev_run(game.loop, EVRUN_NOWAIT);
		}
		assert_int_not_equal(game.error, PROTO_OK);
		assert_int_equal(game.status.error, game.error);
		assert_int_equal(game.status.stage, PROTO_STAGE_HANDSHAKE);
	}
}

static void test_stop_at_any_time(void **state)
{
	unsigned int turn = 0;
	bool ended = false;

	for (; !ended; turn++) {
		_game_ game;

		game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
		game.peer.chunk = 97;
		game_start(&game);
		for (unsigned int i = 0; i < turn; i++)
			ev_run(game.loop, EVRUN_NOWAIT);
		ended = game.done;
		handshake_stop(&game.handshake);
		for (int i = 0; i < 5 && !ended; i++)
			ev_run(game.loop, EVRUN_NOWAIT);
		assert_int_equal(game.done, ended);
	}
	assert_true(turn > 5);
}

/* --- a turn is waited for */

/* Another user, who always has something to do. */
struct rival {
	struct turn turn;
	unsigned int pieces;
};

static void on_rival(struct turn *turn)
{
	container_of(turn, struct rival, turn)->pieces++;
	turn_wait(turn);
}

/* Until they meet again, the rival comes first. */
static void rival_begin(struct rival *rival, struct game *game)
{
	game->turns_of_loop.all[0].used_ns = TURNS_DEBT_NS;
	rival->pieces = 0;
	turn_init(&rival->turn, &game->turns_of_loop, 1, on_rival);
	turn_wait(&rival->turn);
}

static bool waits(const struct game *game)
{
	return !list_empty(&game->handshake.turn.link);
}

static void run_until_it_waits(struct game *game)
{
	while (!waits(game))
		ev_run(game->loop, EVRUN_NOWAIT);
}

/* Every move: the first, and those for which something has come. Meanwhile nothing is watched. */
static void test_moves_wait_for_their_turn(void **state)
{
	struct rival rival;
	_game_ game;
	unsigned int moves = 0;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	game_start(&game);
	while (!game.done) {
		OSSL_HANDSHAKE_STATE before = SSL_get_state(game.handshake.ssl);
		size_t bytes = game.handshake.bytes;

		run_until_it_waits(&game);
		rival_begin(&rival, &game);
		for (int i = 0; i < 10; i++)
			ev_run(game.loop, EVRUN_NOWAIT);
		assert_int_equal(rival.pieces, 10);
		assert_true(waits(&game));
		assert_int_equal(game.handshake.watch.events, 0);
		assert_int_equal(game.handshake.bytes, bytes);
		assert_int_equal(SSL_get_state(game.handshake.ssl), before);
		turn_leave(&rival.turn);
		ev_run(game.loop, EVRUN_NOWAIT);
		moves++;
	}
	check_stands(&game);
	check_keys(&game);
	assert_int_equal(moves, 3);
	/* It is his time. */
	assert_true(game.turns_of_loop.all[0].used_ns > TURNS_DEBT_NS);
	assert_int_equal(game.handshake.watch.events, 0);
}

static void on_deadline(EV_P_ ev_timer *timer, int events)
{
	handshake_stop(&((struct game *)timer->data)->handshake);
}

static void test_deadline_while_it_waits(void **state)
{
	struct rival rival;
	ev_timer deadline;
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	game_start(&game);
	rival_begin(&rival, &game);
	ev_timer_init(&deadline, on_deadline, 0.01, 0);
	deadline.data = &game;
	ev_timer_start(game.loop, &deadline);
	while (waits(&game))
		ev_run(game.loop, EVRUN_NOWAIT);
	assert_true(rival.pieces > 1);
	assert_null(game.handshake.ssl);
	turn_leave(&rival.turn);
	ev_run(game.loop, EVRUN_NOWAIT);
	assert_int_equal(game.done, 0);
}

static void test_stop_of_nothing(void **state)
{
	struct handshake handshake = { 0 };

	handshake_stop(&handshake);
}

static void test_start_that_fails(void **state)
{
	SSL_CTX *ctx = client_ctx();
	struct proto_connect wanted = { .host = (char *)"a..b" };
	struct ev_loop *loop = ev_loop_new(0);
	struct proto_status status;
	struct handshake handshake;
	struct watch_set watches;
	struct turns turns;

	assert_int_equal(watch_set_init(&watches, loop), 0);
	turns_init(&turns, loop);
	assert_int_equal(handshake_start(&handshake, &watches, &turns, 0, 0, SSL_new(ctx),
					 store_of(&ca), &wanted, &status, on_done), PROTO_INVALID_PARAMETER);
	handshake_stop(&handshake);
	watch_set_deinit(&watches);
	ev_loop_destroy(loop);
	SSL_CTX_free(ctx);
}

/* --- sessions that the kernel cannot take over */

static void check_not_offloadable(struct game *game, const char *text)
{
	struct session_keys keys = { 0 };

	assert_int_equal(handshake_keys(&game->handshake, &keys), PROTO_NOT_OFFLOADABLE);
	assert_int_equal(game->status.error, PROTO_NOT_OFFLOADABLE);
	assert_int_equal(game->status.stage, PROTO_STAGE_INSTALL);
	if (!strstr(game->status.message, text))
		fail_msg("\"%s\" has no \"%s\"", game->status.message, text);
}

static void test_obstacles(void **state)
{
	_game_ game;
	struct records *sent = &game.handshake.sent, *received = &game.handshake.received;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	game_run(&game);
	check_stands(&game);
	SSL_set_read_ahead(game.handshake.ssl, 1);
	check_not_offloadable(&game, "read behind");
	SSL_set_read_ahead(game.handshake.ssl, 0);
	received->have = 1;
	check_not_offloadable(&game, "read behind");
	received->have = 0;
	sent->have = 1;
	check_not_offloadable(&game, "not sent everything");
	sent->have = 0;
	sent->n_protected = 2;
	check_not_offloadable(&game, "only protected record");
	sent->n_protected = 1;
	received->n_protected = 0;
	check_not_offloadable(&game, "only protected record");
	received->n_protected = 1;
	check_keys(&game);
}

static void test_limited_fragments(void **state)
{
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, GCM));
	SSL_set_tlsext_max_fragment_length(game.handshake.ssl, TLSEXT_max_fragment_length_1024);
	game_run(&game);
	check_stands(&game);
	check_not_offloadable(&game, "fragment length");
}

static void test_cipher_that_the_kernel_has_not(void **state)
{
	_game_ game;

	game_init(&game, client_ctx(), server_ctx(&leaf, "ECDHE-ECDSA-AES128-CCM8"));
	SSL_set_cipher_list(game.handshake.ssl, "ECDHE-ECDSA-AES128-CCM8");
	game_run(&game);
	check_stands(&game);
	check_not_offloadable(&game, "not a cipher of the kernel");
}

/* Resumption skips the certificates: nobody has verified such a peer for this request. */
/* --- the end of a session that nobody takes over */

static void game_shaken(struct game *game)
{
	game_init(game, client_ctx(), server_ctx(&leaf, GCM));
	/* As those of policies are. */
	SSL_set_quiet_shutdown(game->handshake.ssl, 1);
	game_run(game);
	check_stands(game);
	assert_null(handshake_obstacle(&game->handshake));
}

static void test_farewell(void **state)
{
	char byte;
	_game_ game;

	game_shaken(&game);
	handshake_farewell(&game.handshake);
	peer_work(&game.peer);
	assert_int_equal(SSL_read(game.peer.ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(game.peer.ssl, 0), SSL_ERROR_ZERO_RETURN);
	/* Nothing more comes of it, and whoever frees it sends nothing. */
	handshake_stop(&game.handshake);
	assert_int_equal(recv(game.peer.fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* It does not wait for a peer that does not read, nor complain of one that is gone. */
static void test_farewell_to_nobody(void **state)
{
	for (int gone = 0; gone < 2; gone++) {
		static const char ballast[4096];
		_game_ game;

		game_shaken(&game);
		while (!gone && send(game.fd, ballast, sizeof(ballast), MSG_DONTWAIT) > 0)
			;
		if (gone)
			peer_hang_up(&game.peer);
		handshake_farewell(&game.handshake);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void test_resumed_session(void **state)
{
	SSL_CTX *client = client_ctx(), *server = server_ctx(&leaf, GCM);
	struct proto_session facts = { 0 };
	SSL_SESSION *session;

	SSL_CTX_clear_options(client, SSL_OP_NO_TICKET);
	SSL_CTX_up_ref(client);
	SSL_CTX_up_ref(server);
	{
		_game_ game;

		game_init(&game, client, server);
		game_run(&game);
		check_stands(&game);
		session = SSL_SESSION_dup(SSL_get0_session(game.handshake.ssl));
	}
	{
		_game_ game;

		game_init(&game, client, server);
		SSL_set_session(game.handshake.ssl, session);
		game_run(&game);
		check_failed(&game, PROTO_INTERNAL_ERROR, "not verified");
		handshake_facts(&game.handshake, &facts);
		assert_true(facts.resumed);
		check_not_offloadable(&game, "resumed");
	}
	SSL_SESSION_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_not_after_as_it_is),
		cmocka_unit_test(test_key_exchange_without_a_group),
		cmocka_unit_test(test_banner_stays_in_the_socket),
		cmocka_unit_test(test_alerts),
		cmocka_unit_test(test_what_is_not_tls),
		cmocka_unit_test(test_peer_that_closes),
		cmocka_unit_test(test_peer_that_resets),
		cmocka_unit_test(test_server_of_another_version),
		cmocka_unit_test(test_nothing_in_common),
		cmocka_unit_test(test_server_that_wants_a_client_certificate),
		cmocka_unit_test(test_rejected_certificate),
		cmocka_unit_test(test_certificates_that_are_too_large),
		cmocka_unit_test(test_too_many_certificates),
		cmocka_unit_test(test_key_that_is_not_accepted),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_alpn_that_was_not_offered),
		cmocka_unit_test(test_flood_of_hello_requests),
		cmocka_unit_test(test_flood_of_large_records),
		cmocka_unit_test(test_other_floods),
		cmocka_unit_test(test_stream_that_ends_early),
		cmocka_unit_test(test_stream_with_a_changed_byte),
		cmocka_unit_test(test_stop_at_any_time),
		cmocka_unit_test(test_moves_wait_for_their_turn),
		cmocka_unit_test(test_deadline_while_it_waits),
		cmocka_unit_test(test_stop_of_nothing),
		cmocka_unit_test(test_start_that_fails),
		cmocka_unit_test(test_obstacles),
		cmocka_unit_test(test_limited_fragments),
		cmocka_unit_test(test_cipher_that_the_kernel_has_not),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_farewell_to_nobody),
		cmocka_unit_test(test_resumed_session),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
