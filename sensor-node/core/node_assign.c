#include "sensor-node/core/node_internal.h"

#include "proto/core/rules.h"
#include "proto/tlog/proof.h"

/* The statements of one ASSIGN. */
struct offer {
	const struct statement *request;
	const struct statement *hold;
	const struct statement *earmark; /* NULL: inside the hold */
	const struct statement *assignment;
	const struct earmarked *money;
	struct id earmark_id;
	size_t offering;
};

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool contains(struct span text, struct span word)
{
	for (size_t i = 0; word.n > 0 && i + word.n <= text.n; i++) {
		size_t n = 0;

		while (n < word.n && lower(text.p[i + n]) == lower(word.p[n]))
			n++;
		if (n == word.n)
			return true;
	}
	return false;
}

static bool in_audience(const struct common *c, const struct did *did)
{
	for (size_t i = 0; i < c->n_audience; i++)
		if (did_eq(&c->audience[i], did))
			return true;
	return false;
}

/* The challenge is made from a checkpoint of the broker's own log, and from nothing else. */
static enum refusal check_challenge(struct node *node, const struct offer *o)
{
	const struct assignment *a = &o->assignment->body.assignment;
	const struct keyring_entry *key = keyring_find_key(
		node->config.keyring, &node->config.broker, o->assignment->envelope.kid);
	struct checkpoint checkpoint;

	if (!key || key->working_key_n != 32)
		return REFUSED_KEY_UNKNOWN;

	enum refusal refusal = proof_checkpoint(
		&node->proofs, a->checkpoint, &node->config.broker, key->working_key, &checkpoint);

	if (refusal != REFUSED_NOT)
		return refusal;

	struct id challenge = statement_challenge(
		&a->request, &a->node, a->slot, a->attempt, a->c.salt, a->checkpoint);

	return id_eq(&challenge, &a->challenge) ? REFUSED_NOT : REFUSED_CHALLENGE_WRONG;
}

/* Hold and earmark are the escrow's word that this very work will be paid. */
static enum refusal check_money(const struct node *node, struct offer *o, int64_t now_ns)
{
	const struct request *r = &o->request->body.request;
	const struct hold *h = &o->hold->body.hold;
	const struct assignment *a = &o->assignment->body.assignment;
	struct money sum = MONEY_ZERO;

	if (!did_eq(&o->hold->issuer, &node->config.escrow) ||
		!id_eq(&h->request, &o->request->id) || !id_eq(&a->hold, &o->hold->id) ||
		!span_eq(h->asset, r->asset) || !span_eq(h->c.market, node->config.author.market))
		return REFUSED_HOLD_MISMATCH;
	for (size_t i = 0; i < h->n_amounts; i++)
		if (money_add(sum, (struct money){ h->amounts[i].amount_micros }, &sum) < 0)
			return REFUSED_HOLD_MISMATCH;
	o->money = &h->earmark;
	o->earmark_id = o->hold->id;
	if (o->earmark) {
		const struct earmark *e = &o->earmark->body.earmark;

		if (!did_eq(&o->earmark->issuer, &node->config.escrow) ||
			!id_eq(&e->request, &o->request->id) || !id_eq(&e->hold, &o->hold->id))
			return REFUSED_HOLD_MISMATCH;
		o->money = &e->earmark;
		o->earmark_id = o->earmark->id;
	}
	if (!o->money->present || !id_eq(&a->earmark, &o->earmark_id) ||
		!did_eq(&o->money->node, &a->node) || o->money->slot != a->slot ||
		o->money->attempt != a->attempt || o->money->price_micros != a->price_micros ||
		a->price_micros > r->price_micros || a->price_micros > sum.micros)
		return REFUSED_HOLD_MISMATCH;
	if (o->money->until_ns <= now_ns || h->until_ns <= now_ns ||
		o->money->until_ns < a->deliver_by_ns)
		return REFUSED_HOLD_MISMATCH;
	return REFUSED_NOT;
}

static bool same_or_open(struct span asked, struct span offered)
{
	return asked.n == 0 || offered.n == 0 || span_eq(asked, offered);
}

static enum refusal check_own_terms(const struct node *node, struct offer *o, int64_t now_ns)
{
	const struct request *r = &o->request->body.request;
	const struct assignment *a = &o->assignment->body.assignment;

	o->offering = node_offer_find(node, r->kind);
	if (o->offering == NODE_OFFERINGS_MAX)
		return REFUSED_NODE_KIND_NOT_OFFERED;

	const struct node_offering *mine = &node->config.offerings[o->offering];
	const struct node_offered *offered = &node->offered[o->offering];
	enum refusal refusal = rules_offering(&offered->body, r, now_ns);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (!id_eq(&a->offering, &offered->id) && !id_eq(&a->offering, &offered->before))
		return REFUSED_NODE_KIND_NOT_OFFERED;
	if (a->price_micros < mine->price_micros)
		return REFUSED_NODE_PRICE_TOO_LOW;
	if ((mine->parameters.width && r->parameters.width > mine->parameters.width) ||
		(mine->parameters.height && r->parameters.height > mine->parameters.height) ||
		!same_or_open(r->parameters.unit, mine->parameters.unit) ||
		!same_or_open(r->parameters.quantity, mine->parameters.quantity) ||
		!same_or_open(r->parameters.channel, mine->parameters.channel))
		return REFUSED_NODE_KIND_NOT_OFFERED;
	if (rules_distance_mm(r->area.lat_e7, r->area.lon_e7, mine->place.lat_e7,
		    mine->place.lon_e7) > r->area.radius_m * 1000 - RULES_PLACE_MARGIN_MM)
		return REFUSED_NODE_OUT_OF_AREA;
	if (r->window.present &&
		(r->window.from_ns >= a->commit_by_ns || r->window.to_ns <= now_ns))
		return REFUSED_WINDOW_IMPOSSIBLE;
	if (r->persons_in_view && !node->config.persons_in_view)
		return REFUSED_NODE_DECLINED;
	for (size_t i = 0; i < node->config.n_refused_words; i++)
		if (contains(r->purpose, node->config.refused_words[i]))
			return REFUSED_NODE_DECLINED;
	return REFUSED_NOT;
}

static enum refusal check(struct node_step *s, struct offer *o)
{
	struct node *node = s->node;
	const struct assignment *a = &o->assignment->body.assignment;
	const struct request *r = &o->request->body.request;
	int64_t now_ns = s->event->now_ns;
	enum refusal refusal = rules_request(o->request, node->config.author.market,
		&node->config.broker, &node->config.escrow, now_ns);

	if (refusal != REFUSED_NOT)
		return refusal;
	if (!span_eq(a->c.market, node->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (a->c.n_audience > 0 && !in_audience(&a->c, &node->config.escrow) &&
		!in_audience(&a->c, &a->node))
		return REFUSED_STATEMENT_AUDIENCE;
	if (a->c.at_ns > now_ns + CLOCK_SKEW_NS)
		return REFUSED_STATEMENT_FROM_FUTURE;
	if (!id_eq(&a->request, &o->request->id) || a->slot >= r->slots ||
		a->attempt >= r->attempts || a->deliver_by_ns < a->commit_by_ns ||
		a->commit_by_ns > r->c.expires_ns)
		return REFUSED_EVIDENCE_MISMATCH;
	refusal = check_money(node, o, now_ns);
	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = check_challenge(node, o);
	if (refusal != REFUSED_NOT)
		return refusal;
	refusal = check_own_terms(node, o, now_ns);
	if (refusal != REFUSED_NOT)
		return refusal;
	if (node_row_by(node, &node->by_earmark, &o->earmark_id))
		return REFUSED_HOLD_MISMATCH; /* paid once, worked for once */
	if (node->n_capturing >= node->config.max_captures)
		return REFUSED_NODE_BUSY;
	return REFUSED_NOT;
}

static void send_decline(struct node_step *s, const struct node_row *row)
{
	struct send *send = effects_send(s->fx, &s->node->config.broker, MESSAGE_DECLINE);

	send->message.request = row->request;
	send->message.target = row->assignment;
	send_attach(send, &row->answer);
}

void node_assign_decline(struct node_step *s, struct node_row *row, enum refusal reason)
{
	struct answer body = {
		.present = true,
		.request = row->request,
		.assignment = row->assignment,
		.reason = reason,
		.text = SPAN_STR(refusal_sentence(reason)),
	};

	author_common(&s->node->config.author, s->event, &s->counter, s->fx, &body.c);
	body.c.audience[0] = s->node->config.broker;
	body.c.audience[1] = s->node->config.escrow;
	body.c.n_audience = 2;
	row->answer = effects_sign(
		s->fx, &s->node->config.author, STATEMENT_DECLINE, &body, &row->request, NULL);
	row->state = NODE_DECLINED;
	row->ticket = 0;
	node_repeat_stop(&row->broker);
	node_repeat_stop(&row->escrow);
	row->keep_until_ns = MIN(MAX(row->commit_by_ns, row->until_ns) + NODE_MEMORY_NS,
		s->event->now_ns + NODE_DECLINE_MEMORY_NS);
	node_row_put(s, row);
	send_decline(s, row);
}

static void copy_text(char *out, size_t cap, struct span from)
{
	assert(from.n < cap); /* the statement's table allows no more */
	if (from.n > 0)
		memcpy(out, from.p, from.n);
	out[from.n] = '\0';
}

static void fill_job(const struct node *node, const struct offer *o, struct node_job *job)
{
	const struct request *r = &o->request->body.request;
	const struct parameters *p = &r->parameters;

	*job = (struct node_job){
		.challenge = o->assignment->body.assignment.challenge,
		.sources = r->sources & node->config.offerings[o->offering].sources,
		.from_ns = r->window.present ? r->window.from_ns : 0,
		.to_ns = r->window.present ? r->window.to_ns : 0,
		.width = p->width,
		.height = p->height,
		.low = p->low,
		.high = p->high,
		.exponent = p->exponent,
		.persons_in_view = r->persons_in_view,
	};
	copy_text(job->kind, sizeof(job->kind), r->kind);
	copy_text(job->unit, sizeof(job->unit), p->unit);
	copy_text(job->quantity, sizeof(job->quantity), p->quantity);
	copy_text(job->channel, sizeof(job->channel), p->channel);
}

void node_assign_capture(struct node_step *s, struct node_row *row)
{
	struct node *node = s->node;
	size_t offering = node_offer_find(node, SPAN_STR(row->job.kind));

	/* The operator took the offering away between two lives. */
	if (offering == NODE_OFFERINGS_MAX) {
		node_assign_decline(s, row, REFUSED_NODE_KIND_NOT_OFFERED);
		return;
	}
	row->ticket = ++node->n_tickets << 32 | (uint64_t)(row - node->rows);
	node->n_capturing++;

	/* Nothing is signed before the capture has come and is durable with all that led to it. */
	struct node_capture *work = effects_work_early(
		s->fx, NODE_WORK_CAPTURE, row->ticket, sizeof(*work));

	*work = (struct node_capture){
		.assignment = row->assignment,
		.request = row->request,
		.offering = (uint32_t)offering,
		.job = row->job,
		.deadline_ns = row->commit_by_ns,
		.place = node->config.offerings[offering].place,
	};
}

static void accept(struct node_step *s, struct node_row *row, const struct offer *o)
{
	const struct assignment *a = &o->assignment->body.assignment;

	row->state = NODE_ASSIGNED;
	row->hold = o->hold->id;
	row->earmark = o->earmark_id;
	row->deliver_by_ns = a->deliver_by_ns;
	row->price_micros = a->price_micros;
	row->until_ns = o->money->until_ns;
	row->keep_until_ns = MAX(o->request->body.request.c.expires_ns, row->until_ns) +
			     NODE_MEMORY_NS;
	fill_job(s->node, o, &row->job);
	effects_keep(s->fx, o->request, &row->request);
	effects_keep(s->fx, o->hold, &row->request);
	if (o->earmark)
		effects_keep(s->fx, o->earmark, &row->request);
	effects_keep(s->fx, o->assignment, &row->request);
	node_assign_capture(s, row);
	if (row->state == NODE_ASSIGNED)
		node_row_put(s, row);
}

/* The broker asks again: it gets the same answer. */
static void again(struct node_step *s, struct node_row *row)
{
	switch (row->state) {
	case NODE_ASSIGNED:
		break;
	case NODE_COMMITTED:
	case NODE_RECEIPTED:
		node_evidence_send(s, row);
		break;
	case NODE_DECLINED:
		send_decline(s, row);
		break;
	case NODE_DONE:
		effects_refuse(s->fx, s->event, REFUSED_ALREADY_ENDED, NULL);
		break;
	}
}

void node_assign(struct node_step *s)
{
	struct node *node = s->node;
	const struct opened *opened = s->event->opened;
	struct offer o = {
		.request = message_find(opened, STATEMENT_REQUEST),
		.hold = message_find(opened, STATEMENT_HOLD),
		.earmark = message_find(opened, STATEMENT_EARMARK),
		.assignment = message_find(opened, STATEMENT_ASSIGNMENT),
	};

	if (!o.assignment || !o.request || !o.hold) {
		effects_refuse(s->fx, s->event, REFUSED_MESSAGE_SHAPE, NULL);
		return;
	}

	const struct assignment *a = &o.assignment->body.assignment;

	/* Only what this node's broker signed for this node deserves a signed answer. */
	if (!did_eq(&o.assignment->issuer, &node->config.broker) ||
		!did_eq(&s->event->from, &node->config.broker) ||
		!did_eq(&a->node, &node->config.author.signer.issuer)) {
		effects_refuse(s->fx, s->event, REFUSED_NOT_A_PARTY, NULL);
		return;
	}

	struct node_row *row = node_row_by(node, &node->by_assignment, &o.assignment->id);

	if (row) {
		again(s, row);
		return;
	}
	if (a->commit_by_ns <= s->event->now_ns) {
		effects_refuse(s->fx, s->event, REFUSED_EVIDENCE_LATE, NULL);
		return;
	}

	enum refusal refusal = check(s, &o);

	row = node_row_new(node, &o.assignment->id);
	if (!row) {
		effects_refuse(s->fx, s->event, REFUSED_NODE_BUSY, NULL);
		return;
	}
	row->request = a->request;
	row->commit_by_ns = a->commit_by_ns;
	if (refusal != REFUSED_NOT)
		node_assign_decline(s, row, refusal);
	else
		accept(s, row, &o);
}
