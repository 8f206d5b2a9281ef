#include "broker/core/internal.h"

#include "proto/base/be64.h"

#include <stdlib.h>

/*
 * Cells of a slot's row: request, buyer, escrow, node, state, attempt, order, price, expires,
 * deadline, payload size, flags | basis << 16 | refusal << 32, links, verdicts, history, commit_by
 * and deliver_by.
 */
enum {
	CELL_REQUEST,
	CELL_BUYER,
	CELL_ESCROW,
	CELL_NODE,
	CELL_STATE,
	CELL_ATTEMPT,
	CELL_ORDER,
	CELL_PRICE,
	CELL_EXPIRES,
	CELL_DEADLINE,
	CELL_PAYLOAD_SIZE,
	CELL_FLAGS,
	CELL_LINKS,
	CELL_VERDICTS,
	CELL_HISTORY,
	CELL_TIMES,
	SLOT_CELLS,
};

enum {
	FLAG_CLOSING = 1,
	FLAG_SUBMITTING = 2,
	FLAG_INLINE = 4,
	FLAG_CANCEL_WANTED = 8,
	FLAG_FUNDING = 16,
	FLAG_RECEIPT_VOID = 32,
};

#define MOMENT_BYTES 9
#define TIMES_BYTES  (16 + BROKER_TRIED_MAX * 32)

static void put_time(struct buf *b, int64_t at_ns)
{
	uint8_t bytes[8];

	be64_put(bytes, (uint64_t)at_ns);
	buf_put(b, bytes, sizeof(bytes));
}

static int64_t flags_of(const struct slot *slot)
{
	int64_t flags = (slot->closing ? FLAG_CLOSING : 0) |
			(slot->submitting ? FLAG_SUBMITTING : 0) |
			(slot->payload_inline ? FLAG_INLINE : 0) |
			(slot->cancel_wanted ? FLAG_CANCEL_WANTED : 0) |
			(slot->funding ? FLAG_FUNDING : 0) |
			(slot->receipt_void ? FLAG_RECEIPT_VOID : 0);

	return flags | (int64_t)slot->basis << 16 | (int64_t)slot->refusal << 32;
}

void slot_row_put(struct turn *t, const struct slot *slot)
{
	struct row *row = effects_put(t->fx, BROKER_TABLE_SLOT, PUT_REPLACE);
	uint8_t history[BROKER_HISTORY_MAX * MOMENT_BYTES];
	uint8_t times[TIMES_BYTES];
	struct buf h = BUF(history);
	struct buf m = BUF(times);

	for (size_t i = 0; i < slot->n_history; i++) {
		buf_byte(&h, slot->history[i].state);
		put_time(&h, slot->history[i].at_ns);
	}
	put_time(&m, slot->commit_by_ns);
	put_time(&m, slot->deliver_by_ns);
	for (size_t i = 0; i < slot->n_tried; i++)
		buf_put(&m, slot->tried[i].b, sizeof(slot->tried[i].b));
	row_copy(t->fx, row, SPAN_OF(slot->request));
	row_copy(t->fx, row, SPAN_OF(slot->buyer));
	row_copy(t->fx, row, SPAN_OF(slot->escrow));
	row_copy(t->fx, row, SPAN_OF(slot->node));
	row_int(row, slot->state);
	row_int(row, slot->attempt);
	row_int(row, slot->order);
	row_int(row, slot->price_micros);
	row_int(row, slot->expires_ns);
	row_int(row, slot->deadline_ns);
	row_int(row, slot->payload_size);
	row_int(row, flags_of(slot));
	row_copy(t->fx, row, SPAN(slot->links, sizeof(slot->links)));
	row_copy(t->fx, row, SPAN(slot->verdicts, slot->n_verdicts * sizeof(slot->verdicts[0])));
	row_copy(t->fx, row, buf_span(&h));
	row_copy(t->fx, row, buf_span(&m));
}

static bool cell_id(const struct cell *cell, void *out)
{
	if (cell->type != CELL_BLOB || cell->b.n != 32)
		return false;
	memcpy(out, cell->b.p, 32);
	return true;
}

static bool cells_sane(const struct row *row)
{
	const struct cell *c = row->cells;

	if (row->n != SLOT_CELLS)
		return false;
	for (size_t i = CELL_STATE; i <= CELL_FLAGS; i++)
		if (c[i].type != CELL_INT)
			return false;
	return c[CELL_STATE].i > SLOT_NONE && c[CELL_STATE].i < SLOT_STATES &&
	       c[CELL_LINKS].b.n == LINKS * sizeof(struct id) &&
	       c[CELL_VERDICTS].b.n <= SLOT_VERDICTS_MAX * sizeof(struct id) &&
	       c[CELL_HISTORY].b.n <= BROKER_HISTORY_MAX * MOMENT_BYTES &&
	       c[CELL_TIMES].b.n >= 16 && c[CELL_TIMES].b.n <= TIMES_BYTES;
}

static void load_parts(struct slot *slot, const struct cell *c)
{
	int64_t flags = c[CELL_FLAGS].i;

	slot->closing = flags & FLAG_CLOSING;
	slot->submitting = flags & FLAG_SUBMITTING;
	slot->payload_inline = flags & FLAG_INLINE;
	slot->cancel_wanted = flags & FLAG_CANCEL_WANTED;
	slot->funding = flags & FLAG_FUNDING;
	slot->receipt_void = flags & FLAG_RECEIPT_VOID;
	slot->basis = (uint8_t)(flags >> 16);
	slot->refusal = (uint16_t)(flags >> 32);
	memcpy(slot->links, c[CELL_LINKS].b.p, sizeof(slot->links));
	slot->n_verdicts = c[CELL_VERDICTS].b.n / sizeof(struct id);
	if (slot->n_verdicts > 0)
		memcpy(slot->verdicts, c[CELL_VERDICTS].b.p, slot->n_verdicts * sizeof(struct id));
	slot->n_history = c[CELL_HISTORY].b.n / MOMENT_BYTES;
	for (size_t i = 0; i < slot->n_history; i++) {
		const uint8_t *p = c[CELL_HISTORY].b.p + i * MOMENT_BYTES;

		slot->history[i] = (struct broker_moment){ .state = p[0],
			.at_ns = (int64_t)be64_get(p + 1) };
	}
	slot->commit_by_ns = (int64_t)be64_get(c[CELL_TIMES].b.p);
	slot->deliver_by_ns = (int64_t)be64_get(c[CELL_TIMES].b.p + 8);
	slot->n_tried = (c[CELL_TIMES].b.n - 16) / sizeof(struct did);
	memcpy(slot->tried, c[CELL_TIMES].b.p + 16, slot->n_tried * sizeof(struct did));
}

int slot_row_load(struct broker *b, const struct row *row)
{
	const struct cell *c = row->cells;
	struct id request;
	struct did buyer;
	struct did escrow;
	struct did node;

	if (!cells_sane(row) || !cell_id(&c[CELL_REQUEST], &request) || slots_find(b, &request) ||
		!cell_id(&c[CELL_BUYER], &buyer) || !cell_id(&c[CELL_ESCROW], &escrow) ||
		!cell_id(&c[CELL_NODE], &node))
		return -EBADMSG;

	struct slot *slot = slots_add(b, &request, &buyer);

	if (!slot)
		return -ENOSPC;
	slots_order(b, slot, c[CELL_ORDER].i);
	slot->escrow = escrow;
	slot->node = node;
	slot->state = (enum slot_state)c[CELL_STATE].i;
	slot->attempt = c[CELL_ATTEMPT].i;
	slot->price_micros = c[CELL_PRICE].i;
	slot->expires_ns = c[CELL_EXPIRES].i;
	slot->deadline_ns = c[CELL_DEADLINE].i;
	slot->payload_size = c[CELL_PAYLOAD_SIZE].i;
	load_parts(slot, c);

	struct id payload = slot->links[LINK_PAYLOAD];

	slot->links[LINK_PAYLOAD] = (struct id){ 0 };
	slots_set_payload(b, slot, &payload);
	b->order = MAX(b->order, slot->order);
	/* What was closing has its request's bytes, which come after all slots, or asks without. */
	if (slot_ended(slot->state) && !slot->closing)
		slots_ended(b, slot);
	return 0;
}

int slot_row_load_request(struct broker *b, const struct row *row)
{
	struct id request;

	if (row->n != 2 || !cell_id(&row->cells[0], &request) || row->cells[1].type != CELL_BLOB)
		return -EBADMSG;

	struct slot *slot = slots_find(b, &request);

	if (!slot || slot->open || slot->ended || !slots_open_part(b, slot, row->cells[1].b))
		return -EBADMSG;
	return 0;
}

static bool copy_bytes(struct span from, uint8_t **ret_p, size_t *ret_n)
{
	uint8_t *p = malloc(from.n + 1);

	if (!p)
		return false;
	if (from.n > 0)
		memcpy(p, from.p, from.n);
	free(*ret_p);
	*ret_p = p;
	*ret_n = from.n;
	return true;
}

int slot_row_load_receipt(struct broker *b, const struct row *row)
{
	struct id request;

	if (row->n != 3 || !cell_id(&row->cells[0], &request) || row->cells[1].type != CELL_BLOB ||
		row->cells[2].type != CELL_BLOB)
		return -EBADMSG;

	struct slot *slot = slots_find(b, &request);

	/* A request that was forgotten for lack of room leaves its receipt behind. */
	if (!slot || slot->receipt_void)
		return 0;
	if (!copy_bytes(row->cells[1].b, &slot->receipt, &slot->receipt_n) ||
		!copy_bytes(row->cells[2].b, &slot->note, &slot->note_n))
		return -ENOMEM;
	return 0;
}
