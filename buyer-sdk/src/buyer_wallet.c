#include "buyer-sdk/src/buyer_internal.h"

#include <stdlib.h>

/*
 * One call is under way at a time. An answer names it by operation or target where the peer echoes
 * them. Where it does not, answers come in the order of the questions: those that earlier calls,
 * having been repeated, may still be owed are passed over. What that passes over in vain is asked
 * again.
 */
static struct wallet_call *under_way(struct buyer *b)
{
	for (size_t i = 0; i < b->n_wallet; i++) {
		struct wallet_call *c = &b->wallet[(b->wallet_first + i) % BUYER_WALLET_MAX];

		if (!c->done)
			return c;
	}
	return NULL;
}

static enum message_type type_of(enum buyer_call_kind kind)
{
	switch (kind) {
	case BUYER_CALL_DEPOSIT:
		return MESSAGE_DEPOSIT;
	case BUYER_CALL_BALANCE:
		return MESSAGE_BALANCE;
	case BUYER_CALL_HISTORY:
		return MESSAGE_HISTORY;
	case BUYER_CALL_NODES:
		return MESSAGE_NODES;
	case BUYER_CALL_REQUESTS:
		return MESSAGE_QUERY;
	case BUYER_CALL_POST:
	case BUYER_CALL_QUERY:
	case BUYER_CALL_CANCEL:
	case BUYER_CALL_FORGET:
		break;
	}
	return MESSAGE_NONE;
}

static bool asks_broker(enum buyer_call_kind kind)
{
	return kind == BUYER_CALL_NODES || kind == BUYER_CALL_REQUESTS;
}

void buyer_wallet_send(struct buyer_step *s)
{
	struct buyer *b = s->buyer;
	struct wallet_call *c = under_way(b);

	if (!c) {
		b->wallet_next_ns = INT64_MAX;
		return;
	}

	const struct did *to = asks_broker(c->kind) ? &b->config.broker : &b->config.escrow;
	struct send *send = effects_send(s->fx, to, type_of(c->kind));
	struct message *m = &send->message;

	m->target = c->nonce;
	m->operation = buf_copy(&s->fx->arena, SPAN_OF(c->call.operation));
	if (c->kind == BUYER_CALL_DEPOSIT) {
		m->asset = buf_copy(&s->fx->arena,
			SPAN(c->call.asset, strnlen(c->call.asset, sizeof(c->call.asset))));
		m->amount_micros = c->call.amount_micros;
	}
	m->cursor = c->call.cursor;
	s->n_sent++;
	b->wallet_sent++;
	b->wallet_next_ns = s->event->now_ns + b->wallet_wait_ns;
	b->wallet_wait_ns = MIN(2 * b->wallet_wait_ns, BUYER_REPEAT_MAX_NS);
}

static void begin(struct buyer_step *s)
{
	s->buyer->wallet_wait_ns = BUYER_REPEAT_MIN_NS;
	s->buyer->wallet_sent = 0;
	buyer_wallet_send(s);
}

void buyer_wallet_call(struct buyer_step *s, const struct buyer_call *call)
{
	struct buyer *b = s->buyer;
	enum buyer_call_kind kind = (enum buyer_call_kind)s->event->work->kind;

	if (type_of(kind) == MESSAGE_NONE || b->n_wallet == BUYER_WALLET_MAX)
		return; /* the caller's own limit: it may have BUYER_WALLET_MAX calls open */

	bool idle = !under_way(b);
	struct wallet_call *c = &b->wallet[(b->wallet_first + b->n_wallet++) % BUYER_WALLET_MAX];

	memset(c, 0, sizeof(*c));
	c->used = true;
	c->kind = kind;
	if (call)
		c->call = *call;
	c->nonce = event_random(s->event, "wallet", 0);
	c->result.ticket = s->event->work->ticket;
	c->result.ended = true;
	if (kind != BUYER_CALL_DEPOSIT)
		memcpy(c->call.operation, c->nonce.b, sizeof(c->call.operation));
	if (idle)
		begin(s);
}

static bool names(const struct wallet_call *c, const struct message *m)
{
	if (m->operation.n > 0)
		return span_eq(m->operation, SPAN_OF(c->call.operation));
	return id_is_zero(&m->target) || id_eq(&m->target, &c->nonce);
}

static void done(struct buyer_step *s, struct wallet_call *c)
{
	c->done = true;
	if (s->buyer->wallet_sent > 1)
		s->buyer->wallet_owed += s->buyer->wallet_sent - 1;
	begin(s);
}

static void copy_text(char *out, size_t cap, struct span from)
{
	size_t n = MIN(from.n, cap - 1);

	if (n > 0)
		memcpy(out, from.p, n);
	out[n] = '\0';
}

static void read_account(struct buyer_account *a, const struct message *m)
{
	a->n_balances = m->n_balances;
	for (size_t i = 0; i < m->n_balances; i++) {
		a->balances[i].account = m->balances[i].account;
		a->balances[i].account_purpose = m->balances[i].account_purpose;
		a->balances[i].amount_micros = m->balances[i].amount_micros;
		copy_text(a->balances[i].asset, sizeof(a->balances[i].asset), m->balances[i].asset);
	}
	a->n_transfers = m->n_lines;
	for (size_t i = 0; i < m->n_lines; i++) {
		const struct transfer *t = &m->lines[i];
		struct buyer_transfer *out = &a->transfers[i];

		out->line.account = t->to;
		out->line.account_purpose = t->account_purpose;
		out->line.amount_micros = t->amount_micros;
		copy_text(out->line.asset, sizeof(out->line.asset), t->asset);
		out->from = t->from;
		out->from_purpose = t->from_purpose;
		out->seq = t->seq;
		out->at_ns = t->at_ns;
		out->kind = t->kind;
		out->request = t->request;
	}
	a->cursor = m->cursor;
}

static void read_offerings(struct buyer_nodes *nodes, const struct opened *opened)
{
	for (size_t i = 0; i < opened->n_statements; i++) {
		const struct statement *st = &opened->statements[i];
		const struct offering *o = &st->body.offering;
		struct buyer_offering *out = &nodes->offerings[nodes->n_offerings];

		if (st->kind != STATEMENT_OFFERING)
			continue;
		out->connected = nodes->n_offerings < 63 &&
				 (opened->message.connected >> nodes->n_offerings & 1);
		nodes->n_offerings++;
		out->node = st->issuer;
		out->id = st->id;
		copy_text(out->kind, sizeof(out->kind), o->kind);
		copy_text(out->asset, sizeof(out->asset), o->asset);
		out->price_micros = o->price_micros;
		out->cell = o->cell;
		out->sources = o->sources;
	}
	nodes->cursor = opened->message.cursor;
}

static enum message_type answer_to(enum buyer_call_kind kind)
{
	return kind == BUYER_CALL_NODES      ? MESSAGE_OFFERINGS
	       : kind == BUYER_CALL_REQUESTS ? MESSAGE_REQUESTS
					     : MESSAGE_ACCOUNT;
}

void buyer_wallet_message(struct buyer_step *s)
{
	const struct message *m = &s->event->opened->message;
	struct wallet_call *c = under_way(s->buyer);

	if (m->operation.n == 0 && id_is_zero(&m->target) && s->buyer->wallet_owed > 0) {
		s->buyer->wallet_owed--;
		return;
	}
	if (!c || (int64_t)answer_to(c->kind) != m->message || !names(c, m))
		return;
	if (c->kind == BUYER_CALL_REQUESTS) {
		c->result.kind = BUYER_REQUEST_LIST;
		c->result.requests = calloc(1, sizeof(*c->result.requests));
		if (!c->result.requests)
			return; /* asked again */
		memcpy(c->result.requests->requests, m->requests, sizeof(m->requests));
		c->result.requests->n_requests = m->n_requests;
		c->result.requests->cursor = m->cursor;
	} else if (c->kind == BUYER_CALL_NODES) {
		c->result.kind = BUYER_NODES;
		c->result.nodes = calloc(1, sizeof(*c->result.nodes));
		if (!c->result.nodes)
			return; /* asked again */
		read_offerings(c->result.nodes, s->event->opened);
	} else {
		c->result.kind = BUYER_ACCOUNT;
		c->result.account = calloc(1, sizeof(*c->result.account));
		if (!c->result.account)
			return;
		read_account(c->result.account, m);
	}
	done(s, c);
}

void buyer_wallet_refused(struct buyer_step *s)
{
	const struct message *m = &s->event->opened->message;
	struct wallet_call *c = under_way(s->buyer);

	if (!c || !id_eq(&m->target, &c->nonce) || m->code == REFUSED_PEER_BUSY)
		return;
	c->result.kind = BUYER_REFUSED;
	c->result.code = (enum refusal)m->code;
	copy_text(c->result.field, sizeof(c->result.field), m->text);
	done(s, c);
}

bool buyer_wallet_result(struct buyer *buyer, struct buyer_result *ret_result)
{
	struct wallet_call *c = &buyer->wallet[buyer->wallet_first];

	if (buyer->n_wallet == 0 || !c->done)
		return false;
	*ret_result = c->result;
	*c = (struct wallet_call){ 0 };
	buyer->wallet_first = (buyer->wallet_first + 1) % BUYER_WALLET_MAX;
	buyer->n_wallet--;
	return true;
}
