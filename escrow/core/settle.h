#pragma once
/*
 * How a slot ends: release of the content key, settlement lines, transfers, and who is told. Shares
 * round down and the rest is the buyer's (statements.md, rule 7). Release, settlement and transfers
 * of one decision are the effects of one step, so one commit.
 */
#include "escrow/core/holds.h"

/*
 * The evidence pays: signs the release; with T_dispute 0, or where the state allows no quiet time,
 * settles at once, else leaves the slot in its state until that time has passed. event: what leads
 * to SETTLING from here.
 */
void settle_pay(struct turn *t, struct slot *slot, enum basis basis, enum slot_event event);
/* After the quiet time: settles what was released. */
void settle_released(struct turn *t, struct slot *slot);

/*
 * The money goes back, less what the verifiers of this and earlier attempts have earned and less
 * node_fee_micros for the node. The slot is in REFUNDING.
 */
void settle_refund(struct turn *t, struct slot *slot, enum basis basis, int64_t node_fee_micros);

/* OUTCOME with all that there is, to one asking (reply_to: the number of its message, or 0). */
void settle_outcome(
	struct turn *t, const struct slot *slot, const struct did *to, int64_t reply_to);
/* The same to broker and node, unasked. */
void settle_tell(struct turn *t, const struct slot *slot);

/* Whether another attempt could still pay its own panel and what is owed. */
bool settle_covers_next(const struct slot *slot);
/* Moves what this attempt's verifiers have earned to what is owed. */
void settle_owe(struct turn *t, struct slot *slot);
