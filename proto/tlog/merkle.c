#include "proto/tlog/merkle.h"

#include "proto/base/sha256.h"

struct id merkle_leaf(struct span entry)
{
	static const uint8_t prefix = 0x00;

	return SHA256(SPAN_OF(prefix), entry);
}

struct id merkle_node(const struct id *left, const struct id *right)
{
	static const uint8_t prefix = 0x01;

	return SHA256(SPAN_OF(prefix), SPAN_OF(left->b), SPAN_OF(right->b));
}

struct id merkle_empty(void)
{
	return SHA256(SPAN(NULL, 0));
}

enum refusal merkle_inclusion_root(const struct id *leaf, uint64_t index, uint64_t size,
	const struct id *proof, size_t n_proof, struct id *ret_root)
{
	uint64_t fn = index;
	uint64_t sn;
	struct id r = *leaf;

	if (index >= size || n_proof > MERKLE_PROOF_MAX)
		return REFUSED_RECEIPT_INVALID;
	sn = size - 1;
	for (size_t i = 0; i < n_proof; i++) {
		if (sn == 0)
			return REFUSED_RECEIPT_INVALID;
		if ((fn & 1) != 0 || fn == sn) {
			r = merkle_node(&proof[i], &r);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			r = merkle_node(&r, &proof[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0)
		return REFUSED_RECEIPT_INVALID;
	*ret_root = r;
	return REFUSED_NOT;
}

enum refusal merkle_verify_inclusion(const struct id *leaf, uint64_t index, uint64_t size,
	const struct id *proof, size_t n_proof, const struct id *root)
{
	struct id r;
	enum refusal refusal = merkle_inclusion_root(leaf, index, size, proof, n_proof, &r);

	if (refusal != REFUSED_NOT)
		return refusal;
	return id_eq(&r, root) ? REFUSED_NOT : REFUSED_RECEIPT_INVALID;
}

enum refusal merkle_verify_consistency(uint64_t size1, const struct id *root1, uint64_t size2,
	const struct id *root2, const struct id *proof, size_t n_proof)
{
	uint64_t fn;
	uint64_t sn;
	size_t i = 0;
	struct id fr;
	struct id sr;

	if (size1 == 0 && size2 == 0) {
		fr = merkle_empty();
		if (!id_eq(root1, &fr))
			return REFUSED_RECEIPT_INVALID;
	}
	if (size1 == size2)
		return n_proof == 0 && id_eq(root1, root2) ? REFUSED_NOT : REFUSED_RECEIPT_INVALID;
	if (size1 == 0 || size1 > size2 || n_proof == 0 || n_proof > MERKLE_PROOF_MAX + 1)
		return REFUSED_RECEIPT_INVALID;

	/* RFC 9162, 2.1.4.2: where size1 is a power of two, root1 is the first node of the path. */
	fr = (size1 & (size1 - 1)) == 0 ? *root1 : proof[i++];
	sr = fr;
	fn = size1 - 1;
	sn = size2 - 1;
	while ((fn & 1) != 0) {
		fn >>= 1;
		sn >>= 1;
	}
	for (; i < n_proof; i++) {
		if (sn == 0)
			return REFUSED_RECEIPT_INVALID;
		if ((fn & 1) != 0 || fn == sn) {
			fr = merkle_node(&proof[i], &fr);
			sr = merkle_node(&proof[i], &sr);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			sr = merkle_node(&sr, &proof[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && id_eq(&fr, root1) && id_eq(&sr, root2) ? REFUSED_NOT
								 : REFUSED_RECEIPT_INVALID;
}
