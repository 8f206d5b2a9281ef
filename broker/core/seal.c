#include "broker/core/internal.h"

#include "proto/tlog/checkpoint.h"

#include <stdlib.h>

static_assert(3 * BROKER_SEAL_MAX + 12 <= EFFECTS_MAX && BROKER_SEAL_MAX <= LOG_BATCH_MAX,
	"a batch is sealed within one step, beside the step's own effects");

bool seal_checkpoint(struct broker *b)
{
	const struct checkpoint checkpoint = {
		.origin = b->origin_span,
		.size = log_size(&b->log),
		.root = log_root(&b->log),
	};
	uint8_t text[CHECKPOINT_TEXT_MAX];
	struct buf t = BUF(text);
	struct buf note = BUF(b->checkpoint);

	checkpoint_write(&checkpoint, &t);
	if (!buf_ok(&t) ||
		!note_sign(&b->config.author.signer, b->origin_span, buf_span(&t), &note))
		return false;
	b->checkpoint_n = note.n;
	return true;
}

/* Keeps the receipt and its checkpoint with the slot, in memory and as a row. */
static bool give_receipt(struct turn *t, struct slot *slot, size_t batch_index, uint64_t index)
{
	struct broker *b = t->b;
	struct receipt_place place = { .size = log_size(&b->log), .index = index };
	struct id root = log_root(&b->log);
	uint8_t bytes[RECEIPT_MAX];
	struct buf out = BUF(bytes);

	place.n_path = log_proof(&b->log, batch_index, place.path);
	if (!receipt_write(&b->config.author.signer, b->origin_span, &place, &root, &out))
		return false;
	free(slot->receipt);
	free(slot->note);
	slot->receipt = malloc(out.n);
	slot->note = malloc(b->checkpoint_n);
	if (!slot->receipt || !slot->note)
		return false;
	memcpy(slot->receipt, out.p, out.n);
	slot->receipt_n = out.n;
	memcpy(slot->note, b->checkpoint, b->checkpoint_n);
	slot->note_n = b->checkpoint_n;

	struct row *row = effects_put(t->fx, BROKER_TABLE_RECEIPT, PUT_REPLACE);

	row_blob(row, SPAN_OF(slot->request));
	row_blob(row, SPAN(slot->receipt, slot->receipt_n));
	row_blob(row, SPAN(slot->note, slot->note_n));
	return true;
}

void seal_send_receipt(struct turn *t, const struct slot *slot, const struct did *to)
{
	struct send *send = effects_send(t->fx, to, MESSAGE_RECEIPT);

	send->message.request = slot->request;
	send->message.target = slot->links[LINK_EVIDENCE];
	send->message.receipt = SPAN(slot->receipt, slot->receipt_n);
	send->message.note = SPAN(slot->note, slot->note_n);
}

void seal_send_submission(struct turn *t, struct slot *slot)
{
	struct send *send = effects_send(t->fx, &slot->escrow, MESSAGE_SUBMISSION);

	send->message.request = slot->request;
	send->message.attempt = slot->attempt;
	send->message.size = slot->payload_size;
	send->message.receipt = SPAN(slot->receipt, slot->receipt_n);
	send->message.note = SPAN(slot->note, slot->note_n);
	send_attach(send, &slot->links[LINK_ASSIGNMENT]);
	send_attach(send, &slot->links[LINK_EVIDENCE]);
	if (slot->payload_inline)
		send->blob = slot->links[LINK_PAYLOAD];
}

void seal_batch(struct turn *t)
{
	struct broker *b = t->b;

	if (b->n_pending == 0)
		return;
	log_seal(&b->log);
	if (!seal_checkpoint(b)) {
		t->fx->overflow = true;
		return;
	}
	for (size_t i = 0; i < b->n_pending; i++) {
		struct slot *slot = &b->slots[b->pending[i].slot];

		/* The escrow may have ended it by what the node gave to it directly. */
		if (!slot->open || !id_eq(&slot->links[LINK_EVIDENCE], &b->pending[i].evidence))
			continue;
		if (!give_receipt(t, slot, i, b->pending[i].index)) {
			t->fx->overflow = true;
			return;
		}
		seal_send_submission(t, slot);
		seal_send_receipt(t, slot, &slot->node);
	}

	uint8_t state[LOG_STATE_MAX];
	struct buf out = BUF(state);
	struct row *row = effects_put(t->fx, BROKER_TABLE_LOG, PUT_REPLACE);

	log_save(&b->log, &out);
	row_int(row, 1);
	row_copy(t->fx, row, buf_span(&out));
	row_copy(t->fx, row, SPAN(b->checkpoint, b->checkpoint_n));
	b->n_pending = 0;
	log_next(&b->log);
}
