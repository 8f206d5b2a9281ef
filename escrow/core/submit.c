#include "escrow/core/submit.h"

#include "escrow/core/hold_row.h"
#include "escrow/core/panel.h"
#include "escrow/core/settle.h"
#include "proto/base/sha256.h"
#include "proto/statement/payload.h"

struct arrival {
	const struct statement *assignment;
	const struct statement *evidence;
	bool from_node;
};

static bool meant_for(const struct common *c, const struct did *me)
{
	for (size_t i = 0; i < c->n_audience; i++)
		if (did_eq(&c->audience[i], me))
			return true;
	return c->n_audience == 0;
}

/* The broker's assignment against the escrow's own earmark. */
static enum refusal check_assignment(
	const struct turn *t, const struct slot *slot, const struct statement *s)
{
	const struct assignment *a = &s->body.assignment;
	const struct progress *p = &slot->progress;

	if (!did_eq(&s->issuer, &slot->terms.broker))
		return REFUSED_STATEMENT_ISSUER;
	if (!span_eq(a->c.market, t->e->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (!id_eq(&a->request, &slot->request))
		return REFUSED_EVIDENCE_MISMATCH;
	if (!id_eq(&a->hold, &p->hold) || !id_eq(&a->earmark, &p->earmark) ||
		!id_eq(&a->offering, &p->offering) || !did_eq(&a->node, &p->node) || a->slot != 0 ||
		a->attempt != p->attempts_used - 1 || a->price_micros != p->price_micros ||
		a->deliver_by_ns > p->until_ns || a->commit_by_ns > a->deliver_by_ns)
		return REFUSED_HOLD_MISMATCH;

	struct id challenge = statement_challenge(
		&a->request, &a->node, a->slot, a->attempt, a->c.salt, a->checkpoint);

	return id_eq(&challenge, &a->challenge) ? REFUSED_NOT : REFUSED_CHALLENGE_WRONG;
}

static enum refusal check_evidence(
	const struct turn *t, const struct slot *slot, const struct arrival *in)
{
	const struct evidence *ev = &in->evidence->body.evidence;
	const struct assignment *a = &in->assignment->body.assignment;

	if (!did_eq(&in->evidence->issuer, &slot->progress.node))
		return REFUSED_STATEMENT_ISSUER;
	if (!span_eq(ev->c.market, t->e->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (!meant_for(&ev->c, &t->e->me))
		return REFUSED_STATEMENT_AUDIENCE;
	if (!id_eq(&ev->request, &slot->request) || !id_eq(&ev->assignment, &in->assignment->id))
		return REFUSED_EVIDENCE_MISMATCH;
	if (!id_eq(&ev->challenge, &a->challenge))
		return REFUSED_CHALLENGE_WRONG;
	if (ev->c.at_ns > t->event->now_ns + CLOCK_SKEW_NS)
		return REFUSED_STATEMENT_FROM_FUTURE;
	/* A signature after the deadline; and at the own door, an arrival after the earmark. */
	if (ev->c.at_ns > a->commit_by_ns + CLOCK_SKEW_NS ||
		(in->from_node && t->event->now_ns > slot->progress.until_ns))
		return REFUSED_EVIDENCE_LATE;
	if (ev->payload.size > PAYLOAD_MAX || seal_size((size_t)ev->payload.size) == 0)
		return REFUSED_PAYLOAD_SIZE;
	return REFUSED_NOT;
}

/* Receipt and checkpoint prove that the broker's log holds the evidence. */
static enum refusal check_proof(
	const struct turn *t, const struct slot *slot, const struct statement *evidence)
{
	const struct message *m = &t->event->opened->message;
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = evidence->id };
	struct receipt receipt;

	if (m->receipt.n > RECEIPT_MAX || m->note.n == 0 || m->note.n > HOLDS_NOTE_MAX ||
		receipt_parse(m->receipt, &receipt) != REFUSED_NOT)
		return REFUSED_RECEIPT_INVALID;

	/* The key is the broker's by its keys statement; a key of the past may have signed. */
	const struct keyring_entry *key = keyring_find_key(
		t->e->config.keyring, &slot->terms.broker, SPAN_OF(receipt.key));

	if (!key || key->working_key_n != 32 ||
		(key->revoked_since_ns && t->event->now_ns >= key->revoked_since_ns))
		return REFUSED_RECEIPT_INVALID;
	return proof_entry(NULL, m->receipt, m->note, &slot->terms.broker, receipt.key, &entry);
}

/* A ciphertext in the message must be the one that the evidence names. */
static enum refusal check_blob(const struct turn *t, const struct evidence *ev)
{
	struct span blob = t->event->opened->message.blob;

	if (blob.n == 0)
		return REFUSED_NOT;
	if (blob.n != seal_size((size_t)ev->payload.size) || blob.n > PAYLOAD_INLINE_MAX)
		return REFUSED_PAYLOAD_SIZE;

	struct id digest = SHA256(blob);

	return id_eq(&digest, &ev->payload.cipher_digest) ? REFUSED_NOT : REFUSED_PAYLOAD_DIGEST;
}

static void keep_payload(struct turn *t, struct slot *slot)
{
	struct progress *p = &slot->progress;
	struct row *row;

	if (t->event->opened->message.blob.n == 0 || p->payload_here)
		return;
	row = effects_put(t->fx, TABLE_PAYLOAD, PUT_REPLACE);
	row_copy(t->fx, row, SPAN_OF(p->cipher_digest));
	row_copy(t->fx, row, SPAN_OF(slot->request));
	row_blob(row, t->event->opened->message.blob);
	p->payload_here = true;
	p->payload_inline = true;
	holds_touch(t, slot);
}

static void keep_proof(struct turn *t, struct slot *slot)
{
	const struct message *m = &t->event->opened->message;
	struct open_part *open = slot->open;

	memcpy(open->receipt, m->receipt.p, m->receipt.n);
	open->receipt_n = m->receipt.n;
	memcpy(open->note, m->note.p, m->note.n);
	open->note_n = m->note.n;
	hold_row_put_proof(t, slot);
}

/* Notes the commitment; PAYLOAD_KEY where the content key is not for the escrow. */
static enum refusal take_evidence(struct turn *t, struct slot *slot, const struct arrival *in)
{
	const struct payload *payload = &in->evidence->body.evidence.payload;
	struct progress *p = &slot->progress;

	if (payload->wrapped_key.n != SEAL_WRAPPED)
		return REFUSED_PAYLOAD_KEY;
	memcpy(p->wrapped_room, payload->wrapped_key.p, SEAL_WRAPPED);
	p->wrapped_key = SPAN_OF(p->wrapped_room);
	p->assignment = in->assignment->id;
	if (!holds_content_key(t->e, slot)) {
		p->wrapped_key = SPAN(NULL, 0);
		p->assignment = (struct id){ 0 };
		return REFUSED_PAYLOAD_KEY;
	}
	p->evidence = in->evidence->id;
	p->cipher_digest = payload->cipher_digest;
	p->cipher_size = (int64_t)seal_size((size_t)payload->size);
	p->measurement = span_is(payload->type, MEASUREMENT_TYPE);
	p->from_node = in->from_node;
	holds_know_digest(t->e, slot);
	effects_keep(t->fx, in->assignment, &slot->request);
	effects_keep(t->fx, in->evidence, &slot->request);
	holds_must_move(t, slot, SLOT_ON_COMMITMENT);
	return REFUSED_NOT;
}

void submit_pull(struct turn *t, struct slot *slot)
{
	struct open_part *open = slot->open;
	uint64_t ticket = (uint64_t)holds_index(t->e, slot) << 32 | ++open->work;
	struct work_pull *pull = effects_work(t->fx, WORK_PULL, ticket, sizeof(*pull));

	pull->from = slot->progress.from_node ? slot->progress.node : slot->terms.broker;
	pull->request = slot->request;
	pull->digest = slot->progress.cipher_digest;
	pull->size = slot->progress.cipher_size;
	open->working = true;
}

void submit_payload_here(struct turn *t, struct slot *slot)
{
	struct send *send;

	slot->progress.payload_here = true;
	holds_touch(t, slot);
	if (slot->state != SLOT_COMMITTED)
		return;
	panel_draw(t, slot);
	send = effects_send(t->fx, &slot->progress.node, MESSAGE_RECEIPT);
	send->message.request = slot->request;
	send->message.target = slot->progress.evidence;
}

/* What is already known about this evidence; true where that answers the message. */
static bool answer_known(struct turn *t, struct slot *slot, const struct arrival *in)
{
	const struct progress *p = &slot->progress;
	struct send *send;

	if (!id_is_zero(&p->failed_evidence) && id_eq(&p->failed_evidence, &in->evidence->id)) {
		send = effects_send(t->fx, &t->event->from, MESSAGE_OUTCOME);
		send->message.reply_to = t->event->opened->message.number;
		send->message.request = slot->request;
		send->message.state = slot->open ? SLOT_OPEN : slot->state;
		send->message.attempt = p->failed_attempt;
		if (!slot->open)
			send_attach(send, &p->settlement);
		return true;
	}
	if (!slot->open) {
		settle_outcome(t, slot, &t->event->from, t->event->opened->message.number);
		return true;
	}
	return false;
}

static enum refusal check_new(struct turn *t, struct slot *slot, const struct arrival *in)
{
	enum refusal refusal = REFUSED_NOT;

	if (slot->state != SLOT_ASSIGNED)
		refusal = id_is_zero(&slot->progress.evidence) ? REFUSED_EVIDENCE_LATE
							       : REFUSED_EVIDENCE_TWICE;
	if (refusal == REFUSED_NOT)
		refusal = check_assignment(t, slot, in->assignment);
	if (refusal == REFUSED_NOT)
		refusal = check_evidence(t, slot, in);
	if (refusal == REFUSED_NOT)
		refusal = check_blob(t, &in->evidence->body.evidence);
	return refusal;
}

/* The same evidence again: a payload or a proof that it lacked may have come along. */
static enum refusal repeated(struct turn *t, struct slot *slot, const struct arrival *in)
{
	enum refusal refusal = check_blob(t, &in->evidence->body.evidence);

	if (refusal != REFUSED_NOT)
		return refusal;
	keep_payload(t, slot);
	if (slot->state == SLOT_COMMITTED) {
		if (!in->from_node) {
			refusal = check_proof(t, slot, in->evidence);
			if (refusal != REFUSED_NOT)
				return refusal;
			keep_proof(t, slot);
			slot->progress.from_node = false;
			panel_draw(t, slot);
		} else if (slot->progress.payload_here) {
			submit_payload_here(t, slot);
		}
	} else if (in->from_node && slot->progress.payload_here) {
		struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_RECEIPT);

		send->message.reply_to = t->event->opened->message.number;
		send->message.request = slot->request;
		send->message.target = slot->progress.evidence;
	}
	/* A released slot has something to show already. */
	if (!id_is_zero(&slot->progress.release))
		settle_outcome(t, slot, &t->event->from, t->event->opened->message.number);
	return REFUSED_NOT;
}

static enum refusal first_time(struct turn *t, struct slot *slot, const struct arrival *in)
{
	enum refusal refusal = check_new(t, slot, in);

	if (refusal == REFUSED_NOT && !in->from_node)
		refusal = check_proof(t, slot, in->evidence);
	if (refusal == REFUSED_NOT)
		refusal = take_evidence(t, slot, in);
	if (refusal != REFUSED_NOT)
		return refusal;
	keep_payload(t, slot);
	if (!in->from_node) {
		keep_proof(t, slot);
		panel_draw(t, slot);
		return REFUSED_NOT;
	}
	holds_deadline(t, slot, slot->progress.until_ns);
	if (slot->progress.payload_here) {
		submit_payload_here(t, slot);
		return REFUSED_NOT;
	}
	submit_pull(t, slot);
	holds_back_off(t, slot);
	return REFUSED_NOT;
}

static bool is_party(const struct turn *t, const struct slot *slot, const struct arrival *in)
{
	const struct did *from = &t->event->from;

	if (!in->from_node)
		return did_eq(from, &slot->terms.broker);
	return did_eq(from, &in->evidence->issuer) &&
	       (did_eq(from, &slot->progress.node) ||
		       id_eq(&slot->progress.failed_evidence, &in->evidence->id));
}

static void arrive(struct turn *t, bool from_node)
{
	const struct opened *opened = t->event->opened;
	struct arrival in = {
		.assignment = message_find(opened, STATEMENT_ASSIGNMENT),
		.evidence = message_find(opened, STATEMENT_EVIDENCE),
		.from_node = from_node,
	};
	enum refusal refusal = REFUSED_NOT;
	struct slot *slot = NULL;

	if (!in.assignment || !in.evidence)
		refusal = REFUSED_MESSAGE_SHAPE;
	if (refusal == REFUSED_NOT) {
		slot = holds_find(t->e, &in.evidence->body.evidence.request);
		if (!slot)
			refusal = REFUSED_HOLD_UNKNOWN;
		else if (!is_party(t, slot, &in))
			refusal = REFUSED_NOT_A_PARTY;
	}
	if (refusal == REFUSED_NOT && slot && !answer_known(t, slot, &in))
		refusal = id_eq(&slot->progress.evidence, &in.evidence->id)
				  ? repeated(t, slot, &in)
				  : first_time(t, slot, &in);
	if (refusal != REFUSED_NOT)
		effects_refuse(t->fx, t->event, refusal, NULL);
}

void submit_on_submission(struct turn *t)
{
	arrive(t, false);
}

void submit_on_evidence(struct turn *t)
{
	arrive(t, true);
}
