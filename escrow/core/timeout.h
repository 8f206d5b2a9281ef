#pragma once
/*
 * What silence leads to: every state of an open hold has a deadline, and what is repeated has its
 * next time. Also where work ends: the payload that was pulled, the escrow's own worker.
 */
#include "escrow/core/holds.h"

/* Runs what is due, as much as fits into one step; the rest is due at once again. */
void timeout_tick(struct turn *t);
void timeout_on_work(struct turn *t);
