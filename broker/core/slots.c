#include "broker/core/internal.h"

#include <stdlib.h>

uint32_t slots_index(const struct broker *b, const struct slot *slot)
{
	return (uint32_t)(slot - b->slots);
}

struct slot *slots_find(struct broker *b, const struct id *request)
{
	uint32_t i = idmap_get(&b->by_request, request->b);

	return i == IDMAP_NONE ? NULL : &b->slots[i];
}

static void free_open(struct broker *b, struct slot *slot)
{
	if (!slot->open)
		return;
	b->n_open--;
	b->buyers[slot->buyer_at].n_open--;
	free(slot->open->request_bytes);
	free(slot->open);
	slot->open = NULL;
}

/* There are as many places for buyers as slots, so there is always one. */
static void join_buyer(struct broker *b, struct slot *slot, const struct did *buyer)
{
	uint32_t at = idmap_get(&b->by_buyer, buyer->b);

	if (at == IDMAP_NONE) {
		at = b->free_buyers[--b->n_free_buyers];
		b->buyers[at] = (struct buyer_of){ .did = *buyer, .newest = BROKER_NONE };
		if (!idmap_put(&b->by_buyer, buyer->b, at))
			abort(); /* as large as the table of buyers */
	}
	slot->buyer = *buyer;
	slot->buyer_at = at;
	slot->older = BROKER_NONE;
	slot->newer = BROKER_NONE;
	b->buyers[at].n++;
}

void slots_order(struct broker *b, struct slot *slot, int64_t order)
{
	struct buyer_of *buyer = &b->buyers[slot->buyer_at];
	uint32_t i = slots_index(b, slot);
	uint32_t newer = BROKER_NONE;
	uint32_t older = buyer->newest;

	/* The newest comes last, but after a restart in the order of some key. */
	while (older != BROKER_NONE && b->slots[older].order > order) {
		newer = older;
		older = b->slots[older].older;
	}
	slot->order = order;
	slot->older = older;
	slot->newer = newer;
	if (older != BROKER_NONE)
		b->slots[older].newer = i;
	if (newer != BROKER_NONE)
		b->slots[newer].older = i;
	else
		buyer->newest = i;
}

static void leave_buyer(struct broker *b, struct slot *slot)
{
	struct buyer_of *buyer = &b->buyers[slot->buyer_at];

	if (slot->older != BROKER_NONE)
		b->slots[slot->older].newer = slot->newer;
	if (slot->newer != BROKER_NONE)
		b->slots[slot->newer].older = slot->older;
	if (buyer->newest == slots_index(b, slot))
		buyer->newest = slot->older;
	if (--buyer->n > 0)
		return;
	idmap_remove(&b->by_buyer, buyer->did.b);
	b->free_buyers[b->n_free_buyers++] = slot->buyer_at;
}

const struct buyer_of *slots_of(const struct broker *b, const struct did *buyer)
{
	uint32_t at = idmap_get(&b->by_buyer, buyer->b);

	return at == IDMAP_NONE ? NULL : &b->buyers[at];
}

void slots_ended(struct broker *b, struct slot *slot)
{
	uint32_t i = slots_index(b, slot);

	if (slot->ended)
		return;
	slot->ended = true;
	slot->ended_before = b->ended_last;
	slot->ended_after = BROKER_NONE;
	if (b->ended_last != BROKER_NONE)
		b->slots[b->ended_last].ended_after = i;
	else
		b->ended_first = i;
	b->ended_last = i;
}

void slots_reopen(struct broker *b, struct slot *slot)
{
	if (!slot->ended)
		return;
	slot->ended = false;
	if (slot->ended_before != BROKER_NONE)
		b->slots[slot->ended_before].ended_after = slot->ended_after;
	else
		b->ended_first = slot->ended_after;
	if (slot->ended_after != BROKER_NONE)
		b->slots[slot->ended_after].ended_before = slot->ended_before;
	else
		b->ended_last = slot->ended_before;
}

void slots_set_payload(struct broker *b, struct slot *slot, const struct id *digest)
{
	if (!id_is_zero(&slot->links[LINK_PAYLOAD]))
		idmap_remove(&b->by_payload, slot->links[LINK_PAYLOAD].b);
	slot->links[LINK_PAYLOAD] = *digest;
	/* As large as the table of slots: there is always room. */
	if (!id_is_zero(digest) && !idmap_put(&b->by_payload, digest->b, slots_index(b, slot)))
		slot->links[LINK_PAYLOAD] = (struct id){ 0 };
}

void slots_drop(struct broker *b, struct slot *slot)
{
	uint32_t i = slots_index(b, slot);

	free_open(b, slot);
	slots_reopen(b, slot);
	leave_buyer(b, slot);
	slots_set_payload(b, slot, &(struct id){ 0 });
	idmap_remove(&b->by_request, slot->request.b);
	heap_set(&b->timers, i, INT64_MAX);
	free(slot->receipt);
	free(slot->note);
	*slot = (struct slot){ 0 };
	b->n_used--;
	b->free_slots[b->n_free++] = i;
}

struct slot *slots_add(struct broker *b, const struct id *request, const struct did *buyer)
{
	/* Room is made by forgetting who ended first; the rows stay in the store. */
	if (b->n_free == 0 && b->ended_first != BROKER_NONE)
		slots_drop(b, &b->slots[b->ended_first]);
	if (b->n_free == 0)
		return NULL;

	uint32_t i = b->free_slots[--b->n_free];
	struct slot *slot = &b->slots[i];

	if (!idmap_put(&b->by_request, request->b, i)) {
		b->free_slots[b->n_free++] = i;
		return NULL;
	}
	*slot = (struct slot){
		.used = true,
		.request = *request,
		.deadline_ns = INT64_MAX,
		.retry_at_ns = INT64_MAX,
	};
	join_buyer(b, slot, buyer);
	b->n_used++;
	return slot;
}

bool slots_open_part(struct broker *b, struct slot *slot, struct span request_bytes)
{
	struct open_part *open = calloc(1, sizeof(*open));
	struct statement *s = calloc(1, sizeof(*s));
	bool ok = false;

	if (open && s) {
		open->request_bytes = malloc(request_bytes.n);
		open->request_n = request_bytes.n;
		if (open->request_bytes) {
			memcpy(open->request_bytes, request_bytes.p, request_bytes.n);
			/* Decoded anew from our copy, so that its spans live as long as the slot.
			 */
			ok = statement_decode(SPAN(open->request_bytes, open->request_n), s,
				     NULL) == REFUSED_NOT &&
			     s->kind == STATEMENT_REQUEST;
			open->request = s->body.request;
		}
	}
	free(s);
	if (!ok) {
		if (open)
			free(open->request_bytes);
		free(open);
		return false;
	}
	slot->open = open;
	b->n_open++;
	b->buyers[slot->buyer_at].n_open++;
	return true;
}

void slots_time(struct broker *b, struct slot *slot)
{
	heap_set(&b->timers, slots_index(b, slot), MIN(slot->deadline_ns, slot->retry_at_ns));
}

static void note_moment(struct slot *slot, enum slot_state state, int64_t at_ns)
{
	/* The newest moments matter most when there are more than fit: the last one is overwritten.
	 */
	if (slot->n_history == BROKER_HISTORY_MAX)
		slot->n_history--;
	slot->history[slot->n_history++] = (struct broker_moment){ .state = (uint8_t)state,
		.at_ns = at_ns };
}

void slots_set(struct turn *t, struct slot *slot, enum slot_state state)
{
	if (slot->state == state)
		return;
	slot->state = state;
	note_moment(slot, state, t->event->now_ns);
}

bool slots_move(struct turn *t, struct slot *slot, enum slot_event event)
{
	enum slot_state next = slot_next(slot->state, event);

	if (next == SLOT_NONE)
		return false;
	slots_set(t, slot, next);
	return true;
}

void slots_repeat(struct turn *t, struct slot *slot, int64_t first_ns)
{
	slot->retry_ns = first_ns;
	slot->retry_at_ns = t->event->now_ns + first_ns;
}

void slots_end(struct turn *t, struct slot *slot)
{
	if (slot->open) {
		struct row *row = effects_put(t->fx, BROKER_TABLE_OPEN_REQUEST, PUT_DELETE);

		row_copy(t->fx, row, SPAN_OF(slot->request));
	}
	slot->closing = false;
	slot->submitting = false;
	slot->funding = false;
	slot->deadline_ns = INT64_MAX;
	slot->retry_at_ns = INT64_MAX;
	free_open(t->b, slot);
	slots_ended(t->b, slot);
}

void slots_forget_receipt(struct slot *slot)
{
	slot->receipt_void = true;
	free(slot->receipt);
	free(slot->note);
	slot->receipt = NULL;
	slot->note = NULL;
	slot->receipt_n = 0;
	slot->note_n = 0;
}
