#pragma once
/* What the files of the node's core share; node.h says what it is. */
#include "proto/base/money.h"
#include "proto/cbor/cbor.h"
#include "proto/core/heap.h"
#include "proto/core/idmap.h"
#include "proto/core/slot.h"
#include "sensor-node/core/node.h"

/* Who answered about a row's evidence. On disk: append only. */
#define DOOR_BROKER_REFUSED 1
#define DOOR_ESCROW_REFUSED 2

/* When to send something again. */
struct repeat {
	int64_t next_ns; /* INT64_MAX: not at all */
	int64_t wait_ns;
};

struct node_row {
	bool used;
	enum node_state state;
	struct id assignment;
	struct id request;
	struct id hold;
	struct id earmark; /* of the hold where it travelled inside */
	int64_t doors;
	int64_t commit_by_ns;
	int64_t deliver_by_ns;
	int64_t price_micros;
	struct id answer; /* the evidence, or the decline */
	struct id digest; /* of the ciphertext */
	int64_t size; /* of the ciphertext */
	int64_t committed_at_ns;
	int64_t keep_until_ns;
	int64_t until_ns; /* of the earmark: until then a second assignment could name it */
	struct node_job job;
	/* not on disk */
	uint64_t ticket; /* of the running capture, or 0 */
	struct repeat broker;
	struct repeat escrow;
	struct did panel[PANEL_MAX]; /* verifiers that showed a draw */
	size_t n_panel;
};

struct node_offered {
	struct offering body; /* as signed, but for the common part */
	struct id id;
	struct id before; /* of the revision before this start; zero: none */
	int64_t revision;
	bool confirmed;
	struct repeat repeat;
};

struct node {
	struct node_config config;
	struct proof_memory proofs;
	struct node_offered offered[NODE_OFFERINGS_MAX];
	struct node_row *rows;
	uint32_t *spare; /* stack of rows not in use */
	size_t n_spare;
	size_t capacity;
	struct idmap by_assignment;
	struct idmap by_earmark;
	struct idmap by_answer;
	struct idmap by_digest;
	struct heap deadlines;
	size_t n_capturing;
	uint64_t n_tickets;
	int64_t sequence;
	struct id last; /* evidence */
};

/* One event's context. */
struct node_step {
	struct node *node;
	const struct event *event;
	struct effects *fx;
	uint32_t counter; /* of salts and other randomness */
	size_t n_sent;
};

/* node_row.c */
struct node_row *node_row_new(struct node *node, const struct id *assignment);
struct node_row *node_row_by(struct node *node, const struct idmap *map, const struct id *id);
void node_row_link(struct node *node, struct node_row *row);
/* Writes the row as it is now, and sets its deadline. */
void node_row_put(struct node_step *s, struct node_row *row);
void node_row_drop(struct node_step *s, struct node_row *row);
void node_row_schedule(struct node *node, struct node_row *row);
int node_row_load(struct node *node, const struct row *row);
void node_row_check(const struct node *node);

/* node_offer.c */
int node_offer_init(struct node *node);
void node_offer_start(struct node_step *s);
void node_offer_expedite(struct node_step *s);
void node_offer_due(struct node_step *s);
void node_offer_confirmed(struct node_step *s, const struct id *id);
int64_t node_offer_next(const struct node *node);
int node_offer_load(struct node *node, const struct row *row);
/* The index of the offering of that kind, or NODE_OFFERINGS_MAX. */
size_t node_offer_find(const struct node *node, struct span kind);

/* node_assign.c */
void node_assign(struct node_step *s);
void node_assign_decline(struct node_step *s, struct node_row *row, enum refusal reason);
void node_assign_capture(struct node_step *s, struct node_row *row);

/* node_evidence.c */
void node_evidence_captured(struct node_step *s);
void node_evidence_due(struct node_step *s, struct node_row *row);
void node_evidence_send(struct node_step *s, struct node_row *row);
void node_evidence_receipt(struct node_step *s);
void node_evidence_outcome(struct node_step *s);
void node_evidence_refused(struct node_step *s);
void node_evidence_fetch(struct node_step *s);

/* node.c */
void node_repeat_start(struct repeat *repeat, int64_t at_ns, int64_t wait_ns);
void node_repeat_next(struct repeat *repeat, int64_t now_ns, int64_t most_ns);
void node_repeat_stop(struct repeat *repeat);
