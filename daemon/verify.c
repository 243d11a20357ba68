/* SPDX-License-Identifier: MIT */
#include "daemon/verify.h"

#include "daemon/cert.h"
#include "daemon/trace.h"
#include "proto/util.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool verify_is_none(const struct proto_trust *trust)
{
	return trust->verify == PROTO_VERIFY_NONE;
}

bool verify_wants_chain(const struct proto_trust *trust)
{
	bool pins_alone = trust->n_pins && !trust->ca && !trust->store && !trust->name;

	return !verify_is_none(trust) && !pins_alone;
}

bool verify_dns_name(char to[static PROTO_HOST_MAX + 1], const char *name)
{
	struct in6_addr address;
	size_t length = strlen(name);

	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return false;
	if (length && name[length - 1] == '.')
		length--;
	snprintf(to, PROTO_HOST_MAX + 1, "%.*s", (int)length, name);
	return true;
}

/* Says no, and why; cert may be NULL. code is what OpenSSL makes its alert from. */
__attribute__((format(printf, 6, 7)))
static bool reject(struct verify *verify, X509_STORE_CTX *ctx, int code, bool told,
		   const X509 *cert, const char *format, ...)
{
	char subject[200] = "", reason[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	if (cert)
		cert_subject(subject, sizeof(subject), cert);
	proto_status_set(verify->status, PROTO_CERTIFICATE_REJECTED, PROTO_STAGE_HANDSHAKE, 0,
			 "%s%s%s", reason, cert ? ": " : "", subject);
	if (told)
		cert_error_name(verify->status->x509, sizeof(verify->status->x509), code);
	X509_STORE_CTX_set_error(ctx, code);
	verify->rejected = true;
	verify->culprit = cert;
	verify->problem = code;
	return false;
}

static bool check_limits(struct verify *verify, X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *certs = X509_STORE_CTX_get0_untrusted(ctx);

	if (sk_X509_num(certs) > VERIFY_CERTS_MAX)
		return reject(verify, ctx, X509_V_ERR_CERT_CHAIN_TOO_LONG, true, NULL,
			      "the peer sent %d certificates, more than %d", sk_X509_num(certs),
			      VERIFY_CERTS_MAX);
	for (int i = 0; i < sk_X509_num(certs); i++) {
		const X509 *cert = sk_X509_value(certs, i);

		if (cert_count_names(cert) > VERIFY_NAMES_MAX)
			return reject(verify, ctx, X509_V_ERR_CERT_REJECTED, false, cert,
				      "the certificate has more than %d names", VERIFY_NAMES_MAX);
	}
	return true;
}

/* X509_verify_cert() would hold it to this as well, but it is not always asked. */
static bool check_own_key(struct verify *verify, X509_STORE_CTX *ctx)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	int bits = EVP_PKEY_get_security_bits(X509_get0_pubkey(leaf));

	if (bits >= VERIFY_SECURITY_BITS_MIN)
		return true;
	return reject(verify, ctx, X509_V_ERR_EE_KEY_TOO_SMALL, true, leaf,
		      "the certificate's key is too weak: %d bits of security, less than %d", bits,
		      VERIFY_SECURITY_BITS_MIN);
}

static bool pin_matches(const struct proto_pin *pin, const X509 *cert)
{
	uint8_t sha256[32];

	return cert_digest(cert, pin->kind, sha256) &&
	       CRYPTO_memcmp(sha256, pin->sha256, sizeof(sha256)) == 0;
}

static bool check_pins(struct verify *verify, X509_STORE_CTX *ctx)
{
	const struct proto_trust *trust = &verify->wanted->trust;
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	bool found = trust->n_pins == 0;

	for (size_t i = 0; i < trust->n_pins && !found; i++)
		found = pin_matches(&trust->pins[i], leaf);
	return found || reject(verify, ctx, X509_V_ERR_CERT_REJECTED, false, leaf,
			       "the certificate is none of those pinned");
}

/* The dates, where there is no chain of which they would be checked. */
static bool check_dates(struct verify *verify, X509_STORE_CTX *ctx)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(ctx);
	int when, code;

	if (verify->anchors || verify_is_none(&verify->wanted->trust))
		return true;
	when = X509_cmp_timeframe(NULL, X509_get0_notBefore(leaf), X509_get0_notAfter(leaf));
	if (when == 0)
		return true;
	code = when < 0 ? X509_V_ERR_CERT_NOT_YET_VALID : X509_V_ERR_CERT_HAS_EXPIRED;
	return reject(verify, ctx, code, true, leaf, "%s", X509_verify_cert_error_string(code));
}

static bool reject_chain(struct verify *verify, X509_STORE_CTX *ctx)
{
	const struct proto_connect *wanted = verify->wanted;
	const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	int code = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);

	if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return reject(verify, ctx, code, true, cert, "the certificate is not for %s",
			      wanted->trust.name ? wanted->trust.name : wanted->host);
	if (code == X509_V_OK)
		code = X509_V_ERR_UNSPECIFIED;
	return reject(verify, ctx, code, true, cert, "%s (certificate %d of the chain)",
		      X509_verify_cert_error_string(code), depth);
}

static bool check_chain(struct verify *verify, X509_STORE_CTX *ctx)
{
	if (!verify->anchors)
		return true;
	/* OpenSSL goes by what it finds here: it must be clean. */
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return X509_verify_cert(ctx) > 0 || reject_chain(verify, ctx);
}

/* In this order: what is cheap, and keeps what follows cheap, first. */
static bool judge(struct verify *verify, X509_STORE_CTX *ctx)
{
	static bool (*const checks[])(struct verify *verify, X509_STORE_CTX *ctx) = {
		check_limits, check_own_key, check_pins, check_dates, check_chain,
	};

	for (size_t i = 0; i < array_size(checks); i++)
		if (!checks[i](verify, ctx))
			return false;
	return true;
}

/* Whatever the verdict is. False: no memory; then it does not count. */
static bool tell_chain(struct verify *verify, X509_STORE_CTX *ctx)
{
	if (!verify->trace || trace_chain(verify->trace, X509_STORE_CTX_get0_untrusted(ctx),
					  verify->culprit, verify->problem))
		return true;
	proto_status_set(verify->status, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE, ENOMEM,
			 "out of memory");
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
	verify->rejected = true;
	return false;
}

static int on_certificates(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct verify *verify = ssl ? SSL_get_app_data(ssl) : NULL;
	bool good;

	(void)arg;
	X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
	if (!verify)
		return 0;
	good = judge(verify, ctx);
	if (!tell_chain(verify, ctx) || !good)
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	verify->accepted = true;
	return 1;
}

void verify_install(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_certificates, NULL);
	SSL_CTX_set_max_cert_list(ctx, VERIFY_CHAIN_BYTES_MAX);
	SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH_MAX);
}

static bool expect_name(X509_VERIFY_PARAM *param, const char *name)
{
	char dns[PROTO_HOST_MAX + 1];

	/* An empty name would end all checking, and one that begins with a dot fit any below. */
	if (!proto_host_valid(name))
		return false;
	/* The common name is no place for a host's name (RFC 9525, 2). */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (verify_dns_name(dns, name))
		return X509_VERIFY_PARAM_set1_host(param, dns, 0) == 1;
	return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
}

enum proto_error verify_init(struct verify *verify, SSL *ssl, const struct proto_connect *wanted,
			     X509_STORE *anchors, struct proto_status *status)
{
	const struct proto_trust *trust = &wanted->trust;
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	*verify = (struct verify){ .wanted = wanted, .anchors = anchors, .status = status };
	verify->check_name = anchors && trust->verify == PROTO_VERIFY_FULL;
	/* An anchor need not be self-signed: a caller may name an intermediate, or the leaf. */
	if (!SSL_set_app_data(ssl, verify) ||
	    !X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) ||
	    (anchors && !SSL_set1_verify_cert_store(ssl, anchors)))
		return proto_status_set(status, PROTO_INTERNAL_ERROR, PROTO_STAGE_HANDSHAKE, ENOMEM,
					"out of memory");
	if (verify->check_name && !expect_name(param, trust->name ? trust->name : wanted->host))
		return proto_status_invalid(status, trust->name ? "trust.name" : "host",
					    "a certificate cannot be checked for this name");
	return PROTO_OK;
}

void verify_deinit(struct verify *verify)
{
	X509_STORE_free(steal_ptr(&verify->anchors));
}

const char *verify_by(const struct verify *verify)
{
	static const char *const words[2][3] = {
		{ "none", "chain", "chain+name" },
		{ "pin", "pin+chain", "pin+chain+name" },
	};

	bool pinned = verify->wanted->trust.n_pins > 0;

	return words[pinned][verify->anchors ? 1 + verify->check_name : 0];
}
