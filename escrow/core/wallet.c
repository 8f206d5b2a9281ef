#include "escrow/core/wallet.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

#define OPERATION_TAG "assay operation v1"
#define BUCKET_NS     (INT64_C(3600) * NS_PER_S)

int wallet_init(struct escrow *e, uint64_t secret)
{
	e->n_operations = e->config.operations;
	e->operations = calloc(e->n_operations, sizeof(*e->operations));
	if (!e->operations)
		return -ENOMEM;
	return idmap_init(&e->by_operation, e->n_operations, secret);
}

void wallet_deinit(struct escrow *e)
{
	free(e->operations);
	idmap_deinit(&e->by_operation);
}

static void fill_line(
	const struct escrow *e, struct transfer *line, const struct ledger_transfer *from)
{
	*line = (struct transfer){
		.present = true,
		.seq = from->seq,
		.from = from->from,
		.to = from->to,
		.from_purpose = from->from_purpose,
		.account_purpose = from->to_purpose,
		.asset = ledger_asset_text(&e->ledger, from->asset),
		.amount_micros = from->amount_micros,
		.at_ns = from->at_ns,
		.request = from->request,
		.kind = from->kind,
	};
}

/* ACCOUNT with the balances of whoever asks: those that are not zero, and every AVAILABLE. */
static struct message *account(struct turn *t)
{
	const struct ledger *l = &t->e->ledger;
	struct send *send = effects_send(t->fx, &t->event->from, MESSAGE_ACCOUNT);
	struct message *m = &send->message;

	m->reply_to = t->event->opened->message.number;
	for (size_t asset = 0; asset < l->n_assets; asset++) {
		for (int purpose = ACCOUNT_AVAILABLE; purpose <= ACCOUNT_RAIL_CLEARING; purpose++) {
			int64_t micros = ledger_balance(
				l, &t->event->from, (enum account_purpose)purpose, (int)asset);

			if ((micros == 0 && purpose != ACCOUNT_AVAILABLE) ||
				m->n_balances == MESSAGE_BALANCES_MAX)
				continue;
			m->balances[m->n_balances++] = (struct balance){
				.present = true,
				.account = t->event->from,
				.account_purpose = purpose,
				.asset = ledger_asset_text(l, (int)asset),
				.amount_micros = micros,
			};
		}
	}
	return m;
}

static struct operation *operation_at(const struct escrow *e, uint64_t number)
{
	return &e->operations[number % e->n_operations];
}

static struct operation *find(const struct escrow *e, const struct id *id)
{
	uint32_t at = idmap_get(&e->by_operation, id->b);

	return at == IDMAP_NONE ? NULL : &e->operations[at];
}

static _must_check_ bool add(struct escrow *e, const struct operation *operation)
{
	uint64_t number = e->operations_next;

	if (number - e->operations_first == e->n_operations ||
		!idmap_put(&e->by_operation, operation->id.b, (uint32_t)(number % e->n_operations)))
		return false;
	*operation_at(e, number) = *operation;
	e->operations_next++;
	return true;
}

/* Makes room by forgetting the oldest, if its time has passed. */
static bool make_room(struct turn *t)
{
	struct escrow *e = t->e;
	struct operation *oldest = operation_at(e, e->operations_first);
	struct row *row;

	if (e->operations_next - e->operations_first < e->n_operations)
		return true;
	if (oldest->bucket * BUCKET_NS > t->event->now_ns)
		return false;
	row = effects_put(t->fx, ESCROW_TABLE_OPERATION, PUT_DELETE);
	row_int(row, oldest->bucket);
	row_copy(t->fx, row, SPAN_OF(oldest->id));
	idmap_remove(&e->by_operation, oldest->id.b);
	e->operations_first++;
	return true;
}

static enum refusal check_deposit(const struct turn *t, int *ret_asset)
{
	const struct message *m = &t->event->opened->message;
	const struct escrow *e = t->e;

	if (!e->config.play_money)
		return REFUSED_PLAY_MONEY_OFF;
	if (m->operation.n != 16)
		return REFUSED_MESSAGE_SHAPE;
	*ret_asset = ledger_asset(&e->ledger, m->asset);
	if (*ret_asset < 0)
		return REFUSED_ASSET_UNKNOWN;
	if (m->amount_micros <= 0 || m->amount_micros > ESCROW_DEPOSIT_MAX ||
		ledger_balance(&e->ledger, &e->me, ACCOUNT_RAIL_CLEARING, *ret_asset) -
				m->amount_micros <
			-ESCROW_SUPPLY_MAX)
		return REFUSED_AMOUNT_RANGE;
	return REFUSED_NOT;
}

static void put_operation(struct turn *t, const struct operation *operation)
{
	struct row *row = effects_put(t->fx, ESCROW_TABLE_OPERATION, PUT_INSERT);

	row_int(row, operation->bucket);
	row_copy(t->fx, row, SPAN_OF(operation->id));
	row_copy(t->fx, row, SPAN_OF(operation->content));
	row_int(row, operation->seq);
}

static enum refusal deposit(struct turn *t, const struct operation *wanted, int asset)
{
	struct escrow *e = t->e;
	struct operation operation = *wanted;
	struct id none = { 0 };
	enum refusal refusal;

	/* Two: the identity's own, and the clearing account before the first deposit. */
	if (!ledger_has_room(&e->ledger, 2))
		return REFUSED_PEER_LIMIT;
	if (!make_room(t))
		return REFUSED_PEER_BUSY;
	refusal = ledger_move(&e->ledger, t->fx, t->event->now_ns, TRANSFER_DEPOSIT,
		&(struct ledger_side){ e->me, ACCOUNT_RAIL_CLEARING },
		&(struct ledger_side){ t->event->from, ACCOUNT_AVAILABLE }, asset,
		t->event->opened->message.amount_micros, &none);
	if (refusal != REFUSED_NOT)
		return refusal;
	operation.bucket = (t->event->now_ns + ESCROW_OPERATION_NS) / BUCKET_NS + 1;
	operation.seq = e->ledger.seq;
	if (!add(e, &operation))
		abort(); /* there was room */
	put_operation(t, &operation);
	return REFUSED_NOT;
}

void wallet_on_deposit(struct turn *t)
{
	struct escrow *e = t->e;
	const struct message *m = &t->event->opened->message;
	int asset = -1;
	enum refusal refusal = check_deposit(t, &asset);
	const struct operation *known = NULL;
	struct operation wanted = { 0 };

	if (refusal == REFUSED_NOT) {
		uint8_t amount[8];

		for (int i = 0; i < 8; i++)
			amount[i] = (uint8_t)((uint64_t)m->amount_micros >> (8 * i));
		wanted.id = SHA256(SPAN_STR(OPERATION_TAG), SPAN_OF(t->event->from), m->operation);
		wanted.content = SHA256(SPAN_STR(OPERATION_TAG), SPAN_OF(amount), m->asset);
		known = find(e, &wanted.id);
		if (known && !id_eq(&known->content, &wanted.content))
			refusal = REFUSED_EXISTS_WITH_DIFFERENT_CONTENT;
		else if (!known)
			refusal = deposit(t, &wanted, asset);
	}
	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		return;
	}

	struct message *reply = account(t);
	const struct ledger_transfer *made = ledger_at(&e->ledger, find(e, &wanted.id)->seq);

	reply->operation = buf_copy(&t->fx->arena, m->operation);
	if (made)
		fill_line(e, &reply->lines[reply->n_lines++], made);
}

void wallet_on_balance(struct turn *t)
{
	account(t);
}

void wallet_on_history(struct turn *t)
{
	const struct ledger *l = &t->e->ledger;
	int64_t first = MAX(
		t->event->opened->message.cursor + 1, l->seq - (int64_t)l->n_recent + 1);
	struct message *m = account(t);

	first = MAX(first, INT64_C(1));
	for (int64_t seq = first; seq <= l->seq && m->n_lines < ARRAY_SIZE(m->lines); seq++) {
		const struct ledger_transfer *made = ledger_at(l, seq);

		if (made && (did_eq(&made->from, &t->event->from) ||
				    did_eq(&made->to, &t->event->from)))
			fill_line(t->e, &m->lines[m->n_lines++], made);
		m->cursor = seq;
	}
	m->cursor = MAX(m->cursor, MIN(t->event->opened->message.cursor, l->seq));
}

int wallet_load(struct escrow *e, const struct row *row)
{
	const struct cell *c = row->cells;
	struct operation operation = { 0 };

	if (row->n != 4 || c[0].type != CELL_INT || c[1].type != CELL_BLOB || c[1].b.n != 32 ||
		c[2].type != CELL_BLOB || c[2].b.n != 32 || c[3].type != CELL_INT || c[3].i < 1)
		return -EBADMSG;
	operation.bucket = c[0].i;
	memcpy(operation.id.b, c[1].b.p, 32);
	memcpy(operation.content.b, c[2].b.p, 32);
	operation.seq = c[3].i;
	return !find(e, &operation.id) && add(e, &operation) ? 0 : -EBADMSG;
}
