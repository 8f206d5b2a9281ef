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

/* That note is a checkpoint of that log, signed by key. REFUSED_NOT or RECEIPT_INVALID. */
_must_check_ enum refusal proof_checkpoint(struct span note, const struct did *log,
	const uint8_t key[static 32], struct checkpoint *ret_checkpoint);

/*
 * That the log's receipt covers the entry and leads to the note's root in a tree of the note's
 * size. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal proof_entry(struct span receipt, struct span note, const struct did *log,
	const uint8_t key[static 32], const struct entry *entry);
