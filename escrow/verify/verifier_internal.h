#pragma once
/*
 * What the files of the verifier's core share: the table of tickets, and the event at hand. Their
 * invariants are in verifier.h.
 */
#include "escrow/verify/verifier.h"
#include "proto/core/idmap.h"
#include "proto/seal/seal.h"

enum ticket_state { TICKET_FREE, TICKET_PULLING, TICKET_CHECKING, TICKET_ANSWERED };

struct ticket {
	enum ticket_state state;
	uint64_t number; /* of the pull or check that runs */
	struct id draw;
	struct id request;
	struct id assignment;
	struct id evidence;
	struct id cipher_digest;
	struct id log_view; /* zero: none */
	struct did broker;
	int64_t size; /* of the ciphertext */
	bool pulled_twice;
	bool from_escrow;
	uint8_t content_key[SEAL_KEY];
	struct verifier_job *job;

	struct id verdict;
	uint8_t bytes[VERIFIER_VERDICT_MAX];
	size_t n_bytes;
	int64_t repeat_ns; /* when to send it again; INT64_MAX: never */
	int64_t wait_ns;
	int64_t late_ns; /* when the escrow no longer counts it */
};

struct verifier {
	struct verifier_config config;
	struct idmap by_draw;
	struct ticket *tickets;
	size_t hand; /* where the next ticket is looked for */
	uint64_t number;
	size_t n_active;
	int64_t held;
	bool connected;
	int64_t enlist_ns;
	int64_t repeat_ns; /* no ticket repeats before */
	struct verifier_counts counts;
};

/* One event being worked on. */
struct turn {
	struct verifier *v;
	const struct event *event;
	struct effects *fx;
	uint32_t counter;
};

/* verifier_ticket.c */

/* Whether it is being worked on. */
bool verifier_ticket_active(const struct ticket *t);
/* A free ticket, or the one that was answered the longest ago: there are more than may be active.
 */
struct ticket *verifier_ticket_new(struct verifier *v, const struct id *draw);
/* NULL where it is not known. */
struct ticket *verifier_ticket_find(struct verifier *v, const struct id *draw);
/* The active one whose pull or check has that number, or NULL. */
struct ticket *verifier_ticket_numbered(struct verifier *v, uint64_t number);
/* It is no longer worked on: it was answered, or is free and forgotten. */
void verifier_ticket_end(struct verifier *v, struct ticket *t, enum ticket_state state);
/* Sends the verdict, with a row of it in case the shell's cache has dropped it since. */
void verifier_ticket_send(struct turn *turn, struct ticket *t);
/* Sets when the verdict is sent again, or that it is not any more. */
void verifier_ticket_repeat(struct verifier *v, struct ticket *t, int64_t now_ns);
/* Hands the job to the worker. */
void verifier_ticket_check(struct turn *turn, struct ticket *t);
/* Asks the shell for the payload. */
void verifier_ticket_pull(struct turn *turn, struct ticket *t);

/* verifier_draw.c: the DRAW in the event. REFUSED_NOT, also where it is known already, or why not.
 */
_must_check_ enum refusal verifier_draw_take(struct turn *turn);
