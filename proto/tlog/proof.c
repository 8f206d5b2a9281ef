#include "proto/tlog/proof.h"

#include "proto/base/text.h"

char *proof_origin(const struct did *log, char out[static PROOF_ORIGIN_MAX])
{
	static const char prefix[] = "assay/";

	static_assert(sizeof(prefix) - 1 + DID_TEXT_MAX <= PROOF_ORIGIN_MAX, "the origin fits");
	memcpy(out, prefix, sizeof(prefix) - 1);
	did_text(log, out + sizeof(prefix) - 1);
	return out;
}

enum refusal proof_checkpoint(struct span note, const struct did *log, const uint8_t key[static 32],
	struct checkpoint *ret_checkpoint)
{
	char origin[PROOF_ORIGIN_MAX];
	struct note_key note_key;

	if (note_key_init(&note_key, SPAN_STR(proof_origin(log, origin)), key) < 0)
		return REFUSED_RECEIPT_INVALID;
	return checkpoint_open(note, &note_key, ret_checkpoint);
}

enum refusal proof_entry(struct span receipt, struct span note, const struct did *log,
	const uint8_t key[static 32], const struct entry *entry)
{
	struct checkpoint checkpoint;
	struct receipt parsed;
	struct id leaf = entry_leaf(entry);
	struct id root;
	enum refusal refusal = proof_checkpoint(note, log, key, &checkpoint);

	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = receipt_parse(receipt, &parsed);
	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = receipt_verify(&parsed, &leaf, key, &root);
	if (refusal != REFUSED_NOT)
		return refusal;
	/* The receipt's own signature covers neither size nor index: the checkpoint vouches. */
	if (!did_eq(&parsed.issuer, log) || !span_eq(parsed.origin, checkpoint.origin) ||
		parsed.place.size != checkpoint.size || !id_eq(&root, &checkpoint.root))
		return REFUSED_RECEIPT_INVALID;
	return REFUSED_NOT;
}
