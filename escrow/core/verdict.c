#include "escrow/core/verdict.h"

#include "escrow/core/panel.h"
#include "escrow/core/seen.h"
#include "escrow/core/settle.h"

/* The plaintext's digest that a pass must name, so that nothing is sold twice. */
static enum refusal open_digest(
	struct turn *t, struct slot *slot, const struct verdict *v, struct id *ret_digest)
{
	struct seal_bound bound = { .request = slot->request, .subject = slot->progress.evidence };
	const uint8_t *key = holds_content_key(t->e, slot);
	uint8_t plain[SEAL_SMALL_MAX];
	struct buf out = BUF(plain);

	if (!key ||
		seal_open_small(SEAL_DIGEST, key, &bound, v->sealed_digest, &out) != REFUSED_NOT ||
		out.n != 32)
		return REFUSED_VERDICT_MISMATCH;
	memcpy(ret_digest->b, plain, 32);
	return id_is_zero(ret_digest) ? REFUSED_VERDICT_MISMATCH : REFUSED_NOT;
}

static enum refusal check_verdict(
	const struct turn *t, const struct slot *slot, const struct statement *s)
{
	const struct verdict *v = &s->body.verdict;
	const struct progress *p = &slot->progress;
	bool meant = v->c.n_audience == 0;

	for (size_t i = 0; i < v->c.n_audience; i++)
		meant |= did_eq(&v->c.audience[i], &t->e->me);
	if (!meant)
		return REFUSED_STATEMENT_AUDIENCE;
	if (!span_eq(v->c.market, t->e->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (v->c.at_ns > t->event->now_ns + CLOCK_SKEW_NS)
		return REFUSED_STATEMENT_FROM_FUTURE;
	if (!id_eq(&v->assignment, &p->assignment) || !id_eq(&v->evidence, &p->evidence) ||
		!id_eq(&v->draw, &p->draw))
		return REFUSED_VERDICT_MISMATCH;
	return REFUSED_NOT;
}

struct tally {
	size_t passes; /* that agree on the plaintext */
	size_t fails;
	size_t missing;
	const struct id *digest; /* of the passes; NULL or zero: none is needed */
};

static struct tally count(const struct slot *slot)
{
	const struct progress *p = &slot->progress;
	struct tally tally = { 0 };

	for (size_t i = 0; i < p->n_votes; i++) {
		const struct vote *vote = &p->votes[i];
		size_t same = 0;

		tally.missing += id_is_zero(&vote->verdict);
		tally.fails += vote->outcome == CHECK_FAIL;
		if (vote->outcome != CHECK_PASS)
			continue;
		for (size_t k = 0; k < p->n_votes; k++)
			same += p->votes[k].outcome == CHECK_PASS &&
				id_eq(&p->votes[k].digest, &vote->digest);
		if (same > tally.passes) {
			tally.passes = same;
			tally.digest = &vote->digest;
		}
	}
	return tally;
}

void verdict_retry_or_refund(struct turn *t, struct slot *slot)
{
	struct progress *p = &slot->progress;

	if (p->attempts_used < slot->terms.attempts && settle_covers_next(slot) &&
		t->event->now_ns < slot->terms.expires_ns) {
		struct did node = p->node;

		settle_owe(t, slot);
		holds_must_move(t, slot, SLOT_ON_RETRY);
		settle_outcome(t, slot, &slot->terms.broker, 0);
		settle_outcome(t, slot, &node, 0);
		holds_clear_attempt(t, slot);
		holds_deadline(t, slot, slot->terms.expires_ns);
		return;
	}
	holds_must_move(t, slot, SLOT_ON_QUIET);
	settle_refund(t, slot, (enum basis)p->basis, 0);
}

void verdict_fail(struct turn *t, struct slot *slot, enum basis basis, enum slot_event event)
{
	slot->progress.basis = basis;
	holds_must_move(t, slot, event);
	if (slot->terms.t_dispute_ms == 0) {
		verdict_retry_or_refund(t, slot);
		return;
	}
	/* Broker and node hear of it when it is decided whether another attempt follows. */
	holds_deadline(t, slot, t->event->now_ns + slot->terms.t_dispute_ms * NS_PER_MS);
}

static void pass(struct turn *t, struct slot *slot, const struct id *digest)
{
	struct progress *p = &slot->progress;

	if (!p->measurement) {
		const struct id *earlier = seen_find(t->e, digest);

		if (earlier && !id_eq(earlier, &p->evidence)) {
			p->code = REFUSED_SEEN_BEFORE;
			p->code_target = *earlier;
			verdict_fail(t, slot, BASIS_VERDICTS, SLOT_ON_FAIL);
			return;
		}
		seen_add(t, digest, &p->evidence);
	}
	holds_must_move(t, slot, SLOT_ON_PASS);
	settle_pay(t, slot, BASIS_VERDICTS, SLOT_ON_QUIET);
}

static void decide(struct turn *t, struct slot *slot)
{
	struct tally tally = count(slot);
	size_t k = (size_t)slot->terms.panel_k;
	size_t n = (size_t)slot->terms.panel_n;

	if (tally.passes >= k) {
		pass(t, slot, tally.digest);
	} else if (tally.fails > n - k) {
		verdict_fail(t, slot, BASIS_VERDICTS, SLOT_ON_FAIL);
	} else if (tally.passes + tally.missing < k && tally.fails + tally.missing <= n - k) {
		holds_must_move(t, slot, SLOT_ON_NEITHER);
		holds_deadline(t, slot, t->event->now_ns + slot->terms.t_arbitrate_ms * NS_PER_MS);
	}
}

static enum refusal take_verdict(struct turn *t, struct slot *slot, const struct statement *s)
{
	struct vote *vote = panel_vote(slot, &s->issuer);
	struct id digest = { 0 };
	enum refusal refusal;

	if (!vote || !did_eq(&s->issuer, &t->event->from))
		return REFUSED_DRAW_INVALID;
	/* Verifiers keep nothing and may sign again: the first one counts. */
	if (!id_is_zero(&vote->verdict))
		return REFUSED_NOT;
	/* Late is late, also where the tick that ends the wait has not come yet. */
	if (slot->state != SLOT_VERIFYING || t->event->now_ns >= holds_deadline_at(t->e, slot))
		return REFUSED_VERDICT_LATE;
	refusal = check_verdict(t, slot, s);
	if (refusal == REFUSED_NOT && s->body.verdict.outcome == CHECK_PASS &&
		!slot->progress.measurement)
		refusal = open_digest(t, slot, &s->body.verdict, &digest);
	if (refusal != REFUSED_NOT)
		return refusal;
	vote->verdict = s->id;
	vote->outcome = s->body.verdict.outcome;
	vote->digest = digest;
	effects_keep(t->fx, s, &slot->request);
	holds_touch(t, slot);
	decide(t, slot);
	return REFUSED_NOT;
}

void verdict_on_verdict(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_VERDICT);
	enum refusal refusal = s ? REFUSED_NOT : REFUSED_MESSAGE_SHAPE;
	struct slot *slot = s ? holds_find(t->e, &s->body.verdict.request) : NULL;

	if (refusal == REFUSED_NOT && !slot)
		refusal = REFUSED_HOLD_UNKNOWN;
	if (refusal == REFUSED_NOT && slot && slot->progress.n_votes == 0)
		refusal = REFUSED_VERDICT_LATE;
	if (refusal == REFUSED_NOT && slot)
		refusal = take_verdict(t, slot, s);
	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		return;
	}

	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_VERDICT_TAKEN);

	send->message.reply_to = t->event->opened->message.number;
	send->message.request = slot->request;
	send->message.target = s->id;
}
