#include "escrow/core/fund.h"

#include "escrow/core/hold_row.h"
#include "escrow/core/settle.h"
#include "proto/base/sha256.h"

#include <sodium.h>

struct funding {
	const struct statement *request;
	const struct statement *offering; /* NULL: no node yet */
	const struct statement *decline;
};

/* A key of low order would make the release impossible after the money was promised. */
static bool key_usable(struct span key)
{
	static const uint8_t scalar[32] = { 8 };
	uint8_t shared[32];

	return key.n == 32 && crypto_scalarmult(shared, scalar, key.p) == 0;
}

static enum refusal check_offering(
	const struct turn *t, const struct statement *offering, const struct request *r)
{
	const struct offering *o = &offering->body.offering;

	if (!span_eq(o->c.market, t->e->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (t->event->opened->message.price_micros != o->price_micros)
		return REFUSED_MESSAGE_SHAPE;
	if (o->price_micros <= 0)
		return REFUSED_PRICE_NOT_POSITIVE;
	return rules_offering(o, r, t->event->now_ns);
}

static int64_t earmark_until(const struct turn *t, const struct request *r)
{
	return t->event->now_ns + (r->t_commit_ms + r->t_deliver_ms) * NS_PER_MS +
	       ESCROW_EARMARK_GRACE_NS;
}

static enum refusal check_request(const struct turn *t, const struct funding *f)
{
	const struct request *r = &f->request->body.request;
	enum refusal refusal = rules_request(
		f->request, t->e->config.author.market, &r->broker, &t->e->me, t->event->now_ns);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (ledger_asset(&t->e->ledger, r->asset) < 0)
		return REFUSED_ASSET_UNKNOWN;
	if (!key_usable(r->encryption_key))
		return REFUSED_STATEMENT_FIELD_RANGE;
	return REFUSED_NOT;
}

/*
 * A hold covers price, fee and one panel; further panels (after a failed attempt) as far as
 * max_total and the balance reach. 0: not even one.
 */
static int64_t amount_to_hold(const struct turn *t, const struct statement *request, int asset,
	const struct rules_money *money)
{
	const struct request *r = &request->body.request;
	int64_t available = ledger_balance(
		&t->e->ledger, &request->issuer, ACCOUNT_AVAILABLE, asset);
	int64_t most = MIN(r->max_total_micros, available);
	int64_t total = money->total_micros;

	if (total > most)
		return 0;
	for (int64_t i = 1; i < r->attempts && most - total >= money->verifiers_micros; i++)
		total += money->verifiers_micros;
	return total;
}

static void set_terms(struct slot *slot, const struct statement *request, int asset, int64_t held)
{
	const struct request *r = &request->body.request;

	slot->terms = (struct terms){
		.buyer = request->issuer,
		.broker = r->broker,
		.asset = asset,
		.price_micros = r->price_micros,
		.fee_ppm = r->fee_ppm,
		.verifier_ppm = r->verifier_ppm,
		.attempt_fee_micros = r->attempt_fee_micros,
		.attempts = r->attempts,
		.panel_n = r->panel_n,
		.panel_k = r->panel_k,
		.t_commit_ms = r->t_commit_ms,
		.t_deliver_ms = r->t_deliver_ms,
		.t_verify_ms = r->t_verify_ms,
		.t_dispute_ms = r->t_dispute_ms,
		.t_arbitrate_ms = r->t_arbitrate_ms,
		.on_silence = r->on_silence,
		.expires_ns = r->c.expires_ns,
		.held_micros = held,
	};
	memcpy(slot->terms.encryption_key.b, r->encryption_key.p, 32);
	memcpy(slot->terms.salt, r->c.salt.p, sizeof(slot->terms.salt));
	memcpy(slot->open->pool, r->pool, r->n_pool * sizeof(r->pool[0]));
	slot->open->n_pool = r->n_pool;
}

static struct earmarked earmark_of(
	const struct turn *t, const struct funding *f, int64_t attempt, int64_t slot_number)
{
	return (struct earmarked){
		.present = true,
		.node = f->offering->issuer,
		.slot = slot_number,
		.attempt = attempt,
		.price_micros = f->offering->body.offering.price_micros,
		.until_ns = earmark_until(t, &f->request->body.request),
	};
}

static void take_earmark(struct turn *t, struct slot *slot, const struct earmarked *earmark,
	const struct id *statement, const struct id *offering)
{
	struct progress *p = &slot->progress;

	p->attempts_used = earmark->attempt + 1;
	p->node = earmark->node;
	p->price_micros = earmark->price_micros;
	p->until_ns = earmark->until_ns;
	p->earmark_at_ns = t->event->now_ns;
	p->earmark = *statement;
	p->offering = *offering;
	holds_touch(t, slot);
}

static void sign_hold(struct turn *t, struct slot *slot, const struct funding *f)
{
	struct escrow *e = t->e;
	struct rules_money money = holds_money(&slot->terms, slot->terms.price_micros);
	struct id secret = holds_draw_secret(e, &slot->request);
	struct hold hold = {
		.request = slot->request,
		.amounts = { { true, ACCOUNT_AVAILABLE, money.price_micros },
			{ true, ACCOUNT_FEE, money.fee_micros },
			{ true, ACCOUNT_VERIFIER_PAY,
				slot->terms.held_micros - money.price_micros - money.fee_micros } },
		.n_amounts = 3,
		.asset = ledger_asset_text(&e->ledger, slot->terms.asset),
		.until_ns = slot->terms.expires_ns,
		.draw_commitment = SHA256(SPAN_OF(secret)),
		.sequence = holds_chain_next(e),
		.previous = e->previous,
	};

	if (f->offering)
		hold.earmark = earmark_of(t, f, 0, 0);
	author_common(&e->config.author, t->event, &t->counter, t->fx, &hold.c);
	slot->progress.hold = effects_sign(
		t->fx, &e->config.author, STATEMENT_HOLD, &hold, &slot->request, NULL);
	holds_chain_add(e, &slot->progress.hold);
	if (f->offering)
		take_earmark(t, slot, &hold.earmark, &slot->progress.hold, &f->offering->id);
}

static void reply(struct turn *t, const struct slot *slot)
{
	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_FUNDED);
	const struct progress *p = &slot->progress;

	send->message.reply_to = t->event->opened->message.number;
	send->message.request = slot->request;
	send->message.attempt = p->attempts_used > 0 ? p->attempts_used - 1 : 0;
	send_attach(send, &p->hold);
	if (!id_eq(&p->earmark, &p->hold))
		send_attach(send, &p->earmark);
}

static enum refusal new_hold(struct turn *t, const struct funding *f)
{
	struct escrow *e = t->e;
	const struct request *r = &f->request->body.request;
	const struct did *buyer = &f->request->issuer;
	struct rules_money money;
	enum refusal refusal = check_request(t, f);

	if (refusal == REFUSED_NOT && f->offering)
		refusal = check_offering(t, f->offering, r);
	if (refusal == REFUSED_NOT && f->offering && earmark_until(t, r) > r->c.expires_ns)
		refusal = REFUSED_HOLD_TOO_SHORT;
	if (refusal == REFUSED_NOT)
		refusal = rules_money(r, r->price_micros, &money);
	if (refusal != REFUSED_NOT)
		return refusal;

	int asset = ledger_asset(&e->ledger, r->asset);
	int64_t held = amount_to_hold(t, f->request, asset, &money);
	size_t promise = hold_row_promise(
		&(struct terms){ .panel_n = r->panel_n, .attempts = r->attempts });

	if (held == 0)
		return REFUSED_EXCEEDS_AVAILABLE;
	/* One more for the buyer's own HELD account. */
	if (!ledger_has_room(&e->ledger, promise + 1))
		return REFUSED_TOO_MANY_REQUESTS;

	struct slot *slot = holds_add(t, &f->request->id);

	if (!slot)
		return REFUSED_TOO_MANY_REQUESTS;
	refusal = ledger_move(&e->ledger, t->fx, t->event->now_ns, TRANSFER_HOLD,
		&(struct ledger_side){ *buyer, ACCOUNT_AVAILABLE },
		&(struct ledger_side){ *buyer, ACCOUNT_HELD }, asset, held, &f->request->id);
	assert(refusal == REFUSED_NOT); /* balance and room were looked at */
	slot->open->promised = promise;
	e->ledger.promised += promise;
	set_terms(slot, f->request, asset, held);
	effects_keep(t->fx, f->request, &slot->request);
	sign_hold(t, slot, f);
	hold_row_put_terms(t, slot);
	holds_must_move(t, slot, f->offering ? SLOT_ON_FUNDED_WITH_NODE : SLOT_ON_FUNDED);
	holds_deadline(t, slot, slot->terms.expires_ns);
	reply(t, slot);
	return REFUSED_NOT;
}

bool fund_declined(const struct slot *slot, const struct statement *s)
{
	/* An older decline by the same node must not free a new earmark. */
	return s && did_eq(&s->issuer, &slot->progress.node) &&
	       id_eq(&s->body.answer.request, &slot->request) &&
	       !id_eq(&s->id, &slot->progress.decline) &&
	       s->body.answer.c.at_ns >= slot->progress.earmark_at_ns - CLOCK_SKEW_NS;
}

/* ASSIGNED -> OPEN where the node has declined or let its time pass. */
static bool free_earmark(struct turn *t, struct slot *slot, const struct funding *f)
{
	bool declined = fund_declined(slot, f->decline);

	if (!declined && t->event->now_ns < slot->progress.until_ns)
		return false;
	if (declined) {
		slot->progress.decline = f->decline->id;
		effects_keep(t->fx, f->decline, &slot->request);
	}
	holds_must_move(t, slot, SLOT_ON_DECLINE);
	return true;
}

static void sign_earmark(struct turn *t, struct slot *slot, const struct funding *f)
{
	struct escrow *e = t->e;
	int64_t attempt = t->event->opened->message.attempt;
	struct earmark earmark = {
		.request = slot->request,
		.hold = slot->progress.hold,
		.earmark = earmark_of(t, f, attempt, 0),
	};

	author_common(&e->config.author, t->event, &t->counter, t->fx, &earmark.c);

	struct id id = effects_sign(
		t->fx, &e->config.author, STATEMENT_EARMARK, &earmark, &slot->request, NULL);

	take_earmark(t, slot, &earmark.earmark, &id, &f->offering->id);
	holds_must_move(t, slot, SLOT_ON_EARMARK);
	holds_deadline(t, slot, slot->terms.expires_ns);
	reply(t, slot);
}

static enum refusal next_attempt(struct turn *t, struct slot *slot, const struct funding *f)
{
	const struct request *r = &f->request->body.request;
	enum refusal refusal;

	if (t->event->opened->message.attempt >= slot->terms.attempts)
		return REFUSED_ATTEMPTS_USED_UP;
	refusal = check_offering(t, f->offering, r);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (earmark_until(t, r) > slot->terms.expires_ns)
		return REFUSED_HOLD_TOO_SHORT;
	if (slot->state == SLOT_ASSIGNED && !free_earmark(t, slot, f))
		return REFUSED_EARMARK_LIVE;
	if (slot->state != SLOT_OPEN)
		return REFUSED_EARMARK_LIVE;
	sign_earmark(t, slot, f);
	return REFUSED_NOT;
}

static enum refusal known_hold(struct turn *t, struct slot *slot, const struct funding *f)
{
	if (!slot->open) {
		settle_outcome(t, slot, &t->event->from, t->event->opened->message.number);
		return REFUSED_NOT;
	}
	if (f->offering && t->event->opened->message.attempt >= slot->progress.attempts_used)
		return next_attempt(t, slot, f);
	if (!f->offering && slot->state == SLOT_ASSIGNED && fund_declined(slot, f->decline))
		(void)free_earmark(t, slot, f); /* ignored: it was asked just above */
	reply(t, slot);
	return REFUSED_NOT;
}

void fund_on_fund(struct turn *t)
{
	const struct opened *opened = t->event->opened;
	struct funding f = {
		.request = message_find(opened, STATEMENT_REQUEST),
		.offering = message_find(opened, STATEMENT_OFFERING),
		.decline = message_find(opened, STATEMENT_DECLINE),
	};
	enum refusal refusal = REFUSED_NOT;
	struct slot *slot;

	if (!f.request)
		refusal = REFUSED_MESSAGE_SHAPE;
	else if (!did_eq(&f.request->body.request.broker, &t->event->from))
		refusal = REFUSED_NOT_A_PARTY;
	else if (opened->message.slot != 0)
		refusal = REFUSED_QUORUM_NOT_SERVED;
	if (refusal == REFUSED_NOT) {
		slot = holds_find(t->e, &f.request->id);
		if (slot)
			refusal = known_hold(t, slot, &f);
		else if (opened->message.attempt != 0)
			refusal = REFUSED_HOLD_UNKNOWN;
		else
			refusal = new_hold(t, &f);
	}
	if (refusal != REFUSED_NOT)
		effects_refuse(t->fx, t->event, refusal, NULL);
}
