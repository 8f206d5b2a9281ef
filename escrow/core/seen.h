#pragma once
/*
 * Which plaintexts were sold, and by which evidence: the escrow's own gate at settlement
 * (statements.md, rule 9). The newest config.seen of them are known; older ones are forgotten.
 */
#include "escrow/core/holds.h"

/* 0 or -ENOMEM. Owes a seen_deinit(). */
_must_check_ int seen_init(struct escrow *e, uint64_t secret);
void seen_deinit(struct escrow *e);
/* The evidence that sold this plaintext, or NULL. */
const struct id *seen_find(const struct escrow *e, const struct id *digest);
/* Remembers; nothing where it is known already. */
void seen_add(struct turn *t, const struct id *digest, const struct id *evidence);
/* 0 or -EBADMSG. */
_must_check_ int seen_load(struct escrow *e, const struct row *row);
