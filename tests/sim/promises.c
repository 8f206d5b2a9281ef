/*
 * Nothing that was acknowledged is ever lost: whatever leaves a party in a RECEIPT, FUNDED,
 * OUTCOME, OFFERED, ACCOUNT, STATUS or EVIDENCE must be in its store at that moment, and after
 * every crash.
 */
#include "tests/sim/checks.h"

#include "broker/core/broker.h"
#include "escrow/core/escrow.h"

#include <stdlib.h>

#define BROKER_SLOT_STATE 4 /* cells of the slots' rows */
#define ESCROW_SLOT_STATE 1

static struct id key_of(uint8_t party, uint16_t table, const struct id *id)
{
	struct id key = *id;

	key.b[0] ^= party;
	key.b[1] ^= (uint8_t)table;
	return key;
}

/* A receipt may be forgotten when another attempt begins; what it proves stays in the log. */
static bool in_log(const struct sim_party *broker, const struct id *evidence)
{
	const struct store_table *t = &broker->store.tables[BROKER_TABLE_ENTRY];

	for (size_t i = 0; i < t->n_slots; i++)
		if (t->slots[i] && span_eq(t->slots[i]->cells[2].b, SPAN_OF(*evidence)))
			return true;
	return false;
}

static bool kept(const struct sim_party *p, const struct promise *promise)
{
	const struct store_row *row;

	if (promise->table == BROKER_TABLE_ENTRY && p->kind == SIM_BROKER)
		return in_log(p, &promise->id);
	if (promise->table == ESCROW_TABLE_TRANSFER && p->kind == SIM_ESCROW)
		return promise->number == 0 ||
		       store_find_int(&p->store, promise->table, promise->number);
	row = store_find(&p->store, promise->table, SPAN_OF(promise->id));
	if (!row)
		return false;
	/* An end that was told stays the same end. */
	if (promise->number != 0 && p->kind == SIM_BROKER)
		return row->cells[BROKER_SLOT_STATE].i == promise->number;
	if (promise->number != 0 && p->kind == SIM_ESCROW)
		return row->cells[ESCROW_SLOT_STATE].i == promise->number;
	return true;
}

static void promise(struct world *w, const struct sim_party *p, uint16_t table, const struct id *id,
	int64_t number)
{
	struct sim_checks *c = w->checks;
	struct id key = key_of(p->index, table, id);
	uint32_t at = idmap_get(&c->by_promise, key.b);

	if (at == IDMAP_NONE) {
		if (c->n_promises == PROMISES_MAX)
			return;
		at = (uint32_t)c->n_promises++;
		if (!idmap_put(&c->by_promise, key.b, at))
			abort();
		c->promises[at] = (struct promise){ .party = p->index, .table = table, .id = *id };
	}
	c->promises[at].number = MAX(c->promises[at].number, number);
	if (!kept(p, &c->promises[at]))
		world_broken(w, "promise-early", "%s tells of a row of %s that is not durable",
			p->name, p->ops->tables[table].name);
}

/* Which statements of a message a party vouches for. */
void checks_promise(
	struct world *w, const struct sim_party *p, const struct send *send, struct sim_out *out)
{
	int64_t type = send->message.message;
	bool all = (p->kind == SIM_ESCROW && (type == MESSAGE_FUNDED || type == MESSAGE_OUTCOME)) ||
		   (p->kind == SIM_BROKER && (type == MESSAGE_BUNDLE || type == MESSAGE_OUTCOME)) ||
		   (p->kind == SIM_NODE && type == MESSAGE_DECLINE);
	static struct statement s; /* large */

	out->state = send->message.state;
	out->transfers = w->checks->n_transfers;
	if (all) {
		memcpy(out->promised, send->statements, sizeof(out->promised));
		out->n_promised = send->n_statements;
	}
	if (p->kind == SIM_NODE && type == MESSAGE_EVIDENCE) {
		/* The last one is its own; what it was given it may forget. */
		out->promised[out->n_promised++] = send->statements[send->n_statements - 1];
		if (statement_decode(send->message.statements[send->message.n_statements - 1], &s,
			    NULL) != REFUSED_NOT)
			abort();
		out->assignment = s.body.evidence.assignment;
	}
	if (p->kind == SIM_BROKER && (type == MESSAGE_OFFERED || type == MESSAGE_RECEIPT))
		out->promised[out->n_promised++] = send->message.target;
}

/* At most one piece of evidence for an assignment ever leaves a node, in all its lives. */
static void one_evidence(struct world *w, const struct sim_party *p, const struct sim_out *out)
{
	struct sim_checks *c = w->checks;
	uint32_t at = idmap_get(&c->by_assignment, out->assignment.b);

	if (at == IDMAP_NONE) {
		if (c->n_evidence == EVIDENCE_MAX)
			return;
		at = (uint32_t)c->n_evidence++;
		c->evidence[at] = out->promised[0];
		if (!idmap_put(&c->by_assignment, out->assignment.b, at))
			abort();
	}
	if (!id_eq(&c->evidence[at], &out->promised[0]))
		world_broken(
			w, "evidence-twice", "%s signed two pieces for one assignment", p->name);
}

void checks_left(struct world *w, struct sim_party *p, const struct sim_out *out)
{
	int64_t type = out->letter->type;
	int64_t ended = slot_ended((enum slot_state)out->state) ? out->state : 0;
	struct id none = { 0 };

	if (out->letter->tampered)
		return;
	for (size_t i = 0; i < out->n_promised; i++)
		promise(w, p, TABLE_STATEMENT, &out->promised[i], 0);
	if (p->kind == SIM_NODE && type == MESSAGE_EVIDENCE)
		one_evidence(w, p, out);
	if (p->kind == SIM_BUYER && type == MESSAGE_REQUEST)
		promise(w, p, PERSON_TABLE_REQUEST, &out->request, 0);
	if (p->kind == SIM_BROKER && (type == MESSAGE_STATUS || type == MESSAGE_BUNDLE))
		promise(w, p, BROKER_TABLE_SLOT, &out->request, ended);
	if (p->kind == SIM_BROKER && type == MESSAGE_RECEIPT)
		promise(w, p, BROKER_TABLE_ENTRY, &out->target, 0);
	if (p->kind == SIM_ESCROW && type == MESSAGE_FUNDED)
		promise(w, p, ESCROW_TABLE_SLOT, &out->request, 0);
	if (p->kind == SIM_ESCROW && type == MESSAGE_OUTCOME)
		promise(w, p, ESCROW_TABLE_SLOT, &out->request, ended);
	if (p->kind == SIM_ESCROW && type == MESSAGE_ACCOUNT)
		promise(w, p, ESCROW_TABLE_TRANSFER, &none, out->transfers);
}

void promises_check(struct world *w, const struct sim_party *p)
{
	const struct sim_checks *c = w->checks;

	for (size_t i = 0; i < c->n_promises; i++) {
		const struct promise *x = &c->promises[i];

		if (x->party == p->index && !kept(p, x))
			world_broken(w, "promise-lost", "%s told of a row of %s and lost it",
				p->name, p->ops->tables[x->table].name);
	}
}
