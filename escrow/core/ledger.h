#pragma once
/*
 * Double entry in memory. An account is (owner, purpose, asset) with a balance; a transfer moves an
 * amount from one to another and is a row that is never updated, chained by hash to the one before;
 * accounts are snapshots, written once per step. Who may move money is left to the callers.
 *
 * Invariants (ledger_check):
 * 1. The balances of each asset add up to zero: every debit has its credit.
 * 2. No account but RAIL_CLEARING is negative; RAIL_CLEARING is never positive.
 * 3. Accounts in use never exceed the capacity less what is promised to open holds.
 */
#include "escrow/core/escrow.h"
#include "proto/core/idmap.h"

#define LEDGER_ASSET_TEXT_MAX 128
#define LEDGER_DIRTY_MAX      64

struct ledger_account {
	struct id key; /* SHA-256(owner || purpose || asset) */
	struct did owner;
	uint8_t purpose; /* enum account_purpose */
	uint8_t asset;
	bool dirty;
	int64_t balance_micros;
};

struct ledger_transfer {
	int64_t seq;
	int64_t at_ns;
	int64_t amount_micros;
	struct did from;
	struct did to;
	struct id request;
	uint8_t from_purpose;
	uint8_t to_purpose;
	uint8_t asset;
	uint8_t kind;
};

struct ledger {
	struct ledger_account *accounts;
	size_t n_accounts;
	size_t capacity;
	size_t promised; /* accounts that open holds may still need */
	struct idmap by_key;
	struct ledger_transfer *recent; /* ring by seq */
	size_t n_recent; /* capacity of the ring */
	int64_t seq; /* of the last transfer; 0: none */
	struct id hash; /* of the last transfer's row */
	struct {
		uint8_t text[LEDGER_ASSET_TEXT_MAX];
		size_t n;
		bool served;
	} assets[ESCROW_ASSETS_MAX];
	size_t n_assets;
	uint32_t dirty[LEDGER_DIRTY_MAX];
	size_t n_dirty;
};

/* One side of a transfer. */
struct ledger_side {
	struct did owner;
	enum account_purpose purpose;
};

/* 0 or -ENOMEM. Owes a ledger_deinit(). */
_must_check_ int ledger_init(struct ledger *l, size_t accounts, size_t transfers, uint64_t secret);
void ledger_deinit(struct ledger *l);

/* The number of an asset, entered as served or not where it is new; -1: no room or no name. */
int ledger_asset_enter(struct ledger *l, struct span text, bool served);
/* The number of an asset that is served, or -1. */
int ledger_asset(const struct ledger *l, struct span text);
struct span ledger_asset_text(const struct ledger *l, int asset);

/* Balance, 0 for an account that does not exist. */
int64_t ledger_balance(
	const struct ledger *l, const struct did *owner, enum account_purpose purpose, int asset);

/* Whether n more accounts can be promised. */
bool ledger_has_room(const struct ledger *l, size_t n);

/*
 * Moves amount (> 0) and emits the transfer's row. REFUSED_NOT, or nothing happened: AMOUNT_RANGE
 * (not positive, or a balance would overflow), ACCOUNT_UNKNOWN (from does not exist),
 * EXCEEDS_AVAILABLE (from would be negative), PEER_LIMIT (no room for another account).
 */
_must_check_ enum refusal ledger_move(struct ledger *l, struct effects *fx, int64_t now_ns,
	enum transfer_kind kind, const struct ledger_side *from, const struct ledger_side *to,
	int asset, int64_t amount_micros, const struct id *request);

/* Emits the rows of the accounts that changed in this step. */
void ledger_flush(struct ledger *l, struct effects *fx);

/* The transfer with that seq if it is still in the ring, or NULL. */
const struct ledger_transfer *ledger_at(const struct ledger *l, int64_t seq);

/* 0, or -EBADMSG: the row is damaged, or the chain of hashes does not follow. */
_must_check_ int ledger_load_account(struct ledger *l, const struct row *row);
_must_check_ int ledger_load_transfer(struct ledger *l, const struct row *row);

/* Aborts where an invariant does not hold. */
void ledger_check(const struct ledger *l);
