#include "broker/core/internal.h"

static bool escrow_served(const struct broker *b, const struct did *escrow)
{
	for (size_t i = 0; i < b->config.n_escrows; i++)
		if (did_eq(&b->config.escrows[i], escrow))
			return true;
	return false;
}

static enum refusal admit(struct turn *t, const struct statement *s)
{
	struct broker *b = t->b;
	const struct request *r = &s->body.request;
	const struct buyer_of *buyer = slots_of(b, &s->issuer);

	if (!did_eq(&s->issuer, &t->event->from))
		return REFUSED_STATEMENT_ISSUER;
	if (!escrow_served(b, &r->escrow))
		return REFUSED_STATEMENT_AUDIENCE;

	enum refusal refusal = rules_request(s, b->config.author.market,
		&b->config.author.signer.issuer, &r->escrow, t->event->now_ns);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (b->n_open >= b->n_slots / 2 || (buyer && buyer->n_open >= BROKER_OPEN_PER_BUYER_MAX))
		return REFUSED_TOO_MANY_REQUESTS;
	return REFUSED_NOT;
}

void post_fund(struct turn *t, struct slot *slot)
{
	struct send *send = effects_send(t->fx, &slot->escrow, MESSAGE_FUND);

	slot->funding = true;
	send->message.request = slot->request;
	send->message.attempt = slot->attempt;
	send->message.price_micros = slot->price_micros;
	send_attach(send, &slot->request);
	send_attach(send, &slot->links[LINK_OFFERING]);
	send_attach(send, &slot->links[LINK_DECLINE]);
}

/* Chooses a node for the slot. False where none fits now. */
static bool choose(struct turn *t, struct slot *slot)
{
	const struct offer *offer = offers_match(t->b, slot, t->event->now_ns);

	if (!offer)
		return false;
	slot->node = offer->node;
	slot->price_micros = offer->offering.price_micros;
	slot->links[LINK_OFFERING] = offer->id;
	if (slot->n_tried < BROKER_TRIED_MAX)
		slot->tried[slot->n_tried++] = offer->node;
	return true;
}

void post_first(struct turn *t, struct slot *slot)
{
	/* Without a match the money is asked for all the same: the request then waits as OPEN. */
	if (!choose(t, slot)) {
		slot->node = (struct did){ 0 };
		slot->links[LINK_OFFERING] = (struct id){ 0 };
		slot->price_micros = slot->open->request.price_micros;
	}
	post_fund(t, slot);
}

void post_on_request(struct turn *t)
{
	struct broker *b = t->b;
	const struct statement *s = message_find(t->event->opened, STATEMENT_REQUEST);

	if (!s) {
		effects_refuse(t->fx, t->event, REFUSED_MESSAGE_SHAPE, NULL);
		return;
	}

	struct slot *slot = slots_find(b, &s->id);

	if (slot && did_eq(&slot->buyer, &t->event->from)) {
		outcome_tell(t, slot, t->event->opened->message.number);
		return;
	}

	/* Somebody else's request is refused by its issuer, and the slot stays as it is. */
	enum refusal refusal = admit(t, s);

	if (refusal == REFUSED_NOT) {
		slot = slots_add(b, &s->id, &s->issuer);
		if (slot && !slots_open_part(b, slot, s->bytes)) {
			slots_drop(b, slot);
			slot = NULL;
		}
		if (!slot)
			refusal = REFUSED_TOO_MANY_REQUESTS;
	}
	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		t->fx->v[t->fx->n - 1].send->message.request = s->id;
		return;
	}
	slot->escrow = s->body.request.escrow;
	slots_order(b, slot, ++b->order);
	slot->expires_ns = s->body.request.c.expires_ns;
	slot->deadline_ns = t->event->now_ns + s->body.request.t_fund_ms * NS_PER_MS;
	slots_set(t, slot, SLOT_POSTED);
	effects_keep(t->fx, s, &s->id);

	struct row *row = effects_put(t->fx, BROKER_TABLE_OPEN_REQUEST, PUT_INSERT);

	row_copy(t->fx, row, SPAN_OF(slot->request));
	row_blob(row, s->bytes);
	post_first(t, slot);
	slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	outcome_tell(t, slot, t->event->opened->message.number);
	slots_time(b, slot);
	slot_row_put(t, slot);
}

static bool asked_for(const struct slot *slot, const struct earmarked *e)
{
	return e->present && did_eq(&e->node, &slot->node) && e->attempt == slot->attempt;
}

/* The escrow's hold or earmark must be about what was asked for. */
static const struct earmarked *earmark_in(struct turn *t, struct slot *slot)
{
	const struct statement *hold = message_find(t->event->opened, STATEMENT_HOLD);
	const struct statement *earmark = message_find(t->event->opened, STATEMENT_EARMARK);

	if (hold && did_eq(&hold->issuer, &slot->escrow) &&
		id_eq(&hold->body.hold.request, &slot->request) &&
		id_is_zero(&slot->links[LINK_HOLD])) {
		slot->links[LINK_HOLD] = hold->id;
		effects_keep(t->fx, hold, &slot->request);
	}
	if (earmark && did_eq(&earmark->issuer, &slot->escrow) &&
		id_eq(&earmark->body.earmark.hold, &slot->links[LINK_HOLD]) &&
		asked_for(slot, &earmark->body.earmark.earmark)) {
		slot->links[LINK_EARMARK] = earmark->id;
		effects_keep(t->fx, earmark, &slot->request);
		return &earmark->body.earmark.earmark;
	}
	if (hold && id_eq(&slot->links[LINK_HOLD], &hold->id) &&
		asked_for(slot, &hold->body.hold.earmark)) {
		slot->links[LINK_EARMARK] = hold->id;
		return &hold->body.hold.earmark;
	}
	return NULL;
}

/* A node has its earmark, and begins, unless the buyer has changed his mind meanwhile. */
static void assigned(struct turn *t, struct slot *slot, const struct earmarked *e)
{
	slot->price_micros = e->price_micros;
	slot->refusal = REFUSED_NOT;
	if (!slots_move(t, slot,
		    slot->state == SLOT_POSTED ? SLOT_ON_FUNDED_WITH_NODE : SLOT_ON_EARMARK))
		return;
	if (!slot->cancel_wanted)
		assign_make(t, slot);
	else if (slots_move(t, slot, SLOT_ON_CANCEL))
		post_close(t, slot, BASIS_CANCELLED);
}

/* The money is there, and no node yet. */
static void opened(struct turn *t, struct slot *slot)
{
	if (!slots_move(t, slot, SLOT_ON_FUNDED))
		return;
	slot->refusal = REFUSED_NOT;
	slot->deadline_ns = t->event->now_ns + slot->open->request.t_open_ms * NS_PER_MS;
	if (!slot->cancel_wanted)
		slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	else if (slots_move(t, slot, SLOT_ON_CANCEL))
		post_close(t, slot, BASIS_CANCELLED);
}

void post_on_funded(struct turn *t)
{
	struct broker *b = t->b;
	struct slot *slot = slots_find(b, &t->event->opened->message.request);

	if (!slot || !did_eq(&slot->escrow, &t->event->from))
		return;
	if (slot->state == SLOT_LAPSED) {
		/* The hold came after T_fund: it is voided. */
		if (!slot->closing) {
			slots_reopen(b, slot);
			post_close(t, slot, BASIS_EXPIRED);
			slots_time(b, slot);
			slot_row_put(t, slot);
		}
		return;
	}
	if (!slot->funding || (slot->state != SLOT_POSTED && slot->state != SLOT_OPEN))
		return;

	const struct earmarked *e = earmark_in(t, slot);

	/* In OPEN an earmark was asked for: an answer without it is an older one. */
	if (id_is_zero(&slot->links[LINK_HOLD]) || (!e && slot->state == SLOT_OPEN))
		return;
	slot->funding = false;
	slot->retry_at_ns = INT64_MAX;
	if (e)
		assigned(t, slot, e);
	else
		opened(t, slot);
	outcome_tell(t, slot, 0);
	slots_time(b, slot);
	slot_row_put(t, slot);
}

void post_next(struct turn *t, struct slot *slot)
{
	if (slot->state != SLOT_OPEN || slot->funding)
		return;
	if (choose(t, slot)) {
		post_fund(t, slot);
		slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	} else {
		slots_repeat(t, slot, BROKER_RETRY_MOST_NS);
	}
}

void post_send_close(struct turn *t, struct slot *slot)
{
	struct send *send = effects_send(t->fx, &slot->escrow, MESSAGE_CLOSE);

	send->message.request = slot->request;
	send->message.attempt = slot->attempt;
	send->message.state = slot->basis;
	send_attach(send, &slot->links[LINK_CANCEL]);
	send_attach(send, &slot->links[LINK_DECLINE]);
	send_attach(send, &slot->links[LINK_EVIDENCE]);
	send_attach(send, &slot->links[LINK_ASSIGNMENT]);
}

void post_close(struct turn *t, struct slot *slot, enum basis basis)
{
	slot->basis = (uint8_t)basis;
	slot->closing = true;
	slot->submitting = false;
	slot->funding = false;
	slot->deadline_ns = INT64_MAX;
	/* EXPIRED, NO_SHOW and the cancelled states go on to REFUNDING at once; others are there
	 * already. */
	if (slot_next(slot->state, SLOT_ON_AT_ONCE) != SLOT_NONE &&
		!slots_move(t, slot, SLOT_ON_AT_ONCE))
		return;
	post_send_close(t, slot);
	slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
}

void post_on_cancel(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_CANCEL);
	struct slot *slot = s ? slots_find(t->b, &s->body.claim.request) : NULL;

	if (!slot || !did_eq(&slot->buyer, &t->event->from) || !did_eq(&s->issuer, &slot->buyer)) {
		effects_refuse(t->fx, t->event,
			slot ? REFUSED_NOT_A_PARTY : REFUSED_REQUEST_UNKNOWN, NULL);
		return;
	}
	if (!id_is_zero(&slot->links[LINK_CANCEL])) {
		outcome_tell(t, slot, t->event->opened->message.number);
		return;
	}
	if (slot_ended(slot->state)) {
		effects_refuse(t->fx, t->event, REFUSED_ALREADY_ENDED, NULL);
		return;
	}
	if (slot->state == SLOT_POSTED) {
		slot->cancel_wanted = true;
	} else if (!slots_move(t, slot, SLOT_ON_CANCEL)) {
		effects_refuse(t->fx, t->event, REFUSED_CANCEL_TOO_LATE, NULL);
		return;
	}
	slot->links[LINK_CANCEL] = s->id;
	effects_keep(t->fx, s, &slot->request);
	if (slot->state != SLOT_POSTED)
		post_close(t, slot, BASIS_CANCELLED);
	outcome_tell(t, slot, t->event->opened->message.number);
	slots_time(t->b, slot);
	slot_row_put(t, slot);
}
