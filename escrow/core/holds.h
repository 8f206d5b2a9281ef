#pragma once
/*
 * What the escrow knows of each request that it holds money for: the terms that the request fixed,
 * the progress of its one slot (proto/core/slot.h), and while it is open the pool and the proof of
 * the log. Finds, adds, times and ends them; what happens to them is fund.h, submit.h, panel.h,
 * verdict.h, closing.h, settle.h and timeout.h.
 *
 * Invariants (holds_check), beside the ledger's:
 * 1. For each asset, the HELD accounts together equal the open holds.
 * 2. A hold is open, with an open part, or it has ended with exactly one settlement.
 * 3. From ASSIGNED on a node is earmarked; from COMMITTED on evidence is there.
 * 4. In VERIFYING the panel is drawn; a release exists only with evidence, and before an end that
 *    pays.
 * 5. Every open hold stands in the heap: it ends even where everybody is silent.
 */
#include "escrow/core/ledger.h"
#include "proto/core/heap.h"
#include "proto/core/rules.h"
#include "proto/core/slot.h"
#include "proto/seal/seal.h"
#include "proto/tlog/proof.h"

#define HOLDS_OWED_MAX \
	(LINES_MAX - 3) /* verifiers in one settlement, beside node, fee and rest \
			 */
#define HOLDS_NOTE_MAX  1024
#define HOLDS_DIRTY_MAX 64

struct terms {
	struct did buyer;
	struct did broker;
	int asset;
	int64_t price_micros;
	int64_t fee_ppm;
	int64_t verifier_ppm;
	int64_t attempt_fee_micros;
	int64_t attempts;
	int64_t panel_n;
	int64_t panel_k;
	int64_t t_commit_ms;
	int64_t t_deliver_ms;
	int64_t t_verify_ms;
	int64_t t_dispute_ms;
	int64_t t_arbitrate_ms;
	int64_t on_silence;
	int64_t expires_ns;
	int64_t held_micros;
	struct id encryption_key; /* the buyer's X25519 key */
	uint8_t salt[16]; /* of the request */
};

/* A drawn verifier and what it said. */
struct vote {
	bool present;
	struct did verifier;
	struct id verdict; /* zero: none yet */
	int64_t outcome;
	struct id digest; /* of the plaintext, where a pass named it */
};

/* What a verifier of an earlier, failed attempt has earned. */
struct owed {
	bool present;
	struct did verifier;
	int64_t amount_micros;
};

/* The slot's row, as it is coded (hold_row.c). */
struct progress {
	bool present;
	int64_t attempts_used; /* earmarks given */
	struct id hold;
	struct id offering;
	struct id earmark; /* the hold's id where it travelled inside */
	struct did node;
	int64_t price_micros;
	int64_t earmark_at_ns;
	int64_t until_ns; /* of the earmark */
	struct id decline; /* the last one that counted */
	struct id assignment;
	struct id evidence;
	struct id failed_evidence; /* of the attempt before */
	int64_t failed_attempt;
	struct id cipher_digest;
	int64_t cipher_size;
	struct span wrapped_key; /* for the escrow; in wrapped_room */
	bool measurement; /* may be sold again */
	bool from_node; /* came by the escrow's own door alone: the broker may not have it */
	bool payload_here; /* durable in the escrow's store */
	bool payload_inline; /* as a row, so that it travels inside messages */
	struct id draw;
	struct vote votes[PANEL_MAX];
	size_t n_votes;
	struct owed owed[HOLDS_OWED_MAX];
	size_t n_owed;
	int64_t basis; /* of the settlement to come */
	int64_t code; /* enum refusal: why it failed, where verdicts do not say it */
	struct id code_target; /* e.g. the evidence that was sold before */
	struct id release;
	struct id settlement;
	uint8_t wrapped_room[SEAL_WRAPPED];
};

struct open_part {
	struct did pool[POOL_MAX];
	size_t n_pool;
	uint8_t receipt[RECEIPT_MAX];
	size_t receipt_n;
	uint8_t note[HOLDS_NOTE_MAX];
	size_t note_n;
	uint8_t content_key[SEAL_KEY];
	bool has_content_key;
	int64_t retry_at_ns; /* INT64_MAX: nothing is repeated */
	int64_t retry_ns; /* the pause before the next */
	uint32_t work; /* number of the newest piece of work */
	bool working;
	size_t promised; /* accounts that the settlement may need */
};

struct slot {
	bool used;
	bool dirty;
	enum slot_state state;
	int64_t deadline_ns; /* of the state */
	struct id request;
	struct terms terms;
	struct progress progress;
	struct open_part *open; /* NULL: ended */
	uint32_t verifying_next; /* list of slots in VERIFYING; own index + 1, 0: end */
	uint32_t verifying_prev;
};

struct operation {
	int64_t bucket; /* hours: expiry, rounded up */
	struct id id;
	struct id content;
	int64_t seq; /* of the transfer */
};

struct seen_entry {
	struct id digest;
	struct id evidence;
};

struct escrow {
	struct escrow_config config;
	struct did me;
	struct ledger ledger;

	struct slot *slots;
	size_t n_slots; /* capacity */
	size_t n_used;
	uint32_t *free_slots;
	size_t n_free;
	struct open_part *opens;
	uint32_t *free_opens;
	size_t n_free_opens;
	struct idmap by_request;
	struct idmap by_digest; /* ciphertext to slot, the first that brought it */
	struct heap timers;
	struct heap ended; /* by the request's end, to make room */
	uint32_t verifying; /* first of the list: index + 1 */
	int64_t start_ns;

	uint32_t dirty[HOLDS_DIRTY_MAX];
	size_t n_dirty;

	int64_t sequence; /* of holds and settlements */
	struct id previous;
	bool chain_dirty;

	struct operation *operations; /* ring, oldest first */
	size_t n_operations; /* capacity */
	uint64_t operations_first;
	uint64_t operations_next;
	struct idmap by_operation;

	struct seen_entry *seen; /* ring by number */
	size_t n_seen; /* capacity */
	int64_t seen_next; /* number of the next entry, from 1 */
	int64_t seen_first;
	struct idmap by_seen;
};

/* One event on its way through the core. */
struct turn {
	struct escrow *e;
	const struct event *event;
	struct effects *fx;
	uint32_t counter; /* for author_common() and event_random() */
};

/* 0 or -ENOMEM. Owes a holds_deinit(). */
_must_check_ int holds_init(struct escrow *e, uint64_t secret);
void holds_deinit(struct escrow *e);

struct slot *holds_find(const struct escrow *e, const struct id *request);
uint32_t holds_index(const struct escrow *e, const struct slot *slot);
/* A new open slot in POSTED, or NULL: full even after forgetting ended ones that have expired. */
struct slot *holds_add(struct turn *t, const struct id *request);
/* Takes a free slot for a loaded row; NULL where none is left. */
struct slot *holds_load_slot(struct escrow *e, const struct id *request);
/* Gives a loaded slot its open part; false where none is left. */
_must_check_ bool holds_load_open(struct escrow *e, struct slot *slot);

/* Takes the state table's step. False, and nothing, where the event does not apply. */
_must_check_ bool holds_move(struct turn *t, struct slot *slot, enum slot_event event);
/* The same where the caller knows that it applies. */
void holds_must_move(struct turn *t, struct slot *slot, enum slot_event event);
/* Sets the state's deadline and when to repeat; INT64_MAX: never. */
void holds_deadline(struct turn *t, struct slot *slot, int64_t at_ns);
/* The deadline as it counts: never within ESCROW_START_GRACE_NS of a start. */
int64_t holds_deadline_at(const struct escrow *e, const struct slot *slot);
void holds_retry(struct escrow *e, struct slot *slot, int64_t at_ns);
/* Puts off the next repetition by the pause, and doubles it. */
void holds_back_off(struct turn *t, struct slot *slot);
/* Puts the slot's earliest time into the heap. */
void holds_time(struct escrow *e, struct slot *slot);
/* Notes that the slot's row must be written in this step. */
void holds_touch(struct turn *t, struct slot *slot);
/* Writes the rows of what was touched. */
void holds_flush(struct turn *t);
/* The slot has its settlement: gives back the open part. */
void holds_end(struct turn *t, struct slot *slot);
/* Enters a loaded slot into list, heaps and map of digests. */
void holds_resume(struct escrow *e, struct slot *slot);

/* Next link of the chain of holds and settlements. */
int64_t holds_chain_next(const struct escrow *e);
void holds_chain_add(struct escrow *e, const struct id *statement);

/* The draw's secret (statements.md, rule 6). */
struct id holds_draw_secret(const struct escrow *e, const struct id *request);
/* The content key, unwrapped once per process; NULL where it cannot be. */
const uint8_t *holds_content_key(struct escrow *e, struct slot *slot);
/* Remembers the slot as the one with this ciphertext, unless another is. */
void holds_know_digest(struct escrow *e, struct slot *slot);

/* Forgets the evidence of an attempt that failed, but for its id. */
void holds_clear_attempt(struct turn *t, struct slot *slot);

/* All that the money of a slot comes to at a price. */
struct rules_money holds_money(const struct terms *terms, int64_t price_micros);

void holds_check(const struct escrow *e);
