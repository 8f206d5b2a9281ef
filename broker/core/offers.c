#include "broker/core/internal.h"

#include <stdlib.h>

static uint32_t offer_index(const struct broker *b, const struct offer *offer)
{
	return (uint32_t)(offer - b->offers);
}

static uint32_t first_of(const struct broker *b, const struct did *node)
{
	return idmap_get(&b->by_node, node->b);
}

static struct offer *find_offer(
	struct broker *b, const struct did *node, struct span kind, size_t *ret_n)
{
	struct offer *found = NULL;

	*ret_n = 0;
	for (uint32_t i = first_of(b, node); i != IDMAP_NONE; i = b->offers[i].next) {
		if (span_eq(b->offers[i].offering.kind, kind))
			found = &b->offers[i];
		++*ret_n;
	}
	return found;
}

/* Takes the statement's bytes over into the offer; false where there is no memory or it does not
 * decode. */
static bool set_statement(struct offer *offer, struct span bytes)
{
	uint8_t *copy = malloc(bytes.n);
	struct statement *s = calloc(1, sizeof(*s));
	bool ok = false;

	if (copy && s) {
		memcpy(copy, bytes.p, bytes.n);
		ok = statement_decode(SPAN(copy, bytes.n), s, NULL) == REFUSED_NOT &&
		     s->kind == STATEMENT_OFFERING;
	}
	if (ok) {
		free(offer->bytes);
		offer->bytes = copy;
		offer->n = bytes.n;
		offer->offering = s->body.offering;
		offer->id = s->id;
		offer->node = s->issuer;
	} else {
		free(copy);
	}
	free(s);
	return ok;
}

static void take_out(struct broker *b, struct offer *offer)
{
	uint32_t at = offer_index(b, offer);
	uint32_t first = first_of(b, &offer->node);

	if (first == at) {
		idmap_remove(&b->by_node, offer->node.b);
		if (offer->next != IDMAP_NONE &&
			!idmap_put(&b->by_node, offer->node.b, offer->next))
			abort(); /* an entry was taken out just before: there is room */
	}
	for (uint32_t i = first; i != IDMAP_NONE; i = b->offers[i].next)
		if (b->offers[i].next == at)
			b->offers[i].next = offer->next;
	free(offer->bytes);
	*offer = (struct offer){ 0 };
	b->n_offers_used--;
	b->free_offers[b->n_free_offers++] = at;
}

static struct offer *add_offer(struct broker *b, const struct did *node)
{
	if (b->n_free_offers == 0)
		return NULL;

	uint32_t at = b->free_offers[--b->n_free_offers];
	uint32_t first = first_of(b, node);

	if (!idmap_put(&b->by_node, node->b, at)) {
		b->free_offers[b->n_free_offers++] = at;
		return NULL;
	}
	b->offers[at] = (struct offer){ .used = true, .node = *node, .next = first };
	b->n_offers_used++;
	return &b->offers[at];
}

/* Adds or replaces; the match index follows. */
static enum refusal store_offer(struct broker *b, struct span bytes, const struct did *node,
	const struct offering *offering, bool connected)
{
	size_t n;
	struct offer *offer = find_offer(b, node, offering->kind, &n);

	if (offer && offering->revision < offer->offering.revision)
		return REFUSED_STATEMENT_EXPIRED;
	if (!offer && n >= BROKER_NODE_OFFERINGS_MAX)
		return REFUSED_TOO_MANY_REQUESTS;
	if (offer)
		(void)match_remove(
			b->match, offer_index(b, offer)); /* ignored: it may be out already */
	else
		offer = add_offer(b, node);
	if (!offer)
		return REFUSED_PEER_LIMIT;
	if (!set_statement(offer, bytes)) {
		take_out(b, offer);
		return REFUSED_PEER_LIMIT;
	}
	offer->connected = connected;

	const struct match_offering m = {
		.kind = offer->offering.kind,
		.lat_e7 = (int32_t)offer->offering.cell.lat_e7,
		.lon_e7 = (int32_t)offer->offering.cell.lon_e7,
		.price_micros = offer->offering.price_micros,
	};

	if (match_insert(b->match, offer_index(b, offer), &m) < 0) {
		take_out(b, offer);
		return REFUSED_KIND_UNKNOWN;
	}
	return REFUSED_NOT;
}

/* Requests that wait for a node look again at the next tick. */
static void wake_open(struct turn *t)
{
	struct broker *b = t->b;

	/* The heap's entries are the open slots alone, so this is bounded by them. */
	for (size_t i = 0; i < b->timers.n; i++) {
		struct slot *slot = &b->slots[b->timers.entries[i].index];

		if (slot->state == SLOT_OPEN && !slot->funding &&
			slot->retry_at_ns > t->event->now_ns) {
			slot->retry_at_ns = t->event->now_ns;
			slots_time(b, slot);
		}
	}
}

void offers_on_offer(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_OFFERING);

	if (!s) {
		effects_refuse(t->fx, t->event, REFUSED_MESSAGE_SHAPE, NULL);
		return;
	}
	if (!did_eq(&s->issuer, &t->event->from)) {
		effects_refuse(t->fx, t->event, REFUSED_STATEMENT_ISSUER, NULL);
		return;
	}
	if (!span_eq(s->body.offering.c.market, t->b->config.author.market)) {
		effects_refuse(t->fx, t->event, REFUSED_STATEMENT_MARKET, NULL);
		return;
	}

	enum refusal refusal = store_offer(t->b, s->bytes, &s->issuer, &s->body.offering, true);

	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		return;
	}

	struct row *row = effects_put(t->fx, BROKER_TABLE_OFFERING, PUT_REPLACE);

	row_blob(row, SPAN_OF(s->issuer));
	row_blob(row, s->body.offering.kind);
	row_blob(row, SPAN_OF(s->id));
	row_blob(row, s->bytes);
	effects_keep(t->fx, s, NULL);

	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_OFFERED);

	send->message.reply_to = t->event->opened->message.number;
	send->message.target = s->id;
	wake_open(t);
}

int offers_load(struct broker *b, const struct row *row)
{
	struct statement *s = calloc(1, sizeof(*s));
	int r = -EBADMSG;

	if (!s)
		return -ENOMEM;
	if (row->n == 4 && row->cells[3].type == CELL_BLOB &&
		statement_decode(row->cells[3].b, s, NULL) == REFUSED_NOT &&
		s->kind == STATEMENT_OFFERING &&
		store_offer(b, row->cells[3].b, &s->issuer, &s->body.offering, false) ==
			REFUSED_NOT)
		r = 0;
	free(s);
	return r;
}

void offers_connected(struct broker *b, const struct did *node, bool connected)
{
	for (uint32_t i = first_of(b, node); i != IDMAP_NONE; i = b->offers[i].next)
		b->offers[i].connected = connected;
}

struct matching {
	const struct broker *b;
	const struct slot *slot;
	int64_t now_ns;
};

static bool accept_offer(uint32_t handle, void *user)
{
	const struct matching *m = user;
	const struct offer *offer = &m->b->offers[handle];

	if (!offer->connected)
		return false;
	for (size_t i = 0; i < m->slot->n_tried; i++)
		if (did_eq(&m->slot->tried[i], &offer->node))
			return false;
	return rules_offering(&offer->offering, &m->slot->open->request, m->now_ns) == REFUSED_NOT;
}

struct offer *offers_match(struct broker *b, const struct slot *slot, int64_t now_ns)
{
	const struct request *r = &slot->open->request;
	struct matching matching = { .b = b, .slot = slot, .now_ns = now_ns };
	struct match_query query = {
		.lat_e7 = (int32_t)r->area.lat_e7,
		.lon_e7 = (int32_t)r->area.lon_e7,
		.radius_m = (uint32_t)MIN(r->area.radius_m, (int64_t)MATCH_RADIUS_MAX_M),
		.max_price_micros = r->price_micros,
		.want = 1,
		.accept = accept_offer,
		.user = &matching,
	};
	struct match_result result;

	/* A node publishes a coarse cell, so its own check of the exact place comes at the
	 * assignment. */
	query.radius_m = MIN(query.radius_m + MATCH_CELL_SLACK_M, MATCH_RADIUS_MAX_M);
	if (match_kind(b->match, r->kind, &query.kind) < 0 ||
		match_best(b->match, &query, &result) < 0 || result.n == 0)
		return NULL;
	if (match_touch(b->match, result.found[0].handle, ++b->uses) < 0)
		return NULL;
	return &b->offers[result.found[0].handle];
}

void offers_on_nodes(struct turn *t)
{
	struct broker *b = t->b;
	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_OFFERINGS);
	uint32_t at = (uint32_t)MIN(t->event->opened->message.cursor, (int64_t)b->n_offers);

	send->message.reply_to = t->event->opened->message.number;
	for (; at < b->n_offers && send->n_statements < SEND_STATEMENTS_MAX; at++) {
		const struct offer *offer = &b->offers[at];

		if (!offer->used)
			continue;
		if (offer->connected)
			send->message.connected |= INT64_C(1) << send->n_statements;
		send_attach(send, &offer->id);
	}
	/* Where the next page begins; absent at the end. */
	send->message.cursor = at < b->n_offers && b->n_offers_used > SEND_STATEMENTS_MAX ? at : 0;
}
