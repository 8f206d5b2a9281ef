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

static void free_open(struct slot *slot)
{
	if (!slot->open)
		return;
	free(slot->open->request_bytes);
	free(slot->open);
	slot->open = NULL;
}

void slots_set_payload(struct broker *b, struct slot *slot, const struct id *digest)
{
	if (!id_is_zero(&slot->links[LINK_PAYLOAD]))
		idmap_remove(&b->by_payload, slot->links[LINK_PAYLOAD].b);
	slot->links[LINK_PAYLOAD] = *digest;
	/* As large as the table of slots: there is always room. A digest that two slots name is the
	 * later one's. */
	if (!id_is_zero(digest) && !idmap_put(&b->by_payload, digest->b, slots_index(b, slot)))
		slot->links[LINK_PAYLOAD] = (struct id){ 0 };
}

void slots_drop(struct broker *b, struct slot *slot)
{
	uint32_t i = slots_index(b, slot);

	if (slot->open)
		b->n_open--;
	slots_set_payload(b, slot, &(struct id){ 0 });
	idmap_remove(&b->by_request, slot->request.b);
	heap_set(&b->timers, i, INT64_MAX);
	free_open(slot);
	free(slot->receipt);
	free(slot->note);
	*slot = (struct slot){ 0 };
	b->n_used--;
	b->free_slots[b->n_free++] = i;
}

/* Makes room by forgetting the oldest request that has ended; its rows stay in the store. */
static void forget_oldest(struct broker *b)
{
	struct slot *oldest = NULL;

	for (size_t i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];

		if (slot->used && !slot->open && slot_ended(slot->state) && !slot->closing &&
			(!oldest || slot->order < oldest->order))
			oldest = slot;
	}
	if (oldest)
		slots_drop(b, oldest);
}

struct slot *slots_add(struct broker *b, const struct id *request)
{
	if (b->n_free == 0)
		forget_oldest(b);
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
	b->n_used++;
	return slot;
}

bool slots_open_part(struct slot *slot, struct span request_bytes)
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
	slot->open = open;
	if (!ok)
		free_open(slot);
	return ok;
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
	struct row *row = effects_put(t->fx, BROKER_TABLE_OPEN_REQUEST, PUT_DELETE);

	row_blob(row, SPAN_OF(slot->request));
	slot->closing = false;
	slot->submitting = false;
	slot->funding = false;
	slot->deadline_ns = INT64_MAX;
	slot->retry_at_ns = INT64_MAX;
	if (slot->open)
		t->b->n_open--;
	free_open(slot);
}
