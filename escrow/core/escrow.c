#include "escrow/core/escrow.h"

#include "escrow/core/closing.h"
#include "escrow/core/fund.h"
#include "escrow/core/hold_row.h"
#include "escrow/core/panel.h"
#include "escrow/core/seen.h"
#include "escrow/core/submit.h"
#include "escrow/core/timeout.h"
#include "escrow/core/verdict.h"
#include "escrow/core/wallet.h"
#include "proto/base/sha256.h"

#include <sodium.h>
#include <stdlib.h>

static size_t or_default(size_t wanted, size_t otherwise)
{
	return wanted > 0 ? wanted : otherwise;
}

/* A number that peers cannot know, so that nobody aims at one bucket of a map. */
static uint64_t map_secret(const struct escrow_config *config)
{
	struct id hash = SHA256(SPAN_STR("assay map v1"), SPAN_OF(config->draw_secret_key));
	uint64_t secret;

	memcpy(&secret, hash.b, sizeof(secret));
	return secret;
}

int escrow_new(const struct escrow_config *config, struct escrow **ret_escrow)
{
	struct escrow *e = calloc(1, sizeof(*e));
	uint64_t secret = map_secret(config);

	if (!e)
		return -ENOMEM;
	e->config = *config;
	e->me = config->author.signer.issuer;
	e->config.open = or_default(config->open, ESCROW_OPEN_DEFAULT);
	e->config.holds = or_default(config->holds, ESCROW_HOLDS_DEFAULT);
	e->config.accounts = or_default(config->accounts, ESCROW_ACCOUNTS_DEFAULT);
	e->config.transfers = or_default(config->transfers, ESCROW_TRANSFERS_DEFAULT);
	e->config.operations = or_default(config->operations, ESCROW_OPERATIONS_DEFAULT);
	e->config.seen = or_default(config->seen, ESCROW_SEEN_DEFAULT);
	if (ledger_init(&e->ledger, e->config.accounts, e->config.transfers, secret + 2) < 0 ||
		holds_init(e, secret) < 0 || seen_init(e, secret + 3) < 0 ||
		wallet_init(e, secret + 4) < 0) {
		escrow_free(e);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_assets; i++) {
		if (i == ESCROW_ASSETS_MAX ||
			ledger_asset_enter(&e->ledger, config->assets[i], true) < 0) {
			escrow_free(e);
			return -EINVAL;
		}
	}
	*ret_escrow = e;
	return 0;
}

void escrow_free(struct escrow *escrow)
{
	if (!escrow)
		return;
	ledger_deinit(&escrow->ledger);
	holds_deinit(escrow);
	seen_deinit(escrow);
	wallet_deinit(escrow);
	sodium_memzero(escrow, sizeof(*escrow));
	free(escrow);
}

struct escrow_counts escrow_counts(const struct escrow *escrow)
{
	size_t n_open = escrow->config.open - escrow->n_free_opens;

	return (struct escrow_counts){
		.open_holds = n_open,
		.ended_holds = escrow->n_used - n_open,
		.accounts = escrow->ledger.n_accounts,
		.transfers = (uint64_t)escrow->ledger.seq,
		.sequence = (uint64_t)escrow->sequence,
	};
}

/* Disputes, rulings and bonds are refused by name, whatever message brings them. */
static enum refusal not_served(const struct opened *opened)
{
	if (message_find(opened, STATEMENT_DISPUTE) || message_find(opened, STATEMENT_RULING))
		return REFUSED_DISPUTE_NOT_SERVED;
	if (message_find(opened, STATEMENT_BOND))
		return REFUSED_BOND_NOT_SERVED;
	if (message_find(opened, STATEMENT_BID))
		return REFUSED_BIDS_NOT_SERVED;
	return REFUSED_NOT;
}

static void on_message(struct turn *t)
{
	int64_t type = t->event->opened->message.message;
	enum refusal refusal = not_served(t->event->opened);

	if (refusal != REFUSED_NOT) {
		effects_refuse(t->fx, t->event, refusal, NULL);
		return;
	}
	switch (type) {
	case MESSAGE_FUND:
		fund_on_fund(t);
		return;
	case MESSAGE_CLOSE:
		closing_on_close(t);
		return;
	case MESSAGE_CANCEL:
		closing_on_cancel(t);
		return;
	case MESSAGE_SUBMISSION:
		submit_on_submission(t);
		return;
	case MESSAGE_EVIDENCE:
		submit_on_evidence(t);
		return;
	case MESSAGE_VERDICT:
		verdict_on_verdict(t);
		return;
	case MESSAGE_RELEASE_QUERY:
		closing_on_query(t);
		return;
	case MESSAGE_DEPOSIT:
		wallet_on_deposit(t);
		return;
	case MESSAGE_BALANCE:
		wallet_on_balance(t);
		return;
	case MESSAGE_HISTORY:
		wallet_on_history(t);
		return;
	case MESSAGE_ENLIST: /* the greeting told already; a heartbeat asks for nothing */
	case MESSAGE_FETCH: /* the shell answers, by may_fetch() */
	case MESSAGE_CHUNK:
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_REFUSED: /* never answered, or two programs could refuse each other forever */
		return;
	default: /* a number from the wire, not an enum of ours */
		effects_refuse(t->fx, t->event, REFUSED_MESSAGE_UNEXPECTED, NULL);
	}
}

static void on_start(struct turn *t)
{
	struct escrow *e = t->e;
	size_t left = e->n_used;

	e->start_ns = t->event->now_ns;
	for (size_t i = 0; i < e->n_slots && left > 0; i++) {
		struct slot *slot = &e->slots[i];

		if (!slot->used)
			continue;
		left--;
		if (slot->open) {
			slot->open->promised = hold_row_promise(&slot->terms);
			e->ledger.promised += slot->open->promised;
		}
		holds_resume(e, slot);
	}
}

static void step(void *core, const struct event *event, struct effects *fx)
{
	struct turn t = { .e = core, .event = event, .fx = fx };

	switch (event->type) {
	case EVENT_START:
		on_start(&t);
		break;
	case EVENT_TICK:
		timeout_tick(&t);
		break;
	case EVENT_MESSAGE:
		on_message(&t);
		break;
	case EVENT_CONNECTED:
		panel_on_connected(&t);
		break;
	case EVENT_WORK:
		timeout_on_work(&t);
		break;
	case EVENT_LOST:
	case EVENT_SEAL:
		break;
	}
	ledger_flush(&t.e->ledger, fx);
	holds_flush(&t);
}

static int load_chain(struct escrow *e, const struct row *row)
{
	const struct cell *c = row->cells;

	if (row->n != 3 || c[1].type != CELL_INT || c[1].i < 1 || c[2].type != CELL_BLOB ||
		c[2].b.n != 32)
		return -EBADMSG;
	e->sequence = c[1].i;
	memcpy(e->previous.b, c[2].b.p, 32);
	return 0;
}

static int load(void *core, const struct row *row)
{
	struct escrow *e = core;

	switch (row->table) {
	case ESCROW_TABLE_ACCOUNT:
		return ledger_load_account(&e->ledger, row);
	case ESCROW_TABLE_TRANSFER:
		return ledger_load_transfer(&e->ledger, row);
	case ESCROW_TABLE_SLOT:
		return hold_row_load_slot(e, row);
	case ESCROW_TABLE_HOLD:
		return hold_row_load_terms(e, row);
	case ESCROW_TABLE_PROOF:
		return hold_row_load_proof(e, row);
	case ESCROW_TABLE_OPERATION:
		return wallet_load(e, row);
	case ESCROW_TABLE_SEEN:
		return seen_load(e, row);
	case ESCROW_TABLE_CHAIN:
		return load_chain(e, row);
	default: /* a number, not an enum: rows of unknown tables are damage */
		return -EBADMSG;
	}
}

static int64_t wake_at(const void *core)
{
	const struct escrow *e = core;

	return heap_next(&e->timers);
}

static void check(const void *core)
{
	const struct escrow *e = core;

	ledger_check(&e->ledger);
	holds_check(e);
}

/* The panel while it checks, the buyer after the release, the node its own. */
static bool may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	const struct escrow *e = core;
	uint32_t at = idmap_get(&e->by_digest, digest->b);
	const struct slot *slot = at == IDMAP_NONE ? NULL : &e->slots[at];

	if (!slot || !slot->progress.payload_here)
		return false;
	if (did_eq(who, &slot->progress.node) ||
		(did_eq(who, &slot->terms.buyer) && !id_is_zero(&slot->progress.release)))
		return true;
	for (size_t i = 0; i < slot->progress.n_votes; i++)
		if (slot->open && did_eq(who, &slot->progress.votes[i].verifier))
			return true;
	return false;
}

static const struct table_info tables[ESCROW_TABLES] = {
	[TABLE_STATEMENT] = { .name = "statement", .n_key = 1, .n_cells = 4 },
	[TABLE_PAYLOAD] = { .name = "payload", .n_key = 1, .n_cells = 3 },
	[ESCROW_TABLE_ACCOUNT] = { .name = "account", .n_key = 1, .n_cells = 5 },
	[ESCROW_TABLE_TRANSFER] = { .name = "transfer", .n_key = 1, .n_cells = 11 },
	[ESCROW_TABLE_SLOT] = { .name = "slot", .n_key = 1, .n_cells = 4 },
	[ESCROW_TABLE_HOLD] = { .name = "hold", .n_key = 1, .n_cells = 2 },
	[ESCROW_TABLE_PROOF] = { .name = "proof", .n_key = 1, .n_cells = 3 },
	[ESCROW_TABLE_OPERATION] = { .name = "operation", .n_key = 2, .n_cells = 4 },
	[ESCROW_TABLE_SEEN] = { .name = "seen", .n_key = 1, .n_cells = 3 },
	[ESCROW_TABLE_CHAIN] = { .name = "chain", .n_key = 1, .n_cells = 3 },
};

const struct core_ops escrow_ops = {
	.name = "escrow",
	.tables = tables,
	.n_tables = ESCROW_TABLES,
	.load = load,
	.step = step,
	.wake_at = wake_at,
	.check = check,
	.may_fetch = may_fetch,
};
