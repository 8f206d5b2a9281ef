#pragma once
/*
 * What one entry of the log says: that a statement existed. The log holds ids only; the statement
 * itself travels in the bundle. An entry is the deterministic CBOR array [type, id].
 */
#include "proto/base/base.h"
#include "proto/base/buf.h"
#include "proto/base/refusal.h"

#define ENTRY_MAX 36 /* bytes: 82, type, 58 20, id */

/* On disk and under signatures: append only. */
enum entry_type {
	ENTRY_EVIDENCE = 1,
	ENTRY_KEYS = 2,
	ENTRY_SETTLEMENT = 3,
};

struct entry {
	enum entry_type type;
	struct id id; /* of the statement */
};

/* Writes the entry's bytes and returns how many. */
size_t entry_encode(const struct entry *entry, uint8_t out[static ENTRY_MAX]);
/* Exactly one entry of a known type. REFUSED_NOT, CBOR_* or RECEIPT_INVALID. */
_must_check_ enum refusal entry_decode(struct span bytes, struct entry *ret_entry);
/* The entry's leaf hash in the tree. */
struct id entry_leaf(const struct entry *entry);
