#pragma once
/*
 * FUND: money is set aside for a request, and a node earmarked for it. Checks the request and the
 * offering by the escrow's own eyes (proto/core/rules.h); the same attempt gets the same answer.
 */
#include "escrow/core/holds.h"

void fund_on_fund(struct turn *t);
/*
 * Whether s is the earmarked node's decline of the slot's present attempt, which frees the earmark.
 * NULL is none.
 */
_must_check_ bool fund_declined(const struct slot *slot, const struct statement *s);
