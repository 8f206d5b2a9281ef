#include "broker/core/internal.h"

#define TICK_MOST 64 /* slots in one step: the heap brings the rest with the next tick */

void time_next_attempt(struct turn *t, struct slot *slot, bool declined)
{
	const struct request *r = &slot->open->request;
	/* A node that says nothing keeps its earmark to the end: no money for another before. */
	int64_t wait_ns = declined ? 0 : r->t_deliver_ms * NS_PER_MS + 2 * CLOCK_SKEW_NS;
	bool left = slot->attempt + 1 < r->attempts && t->event->now_ns < slot->expires_ns;

	if (!slots_move(t, slot, left ? SLOT_ON_DECLINE : SLOT_ON_NO_SHOW))
		return;
	if (left) {
		slot->attempt++;
		/* Each attempt has t_open to find its node; the hold ends them all. */
		slot->deadline_ns = t->event->now_ns + wait_ns + r->t_open_ms * NS_PER_MS;
		if (declined)
			post_next(t, slot);
		else
			slots_repeat(t, slot, wait_ns);
	} else {
		post_close(t, slot, BASIS_NO_SHOW);
	}
	outcome_tell(t, slot, 0);
	slots_time(t->b, slot);
	slot_row_put(t, slot);
}

static void on_deadline(struct turn *t, struct slot *slot)
{
	slot->deadline_ns = INT64_MAX;
	if (slot->state == SLOT_ASSIGNED) {
		time_next_attempt(t, slot, false);
		return;
	}
	if (slot->state == SLOT_POSTED) {
		if (!slots_move(t, slot, SLOT_ON_T_FUND))
			return;
		if (slot->refusal == REFUSED_NOT)
			slot->refusal = REFUSED_ESCROW_UNREACHABLE;
		/* A hold may have been made all the same: ask until the escrow says that none is
		 * left. */
		post_close(t, slot, BASIS_EXPIRED);
	} else if (slot->state == SLOT_OPEN) {
		if (slots_move(t, slot, SLOT_ON_T_OPEN))
			post_close(t, slot, BASIS_EXPIRED);
	} else if (slot->state == SLOT_COMMITTED) {
		if (slots_move(t, slot, SLOT_ON_T_DELIVER))
			post_close(t, slot, BASIS_WITHHELD);
	}
	outcome_tell(t, slot, 0);
	slot_row_put(t, slot);
}

static void on_retry(struct turn *t, struct slot *slot)
{
	int64_t most = slot->state == SLOT_ASSIGNED ? BROKER_ASSIGN_RETRY_MOST_NS
						    : BROKER_RETRY_MOST_NS;

	slot->retry_ns = MIN(slot->retry_ns * 2, most);
	slot->retry_at_ns = t->event->now_ns + slot->retry_ns;
	if (slot->closing) {
		/* Long after its end the escrow has closed the hold by itself. */
		if (t->event->now_ns > slot->expires_ns + 3600 * NS_PER_S &&
			slot->state == SLOT_LAPSED) {
			slots_end(t, slot);
			slot_row_put(t, slot);
		} else {
			post_send_close(t, slot);
		}
	} else if (slot->funding) {
		post_fund(t, slot);
	} else if (slot->submitting) {
		seal_send_submission(t, slot);
	} else if (slot->state == SLOT_OPEN) {
		post_next(t, slot);
		slot_row_put(t, slot);
	} else if (slot->state == SLOT_ASSIGNED) {
		assign_send(t, slot);
	} else if (slot->state == SLOT_COMMITTED && slot->pull == 0) {
		assign_pull(t, slot);
	}
}

void time_tick(struct turn *t)
{
	struct broker *b = t->b;

	for (size_t i = 0; i < TICK_MOST && t->fx->n + 12 < EFFECTS_MAX; i++) {
		uint32_t index = heap_due(&b->timers, t->event->now_ns);

		if (index == UINT32_MAX)
			return;

		struct slot *slot = &b->slots[index];

		if (slot->deadline_ns <= t->event->now_ns)
			on_deadline(t, slot);
		else
			on_retry(t, slot);
		slots_time(b, slot);
	}
}
