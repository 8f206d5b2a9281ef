#include "escrow/core/holds.h"

#include "escrow/core/hold_row.h"
#include "proto/base/sha256.h"

#include <sodium.h>
#include <stdlib.h>

static int make_tables(struct escrow *e)
{
	size_t n = e->config.holds;

	e->n_slots = n;
	e->slots = calloc(n, sizeof(*e->slots));
	e->free_slots = calloc(n, sizeof(*e->free_slots));
	e->opens = calloc(e->config.open, sizeof(*e->opens));
	e->free_opens = calloc(e->config.open, sizeof(*e->free_opens));
	if (!e->slots || !e->free_slots || !e->opens || !e->free_opens)
		return -ENOMEM;
	/* Low numbers first, so that memory that is not needed is never touched. */
	while (e->n_free < n) {
		e->free_slots[e->n_free] = (uint32_t)(n - 1 - e->n_free);
		e->n_free++;
	}
	while (e->n_free_opens < e->config.open) {
		e->free_opens[e->n_free_opens] = (uint32_t)(e->config.open - 1 - e->n_free_opens);
		e->n_free_opens++;
	}
	return 0;
}

int holds_init(struct escrow *e, uint64_t secret)
{
	if (make_tables(e) < 0 || idmap_init(&e->by_request, e->n_slots, secret) < 0 ||
		idmap_init(&e->by_digest, e->n_slots, secret + 1) < 0 ||
		heap_init(&e->timers, e->n_slots) < 0 || heap_init(&e->ended, e->n_slots) < 0) {
		holds_deinit(e);
		return -ENOMEM;
	}
	return 0;
}

void holds_deinit(struct escrow *e)
{
	if (e->opens)
		sodium_memzero(e->opens, e->config.open * sizeof(*e->opens));
	free(e->slots);
	free(e->free_slots);
	free(e->opens);
	free(e->free_opens);
	idmap_deinit(&e->by_request);
	idmap_deinit(&e->by_digest);
	heap_deinit(&e->timers);
	heap_deinit(&e->ended);
}

struct slot *holds_find(const struct escrow *e, const struct id *request)
{
	uint32_t at = idmap_get(&e->by_request, request->b);

	return at == IDMAP_NONE ? NULL : &e->slots[at];
}

uint32_t holds_index(const struct escrow *e, const struct slot *slot)
{
	return (uint32_t)(slot - e->slots);
}

static void delete_row(struct turn *t, enum escrow_table table, const struct slot *slot)
{
	row_copy(t->fx, effects_put(t->fx, (uint16_t)table, PUT_DELETE), SPAN_OF(slot->request));
}

/* A request that has expired can never be funded again, so forgetting it repeats no effect. */
static void forget(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;
	uint32_t at = holds_index(e, slot);

	delete_row(t, ESCROW_TABLE_HOLD, slot);
	delete_row(t, ESCROW_TABLE_SLOT, slot);
	heap_set(&e->ended, at, INT64_MAX);
	idmap_remove(&e->by_request, slot->request.b);
	if (idmap_get(&e->by_digest, slot->progress.cipher_digest.b) == at)
		idmap_remove(&e->by_digest, slot->progress.cipher_digest.b);
	*slot = (struct slot){ 0 };
	e->free_slots[e->n_free++] = at;
	e->n_used--;
}

struct slot *holds_load_slot(struct escrow *e, const struct id *request)
{
	if (e->n_free == 0 || holds_find(e, request))
		return NULL;

	uint32_t at = e->free_slots[e->n_free - 1];

	if (!idmap_put(&e->by_request, request->b, at))
		return NULL;
	e->n_free--;
	e->n_used++;
	e->slots[at] = (struct slot){
		.used = true, .state = SLOT_POSTED, .request = *request, .deadline_ns = INT64_MAX
	};
	return &e->slots[at];
}

bool holds_load_open(struct escrow *e, struct slot *slot)
{
	if (e->n_free_opens == 0)
		return false;
	slot->open = &e->opens[e->free_opens[--e->n_free_opens]];
	*slot->open = (struct open_part){ .retry_at_ns = INT64_MAX };
	return true;
}

struct slot *holds_add(struct turn *t, const struct id *request)
{
	struct escrow *e = t->e;

	if (e->n_free == 0) {
		uint32_t oldest = heap_due(&e->ended, t->event->now_ns - CLOCK_SKEW_NS);

		if (oldest != UINT32_MAX)
			forget(t, &e->slots[oldest]);
	}
	if (e->n_free_opens == 0)
		return NULL;

	struct slot *slot = holds_load_slot(e, request);

	if (slot && !holds_load_open(e, slot))
		abort(); /* one was left above */
	return slot;
}

static void list_add(struct escrow *e, struct slot *slot)
{
	uint32_t number = holds_index(e, slot) + 1;

	slot->verifying_next = e->verifying;
	slot->verifying_prev = 0;
	if (e->verifying)
		e->slots[e->verifying - 1].verifying_prev = number;
	e->verifying = number;
}

static void list_remove(struct escrow *e, struct slot *slot)
{
	if (slot->verifying_prev)
		e->slots[slot->verifying_prev - 1].verifying_next = slot->verifying_next;
	else
		e->verifying = slot->verifying_next;
	if (slot->verifying_next)
		e->slots[slot->verifying_next - 1].verifying_prev = slot->verifying_prev;
	slot->verifying_next = 0;
	slot->verifying_prev = 0;
}

bool holds_move(struct turn *t, struct slot *slot, enum slot_event event)
{
	enum slot_state next = slot_next(slot->state, event);

	if (next == SLOT_NONE)
		return false;
	if (slot->state == SLOT_VERIFYING)
		list_remove(t->e, slot);
	slot->state = next;
	if (next == SLOT_VERIFYING)
		list_add(t->e, slot);
	holds_touch(t, slot);
	return true;
}

void holds_must_move(struct turn *t, struct slot *slot, enum slot_event event)
{
	bool moved = holds_move(t, slot, event);

	assert(moved);
}

void holds_deadline(struct turn *t, struct slot *slot, int64_t at_ns)
{
	slot->deadline_ns = at_ns;
	slot->open->retry_at_ns = INT64_MAX;
	slot->open->retry_ns = ESCROW_RETRY_FIRST_NS;
	slot->open->working = false;
	holds_touch(t, slot);
	holds_time(t->e, slot);
}

void holds_retry(struct escrow *e, struct slot *slot, int64_t at_ns)
{
	slot->open->retry_at_ns = at_ns;
	holds_time(e, slot);
}

void holds_back_off(struct turn *t, struct slot *slot)
{
	struct open_part *open = slot->open;

	holds_retry(t->e, slot, t->event->now_ns + open->retry_ns);
	open->retry_ns = MIN(open->retry_ns * 2, ESCROW_RETRY_MOST_NS);
}

int64_t holds_deadline_at(const struct escrow *e, const struct slot *slot)
{
	/* What waited for a start comes before any silence ends something. */
	int64_t least_ns = e->start_ns > 0 ? e->start_ns + ESCROW_START_GRACE_NS : 0;

	return MAX(slot->deadline_ns, least_ns);
}

void holds_time(struct escrow *e, struct slot *slot)
{
	int64_t at_ns = INT64_MAX;

	if (slot->open)
		at_ns = MIN(holds_deadline_at(e, slot), slot->open->retry_at_ns);
	heap_set(&e->timers, holds_index(e, slot), at_ns);
}

void holds_touch(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;

	if (slot->dirty)
		return;
	assert(e->n_dirty < HOLDS_DIRTY_MAX);
	slot->dirty = true;
	e->dirty[e->n_dirty++] = holds_index(e, slot);
}

void holds_flush(struct turn *t)
{
	struct escrow *e = t->e;

	for (size_t i = 0; i < e->n_dirty; i++) {
		struct slot *slot = &e->slots[e->dirty[i]];

		if (!slot->dirty)
			continue;
		slot->dirty = false;
		hold_row_put_slot(t, slot);
	}
	e->n_dirty = 0;
	if (e->chain_dirty) {
		struct row *row = effects_put(t->fx, ESCROW_TABLE_CHAIN, PUT_REPLACE);

		row_int(row, 1);
		row_int(row, e->sequence);
		row_copy(t->fx, row, SPAN_OF(e->previous));
		e->chain_dirty = false;
	}
}

void holds_end(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;
	struct open_part *open = slot->open;

	assert(slot_ended(slot->state) && open);
	if (open->note_n > 0)
		delete_row(t, ESCROW_TABLE_PROOF, slot);
	e->ledger.promised -= open->promised;
	sodium_memzero(open->content_key, sizeof(open->content_key));
	slot->open = NULL;
	e->free_opens[e->n_free_opens++] = (uint32_t)(open - e->opens);
	slot->deadline_ns = INT64_MAX;
	holds_time(e, slot);
	heap_set(&e->ended, holds_index(e, slot), slot->terms.expires_ns);
	holds_touch(t, slot);
}

void holds_resume(struct escrow *e, struct slot *slot)
{
	holds_know_digest(e, slot);
	if (!slot->open) {
		heap_set(&e->ended, holds_index(e, slot), slot->terms.expires_ns);
		return;
	}
	if (slot->state == SLOT_VERIFYING)
		list_add(e, slot);
	/* Whatever was under way is asked for again at the first tick. */
	slot->open->retry_ns = ESCROW_RETRY_FIRST_NS;
	if (slot->state == SLOT_VERIFYING || slot->state == SLOT_COMMITTED ||
		(slot->state == SLOT_DEFAULTED && id_is_zero(&slot->progress.release)))
		slot->open->retry_at_ns = 0;
	holds_time(e, slot);
}

int64_t holds_chain_next(const struct escrow *e)
{
	return e->sequence + 1;
}

void holds_chain_add(struct escrow *e, const struct id *statement)
{
	e->sequence++;
	e->previous = *statement;
	e->chain_dirty = true;
}

struct id holds_draw_secret(const struct escrow *e, const struct id *request)
{
	return SHA256(SPAN_OF(e->config.draw_secret_key), SPAN_OF(*request));
}

const uint8_t *holds_content_key(struct escrow *e, struct slot *slot)
{
	struct open_part *open = slot->open;
	struct seal_context context = {
		.request = slot->request, .scope = slot->progress.assignment, .recipient = e->me
	};

	if (!open->has_content_key &&
		seal_unwrap(slot->progress.wrapped_key, e->config.encryption_secret, &context,
			open->content_key) != REFUSED_NOT)
		return NULL;
	open->has_content_key = true;
	return open->content_key;
}

void holds_know_digest(struct escrow *e, struct slot *slot)
{
	const struct id *digest = &slot->progress.cipher_digest;

	if (id_is_zero(digest) || idmap_get(&e->by_digest, digest->b) != IDMAP_NONE)
		return;
	if (!idmap_put(&e->by_digest, digest->b, holds_index(e, slot)))
		abort(); /* as many entries as slots, one each */
}

void holds_clear_attempt(struct turn *t, struct slot *slot)
{
	struct escrow *e = t->e;
	struct progress *p = &slot->progress;
	uint32_t at = holds_index(e, slot);

	if (!id_is_zero(&p->evidence)) {
		p->failed_evidence = p->evidence;
		p->failed_attempt = p->attempts_used - 1;
	}
	if (idmap_get(&e->by_digest, p->cipher_digest.b) == at)
		idmap_remove(&e->by_digest, p->cipher_digest.b);
	p->assignment = (struct id){ 0 };
	p->evidence = (struct id){ 0 };
	p->cipher_digest = (struct id){ 0 };
	p->cipher_size = 0;
	p->wrapped_key = SPAN(NULL, 0);
	p->measurement = false;
	p->from_node = false;
	p->payload_here = false;
	p->payload_inline = false;
	p->draw = (struct id){ 0 };
	p->n_votes = 0;
	p->code = 0;
	p->code_target = (struct id){ 0 };
	sodium_memzero(slot->open->content_key, sizeof(slot->open->content_key));
	slot->open->has_content_key = false;
	if (slot->open->note_n > 0)
		delete_row(t, ESCROW_TABLE_PROOF, slot);
	slot->open->receipt_n = 0;
	slot->open->note_n = 0;
	holds_touch(t, slot);
}

struct rules_money holds_money(const struct terms *terms, int64_t price_micros)
{
	struct request rates = {
		.fee_ppm = terms->fee_ppm,
		.verifier_ppm = terms->verifier_ppm,
		.panel_n = terms->panel_n,
	};
	struct rules_money money = { 0 };

	/* At most the request's price, whose sums were checked when the hold was made. */
	if (rules_money(&rates, price_micros, &money) != REFUSED_NOT)
		abort();
	return money;
}

static void check_slot(const struct escrow *e, const struct slot *slot)
{
	const struct progress *p = &slot->progress;
	bool ended = slot_ended(slot->state);
	bool committed = slot->state >= SLOT_COMMITTED && slot->state <= SLOT_ESCALATED;

	assert(holds_find(e, &slot->request) == slot && !slot->dirty);
	assert(ended == !slot->open && ended == !id_is_zero(&p->settlement));
	assert(!id_is_zero(&p->hold));
	if (slot->state == SLOT_ASSIGNED || committed)
		assert(!did_is_zero(&p->node) && p->attempts_used > 0);
	if (committed && slot->state != SLOT_WITHHELD)
		assert(!id_is_zero(&p->evidence) && p->wrapped_key.n == SEAL_WRAPPED);
	if (slot->state == SLOT_VERIFYING)
		assert(!id_is_zero(&p->draw) && (int64_t)p->n_votes == slot->terms.panel_n);
	if (!id_is_zero(&p->release))
		assert(!id_is_zero(&p->evidence) &&
			(slot->state == SLOT_PASSED || slot->state == SLOT_DEFAULTED ||
				slot->state == SLOT_SETTLED));
	if (!ended)
		assert(e->timers.place[holds_index(e, slot)] != 0);
}

void holds_check(const struct escrow *e)
{
	int64_t held[ESCROW_ASSETS_MAX] = { 0 };
	size_t promised = 0;
	size_t n_used = 0;

	for (size_t i = 0; i < e->n_slots && n_used < e->n_used; i++) {
		const struct slot *slot = &e->slots[i];

		if (!slot->used)
			continue;
		n_used++;
		check_slot(e, slot);
		if (slot->open) {
			promised += slot->open->promised;
			held[slot->terms.asset] += slot->terms.held_micros;
		}
	}
	assert(n_used == e->n_used && promised == e->ledger.promised);
	for (size_t i = 0; i < e->ledger.n_accounts; i++)
		if (e->ledger.accounts[i].purpose == ACCOUNT_HELD)
			held[e->ledger.accounts[i].asset] -= e->ledger.accounts[i].balance_micros;
	for (size_t i = 0; i < ESCROW_ASSETS_MAX; i++)
		assert(held[i] == 0);
}
