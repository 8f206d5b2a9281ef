#include "proto/tlog/receipt.h"

#include "proto/base/text.h"
#include "proto/cbor/cbor.h"

/* RFC 9052, 3.1; RFC 9597; RFC 9942, 2 and 5.2. */
#define LABEL_ALG          1
#define LABEL_KID          4
#define LABEL_CWT          15
#define LABEL_VDS          395
#define LABEL_VDP          396
#define VDS_RFC9162_SHA256 1
#define VDP_INCLUSION      (-1)
#define CWT_ISS            1
#define CWT_SUB            2

#define RECEIPT_PROOF_MAX (32 + MERKLE_PROOF_MAX * 34)

static void receipt_put_proof(const struct receipt_place *place, struct buf *b)
{
	cbor_put_array(b, 3);
	cbor_put_uint(b, place->size);
	cbor_put_uint(b, place->index);
	cbor_put_array(b, place->n_path);
	for (size_t i = 0; i < place->n_path; i++)
		cbor_put_bytes(b, SPAN_OF(place->path[i].b));
}

bool receipt_write(const struct signer *signer, struct span origin,
	const struct receipt_place *place, const struct id *root, struct buf *out)
{
	uint8_t proof_bytes[RECEIPT_PROOF_MAX];
	uint8_t protected_bytes[512];
	uint8_t unprotected_bytes[RECEIPT_PROOF_MAX + 32];
	struct buf proof = BUF(proof_bytes);
	struct buf protected = BUF(protected_bytes);
	struct buf unprotected = BUF(unprotected_bytes);
	char issuer[DID_TEXT_MAX];

	if (origin.n == 0 || origin.n > NOTE_NAME_MAX || place->n_path > MERKLE_PROOF_MAX)
		return false;
	cbor_put_map(&protected, 4);
	cbor_put_uint(&protected, LABEL_ALG);
	cbor_put_int(&protected, COSE_ALG_EDDSA);
	cbor_put_uint(&protected, LABEL_KID);
	cbor_put_bytes(&protected, SPAN_OF(signer->public_key));
	cbor_put_uint(&protected, LABEL_CWT);
	cbor_put_map(&protected, 2);
	cbor_put_uint(&protected, CWT_ISS);
	cbor_put_str(&protected, did_text(&signer->issuer, issuer));
	cbor_put_uint(&protected, CWT_SUB);
	cbor_put_text(&protected, origin);
	cbor_put_uint(&protected, LABEL_VDS);
	cbor_put_uint(&protected, VDS_RFC9162_SHA256);

	receipt_put_proof(place, &proof);
	cbor_put_map(&unprotected, 1);
	cbor_put_uint(&unprotected, LABEL_VDP);
	cbor_put_map(&unprotected, 1);
	cbor_put_int(&unprotected, VDP_INCLUSION);
	cbor_put_array(&unprotected, 1);
	cbor_put_bytes(&unprotected, buf_span(&proof));
	if (!buf_ok(&proof) || !buf_ok(&protected) || !buf_ok(&unprotected))
		return false;
	return cose_sign_detached(
		signer, buf_span(&protected), buf_span(&unprotected), SPAN_OF(root->b), out);
}

/* The next item must be an integer of this value, or a container of that many entries. */
static bool receipt_expect_int(struct cbor_reader *r, int64_t value)
{
	struct cbor_item item;
	int64_t got;

	return cbor_read(r, &item) == REFUSED_NOT && cbor_int(&item, &got) && got == value;
}

static bool receipt_expect(struct cbor_reader *r, enum cbor_kind type, uint64_t entries)
{
	struct cbor_item item;

	return cbor_read(r, &item) == REFUSED_NOT && item.type == type && item.value == entries;
}

static bool receipt_string(struct cbor_reader *r, enum cbor_kind type, struct span *ret_string)
{
	struct cbor_item item;

	if (cbor_read(r, &item) != REFUSED_NOT || item.type != type)
		return false;
	*ret_string = item.string;
	return true;
}

static bool receipt_uint(struct cbor_reader *r, uint64_t *ret_value)
{
	struct cbor_item item;

	if (cbor_read(r, &item) != REFUSED_NOT || item.type != CBOR_UINT)
		return false;
	*ret_value = item.value;
	return true;
}

static bool receipt_parse_protected(struct span bytes, struct receipt *receipt)
{
	struct cbor_reader r = cbor_over(bytes);
	struct span kid;
	struct span issuer;

	if (cbor_check(bytes) != REFUSED_NOT || !receipt_expect(&r, CBOR_MAP, 4))
		return false;
	if (!receipt_expect_int(&r, LABEL_ALG) || !receipt_expect_int(&r, COSE_ALG_EDDSA) ||
		!receipt_expect_int(&r, LABEL_KID) || !receipt_string(&r, CBOR_BYTES, &kid) ||
		kid.n != sizeof(receipt->key))
		return false;
	memcpy(receipt->key, kid.p, kid.n);
	if (!receipt_expect_int(&r, LABEL_CWT) || !receipt_expect(&r, CBOR_MAP, 2) ||
		!receipt_expect_int(&r, CWT_ISS) || !receipt_string(&r, CBOR_TEXT, &issuer) ||
		did_parse(issuer, &receipt->issuer) < 0)
		return false;
	if (!receipt_expect_int(&r, CWT_SUB) || !receipt_string(&r, CBOR_TEXT, &receipt->origin) ||
		receipt->origin.n == 0 || receipt->origin.n > NOTE_NAME_MAX)
		return false;
	return receipt_expect_int(&r, LABEL_VDS) && receipt_expect_int(&r, VDS_RFC9162_SHA256);
}

static bool receipt_parse_proof(struct span bytes, struct receipt_place *place)
{
	struct cbor_reader r = cbor_over(bytes);
	struct cbor_item path;

	if (cbor_check(bytes) != REFUSED_NOT || !receipt_expect(&r, CBOR_ARRAY, 3))
		return false;
	if (!receipt_uint(&r, &place->size) || !receipt_uint(&r, &place->index) ||
		place->index >= place->size)
		return false;
	if (cbor_read(&r, &path) != REFUSED_NOT || path.type != CBOR_ARRAY ||
		path.value > MERKLE_PROOF_MAX)
		return false;
	place->n_path = (size_t)path.value;
	for (size_t i = 0; i < place->n_path; i++) {
		struct span hash;

		if (!receipt_string(&r, CBOR_BYTES, &hash) || hash.n != sizeof(place->path[i].b))
			return false;
		memcpy(place->path[i].b, hash.p, hash.n);
	}
	return true;
}

static bool receipt_parse_unprotected(struct span bytes, struct receipt_place *place)
{
	struct cbor_reader r = cbor_over(bytes);
	struct span proof;

	return cbor_check(bytes) == REFUSED_NOT && receipt_expect(&r, CBOR_MAP, 1) &&
	       receipt_expect_int(&r, LABEL_VDP) && receipt_expect(&r, CBOR_MAP, 1) &&
	       receipt_expect_int(&r, VDP_INCLUSION) && receipt_expect(&r, CBOR_ARRAY, 1) &&
	       receipt_string(&r, CBOR_BYTES, &proof) && receipt_parse_proof(proof, place);
}

enum refusal receipt_parse(struct span bytes, struct receipt *ret_receipt)
{
	struct receipt receipt = { 0 };

	if (bytes.n > RECEIPT_MAX || cose_split(bytes, &receipt.parts) != REFUSED_NOT ||
		receipt.parts.payload.p != NULL || receipt.parts.signature.n != COSE_SIGNATURE ||
		!receipt_parse_protected(receipt.parts.protected, &receipt) ||
		!receipt_parse_unprotected(receipt.parts.unprotected, &receipt.place))
		return REFUSED_RECEIPT_INVALID;
	*ret_receipt = receipt;
	return REFUSED_NOT;
}

enum refusal receipt_verify(const struct receipt *receipt, const struct id *leaf,
	const uint8_t key[static 32], struct id *ret_root)
{
	const struct receipt_place *place = &receipt->place;
	struct cose_parts parts = receipt->parts;
	struct id root;
	enum refusal refusal = merkle_inclusion_root(
		leaf, place->index, place->size, place->path, place->n_path, &root);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (memcmp(receipt->key, key, sizeof(receipt->key)) != 0)
		return REFUSED_RECEIPT_INVALID;
	parts.payload = SPAN_OF(root.b);
	if (cose_verify(&parts, COSE_ALG_EDDSA, SPAN(key, 32), SPAN(NULL, 0)) != REFUSED_NOT)
		return REFUSED_RECEIPT_INVALID;
	if (ret_root != NULL)
		*ret_root = root;
	return REFUSED_NOT;
}
