/* What must hold after every commit, after every restart and at the end. */
#include "tests/sim/checks.h"

#include "broker/core/broker.h"
#include "escrow/core/escrow.h"
#include "sensor-node/core/node.h"

#include <stdio.h>
#include <stdlib.h>

#define LATE_SLACK_NS (100 * NS_PER_MS) /* a tick may come that much after its time */

/* Cells of the escrow's rows. */
enum { T_KIND = 3, T_FROM = 4, T_FROM_PURPOSE, T_TO, T_TO_PURPOSE, T_ASSET, T_AMOUNT, T_REQUEST };
enum { A_OWNER = 1, A_PURPOSE, A_ASSET, A_BALANCE };

static void map(struct idmap *m, size_t n)
{
	if (idmap_init(m, n, 1) < 0)
		abort();
}

void checks_init(struct world *w)
{
	struct sim_checks *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->promises = calloc(PROMISES_MAX, sizeof(*c->promises));
	c->evidence = calloc(EVIDENCE_MAX, sizeof(*c->evidence));
	c->settlements = calloc(EVIDENCE_MAX, sizeof(*c->settlements));
	if (!c->promises || !c->evidence || !c->settlements)
		abort();
	map(&c->by_promise, PROMISES_MAX);
	map(&c->by_assignment, EVIDENCE_MAX);
	map(&c->by_request, EVIDENCE_MAX);
	map(&c->late, EVIDENCE_MAX);
	map(&c->passed, EVIDENCE_MAX);
	w->checks = c;
}

void checks_free(struct world *w)
{
	struct sim_checks *c = w->checks;

	free(c->promises);
	free(c->evidence);
	free(c->settlements);
	idmap_deinit(&c->by_promise);
	idmap_deinit(&c->by_assignment);
	idmap_deinit(&c->by_request);
	idmap_deinit(&c->late);
	idmap_deinit(&c->passed);
	free(c);
}

static struct mirror *mirror_of(
	struct sim_checks *c, struct span owner, int64_t purpose, struct span asset)
{
	struct mirror *m;

	for (size_t i = 0; i < c->n_mirror; i++) {
		m = &c->mirror[i];
		if (span_eq(SPAN_OF(m->owner), owner) && m->purpose == purpose &&
			span_is(asset, m->asset))
			return m;
	}
	if (c->n_mirror == MIRROR_MAX || asset.n >= sizeof(m->asset) || owner.n != 32)
		abort();
	m = &c->mirror[c->n_mirror++];
	*m = (struct mirror){ .purpose = purpose };
	memcpy(m->owner.b, owner.p, 32);
	memcpy(m->asset, asset.p, asset.n);
	return m;
}

static void apply(struct world *w, const struct store_row *row)
{
	struct sim_checks *c = w->checks;
	const struct cell *x = row->cells;

	if (x[0].i != c->n_transfers + 1)
		world_broken(w, "transfer-number", "%lld after %lld", (long long)x[0].i,
			(long long)c->n_transfers);
	c->n_transfers = x[0].i;
	mirror_of(c, x[T_FROM].b, x[T_FROM_PURPOSE].i, x[T_ASSET].b)->micros -= x[T_AMOUNT].i;
	mirror_of(c, x[T_TO].b, x[T_TO_PURPOSE].i, x[T_ASSET].b)->micros += x[T_AMOUNT].i;
}

/* Account rows against each other and against the transfers. */
static void check_accounts(struct world *w, const struct sim_party *p)
{
	const struct store_table *t = &p->store.tables[ESCROW_TABLE_ACCOUNT];
	struct sim_checks *c = w->checks;
	int64_t sum = 0;

	for (size_t i = 0; i < t->n_slots; i++) {
		const struct cell *x = t->slots[i] ? t->slots[i]->cells : NULL;
		const struct mirror *m;

		if (!x)
			continue;
		m = mirror_of(c, x[A_OWNER].b, x[A_PURPOSE].i, x[A_ASSET].b);
		sum += x[A_BALANCE].i;
		if (x[A_BALANCE].i < 0 && x[A_PURPOSE].i != ACCOUNT_RAIL_CLEARING)
			world_broken(w, "balance-negative", "purpose %lld: %lld",
				(long long)x[A_PURPOSE].i, (long long)x[A_BALANCE].i);
		if (x[A_BALANCE].i != m->micros)
			world_broken(w, "balance-differs",
				"purpose %lld: the account says %lld, its transfers %lld",
				(long long)x[A_PURPOSE].i, (long long)x[A_BALANCE].i,
				(long long)m->micros);
	}
	if (sum != 0)
		world_broken(w, "money-sum", "all accounts together: %lld", (long long)sum);
}

static void escrow_committed(struct world *w, struct sim_party *p)
{
	static struct statement s; /* large */
	struct store *store = &p->store;
	bool money = false;

	for (size_t i = 0; i < store->n_changes && !w->broken; i++) {
		const struct store_change *x = &store->changes[i];
		const struct cell *key = x->key->cells;

		if (x->table == ESCROW_TABLE_TRANSFER) {
			const struct store_row *row = store_find_int(store, x->table, key[0].i);

			money = true;
			if (x->old || !row)
				world_broken(w, "transfer-changed", "%lld", (long long)key[0].i);
			else
				apply(w, row);
		} else if (x->table == ESCROW_TABLE_ACCOUNT) {
			money = true;
		} else if (x->table == TABLE_STATEMENT && !x->old) {
			struct id id;

			memcpy(id.b, key[0].b.p, 32);
			if (settled_load(p, &id, &s) && s.kind == STATEMENT_SETTLEMENT &&
				did_eq(&s.issuer, &p->author.signer.issuer))
				settled_check(w, p, &s);
		}
	}
	if (money && !w->broken)
		check_accounts(w, p);
}

static void buyer_committed(struct world *w, const struct sim_party *p)
{
	const char *complaint = person_complaint(p->core);

	if (complaint)
		world_broken(w, "bad-bundle", "%s was sent a bundle that does not hold: %s",
			p->name, complaint);
	for (size_t i = 0; i < p->store.n_changes; i++) {
		const struct store_change *x = &p->store.changes[i];
		const struct store_row *row = store_find(&p->store, x->table, x->key->cells[0].b);
		struct sim_request *request;
		struct id id;

		if (x->table != PERSON_TABLE_REQUEST || !row)
			continue;
		memcpy(id.b, row->cells[0].b.p, 32);
		request = workload_find(w, &id);
		if (!request)
			continue;
		request->state = row->cells[1].i;
		request->code = row->cells[2].i;
		request->ended = request->state == PERSON_STATE_REFUSED ||
				 slot_ended((enum slot_state)request->state);
		if (request->ended)
			world_say(w, "%s: ended %s %s, expected %s", p->name,
				slot_state_name(request->state),
				refusal_name((enum refusal)request->code),
				refusal_name(request->expect));
	}
}

void checks_committed(struct world *w, struct sim_party *p)
{
	if (p->kind == SIM_ESCROW)
		escrow_committed(w, p);
	else if (p->kind == SIM_BUYER)
		buyer_committed(w, p);
}

void checks_restarted(struct world *w, struct sim_party *p)
{
	struct sim_checks *c = w->checks;
	struct store_row **rows;
	size_t n;

	promises_check(w, p);
	if (p->kind != SIM_ESCROW || w->broken)
		return;
	c->n_mirror = 0;
	c->n_transfers = 0;
	rows = store_sorted(&p->store, ESCROW_TABLE_TRANSFER, &n);
	for (size_t i = 0; i < n && !w->broken; i++)
		apply(w, rows[i]);
	free(rows);
	if (!w->broken)
		check_accounts(w, p);
}

/*
 * A verdict that the escrow takes after T_verify must not count. For 30 s after a start the escrow
 * waits for what waited for it: a deadline that passed while it was away ends then.
 */
void checks_taken(struct world *w, struct sim_party *p)
{
	static struct statement draw; /* large */
	static struct statement request; /* large */
	const struct statement *v = p->kind == SIM_ESCROW
					    ? message_find(w->opened, STATEMENT_VERDICT)
					    : NULL;
	int64_t until_ns;

	if (!v || w->opened->message.message != MESSAGE_VERDICT ||
		!settled_load(p, &v->body.verdict.draw, &draw) ||
		!settled_load(p, &v->body.verdict.request, &request) ||
		store_find(&p->store, TABLE_STATEMENT, SPAN_OF(v->id)))
		return;
	until_ns = draw.body.draw.c.at_ns + request.body.request.t_verify_ms * NS_PER_MS;
	until_ns = MAX(until_ns, p->started_ns + p->skew_ns + ESCROW_START_GRACE_NS);
	if (party_now(w, p) > until_ns + LATE_SLACK_NS && !idmap_put(&w->checks->late, v->id.b, 1))
		abort();
}

void checks_default(struct world *w, const struct id *evidence, int64_t outcome)
{
	if (outcome == CHECK_PASS && !idmap_put(&w->checks->passed, evidence->b, 1))
		abort();
}

static const struct store_row *open_row(const struct sim_party *p, uint16_t table, size_t cell)
{
	const struct store_table *t = &p->store.tables[table];

	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i] && !slot_ended((enum slot_state)t->slots[i]->cells[cell].i))
			return t->slots[i];
	return NULL;
}

static const struct store_row *open_assignment(const struct sim_party *p)
{
	const struct store_table *t = &p->store.tables[NODE_TABLE_ASSIGNMENT];

	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i] && t->slots[i]->cells[4].i <= NODE_RECEIPTED)
			return t->slots[i];
	return NULL;
}

static const struct store_row *waiting(const struct world *w, const struct sim_party **ret_party)
{
	const struct store_row *row = NULL;

	for (size_t i = 0; i < w->n_parties && !row; i++) {
		const struct sim_party *p = &w->parties[i];

		*ret_party = p;
		if (p->kind == SIM_BROKER)
			row = open_row(p, BROKER_TABLE_SLOT, 4);
		else if (p->kind == SIM_ESCROW)
			row = open_row(p, ESCROW_TABLE_SLOT, 1);
		else if (p->kind == SIM_NODE)
			row = open_assignment(p);
	}
	return row;
}

bool checks_quiet(const struct world *w)
{
	const struct sim_party *p;

	return waiting(w, &p) == NULL;
}

/* Whether an ended request ended as it may have. */
static void check_end_of(struct world *w, const struct sim_request *r)
{
	const struct sim_party *escrow = &w->parties[w->escrow];
	static struct statement s; /* large */
	uint32_t at = idmap_get(&w->checks->by_request, r->id.b);
	int64_t outcome = 0;
	/* What a good request may be told as well, when it comes late. */
	bool late = r->code == REFUSED_REQUEST_EXPIRED || r->code == REFUSED_ESCROW_UNREACHABLE ||
		    r->code == REFUSED_HOLD_TOO_SHORT || r->code == REFUSED_WINDOW_IMPOSSIBLE;

	if (at != IDMAP_NONE && settled_load(escrow, &w->checks->settlements[at], &s))
		outcome = s.body.settlement.outcome;
	if (!r->ended) {
		world_broken(w, "request-open", "a buyer still waits, last heard %s",
			slot_state_name(r->state));
	} else if (r->expect != REFUSED_NOT) {
		if (r->code != (int64_t)r->expect && !(late && w->o.faults != FAULTS_OFF))
			world_broken(w, "wrong-refusal", "%s (%s) instead of %s",
				refusal_name((enum refusal)r->code), slot_state_name(r->state),
				refusal_name(r->expect));
		if (outcome != 0)
			world_broken(w, "refused-but-held", "money was held for a refused request");
	} else if (r->state == SLOT_SETTLED || r->state == SLOT_REFUNDED) {
		if (outcome != r->state)
			world_broken(w, "ends-differ", "the buyer has %s, the escrow %s",
				slot_state_name(r->state), slot_state_name(outcome));
	} else if (outcome == SLOT_SETTLED) {
		world_broken(w, "ends-differ", "the buyer was told %s and has paid",
			slot_state_name(r->state));
	}
}

/* What each settlement and hold says, against the accounts; and every deposit once. */
static void check_deposits(struct world *w)
{
	int64_t deposits = 0;
	int64_t clearing = 0;

	for (size_t i = 0; i < w->n_parties; i++) {
		const struct store_table *t = &w->parties[i].store.tables[PERSON_TABLE_DEPOSIT];

		if (w->parties[i].kind != SIM_BUYER)
			continue;
		for (size_t k = 0; k < t->n_slots; k++)
			if (t->slots[k])
				deposits += t->slots[k]->cells[1].i;
	}
	for (size_t i = 0; i < w->checks->n_mirror; i++)
		if (w->checks->mirror[i].purpose == ACCOUNT_RAIL_CLEARING)
			clearing += w->checks->mirror[i].micros;
	if (deposits + clearing != 0)
		world_broken(w, "deposits", "buyers gave %lld, the ledger has %lld",
			(long long)deposits, (long long)-clearing);
}

/* What settlements owe an account must be what it got. */
static void check_incomes(struct world *w)
{
	const struct sim_party *escrow = &w->parties[w->escrow];
	struct sim_checks *c = w->checks;
	static struct statement s; /* large */

	for (size_t i = 0; i < c->n_mirror; i++) {
		const struct mirror *m = &c->mirror[i];
		const struct sim_party *owner = world_party(w, &m->owner);
		int64_t micros = 0;

		if (m->purpose == ACCOUNT_HELD && m->micros != 0)
			world_broken(w, "held-for-ever", "%lld", (long long)m->micros);
		if (!owner || owner->kind == SIM_BUYER || m->purpose == ACCOUNT_RAIL_CLEARING)
			continue;
		for (size_t k = 0; k < c->n_settlements; k++) {
			if (!settled_load(escrow, &c->settlements[k], &s))
				abort();
			for (size_t l = 0; l < s.body.settlement.n_lines; l++)
				if (did_eq(&s.body.settlement.lines[l].account, &m->owner) &&
					s.body.settlement.lines[l].account_purpose == m->purpose)
					micros += s.body.settlement.lines[l].amount_micros;
		}
		if (micros != m->micros)
			world_broken(w, "income-differs",
				"%s: settlements say %lld, the account %lld", owner->name,
				(long long)micros, (long long)m->micros);
	}
}

void checks_end(struct world *w)
{
	const struct sim_party *p;
	const struct store_row *row = waiting(w, &p);
	char text[17];

	for (size_t i = 0; i < w->n_requests; i++)
		check_end_of(w, &w->requests[i]);
	if (row) {
		for (size_t i = 0; i < 8; i++)
			snprintf(text + 2 * i, 3, "%02x", row->cells[0].b.p[i]);
		world_broken(w, "not-ended", "%s: %s is in state %lld", p->name, text,
			(long long)row->cells[p->kind == SIM_ESCROW ? 1 : 4].i);
	}
	check_incomes(w);
	check_deposits(w);
	for (size_t i = 0; i < w->n_parties; i++)
		promises_check(w, &w->parties[i]);
}
