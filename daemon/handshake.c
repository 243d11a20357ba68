/* SPDX-License-Identifier: MIT */
#include "daemon/handshake.h"

#include "daemon/cert.h"
#include "daemon/facts.h"

#include <ctype.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* OpenSSL reports an alert that came in as this plus its number. */
#define ALERT_REASON SSL_AD_REASON_OFFSET
#define ALERT_MAX 255

/* What the commonest alerts come down to, between this client and its peers. */
static const struct {
	int alert;
	const char *meaning;
} meanings[] = {
	{ SSL_AD_PROTOCOL_VERSION, "it does not speak TLS 1.2, and ktlsd no other version" },
	{ SSL_AD_HANDSHAKE_FAILURE, "it has no cipher, group or signature algorithm in common "
				    "with us, or wants a client certificate" },
	{ SSL_AD_INSUFFICIENT_SECURITY, "it has no cipher in common with us that it allows" },
	{ SSL_AD_UNRECOGNIZED_NAME, "it does not know the server name" },
	{ SSL_AD_NO_APPLICATION_PROTOCOL, "it has no application protocol in common with us" },
};

/* --- what goes by */

static void note_received(struct handshake *handshake, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && handshake->bytes + i < sizeof(handshake->greeting); i++)
		handshake->greeting[handshake->bytes + i] = bytes[i];
	handshake->bytes += n;
	records_feed(&handshake->received, (const uint8_t *)bytes, n);
}

static void note_clear(struct records *records, const uint8_t *bytes, size_t n)
{
	struct handshake *handshake = container_of(records, struct handshake, received);

	messages_feed(&handshake->messages, bytes, n);
}

static bool too_many_certificates(const struct handshake *handshake)
{
	return handshake->messages.n_certificates > VERIFY_CERTS_MAX;
}

static bool bad_certificates(const struct handshake *handshake)
{
	return too_many_certificates(handshake) || handshake->messages.fault;
}

static bool may_read(struct handshake *handshake, BIO *bio)
{
	BIO_clear_retry_flags(bio);
	if (handshake->bytes > HANDSHAKE_BYTES_MAX)
		return false;
	if (handshake->reads++ < HANDSHAKE_READS_PER_TURN)
		return true;
	BIO_set_retry_read(bio);
	return false;
}

static long on_bio(BIO *bio, int what, const char *bytes, size_t length, int argi, long argl,
		   int result, size_t *processed)
{
	struct handshake *handshake = (struct handshake *)BIO_get_callback_arg(bio);

	(void)length, (void)argi, (void)argl;
	if (what == BIO_CB_READ && !may_read(handshake, bio))
		return -1;
	if (what == (BIO_CB_READ | BIO_CB_RETURN) && result > 0) {
		note_received(handshake, bytes, *processed);
		/* They end here, before OpenSSL sees them. */
		if (bad_certificates(handshake))
			return -1;
	}
	if (what == (BIO_CB_WRITE | BIO_CB_RETURN) && result > 0)
		records_feed(&handshake->sent, (const uint8_t *)bytes, *processed);
	return result;
}

/* --- failure */

static void alert_name(char *to, size_t size, int alert)
{
	const char *text = SSL_alert_desc_string_long(alert);
	size_t i;

	if (strcmp(text, "unknown") == 0) {
		snprintf(to, size, "%d", alert);
		return;
	}
	for (i = 0; text[i] && i + 1 < size; i++)
		to[i] = text[i] == ' ' ? '_' : (char)tolower((unsigned char)text[i]);
	to[i] = '\0';
}

static enum proto_error fail_alert(struct proto_status *status, int alert)
{
	const char *meaning = NULL;
	char name[sizeof(status->alert)];

	alert_name(name, sizeof(name), alert);
	for (size_t i = 0; i < array_size(meanings) && !meaning; i++)
		if (meanings[i].alert == alert)
			meaning = meanings[i].meaning;
	proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, 0,
			 "the peer sent the alert %s%s%s", name, meaning ? ": " : "",
			 meaning ? meaning : "");
	memcpy(status->alert, name, sizeof(name));
	return status->error;
}

/* TLS begins with a record of type 20 to 23 and major version 3 (RFC 5246, 6.2.1). */
static bool spoke_tls(const struct handshake *handshake)
{
	const char *greeting = handshake->greeting;

	if (handshake->bytes >= 1 && (greeting[0] < SSL3_RT_CHANGE_CIPHER_SPEC ||
				      greeting[0] > SSL3_RT_APPLICATION_DATA))
		return false;
	return handshake->bytes < 2 || greeting[1] == SSL3_VERSION_MAJOR;
}

static enum proto_error fail_closed(struct proto_status *status, int error)
{
	if (error == 0)
		return proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, 0,
					"the peer closed the connection during the handshake");
	return proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, error,
				"the connection broke during the handshake: %s", strerror(error));
}

/* An error that OpenSSL put on its queue: the earliest is nearest to the cause. */
static enum proto_error fail_openssl(struct handshake *handshake, unsigned long code)
{
	const char *reason = ERR_reason_error_string(code);
	enum proto_error error = PROTO_HANDSHAKE_FAILED;
	int number = ERR_GET_REASON(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && number >= ALERT_REASON &&
	    number <= ALERT_REASON + ALERT_MAX)
		return fail_alert(handshake->status, number - ALERT_REASON);
	if (ERR_GET_LIB(code) == ERR_LIB_SSL && number == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return fail_closed(handshake->status, 0);
	if (number == ERR_R_MALLOC_FAILURE)
		error = PROTO_INTERNAL_ERROR;
	else if (SSL_get_state(handshake->ssl) == TLS_ST_CR_CERT)
		error = PROTO_CERTIFICATE_REJECTED;
	return proto_status_set(handshake->status, error, PROTO_STAGE_HANDSHAKE, 0, "%s%s",
				error == PROTO_CERTIFICATE_REJECTED ? "the peer's certificates: "
								    : "",
				reason ? reason : "TLS protocol error");
}

static enum proto_error fail_certificates(const struct handshake *handshake)
{
	struct proto_status *status = handshake->status;

	if (!too_many_certificates(handshake))
		return proto_status_set(status, PROTO_CERTIFICATE_REJECTED, PROTO_STAGE_HANDSHAKE,
					0, "the peer sent %s", handshake->messages.fault);
	proto_status_set(status, PROTO_CERTIFICATE_REJECTED, PROTO_STAGE_HANDSHAKE, 0,
			 "the peer sent more than %d certificates", VERIFY_CERTS_MAX);
	cert_error_name(status->x509, sizeof(status->x509), X509_V_ERR_CERT_CHAIN_TOO_LONG);
	return status->error;
}

static enum proto_error explain(struct handshake *handshake, int ssl_error, int sys_errno)
{
	struct proto_status *status = handshake->status;
	unsigned long code = ERR_peek_error();

	if (handshake->verify.rejected)
		return status->error;
	if (!spoke_tls(handshake))
		return proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, 0,
					"the peer does not speak TLS: it began with \"%.*s\"",
					(int)sizeof(handshake->greeting), handshake->greeting);
	if (handshake->bytes > HANDSHAKE_BYTES_MAX)
		return proto_status_set(status, PROTO_HANDSHAKE_FAILED, PROTO_STAGE_HANDSHAKE, 0,
					"the peer sent more than %d bytes before its Finished",
					HANDSHAKE_BYTES_MAX);
	if (bad_certificates(handshake))
		return fail_certificates(handshake);
	if (code)
		return fail_openssl(handshake, code);
	return fail_closed(status, ssl_error == SSL_ERROR_SYSCALL ? sys_errno : 0);
}

/* --- the handshake */

/* What the peer selects goes into our reply, and not every OpenSSL 3.0 looks at it. */
static bool alpn_was_offered(const struct handshake *handshake)
{
	const struct proto_strings *offered = &handshake->wanted->alpn;
	const unsigned char *selected;
	unsigned int n;

	SSL_get0_alpn_selected(handshake->ssl, &selected, &n);
	for (size_t i = 0; i < offered->n; i++)
		if (strlen(offered->items[i]) == n && memcmp(offered->items[i], selected, n) == 0)
			return true;
	return n == 0;
}

static enum proto_error check_session(struct handshake *handshake)
{
	if (!handshake->verify.accepted)
		return proto_status_set(handshake->status, PROTO_INTERNAL_ERROR,
					PROTO_STAGE_HANDSHAKE, 0, "the peer was not verified");
	if (!alpn_was_offered(handshake))
		return proto_status_set(handshake->status, PROTO_HANDSHAKE_FAILED,
					PROTO_STAGE_HANDSHAKE, 0,
					"the peer selected an application protocol that was not "
					"offered");
	return PROTO_OK;
}

static void finish(struct handshake *handshake, enum proto_error error)
{
	watch_stop(&handshake->watch);
	ERR_clear_error();
	handshake->done(handshake, error);
}

static void wait_for(struct handshake *handshake, int ssl_error)
{
	int r = watch_for(&handshake->watch, ssl_error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);

	if (r < 0)
		finish(handshake, proto_status_set(handshake->status, PROTO_INTERNAL_ERROR,
						   PROTO_STAGE_HANDSHAKE, -r,
						   "the socket cannot be watched"));
}

static void move(struct handshake *handshake)
{
	int result, sys_errno, ssl_error;

	handshake->reads = 0;
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(handshake->ssl);
	sys_errno = errno;
	ssl_error = SSL_get_error(handshake->ssl, result);
	if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE)
		return wait_for(handshake, ssl_error);
	finish(handshake, result == 1 ? check_session(handshake) :
					explain(handshake, ssl_error, sys_errno));
}

static void on_turn(struct turn *turn)
{
	move(container_of(turn, struct handshake, turn));
}

/* What is there to be read stays there until then, and would wake the loop again and again. */
static void on_socket(struct watch *watch)
{
	watch_stop(watch);
	turn_wait(&container_of(watch, struct handshake, watch)->turn);
}

static bool attach_bio(struct handshake *handshake, int fd)
{
	BIO *bio = BIO_new_socket(fd, BIO_NOCLOSE);

	if (!bio)
		return false;
	BIO_set_callback_ex(bio, on_bio);
	BIO_set_callback_arg(bio, (char *)handshake);
	SSL_set_bio(handshake->ssl, bio, bio);
	return true;
}

enum proto_error handshake_start(struct handshake *handshake, struct watch_set *watches,
				 struct turns *turns, unsigned int account, int fd, SSL *ssl,
				 X509_STORE *anchors, const struct proto_connect *wanted,
				 struct proto_status *status,
				 void (*done)(struct handshake *, enum proto_error))
{
	enum proto_error error;

	*handshake = (struct handshake){
		.watches = watches, .ssl = ssl, .wanted = wanted, .status = status, .done = done,
		.received.clear = note_clear,
	};
	watch_init(&handshake->watch, watches, fd, on_socket);
	turn_init(&handshake->turn, turns, account, on_turn);
	error = verify_init(&handshake->verify, ssl, wanted, anchors, status);
	if (error != PROTO_OK)
		return error;
	if (!attach_bio(handshake, fd))
		return proto_status_set(status, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE, ENOMEM,
					"out of memory");
	SSL_set_connect_state(ssl);
	/* The first move is ours: nothing is polled for it. */
	turn_wait(&handshake->turn);
	return PROTO_OK;
}

void handshake_stop(struct handshake *handshake)
{
	if (handshake->watches) {
		watch_stop(&handshake->watch);
		turn_leave(&handshake->turn);
	}
	SSL_free(steal_ptr(&handshake->ssl));
	verify_deinit(&handshake->verify);
}

void handshake_farewell(struct handshake *handshake)
{
	SSL_set_quiet_shutdown(handshake->ssl, 0);
	SSL_shutdown(handshake->ssl);
	ERR_clear_error();
}

/* --- what came of it */

static bool bio_is_bare(SSL *ssl)
{
	BIO *bio = SSL_get_rbio(ssl);

	return bio == SSL_get_wbio(ssl) && BIO_method_type(bio) == BIO_TYPE_SOCKET &&
	       !BIO_next(bio);
}

const char *handshake_obstacle(const struct handshake *handshake)
{
	SSL *ssl = handshake->ssl;
	const struct records *sent = &handshake->sent, *received = &handshake->received;
	const struct {
		bool present;
		const char *what;
	} obstacles[] = {
		{ !SSL_is_init_finished(ssl), "the handshake is not finished" },
		{ SSL_session_reused(ssl), "the session was resumed" },
		{ SSL_get_current_compression(ssl) != NULL, "it is compressed" },
		{ SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl)) != 0,
		  "it has a limited fragment length" },
		{ SSL_get_read_ahead(ssl) || SSL_pending(ssl) || SSL_has_pending(ssl) ||
		  received->have, "OpenSSL has read behind the handshake" },
		{ !bio_is_bare(ssl) || sent->have, "OpenSSL has not sent everything" },
		{ sent->n_protected != 1 || received->n_protected != 1,
		  "Finished was not the only protected record" },
	};

	for (size_t i = 0; i < array_size(obstacles); i++)
		if (obstacles[i].present)
			return obstacles[i].what;
	return NULL;
}

enum proto_error handshake_keys(struct handshake *handshake, struct session_keys *keys)
{
	const char *what = handshake_obstacle(handshake);
	int r = what ? -ENOTSUP : session_keys_derive(keys, handshake->ssl, handshake->sent.nonce);

	if (r == 0)
		return PROTO_OK;
	ERR_clear_error();
	if (r == -ENOTSUP)
		return proto_status_set(handshake->status, PROTO_NOT_OFFLOADABLE,
					PROTO_STAGE_INSTALL, 0,
					"the kernel cannot take over the session: %s",
					what ? what : "not TLS 1.2, or not a cipher of the kernel");
	return proto_status_set(handshake->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_INSTALL, -r,
				"the keys could not be derived");
}

void handshake_facts(const struct handshake *handshake, struct proto_session *session)
{
	facts_fill(session, handshake->ssl);
	snprintf(session->verified_by, sizeof(session->verified_by), "%s",
		 verify_by(&handshake->verify));
	ERR_clear_error();
}
