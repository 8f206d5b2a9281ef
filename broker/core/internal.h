#pragma once
/*
 * What the broker's files share. A request has one slot for now, so `struct slot` is both. Memory
 * for slots and offerings is taken at the start; a slot's open part (the request's bytes, receipt
 * and checkpoint) is taken when it opens, bounded by the table and REQUEST_BYTES_MAX.
 *
 * Invariants (broker_ops.check):
 * 1. The map of requests and the slots agree; each used slot stands in it once, and in its buyer's
 *    list once.
 * 2. An open slot has its request's bytes; its deadline or retry stands in the heap. A slot that
 *    has ended and is not closing stands in the list of those that may be forgotten.
 * 3. From ASSIGNED on a slot has hold and assignment; from VERIFYING on it has evidence and
 * receipt.
 * 4. The log's size is the number of receipts ever given, and never shrinks.
 */
#include "broker/core/broker.h"
#include "broker/core/match.h"
#include "broker/log/log.h"
#include "proto/core/heap.h"
#include "proto/core/idmap.h"
#include "proto/core/rules.h"
#include "proto/core/slot.h"
#include "proto/tlog/entry.h"
#include "proto/tlog/note.h"
#include "proto/tlog/proof.h"
#include "proto/tlog/receipt.h"

#define BROKER_HISTORY_MAX 24
#define BROKER_TRIED_MAX   8
/* Nodes publish cells of 0.01 degrees: the place may lie half a diagonal from the centre of its
 * cell. */
#define MATCH_CELL_SLACK_M 800u
#define SLOT_VERDICTS_MAX  (2 * PANEL_MAX)
/* Leaves after which the log's batch is sealed within the step: three effects each, and those of
 * the step itself, stay within EFFECTS_MAX. */
#define BROKER_SEAL_MAX 24
#define BROKER_NONE     UINT32_MAX /* no index */

/* Statements of a slot, by what they are; the row keeps them in this order. */
enum link {
	LINK_OFFERING,
	LINK_HOLD,
	LINK_EARMARK,
	LINK_ASSIGNMENT,
	LINK_DECLINE,
	LINK_EVIDENCE,
	LINK_CHALLENGE, /* of the assignment */
	LINK_PAYLOAD, /* digest of the ciphertext */
	LINK_DRAW,
	LINK_RELEASE,
	LINK_SETTLEMENT,
	LINK_CANCEL,
	LINKS,
};

struct open_part {
	uint8_t *request_bytes;
	size_t request_n;
	struct request request; /* spans into request_bytes */
};

struct broker_moment {
	uint8_t state;
	int64_t at_ns;
};

struct slot {
	bool used;
	bool closing; /* CLOSE is repeated until the escrow's OUTCOME */
	bool submitting; /* SUBMISSION likewise */
	bool receipt_void; /* the stored receipt is for other evidence */
	bool payload_inline; /* in the payload table, else a file */
	bool cancel_wanted;
	bool ended; /* stands in the list of ended slots */
	bool funding; /* FUND waits for its answer */
	enum slot_state state;
	uint8_t basis; /* enum basis of the CLOSE */
	uint16_t refusal; /* why it ended, or what hinders it */
	uint32_t pull; /* the pull under way, by its number; 0: none */
	uint32_t buyer_at; /* in buyers */
	uint32_t older; /* of the same buyer, by order */
	uint32_t newer;
	uint32_t ended_before; /* in the order in which they ended */
	uint32_t ended_after;
	int64_t attempt;
	int64_t price_micros;
	int64_t order; /* sequence of posting */
	int64_t payload_size; /* of the ciphertext */
	int64_t expires_ns;
	int64_t deadline_ns; /* of the state; INT64_MAX: none */
	int64_t retry_at_ns; /* of what is repeated; INT64_MAX: nothing */
	int64_t retry_ns; /* the pause before the next */
	int64_t commit_by_ns;
	int64_t deliver_by_ns;
	struct id request;
	struct did buyer;
	struct did escrow;
	struct did node;
	struct id links[LINKS];
	struct id verdicts[SLOT_VERDICTS_MAX];
	size_t n_verdicts;
	struct did tried[BROKER_TRIED_MAX];
	size_t n_tried;
	struct broker_moment history[BROKER_HISTORY_MAX];
	size_t n_history;
	uint8_t *receipt; /* COSE Receipt, malloc'd */
	size_t receipt_n;
	uint8_t *note; /* checkpoint of the receipt, malloc'd */
	size_t note_n;
	struct open_part *open;
	struct did ticket_holders[SLOT_VERDICTS_MAX]; /* who showed a draw */
	size_t n_ticket_holders;
};

struct offer {
	bool used;
	bool connected;
	struct did node;
	struct id id;
	uint8_t *bytes; /* of the statement, malloc'd */
	size_t n;
	struct offering offering; /* spans into bytes */
	uint32_t next; /* of the same node, or IDMAP_NONE */
};

/* Who has requests here: dropped with the last of them. */
struct buyer_of {
	struct did did;
	uint32_t newest; /* slot, by order */
	uint32_t n; /* slots */
	uint32_t n_open;
};

/* A leaf of the open batch. */
struct pending {
	uint32_t slot;
	uint64_t index;
	struct id evidence;
};

struct broker {
	struct broker_config config;
	char origin[PROOF_ORIGIN_MAX];
	struct span origin_span;

	struct slot *slots;
	size_t n_slots; /* capacity */
	size_t n_used;
	size_t n_open;
	struct idmap by_request;
	struct idmap by_payload; /* digest of the ciphertext */
	struct heap timers;
	uint32_t *free_slots; /* stack */
	size_t n_free;
	uint32_t ended_first;
	uint32_t ended_last;
	int64_t order;
	uint32_t pulls; /* number of the last pull */

	struct buyer_of *buyers; /* as many as slots */
	struct idmap by_buyer;
	uint32_t *free_buyers;
	size_t n_free_buyers;

	struct offer *offers;
	size_t n_offers; /* capacity */
	size_t offers_top; /* none beyond this index was ever used */
	size_t n_offers_used;
	struct idmap by_node; /* first offer of a node */
	uint32_t *free_offers;
	size_t n_free_offers;
	struct match *match;
	uint64_t uses;

	struct log log;
	struct pending pending[BROKER_SEAL_MAX];
	size_t n_pending;
	uint8_t checkpoint[1024]; /* the newest, a signed note */
	size_t checkpoint_n;
};

/* One event on its way through the core. */
struct turn {
	struct broker *b;
	const struct event *event;
	struct effects *fx;
	uint32_t counter; /* for author_common() */
};

/* slots.c: the table of slots. */
struct slot *slots_find(struct broker *b, const struct id *request);
/* A free slot for the request, if need be that of the request which ended first; NULL where all are
 * open. */
struct slot *slots_add(struct broker *b, const struct id *request, const struct did *buyer);
/* Puts it into its buyer's list by its order, which stands from then on. */
void slots_order(struct broker *b, struct slot *slot, int64_t order);
void slots_drop(struct broker *b, struct slot *slot);
/* The buyer's slots, or NULL where there are none. */
const struct buyer_of *slots_of(const struct broker *b, const struct did *buyer);
uint32_t slots_index(const struct broker *b, const struct slot *slot);
_must_check_ bool slots_open_part(struct broker *b, struct slot *slot, struct span request_bytes);
/* Notes whose payload that digest is, so that it can be fetched. */
void slots_set_payload(struct broker *b, struct slot *slot, const struct id *digest);
/* Sets the heap from deadline and retry. */
void slots_time(struct broker *b, struct slot *slot);
/* Takes the state table's step and notes it in the history; false where the event does not apply.
 */
_must_check_ bool slots_move(struct turn *t, struct slot *slot, enum slot_event event);
/* Takes over a state that the escrow tells. */
void slots_set(struct turn *t, struct slot *slot, enum slot_state state);
/* Begins to repeat something, the first time after first_ns. */
void slots_repeat(struct turn *t, struct slot *slot, int64_t first_ns);
/* Nothing is asked or waited for any more: the slot may be forgotten. */
void slots_end(struct turn *t, struct slot *slot);
/* The same for a slot that was loaded. */
void slots_ended(struct broker *b, struct slot *slot);
/* A slot that had ended has something to close. */
void slots_reopen(struct broker *b, struct slot *slot);
/* The receipt is for other evidence than the slot's: it is the log's alone now, where its row stays.
 */
void slots_forget_receipt(struct slot *slot);

/* slot_row.c: a slot to its row and back. */
void slot_row_put(struct turn *t, const struct slot *slot);
_must_check_ int slot_row_load(struct broker *b, const struct row *row);
_must_check_ int slot_row_load_request(struct broker *b, const struct row *row);
_must_check_ int slot_row_load_receipt(struct broker *b, const struct row *row);

/* offers.c: offerings and which of them fits. */
void offers_on_offer(struct turn *t);
void offers_on_nodes(struct turn *t);
void offers_connected(struct turn *t, const struct did *node, bool connected);
_must_check_ int offers_load(struct broker *b, const struct row *row);
/* The best offering for the slot's request that was not tried yet, or NULL. */
struct offer *offers_match(struct broker *b, const struct slot *slot, int64_t now_ns);

/* post.c: requests, funding, cancelling. */
void post_on_request(struct turn *t);
void post_on_funded(struct turn *t);
void post_on_cancel(struct turn *t);
void post_fund(struct turn *t, struct slot *slot);
/* Asks for the money, with the best node where there is one. */
void post_first(struct turn *t, struct slot *slot);
/* Looks for the next node. */
void post_next(struct turn *t, struct slot *slot);
/* Asks the escrow to end it. */
void post_close(struct turn *t, struct slot *slot, enum basis basis);
void post_send_close(struct turn *t, struct slot *slot);

/* assign.c: assignments and what nodes answer. */
void assign_make(struct turn *t, struct slot *slot);
void assign_send(struct turn *t, struct slot *slot);
void assign_on_decline(struct turn *t);
void assign_on_evidence(struct turn *t);
void assign_payload_done(struct turn *t, struct slot *slot);
void assign_pull(struct turn *t, struct slot *slot);

/* seal.c: the log's batch, receipts, submissions. */
void seal_batch(struct turn *t);
void seal_send_submission(struct turn *t, struct slot *slot);
void seal_send_receipt(struct turn *t, const struct slot *slot, const struct did *to);
/* Signs the checkpoint of the tree as it stands. False where something does not fit. */
_must_check_ bool seal_checkpoint(struct broker *b);

/* outcome.c: what the escrow says, and what buyers are told. */
void outcome_on_outcome(struct turn *t);
void outcome_on_refused(struct turn *t);
void outcome_tell(struct turn *t, struct slot *slot, int64_t reply_to);
void outcome_on_query(struct turn *t);
bool outcome_may_fetch(const void *core, const struct did *who, const struct id *digest);
void outcome_on_fetch(struct turn *t);

/* time.c */
void time_tick(struct turn *t);
/*
 * The attempt is over without evidence: the next node, or none left. Where the node did not decline
 * itself, the next one waits until the escrow takes the earmark back.
 */
void time_next_attempt(struct turn *t, struct slot *slot, bool declined);
