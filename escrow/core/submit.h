#pragma once
/*
 * Evidence arrives: with the log's receipt from the broker (SUBMISSION), or from the node at the
 * escrow's own door (EVIDENCE). It counts only where it is what the earmark and the assignment
 * asked for, by that node, and its content key opens for the escrow; then the panel is drawn.
 */
#include "escrow/core/holds.h"

void submit_on_submission(struct turn *t);
void submit_on_evidence(struct turn *t);
/* A pull of the payload ended well: what waited for it goes on. */
void submit_payload_here(struct turn *t, struct slot *slot);
/* Asks for the payload from whoever has it. */
void submit_pull(struct turn *t, struct slot *slot);
