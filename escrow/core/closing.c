#include "escrow/core/closing.h"

#include "escrow/core/fund.h"
#include "escrow/core/settle.h"

static void refund(struct turn *t, struct slot *slot, enum slot_event event, enum basis basis,
	int64_t node_fee_micros)
{
	holds_must_move(t, slot, event);
	/* WITHHELD leaves by its quiet time, which nobody can dispute yet; the rest at once. */
	holds_must_move(t, slot, slot->state == SLOT_WITHHELD ? SLOT_ON_QUIET : SLOT_ON_AT_ONCE);
	settle_refund(t, slot, basis, node_fee_micros);
}

/* A cancel is by the buyer, for this request. */
static bool is_cancel(const struct slot *slot, const struct statement *s)
{
	return s && did_eq(&s->issuer, &slot->terms.buyer) &&
	       id_eq(&s->body.claim.request, &slot->request);
}

static enum refusal cancel(struct turn *t, struct slot *slot, const struct statement *s, bool freed)
{
	if (slot->state != SLOT_OPEN && slot->state != SLOT_ASSIGNED)
		return REFUSED_CANCEL_TOO_LATE;
	effects_keep(t->fx, s, &slot->request);
	if (slot->state == SLOT_ASSIGNED && freed)
		holds_must_move(t, slot, SLOT_ON_DECLINE);
	/* Fee for the node only where it still works: CANCELLED_LATE. */
	refund(t, slot, SLOT_ON_CANCEL, BASIS_CANCELLED,
		slot->state == SLOT_ASSIGNED ? slot->terms.attempt_fee_micros : 0);
	return REFUSED_NOT;
}

/* Evidence that the broker shows itself: the node's commitment came before the cancel. */
static bool is_commitment(const struct slot *slot, const struct statement *s)
{
	return s && did_eq(&s->issuer, &slot->progress.node) &&
	       id_eq(&s->body.evidence.request, &slot->request) &&
	       s->body.evidence.c.at_ns >= slot->progress.earmark_at_ns - CLOCK_SKEW_NS &&
	       s->body.evidence.c.at_ns <= slot->progress.until_ns;
}

static enum refusal close_freed(struct turn *t, struct slot *slot, enum basis basis)
{
	if (slot->state == SLOT_OPEN) {
		refund(t, slot, SLOT_ON_T_OPEN, basis, 0);
		return REFUSED_NOT;
	}
	switch (basis) {
	case BASIS_WITHHELD:
		holds_must_move(t, slot, SLOT_ON_COMMITMENT);
		refund(t, slot, SLOT_ON_T_DELIVER, basis, 0);
		return REFUSED_NOT;
	case BASIS_NO_SHOW:
		refund(t, slot, SLOT_ON_NO_SHOW, basis, 0);
		return REFUSED_NOT;
	case BASIS_EXPIRED:
		holds_must_move(t, slot, SLOT_ON_DECLINE);
		refund(t, slot, SLOT_ON_T_OPEN, basis, 0);
		return REFUSED_NOT;
	case BASIS_VERDICTS:
	case BASIS_DEFAULT:
	case BASIS_RULING:
	case BASIS_SILENCE:
	case BASIS_CANCELLED:
		break;
	}
	return REFUSED_MESSAGE_SHAPE;
}

static enum refusal close_slot(struct turn *t, struct slot *slot)
{
	const struct opened *opened = t->event->opened;
	const struct statement *stop = message_find(opened, STATEMENT_CANCEL);
	const struct statement *decline = message_find(opened, STATEMENT_DECLINE);
	int64_t basis = opened->message.state;
	bool declined = fund_declined(slot, decline);
	bool freed = declined || t->event->now_ns >= slot->progress.until_ns;

	if (stop && !is_cancel(slot, stop))
		return REFUSED_STATEMENT_ISSUER;
	if (basis == BASIS_CANCELLED && !stop)
		return REFUSED_MESSAGE_SHAPE;
	if (basis != BASIS_CANCELLED && basis != BASIS_EXPIRED && basis != BASIS_NO_SHOW &&
		basis != BASIS_WITHHELD)
		return REFUSED_MESSAGE_SHAPE;
	if (stop && is_commitment(slot, message_find(opened, STATEMENT_EVIDENCE)))
		return REFUSED_CANCEL_TOO_LATE;
	if (declined && slot->state == SLOT_ASSIGNED) {
		slot->progress.decline = decline->id;
		effects_keep(t->fx, decline, &slot->request);
	}
	if (stop)
		return cancel(t, slot, stop, freed);
	if (slot->state != SLOT_OPEN && (slot->state != SLOT_ASSIGNED || !freed))
		return REFUSED_EARMARK_LIVE;
	return close_freed(t, slot, (enum basis)basis);
}

static enum refusal broker_closes(struct turn *t)
{
	const struct message *m = &t->event->opened->message;
	struct slot *slot = holds_find(t->e, &m->request);

	if (m->slot != 0)
		return REFUSED_QUORUM_NOT_SERVED;
	if (!slot)
		return REFUSED_HOLD_UNKNOWN;
	if (!did_eq(&t->event->from, &slot->terms.broker))
		return REFUSED_NOT_A_PARTY;
	/* An end that happens here tells the broker by itself (settle_tell). */
	if (slot->open)
		return close_slot(t, slot);
	settle_outcome(t, slot, &t->event->from, m->number);
	return REFUSED_NOT;
}

void closing_on_close(struct turn *t)
{
	enum refusal refusal = broker_closes(t);

	if (refusal != REFUSED_NOT)
		effects_refuse(t->fx, t->event, refusal, NULL);
}

static enum refusal buyer_cancels(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_CANCEL);
	struct slot *slot = s ? holds_find(t->e, &s->body.claim.request) : NULL;
	enum refusal refusal;

	if (!s)
		return REFUSED_MESSAGE_SHAPE;
	if (!slot)
		return REFUSED_HOLD_UNKNOWN;
	if (!did_eq(&t->event->from, &slot->terms.buyer))
		return REFUSED_NOT_A_PARTY;
	if (slot->open) {
		if (!is_cancel(slot, s))
			return REFUSED_STATEMENT_ISSUER;
		refusal = cancel(t, slot, s, t->event->now_ns >= slot->progress.until_ns);
		if (refusal != REFUSED_NOT)
			return refusal;
	}
	settle_outcome(t, slot, &t->event->from, t->event->opened->message.number);
	return REFUSED_NOT;
}

void closing_on_cancel(struct turn *t)
{
	enum refusal refusal = buyer_cancels(t);

	if (refusal != REFUSED_NOT)
		effects_refuse(t->fx, t->event, refusal, NULL);
}

void closing_on_query(struct turn *t)
{
	const struct slot *slot = holds_find(t->e, &t->event->opened->message.request);
	const struct did *from = &t->event->from;

	if (!slot)
		effects_refuse(t->fx, t->event, REFUSED_HOLD_UNKNOWN, NULL);
	else if (!did_eq(from, &slot->terms.buyer) && !did_eq(from, &slot->terms.broker) &&
		 !did_eq(from, &slot->progress.node))
		effects_refuse(t->fx, t->event, REFUSED_NOT_A_PARTY, NULL);
	else
		settle_outcome(t, slot, from, t->event->opened->message.number);
}

void closing_expire(struct turn *t, struct slot *slot)
{
	if (slot->state == SLOT_ASSIGNED)
		holds_must_move(t, slot, SLOT_ON_DECLINE);
	refund(t, slot, SLOT_ON_T_OPEN, BASIS_EXPIRED, 0);
}
