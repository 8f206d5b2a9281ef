#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/edit.h"
#include "tests/fuzz/samples.h"

/* Only what log or witness signed is read out of a note. */
static void as_note(struct span input)
{
	const struct samples_log *s = samples_log();
	struct checkpoint checkpoint;
	uint32_t signed_by = 0;
	struct span text;

	if (note_verify(input, s->keys, ARRAY_SIZE(s->keys), &text, &signed_by) == REFUSED_NOT) {
		FUZZ_PROMISE(span_eq(text, s->text));
		FUZZ_PROMISE(signed_by > 0 && signed_by < 4);
	}
	if (checkpoint_open(input, &s->keys[0], &checkpoint) == REFUSED_NOT) {
		FUZZ_PROMISE(checkpoint.size == s->checkpoint.size);
		FUZZ_PROMISE(id_eq(&checkpoint.root, &s->checkpoint.root));
		FUZZ_PROMISE(span_is(checkpoint.origin, SAMPLES_LOG_NAME));
	}
}

/* What has one spelling only is spelled the same again. */
static void spelled_again(struct span input)
{
	uint8_t bytes[CHECKPOINT_TEXT_MAX];
	char vkey[NOTE_VKEY_MAX];
	struct buf out = BUF(bytes);
	struct checkpoint checkpoint;
	struct note_key key, again;
	struct entry entry;

	if (checkpoint_parse(input, &checkpoint) == REFUSED_NOT) {
		checkpoint_write(&checkpoint, &out);
		FUZZ_PROMISE(buf_ok(&out) && span_eq(buf_span(&out), input));
	}
	if (entry_decode(input, &entry) == REFUSED_NOT) {
		size_t n = entry_encode(&entry, bytes);

		FUZZ_PROMISE(span_eq(SPAN(bytes, n), input));
	}
	if (input.n > 0 && note_key_parse(input, &key) == 0) {
		FUZZ_PROMISE(note_key_parse(SPAN_STR(note_key_text(&key, vkey)), &again) == 0);
		FUZZ_PROMISE(strcmp(key.name, again.name) == 0);
		FUZZ_PROMISE(memcmp(key.public_key, again.public_key, 32) == 0);
	}
}

/* A receipt's form alone, and that the log's key covers no root but its own. */
static void as_receipt(struct span input)
{
	const struct samples_log *s = samples_log();
	const struct id leaf = entry_leaf(&s->entry);
	static struct receipt receipt;
	uint8_t bytes[RECEIPT_MAX];
	struct buf out = BUF(bytes);
	struct id root;

	if (receipt_parse(input, &receipt) != REFUSED_NOT)
		return;
	FUZZ_PROMISE(receipt.place.n_path <= MERKLE_PROOF_MAX);
	FUZZ_PROMISE(receipt.origin.p >= input.p &&
		     receipt.origin.p + receipt.origin.n <= input.p + input.n);
	if (receipt_verify(&receipt, &leaf, s->log.public_key, &root) != REFUSED_NOT)
		return;
	FUZZ_PROMISE(id_eq(&root, &s->checkpoint.root));
	/* Signing is deterministic: what verifies is what the log would write. */
	FUZZ_PROMISE(receipt_write(&s->log, receipt.origin, &receipt.place, &root, &out));
	FUZZ_PROMISE(span_eq(buf_span(&out), input));
}

/* Anything; or FF, a byte that chooses note or receipt, and a script of changes to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t bytes[2 * NOTE_MAX];
	struct edit edits[EDIT_STEPS_MAX];
	struct buf out = BUF(bytes);
	struct span input = SPAN(data, n);

	if (n >= 2 && data[0] == 0xff) {
		struct span from = data[1] % 2 ? samples_log()->receipt : samples_log()->note;

		buf_put(&out, from.p, from.n);
		edit_apply(edits, edit_read(SPAN(data + 2, n - 2), edits), &out);
		input = buf_span(&out);
	}
	as_note(input);
	spelled_again(input);
	as_receipt(input);
	return 0;
}
