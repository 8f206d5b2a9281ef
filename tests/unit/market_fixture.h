#pragma once
/*
 * A small market for tests of cores: identities made from seeds, a keyring that knows them, and one
 * valid statement of every kind to start from. A test takes a body, spoils what it wants to see
 * refused, and signs it. Everything lives until market_deinit().
 */
#include "proto/core/core.h"
#include "proto/core/rules.h"
#include "proto/seal/seal.h"
#include "proto/statement/payload.h"
#include "proto/tlog/proof.h"

#define MARKET_VERIFIERS 6
#define MARKET_NODES     2
#define MARKET_START_NS  (INT64_C(1790000000) * NS_PER_S)
#define MARKET_PRICE     INT64_C(1000000)

struct market_party {
	struct did did;
	struct signer signer; /* the working key, for the did */
	uint8_t encryption_secret[32];
	uint8_t encryption_public[32];
	struct statement *keys;
};

struct market {
	struct keyring *keyring;
	struct span name;
	struct market_party buyer, other_buyer, broker, other_broker, escrow;
	struct market_party nodes[MARKET_NODES];
	struct market_party verifiers[MARKET_VERIFIERS];
	int64_t now_ns;
	uint64_t counter; /* makes salts and entropy differ, the same in each run */
	struct opened *opened; /* the message that is being built */
	uint8_t *arena; /* of statements and their bytes */
	struct buf room;
};

/* 0 or -ENOMEM. */
_must_check_ int market_init(struct market *m);
void market_deinit(struct market *m);

/* Signs body as a statement of party and decodes it again; aborts where that is refused. */
struct statement *market_sign(
	struct market *m, const struct market_party *party, enum statement_kind kind, void *body);
/* Decodes and copies bytes that a core has signed. */
struct statement *market_take(struct market *m, struct span bytes);

/* Valid bodies: common fields filled, not signed. */
struct request market_request(struct market *m);
struct offering market_offering(struct market *m, const struct market_party *node);
/* For the earmark in hold, or in earmark (an own statement) where that is not NULL. */
struct assignment market_assignment(struct market *m, const struct statement *request,
	const struct statement *hold, const struct statement *earmark, const struct id *offering);
/* Of plain, sealed into ret_blob under market_content_key(). */
struct evidence market_evidence(struct market *m, const struct statement *assignment,
	struct span plain, const char *type, struct span *ret_blob);
struct verdict market_verdict(struct market *m, const struct statement *evidence,
	const struct id *draw, struct span plain, enum check_result_value outcome);
struct claim market_cancel(struct market *m, const struct id *request);
struct answer market_decline(
	struct market *m, const struct id *request, const struct id *assignment);

/* The content key of every evidence here. */
extern const uint8_t market_content_key[SEAL_KEY];

/* Receipt and checkpoint of a log of this broker that holds the evidence alone. */
void market_receipt(struct market *m, const struct market_party *broker, const struct id *evidence,
	struct span *ret_receipt, struct span *ret_note);

/* Starts a message in m->opened and gives it to fill in. */
struct message *market_message(struct market *m, enum message_type type);
/* Adds a statement to it; NULL is passed over. */
void market_attach(struct market *m, const struct statement *s);
