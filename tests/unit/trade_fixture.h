#pragma once
/* One purchase with all its identities and signed statements, for the tests of node and buyer. */
#include "proto/core/core.h"
#include "proto/statement/payload.h"

#define TRADE_NOW       INT64_C(1800000000000000000)
#define TRADE_VERIFIERS 3
#define TRADE_PANEL     2

struct trade_party {
	struct signer root;
	struct author author;
	uint8_t encryption_secret[32];
	struct span keys; /* the keys statement */
};

struct trade_statement {
	enum statement_kind kind;
	struct id id;
	struct span bytes;
};

struct trade {
	struct trade_party buyer, node, broker, escrow, verifiers[TRADE_VERIFIERS], stranger;
	struct keyring *keyring;
	/* To be changed between two steps of the trade; the trade_ functions sign them. */
	struct request request_body;
	struct trade_statement request, hold, assignment, evidence, draw, verdicts[TRADE_PANEL],
		release, settlement;
	struct span checkpoint; /* before the evidence */
	struct span note; /* with the evidence */
	struct span receipt;
	uint8_t content_key[32];
	struct span plain;
	struct span ciphertext;
	struct id draw_secret;
	struct id offering;
	uint8_t n_salts;
	struct buf arena;
	uint8_t room[512 * 1024];
	struct opened opened;
	uint8_t frame[MESSAGE_MAX];
};

struct trade *trade_new(void);
void trade_free(struct trade *t);

/* Signs a body as a party; market, salt and time are set unless they stand. */
struct trade_statement trade_sign(
	struct trade *t, const struct trade_party *who, enum statement_kind kind, void *body);

void trade_request(struct trade *t);
/* Hold with earmark inside, and assignment. at_ns and challenge follow from the request. */
void trade_hold(struct trade *t, int64_t price_micros);
struct assignment trade_assignment_body(struct trade *t, int64_t price_micros);
void trade_assign(struct trade *t, int64_t price_micros);
/* Receipt and note for an evidence's id. */
void trade_log(struct trade *t, const struct id *evidence);
/* Sealed payload, evidence, log, draw, verdicts, release, settlement. */
void trade_settle(struct trade *t);

/* The message with these statements as a core gets it: encoded, opened, verified. */
const struct opened *trade_open(struct trade *t, struct message *m,
	const struct trade_statement *const *statements, size_t n);
