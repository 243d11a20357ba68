/* SPDX-License-Identifier: MIT */
/* link: -Wl,--wrap=cert_names */
#include "tests/unit/pipe.h"

#include "daemon/cert.h"
#include "daemon/trace.h"
#include "daemon/verify.h"

#include <errno.h>
#include <stdio.h>

static bool no_names;

bool __real_cert_names(struct proto_strings *names, const X509 *cert);
bool __wrap_cert_names(struct proto_strings *names, const X509 *cert);
bool __wrap_cert_names(struct proto_strings *names, const X509 *cert)
{
	return !no_names && __real_cert_names(names, cert);
}

/* A chain of everything that can be wrong, made once. */
static struct {
	struct identity root, other_root, intermediate, by_intermediate;
	struct identity good, expired, not_yet, self_signed, common_name, address, wildcard;
	struct identity partial_wildcard, top_wildcard, client_use, weak;
} pki;

static int begin(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);

	pki.root = make(.cn = "root", .ca = true);
	pki.other_root = make(.cn = "other root", .ca = true);
	pki.intermediate = make(.cn = "between", .ca = true, .issuer = &pki.root);
	pki.by_intermediate = make(.cn = "far", .names = "DNS:host.example",
				   .issuer = &pki.intermediate);
	pki.good = make(.cn = "good", .names = "DNS:host.example", .issuer = &pki.root);
	pki.expired = make(.cn = "expired", .names = "DNS:host.example", .issuer = &pki.root,
			   .from = -2 * DAY, .until = -DAY);
	pki.not_yet = make(.cn = "not yet", .names = "DNS:host.example", .issuer = &pki.root,
			   .from = DAY, .until = 2 * DAY);
	pki.self_signed = make(.cn = "self", .names = "DNS:host.example");
	pki.common_name = make(.cn = "host.example", .issuer = &pki.root);
	pki.address = make(.cn = "address", .names = "IP:192.0.2.1,IP:2001:db8::1",
			   .issuer = &pki.root);
	pki.wildcard = make(.cn = "wildcard", .names = "DNS:*.host.example", .issuer = &pki.root);
	pki.top_wildcard = make(.cn = "top", .names = "DNS:*.example", .issuer = &pki.root);
	pki.partial_wildcard = make(.cn = "partial", .names = "DNS:a*.host.example",
				    .issuer = &pki.root);
	pki.client_use = make(.cn = "client", .names = "DNS:host.example", .usage = "clientAuth",
			      .issuer = &pki.root);
	pki.weak = make(.cn = "weak", .names = "DNS:host.example", .key = weak,
			.issuer = &pki.root);
	EVP_PKEY_free(weak);
	return 0;
}

static int end(void **state)
{
	struct identity *all = (struct identity *)&pki;

	for (size_t i = 0; i < sizeof(pki) / sizeof(*all); i++)
		identity_free(&all[i]);
	return 0;
}

/* --- one handshake */

struct outcome {
	bool finished;
	struct verify verify;
	struct proto_status status;
	char by[24];
	long x509;
	struct proto_trace trace;
};

/* Whether a run is one of a probe's. */
static bool trace_wanted;

/* The server sends leaf, and then n others. */
static void run_chain(struct outcome *outcome, const struct proto_connect *wanted,
		      X509_STORE *anchors, const struct identity *leaf, X509 *const *others,
		      size_t n)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method()), *server = server_ctx(leaf, NULL);
	SSL *ssl;
	struct ends ends;

	SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
	SSL_CTX_set_security_level(client, 2);
	verify_install(client);
	SSL_CTX_set_verify(server, SSL_VERIFY_NONE, NULL);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(SSL_CTX_add1_chain_cert(server, others[i]), 1);
	ssl = SSL_new(client);
	*outcome = (struct outcome){ .finished = false };
	assert_int_equal(verify_init(&outcome->verify, ssl, wanted, anchors, &outcome->status),
			 PROTO_OK);
	if (trace_wanted) {
		assert_true(trace_begin(&outcome->trace));
		outcome->verify.trace = &outcome->trace;
	}
	ends_init(&ends, ssl, SSL_new(server));
	outcome->finished = shake(&ends);
	outcome->x509 = SSL_get_verify_result(ssl);
	snprintf(outcome->by, sizeof(outcome->by), "%s", verify_by(&outcome->verify));
	verify_deinit(&outcome->verify);
	verify_deinit(&outcome->verify);
	ends_deinit(&ends);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
}

static void run(struct outcome *outcome, const struct proto_connect *wanted,
		const struct identity *anchor, const struct identity *leaf)
{
	run_chain(outcome, wanted, anchor ? store_of(anchor) : NULL, leaf, NULL, 0);
}

static void check_accepted(const struct outcome *outcome, const char *by)
{
	if (!outcome->finished)
		fail_msg("%s", outcome->status.message);
	assert_true(outcome->verify.accepted);
	assert_false(outcome->verify.rejected);
	assert_int_equal(outcome->x509, X509_V_OK);
	assert_string_equal(outcome->by, by);
}

static void check_rejected(const struct outcome *outcome, const char *x509, const char *text)
{
	assert_false(outcome->finished);
	assert_false(outcome->verify.accepted);
	assert_true(outcome->verify.rejected);
	assert_int_equal(outcome->status.error, PROTO_CERTIFICATE_REJECTED);
	assert_int_equal(outcome->status.stage, PROTO_STAGE_HANDSHAKE);
	assert_string_equal(outcome->status.x509, x509);
	if (!strstr(outcome->status.message, text))
		fail_msg("\"%s\" has no \"%s\"", outcome->status.message, text);
}

static struct proto_connect want(const char *host, const char *name, enum proto_verify verify)
{
	return (struct proto_connect){
		.host = (char *)host, .trust = { .name = (char *)name, .verify = verify },
	};
}

/* --- chain and name */

static void test_accepted(void **state)
{
	static const struct {
		const char *host, *name;
		enum proto_verify verify;
		const struct identity *anchor, *leaf;
		const char *by;
	} rows[] = {
		{ "host.example", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.good, "chain+name" },
		{ "host.example.", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.good, "chain+name" },
		{ "HOST.example", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.good, "chain+name" },
		{ "other", "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.good, "chain+name" },
		{ "192.0.2.1", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.address, "chain+name" },
		{ "2001:db8:0::1", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.address, "chain+name" },
		{ "x", "192.0.2.1", PROTO_VERIFY_FULL, &pki.root, &pki.address, "chain+name" },
		{ "a.host.example", NULL, PROTO_VERIFY_FULL, &pki.root, &pki.wildcard,
		  "chain+name" },
		{ "other", NULL, PROTO_VERIFY_CHAIN, &pki.root, &pki.good, "chain" },
		{ "x", "y", PROTO_VERIFY_CHAIN, &pki.root, &pki.common_name, "chain" },
		/* The leaf as its own anchor, self-signed or not. */
		{ "host.example", NULL, PROTO_VERIFY_FULL, &pki.self_signed, &pki.self_signed,
		  "chain+name" },
		{ "host.example", NULL, PROTO_VERIFY_FULL, &pki.good, &pki.good, "chain+name" },
		/* An intermediate as anchor, with the root nowhere. */
		{ "host.example", NULL, PROTO_VERIFY_FULL, &pki.intermediate, &pki.by_intermediate,
		  "chain+name" },
		{ "x", NULL, PROTO_VERIFY_NONE, NULL, &pki.expired, "none" },
	};
	struct outcome outcome;

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = want(rows[i].host, rows[i].name, rows[i].verify);

		run(&outcome, &wanted, rows[i].anchor, rows[i].leaf);
		check_accepted(&outcome, rows[i].by);
	}
}

#define REFUSED(host, anchor, leaf, x509, text)							\
	{ host, NULL, PROTO_VERIFY_FULL, &pki.anchor, &pki.leaf, "X509_V_ERR_" x509, text }

static void test_rejected(void **state)
{
	static const struct {
		const char *host, *name;
		enum proto_verify verify;
		const struct identity *anchor, *leaf;
		const char *x509, *text;
	} rows[] = {
		REFUSED("host.example", other_root, good, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
			"unable to get local issuer certificate (certificate 0 of the chain): "
			"CN=good"),
		REFUSED("host.example", root, expired, "CERT_HAS_EXPIRED", "expired"),
		REFUSED("host.example", root, not_yet, "CERT_NOT_YET_VALID", "not yet valid"),
		REFUSED("host.example", root, self_signed, "DEPTH_ZERO_SELF_SIGNED_CERT", "self"),
		REFUSED("host.example", root, by_intermediate, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
			"CN=far"),
		REFUSED("host.example", root, client_use, "INVALID_PURPOSE", "CN=client"),
		REFUSED("host.example", root, weak, "EE_KEY_TOO_SMALL", "80 bits of security"),
		REFUSED("other.example", root, good, "HOSTNAME_MISMATCH",
			"not for other.example: CN=good"),
		REFUSED("example", root, good, "HOSTNAME_MISMATCH", "not for example"),
		REFUSED("x.host.example", root, good, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("host.example", root, common_name, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("ab.host.example", root, partial_wildcard, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("a.b.host.example", root, wildcard, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("host.example", root, wildcard, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("host.example", root, top_wildcard, "HOSTNAME_MISMATCH", "not for"),
		REFUSED("192.0.2.2", root, address, "IP_ADDRESS_MISMATCH", "not for 192.0.2.2"),
		REFUSED("192.0.2.1", root, good, "IP_ADDRESS_MISMATCH", "not for 192.0.2.1"),
		{ "host.example", "other.example", PROTO_VERIFY_FULL, &pki.root, &pki.good,
		  "X509_V_ERR_HOSTNAME_MISMATCH", "not for other.example" },
		{ "other", NULL, PROTO_VERIFY_CHAIN, &pki.other_root, &pki.good,
		  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "CN=good" },
		{ "other", NULL, PROTO_VERIFY_CHAIN, &pki.root, &pki.expired,
		  "X509_V_ERR_CERT_HAS_EXPIRED", "CN=expired" },
		/* Whoever checks nothing does not want to be burnt all the same. */
		{ "other", NULL, PROTO_VERIFY_NONE, NULL, &pki.weak,
		  "X509_V_ERR_EE_KEY_TOO_SMALL", "CN=weak" },
	};
	struct outcome outcome;

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = want(rows[i].host, rows[i].name, rows[i].verify);

		run(&outcome, &wanted, rows[i].anchor, rows[i].leaf);
		check_rejected(&outcome, rows[i].x509, rows[i].text);
	}
}

static void test_intermediate_from_the_peer(void **state)
{
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	run_chain(&outcome, &wanted, store_of(&pki.root), &pki.by_intermediate,
		  &pki.intermediate.cert, 1);
	check_accepted(&outcome, "chain+name");
}

/* A name in which a C string would end: never taken for its beginning. */
static void test_name_with_a_nul(void **state)
{
	_cleanup_(identity_free) struct identity id = make(.cn = "nul", .issuer = &pki.root);
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	assert_int_equal(ASN1_STRING_set(text, "host.example\0.evil", 18), 1);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, name);
	assert_int_equal(X509_add1_ext_i2d(id.cert, NID_subject_alt_name, names, 0, 0), 1);
	assert_true(X509_sign(id.cert, pki.root.key, EVP_sha256()) > 0);
	run(&outcome, &wanted, &pki.root, &id);
	assert_false(outcome.finished);
	assert_int_equal(outcome.status.error, PROTO_CERTIFICATE_REJECTED);
	GENERAL_NAMES_free(names);
}

static void test_name_constraints(void **state)
{
	_identity_ ca = make(.cn = "constrained", .ca = true, .issuer = &pki.root,
			     .constraints = "permitted;DNS:allowed.example");
	_identity_ leaf = make(.cn = "leaf", .names = "DNS:host.example", .issuer = &ca);
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	run_chain(&outcome, &wanted, store_of(&pki.root), &leaf, &ca.cert, 1);
	check_rejected(&outcome, "X509_V_ERR_PERMITTED_VIOLATION", "CN=leaf");
}

static void test_signature_that_is_wrong(void **state)
{
	/* The same issuer's name, another key. */
	_identity_ false_root = make(.cn = "root", .ca = true);
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	run(&outcome, &wanted, &false_root, &pki.good);
	check_rejected(&outcome, "X509_V_ERR_CERT_SIGNATURE_FAILURE", "CN=good");
}

/* --- what is told of it */

static void pin(struct proto_connect *wanted, enum proto_pin_kind kind, const struct identity *id);

#define NO_CULPRIT 9

static void expect_told(struct outcome *outcome, size_t n, size_t culprit, const char *problem)
{
	const struct proto_certificate *certs = outcome->trace.chain.items;

	assert_int_equal(outcome->trace.chain.n, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(certs[i].problem, i == culprit ? problem : "");
	proto_trace_deinit(&outcome->trace);
}

/* The chain as it was sent, and at the right place what is wrong in it: whatever the verdict. */
static void test_told(void **state)
{
	_identity_ late = make(.cn = "late", .ca = true, .issuer = &pki.root,
			       .from = -2 * DAY, .until = -DAY);
	_identity_ by_late = make(.cn = "by late", .names = "DNS:host.example", .issuer = &late);
	_identity_ late_root = make(.cn = "late root", .ca = true, .from = -2 * DAY, .until = -DAY);
	_identity_ by_late_root = make(.cn = "by late root", .names = "DNS:host.example",
				       .issuer = &late_root);
	_identity_ false_root = make(.cn = "root", .ca = true);
	const struct {
		const char *host;
		enum proto_verify verify;
		const struct identity *anchor, *leaf, *sent, *pinned;
		size_t culprit;
		const char *problem;
	} rows[] = {
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.by_intermediate, &pki.intermediate,
		  NULL, NO_CULPRIT, NULL },
		{ "host.example", PROTO_VERIFY_NONE, NULL, &pki.expired, NULL, NULL, NO_CULPRIT, NULL },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &by_late, &late, NULL, 1,
		  "X509_V_ERR_CERT_HAS_EXPIRED" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.expired, &pki.intermediate, NULL, 0,
		  "X509_V_ERR_CERT_HAS_EXPIRED" },
		{ "other.example", PROTO_VERIFY_FULL, &pki.root, &pki.by_intermediate,
		  &pki.intermediate, NULL, 0, "X509_V_ERR_HOSTNAME_MISMATCH" },
		{ "192.0.2.2", PROTO_VERIFY_FULL, &pki.root, &pki.address, NULL, NULL, 0,
		  "X509_V_ERR_IP_ADDRESS_MISMATCH" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.self_signed, NULL, NULL, 0,
		  "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.other_root, &pki.good, &pki.root, NULL, 1,
		  "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.other_root, &pki.by_intermediate,
		  &pki.intermediate, NULL, 1, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.by_intermediate, NULL, NULL, 0,
		  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY" },
		/* Its root is at fault, which it did not send; and then did. */
		{ "host.example", PROTO_VERIFY_FULL, &late_root, &by_late_root, NULL, NULL, NO_CULPRIT,
		  NULL },
		{ "host.example", PROTO_VERIFY_FULL, &late_root, &by_late_root, &late_root, NULL, 1,
		  "X509_V_ERR_CERT_HAS_EXPIRED" },
		{ "host.example", PROTO_VERIFY_FULL, &false_root, &pki.good, NULL, NULL, 0,
		  "X509_V_ERR_CERT_SIGNATURE_FAILURE" },
		{ "host.example", PROTO_VERIFY_FULL, NULL, &pki.good, &pki.root, &pki.root, 0,
		  "X509_V_ERR_CERT_REJECTED" },
		{ "host.example", PROTO_VERIFY_FULL, NULL, &pki.expired, NULL, &pki.expired, 0,
		  "X509_V_ERR_CERT_HAS_EXPIRED" },
		{ "host.example", PROTO_VERIFY_NONE, NULL, &pki.weak, NULL, NULL, 0,
		  "X509_V_ERR_EE_KEY_TOO_SMALL" },
	};
	struct outcome outcome;

	trace_wanted = true;
	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = want(rows[i].host, NULL, rows[i].verify);

		if (rows[i].pinned)
			pin(&wanted, PROTO_PIN_CERT, rows[i].pinned);
		run_chain(&outcome, &wanted, rows[i].anchor ? store_of(rows[i].anchor) : NULL,
			  rows[i].leaf, rows[i].sent ? &rows[i].sent->cert : NULL, rows[i].sent != NULL);
		expect_told(&outcome, 1 + (rows[i].sent != NULL), rows[i].culprit, rows[i].problem);
	}
	trace_wanted = false;
}

/* Without memory to tell of it there is no verdict, not even a good one. */
static void test_no_memory_to_tell(void **state)
{
	static const struct identity *const leaves[] = { &pki.good, &pki.expired };
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	trace_wanted = true;
	for (size_t i = 0; i < array_size(leaves); i++) {
		no_names = true;
		run(&outcome, &wanted, &pki.root, leaves[i]);
		no_names = false;
		assert_false(outcome.finished);
		assert_false(outcome.verify.accepted);
		assert_true(outcome.verify.rejected);
		assert_int_equal(outcome.status.error, PROTO_INTERNAL_ERROR);
		assert_int_equal(outcome.status.stage, PROTO_STAGE_HANDSHAKE);
		assert_int_equal(outcome.status.sys_errno, ENOMEM);
		proto_trace_deinit(&outcome.trace);
	}
	trace_wanted = false;
}

/* --- pins */

static void pin(struct proto_connect *wanted, enum proto_pin_kind kind, const struct identity *id)
{
	struct proto_pin *next = &wanted->trust.pins[wanted->trust.n_pins++];

	next->kind = kind;
	assert_true(cert_digest(id->cert, kind, next->sha256));
}

static void test_pins(void **state)
{
	static const struct {
		const char *host;
		enum proto_verify verify;
		const struct identity *anchor, *leaf, *pinned;
		const char *by;			/* NULL: rejected */
		const char *x509, *text;
	} rows[] = {
		/* Alone: that leaf, in its time, whatever its name and issuer. */
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.good, &pki.good, "pin", NULL, NULL },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.self_signed, &pki.self_signed, "pin", NULL,
		  NULL },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.good, &pki.address, NULL, "",
		  "none of those pinned: CN=good" },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.good, &pki.root, NULL, "", "pinned" },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.expired, &pki.expired, NULL,
		  "X509_V_ERR_CERT_HAS_EXPIRED", "has expired: CN=expired" },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.not_yet, &pki.not_yet, NULL,
		  "X509_V_ERR_CERT_NOT_YET_VALID", "not yet valid: CN=not yet" },
		{ "x", PROTO_VERIFY_FULL, NULL, &pki.weak, &pki.weak, NULL,
		  "X509_V_ERR_EE_KEY_TOO_SMALL", "CN=weak" },
		/* With a chain: all must hold. */
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.good, &pki.good,
		  "pin+chain+name", NULL, NULL },
		{ "x", PROTO_VERIFY_CHAIN, &pki.root, &pki.good, &pki.good, "pin+chain", NULL,
		  NULL },
		{ "x", PROTO_VERIFY_FULL, &pki.root, &pki.good, &pki.good, NULL,
		  "X509_V_ERR_HOSTNAME_MISMATCH", "not for x" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.other_root, &pki.good, &pki.good, NULL,
		  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "issuer" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.expired, &pki.expired, NULL,
		  "X509_V_ERR_CERT_HAS_EXPIRED", "expired" },
		{ "host.example", PROTO_VERIFY_FULL, &pki.root, &pki.good, &pki.expired, NULL, "",
		  "pinned" },
		/* Nothing but pins, if nothing else is wanted. */
		{ "x", PROTO_VERIFY_NONE, NULL, &pki.expired, &pki.expired, "pin", NULL, NULL },
		{ "x", PROTO_VERIFY_NONE, NULL, &pki.good, &pki.expired, NULL, "", "pinned" },
	};
	struct outcome outcome;

	for (size_t i = 0; i < 2 * array_size(rows); i++) {
		enum proto_pin_kind kind = i % 2 ? PROTO_PIN_SPKI : PROTO_PIN_CERT;
		struct proto_connect wanted = want(rows[i / 2].host, NULL, rows[i / 2].verify);

		pin(&wanted, kind, rows[i / 2].pinned);
		run(&outcome, &wanted, rows[i / 2].anchor, rows[i / 2].leaf);
		if (rows[i / 2].by)
			check_accepted(&outcome, rows[i / 2].by);
		else
			check_rejected(&outcome, rows[i / 2].x509, rows[i / 2].text);
	}
}

static void test_any_pin_will_do(void **state)
{
	struct proto_connect wanted = want("x", NULL, PROTO_VERIFY_FULL);
	struct outcome outcome;

	for (int i = 0; i < PROTO_PINS_MAX - 1; i++)
		pin(&wanted, i % 2 ? PROTO_PIN_CERT : PROTO_PIN_SPKI, &pki.expired);
	run(&outcome, &wanted, NULL, &pki.good);
	check_rejected(&outcome, "", "pinned");
	pin(&wanted, PROTO_PIN_SPKI, &pki.good);
	run(&outcome, &wanted, NULL, &pki.good);
	check_accepted(&outcome, "pin");
}

/* A digest of the one kind is none of the other. */
static void test_pins_of_the_wrong_kind(void **state)
{
	for (int kind = 0; kind < 2; kind++) {
		struct proto_connect wanted = want("x", NULL, PROTO_VERIFY_FULL);
		struct outcome outcome;

		pin(&wanted, kind ? PROTO_PIN_SPKI : PROTO_PIN_CERT, &pki.good);
		wanted.trust.pins[0].kind = kind ? PROTO_PIN_CERT : PROTO_PIN_SPKI;
		run(&outcome, &wanted, NULL, &pki.good);
		check_rejected(&outcome, "", "pinned");
	}
}

/* --- limits */

/* In every mode: nothing is verified here, and the limits hold. */
static void check_limit(const struct identity *leaf, X509 *const *others, size_t n,
			const char *x509, const char *text)
{
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_NONE);
	struct outcome outcome;

	run_chain(&outcome, &wanted, NULL, leaf, others, n);
	if (text)
		check_rejected(&outcome, x509, text);
	else
		check_accepted(&outcome, "none");
	wanted.trust.verify = PROTO_VERIFY_FULL;
	run_chain(&outcome, &wanted, store_of(&pki.root), leaf, others, n);
	if (text)
		check_rejected(&outcome, x509, text);
	else
		check_accepted(&outcome, "chain+name");
}

static void test_limit_of_certificates(void **state)
{
	X509 *many[VERIFY_CERTS_MAX];

	for (size_t i = 0; i < array_size(many); i++)
		many[i] = pki.intermediate.cert;
	check_limit(&pki.good, many, VERIFY_CERTS_MAX - 1, NULL, NULL);
	check_limit(&pki.good, many, VERIFY_CERTS_MAX, "X509_V_ERR_CERT_CHAIN_TOO_LONG",
		    "11 certificates, more than 10");
}

static void test_limit_of_depth(void **state)
{
	struct identity chain[VERIFY_DEPTH_MAX + 2] = { { 0 } };
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_FULL);
	X509 *others[VERIFY_DEPTH_MAX + 2];
	struct outcome outcome;

	/* chain[0] is the root; a leaf below depth 8 has 7 intermediates, and one is too many. */
	for (size_t i = 0; i < array_size(chain); i++) {
		chain[i] = make(.cn = "link", .ca = true, .issuer = i ? &chain[i - 1] : NULL);
		X509_NAME_add_entry_by_txt(X509_get_subject_name(chain[i].cert), "OU",
					   MBSTRING_ASC, (unsigned char[]){ (uint8_t)('a' + i), 0 },
					   -1, -1, 0);
		X509_sign(chain[i].cert, chain[i ? i - 1 : 0].key, EVP_sha256());
	}
	for (int too_deep = 0; too_deep < 2; too_deep++) {
		size_t n = VERIFY_DEPTH_MAX + (size_t)too_deep;
		_identity_ leaf = make(.cn = "leaf", .names = "DNS:host.example",
				       .issuer = &chain[n]);

		for (size_t i = 0; i < n; i++)
			others[i] = chain[n - i].cert;
		run_chain(&outcome, &wanted, store_of(&chain[0]), &leaf, others, n);
		if (too_deep)
			check_rejected(&outcome, "X509_V_ERR_CERT_CHAIN_TOO_LONG", "chain");
		else
			check_accepted(&outcome, "chain+name");
	}
	for (size_t i = 0; i < array_size(chain); i++)
		identity_free(&chain[i]);
}

static void test_limit_of_names(void **state)
{
	for (int too_many = 0; too_many < 2; too_many++) {
		GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
		_identity_ id = make(.cn = "names", .issuer = &pki.root);

		for (int i = 0; i < VERIFY_NAMES_MAX + too_many; i++) {
			GENERAL_NAME *name = GENERAL_NAME_new();
			ASN1_IA5STRING *text = ASN1_IA5STRING_new();

			ASN1_STRING_set(text, i ? "a.b" : "host.example", -1);
			GENERAL_NAME_set0_value(name, GEN_DNS, text);
			sk_GENERAL_NAME_push(names, name);
		}
		X509_add1_ext_i2d(id.cert, NID_subject_alt_name, names, 0, 0);
		X509_sign(id.cert, pki.root.key, EVP_sha256());
		assert_int_equal(cert_count_names(id.cert), VERIFY_NAMES_MAX + too_many);
		check_limit(&id, NULL, 0, "", too_many ? "more than 1000 names: CN=names" : NULL);
		GENERAL_NAMES_free(names);
	}
}

/* OpenSSL itself refuses a certificate of 40 KiB, and we are not asked. */
static void test_limit_of_bytes(void **state)
{
	_identity_ id = make(.cn = "bytes", .issuer = &pki.root);
	struct proto_connect wanted = want("host.example", NULL, PROTO_VERIFY_NONE);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	static uint8_t ballast[40000];
	struct outcome outcome;

	ASN1_OCTET_STRING_set(data, ballast, sizeof(ballast));
	X509_EXTENSION_create_by_NID(&extension, NID_netscape_comment, 0, data);
	X509_add_ext(id.cert, extension, -1);
	X509_sign(id.cert, pki.root.key, EVP_sha256());
	run(&outcome, &wanted, NULL, &id);
	assert_false(outcome.finished || outcome.verify.accepted || outcome.verify.rejected);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
}

/* --- the rest */

static void test_session_that_nobody_verifies(void **state)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method()), *server = server_ctx(&pki.good, NULL);
	struct ends ends;

	SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
	verify_install(client);
	ends_init(&ends, SSL_new(client), SSL_new(server));
	assert_false(shake(&ends));
	ends_deinit(&ends);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
}

static void test_names_that_cannot_be_checked(void **state)
{
	static const struct {
		const char *host, *name, *parameter;
	} rows[] = {
		{ "host.example", ".example", "trust.name" },
		{ "host.example", "", "trust.name" },
		{ "", NULL, "host" },
	};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	for (size_t i = 0; i < array_size(rows); i++) {
		struct proto_connect wanted = want(rows[i].host, rows[i].name, PROTO_VERIFY_FULL);
		struct proto_status status;
		struct verify verify;
		SSL *ssl = SSL_new(ctx);

		assert_int_equal(verify_init(&verify, ssl, &wanted, store_of(&pki.root), &status),
				 PROTO_INVALID_PARAMETER);
		assert_string_equal(status.parameter, rows[i].parameter);
		verify_deinit(&verify);
		SSL_free(ssl);
	}
	SSL_CTX_free(ctx);
}

static void test_what_a_request_wants(void **state)
{
	static char text[] = "x";
	static const struct {
		struct proto_trust trust;
		bool chain, none;
	} rows[] = {
		{ { .verify = PROTO_VERIFY_FULL }, true, false },
		{ { .verify = PROTO_VERIFY_CHAIN }, true, false },
		{ { .verify = PROTO_VERIFY_NONE }, false, true },
		{ { .verify = PROTO_VERIFY_NONE, .ca = text }, false, true },
		{ { .verify = PROTO_VERIFY_NONE, .n_pins = 1 }, false, true },
		{ { .verify = PROTO_VERIFY_FULL, .n_pins = 1 }, false, false },
		{ { .verify = PROTO_VERIFY_FULL, .n_pins = 1, .ca = text }, true, false },
		{ { .verify = PROTO_VERIFY_FULL, .n_pins = 1, .store = text }, true, false },
		{ { .verify = PROTO_VERIFY_FULL, .n_pins = 1, .name = text }, true, false },
	};

	for (size_t i = 0; i < array_size(rows); i++) {
		assert_int_equal(verify_wants_chain(&rows[i].trust), rows[i].chain);
		assert_int_equal(verify_is_none(&rows[i].trust), rows[i].none);
	}
}

static void test_dns_names(void **state)
{
	static const struct {
		const char *name, *dns;
	} rows[] = {
		{ "host.example", "host.example" }, { "host.example.", "host.example" },
		{ "a", "a" }, { "192.0.2.1", NULL }, { "::1", NULL }, { "::ffff:192.0.2.1", NULL },
		{ "192.0.2", "192.0.2" },
	};
	char dns[PROTO_HOST_MAX + 1];

	for (size_t i = 0; i < array_size(rows); i++) {
		assert_int_equal(verify_dns_name(dns, rows[i].name), rows[i].dns != NULL);
		if (rows[i].dns)
			assert_string_equal(dns, rows[i].dns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_rejected),
		cmocka_unit_test(test_intermediate_from_the_peer),
		cmocka_unit_test(test_name_with_a_nul),
		cmocka_unit_test(test_name_constraints),
		cmocka_unit_test(test_signature_that_is_wrong),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_no_memory_to_tell),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_any_pin_will_do),
		cmocka_unit_test(test_pins_of_the_wrong_kind),
		cmocka_unit_test(test_limit_of_certificates),
		cmocka_unit_test(test_limit_of_depth),
		cmocka_unit_test(test_limit_of_names),
		cmocka_unit_test(test_limit_of_bytes),
		cmocka_unit_test(test_session_that_nobody_verifies),
		cmocka_unit_test(test_names_that_cannot_be_checked),
		cmocka_unit_test(test_what_a_request_wants),
		cmocka_unit_test(test_dns_names),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
