#pragma once
/*
 * Which verifiers check: the draw (statements.md, rule 6), and their tickets. A DRAW is repeated to
 * each member that has not answered until T_verify, and at once when such a member connects.
 */
#include "escrow/core/holds.h"

/* Draws and signs; COMMITTED -> VERIFYING; sends. */
void panel_draw(struct turn *t, struct slot *slot);
/* Sends DRAW to those who still owe a verdict, with the content key wrapped for each. */
void panel_send(struct turn *t, struct slot *slot);
/* `from` greeted: what it owes is sent with the next tick. */
void panel_on_connected(struct turn *t);
/* The vote of a verifier of the present panel, or NULL. */
struct vote *panel_vote(struct slot *slot, const struct did *verifier);
