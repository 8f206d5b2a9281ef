#include "proto/cose/cose.h"

#include "proto/base/sha256.h"
#include "proto/base/text.h"
#include "proto/cbor/cbor.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdatomic.h>

/* RFC 9052, 3.1; RFC 9597, 2 for the CWT claims; RFC 8392, 3.1 for the claims' keys. */
#define HEADER_ALG          1
#define HEADER_CONTENT_TYPE 3
#define HEADER_KID          4
#define HEADER_CWT_CLAIMS   15
#define CLAIM_ISS           1
#define CLAIM_SUB           2
#define CLAIM_IAT           6

#define TBS_MAX           (COSE_MAX + 64)
#define P256_COMPRESSED   33
#define P256_UNCOMPRESSED 65

static _Atomic uint64_t n_signatures;
static _Atomic uint64_t n_verifications;

struct cose_counts cose_counts(void)
{
	return (struct cose_counts){
		.signatures = atomic_load_explicit(&n_signatures, memory_order_relaxed),
		.verifications = atomic_load_explicit(&n_verifications, memory_order_relaxed),
	};
}

void cose_count_verification(void)
{
	atomic_fetch_add_explicit(&n_verifications, 1, memory_order_relaxed);
}

void cose_count_signature(void)
{
	atomic_fetch_add_explicit(&n_signatures, 1, memory_order_relaxed);
}

/* Sig_structure of RFC 9052, 4.4. An empty map as protected header counts as no bytes there. */
static void put_tbs(
	struct buf *b, struct span protected, struct span external_aad, struct span payload)
{
	if (protected.n == 1 && protected.p[0] == 0xa0)
	protected.n = 0;
	cbor_put_array(b, 4);
	cbor_put_str(b, "Signature1");
	cbor_put_bytes(b, protected);
	cbor_put_bytes(b, external_aad);
	cbor_put_bytes(b, payload);
}

static bool read_bytes(struct cbor_reader *r, struct span *ret_bytes)
{
	struct cbor_item item;

	if (cbor_read(r, &item) != REFUSED_NOT || item.type != CBOR_BYTES)
		return false;
	*ret_bytes = item.string;
	return true;
}

enum refusal cose_split(struct span bytes, struct cose_parts *ret_parts)
{
	struct cose_parts parts = { 0 };
	struct cbor_reader r = cbor_over(bytes);
	struct cbor_item item;

	if (bytes.n > COSE_MAX)
		return REFUSED_STATEMENT_TOO_LARGE;

	enum refusal refusal = cbor_check(bytes);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (cbor_read(&r, &item) != REFUSED_NOT || item.type != CBOR_TAG ||
		item.value != CBOR_TAG_SIGN1)
		return REFUSED_COSE_SHAPE;
	if (cbor_read(&r, &item) != REFUSED_NOT || item.type != CBOR_ARRAY || item.value != 4)
		return REFUSED_COSE_SHAPE;
	if (!read_bytes(&r, &parts.protected))
		return REFUSED_COSE_SHAPE;

	const uint8_t *map = r.p;

	if (cbor_read(&r, &item) != REFUSED_NOT || item.type != CBOR_MAP)
		return REFUSED_COSE_SHAPE;
	r.p = map;
	if (cbor_skip(&r) != REFUSED_NOT)
		return REFUSED_COSE_SHAPE;
	parts.unprotected = SPAN(map, (size_t)(r.p - map));
	if (cbor_read(&r, &item) != REFUSED_NOT ||
		(item.type != CBOR_BYTES && item.type != CBOR_NULL))
		return REFUSED_COSE_SHAPE;
	parts.payload = item.string;
	if (!read_bytes(&r, &parts.signature))
		return REFUSED_COSE_SHAPE;
	*ret_parts = parts;
	return REFUSED_NOT;
}

/* The CWT claims: iss, sub and iat, each once and nothing else. */
static bool read_claims(struct cbor_reader *r, struct cose_sign1 *s)
{
	struct cbor_item item;
	int64_t key;

	if (cbor_read(r, &item) != REFUSED_NOT || item.type != CBOR_MAP || item.value != 3)
		return false;
	for (int i = 0; i < 3; i++) {
		static const int64_t keys[] = { CLAIM_ISS, CLAIM_SUB, CLAIM_IAT };

		if (cbor_read(r, &item) != REFUSED_NOT || !cbor_int(&item, &key) || key != keys[i])
			return false;
		if (cbor_read(r, &item) != REFUSED_NOT)
			return false;
		if (key == CLAIM_IAT) {
			if (!cbor_int(&item, &s->issued_at_s) || s->issued_at_s < 0)
				return false;
			continue;
		}
		if (item.type != CBOR_TEXT)
			return false;
		if (key == CLAIM_ISS && did_parse(item.string, &s->issuer) < 0)
			return false;
		if (key == CLAIM_SUB)
			s->subject = item.string;
	}
	return true;
}

static enum refusal read_protected(struct cose_sign1 *s)
{
	static const int64_t keys[] = { HEADER_ALG, HEADER_CONTENT_TYPE, HEADER_KID,
		HEADER_CWT_CLAIMS };
	struct cbor_reader r = cbor_over(s->parts.protected);
	struct cbor_item item;
	int64_t number;

	enum refusal refusal = cbor_check(s->parts.protected);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (cbor_read(&r, &item) != REFUSED_NOT || item.type != CBOR_MAP ||
		item.value != ARRAY_SIZE(keys))
		return REFUSED_COSE_HEADER;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (cbor_read(&r, &item) != REFUSED_NOT || !cbor_int(&item, &number) ||
			number != keys[i])
			return REFUSED_COSE_HEADER;
		if (keys[i] == HEADER_CWT_CLAIMS) {
			if (!read_claims(&r, s))
				return REFUSED_COSE_HEADER;
			continue;
		}
		if (cbor_read(&r, &item) != REFUSED_NOT)
			return REFUSED_COSE_HEADER;
		if (keys[i] == HEADER_ALG) {
			if (!cbor_int(&item, &number))
				return REFUSED_COSE_HEADER;
			if (number != COSE_ALG_EDDSA && number != COSE_ALG_ED25519 &&
				number != COSE_ALG_ES256 && number != COSE_ALG_ESP256)
				return REFUSED_COSE_ALGORITHM;
			s->alg = (enum cose_alg)number;
		} else if (keys[i] == HEADER_CONTENT_TYPE) {
			if (item.type != CBOR_TEXT)
				return REFUSED_COSE_HEADER;
			s->content_type = item.string;
		} else {
			if (item.type != CBOR_BYTES || item.string.n < 32 ||
				item.string.n > COSE_KEY_MAX)
				return REFUSED_COSE_HEADER;
			s->kid = item.string;
		}
	}
	return REFUSED_NOT;
}

enum refusal cose_parse(struct span bytes, struct cose_sign1 *ret_sign1)
{
	struct cose_sign1 s = { 0 };
	enum refusal refusal = cose_split(bytes, &s.parts);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (s.parts.unprotected.n != 1)
		return REFUSED_COSE_UNPROTECTED;
	if (!s.parts.payload.p || s.parts.signature.n != COSE_SIGNATURE)
		return REFUSED_COSE_SHAPE;
	refusal = read_protected(&s);
	if (refusal != REFUSED_NOT)
		return refusal;

	uint8_t head[64];
	struct buf tbs = BUF(head);

	/* The Sig_structure is hashed in pieces: its framing, then the two strings where they lie.
	 */
	cbor_put_array(&tbs, 4);
	cbor_put_str(&tbs, "Signature1");

	uint8_t lengths[2][9];
	struct buf protected_head = BUF(lengths[0]);
	struct buf payload_head = BUF(lengths[1]);
	size_t n = s.parts.protected.n;

	cbor_put_uint(&protected_head, n);
	cbor_put_uint(&payload_head, s.parts.payload.n);
	lengths[0][0] |= 0x40; /* the same head as an integer's, with major type 2 */
	lengths[1][0] |= 0x40;
	s.id = SHA256(buf_span(&tbs), buf_span(&protected_head), s.parts.protected, SPAN("\x40", 1),
		buf_span(&payload_head), s.parts.payload);
	*ret_sign1 = s;
	return REFUSED_NOT;
}

static void pkey_free(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static void pkey_ctx_free(EVP_PKEY_CTX **p)
{
	EVP_PKEY_CTX_free(*p);
}

static void md_ctx_free(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

static void ecdsa_sig_free(ECDSA_SIG **p)
{
	ECDSA_SIG_free(*p);
}

/* ECDSA on P-256 with SHA-256; the signature is r || s (RFC 9053, 2.1). */
static bool verify_es256(struct span key, struct span tbs, struct span signature)
{
	_cleanup_(pkey_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	_cleanup_(pkey_free) EVP_PKEY *pkey = NULL;
	_cleanup_(md_ctx_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
	_cleanup_(ecdsa_sig_free) ECDSA_SIG *sig = ECDSA_SIG_new();
	char group[] = "prime256v1";
	uint8_t point[P256_UNCOMPRESSED];
	uint8_t der[80];
	uint8_t *der_end = der;

	memcpy(point, key.p, key.n);

	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, key.n),
		OSSL_PARAM_construct_end(),
	};

	/* OpenSSL would also read the hybrid form, 06 or 07. */
	if (key.n == P256_UNCOMPRESSED && key.p[0] != 4)
		return false;
	if (!ctx || !md || !sig || EVP_PKEY_fromdata_init(ctx) <= 0 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		return false;

	BIGNUM *r = BN_bin2bn(signature.p, 32, NULL);
	BIGNUM *s = BN_bin2bn(signature.p + 32, 32, NULL);

	if (!r || !s || !ECDSA_SIG_set0(sig, r, s)) {
		BN_free(r);
		BN_free(s);
		return false;
	}

	int der_n = i2d_ECDSA_SIG(sig, &der_end);

	return der_n > 0 && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, pkey) > 0 &&
	       EVP_DigestVerify(md, der, (size_t)der_n, tbs.p, tbs.n) == 1;
}

enum refusal cose_verify(const struct cose_parts *parts, enum cose_alg alg, struct span key,
	struct span external_aad)
{
	uint8_t bytes[TBS_MAX];
	struct buf tbs = BUF(bytes);
	bool valid = false;

	if (parts->signature.n != COSE_SIGNATURE)
		return REFUSED_COSE_SIGNATURE;
	put_tbs(&tbs, parts->protected, external_aad, parts->payload);
	if (!buf_ok(&tbs))
		return REFUSED_STATEMENT_TOO_LARGE;
	switch (alg) {
	case COSE_ALG_EDDSA:
	case COSE_ALG_ED25519:
		if (key.n != crypto_sign_PUBLICKEYBYTES)
			return REFUSED_COSE_ALGORITHM;
		valid = crypto_sign_verify_detached(parts->signature.p, tbs.p, tbs.n, key.p) == 0;
		break;
	case COSE_ALG_ES256:
	case COSE_ALG_ESP256:
		if (key.n != P256_COMPRESSED && key.n != P256_UNCOMPRESSED)
			return REFUSED_COSE_ALGORITHM;
		valid = verify_es256(key, buf_span(&tbs), parts->signature);
		break;
	}
	cose_count_verification();
	return valid ? REFUSED_NOT : REFUSED_COSE_SIGNATURE;
}

static void put_protected(
	struct buf *b, const struct signer *signer, const struct cose_header *header)
{
	char issuer[DID_TEXT_MAX];

	cbor_put_map(b, 4);
	cbor_put_uint(b, HEADER_ALG);
	cbor_put_int(b, COSE_ALG_EDDSA);
	cbor_put_uint(b, HEADER_CONTENT_TYPE);
	cbor_put_text(b, header->content_type);
	cbor_put_uint(b, HEADER_KID);
	cbor_put_bytes(b, SPAN_OF(signer->public_key));
	cbor_put_uint(b, HEADER_CWT_CLAIMS);
	cbor_put_map(b, 3);
	cbor_put_uint(b, CLAIM_ISS);
	cbor_put_str(b, did_text(&signer->issuer, issuer));
	cbor_put_uint(b, CLAIM_SUB);
	cbor_put_text(b, header->subject);
	cbor_put_uint(b, CLAIM_IAT);
	cbor_put_int(b, header->issued_at_s);
}

/* The signature over protected and payload, and the id. False where the Sig_structure has no room.
 */
static bool sign(const struct signer *signer, struct span protected, struct span payload,
	uint8_t ret_signature[static COSE_SIGNATURE], struct id *ret_id)
{
	uint8_t bytes[TBS_MAX];
	struct buf tbs = BUF(bytes);

	put_tbs(&tbs, protected, SPAN(NULL, 0), payload);
	if (!buf_ok(&tbs))
		return false;
	if (crypto_sign_detached(ret_signature, NULL, tbs.p, tbs.n, signer->secret_key) != 0)
		return false;
	*ret_id = SHA256(buf_span(&tbs));
	cose_count_signature();
	return true;
}

bool cose_sign(const struct signer *signer, const struct cose_header *header, struct span payload,
	struct buf *out, struct id *ret_id)
{
	uint8_t protected_bytes[512];
	struct buf protected = BUF(protected_bytes);
	uint8_t signature[COSE_SIGNATURE];
	size_t start = out->n;
	struct id id;

	put_protected(&protected, signer, header);
	if (!buf_ok(&protected) || !sign(signer, buf_span(&protected), payload, signature, &id))
		return false;
	cbor_put_tag(out, CBOR_TAG_SIGN1);
	cbor_put_array(out, 4);
	cbor_put_bytes(out, buf_span(&protected));
	cbor_put_map(out, 0);
	cbor_put_bytes(out, payload);
	cbor_put_bytes(out, SPAN_OF(signature));
	if (!buf_ok(out) || out->n - start > COSE_MAX)
		return false;
	*ret_id = id;
	return true;
}

bool cose_sign_detached(const struct signer *signer, struct span protected, struct span unprotected,
	struct span payload, struct buf *out)
{
	uint8_t signature[COSE_SIGNATURE];
	struct id id;

	if (!sign(signer, protected, payload, signature, &id))
		return false;
	cbor_put_tag(out, CBOR_TAG_SIGN1);
	cbor_put_array(out, 4);
	cbor_put_bytes(out, protected);
	buf_put(out, unprotected.p, unprotected.n);
	cbor_put_null(out);
	cbor_put_bytes(out, SPAN_OF(signature));
	return buf_ok(out);
}
