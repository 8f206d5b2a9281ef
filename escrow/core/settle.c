#include "escrow/core/settle.h"

#include <stdlib.h>

static size_t voted(const struct slot *slot)
{
	size_t n = 0;

	for (size_t i = 0; i < slot->progress.n_votes; i++)
		n += !id_is_zero(&slot->progress.votes[i].verdict);
	return n;
}

static void owe(struct progress *p, const struct did *verifier, int64_t amount_micros)
{
	size_t i = 0;

	if (amount_micros == 0)
		return;
	while (i < p->n_owed && !did_eq(&p->owed[i].verifier, verifier))
		i++;
	/* settle_covers_next() keeps room for a whole panel. */
	assert(i < HOLDS_OWED_MAX);
	if (i == p->n_owed)
		p->owed[p->n_owed++] = (struct owed){ .present = true, .verifier = *verifier };
	p->owed[i].amount_micros += amount_micros;
}

void settle_owe(struct turn *t, struct slot *slot)
{
	struct progress *p = &slot->progress;

	if (p->n_votes == 0)
		return;

	int64_t each = holds_money(&slot->terms, p->price_micros).verifier_each_micros;

	for (size_t i = 0; i < p->n_votes; i++)
		if (!id_is_zero(&p->votes[i].verdict))
			owe(p, &p->votes[i].verifier, each);
	holds_touch(t, slot);
}

static int64_t owed_sum(const struct progress *p)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->n_owed; i++)
		sum += p->owed[i].amount_micros;
	return sum;
}

bool settle_covers_next(const struct slot *slot)
{
	const struct progress *p = &slot->progress;
	struct rules_money next = holds_money(&slot->terms, slot->terms.price_micros);
	int64_t each = p->price_micros > 0
			       ? holds_money(&slot->terms, p->price_micros).verifier_each_micros
			       : 0;
	/* What the present panel earns is not yet among what is owed. */
	int64_t owed = owed_sum(p) + each * (int64_t)voted(slot);

	return p->n_owed + voted(slot) + (size_t)slot->terms.panel_n <= HOLDS_OWED_MAX &&
	       next.total_micros + owed <= slot->terms.held_micros;
}

static void add_line(struct settlement *s, const struct did *account, enum account_purpose purpose,
	int64_t amount_micros)
{
	if (amount_micros == 0)
		return;
	assert(s->n_lines < LINES_MAX);
	s->lines[s->n_lines++] = (struct line){
		.present = true,
		.account = *account,
		.account_purpose = purpose,
		.amount_micros = amount_micros,
	};
}

static enum transfer_kind kind_of(const struct slot *slot, const struct line *line)
{
	if (line->account_purpose == ACCOUNT_VERIFIER_PAY)
		return TRANSFER_VERIFIER;
	return did_eq(&line->account, &slot->terms.buyer) ? TRANSFER_REFUND : TRANSFER_PAY;
}

static void move_lines(struct turn *t, const struct slot *slot, const struct settlement *s)
{
	struct ledger_side from = { slot->terms.buyer, ACCOUNT_HELD };

	for (size_t i = 0; i < s->n_lines; i++) {
		const struct line *line = &s->lines[i];
		struct ledger_side to = { line->account,
			(enum account_purpose)line->account_purpose };
		enum refusal refusal = ledger_move(&t->e->ledger, t->fx, t->event->now_ns,
			kind_of(slot, line), &from, &to, slot->terms.asset, line->amount_micros,
			&slot->request);

		/* The hold covers its lines and room for their accounts was promised: anything else
		 * is a mistake of this program, and going on would lose money. */
		assert(refusal == REFUSED_NOT);
	}
}

/* Signs the settlement, moves the money and ends the slot. to_node, fee: from the hold. */
static void settle(struct turn *t, struct slot *slot, int64_t to_node, int64_t fee)
{
	struct escrow *e = t->e;
	struct progress *p = &slot->progress;
	bool paid = slot->state == SLOT_SETTLING;
	struct settlement s = {
		.request = slot->request,
		.hold = p->hold,
		.attempt = p->attempts_used > 0 ? p->attempts_used - 1 : 0,
		.basis = p->basis,
		.evidence = p->evidence,
		.asset = ledger_asset_text(&e->ledger, slot->terms.asset),
		.sequence = holds_chain_next(e),
		.previous = e->previous,
		.outcome = paid ? SLOT_SETTLED : SLOT_REFUNDED,
	};
	int64_t rest;

	for (size_t i = 0; i < p->n_votes; i++)
		if (!id_is_zero(&p->votes[i].verdict))
			s.verdicts[s.n_verdicts++] = p->votes[i].verdict;
	if (!id_is_zero(&p->draw))
		s.draw_secret = holds_draw_secret(e, &slot->request);
	settle_owe(t, slot);
	rest = slot->terms.held_micros - to_node - fee - owed_sum(p);
	assert(rest >= 0);
	add_line(&s, &p->node, ACCOUNT_AVAILABLE, to_node);
	add_line(&s, &e->me, ACCOUNT_FEE, fee);
	for (size_t i = 0; i < p->n_owed; i++)
		add_line(&s, &p->owed[i].verifier, ACCOUNT_VERIFIER_PAY, p->owed[i].amount_micros);
	add_line(&s, &slot->terms.buyer, ACCOUNT_AVAILABLE, rest);
	move_lines(t, slot, &s);
	p->n_owed = 0;
	author_common(&e->config.author, t->event, &t->counter, t->fx, &s.c);
	p->settlement = effects_sign(
		t->fx, &e->config.author, STATEMENT_SETTLEMENT, &s, &slot->request, NULL);
	holds_chain_add(e, &p->settlement);
	holds_must_move(t, slot, SLOT_ON_DURABLE);
	holds_end(t, slot);
	settle_tell(t, slot);
}

static void sign_release(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;
	struct progress *p = &slot->progress;
	uint8_t wrapped[SEAL_WRAPPED];
	struct buf out = BUF(wrapped);
	struct seal_context context = {
		.request = slot->request, .scope = p->evidence, .recipient = slot->terms.buyer
	};
	struct id ephemeral = event_random(t->event, "wrap", t->counter++);
	const uint8_t *key = holds_content_key(e, slot);

	/* The key was unwrapped when the evidence came, and the buyer's was tried at the hold. */
	if (!key || !seal_wrap(key, slot->terms.encryption_key.b, ephemeral.b, &context, &out))
		abort();

	struct release release = {
		.request = slot->request,
		.evidence = p->evidence,
		.recipient = slot->terms.buyer,
		.wrapped_key = buf_span(&out),
	};

	for (size_t i = 0; i < p->n_votes; i++)
		if (!id_is_zero(&p->votes[i].verdict))
			release.verdicts[release.n_verdicts++] = p->votes[i].verdict;
	author_common(&e->config.author, t->event, &t->counter, t->fx, &release.c);
	p->release = effects_sign(
		t->fx, &e->config.author, STATEMENT_RELEASE, &release, &slot->request, NULL);
	holds_touch(t, slot);
}

static void pay_now(struct turn *t, struct slot *slot, enum slot_event event)
{
	struct rules_money money = holds_money(&slot->terms, slot->progress.price_micros);

	holds_must_move(t, slot, event);
	settle(t, slot, money.price_micros, money.fee_micros);
}

void settle_pay(struct turn *t, struct slot *slot, enum basis basis, enum slot_event event)
{
	slot->progress.basis = basis;
	sign_release(t, slot);
	if (slot->terms.t_dispute_ms == 0 || event != SLOT_ON_QUIET) {
		pay_now(t, slot, event);
		return;
	}
	holds_deadline(t, slot, t->event->now_ns + slot->terms.t_dispute_ms * NS_PER_MS);
	settle_tell(t, slot);
}

void settle_released(struct turn *t, struct slot *slot)
{
	pay_now(t, slot, SLOT_ON_QUIET);
}

void settle_refund(struct turn *t, struct slot *slot, enum basis basis, int64_t node_fee_micros)
{
	slot->progress.basis = basis;
	settle(t, slot, node_fee_micros, 0);
}

void settle_outcome(struct turn *t, const struct slot *slot, const struct did *to, int64_t reply_to)
{
	struct send *send = effects_send(t->fx, to, MESSAGE_OUTCOME);
	const struct progress *p = &slot->progress;

	send->message.reply_to = reply_to;
	send->message.request = slot->request;
	send->message.state = slot->state;
	send->message.attempt = p->attempts_used > 0 ? p->attempts_used - 1 : 0;
	send->message.code = p->code;
	send->message.target = p->code_target;
	/* Verdicts are disclosed only after the last one that counts (rule 6). */
	if (slot->state == SLOT_VERIFYING)
		return;
	/* Who was paid has nothing to dispute, and need not check what the buyer will check. */
	if (slot->state == SLOT_SETTLED && did_eq(to, &p->node) &&
		!did_eq(to, &slot->terms.broker)) {
		send_attach(send, &p->settlement);
		return;
	}
	/* The broker may have none, or other evidence than what was judged. */
	if (p->from_node)
		send_attach(send, &p->evidence);
	send_attach(send, &p->draw);
	for (size_t i = 0; i < p->n_votes; i++)
		send_attach(send, &p->votes[i].verdict);
	send_attach(send, &p->release);
	send_attach(send, &p->settlement);
}

void settle_tell(struct turn *t, const struct slot *slot)
{
	settle_outcome(t, slot, &slot->terms.broker, 0);
	if (!did_is_zero(&slot->progress.node))
		settle_outcome(t, slot, &slot->progress.node, 0);
}
