/* SPDX-License-Identifier: MIT */
#include "daemon/spki.h"

#include "proto/util.h"

#include <stdbool.h>
#include <string.h>

#define INTEGER 0x02
#define BIT_STRING 0x03
#define OBJECT_IDENTIFIER 0x06
#define SEQUENCE 0x30
#define VERSION 0xa0
#define LENGTH_SIZE_MAX 3
#define UNCOMPRESSED 4

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define UNREADABLE "a certificate that cannot be read"

/* Bytes that are not yet walked. */
struct span {
	const uint8_t *at;
	size_t n;
};

struct oid {
	size_t n;
	const char *bytes;
};

#define OID(bytes) { sizeof(bytes) - 1, bytes }

static bool is(struct span span, const struct oid *oid)
{
	return span.n == oid->n && memcmp(span.at, oid->bytes, oid->n) == 0;
}

/* How many bytes are tag and length, the latter definite and minimal (X.690, 10.1); 0: not DER. */
static size_t take_header(struct span from, uint8_t tag, size_t *length)
{
	size_t n;

	if (from.n < 2 || from.at[0] != tag)
		return 0;
	*length = from.at[1];
	if (*length < 0x80)
		return 2;
	n = *length & 0x7f;
	if (n == 0 || n > LENGTH_SIZE_MAX || from.n < 2 + n)
		return 0;
	*length = 0;
	for (size_t i = 0; i < n; i++)
		*length = *length << 8 | from.at[2 + i];
	return *length < 0x80 || *length >> 8 * (n - 1) == 0 ? 0 : 2 + n;
}

static bool take(struct span *from, uint8_t tag, struct span *body)
{
	size_t length, header = take_header(*from, tag, &length);

	if (!header || length > from->n - header)
		return false;
	*body = (struct span){ from->at + header, length };
	from->at += header + length;
	from->n -= header + length;
	return true;
}

/* A number that is not negative; all there is of it to know is its size. */
static bool take_number(struct span *from, size_t *bits)
{
	struct span body;
	bool padded;

	if (!take(from, INTEGER, &body) || body.n == 0 || body.at[0] >= 0x80)
		return false;
	padded = body.n > 1 && body.at[0] == 0;
	if (padded && body.at[1] < 0x80)
		return false;
	*bits = (body.n - padded - 1) * 8;
	for (unsigned int top = body.at[padded]; top; top >>= 1)
		++*bits;
	return true;
}

static const char *rsa_fault(struct span parameters, struct span key)
{
	struct span numbers;
	size_t modulus, exponent;

	if (!take(&key, SEQUENCE, &numbers) || key.n || !take_number(&numbers, &modulus) ||
	    !take_number(&numbers, &exponent) || numbers.n)
		return UNREADABLE;
	if (modulus > SPKI_RSA_BITS_MAX)
		return "a certificate with an RSA key of more than " TEXT_OF(SPKI_RSA_BITS_MAX)
		       " bits";
	if (exponent > SPKI_RSA_EXPONENT_BITS_MAX)
		return "a certificate with an RSA key with an exponent of more than "
		       TEXT_OF(SPKI_RSA_EXPONENT_BITS_MAX) " bits";
	return NULL;
}

/* On other curves, and they may be of anybody's making, points are at anybody's price. */
static const char *ec_fault(struct span parameters, struct span key)
{
	static const struct oid curves[] = {
		OID("\x2a\x86\x48\xce\x3d\x03\x01\x07"),	/* P-256 */
		OID("\x2b\x81\x04\x00\x22"),			/* P-384 */
		OID("\x2b\x81\x04\x00\x23"),			/* P-521 */
	};
	struct span curve;
	bool known = false;

	if (parameters.n && parameters.at[0] == SEQUENCE)
		return "a certificate with an EC key with explicit parameters instead of a named "
		       "curve";
	if (!take(&parameters, OBJECT_IDENTIFIER, &curve) || parameters.n || key.n == 0)
		return UNREADABLE;
	for (size_t i = 0; i < array_size(curves); i++)
		known |= is(curve, &curves[i]);
	if (!known)
		return "a certificate with an EC key on another curve than P-256, P-384 and P-521";
	if (key.at[0] != UNCOMPRESSED)
		return "a certificate with an EC key in another form than uncompressed";
	return NULL;
}

static const char *edwards_fault(struct span parameters, struct span key)
{
	return NULL;
}

/* SubjectPublicKeyInfo (RFC 5280, 4.1): who is asked about it depends on the type of the key. */
static const char *key_fault(struct span spki)
{
	static const struct {
		struct oid oid;
		const char *(*fault)(struct span parameters, struct span key);
	} types[] = {
		{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), rsa_fault },	/* rsaEncryption */
		{ OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), rsa_fault },	/* RSASSA-PSS */
		{ OID("\x2a\x86\x48\xce\x3d\x02\x01"), ec_fault },	/* ecPublicKey */
		{ OID("\x2b\x65\x70"), edwards_fault },		/* Ed25519 */
		{ OID("\x2b\x65\x71"), edwards_fault },		/* Ed448 */
	};
	struct span algorithm, oid, key;

	if (!take(&spki, SEQUENCE, &algorithm) || !take(&spki, BIT_STRING, &key) || spki.n ||
	    !take(&algorithm, OBJECT_IDENTIFIER, &oid) || key.n == 0 || key.at[0] != 0)
		return UNREADABLE;
	key = (struct span){ key.at + 1, key.n - 1 };
	for (size_t i = 0; i < array_size(types); i++)
		if (is(oid, &types[i].oid))
			return types[i].fault(algorithm, key);
	return "a certificate with a public key of a type that is not accepted";
}

const char *spki_fault(const uint8_t *der, size_t size)
{
	/* serialNumber, signature, issuer, validity, subject */
	static const uint8_t before[] = { INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE };
	struct span rest = { der, size }, certificate, tbs, skipped;
	size_t seen;

	/* These two may go on behind what is there to be looked at. */
	if (!take(&rest, SEQUENCE, &certificate) || rest.n || !take(&certificate, SEQUENCE, &tbs))
		return UNREADABLE;
	seen = (size_t)(tbs.at - der);
	if (tbs.n > SPKI_HEAD_MAX - seen)
		tbs.n = SPKI_HEAD_MAX - seen;
	take(&tbs, VERSION, &skipped);
	for (size_t i = 0; i < array_size(before); i++)
		if (!take(&tbs, before[i], &skipped))
			return UNREADABLE;
	return take(&tbs, SEQUENCE, &skipped) ? key_fault(skipped) : UNREADABLE;
}
