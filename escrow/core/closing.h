#pragma once
/*
 * CLOSE from the broker and CANCEL from the buyer: the slot ends without evidence. An earmark is a
 * promise to the node, so it is taken back only where the node declined or let its time pass; a
 * buyer's cancel costs the attempt fee meanwhile; evidence that is here beats both.
 */
#include "escrow/core/holds.h"

void closing_on_close(struct turn *t);
void closing_on_cancel(struct turn *t);
/* RELEASE_QUERY: what became of it, for its parties. */
void closing_on_query(struct turn *t);
/* The request's time is over and no evidence came. */
void closing_expire(struct turn *t, struct slot *slot);
