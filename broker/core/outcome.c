#include "broker/core/internal.h"

#include "proto/seal/seal.h"

/* The statements of a slot that a bundle needs, in the order of the flow. */
static void attach_all(struct send *send, const struct slot *slot)
{
	send_attach(send, &slot->request);
	send_attach(send, &slot->links[LINK_HOLD]);
	if (!id_eq(&slot->links[LINK_EARMARK], &slot->links[LINK_HOLD]))
		send_attach(send, &slot->links[LINK_EARMARK]);
	send_attach(send, &slot->links[LINK_ASSIGNMENT]);
	send_attach(send, &slot->links[LINK_EVIDENCE]);
	send_attach(send, &slot->links[LINK_DRAW]);
	for (size_t i = 0; i < slot->n_verdicts; i++)
		send_attach(send, &slot->verdicts[i]);
	send_attach(send, &slot->links[LINK_RELEASE]);
	send_attach(send, &slot->links[LINK_SETTLEMENT]);
}

static void fill_status(struct message *m, const struct slot *slot)
{
	m->request = slot->request;
	m->state = slot->state;
	m->attempt = slot->attempt;
	m->price_micros = slot->price_micros;
	m->code = slot->refusal;
	if (!id_is_zero(&slot->links[LINK_ASSIGNMENT]))
		m->node = slot->node;
	m->n_history = slot->n_history;
	for (size_t i = 0; i < slot->n_history; i++)
		m->history[i] = (struct moment){
			.present = true,
			.state = slot->history[i].state,
			.at_ns = slot->history[i].at_ns,
		};
}

void outcome_tell(struct turn *t, struct slot *slot, int64_t reply_to)
{
	bool whole = !id_is_zero(&slot->links[LINK_RELEASE]) &&
		     !id_is_zero(&slot->links[LINK_SETTLEMENT]);
	struct send *send = effects_send(
		t->fx, &slot->buyer, whole ? MESSAGE_BUNDLE : MESSAGE_STATUS);

	fill_status(&send->message, slot);
	send->message.reply_to = reply_to;
	if (slot->refusal != REFUSED_NOT)
		send->message.text = SPAN_STR(refusal_sentence((enum refusal)slot->refusal));
	if (!whole) {
		/* A refund is shown by its settlement. */
		send_attach(send, &slot->links[LINK_SETTLEMENT]);
		return;
	}
	attach_all(send, slot);
	send->message.size = slot->payload_size;
	send->message.target = slot->links[LINK_PAYLOAD];
	send->message.receipt = SPAN(slot->receipt, slot->receipt_n);
	send->message.note = SPAN(slot->note, slot->note_n);
	if (slot->payload_inline)
		send->blob = slot->links[LINK_PAYLOAD];
}

/*
 * Evidence that the node gave to the escrow alone. What the broker itself has, if anything, is not
 * what was judged; the payload stays at the escrow, where the buyer fetches it.
 */
static void take_over(struct turn *t, struct slot *slot, const struct statement *s)
{
	const struct evidence *e = &s->body.evidence;

	if (id_eq(&slot->links[LINK_EVIDENCE], &s->id) ||
		!id_eq(&e->assignment, &slot->links[LINK_ASSIGNMENT]))
		return;
	slot->links[LINK_EVIDENCE] = s->id;
	slots_set_payload(t->b, slot, &(struct id){ 0 });
	slots_forget_receipt(slot);
	slot->payload_inline = false;
	slot->payload_size = (int64_t)seal_size((size_t)MAX(e->payload.size, INT64_C(0)));
}

/* Takes over the statements that tell why: each is kept, and its id with the slot. */
static void keep_statements(struct turn *t, struct slot *slot)
{
	const struct opened *o = t->event->opened;

	for (size_t i = 0; i < o->n_statements; i++) {
		const struct statement *s = &o->statements[i];
		bool known = false;

		if (s->kind == STATEMENT_DRAW)
			slot->links[LINK_DRAW] = s->id;
		else if (s->kind == STATEMENT_RELEASE)
			slot->links[LINK_RELEASE] = s->id;
		else if (s->kind == STATEMENT_SETTLEMENT)
			slot->links[LINK_SETTLEMENT] = s->id;
		else if (s->kind == STATEMENT_EVIDENCE)
			take_over(t, slot, s);
		else if (s->kind != STATEMENT_VERDICT)
			continue;
		for (size_t k = 0; k < slot->n_verdicts; k++)
			known |= id_eq(&slot->verdicts[k], &s->id);
		if (s->kind == STATEMENT_VERDICT && !known && slot->n_verdicts < SLOT_VERDICTS_MAX)
			slot->verdicts[slot->n_verdicts++] = s->id;
		effects_keep(t->fx, s, &slot->request);
	}
}

/* Why it is not paid: the escrow's own gate, or the first check that failed a verifier. */
static int64_t reason_of(const struct opened *o)
{
	if (o->message.code != REFUSED_NOT)
		return o->message.code;
	for (size_t i = 0; i < o->n_statements; i++) {
		const struct verdict *v = &o->statements[i].body.verdict;

		if (o->statements[i].kind != STATEMENT_VERDICT)
			continue;
		for (size_t k = 0; k < v->n_checks; k++)
			if (v->checks[k].result == CHECK_FAIL && v->checks[k].code != REFUSED_NOT)
				return v->checks[k].code;
	}
	return REFUSED_NOT;
}

static void keep_reason(struct slot *slot, const struct opened *o)
{
	int64_t code = reason_of(o);

	if (code > 0 && code <= UINT16_MAX)
		slot->refusal = (uint16_t)code;
}

/* A settlement must be the escrow's and about this slot. */
static bool settlement_fits(const struct slot *slot, const struct opened *o, int64_t state)
{
	const struct statement *s = message_find(o, STATEMENT_SETTLEMENT);

	if (!s)
		return !slot_ended((enum slot_state)state);
	return did_eq(&s->issuer, &slot->escrow) &&
	       id_eq(&s->body.settlement.request, &slot->request) &&
	       s->body.settlement.outcome == state;
}

/* FAILED with attempts left: what failed is forgotten, the money stays held. */
static void begin_again(struct turn *t, struct slot *slot)
{
	slot->submitting = false;
	slot->n_verdicts = 0;
	slot->links[LINK_EVIDENCE] = (struct id){ 0 };
	slot->links[LINK_DRAW] = (struct id){ 0 };
	slots_set_payload(t->b, slot, &(struct id){ 0 });
	slots_forget_receipt(slot);
	slot->n_ticket_holders = 0;
	slot->payload_inline = false;
	slots_set(t, slot, SLOT_FAILED);
	slots_set(t, slot, SLOT_OPEN);
	slot->attempt++;
	slot->deadline_ns = t->event->now_ns + slot->open->request.t_open_ms * NS_PER_MS;
	post_next(t, slot);
}

/* The provisional state that led to the end, as far as the settlement tells. */
static void note_way(struct turn *t, struct slot *slot, const struct settlement *s)
{
	if (s->basis == BASIS_VERDICTS)
		slots_set(t, slot, s->outcome == SLOT_SETTLED ? SLOT_PASSED : SLOT_FAILED);
	else if (s->basis == BASIS_DEFAULT)
		slots_set(t, slot, SLOT_DEFAULTED);
	else if (s->basis == BASIS_SILENCE)
		slots_set(t, slot, SLOT_ESCALATED);
	slots_set(t, slot, s->outcome == SLOT_SETTLED ? SLOT_SETTLING : SLOT_REFUNDING);
}

static void tell_node(struct turn *t, const struct slot *slot)
{
	if (id_is_zero(&slot->links[LINK_ASSIGNMENT]) || id_is_zero(&slot->links[LINK_SETTLEMENT]))
		return;

	struct send *send = effects_send(t->fx, &slot->node, MESSAGE_OUTCOME);

	send->message.request = slot->request;
	send->message.state = slot->state;
	send_attach(send, &slot->links[LINK_SETTLEMENT]);
}

void outcome_on_outcome(struct turn *t)
{
	const struct opened *o = t->event->opened;
	struct slot *slot = slots_find(t->b, &o->message.request);
	int64_t state = o->message.state;

	if (!slot || !did_eq(&slot->escrow, &t->event->from) || slot->ended ||
		!settlement_fits(slot, o, state))
		return;
	/* Short of the end only for the attempt that is with the escrow: an older word changes
	 * nothing. */
	if (!slot_ended((enum slot_state)state) &&
		(!slot->submitting || o->message.attempt != slot->attempt))
		return;
	if (state == SLOT_OPEN) {
		keep_statements(t, slot);
		keep_reason(slot, o);
		slot->n_verdicts = 0;
		begin_again(t, slot);
	} else if (slot_ended((enum slot_state)state)) {
		const struct statement *s = message_find(o, STATEMENT_SETTLEMENT);

		keep_statements(t, slot);
		keep_reason(slot, o);
		/* LAPSED was told as the end; what the escrow held all the same, it gave back. */
		if (slot->state != SLOT_LAPSED) {
			note_way(t, slot, &s->body.settlement);
			slots_set(t, slot, (enum slot_state)state);
		}
		if (state == SLOT_SETTLED)
			slot->refusal = REFUSED_NOT;
		slots_end(t, slot);
		tell_node(t, slot);
	} else {
		/* PASSED before T_dispute, ESCALATED: news on the way; the end is still asked for.
		 */
		keep_statements(t, slot);
		if (state == SLOT_PASSED || state == SLOT_DEFAULTED || state == SLOT_ESCALATED ||
			state == SLOT_FAILED)
			slots_set(t, slot, (enum slot_state)state);
	}
	outcome_tell(t, slot, 0);
	slots_time(t->b, slot);
	slot_row_put(t, slot);
}

/* Refusals from which no later try can recover; the others are asked again. */
static bool lasting(enum refusal code)
{
	return code != REFUSED_EARMARK_LIVE && code != REFUSED_DISK_FULL &&
	       code != REFUSED_PEER_LIMIT && code != REFUSED_PEER_BUSY &&
	       code != REFUSED_GREETING_REQUIRED && code != REFUSED_KEY_UNKNOWN &&
	       code != REFUSED_STATEMENT_FROM_FUTURE;
}

/* What the escrow has against the offering, not against the request or the money. */
static bool about_offering(enum refusal code)
{
	return code == REFUSED_NODE_KIND_NOT_OFFERED || code == REFUSED_NODE_PRICE_TOO_LOW ||
	       code == REFUSED_NODE_SOURCE_REFUSED || code == REFUSED_NODE_PARTY_NOT_ACCEPTED ||
	       code == REFUSED_BOND_NOT_SERVED || code == REFUSED_BIDS_NOT_SERVED ||
	       code == REFUSED_STATEMENT_EXPIRED;
}

static void fund_refused(struct turn *t, struct slot *slot, enum refusal code)
{
	slot->refusal = (uint16_t)code;
	if (slot->state == SLOT_POSTED && about_offering(code) &&
		!id_is_zero(&slot->links[LINK_OFFERING]) && slot->n_tried < BROKER_TRIED_MAX) {
		post_first(t, slot);
		slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	} else if (slot->state == SLOT_POSTED) {
		if (!slots_move(t, slot, SLOT_ON_T_FUND))
			return;
		slots_end(t, slot);
	} else if (slot->state == SLOT_OPEN) {
		/* This node cannot be paid for; another may. */
		slot->funding = false;
		slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	}
	outcome_tell(t, slot, 0);
}

void outcome_on_refused(struct turn *t)
{
	const struct message *m = &t->event->opened->message;
	struct slot *slot = slots_find(t->b, &m->request);
	enum refusal code = (enum refusal)m->code;

	if (!slot || !did_eq(&slot->escrow, &t->event->from) || slot->ended)
		return;
	if (!lasting(code)) {
		/* The reason, should it stay so until T_fund. */
		if (slot->state == SLOT_POSTED && code == REFUSED_DISK_FULL)
			slot->refusal = (uint16_t)code;
		return;
	}
	if (slot->closing) {
		if (code != REFUSED_HOLD_UNKNOWN && code != REFUSED_REQUEST_UNKNOWN)
			return;
		/* There is no hold: nothing was taken, so nothing is to be refunded. */
		slots_set(t, slot, SLOT_LAPSED);
		slots_end(t, slot);
		outcome_tell(t, slot, 0);
	} else if (slot->funding) {
		fund_refused(t, slot, code);
	} else if (slot->submitting && slot->state == SLOT_VERIFYING) {
		/* The escrow will not look at this evidence: the attempt has failed. */
		slot->refusal = (uint16_t)code;
		slot->submitting = false;
		if (!slots_move(t, slot, SLOT_ON_FAIL) || !slots_move(t, slot, SLOT_ON_QUIET))
			return;
		post_close(t, slot, BASIS_NO_SHOW);
		outcome_tell(t, slot, 0);
	} else {
		return;
	}
	slots_time(t->b, slot);
	slot_row_put(t, slot);
}

static void list_requests(struct turn *t)
{
	const struct broker *b = t->b;
	const struct buyer_of *buyer = slots_of(b, &t->event->from);
	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_REQUESTS);
	struct message *m = &send->message;
	int64_t before = t->event->opened->message.cursor > 0 ? t->event->opened->message.cursor
							      : INT64_MAX;
	int64_t last = 0;

	m->reply_to = t->event->opened->message.number;
	/* The newest first; the cursor is the order of the last one shown. */
	for (uint32_t i = buyer ? buyer->newest : BROKER_NONE; i != BROKER_NONE;
		i = b->slots[i].older) {
		const struct slot *slot = &b->slots[i];

		if (slot->order >= before)
			continue;
		if (m->n_requests == MESSAGE_REQUESTS_MAX) {
			m->cursor = last;
			return;
		}
		last = slot->order;
		m->requests[m->n_requests++] = (struct summary){
			.present = true,
			.request = slot->request,
			.state = slot->state,
			.at_ns = slot->history[0].at_ns,
		};
	}
}

void outcome_on_query(struct turn *t)
{
	const struct message *m = &t->event->opened->message;

	if (id_is_zero(&m->request)) {
		list_requests(t);
		return;
	}

	struct slot *slot = slots_find(t->b, &m->request);

	if (!slot)
		effects_refuse(t->fx, t->event, REFUSED_REQUEST_UNKNOWN, NULL);
	else if (!did_eq(&slot->buyer, &t->event->from))
		effects_refuse(t->fx, t->event, REFUSED_NOT_A_PARTY, NULL);
	else
		outcome_tell(t, slot, m->number);
}

void outcome_on_fetch(struct turn *t)
{
	const struct opened *o = t->event->opened;
	const struct statement *s = message_find(o, STATEMENT_DRAW);
	struct slot *slot = s ? slots_find(t->b, &s->body.draw.request) : NULL;

	/* A draw by the request's escrow is its verifiers' ticket. */
	if (!slot || !did_eq(&s->issuer, &slot->escrow) ||
		!id_eq(&s->body.draw.evidence, &slot->links[LINK_EVIDENCE]))
		return;
	for (size_t i = 0; i < s->body.draw.n_panel; i++) {
		bool known = !did_eq(&s->body.draw.panel[i], &t->event->from);

		for (size_t k = 0; k < slot->n_ticket_holders && !known; k++)
			known = did_eq(&slot->ticket_holders[k], &t->event->from);
		if (!known && slot->n_ticket_holders < SLOT_VERDICTS_MAX)
			slot->ticket_holders[slot->n_ticket_holders++] = t->event->from;
	}
}

bool outcome_may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	const struct broker *b = core;
	uint32_t i = idmap_get(&b->by_payload, digest->b);
	const struct slot *slot = i == IDMAP_NONE ? NULL : &b->slots[i];

	if (!slot)
		return false;
	if (did_eq(who, &slot->buyer) || did_eq(who, &slot->escrow) || did_eq(who, &slot->node))
		return true;
	for (size_t k = 0; k < slot->n_ticket_holders; k++)
		if (did_eq(who, &slot->ticket_holders[k]))
			return true;
	return false;
}
