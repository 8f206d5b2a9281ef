#pragma once
/*
 * COSE_Sign1 (RFC 9052, 4.2) in the one form that a statement has: tag 18, a protected header with
 * alg, content type, kid and CWT claims (RFC 9597), an empty unprotected header, an attached
 * payload. What the payload means is statement/; which key belongs to whom is statement/keyring.h.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"

#define COSE_MAX       65535 /* bytes of one COSE_Sign1, and of its Sig_structure less its framing */
#define COSE_SIGNATURE 64
#define COSE_KEY_MAX   33 /* Ed25519: 32; P-256: 33, compressed (SEC 1, 2.3.3) */

/* RFC 9053, 2.1 and 2.2; RFC 9864 for the fully specified numbers. */
enum cose_alg {
	COSE_ALG_EDDSA = -8,
	COSE_ALG_ED25519 = -19,
	COSE_ALG_ES256 = -7,
	COSE_ALG_ESP256 = -9,
};

/* Whoever signs: always EdDSA with an Ed25519 working key. kid is the key itself. */
struct signer {
	struct did issuer;
	uint8_t public_key[32];
	uint8_t secret_key[64]; /* libsodium's form: seed and public key */
};

/* The four elements of a COSE_Sign1 as they stand, spans into the source. */
struct cose_parts {
	struct span protected; /* content of the bstr */
	struct span unprotected; /* the encoded map */
	struct span payload; /* content of the bstr; p is NULL where it is detached */
	struct span signature;
};

/* A statement's envelope: every field checked for shape. Spans point into the source. */
struct cose_sign1 {
	struct cose_parts parts;
	enum cose_alg alg;
	struct span content_type;
	struct span kid;
	struct did issuer; /* iss, a did:key */
	struct span subject; /* sub */
	int64_t issued_at_s; /* iat */
	struct id id; /* SHA-256 of the Sig_structure */
};

/* Strict CBOR, tag 18 and four elements of the right types. REFUSED_NOT, CBOR_* or COSE_SHAPE. */
_must_check_ enum refusal cose_split(struct span bytes, struct cose_parts *ret_parts);

/* cose_split(), then the header profile above. COSE_HEADER, COSE_UNPROTECTED, COSE_ALGORITHM, ...
 */
_must_check_ enum refusal cose_parse(struct span bytes, struct cose_sign1 *ret_sign1);

/*
 * Verifies parts under key with the algorithm alg. key: 32 bytes of Ed25519, or 33 (compressed) or
 * 65 bytes of P-256. external_aad is empty in every statement. REFUSED_NOT, COSE_ALGORITHM (key and
 * algorithm do not fit) or COSE_SIGNATURE.
 */
_must_check_ enum refusal cose_verify(const struct cose_parts *parts, enum cose_alg alg,
	struct span key, struct span external_aad);

/* What a new statement's header says. */
struct cose_header {
	struct span content_type;
	struct span subject;
	int64_t issued_at_s;
};

/*
 * Signs payload and appends the whole COSE_Sign1 to out. ret_id gets the statement's id. Returns
 * false where out is too small or the payload too large.
 */
_must_check_ bool cose_sign(const struct signer *signer, const struct cose_header *header,
	struct span payload, struct buf *out, struct id *ret_id);

/*
 * Signs an arbitrary protected header over a payload that stays detached: what a COSE Receipt
 * needs. unprotected is an encoded map. Appends to out; false where it is too small.
 */
_must_check_ bool cose_sign_detached(const struct signer *signer, struct span protected,
	struct span unprotected, struct span payload, struct buf *out);

/* How many signatures were made and verified in this process: the benches print them. */
struct cose_counts {
	uint64_t signatures;
	uint64_t verifications;
};

/* A snapshot of the counters. */
struct cose_counts cose_counts(void);
/* For callers that verify a signature outside of COSE (notes). */
void cose_count_verification(void);
void cose_count_signature(void);
