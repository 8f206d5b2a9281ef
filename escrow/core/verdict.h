#pragma once
/*
 * Verdicts are counted: k passes pay, more than n - k fails refund or try again, and where neither
 * can come any more the request's on_silence follows after T_arbitrate. A verdict counts once per
 * drawn verifier; one that comes after the decision never pays.
 */
#include "escrow/core/holds.h"

void verdict_on_verdict(struct turn *t);
/* The evidence failed: FAILED or WITHHELD, with its quiet time, then verdict_retry_or_refund(). */
void verdict_fail(struct turn *t, struct slot *slot, enum basis basis, enum slot_event event);
/* After the quiet time of a failure: OPEN for another attempt, or the money goes back. */
void verdict_retry_or_refund(struct turn *t, struct slot *slot);
