#include "escrow/core/hold_row.h"

#define ROW_MAX 8192

/* Field words as in proto/statement/tables.h, with this file's own keys. */
#define FIELD_(S, m, k, t, req, lo, hi) \
	.key = (k), .type = (t), .required = (req), .offset = offsetof(struct S, m), .min = (lo), \
	.max = (hi), .name = #m
#define INT(S, m, k, lo, hi) \
	{ \
		FIELD_(S, m, k, FIELD_INT, false, lo, hi) \
	}
#define NUMBER(S, m, k) INT(S, m, k, 0, INT64_MAX)
#define FLAG(S, m, k) \
	{ \
		FIELD_(S, m, k, FIELD_BOOL, false, 0, 1) \
	}
#define ID(S, m, k) \
	{ \
		FIELD_(S, m, k, FIELD_ID, false, 32, 32) \
	}
#define DID(S, m, k) \
	{ \
		FIELD_(S, m, k, FIELD_DID, false, 32, 32) \
	}
#define STRING(S, m, k, t, lo, hi) \
	{ \
		FIELD_(S, m, k, t, false, lo, hi) \
	}
#define MANY(S, m, k, t, sub) \
	{ \
		FIELD_(S, m, k, t, false, 0, 32), .stride = sizeof(((struct S *)0)->m[0]), \
						  .most = ARRAY_SIZE(((struct S *)0)->m), \
						  .count = offsetof(struct S, n_##m), .map = (sub) \
	}
#define SCHEMA(S, f) \
	{ \
		.name = #S, .fields = (f), .n_fields = ARRAY_SIZE(f), .size = sizeof(struct S) \
	}

/* The hold's row: struct terms with its asset as text, and the pool. */
struct hold_row {
	bool present;
	struct terms terms;
	struct span asset;
	struct span salt;
	struct did pool[POOL_MAX];
	size_t n_pool;
};

static const struct field hold_fields[] = {
	DID(hold_row, terms.buyer, 0),
	DID(hold_row, terms.broker, 1),
	STRING(hold_row, asset, 2, FIELD_TEXT, 3, LEDGER_ASSET_TEXT_MAX),
	NUMBER(hold_row, terms.price_micros, 3),
	INT(hold_row, terms.fee_ppm, 4, 0, 1000000),
	INT(hold_row, terms.verifier_ppm, 5, 0, 1000000),
	NUMBER(hold_row, terms.attempt_fee_micros, 6),
	INT(hold_row, terms.attempts, 7, 1, 8),
	INT(hold_row, terms.panel_n, 8, 1, PANEL_MAX),
	INT(hold_row, terms.panel_k, 9, 1, PANEL_MAX),
	INT(hold_row, terms.t_commit_ms, 10, 0, TIMEOUT_MAX_MS),
	INT(hold_row, terms.t_deliver_ms, 11, 0, TIMEOUT_MAX_MS),
	INT(hold_row, terms.t_verify_ms, 12, 0, TIMEOUT_MAX_MS),
	INT(hold_row, terms.t_dispute_ms, 13, 0, TIMEOUT_MAX_MS),
	INT(hold_row, terms.t_arbitrate_ms, 14, 0, TIMEOUT_MAX_MS),
	INT(hold_row, terms.on_silence, 15, SILENCE_REFUND, SILENCE_PAY),
	NUMBER(hold_row, terms.expires_ns, 16),
	NUMBER(hold_row, terms.held_micros, 17),
	ID(hold_row, terms.encryption_key, 18),
	STRING(hold_row, salt, 19, FIELD_BYTES, 16, 16),
	MANY(hold_row, pool, 20, FIELD_DID, NULL),
};
static const struct schema hold_schema = SCHEMA(hold_row, hold_fields);

static const struct field vote_fields[] = {
	DID(vote, verifier, 0),
	ID(vote, verdict, 1),
	INT(vote, outcome, 2, CHECK_PASS, CHECK_INCONCLUSIVE),
	ID(vote, digest, 3),
};
static const struct schema vote_schema = SCHEMA(vote, vote_fields);

static const struct field owed_fields[] = {
	DID(owed, verifier, 0),
	NUMBER(owed, amount_micros, 1),
};
static const struct schema owed_schema = SCHEMA(owed, owed_fields);

static const struct field progress_fields[] = {
	INT(progress, attempts_used, 0, 0, 8),
	ID(progress, hold, 1),
	ID(progress, offering, 2),
	ID(progress, earmark, 3),
	DID(progress, node, 4),
	NUMBER(progress, price_micros, 5),
	NUMBER(progress, earmark_at_ns, 6),
	NUMBER(progress, until_ns, 7),
	ID(progress, decline, 8),
	ID(progress, assignment, 9),
	ID(progress, evidence, 10),
	ID(progress, failed_evidence, 11),
	INT(progress, failed_attempt, 12, 0, 8),
	ID(progress, cipher_digest, 13),
	NUMBER(progress, cipher_size, 14),
	STRING(progress, wrapped_key, 15, FIELD_BYTES, SEAL_WRAPPED, SEAL_WRAPPED),
	FLAG(progress, measurement, 16),
	FLAG(progress, from_node, 17),
	FLAG(progress, payload_here, 18),
	FLAG(progress, payload_inline, 19),
	ID(progress, draw, 20),
	MANY(progress, votes, 21, FIELD_MAP, &vote_schema),
	MANY(progress, owed, 22, FIELD_MAP, &owed_schema),
	INT(progress, basis, 23, 0, BASIS_EXPIRED),
	INT(progress, code, 24, 0, 65535),
	ID(progress, code_target, 25),
	ID(progress, release, 26),
	ID(progress, settlement, 27),
};
static const struct schema progress_schema = SCHEMA(progress, progress_fields);

/* What the core itself made must fit its own tables. */
static void put_coded(
	struct effects *fx, struct row *row, const struct schema *schema, const void *value)
{
	uint8_t bytes[ROW_MAX];
	struct buf out = BUF(bytes);
	enum refusal refusal = schema_encode(schema, value, &out, NULL);

	assert(refusal == REFUSED_NOT);
	row_copy(fx, row, buf_span(&out));
}

void hold_row_put_terms(struct turn *t, const struct slot *slot)
{
	struct row *row = effects_put(t->fx, ESCROW_TABLE_HOLD, PUT_INSERT);
	struct hold_row hold = {
		.terms = slot->terms,
		.asset = ledger_asset_text(&t->e->ledger, slot->terms.asset),
		.salt = SPAN_OF(slot->terms.salt),
		.n_pool = slot->open->n_pool,
	};

	memcpy(hold.pool, slot->open->pool, sizeof(hold.pool));
	row_copy(t->fx, row, SPAN_OF(slot->request));
	put_coded(t->fx, row, &hold_schema, &hold);
}

void hold_row_put_slot(struct turn *t, struct slot *slot)
{
	struct row *row = effects_put(t->fx, ESCROW_TABLE_SLOT, PUT_REPLACE);

	row_copy(t->fx, row, SPAN_OF(slot->request));
	row_int(row, slot->state);
	row_int(row, slot->deadline_ns);
	put_coded(t->fx, row, &progress_schema, &slot->progress);
}

void hold_row_put_proof(struct turn *t, const struct slot *slot)
{
	const struct open_part *open = slot->open;
	struct row *row = effects_put(t->fx, ESCROW_TABLE_PROOF, PUT_REPLACE);

	row_copy(t->fx, row, SPAN_OF(slot->request));
	row_copy(t->fx, row, SPAN(open->receipt, open->receipt_n));
	row_copy(t->fx, row, SPAN(open->note, open->note_n));
}

size_t hold_row_promise(const struct terms *terms)
{
	/* Node, fee, and each verifier of each attempt; the buyer's two accounts exist. */
	return 2 + MIN((size_t)(terms->panel_n * terms->attempts), (size_t)HOLDS_OWED_MAX);
}

static bool request_of(const struct row *row, size_t n, struct id *ret_request)
{
	if (row->n != n || row->cells[0].type != CELL_BLOB || row->cells[0].b.n != 32)
		return false;
	memcpy(ret_request->b, row->cells[0].b.p, 32);
	return true;
}

int hold_row_load_terms(struct escrow *e, const struct row *row)
{
	struct hold_row hold;
	struct id request;

	if (!request_of(row, 2, &request) || row->cells[1].type != CELL_BLOB ||
		schema_decode(&hold_schema, row->cells[1].b, &hold, NULL) != REFUSED_NOT ||
		hold.salt.n != 16 || hold.terms.panel_n < 1 || hold.terms.attempts < 1 ||
		hold.terms.price_micros < 1)
		return -EBADMSG;

	int asset = ledger_asset_enter(&e->ledger, hold.asset, false);
	struct slot *slot = holds_find(e, &request);

	if (!slot || asset < 0)
		return -EBADMSG;
	slot->terms = hold.terms;
	slot->terms.asset = asset;
	memcpy(slot->terms.salt, hold.salt.p, sizeof(slot->terms.salt));
	if (!slot->open)
		return 0;
	memcpy(slot->open->pool, hold.pool, sizeof(hold.pool));
	slot->open->n_pool = hold.n_pool;
	return 0;
}

int hold_row_load_slot(struct escrow *e, const struct row *row)
{
	const struct cell *c = row->cells;
	struct progress progress;
	struct id request;

	if (!request_of(row, 4, &request) || c[1].type != CELL_INT || c[1].i <= SLOT_NONE ||
		c[1].i >= SLOT_STATES || c[2].type != CELL_INT || c[3].type != CELL_BLOB ||
		schema_decode(&progress_schema, c[3].b, &progress, NULL) != REFUSED_NOT)
		return -EBADMSG;

	struct slot *slot = holds_load_slot(e, &request);

	if (!slot)
		return -EBADMSG;
	slot->state = (enum slot_state)c[1].i;
	slot->deadline_ns = c[2].i;
	slot->progress = progress;

	struct progress *p = &slot->progress;

	if (p->wrapped_key.n > 0) {
		memcpy(p->wrapped_room, p->wrapped_key.p, SEAL_WRAPPED);
		p->wrapped_key = SPAN_OF(p->wrapped_room);
	}
	if (slot_ended(slot->state))
		return 0;
	if (!holds_load_open(e, slot))
		return -EBADMSG;
	/* With another encryption key nothing here could ever be released: better not to start. */
	return p->wrapped_key.n == 0 || holds_content_key(e, slot) ? 0 : -EBADMSG;
}

int hold_row_load_proof(struct escrow *e, const struct row *row)
{
	const struct cell *c = row->cells;
	struct id request;
	struct slot *slot = request_of(row, 3, &request) ? holds_find(e, &request) : NULL;

	if (!slot || !slot->open || c[1].type != CELL_BLOB || c[1].b.n > RECEIPT_MAX ||
		c[2].type != CELL_BLOB || c[2].b.n > HOLDS_NOTE_MAX || c[2].b.n == 0)
		return -EBADMSG;
	memcpy(slot->open->receipt, c[1].b.p, c[1].b.n);
	slot->open->receipt_n = c[1].b.n;
	memcpy(slot->open->note, c[2].b.p, c[2].b.n);
	slot->open->note_n = c[2].b.n;
	return 0;
}
