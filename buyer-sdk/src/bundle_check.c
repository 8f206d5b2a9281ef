#include "buyer-sdk/src/bundle.h"

#include "proto/base/money.h"
#include "proto/base/sha256.h"
#include "proto/core/rules.h"
#include "proto/core/slot.h"
#include "proto/seal/digest.h"
#include "proto/seal/seal.h"
#include "proto/tlog/proof.h"

#define UNCERTAINTY_MAX_NS (INT64_C(86400) * NS_PER_S)

struct links {
	const struct bundle *bundle;
	struct keyring *keyring;
	struct statement *room;
	size_t n_keys;
	size_t n; /* statements, keys included */
	struct bundle_facts *facts;
	const char *link; /* of the check that is going on */
};

/* Names the link and gives the refusal where a condition does not hold. */
static enum refusal must(struct links *l, bool holds, enum refusal refusal, const char *link)
{
	if (!holds)
		l->link = link;
	return holds ? REFUSED_NOT : refusal;
}

#define MUST(condition, code, name) \
	do { \
		enum refusal must_ = must(l, (condition), (code), (name)); \
		if (must_ != REFUSED_NOT) \
			return must_; \
	} while (0)

/* Keys first and in order, each known; then all the others, each signed by one of those keys. */
static enum refusal read_statements(struct links *l)
{
	bool is_new;

	MUST(l->bundle->n_statements <= MESSAGE_STATEMENTS_MAX, REFUSED_BUNDLE_SHAPE, "statements");
	for (l->n = 0; l->n < l->bundle->n_statements; l->n++) {
		struct statement *s = &l->room[l->n];
		enum refusal refusal = statement_decode(l->bundle->statements[l->n], s, &l->link);

		if (refusal != REFUSED_NOT) {
			l->link = "statements";
			return refusal;
		}
		if (s->kind != STATEMENT_KEYS_OF)
			continue;
		MUST(l->n == l->n_keys, REFUSED_BUNDLE_SHAPE, "keys");
		MUST(l->n == 0 || memcmp(l->room[l->n - 1].id.b, s->id.b, sizeof(s->id.b)) < 0,
			REFUSED_BUNDLE_SHAPE, "keys");
		refusal = keyring_learn(l->keyring, s, &is_new);
		MUST(refusal == REFUSED_NOT, refusal, "keys");
		l->n_keys++;
	}
	for (size_t i = l->n_keys; i < l->n; i++) {
		enum refusal refusal = keyring_verify(l->keyring, &l->room[i]);

		MUST(refusal == REFUSED_NOT, refusal, statement_kind_name(l->room[i].kind));
	}
	return REFUSED_NOT;
}

static const struct statement *keys_of(
	const struct links *l, const struct did *did, struct span key)
{
	for (size_t i = 0; i < l->n_keys; i++)
		if (did_eq(&l->room[i].issuer, did) &&
			span_eq(l->room[i].body.keys.working_key, key))
			return &l->room[i];
	return NULL;
}

/* Each signature's key is here, and no key is here for nothing. */
static enum refusal check_keys(struct links *l, const struct receipt *receipt)
{
	bool used[MESSAGE_STATEMENTS_MAX] = { false };

	for (size_t i = l->n_keys; i < l->n; i++) {
		const struct statement *keys = keys_of(
			l, &l->room[i].issuer, l->room[i].envelope.kid);

		MUST(keys, REFUSED_BUNDLE_INCOMPLETE, "keys");
		used[keys - l->room] = true;
	}
	if (receipt) {
		const struct statement *keys = keys_of(l, &receipt->issuer, SPAN_OF(receipt->key));

		MUST(keys, REFUSED_BUNDLE_INCOMPLETE, "keys");
		used[keys - l->room] = true;
	}
	for (size_t i = 0; i < l->n_keys; i++)
		MUST(used[i], REFUSED_BUNDLE_SHAPE, "keys");
	return REFUSED_NOT;
}

static const struct statement *next(struct links *l, size_t *at, enum statement_kind kind)
{
	if (*at >= l->n || l->room[*at].kind != kind)
		return NULL;
	return &l->room[(*at)++];
}

static enum refusal read_flow(struct links *l)
{
	struct bundle_facts *f = l->facts;
	size_t at = l->n_keys;

	f->request = next(l, &at, STATEMENT_REQUEST);
	MUST(f->request, REFUSED_BUNDLE_INCOMPLETE, "request");
	f->hold = next(l, &at, STATEMENT_HOLD);
	MUST(f->hold, REFUSED_BUNDLE_INCOMPLETE, "hold");
	f->earmark = next(l, &at, STATEMENT_EARMARK);
	f->assignment = next(l, &at, STATEMENT_ASSIGNMENT);
	MUST(f->assignment, REFUSED_BUNDLE_INCOMPLETE, "assignment");
	f->evidence = next(l, &at, STATEMENT_EVIDENCE);
	MUST(f->evidence, REFUSED_BUNDLE_INCOMPLETE, "evidence");
	f->draw = next(l, &at, STATEMENT_DRAW);
	MUST(f->draw, REFUSED_BUNDLE_INCOMPLETE, "draw");
	while (at < l->n && l->room[at].kind == STATEMENT_VERDICT) {
		MUST(f->n_verdicts < PANEL_MAX, REFUSED_BUNDLE_SHAPE, "verdict");
		f->verdicts[f->n_verdicts++] = &l->room[at++];
	}
	f->release = next(l, &at, STATEMENT_RELEASE);
	MUST(f->release, REFUSED_BUNDLE_INCOMPLETE, "release");
	f->settlement = next(l, &at, STATEMENT_SETTLEMENT);
	MUST(f->settlement, REFUSED_BUNDLE_INCOMPLETE, "settlement");
	MUST(at == l->n, REFUSED_BUNDLE_SHAPE, "statements");
	for (size_t i = l->n_keys; i < l->n; i++)
		MUST(span_eq(l->room[i].body.head.c.market, f->request->body.head.c.market),
			REFUSED_STATEMENT_MARKET, statement_kind_name(l->room[i].kind));
	return REFUSED_NOT;
}

static enum refusal check_assignment(struct links *l)
{
	const struct bundle_facts *f = l->facts;
	const struct request *r = &f->request->body.request;
	const struct hold *h = &f->hold->body.hold;
	const struct assignment *a = &f->assignment->body.assignment;
	const struct earmarked *money = f->earmark ? &f->earmark->body.earmark.earmark
						   : &h->earmark;
	const struct id *earmark = f->earmark ? &f->earmark->id : &f->hold->id;

	MUST(did_eq(&f->hold->issuer, &r->escrow), REFUSED_STATEMENT_ISSUER, "hold");
	MUST(id_eq(&h->request, &f->request->id), REFUSED_HOLD_MISMATCH, "hold.request");
	MUST(span_eq(h->asset, r->asset), REFUSED_HOLD_MISMATCH, "hold.asset");
	if (f->earmark) {
		MUST(did_eq(&f->earmark->issuer, &r->escrow), REFUSED_STATEMENT_ISSUER, "earmark");
		MUST(id_eq(&f->earmark->body.earmark.request, &f->request->id) &&
				id_eq(&f->earmark->body.earmark.hold, &f->hold->id),
			REFUSED_HOLD_MISMATCH, "earmark.hold");
	}
	MUST(did_eq(&f->assignment->issuer, &r->broker), REFUSED_STATEMENT_ISSUER, "assignment");
	MUST(id_eq(&a->request, &f->request->id), REFUSED_EVIDENCE_MISMATCH, "assignment.request");
	MUST(id_eq(&a->hold, &f->hold->id), REFUSED_HOLD_MISMATCH, "assignment.hold");
	MUST(id_eq(&a->earmark, earmark), REFUSED_HOLD_MISMATCH, "assignment.earmark");
	MUST(money->present && did_eq(&money->node, &a->node) && money->slot == a->slot &&
			money->attempt == a->attempt && money->price_micros == a->price_micros &&
			a->price_micros <= r->price_micros,
		REFUSED_HOLD_MISMATCH, "earmark");

	struct checkpoint checkpoint;
	const struct span kid = f->assignment->envelope.kid;

	MUST(kid.n == 32 && proof_checkpoint(keyring_proofs(l->keyring), a->checkpoint, &r->broker,
				    kid.p, &checkpoint) == REFUSED_NOT,
		REFUSED_RECEIPT_INVALID, "assignment.checkpoint");

	struct id challenge = statement_challenge(
		&a->request, &a->node, a->slot, a->attempt, a->c.salt, a->checkpoint);

	MUST(id_eq(&challenge, &a->challenge), REFUSED_CHALLENGE_WRONG, "assignment.challenge");
	return REFUSED_NOT;
}

static enum refusal check_evidence(struct links *l)
{
	struct bundle_facts *f = l->facts;
	const struct assignment *a = &f->assignment->body.assignment;
	const struct evidence *e = &f->evidence->body.evidence;
	const struct request *r = &f->request->body.request;
	int64_t slack_ns = CLOCK_SKEW_NS + MIN(e->uncertainty_ns, UNCERTAINTY_MAX_NS);
	size_t plain_size;

	MUST(did_eq(&f->evidence->issuer, &a->node), REFUSED_STATEMENT_ISSUER, "evidence");
	MUST(id_eq(&e->request, &f->request->id), REFUSED_EVIDENCE_MISMATCH, "evidence.request");
	MUST(id_eq(&e->assignment, &f->assignment->id), REFUSED_EVIDENCE_MISMATCH,
		"evidence.assignment");
	MUST(id_eq(&e->challenge, &a->challenge), REFUSED_CHALLENGE_WRONG, "evidence.challenge");
	MUST(e->c.at_ns <= a->commit_by_ns, REFUSED_EVIDENCE_LATE, "evidence.at_ns");
	MUST((e->source & r->sources) != 0 && (e->source & (e->source - 1)) == 0,
		REFUSED_NODE_SOURCE_REFUSED, "evidence.source");
	MUST(e->start_ns <= e->end_ns && e->end_ns - slack_ns <= e->c.at_ns &&
			(e->source != SOURCE_LIVE || e->start_ns >= a->c.at_ns - slack_ns),
		REFUSED_EVIDENCE_MISMATCH, "evidence.start_ns");
	f->tier = e->source == SOURCE_LIVE     ? TIER_LIVE_CLAIMED
		  : e->source == SOURCE_REPLAY ? TIER_REPLAY
					       : TIER_SYNTHETIC;

	struct id digest = digest_of(l->bundle->ciphertext);

	MUST(id_eq(&digest, &e->payload.cipher_digest), REFUSED_PAYLOAD_DIGEST,
		"evidence.payload.cipher_digest");
	MUST(seal_plain_size(l->bundle->ciphertext.n, &plain_size) == REFUSED_NOT &&
			(int64_t)plain_size == e->payload.size,
		REFUSED_PAYLOAD_SIZE, "evidence.payload.size");

	struct seal_bound bound = { .request = f->request->id, .subject = f->assignment->id };
	struct buf claims = BUF(f->claims_bytes);

	MUST(l->bundle->content_key.n == SEAL_KEY &&
			seal_open_small(SEAL_CLAIMS, l->bundle->content_key.p, &bound, e->claims,
				&claims) == REFUSED_NOT,
		REFUSED_PAYLOAD_KEY, "content_key");
	MUST(schema_decode(&claims_schema, buf_span(&claims), &f->claims, NULL) == REFUSED_NOT,
		REFUSED_PAYLOAD_KEY, "evidence.claims");
	return REFUSED_NOT;
}

static bool in_panel(const struct draw *d, const struct did *did)
{
	for (size_t i = 0; i < d->n_panel; i++)
		if (did_eq(&d->panel[i], did))
			return true;
	return false;
}

static enum refusal check_draw(struct links *l)
{
	const struct bundle_facts *f = l->facts;
	const struct request *r = &f->request->body.request;
	const struct draw *d = &f->draw->body.draw;
	struct did panel[PANEL_MAX];

	MUST(did_eq(&f->draw->issuer, &r->escrow), REFUSED_STATEMENT_ISSUER, "draw");
	MUST(id_eq(&d->request, &f->request->id) && id_eq(&d->evidence, &f->evidence->id),
		REFUSED_DRAW_MISMATCH, "draw.evidence");

	struct id commitment = SHA256(SPAN_OF(d->draw_secret));

	MUST(id_eq(&commitment, &f->hold->body.hold.draw_commitment), REFUSED_DRAW_MISMATCH,
		"draw.draw_secret");

	struct id seed = statement_draw_seed(
		&d->draw_secret, r->c.salt, &f->evidence->id, d->checkpoint);
	size_t n = statement_draw_panel(&seed, r->pool, r->n_pool, (size_t)r->panel_n, panel);

	MUST(n > 0 && n == d->n_panel && memcmp(panel, d->panel, n * sizeof(panel[0])) == 0,
		REFUSED_DRAW_MISMATCH, "draw.panel");
	return REFUSED_NOT;
}

static bool binding_checks_passed(const struct request *r, const struct verdict *v)
{
	for (size_t i = 0; i < r->n_checks; i++) {
		bool passed = false;

		for (size_t k = 0; k < v->n_checks && !passed; k++)
			passed = span_eq(v->checks[k].id, r->checks[i].id) &&
				 v->checks[k].check_version == r->checks[i].check_version &&
				 v->checks[k].result == CHECK_PASS;
		if (!passed && r->checks[i].binding)
			return false;
	}
	return true;
}

static enum refusal check_verdicts(struct links *l)
{
	struct bundle_facts *f = l->facts;
	const struct settlement *st = &f->settlement->body.settlement;
	const struct request *r = &f->request->body.request;

	MUST(st->n_verdicts == f->n_verdicts, REFUSED_VERDICT_MISMATCH, "settlement.verdicts");
	for (size_t i = 0; i < f->n_verdicts; i++) {
		const struct statement *s = f->verdicts[i];
		const struct verdict *v = &s->body.verdict;

		MUST(id_eq(&st->verdicts[i], &s->id), REFUSED_VERDICT_MISMATCH,
			"settlement.verdicts");
		MUST(in_panel(&f->draw->body.draw, &s->issuer), REFUSED_VERDICT_MISMATCH,
			"verdict");
		for (size_t k = 0; k < i; k++)
			MUST(!did_eq(&f->verdicts[k]->issuer, &s->issuer), REFUSED_VERDICT_MISMATCH,
				"verdict");
		MUST(id_eq(&v->request, &f->request->id) &&
				id_eq(&v->assignment, &f->assignment->id) &&
				id_eq(&v->evidence, &f->evidence->id) &&
				id_eq(&v->draw, &f->draw->id),
			REFUSED_VERDICT_MISMATCH, "verdict.evidence");
		MUST(v->outcome != CHECK_PASS || binding_checks_passed(r, v),
			REFUSED_VERDICT_MISMATCH, "verdict.checks");
		f->n_passed += v->outcome == CHECK_PASS;
	}
	return REFUSED_NOT;
}

static enum refusal check_release(struct links *l)
{
	const struct bundle_facts *f = l->facts;
	const struct request *r = &f->request->body.request;
	const struct release *rel = &f->release->body.release;

	MUST(did_eq(&f->release->issuer, &r->escrow), REFUSED_STATEMENT_ISSUER, "release");
	MUST(id_eq(&rel->request, &f->request->id) && id_eq(&rel->evidence, &f->evidence->id),
		REFUSED_EVIDENCE_MISMATCH, "release.evidence");
	MUST(did_eq(&rel->recipient, &f->request->issuer), REFUSED_STATEMENT_AUDIENCE,
		"release.recipient");
	for (size_t i = 0; i < rel->n_verdicts; i++) {
		bool found = false;

		for (size_t k = 0; k < f->n_verdicts && !found; k++)
			found = id_eq(&rel->verdicts[i], &f->verdicts[k]->id);
		MUST(found, REFUSED_VERDICT_MISMATCH, "release.verdicts");
	}
	return REFUSED_NOT;
}

/* Lines may be no more than the buyer signed; what is left over is his own. */
static enum refusal check_lines(struct links *l)
{
	struct bundle_facts *f = l->facts;
	const struct settlement *st = &f->settlement->body.settlement;
	const struct assignment *a = &f->assignment->body.assignment;
	const struct hold *h = &f->hold->body.hold;
	struct money lines = MONEY_ZERO;
	struct money held = MONEY_ZERO;
	struct rules_money most;
	struct rules_money dearest; /* of an earlier attempt, whose verifiers are paid here too */
	int64_t fee_micros = 0;
	int r = 0;

	MUST(rules_money(&f->request->body.request, a->price_micros, &most) == REFUSED_NOT &&
			rules_money(&f->request->body.request,
				f->request->body.request.price_micros, &dearest) == REFUSED_NOT,
		REFUSED_SETTLEMENT_SUM, "assignment.price_micros");
	for (size_t i = 0; i < h->n_amounts && r == 0; i++)
		r = money_add(held, (struct money){ h->amounts[i].amount_micros }, &held);
	MUST(r == 0, REFUSED_SETTLEMENT_SUM, "hold.amounts");
	for (size_t i = 0; i < st->n_lines; i++) {
		const struct line *line = &st->lines[i];

		MUST(money_add(lines, (struct money){ line->amount_micros }, &lines) == 0,
			REFUSED_SETTLEMENT_SUM, "settlement.lines");
		if (line->account_purpose == ACCOUNT_FEE)
			fee_micros += line->amount_micros; /* bounded by the sum above */
		else if (line->account_purpose == ACCOUNT_VERIFIER_PAY)
			MUST(line->amount_micros / (a->attempt + 1) <= dearest.verifier_each_micros,
				REFUSED_SETTLEMENT_SUM, "settlement.lines");
		else if (line->account_purpose == ACCOUNT_AVAILABLE &&
			 did_eq(&line->account, &a->node))
			f->paid_micros += line->amount_micros;
		else
			MUST(did_eq(&line->account, &f->request->issuer), REFUSED_SETTLEMENT_SUM,
				"settlement.lines");
	}
	MUST(lines.micros == held.micros && fee_micros <= most.fee_micros, REFUSED_SETTLEMENT_SUM,
		"settlement.lines");
	/* A node that buys from itself gets the rest as well. */
	MUST(f->paid_micros == a->price_micros || (did_eq(&f->request->issuer, &a->node) &&
							  f->paid_micros >= a->price_micros),
		REFUSED_SETTLEMENT_SUM, "settlement.lines");
	return REFUSED_NOT;
}

static enum refusal check_settlement(struct links *l)
{
	const struct bundle_facts *f = l->facts;
	const struct settlement *st = &f->settlement->body.settlement;
	const struct request *r = &f->request->body.request;
	const struct assignment *a = &f->assignment->body.assignment;

	MUST(did_eq(&f->settlement->issuer, &r->escrow), REFUSED_STATEMENT_ISSUER, "settlement");
	MUST(id_eq(&st->request, &f->request->id) && id_eq(&st->hold, &f->hold->id) &&
			id_eq(&st->evidence, &f->evidence->id) && st->slot == a->slot &&
			st->attempt == a->attempt,
		REFUSED_EVIDENCE_MISMATCH, "settlement.evidence");
	MUST(id_eq(&st->draw_secret, &f->draw->body.draw.draw_secret), REFUSED_DRAW_MISMATCH,
		"settlement.draw_secret");
	MUST(span_eq(st->asset, r->asset) && st->outcome == SLOT_SETTLED, REFUSED_SETTLEMENT_SUM,
		"settlement.outcome");
	MUST(st->basis != BASIS_VERDICTS || f->n_passed >= (size_t)r->panel_k,
		REFUSED_VERDICT_MISMATCH, "settlement.basis");
	MUST(st->basis == BASIS_VERDICTS || st->basis == BASIS_DEFAULT ||
			st->basis == BASIS_RULING || st->basis == BASIS_SILENCE,
		REFUSED_SETTLEMENT_SUM, "settlement.basis");
	return check_lines(l);
}

/* Lines of other signers would be bytes that nothing here can check. */
static bool one_signature(struct span note)
{
	size_t n = 0;

	for (size_t i = 0; i + 3 < note.n; i++)
		n += (i == 0 || note.p[i - 1] == '\n') &&
		     memcmp(note.p + i, "\xe2\x80\x94 ", 4) == 0;
	return n == 1;
}

static enum refusal check_log(struct links *l)
{
	struct bundle_facts *f = l->facts;
	const struct bundle *b = l->bundle;
	const struct did *broker = &f->request->body.request.broker;
	const struct draw *d = &f->draw->body.draw;
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = f->evidence->id };
	struct receipt receipt;

	if (b->receipt.n == 0 && b->note.n == 0) {
		/* The escrow's own door: the draw names no checkpoint either. */
		MUST(d->checkpoint.n == 0, REFUSED_BUNDLE_INCOMPLETE, "receipt");
		return check_keys(l, NULL);
	}
	MUST(receipt_parse(b->receipt, &receipt) == REFUSED_NOT, REFUSED_RECEIPT_INVALID,
		"receipt");
	MUST(did_eq(&receipt.issuer, broker), REFUSED_RECEIPT_INVALID, "receipt");

	enum refusal refusal = check_keys(l, &receipt);

	if (refusal != REFUSED_NOT)
		return refusal;

	const struct keyring_entry *key = keyring_find_key(
		l->keyring, broker, SPAN_OF(receipt.key));

	MUST(key && (key->revoked_since_ns == 0 ||
			    key->revoked_since_ns > f->settlement->body.settlement.c.at_ns),
		REFUSED_KEY_REVOKED, "receipt");
	MUST(proof_entry(keyring_proofs(l->keyring), b->receipt, b->note, broker, receipt.key,
		     &entry) == REFUSED_NOT,
		REFUSED_RECEIPT_INVALID, "receipt");
	MUST(one_signature(b->note), REFUSED_RECEIPT_INVALID, "note");
	MUST(d->checkpoint.n == 0 || span_eq(d->checkpoint, b->note), REFUSED_RECEIPT_INVALID,
		"draw.checkpoint");
	f->logged = true;
	f->log_index = receipt.place.index;
	f->log_size = receipt.place.size;
	return REFUSED_NOT;
}

enum refusal bundle_check_links(const struct bundle *bundle, struct keyring *keyring,
	struct statement room[static MESSAGE_STATEMENTS_MAX], struct bundle_facts *ret_facts,
	const char **ret_link)
{
	static enum refusal (*const checks[])(struct links *) = { read_statements, read_flow,
		check_assignment, check_evidence, check_draw, check_verdicts, check_release,
		check_settlement, check_log };
	struct links l = {
		.bundle = bundle,
		.keyring = keyring,
		.room = room,
		.facts = ret_facts,
	};
	enum refusal refusal = REFUSED_NOT;

	*ret_facts = (struct bundle_facts){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(checks) && refusal == REFUSED_NOT; i++)
		refusal = checks[i](&l);
	*ret_link = refusal == REFUSED_NOT ? NULL : l.link;
	return refusal;
}
