/* The other parties' moves in a sale; see broker_world.h. */
#include "tests/unit/broker_world.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

void sale_init(struct broker_world *w, struct sale *s)
{
	*s = (struct sale){ .body = market_request(&w->m), .node = &w->m.nodes[0] };
}

void sale_post(struct broker_world *w, struct sale *s)
{
	if (!s->request)
		s->request = market_sign(&w->m, &w->m.buyer, STATEMENT_REQUEST, &s->body);
	(void)market_message(&w->m, MESSAGE_REQUEST); /* ignored: nothing to fill in */
	market_attach(&w->m, s->request);
	broker_world_message(w, &w->m.buyer);
}

static struct common common_of(struct broker_world *w)
{
	return market_cancel(&w->m, &(struct id){ 0 }).c;
}

static struct earmarked earmarked_for(
	struct broker_world *w, const struct sale *s, const struct send *fund)
{
	struct earmarked e = { .present = true,
		.attempt = fund->message.attempt,
		.price_micros = fund->message.price_micros,
		.until_ns = w->m.now_ns + 150 * NS_PER_S };

	for (size_t i = 0; i < fund->n_statements; i++) {
		const struct statement *o = broker_world_statement(w, &fund->statements[i]);

		if (o->kind == STATEMENT_OFFERING)
			e.node = o->issuer;
	}
	(void)s; /* ignored: what counts is what was asked for */
	return e;
}

static bool names_offering(struct broker_world *w, const struct send *fund)
{
	for (size_t i = 0; i < fund->n_statements; i++)
		if (broker_world_statement(w, &fund->statements[i])->kind == STATEMENT_OFFERING)
			return true;
	return false;
}

static void make_hold(struct broker_world *w, struct sale *s, const struct send *fund)
{
	struct hold hold = { .c = common_of(w),
		.request = s->request->id,
		.amounts = { { true, ACCOUNT_AVAILABLE, MARKET_PRICE } },
		.n_amounts = 1,
		.asset = SPAN_STR("XTS"),
		.until_ns = s->body.c.expires_ns,
		.draw_commitment = SHA256(SPAN_STR("secret")),
		.sequence = 1 };

	if (names_offering(w, fund))
		hold.earmark = earmarked_for(w, s, fund);
	s->hold = market_sign(&w->m, &w->m.escrow, STATEMENT_HOLD, &hold);
}

void sale_fund(struct broker_world *w, struct sale *s)
{
	const struct send *fund = broker_world_sent(w, &w->m.escrow, MESSAGE_FUND);
	struct message *m;

	if (!fund)
		abort();
	if (!s->hold) {
		make_hold(w, s, fund);
	} else if (names_offering(w, fund)) {
		struct earmark e = { .c = common_of(w),
			.request = s->request->id,
			.hold = s->hold->id,
			.earmark = earmarked_for(w, s, fund) };

		s->earmark = market_sign(&w->m, &w->m.escrow, STATEMENT_EARMARK, &e);
	}
	m = market_message(&w->m, MESSAGE_FUNDED);
	m->request = s->request->id;
	m->attempt = fund->message.attempt;
	market_attach(&w->m, s->hold);
	market_attach(&w->m, s->earmark);
	broker_world_message(w, &w->m.escrow);
}

bool sale_take_assignment(struct broker_world *w, struct sale *s)
{
	for (size_t i = w->n_sent; i-- > 0;) {
		const struct send *send = &w->sent[i];

		if (send->message.message != MESSAGE_ASSIGN)
			continue;
		for (size_t k = 0; k < send->n_statements; k++) {
			struct statement *st = broker_world_statement(w, &send->statements[k]);

			if (st->kind == STATEMENT_ASSIGNMENT)
				s->assignment = st;
		}
		for (size_t k = 0; k < MARKET_NODES; k++)
			if (did_eq(&send->to, &w->m.nodes[k].did))
				s->node = &w->m.nodes[k];
		return true;
	}
	return false;
}

void sale_capture(struct broker_world *w, struct sale *s)
{
	struct evidence e = market_evidence(
		&w->m, s->assignment, SPAN_STR("a picture of a lake"), "image/jpeg", &s->blob);

	s->evidence = market_sign(&w->m, s->node, STATEMENT_EVIDENCE, &e);
}

void sale_give(struct broker_world *w, struct sale *s, bool with_blob)
{
	struct message *m = market_message(&w->m, MESSAGE_EVIDENCE);

	if (with_blob)
		m->blob = s->blob;
	else
		m->size = (int64_t)s->blob.n;
	market_attach(&w->m, s->evidence);
	broker_world_message(w, s->node);
}

void sale_decline(struct broker_world *w, struct sale *s)
{
	struct answer a = market_decline(&w->m, &s->request->id, &s->assignment->id);
	struct statement *st = market_sign(&w->m, s->node, STATEMENT_DECLINE, &a);

	(void)market_message(&w->m, MESSAGE_DECLINE); /* ignored: nothing to fill in */
	market_attach(&w->m, st);
	broker_world_message(w, s->node);
}

void sale_cancel(struct broker_world *w, struct sale *s)
{
	struct claim c = market_cancel(&w->m, &s->request->id);
	struct statement *st = market_sign(&w->m, &w->m.buyer, STATEMENT_CANCEL, &c);

	(void)market_message(&w->m, MESSAGE_CANCEL); /* ignored: nothing to fill in */
	market_attach(&w->m, st);
	broker_world_message(w, &w->m.buyer);
}

static void make_verdict(struct broker_world *w, struct sale *s)
{
	struct draw draw = { .c = common_of(w),
		.request = s->request->id,
		.evidence = s->evidence->id,
		.panel = { w->m.verifiers[0].did },
		.n_panel = 1,
		.draw_secret = SHA256(SPAN_STR("secret")) };
	struct verdict verdict;

	s->draw = market_sign(&w->m, &w->m.escrow, STATEMENT_DRAW, &draw);
	verdict = market_verdict(&w->m, s->evidence, &s->draw->id, SPAN_STR("x"), CHECK_PASS);
	s->verdict = market_sign(&w->m, &w->m.verifiers[0], STATEMENT_VERDICT, &verdict);

	struct release release = { .c = common_of(w),
		.request = s->request->id,
		.evidence = s->evidence->id,
		.verdicts = { s->verdict->id },
		.n_verdicts = 1,
		.recipient = w->m.buyer.did,
		.wrapped_key = s->evidence->body.evidence.payload.wrapped_key };

	s->release = market_sign(&w->m, &w->m.escrow, STATEMENT_RELEASE, &release);
}

void sale_outcome(struct broker_world *w, struct sale *s, enum slot_state state, enum basis basis,
	int64_t attempt)
{
	struct message *m;

	if (slot_ended(state) && !s->settlement) {
		struct settlement st = { .c = common_of(w),
			.request = s->request->id,
			.hold = s->hold ? s->hold->id : s->request->id,
			.attempt = attempt,
			.basis = basis,
			.lines = { { true, w->m.buyer.did, ACCOUNT_AVAILABLE, 1 } },
			.n_lines = 1,
			.asset = SPAN_STR("XTS"),
			.sequence = 1,
			.outcome = state };

		if (state == SLOT_SETTLED)
			make_verdict(w, s);
		s->settlement = market_sign(&w->m, &w->m.escrow, STATEMENT_SETTLEMENT, &st);
	}
	m = market_message(&w->m, MESSAGE_OUTCOME);
	m->request = s->request->id;
	m->state = state;
	m->attempt = attempt;
	market_attach(&w->m, s->own_door ? s->evidence : NULL);
	market_attach(&w->m, s->draw);
	market_attach(&w->m, s->verdict);
	market_attach(&w->m, s->release);
	market_attach(&w->m, s->settlement);
	broker_world_message(w, &w->m.escrow);
}

void sale_refuse(struct broker_world *w, struct sale *s, enum refusal code)
{
	struct message *m = market_message(&w->m, MESSAGE_REFUSED);

	m->request = s->request->id;
	m->code = code;
	broker_world_message(w, &w->m.escrow);
}

void sale_to(struct broker_world *w, struct sale *s, enum slot_state state)
{
	sale_post(w, s);
	sale_fund(w, s);
	if (!sale_take_assignment(w, s))
		abort();
	if (state == SLOT_ASSIGNED)
		return;
	sale_capture(w, s);
	sale_give(w, s, true);
	if (state == SLOT_VERIFYING)
		return;
	sale_outcome(w, s, SLOT_SETTLED, BASIS_VERDICTS, 0);
}
