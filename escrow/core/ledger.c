#include "escrow/core/ledger.h"

#include "proto/base/be64.h"
#include "proto/base/money.h"
#include "proto/base/sha256.h"

#include <stdlib.h>

#define TRANSFER_TAG "assay transfer v1"

int ledger_init(struct ledger *l, size_t accounts, size_t transfers, uint64_t secret)
{
	*l = (struct ledger){ .capacity = accounts, .n_recent = transfers };
	l->accounts = calloc(accounts, sizeof(*l->accounts));
	l->recent = calloc(transfers, sizeof(*l->recent));
	if (!l->accounts || !l->recent || idmap_init(&l->by_key, accounts, secret) < 0) {
		ledger_deinit(l);
		return -ENOMEM;
	}
	return 0;
}

void ledger_deinit(struct ledger *l)
{
	free(l->accounts);
	free(l->recent);
	idmap_deinit(&l->by_key);
	l->accounts = NULL;
	l->recent = NULL;
}

static int find_asset(const struct ledger *l, struct span text)
{
	for (size_t i = 0; i < l->n_assets; i++)
		if (span_eq(SPAN(l->assets[i].text, l->assets[i].n), text))
			return (int)i;
	return -1;
}

int ledger_asset_enter(struct ledger *l, struct span text, bool served)
{
	int at = find_asset(l, text);

	if (at >= 0) {
		l->assets[at].served |= served;
		return at;
	}
	if (l->n_assets == ESCROW_ASSETS_MAX || text.n < 3 || text.n > LEDGER_ASSET_TEXT_MAX)
		return -1;
	at = (int)l->n_assets++;
	memcpy(l->assets[at].text, text.p, text.n);
	l->assets[at].n = text.n;
	l->assets[at].served = served;
	return at;
}

int ledger_asset(const struct ledger *l, struct span text)
{
	int at = find_asset(l, text);

	return at >= 0 && l->assets[at].served ? at : -1;
}

struct span ledger_asset_text(const struct ledger *l, int asset)
{
	return SPAN(l->assets[asset].text, l->assets[asset].n);
}

static struct id account_key(
	const struct ledger *l, const struct did *owner, enum account_purpose purpose, int asset)
{
	uint8_t purpose_byte = (uint8_t)purpose;

	return SHA256(SPAN_OF(*owner), SPAN_OF(purpose_byte), ledger_asset_text(l, asset));
}

static struct ledger_account *find(
	const struct ledger *l, const struct ledger_side *side, int asset, struct id *ret_key)
{
	*ret_key = account_key(l, &side->owner, side->purpose, asset);

	uint32_t at = idmap_get(&l->by_key, ret_key->b);

	return at == IDMAP_NONE ? NULL : &l->accounts[at];
}

static struct ledger_account *open_account(
	struct ledger *l, const struct ledger_side *side, int asset, const struct id *key)
{
	if (l->n_accounts == l->capacity || !idmap_put(&l->by_key, key->b, (uint32_t)l->n_accounts))
		return NULL;

	struct ledger_account *account = &l->accounts[l->n_accounts++];

	*account = (struct ledger_account){
		.key = *key,
		.owner = side->owner,
		.purpose = (uint8_t)side->purpose,
		.asset = (uint8_t)asset,
	};
	return account;
}

int64_t ledger_balance(
	const struct ledger *l, const struct did *owner, enum account_purpose purpose, int asset)
{
	struct id key;
	const struct ledger_account *account = find(
		l, &(struct ledger_side){ *owner, purpose }, asset, &key);

	return account ? account->balance_micros : 0;
}

bool ledger_has_room(const struct ledger *l, size_t n)
{
	size_t used = l->n_accounts + l->promised;

	return used <= l->capacity && n <= l->capacity - used;
}

static struct id hash_of(const struct ledger *l, const struct ledger_transfer *t)
{
	uint8_t numbers[27];

	be64_put(numbers, (uint64_t)t->seq);
	be64_put(numbers + 8, (uint64_t)t->at_ns);
	be64_put(numbers + 16, (uint64_t)t->amount_micros);
	numbers[24] = t->kind;
	numbers[25] = t->from_purpose;
	numbers[26] = t->to_purpose;
	return SHA256(SPAN_STR(TRANSFER_TAG), SPAN_OF(l->hash), SPAN_OF(numbers), SPAN_OF(t->from),
		SPAN_OF(t->to), SPAN_OF(t->request), ledger_asset_text(l, t->asset));
}

static void remember(struct ledger *l, const struct ledger_transfer *t)
{
	l->hash = hash_of(l, t);
	l->seq = t->seq;
	l->recent[(size_t)t->seq % l->n_recent] = *t;
}

static void put_transfer(struct ledger *l, struct effects *fx, const struct ledger_transfer *t)
{
	struct row *row = effects_put(fx, ESCROW_TABLE_TRANSFER, PUT_INSERT);

	row_int(row, t->seq);
	row_copy(fx, row, SPAN_OF(l->hash));
	row_int(row, t->at_ns);
	row_int(row, t->kind);
	row_copy(fx, row, SPAN_OF(t->from));
	row_int(row, t->from_purpose);
	row_copy(fx, row, SPAN_OF(t->to));
	row_int(row, t->to_purpose);
	row->cells[row->n++] = cell_text(ledger_asset_text(l, t->asset));
	row_int(row, t->amount_micros);
	row_copy(fx, row, SPAN_OF(t->request));
}

static void mark(struct ledger *l, struct ledger_account *account)
{
	if (account->dirty)
		return;
	assert(l->n_dirty < LEDGER_DIRTY_MAX);
	account->dirty = true;
	l->dirty[l->n_dirty++] = (uint32_t)(account - l->accounts);
}

enum refusal ledger_move(struct ledger *l, struct effects *fx, int64_t now_ns,
	enum transfer_kind kind, const struct ledger_side *from, const struct ledger_side *to,
	int asset, int64_t amount_micros, const struct id *request)
{
	struct id from_key;
	struct id to_key;
	struct ledger_account *debit = find(l, from, asset, &from_key);
	struct ledger_account *credit = find(l, to, asset, &to_key);
	struct money amount = { amount_micros };
	struct money left;
	struct money sum;
	bool mint = from->purpose == ACCOUNT_RAIL_CLEARING;

	if (amount_micros <= 0 || amount_micros > MICROS_MAX)
		return REFUSED_AMOUNT_RANGE;
	if (!debit && !mint)
		return REFUSED_ACCOUNT_UNKNOWN;
	if (debit == credit && debit)
		return REFUSED_AMOUNT_RANGE;
	if (money_sub((struct money){ debit ? debit->balance_micros : 0 }, amount, &left) < 0 ||
		money_add((struct money){ credit ? credit->balance_micros : 0 }, amount, &sum) < 0)
		return REFUSED_AMOUNT_RANGE;
	if (left.micros < 0 && !mint)
		return REFUSED_EXCEEDS_AVAILABLE;
	if (l->capacity - l->n_accounts < (size_t)(!debit + !credit))
		return REFUSED_PEER_LIMIT;
	if (!debit)
		debit = open_account(l, from, asset, &from_key);
	if (!credit)
		credit = open_account(l, to, asset, &to_key);
	assert(debit && credit); /* there was room for both */
	debit->balance_micros = left.micros;
	credit->balance_micros = sum.micros;
	mark(l, debit);
	mark(l, credit);

	struct ledger_transfer t = {
		.seq = l->seq + 1,
		.at_ns = now_ns,
		.amount_micros = amount_micros,
		.from = from->owner,
		.to = to->owner,
		.request = *request,
		.from_purpose = (uint8_t)from->purpose,
		.to_purpose = (uint8_t)to->purpose,
		.asset = (uint8_t)asset,
		.kind = (uint8_t)kind,
	};

	remember(l, &t);
	put_transfer(l, fx, &t);
	return REFUSED_NOT;
}

void ledger_flush(struct ledger *l, struct effects *fx)
{
	for (size_t i = 0; i < l->n_dirty; i++) {
		struct ledger_account *account = &l->accounts[l->dirty[i]];
		struct row *row = effects_put(fx, ESCROW_TABLE_ACCOUNT, PUT_REPLACE);

		row_copy(fx, row, SPAN_OF(account->key));
		row_copy(fx, row, SPAN_OF(account->owner));
		row_int(row, account->purpose);
		row->cells[row->n++] = cell_text(ledger_asset_text(l, account->asset));
		row_int(row, account->balance_micros);
		account->dirty = false;
	}
	l->n_dirty = 0;
}

const struct ledger_transfer *ledger_at(const struct ledger *l, int64_t seq)
{
	const struct ledger_transfer *t = &l->recent[(size_t)seq % l->n_recent];

	return seq > 0 && t->seq == seq ? t : NULL;
}

static bool is_bytes32(const struct cell *c)
{
	return c->type == CELL_BLOB && c->b.n == 32;
}

static bool is_purpose(const struct cell *c)
{
	return c->type == CELL_INT && c->i >= ACCOUNT_AVAILABLE && c->i <= ACCOUNT_RAIL_CLEARING;
}

int ledger_load_account(struct ledger *l, const struct row *row)
{
	const struct cell *c = row->cells;
	struct ledger_side side;

	if (row->n != 5 || !is_bytes32(&c[0]) || !is_bytes32(&c[1]) || !is_purpose(&c[2]) ||
		c[3].type != CELL_TEXT || c[4].type != CELL_INT)
		return -EBADMSG;

	int asset = ledger_asset_enter(l, c[3].b, false);

	memcpy(&side.owner, c[1].b.p, 32);
	side.purpose = (enum account_purpose)c[2].i;
	if (asset < 0 || (c[4].i < 0) != (side.purpose == ACCOUNT_RAIL_CLEARING && c[4].i != 0))
		return -EBADMSG;

	struct id key;

	if (find(l, &side, asset, &key) || memcmp(key.b, c[0].b.p, 32) != 0)
		return -EBADMSG;

	struct ledger_account *account = open_account(l, &side, asset, &key);

	if (!account)
		return -EBADMSG;
	account->balance_micros = c[4].i;
	return 0;
}

int ledger_load_transfer(struct ledger *l, const struct row *row)
{
	const struct cell *c = row->cells;
	struct ledger_transfer t = { 0 };

	if (row->n != 11 || c[0].type != CELL_INT || !is_bytes32(&c[1]) || c[2].type != CELL_INT ||
		c[3].type != CELL_INT || !is_bytes32(&c[4]) || !is_purpose(&c[5]) ||
		!is_bytes32(&c[6]) || !is_purpose(&c[7]) || c[8].type != CELL_TEXT ||
		c[9].type != CELL_INT || c[9].i <= 0 || !is_bytes32(&c[10]) || c[3].i < 1 ||
		c[3].i > 255 || c[0].i < 1)
		return -EBADMSG;

	int asset = ledger_asset_enter(l, c[8].b, false);

	if (asset < 0)
		return -EBADMSG;
	t.seq = c[0].i;
	t.at_ns = c[2].i;
	t.kind = (uint8_t)c[3].i;
	t.from_purpose = (uint8_t)c[5].i;
	t.to_purpose = (uint8_t)c[7].i;
	t.asset = (uint8_t)asset;
	t.amount_micros = c[9].i;
	memcpy(&t.from, c[4].b.p, 32);
	memcpy(&t.to, c[6].b.p, 32);
	memcpy(&t.request, c[10].b.p, 32);
	/* Only the newest rows may be loaded: the first one's predecessor is then unknown. */
	if (l->seq == 0 && t.seq != 1) {
		l->seq = t.seq;
		memcpy(&l->hash, c[1].b.p, 32);
		l->recent[(size_t)t.seq % l->n_recent] = t;
		return 0;
	}
	if (t.seq != l->seq + 1)
		return -EBADMSG;
	remember(l, &t);
	return memcmp(l->hash.b, c[1].b.p, 32) == 0 ? 0 : -EBADMSG;
}

void ledger_check(const struct ledger *l)
{
	int64_t sums[ESCROW_ASSETS_MAX] = { 0 };

	for (size_t i = 0; i < l->n_accounts; i++) {
		const struct ledger_account *a = &l->accounts[i];

		assert(a->asset < l->n_assets && !a->dirty);
		sums[a->asset] += a->balance_micros;
		if (a->purpose == ACCOUNT_RAIL_CLEARING)
			assert(a->balance_micros <= 0);
		else
			assert(a->balance_micros >= 0);
	}
	for (size_t i = 0; i < l->n_assets; i++)
		assert(sums[i] == 0);
	assert(l->n_accounts + l->promised <= l->capacity);
}
