#include "proto/tlog/proof.h"

#include "proto/base/sha256.h"
#include "proto/base/text.h"

char *proof_origin(const struct did *log, char out[static PROOF_ORIGIN_MAX])
{
	static const char prefix[] = "assay/";

	static_assert(sizeof(prefix) - 1 + DID_TEXT_MAX <= PROOF_ORIGIN_MAX, "the origin fits");
	memcpy(out, prefix, sizeof(prefix) - 1);
	did_text(log, out + sizeof(prefix) - 1);
	return out;
}

static bool remembered(const struct proof_memory *memory, const struct id *digest)
{
	for (size_t i = 0; memory && i < PROOF_MEMORY_MAX; i++)
		if (id_eq(&memory->seen[i], digest))
			return true;
	return false;
}

/* The signed text: all up to the blank line before the signatures. */
static struct span text_of(struct span note)
{
	const uint8_t *end = note.n > 0 ? memmem(note.p, note.n, "\n\n", 2) : NULL;

	return end ? SPAN(note.p, (size_t)(end - note.p) + 1) : SPAN(NULL, 0);
}

enum refusal proof_checkpoint(struct proof_memory *memory, struct span note, const struct did *log,
	const uint8_t key[static 32], struct checkpoint *ret_checkpoint)
{
	char origin[PROOF_ORIGIN_MAX];
	struct note_key note_key;
	struct id digest = SHA256(SPAN(key, 32), SPAN_OF(*log), note);

	/* The very same note of the same log under the same key: only its text is to be read again. */
	if (remembered(memory, &digest))
		return checkpoint_parse(text_of(note), ret_checkpoint);
	if (note_key_init(&note_key, SPAN_STR(proof_origin(log, origin)), key) < 0)
		return REFUSED_RECEIPT_INVALID;

	enum refusal refusal = checkpoint_open(note, &note_key, ret_checkpoint);

	if (refusal == REFUSED_NOT && memory)
		memory->seen[memory->next++ % PROOF_MEMORY_MAX] = digest;
	return refusal;
}

/* What receipt, note and entry say of each other, but for the receipt's signature. */
static enum refusal check(struct proof_memory *memory, struct span receipt, struct span note,
	const struct did *log, const uint8_t key[static 32], const struct id *leaf,
	struct receipt *ret_receipt)
{
	struct checkpoint checkpoint;
	const struct receipt_place *place = &ret_receipt->place;
	struct id root;
	enum refusal refusal = proof_checkpoint(memory, note, log, key, &checkpoint);

	if (refusal == REFUSED_NOT)
		refusal = receipt_parse(receipt, ret_receipt);
	if (refusal == REFUSED_NOT)
		refusal = merkle_inclusion_root(
			leaf, place->index, place->size, place->path, place->n_path, &root);
	if (refusal != REFUSED_NOT)
		return refusal;
	/* The receipt's own signature covers neither size nor index: the checkpoint vouches. */
	if (memcmp(ret_receipt->key, key, sizeof(ret_receipt->key)) != 0 ||
		!did_eq(&ret_receipt->issuer, log) ||
		!span_eq(ret_receipt->origin, checkpoint.origin) ||
		place->size != checkpoint.size || !id_eq(&root, &checkpoint.root))
		return REFUSED_RECEIPT_INVALID;
	return REFUSED_NOT;
}

enum refusal proof_inclusion(struct proof_memory *memory, struct span receipt, struct span note,
	const struct did *log, const uint8_t key[static 32], const struct entry *entry)
{
	struct receipt parsed;
	struct id leaf = entry_leaf(entry);

	return check(memory, receipt, note, log, key, &leaf, &parsed);
}

enum refusal proof_entry(struct proof_memory *memory, struct span receipt, struct span note,
	const struct did *log, const uint8_t key[static 32], const struct entry *entry)
{
	struct receipt parsed;
	struct id leaf = entry_leaf(entry);
	enum refusal refusal = check(memory, receipt, note, log, key, &leaf, &parsed);

	return refusal == REFUSED_NOT ? receipt_verify(&parsed, &leaf, key, NULL) : refusal;
}
