#include "broker/core/internal.h"

#include "proto/base/sha256.h"
#include "proto/seal/seal.h"

void assign_send(struct turn *t, struct slot *slot)
{
	struct send *send = effects_send(t->fx, &slot->node, MESSAGE_ASSIGN);

	send->message.request = slot->request;
	send_attach(send, &slot->request);
	send_attach(send, &slot->links[LINK_HOLD]);
	if (!id_eq(&slot->links[LINK_EARMARK], &slot->links[LINK_HOLD]))
		send_attach(send, &slot->links[LINK_EARMARK]);
	send_attach(send, &slot->links[LINK_ASSIGNMENT]);
}

void assign_make(struct turn *t, struct slot *slot)
{
	struct broker *b = t->b;
	const struct request *r = &slot->open->request;
	struct assignment a = {
		.request = slot->request,
		.offering = slot->links[LINK_OFFERING],
		.hold = slot->links[LINK_HOLD],
		.earmark = slot->links[LINK_EARMARK],
		.node = slot->node,
		.slot = 0,
		.attempt = slot->attempt,
		.price_micros = slot->price_micros,
		.checkpoint = SPAN(b->checkpoint, b->checkpoint_n),
		.commit_by_ns = t->event->now_ns + r->t_commit_ms * NS_PER_MS,
	};

	a.deliver_by_ns = a.commit_by_ns + r->t_deliver_ms * NS_PER_MS;
	author_common(&b->config.author, t->event, &t->counter, t->fx, &a.c);
	a.c.expires_ns = a.deliver_by_ns;
	a.c.audience[0] = slot->node;
	a.c.audience[1] = slot->escrow;
	a.c.n_audience = 2;
	a.challenge = statement_challenge(
		&slot->request, &slot->node, a.slot, a.attempt, a.c.salt, a.checkpoint);
	slot->links[LINK_ASSIGNMENT] = effects_sign(
		t->fx, &b->config.author, STATEMENT_ASSIGNMENT, &a, &slot->request, NULL);
	slot->commit_by_ns = a.commit_by_ns;
	slot->deliver_by_ns = a.deliver_by_ns;
	slot->deadline_ns = a.commit_by_ns;
	slot->links[LINK_CHALLENGE] = a.challenge;
	assign_send(t, slot);
	slots_repeat(t, slot, BROKER_ASSIGN_RETRY_FIRST_NS);
}

/* What a node says must come from the node that has the assignment. */
static struct slot *slot_of_node(struct turn *t, const struct id *request, const struct did *issuer)
{
	struct slot *slot = slots_find(t->b, request);

	if (!slot) {
		effects_refuse(t->fx, t->event, REFUSED_REQUEST_UNKNOWN, NULL);
		return NULL;
	}
	if (!did_eq(&slot->node, issuer) || !did_eq(issuer, &t->event->from)) {
		effects_refuse(t->fx, t->event, REFUSED_NOT_A_PARTY, NULL);
		return NULL;
	}
	return slot;
}

void assign_on_decline(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_DECLINE);

	if (!s) {
		effects_refuse(t->fx, t->event, REFUSED_MESSAGE_SHAPE, NULL);
		return;
	}

	struct slot *slot = slot_of_node(t, &s->body.answer.request, &s->issuer);

	/* A decline of an earlier attempt, or after evidence, changes nothing. */
	if (!slot || slot->state != SLOT_ASSIGNED ||
		!id_eq(&s->body.answer.assignment, &slot->links[LINK_ASSIGNMENT]))
		return;
	slot->links[LINK_DECLINE] = s->id;
	slot->refusal = (uint16_t)s->body.answer.reason;
	effects_keep(t->fx, s, &slot->request);
	time_next_attempt(t, slot, true);
}

/* The ciphertext, here or to come, must be the one that the evidence names. */
static enum refusal check_payload(
	const struct turn *t, const struct slot *slot, const struct payload *p)
{
	const struct message *m = &t->event->opened->message;
	uint32_t other = idmap_get(&t->b->by_payload, p->cipher_digest.b);
	int64_t size = m->blob.n > 0 ? (int64_t)m->blob.n : m->size;

	if (p->size <= 0 || p->size > PAYLOAD_MAX || m->blob.n > PAYLOAD_INLINE_MAX ||
		size != (int64_t)seal_size((size_t)p->size))
		return REFUSED_PAYLOAD_SIZE;
	if (m->blob.n > 0) {
		struct id digest = SHA256(m->blob);

		if (!id_eq(&digest, &p->cipher_digest))
			return REFUSED_PAYLOAD_DIGEST;
	}
	/* Sealed under a fresh key and bound to its assignment, so never the same for two. */
	if (other != IDMAP_NONE && other != slots_index(t->b, slot))
		return REFUSED_SEEN_BEFORE;
	return REFUSED_NOT;
}

static enum refusal check_evidence(
	const struct turn *t, const struct slot *slot, const struct evidence *e)
{
	if (!span_eq(e->c.market, t->b->config.author.market))
		return REFUSED_STATEMENT_MARKET;
	if (!id_is_zero(&slot->links[LINK_EVIDENCE]) &&
		id_eq(&e->assignment, &slot->links[LINK_ASSIGNMENT]))
		return REFUSED_EVIDENCE_TWICE;
	if (!id_eq(&e->assignment, &slot->links[LINK_ASSIGNMENT]))
		return REFUSED_EVIDENCE_MISMATCH;
	if (!id_eq(&e->challenge, &slot->links[LINK_CHALLENGE]))
		return REFUSED_CHALLENGE_WRONG;
	if (slot->state != SLOT_ASSIGNED || t->event->now_ns > slot->commit_by_ns)
		return REFUSED_EVIDENCE_LATE;
	return check_payload(t, slot, &e->payload);
}

void assign_pull(struct turn *t, struct slot *slot)
{
	/* Numbered, so that what ends late is not taken for another pull's end. */
	slot->pull = ++t->b->pulls ? t->b->pulls : ++t->b->pulls;

	struct work_pull *pull = effects_work(t->fx, WORK_PULL,
		(uint64_t)slot->pull << 32 | slots_index(t->b, slot), sizeof(struct work_pull));

	*pull = (struct work_pull){
		.from = slot->node,
		.request = slot->request,
		.digest = slot->links[LINK_PAYLOAD],
		.size = slot->payload_size,
	};
}

void assign_payload_done(struct turn *t, struct slot *slot)
{
	struct broker *b = t->b;
	const struct entry entry = { .type = ENTRY_EVIDENCE, .id = slot->links[LINK_EVIDENCE] };
	struct id leaf = entry_leaf(&entry);
	uint64_t index;

	/* The batch is never full: it is sealed below. */
	if (!slots_move(t, slot, SLOT_ON_PAYLOAD) || log_append(&b->log, &leaf, &index) < 0) {
		t->fx->overflow = true;
		return;
	}
	b->pending[b->n_pending++] = (struct pending){
		.slot = slots_index(b, slot),
		.index = index,
		.evidence = slot->links[LINK_EVIDENCE],
	};

	struct row *row = effects_put(t->fx, BROKER_TABLE_ENTRY, PUT_INSERT);

	row_int(row, (int64_t)index);
	row_int(row, ENTRY_EVIDENCE);
	row_copy(t->fx, row, SPAN_OF(slot->links[LINK_EVIDENCE]));
	slot->deadline_ns = INT64_MAX;
	slot->submitting = true;
	slot->receipt_void = false;
	slots_repeat(t, slot, BROKER_RETRY_FIRST_NS);
	slots_time(b, slot);
	if (b->n_pending == BROKER_SEAL_MAX)
		seal_batch(t);
}

static void take_evidence(struct turn *t, struct slot *slot, const struct statement *s)
{
	const struct evidence *e = &s->body.evidence;
	struct span blob = t->event->opened->message.blob;

	slot->links[LINK_EVIDENCE] = s->id;
	slots_set_payload(t->b, slot, &e->payload.cipher_digest);
	effects_keep(t->fx, s, &slot->request);
	if (!slots_move(t, slot, SLOT_ON_COMMITMENT))
		return;
	slot->deadline_ns = slot->deliver_by_ns;
	slot->retry_at_ns = INT64_MAX;
	if (blob.n > 0) {
		struct row *row = effects_put(t->fx, TABLE_PAYLOAD, PUT_REPLACE);

		row_blob(row, SPAN_OF(e->payload.cipher_digest));
		row_copy(t->fx, row, SPAN_OF(slot->request));
		row_blob(row, blob);
		slot->payload_inline = true;
		slot->payload_size = (int64_t)blob.n;
		assign_payload_done(t, slot);
	} else {
		slot->payload_size = t->event->opened->message.size;
		assign_pull(t, slot);
		slots_time(t->b, slot);
	}
	outcome_tell(t, slot, 0);
	slot_row_put(t, slot);
}

void assign_on_evidence(struct turn *t)
{
	const struct statement *s = message_find(t->event->opened, STATEMENT_EVIDENCE);

	if (!s) {
		effects_refuse(t->fx, t->event, REFUSED_MESSAGE_SHAPE, NULL);
		return;
	}

	const struct evidence *e = &s->body.evidence;
	struct slot *slot = slot_of_node(t, &e->request, &s->issuer);

	if (!slot)
		return;
	if (id_eq(&slot->links[LINK_EVIDENCE], &s->id)) {
		if (slot->receipt)
			seal_send_receipt(t, slot, &slot->node);
		return;
	}

	enum refusal refusal = check_evidence(t, slot, e);

	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		t->fx->v[t->fx->n - 1].send->message.target = s->id;
		return;
	}
	take_evidence(t, slot, s);
}
