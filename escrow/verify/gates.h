#pragma once
/*
 * The gates: what must hold of every evidence, whatever the request asks. Each decides alone.
 */
#include "escrow/verify/verify.h"

/*
 * What a node may say of its own clock and device. The kernel says 16 s of a clock that nobody
 * disciplines (adjtimex); who claims more than this says nothing about when it was.
 */
#define GATES_UNCERTAINTY_MAX_NS (60 * NS_PER_S)

/*
 * Runs the gates in their order, adds a result for each, and stops at the first that fails. Opens
 * payload and claims into output. 0, the positive enum refusal of the gate that failed, or -ENOMEM.
 */
_must_check_ int gates_run(const struct verify_input *input, struct verify_output *output);

/*
 * Whether the draw is the one that the hold committed to (statements.md, rule 6), for this evidence
 * and by the request's escrow. No gate, since it would be the escrow's fault and not the node's: a
 * verifier does not work for such a draw. REFUSED_NOT, DRAW_INVALID (other evidence or signer) or
 * DRAW_MISMATCH (it does not follow from its seed).
 */
_must_check_ enum refusal gates_draw(const struct statement *request, const struct statement *hold,
	const struct statement *evidence, const struct statement *draw);
