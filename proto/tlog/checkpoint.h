#pragma once
/*
 * The text of a log's checkpoint (C2SP tlog-checkpoint 1.0.0): origin, size and root hash, a line
 * each. Extension lines are not written and not read: this market's logs have none. Signatures are
 * note.h's.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"
#include "proto/tlog/note.h"

/* origin, 20 digits, 44 characters of base64, and their newlines */
#define CHECKPOINT_TEXT_MAX (NOTE_NAME_MAX + 1 + 20 + 1 + 44 + 1)

struct checkpoint {
	struct span origin; /* 1 to NOTE_NAME_MAX bytes; the same text as the log key's name */
	uint64_t size; /* entries in the tree */
	struct id root;
};

/* Appends the three lines to out: see buf_ok(). */
void checkpoint_write(const struct checkpoint *checkpoint, struct buf *out);
/*
 * Reads exactly three lines: no leading zeros, canonical base64, nothing after. The origin points
 * into text. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal checkpoint_parse(struct span text, struct checkpoint *ret_checkpoint);
/*
 * note_verify() under the log's key, then checkpoint_parse(), and the origin must be the key's
 * name. The origin points into note. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal checkpoint_open(
	struct span note, const struct note_key *key, struct checkpoint *ret_checkpoint);
