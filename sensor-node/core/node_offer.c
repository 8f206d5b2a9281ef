#include "sensor-node/core/node_internal.h"

/* The middle of the cell of 0.01 degrees that the place lies in. */
static int64_t coarse(int64_t e7, int64_t most_e7)
{
	int64_t cell = e7 / NODE_CELL_E7 - (e7 % NODE_CELL_E7 < 0 ? 1 : 0);
	int64_t middle = cell * NODE_CELL_E7 + NODE_CELL_E7 / 2;

	return MAX(-most_e7, MIN(middle, most_e7));
}

static void fill(const struct node_offering *o, struct offering *body)
{
	*body = (struct offering){
		.present = true,
		.revision = 1,
		.kind = o->kind,
		.cell = { .present = true,
			.lat_e7 = coarse(o->place.lat_e7, 900000000),
			.lon_e7 = coarse(o->place.lon_e7, 1800000000),
			.radius_m = NODE_CELL_RADIUS_M },
		.price_micros = o->price_micros,
		.asset = o->asset,
		.n_brokers = o->n_brokers,
		.n_escrows = o->n_escrows,
		.n_verifiers = o->n_verifiers,
		.n_accepts = o->n_accepts,
		.t_dispute_max_ms = o->t_dispute_max_ms,
		.assign_without_asking = true,
		.policy = o->policy,
		.sources = o->sources,
	};
	memcpy(body->brokers, o->brokers, sizeof(body->brokers));
	memcpy(body->escrows, o->escrows, sizeof(body->escrows));
	memcpy(body->verifiers, o->verifiers, sizeof(body->verifiers));
	memcpy(body->accepts, o->accepts, sizeof(body->accepts));
}

int node_offer_init(struct node *node)
{
	const struct node_config *config = &node->config;

	for (size_t i = 0; i < config->n_offerings; i++) {
		const struct node_offering *o = &config->offerings[i];
		struct node_offered *offered = &node->offered[i];
		uint8_t bytes[COSE_MAX];
		struct buf out = BUF(bytes);
		uint8_t salt[16] = { 0 };

		if (o->n_brokers > PARTIES_MAX || o->n_escrows > PARTIES_MAX ||
			o->n_verifiers > POOL_MAX || o->n_accepts > CHECKS_MAX ||
			node_offer_find(node, o->kind) < i)
			return -EINVAL;
		fill(o, &offered->body);
		node_repeat_stop(&offered->repeat);

		/* Tried once here, so that signing it later cannot be refused. */
		struct offering trial = offered->body;

		trial.c = (struct common){ .version = STATEMENT_VERSION,
			.market = config->author.market,
			.salt = SPAN_OF(salt),
			.at_ns = 1 };
		if (schema_encode(statement_schema(STATEMENT_OFFERING), &trial, &out, NULL) !=
			REFUSED_NOT)
			return -EINVAL;
	}
	return 0;
}

size_t node_offer_find(const struct node *node, struct span kind)
{
	for (size_t i = 0; i < node->config.n_offerings; i++)
		if (span_eq(node->config.offerings[i].kind, kind))
			return i;
	return NODE_OFFERINGS_MAX;
}

void node_offer_start(struct node_step *s)
{
	for (size_t i = 0; i < s->node->config.n_offerings; i++) {
		struct node_offered *o = &s->node->offered[i];

		author_common(&s->node->config.author, s->event, &s->counter, s->fx, &o->body.c);
		o->body.c.audience[0] = s->node->config.broker;
		o->body.c.audience[1] = s->node->config.escrow;
		o->body.c.n_audience = 2;
		/* Also after a clock that went back a revision must be a newer one. */
		o->revision = MAX(o->revision + 1, s->event->now_ns / NS_PER_MS);
		o->body.revision = o->revision;
		if (!id_is_zero(&o->id)) {
			struct row *old = effects_put(s->fx, TABLE_STATEMENT, PUT_DELETE);

			row_copy(s->fx, old, SPAN_OF(o->id));
			o->before = o->id;
		}
		o->id = effects_sign(
			s->fx, &s->node->config.author, STATEMENT_OFFERING, &o->body, NULL, NULL);
		o->body.c.salt = SPAN(NULL, 0); /* it lay in the arena */

		struct row *row = effects_put(s->fx, NODE_TABLE_OFFERING, PUT_REPLACE);

		row_blob(row, o->body.kind);
		row_copy(s->fx, row, SPAN_OF(o->id));
		row_int(row, o->revision);
		node_repeat_start(&o->repeat, s->event->now_ns, NODE_REPEAT_MIN_NS);
	}
}

/* A broker that greets anew may have forgotten: it is told all of it again. */
void node_offer_expedite(struct node_step *s)
{
	for (size_t i = 0; i < s->node->config.n_offerings; i++) {
		struct node_offered *o = &s->node->offered[i];

		o->confirmed = false;
		if (!id_is_zero(&o->id))
			node_repeat_start(&o->repeat, s->event->now_ns, NODE_REPEAT_MIN_NS);
	}
}

void node_offer_due(struct node_step *s)
{
	for (size_t i = 0; i < s->node->config.n_offerings && s->n_sent < NODE_SENDS_MAX; i++) {
		struct node_offered *o = &s->node->offered[i];

		if (o->repeat.next_ns > s->event->now_ns)
			continue;

		struct send *send = effects_send(s->fx, &s->node->config.broker, MESSAGE_OFFER);

		send->message.target = o->id;
		send_attach(send, &o->id);
		s->n_sent++;
		node_repeat_next(&o->repeat, s->event->now_ns, NODE_REPEAT_MAX_NS);
	}
}

void node_offer_confirmed(struct node_step *s, const struct id *id)
{
	for (size_t i = 0; i < s->node->config.n_offerings; i++) {
		struct node_offered *o = &s->node->offered[i];

		if (!id_eq(&o->id, id))
			continue;
		o->confirmed = true;
		node_repeat_stop(&o->repeat);
	}
}

int64_t node_offer_next(const struct node *node)
{
	int64_t next_ns = INT64_MAX;

	for (size_t i = 0; i < node->config.n_offerings; i++)
		next_ns = MIN(next_ns, node->offered[i].repeat.next_ns);
	return next_ns;
}

int node_offer_load(struct node *node, const struct row *row)
{
	const struct cell *c = row->cells;

	if (row->n != 3 || c[0].type != CELL_BLOB || c[1].type != CELL_BLOB ||
		c[1].b.n != sizeof(struct id) || c[2].type != CELL_INT)
		return -EBADMSG;

	size_t i = node_offer_find(node, c[0].b);

	/* A kind that the operator sells no longer: its row stays until he sells it again. */
	if (i == NODE_OFFERINGS_MAX)
		return 0;
	memcpy(node->offered[i].id.b, c[1].b.p, sizeof(struct id));
	node->offered[i].revision = c[2].i;
	return 0;
}
