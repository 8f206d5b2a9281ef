#include "sensor-node/core/node_internal.h"

#include "proto/tlog/proof.h"

/* The peer could not, this time: it is asked again. */
static bool passing(int64_t code)
{
	switch (code) {
	case REFUSED_DISK_FULL:
	case REFUSED_PEER_BUSY:
	case REFUSED_PEER_LIMIT:
	case REFUSED_GREETING_REQUIRED:
	case REFUSED_KEY_UNKNOWN:
	case REFUSED_ESCROW_UNREACHABLE:
		return true;
	default:
		return false;
	}
}

static void forget_payload(struct node_step *s, const struct id *digest, int64_t size)
{
	if (id_is_zero(digest))
		return;
	if (size <= PAYLOAD_INLINE_MAX) {
		struct row *row = effects_put(s->fx, TABLE_PAYLOAD, PUT_DELETE);

		row_copy(s->fx, row, SPAN_OF(*digest));
	} else {
		struct node_forget *work = effects_work(s->fx, NODE_WORK_FORGET, 0, sizeof(*work));

		work->digest = *digest;
	}
}

/* Its evidence stays in the store: it is the node's own proof. */
static void forget_statements(struct node_step *s, const struct node_row *row)
{
	const struct id *const ids[] = { &row->request, &row->hold, &row->earmark,
		&row->assignment };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (!id_is_zero(ids[i]) && (i != 2 || !id_eq(ids[2], ids[1])))
			row_copy(s->fx, effects_put(s->fx, TABLE_STATEMENT, PUT_DELETE),
				SPAN_OF(*ids[i]));
}

static void put_result(struct node_step *s, const struct node_row *row, const struct id *settlement,
	int64_t state, int64_t amount_micros)
{
	struct row *out = effects_put(s->fx, NODE_TABLE_RESULT, PUT_REPLACE);

	row_copy(s->fx, out, SPAN_OF(row->assignment));
	row_copy(s->fx, out, SPAN_OF(row->request));
	row_copy(s->fx, out, SPAN_OF(row->answer));
	if (settlement)
		row_copy(s->fx, out, SPAN_OF(*settlement));
	else
		row_null(out);
	row_int(out, state);
	row_int(out, amount_micros);
	row_int(out, s->event->now_ns);
}

static void end(struct node_step *s, struct node_row *row)
{
	forget_payload(s, &row->digest, row->size);
	forget_statements(s, row);
	row->state = NODE_DONE;
	row->ticket = 0;
	row->keep_until_ns = MAX(row->commit_by_ns, row->until_ns) + NODE_MEMORY_NS;
	node_repeat_stop(&row->broker);
	node_repeat_stop(&row->escrow);
	node_row_put(s, row);
}

static bool inline_payload(const struct node_row *row)
{
	return row->size <= PAYLOAD_INLINE_MAX;
}

static void send_to(struct node_step *s, const struct node_row *row, const struct did *to)
{
	struct send *send = effects_send(s->fx, to, MESSAGE_EVIDENCE);

	send->message.request = row->request;
	send->message.target = row->answer;
	send->message.size = row->size;
	if (did_eq(to, &s->node->config.escrow)) {
		send_attach(send, &row->request);
		send_attach(send, &row->hold);
		if (!id_eq(&row->earmark, &row->hold))
			send_attach(send, &row->earmark);
		send_attach(send, &row->assignment);
	}
	send_attach(send, &row->answer);
	if (inline_payload(row))
		send->blob = row->digest;
}

void node_evidence_send(struct node_step *s, struct node_row *row)
{
	send_to(s, row, &s->node->config.broker);
}

static bool fill_evidence(struct node_step *s, const struct node_row *row,
	const struct capture_result *c, struct buf *wrapped, struct evidence *body)
{
	const struct node_config *config = &s->node->config;
	const struct keyring_entry *escrow = keyring_find(config->keyring, &config->escrow);
	struct seal_context context = {
		.request = row->request, .scope = row->assignment, .recipient = config->escrow
	};
	struct id ephemeral = event_random(s->event, "wrap", s->counter++);

	if (!escrow ||
		!seal_wrap(c->content_key, escrow->encryption_key, ephemeral.b, &context, wrapped))
		return false;
	*body = (struct evidence){
		.present = true,
		.request = row->request,
		.assignment = row->assignment,
		.challenge = row->job.challenge,
		.sequence = s->node->sequence + 1,
		.previous = s->node->last,
		.start_ns = c->start_ns,
		.end_ns = c->end_ns,
		.uncertainty_ns = c->uncertainty_ns,
		.source = c->source,
		.device = SPAN(c->device, strnlen(c->device, sizeof(c->device))),
		.calibration = SPAN(
			c->calibration, strnlen(c->calibration, sizeof(c->calibration))),
		.pipeline = SPAN(c->pipeline, strnlen(c->pipeline, sizeof(c->pipeline))),
		.redactions = SPAN(c->redactions, strnlen(c->redactions, sizeof(c->redactions))),
		.payload = { .present = true,
			.type = SPAN(c->type, strnlen(c->type, sizeof(c->type))),
			.size = c->size,
			.plain_digest = c->plain_digest,
			.cipher_digest = c->cipher_digest,
			.algorithm = SPAN_STR(NODE_ALGORITHM),
			.wrapped_key = buf_span(wrapped) },
		.claims = SPAN(c->claims, c->n_claims),
		.final = true,
	};
	author_common(&config->author, s->event, &s->counter, s->fx, &body->c);
	body->c.audience[0] = config->broker;
	body->c.audience[1] = config->escrow;
	body->c.n_audience = 2;
	return true;
}

/* A device's words may break a field's rule: that is a failed capture, never a stop of the node. */
static bool can_be_signed(const struct evidence *body)
{
	struct evidence trial = *body;
	uint8_t bytes[COSE_MAX];
	struct buf out = BUF(bytes);

	trial.c.version = STATEMENT_VERSION;
	return schema_encode(statement_schema(STATEMENT_EVIDENCE), &trial, &out, NULL) ==
	       REFUSED_NOT;
}

static bool sensible(
	const struct node *node, const struct node_row *row, const struct capture_result *c)
{
	if ((c->source & row->job.sources) == 0 || (c->source & (c->source - 1)) != 0)
		return false;
	if (c->size < 0 || (uint64_t)c->size > SEAL_PAYLOAD_MAX || c->end_ns < c->start_ns ||
		c->cipher_size != (int64_t)seal_size((size_t)c->size))
		return false;
	if (idmap_get(&node->by_digest, c->cipher_digest.b) != IDMAP_NONE)
		return false;
	if (c->n_claims > sizeof(c->claims) || c->n_ciphertext > sizeof(c->ciphertext))
		return false;
	return c->cipher_size > PAYLOAD_INLINE_MAX ? c->n_ciphertext == 0
						   : (int64_t)c->n_ciphertext == c->cipher_size;
}

/* One batch holds evidence, payload, chain and row: whatever is sent later is durable whole. */
static void commit(struct node_step *s, struct node_row *row, const struct capture_result *c,
	struct evidence *body)
{
	struct node *node = s->node;

	row->answer = effects_sign(
		s->fx, &node->config.author, STATEMENT_EVIDENCE, body, &row->request, NULL);
	node->sequence = body->sequence;
	node->last = row->answer;
	row->digest = c->cipher_digest;
	row->size = c->cipher_size;
	row->committed_at_ns = s->event->now_ns;
	row->state = NODE_COMMITTED;
	if (inline_payload(row)) {
		struct row *payload = effects_put(s->fx, TABLE_PAYLOAD, PUT_REPLACE);

		row_copy(s->fx, payload, SPAN_OF(row->digest));
		row_copy(s->fx, payload, SPAN_OF(row->request));
		row_copy(s->fx, payload, SPAN(c->ciphertext, c->n_ciphertext));
	}

	struct row *chain = effects_put(s->fx, NODE_TABLE_CHAIN, PUT_REPLACE);

	row_int(chain, 0);
	row_int(chain, node->sequence);
	row_copy(s->fx, chain, SPAN_OF(node->last));
	node_repeat_start(&row->broker, s->event->now_ns, NODE_REPEAT_MIN_NS);
	node_repeat_next(&row->broker, s->event->now_ns, NODE_REPEAT_MAX_NS);
	node_repeat_start(&row->escrow,
		row->committed_at_ns + (row->deliver_by_ns - row->committed_at_ns) / 2,
		NODE_REPEAT_MIN_NS);
	node_row_put(s, row);
	node_evidence_send(s, row);
}

void node_evidence_captured(struct node_step *s)
{
	struct node *node = s->node;
	const struct work_result *work = s->event->work;
	const struct capture_result *c = work->detail;
	size_t index = (size_t)(work->ticket & UINT32_MAX);
	uint8_t wrapped_room[SEAL_WRAPPED];
	struct buf wrapped = BUF(wrapped_room);
	struct evidence body;
	bool good = work->status == 0 && work->refusal == REFUSED_NOT && c;

	if (node->n_capturing == 0)
		return; /* of an earlier life */
	node->n_capturing--;

	struct node_row *row = index < node->capacity ? &node->rows[index] : NULL;

	/* The deadline passed meanwhile, and the row is somebody else's or nobody's. */
	if (!row || !row->used || row->ticket != work->ticket || row->state != NODE_ASSIGNED) {
		if (good && c->cipher_size > PAYLOAD_INLINE_MAX &&
			idmap_get(&node->by_digest, c->cipher_digest.b) == IDMAP_NONE)
			forget_payload(s, &c->cipher_digest, c->cipher_size);
		return;
	}
	row->ticket = 0;
	if (good && s->event->now_ns < row->commit_by_ns && sensible(node, row, c) &&
		fill_evidence(s, row, c, &wrapped, &body) && can_be_signed(&body)) {
		commit(s, row, c, &body);
		return;
	}
	if (good && c->cipher_size > PAYLOAD_INLINE_MAX &&
		idmap_get(&node->by_digest, c->cipher_digest.b) == IDMAP_NONE)
		forget_payload(s, &c->cipher_digest, c->cipher_size);
	node_assign_decline(s, row,
		work->status == -ENOSPC ? REFUSED_NODE_DISK_FULL : REFUSED_NODE_CAPTURE_FAILED);
}

static void ask_outcome(struct node_step *s, struct node_row *row)
{
	struct send *send = effects_send(s->fx, &s->node->config.escrow, MESSAGE_RELEASE_QUERY);

	send->message.request = row->request;
	node_repeat_next(&row->escrow, s->event->now_ns, NODE_ASK_MAX_NS);
}

void node_evidence_due(struct node_step *s, struct node_row *row)
{
	int64_t now_ns = s->event->now_ns;

	if (row->keep_until_ns <= now_ns) {
		if (row->state == NODE_COMMITTED || row->state == NODE_RECEIPTED) {
			put_result(s, row, NULL, SLOT_NONE, 0);
			end(s, row);
		}
		if (row->keep_until_ns <= now_ns)
			node_row_drop(s, row);
		return;
	}
	if (row->state == NODE_ASSIGNED && row->commit_by_ns <= now_ns) {
		/* Too late to commit to anything: the broker counts it as no show by itself. */
		row->answer = (struct id){ 0 };
		end(s, row);
		return;
	}
	if (row->state == NODE_ASSIGNED && row->broker.next_ns <= now_ns) {
		node_repeat_stop(&row->broker);
		if (row->ticket == 0 && s->node->n_capturing < s->node->config.max_captures)
			node_assign_capture(s, row);
	}
	if (row->broker.next_ns <= now_ns) {
		node_evidence_send(s, row);
		node_repeat_next(&row->broker, now_ns, NODE_REPEAT_MAX_NS);
	}
	if (row->escrow.next_ns <= now_ns) {
		if (row->state == NODE_COMMITTED && !(row->doors & DOOR_ESCROW_REFUSED)) {
			send_to(s, row, &s->node->config.escrow);
			node_repeat_next(&row->escrow, now_ns, NODE_REPEAT_MAX_NS);
		} else {
			ask_outcome(s, row);
		}
	}
	node_row_schedule(s->node, row);
}

void node_evidence_receipt(struct node_step *s)
{
	struct node *node = s->node;
	const struct message *m = &s->event->opened->message;
	struct node_row *row = node_row_by(node, &node->by_answer, &m->target);
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = m->target };
	struct receipt receipt;

	if (!did_eq(&s->event->from, &node->config.broker) || !row || row->state != NODE_COMMITTED)
		return;
	/* An unproven receipt is none: the evidence goes on being sent. */
	if (receipt_parse(m->receipt, &receipt) != REFUSED_NOT)
		return;

	const struct keyring_entry *key = keyring_find_key(
		node->config.keyring, &node->config.broker, SPAN_OF(receipt.key));

	if (!key || key->working_key_n != 32 || key->revoked_since_ns != 0 ||
		key->valid_until_ns < row->committed_at_ns ||
		proof_inclusion(&node->proofs, m->receipt, m->note, &node->config.broker,
			key->working_key, &entry) != REFUSED_NOT)
		return;
	row->state = NODE_RECEIPTED;
	node_repeat_stop(&row->broker);
	node_repeat_start(&row->escrow, MAX(row->deliver_by_ns, s->event->now_ns) + NODE_ASK_MIN_NS,
		NODE_ASK_MIN_NS);
	node_row_put(s, row);
}

/* What the settlement pays this node as a node. */
static int64_t paid(const struct node *node, const struct settlement *settlement)
{
	int64_t micros = 0;

	for (size_t i = 0; i < settlement->n_lines; i++)
		if (settlement->lines[i].account_purpose == ACCOUNT_AVAILABLE &&
			did_eq(&settlement->lines[i].account, &node->config.author.signer.issuer))
			micros = settlement->lines[i].amount_micros;
	return micros;
}

static bool is_open(const struct node_row *row, const struct id *request)
{
	return row->used && id_eq(&row->request, request) &&
	       (row->state == NODE_ASSIGNED || row->state == NODE_COMMITTED ||
		       row->state == NODE_RECEIPTED);
}

/* By the evidence that a settlement names; else the one attempt that is open. */
static struct node_row *row_of_request(
	struct node *node, const struct id *request, const struct statement *settlement)
{
	struct node_row *known = settlement ? node_row_by(node, &node->by_answer,
						      &settlement->body.settlement.evidence)
					    : NULL;

	if (known && is_open(known, request))
		return known;
	for (uint32_t i = 0; i < node->capacity; i++) {
		struct node_row *row = &node->rows[i];

		if (is_open(row, request))
			return row;
	}
	return NULL;
}

void node_evidence_outcome(struct node_step *s)
{
	struct node *node = s->node;
	const struct message *m = &s->event->opened->message;
	const struct statement *st = message_find(s->event->opened, STATEMENT_SETTLEMENT);
	struct node_row *row = row_of_request(node, &m->request, st);

	if (!did_eq(&s->event->from, &node->config.escrow) || !row)
		return;
	if (!st) {
		/* This attempt failed and others are left: there is nothing more to come for it. */
		if (row->state == NODE_ASSIGNED ||
			(m->state != SLOT_OPEN && m->state != SLOT_FAILED))
			return;
		put_result(s, row, NULL, m->state, 0);
		end(s, row);
		return;
	}

	const struct settlement *settlement = &st->body.settlement;

	if (!did_eq(&st->issuer, &node->config.escrow) ||
		!id_eq(&settlement->request, &row->request) ||
		!id_eq(&settlement->hold, &row->hold))
		return;
	effects_keep(s->fx, st, &row->request);
	put_result(s, row, &st->id, settlement->outcome, paid(node, settlement));
	end(s, row);
}

void node_evidence_refused(struct node_step *s)
{
	struct node *node = s->node;
	const struct message *m = &s->event->opened->message;
	struct node_row *row = node_row_by(node, &node->by_answer, &m->target);
	bool broker = did_eq(&s->event->from, &node->config.broker);
	bool escrow = did_eq(&s->event->from, &node->config.escrow);

	if (!row || row->state != NODE_COMMITTED || passing(m->code) || (!broker && !escrow))
		return;
	row->doors |= broker ? DOOR_BROKER_REFUSED : DOOR_ESCROW_REFUSED;
	if (broker) {
		/* The escrow's own door need not wait any longer. */
		node_repeat_stop(&row->broker);
		if (!(row->doors & DOOR_ESCROW_REFUSED))
			node_repeat_start(&row->escrow, s->event->now_ns, NODE_REPEAT_MIN_NS);
	}
	if (row->doors == (DOOR_BROKER_REFUSED | DOOR_ESCROW_REFUSED)) {
		put_result(s, row, NULL, SLOT_NONE, 0);
		end(s, row);
		return;
	}
	node_row_put(s, row);
}

void node_evidence_fetch(struct node_step *s)
{
	struct node *node = s->node;
	const struct message *m = &s->event->opened->message;
	const struct statement *st = message_find(s->event->opened, STATEMENT_DRAW);
	struct node_row *row = node_row_by(node, &node->by_digest, &m->target);

	if (!row || !st || !did_eq(&st->issuer, &node->config.escrow) ||
		!id_eq(&st->body.draw.evidence, &row->answer) || row->n_panel == PANEL_MAX)
		return;
	for (size_t i = 0; i < row->n_panel; i++)
		if (did_eq(&row->panel[i], &s->event->from))
			return;
	for (size_t i = 0; i < st->body.draw.n_panel; i++)
		if (did_eq(&st->body.draw.panel[i], &s->event->from)) {
			row->panel[row->n_panel++] = s->event->from;
			return;
		}
}
