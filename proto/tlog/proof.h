#pragma once
/*
 * What every reader of a market's log asks: is this note the checkpoint of that broker's log, and
 * do receipt and note together prove that a statement stands in it? Which key was the log's at that
 * time is the caller's to know.
 */
#include "proto/tlog/checkpoint.h"
#include "proto/tlog/entry.h"
#include "proto/tlog/receipt.h"

#define PROOF_ORIGIN_MAX 64 /* "assay/", the did:key and NUL */

/* The origin of a broker's log, "assay/did:key:...", with NUL. Returns out. */
char *proof_origin(const struct did *log, char out[static PROOF_ORIGIN_MAX]);

/*
 * Notes whose signature was verified before: one checkpoint covers many entries, and the newest is both
 * in the last receipt and in the next challenge. Zero it to begin. Digests of note, log and key together, so that
 * nothing else passes by it.
 */
#define PROOF_MEMORY_MAX 64
struct proof_memory {
	struct id seen[PROOF_MEMORY_MAX];
	size_t next;
};

/* That note is a checkpoint of that log, signed by key. memory may be NULL. REFUSED_NOT or RECEIPT_INVALID. */
_must_check_ enum refusal proof_checkpoint(struct proof_memory *memory, struct span note,
	const struct did *log, const uint8_t key[static 32], struct checkpoint *ret_checkpoint);

/*
 * That the entry stands in the tree of that note: the path leads to the root that the note signs. The
 * receipt's own signature is not looked at: enough for whoever keeps both. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal proof_inclusion(struct proof_memory *memory, struct span receipt,
	struct span note, const struct did *log, const uint8_t key[static 32],
	const struct entry *entry);

/*
 * The same, and that the receipt's own signature holds as well: for whoever hands receipt and note on, or takes them
 * as the last. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal proof_entry(struct proof_memory *memory, struct span receipt,
	struct span note, const struct did *log, const uint8_t key[static 32],
	const struct entry *entry);
