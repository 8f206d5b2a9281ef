#pragma once
/*
 * Rows of holds, slots and proofs, and back. Terms and progress are deterministic CBOR by tables of
 * their own (proto/statement/schema.h); the tables' keys are on disk: append only.
 */
#include "escrow/core/holds.h"

/* Writes the terms and the pool, once per hold. */
void hold_row_put_terms(struct turn *t, const struct slot *slot);
void hold_row_put_slot(struct turn *t, struct slot *slot);
/* Writes receipt and note of the evidence. */
void hold_row_put_proof(struct turn *t, const struct slot *slot);

/* 0 or -EBADMSG. In the order of the tables: slot, terms, proof. */
_must_check_ int hold_row_load_terms(struct escrow *e, const struct row *row);
_must_check_ int hold_row_load_slot(struct escrow *e, const struct row *row);
_must_check_ int hold_row_load_proof(struct escrow *e, const struct row *row);
/* Accounts that the settlement of an open hold may still need. */
size_t hold_row_promise(const struct terms *terms);
