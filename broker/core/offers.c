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
	b->offers_top = MAX(b->offers_top, (size_t)at + 1);
	b->offers[at] = (struct offer){ .used = true, .node = *node, .next = first };
	b->n_offers_used++;
	return &b->offers[at];
}

static enum refusal first_revision(struct broker *b, const struct statement *s)
{
	const struct offering *o = &s->body.offering;
	const struct match_offering m = {
		.kind = o->kind,
		.lat_e7 = (int32_t)o->cell.lat_e7,
		.lon_e7 = (int32_t)o->cell.lon_e7,
		.price_micros = o->price_micros,
	};
	struct offer *offer = add_offer(b, &s->issuer);

	if (!offer)
		return REFUSED_PEER_LIMIT;
	if (!set_statement(offer, s->bytes)) {
		take_out(b, offer);
		return REFUSED_PEER_LIMIT;
	}
	if (match_insert(b->match, offer_index(b, offer), &m) < 0) {
		take_out(b, offer);
		return REFUSED_KIND_UNKNOWN;
	}
	return REFUSED_NOT;
}

/* Adds or replaces; the match index follows, and what is refused leaves the older one as it was. */
static enum refusal store_offer(struct broker *b, const struct statement *s)
{
	const struct offering *o = &s->body.offering;
	size_t n;
	struct offer *offer = find_offer(b, &s->issuer, o->kind, &n);

	if (o->price_micros <= 0)
		return REFUSED_PRICE_NOT_POSITIVE;
	if (!offer)
		return n < BROKER_NODE_OFFERINGS_MAX ? first_revision(b, s)
						     : REFUSED_TOO_MANY_REQUESTS;
	if (o->revision < offer->offering.revision)
		return REFUSED_STATEMENT_EXPIRED;
	if (o->revision == offer->offering.revision)
		return REFUSED_EXISTS_WITH_DIFFERENT_CONTENT;
	if (!set_statement(offer, s->bytes))
		return REFUSED_PEER_LIMIT;
	/* It keeps its turn: a new revision is no way to the head of the queue. */
	if (match_update(b->match, offer_index(b, offer), (int32_t)o->cell.lat_e7,
		    (int32_t)o->cell.lon_e7, o->price_micros) < 0)
		abort(); /* place and price are within the statement's limits, which are match's */
	return REFUSED_NOT;
}

/* The node serves what the slot waits for. */
static bool serves(
	const struct broker *b, const struct did *node, const struct slot *slot, int64_t now_ns)
{
	for (uint32_t i = first_of(b, node); i != IDMAP_NONE; i = b->offers[i].next)
		if (rules_offering(&b->offers[i].offering, &slot->open->request, now_ns) ==
			REFUSED_NOT)
			return true;
	return false;
}

/* Requests that wait for such a node look again at the next tick. */
static void wake_open(struct turn *t, const struct did *node)
{
	struct broker *b = t->b;

	/* The heap's entries are the open slots alone, so this is bounded by them; an earlier time
	 * moves an entry towards the front, so none is passed over. */
	for (size_t i = 0; i < b->timers.n; i++) {
		struct slot *slot = &b->slots[b->timers.entries[i].index];

		if (slot->state == SLOT_OPEN && !slot->funding &&
			slot->retry_at_ns > t->event->now_ns &&
			serves(b, node, slot, t->event->now_ns)) {
			slot->retry_at_ns = t->event->now_ns;
			slots_time(b, slot);
		}
	}
}

static void set_connected(struct broker *b, const struct did *node, bool connected)
{
	for (uint32_t i = first_of(b, node); i != IDMAP_NONE; i = b->offers[i].next)
		b->offers[i].connected = connected;
}

void offers_connected(struct turn *t, const struct did *node, bool connected)
{
	set_connected(t->b, node, connected);
	if (connected)
		wake_open(t, node);
}

static void put_offering(struct turn *t, const struct statement *s)
{
	struct row *row = effects_put(t->fx, BROKER_TABLE_OFFERING, PUT_REPLACE);

	row_blob(row, SPAN_OF(s->issuer));
	row_blob(row, s->body.offering.kind);
	row_blob(row, SPAN_OF(s->id));
	row_blob(row, s->bytes);
	effects_keep(t->fx, s, NULL);
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

	size_t n;
	const struct offer *known = find_offer(t->b, &s->issuer, s->body.offering.kind, &n);

	if (!known || !id_eq(&known->id, &s->id)) {
		enum refusal refusal = store_offer(t->b, s);

		if (refusal != REFUSED_NOT) {
			effects_refuse(t->fx, t->event, refusal, NULL);
			return;
		}
		put_offering(t, s);
		set_connected(t->b, &s->issuer, true);
		wake_open(t, &s->issuer);
	} else if (!known->connected) {
		offers_connected(t, &s->issuer, true);
	}

	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_OFFERED);

	send->message.reply_to = t->event->opened->message.number;
	send->message.target = s->id;
}

int offers_load(struct broker *b, const struct row *row)
{
	struct statement *s = calloc(1, sizeof(*s));
	int r = -EBADMSG;

	if (!s)
		return -ENOMEM;
	if (row->n == 4 && row->cells[3].type == CELL_BLOB &&
		statement_decode(row->cells[3].b, s, NULL) == REFUSED_NOT &&
		s->kind == STATEMENT_OFFERING && store_offer(b, s) == REFUSED_NOT)
		r = 0;
	free(s);
	return r;
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
	int64_t cursor = t->event->opened->message.cursor;
	size_t at = cursor > 0 ? (size_t)cursor : 0;

	send->message.reply_to = t->event->opened->message.number;
	for (; at < b->offers_top && send->n_statements < SEND_STATEMENTS_MAX; at++) {
		const struct offer *offer = &b->offers[at];

		if (!offer->used)
			continue;
		if (offer->connected)
			send->message.connected |= INT64_C(1) << send->n_statements;
		send_attach(send, &offer->id);
	}
	/* Where the next page begins; absent at the end. */
	send->message.cursor = at < b->offers_top ? (int64_t)at : 0;
}
