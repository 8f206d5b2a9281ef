#pragma once
/*
 * An escrow core with a disk of its own in memory and one deal to play: each step applies the
 * core's rows, checks its invariants, and may be followed by a crash, after which the core is built
 * again from the rows alone.
 */
#include "escrow/core/escrow.h"
#include "proto/core/slot.h"
#include "tests/unit/market_fixture.h"

#define WORLD_ROWS 4096

struct world_row {
	uint16_t table;
	uint8_t n;
	struct cell cells[ROW_CELLS_MAX]; /* bytes in the fixture's arena */
};

struct world {
	struct market m;
	struct escrow_config config;
	struct escrow *escrow;
	struct effects *fx; /* of the last step */
	struct world_row rows[WORLD_ROWS];
	size_t n_rows;
	uint64_t n_steps;
	uint64_t crash_after; /* step number; 0: never, UINT64_MAX: each */
};

/* One request with what belongs to it. */
struct deal {
	struct request request_body; /* to spoil before deal_fund() */
	struct offering offering_body;
	const char *type; /* of the payload */
	const char *plain;
	bool without_node;
	struct statement *request, *offering, *hold, *earmark, *assignment, *evidence, *draw;
	struct span blob, receipt, note;
	int64_t attempt;
};

void world_init(struct world *w);
void world_deinit(struct world *w);
/* Throws the core away and builds it again from the rows; gives EVENT_START. */
void world_crash(struct world *w);

/* The message in m.opened arrives from party. */
void world_message(struct world *w, const struct market_party *from);
void world_event(struct world *w, const struct event *event);
/* now = the core's next time, and a tick. */
void world_wake(struct world *w);
/* Ticks until now + ns has come. */
void world_pass(struct world *w, int64_t ns);

/* The last step's message of the type to party, or NULL. */
const struct send *world_sent(
	const struct world *w, const struct market_party *to, enum message_type type);
/* The refusal of the last step, or REFUSED_NOT. */
enum refusal world_refusal(const struct world *w);
/* The last step's work of the kind, or NULL. */
const struct work *world_work(const struct world *w, int kind);
size_t world_puts(const struct world *w); /* rows of the last step */
/* A stored statement, or NULL. */
struct statement *world_statement(struct world *w, const struct id *id);
/* The newest of a kind that belongs to the request, or NULL. */
struct statement *world_newest(struct world *w, enum statement_kind kind, const struct id *request);
int64_t world_balance(
	const struct world *w, const struct market_party *who, enum account_purpose purpose);
/* Rows of a table. */
size_t world_count(const struct world *w, uint16_t table);
enum slot_state world_state(const struct world *w, const struct id *request);
const struct market_party *world_verifier(const struct world *w, const struct did *did);

void world_deposit(struct world *w, const struct market_party *who, int64_t micros);
void deal_init(struct world *w, struct deal *d);
/* Sends FUND; hold and earmark are set where it was funded. */
void deal_fund(struct world *w, struct deal *d);
void deal_assign(struct world *w, struct deal *d);
/* Makes evidence, receipt and note. */
void deal_capture(struct world *w, struct deal *d);
/* SUBMISSION; draw is set where it was drawn. */
void deal_submit(struct world *w, struct deal *d);
/* EVIDENCE at the escrow's own door. */
void deal_knock(struct world *w, struct deal *d, bool with_blob);
/* All of the above up to VERIFYING. */
void deal_verify(struct world *w, struct deal *d);
/* The i-th of the panel says so. */
void deal_vote(struct world *w, struct deal *d, size_t i, enum check_result_value outcome);
void deal_close(struct world *w, struct deal *d, enum basis basis, const struct statement *with);
