/* Whether a settlement is what request, hold, verdicts and clock allow. */
#include "tests/sim/checks.h"

#include <stdlib.h>

bool settled_load(const struct sim_party *p, const struct id *id, struct statement *ret)
{
	const struct store_row *row = store_find(&p->store, TABLE_STATEMENT, SPAN_OF(*id));

	return row && statement_decode(row->cells[3].b, ret, NULL) == REFUSED_NOT;
}

static bool in_panel(const struct statement *draw, const struct did *verifier)
{
	for (size_t i = 0; i < draw->body.draw.n_panel; i++)
		if (did_eq(&draw->body.draw.panel[i], verifier))
			return true;
	return false;
}

/* How many drawn verifiers said pass about this evidence, in time. */
static int64_t passes(struct world *w, const struct sim_party *escrow, const struct settlement *s)
{
	static struct statement v; /* large */
	static struct statement draw; /* large */
	struct did seen[PANEL_MAX];
	int64_t n = 0;

	for (size_t i = 0; i < s->n_verdicts; i++) {
		if (!settled_load(escrow, &s->verdicts[i], &v) || v.kind != STATEMENT_VERDICT ||
			!id_eq(&v.body.verdict.evidence, &s->evidence) ||
			!settled_load(escrow, &v.body.verdict.draw, &draw) ||
			!in_panel(&draw, &v.issuer)) {
			world_broken(w, "verdict-strange",
				"a settlement names a verdict of another draw");
			return 0;
		}
		if (idmap_get(&w->checks->late, s->verdicts[i].b) != IDMAP_NONE)
			world_broken(
				w, "late-verdict", "a settlement counts a verdict that came late");
		for (size_t k = 0; k < i; k++)
			if (did_eq(&seen[k], &v.issuer))
				world_broken(w, "verdict-twice", "a verifier counts twice");
		seen[i] = v.issuer;
		n += v.body.verdict.outcome == CHECK_PASS;
	}
	return n;
}

static void check_pay(struct world *w, const struct sim_party *escrow, const struct settlement *s,
	const struct request *r)
{
	int64_t n = passes(w, escrow, s);

	if (id_is_zero(&s->evidence)) {
		world_broken(w, "paid-for-nothing", "a settlement pays without evidence");
		return;
	}
	switch ((enum basis)s->basis) {
	case BASIS_VERDICTS:
		if (n < r->panel_k)
			world_broken(w, "paid-without-verdicts", "%lld of %lld passes",
				(long long)n, (long long)r->panel_k);
		return;
	case BASIS_DEFAULT:
		if (idmap_get(&w->checks->passed, s->evidence.b) == IDMAP_NONE)
			world_broken(w, "paid-by-default", "the escrow's worker did not pass it");
		return;
	case BASIS_SILENCE:
		if (r->on_silence != SILENCE_PAY)
			world_broken(w, "paid-by-silence", "the request says refund");
		return;
	case BASIS_RULING:
	case BASIS_NO_SHOW:
	case BASIS_WITHHELD:
	case BASIS_CANCELLED:
	case BASIS_EXPIRED:
		break;
	}
	world_broken(w, "paid-on-no-basis", "basis %lld", (long long)s->basis);
}

static void check_lines(struct world *w, const struct settlement *s, const struct hold *hold,
	const struct request *r, const struct did *buyer)
{
	int64_t sum = 0;
	int64_t held = 0;

	for (size_t i = 0; i < hold->n_amounts; i++)
		held += hold->amounts[i].amount_micros;
	for (size_t i = 0; i < s->n_lines; i++) {
		const struct line *line = &s->lines[i];
		bool node = line->account_purpose == ACCOUNT_AVAILABLE &&
			    !did_eq(&line->account, buyer);
		int64_t most = s->outcome == SLOT_SETTLED    ? r->price_micros
			       : s->basis == BASIS_CANCELLED ? r->attempt_fee_micros
							     : 0;

		sum += line->amount_micros;
		if (node && line->amount_micros > most)
			world_broken(w, "node-overpaid", "%lld of at most %lld",
				(long long)line->amount_micros, (long long)most);
		if (line->account_purpose == ACCOUNT_FEE && s->outcome != SLOT_SETTLED)
			world_broken(w, "fee-of-a-refund", "a refund takes a fee");
	}
	if (sum != held || held > r->max_total_micros)
		world_broken(w, "settlement-sum", "lines %lld, hold %lld, max_total %lld",
			(long long)sum, (long long)held, (long long)r->max_total_micros);
}

void settled_check(struct world *w, const struct sim_party *escrow, const struct statement *st)
{
	static struct statement request; /* large */
	static struct statement hold; /* large */
	struct sim_checks *c = w->checks;
	const struct settlement *s = &st->body.settlement;
	uint32_t at = idmap_get(&c->by_request, s->request.b);

	if (at != IDMAP_NONE && !id_eq(&c->settlements[at], &st->id)) {
		world_broken(w, "hold-ended-twice", "a request has a second settlement");
		return;
	}
	if (at == IDMAP_NONE) {
		at = (uint32_t)c->n_settlements++;
		if (at == EVIDENCE_MAX || !idmap_put(&c->by_request, s->request.b, at))
			abort();
		c->settlements[at] = st->id;
		w->bases[s->outcome == SLOT_SETTLED][s->basis % 16]++;
	}
	if (!settled_load(escrow, &s->request, &request) ||
		!settled_load(escrow, &s->hold, &hold) ||
		!id_eq(&hold.body.hold.request, &s->request)) {
		world_broken(w, "settlement-alone", "a settlement without its request and hold");
		return;
	}
	check_lines(w, s, &hold.body.hold, &request.body.request, &request.issuer);
	if (s->outcome == SLOT_SETTLED)
		check_pay(w, escrow, s, &request.body.request);
	else if (s->outcome == SLOT_REFUNDED)
		(void)passes(w, escrow, s); /* ignored: only that each verdict is in order */
	else
		world_broken(w, "settlement-outcome", "%lld", (long long)s->outcome);
}
