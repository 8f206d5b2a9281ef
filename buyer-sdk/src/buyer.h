#pragma once
/*
 * The SDK's pure core: it posts requests, asks until they end, opens and checks what comes, and
 * talks to the wallet. It keeps nothing on disk: whoever starts anew asks for his requests by their
 * ids. Calls come in as EVENT_WORK with kinds of enum buyer_call_kind, results are taken out with
 * buyer_next_result(), both in the shell's thread.
 *
 * Invariants, see buyer_ops.check:
 * 1. A request in use is found under its id, and stands in the heap unless it has ended.
 * 2. Results are a flag of each request or call, so nothing queues up: what a slow reader gets is
 *    the newest state.
 */
#include "buyer-sdk/src/bundle.h"
#include "proto/core/core.h"
#include "proto/core/rules.h"
#include "proto/core/slot.h"
#include "proto/seal/seal.h"

#define BUYER_REQUESTS_MAX  1024 /* open at once, and ended ones whose result was not taken */
#define BUYER_WALLET_MAX    32 /* calls to the wallet that wait */
#define BUYER_SECRETS_MAX   4 /* encryption keys: the newest and those of open requests */
#define BUYER_REPEAT_MIN_NS NS_PER_S
#define BUYER_REPEAT_MAX_NS (10 * NS_PER_S)
#define BUYER_SENDS_MAX     8 /* messages of one step */

struct buyer_config {
	struct author author;
	uint8_t encryption_secrets[BUYER_SECRETS_MAX][32]; /* X25519 */
	size_t n_encryption_secrets;
	struct keyring *keyring;
	struct did broker;
	struct did escrow;
	uint64_t secret; /* of the id map */
};

/* EVENT_WORK kinds; the ticket is the caller's and comes back in the result; detail: struct
 * buyer_call. */
enum buyer_call_kind {
	BUYER_CALL_POST = WORK_OWN, /* statement: the signed request */
	BUYER_CALL_QUERY = WORK_OWN + 1, /* request; also one that this life did not post */
	BUYER_CALL_CANCEL = WORK_OWN + 2, /* request */
	BUYER_CALL_FORGET = WORK_OWN + 3, /* request: no more results are wanted */
	BUYER_CALL_DEPOSIT = WORK_OWN + 4, /* operation, asset, amount_micros */
	BUYER_CALL_BALANCE = WORK_OWN + 5,
	BUYER_CALL_HISTORY = WORK_OWN + 6, /* cursor */
	BUYER_CALL_NODES = WORK_OWN + 7,
	BUYER_CALL_REQUESTS = WORK_OWN + 8, /* cursor; this identity's own, the newest first */
};

struct buyer_call {
	struct id request;
	uint8_t operation[16]; /* idempotency key: the same one gives the same deposit */
	char asset[129];
	int64_t amount_micros;
	int64_t cursor;
	size_t n_statement;
	uint8_t statement[REQUEST_BYTES_MAX];
};

enum buyer_result_kind {
	BUYER_STATUS = 1, /* the request's state, and what is known */
	BUYER_BUNDLE = 2, /* the request is served: bundle and payload */
	BUYER_REFUSED = 3, /* code and field: of a request (which has then ended) or of a call */
	BUYER_BAD_BUNDLE = 4, /* the broker sent what does not hold: code, field names the link. It
				 is asked again */
	BUYER_ACCOUNT = 5,
	BUYER_NODES = 6,
	BUYER_REQUEST_LIST = 7,
};

struct buyer_balance {
	struct did account;
	int64_t account_purpose;
	char asset[129];
	int64_t amount_micros;
};

struct buyer_transfer {
	struct buyer_balance line; /* of the receiver */
	struct did from;
	int64_t from_purpose;
	int64_t seq;
	int64_t at_ns;
	int64_t kind;
	struct id request;
};

struct buyer_account {
	struct buyer_balance balances[MESSAGE_BALANCES_MAX];
	size_t n_balances;
	struct buyer_transfer transfers[MESSAGE_BALANCES_MAX];
	size_t n_transfers;
	int64_t cursor;
};

struct buyer_offering {
	struct did node;
	struct id id;
	char kind[65];
	char asset[129];
	int64_t price_micros;
	struct place cell;
	int64_t sources;
	bool connected; /* its node is there now */
};

struct buyer_nodes {
	struct buyer_offering offerings[MESSAGE_STATEMENTS_MAX];
	size_t n_offerings;
	int64_t cursor; /* for the next page; 0: this was the last */
};

struct buyer_requests {
	struct summary requests[MESSAGE_REQUESTS_MAX];
	size_t n_requests;
	int64_t cursor; /* of the next page; 0: there is none */
};

/* Owned by the caller: free with buyer_result_deinit(). */
struct buyer_result {
	enum buyer_result_kind kind;
	uint64_t ticket; /* of the call that began it */
	struct id request;
	int64_t state; /* enum slot_state */
	enum refusal code;
	char field[65];
	struct moment history[MESSAGE_HISTORY_MAX];
	size_t n_history;
	struct did node;
	int64_t price_micros;
	bool ended; /* nothing more will come for this request */
	/* BUNDLE */
	uint8_t *bundle; /* the file's bytes */
	size_t n_bundle;
	uint8_t *payload; /* plaintext */
	size_t n_payload;
	char type[65];
	int64_t tier;
	int64_t paid_micros;
	struct place place;
	int64_t accuracy_m;
	int64_t captured_at_ns;
	bool logged;
	/* ACCOUNT, NODES, REQUEST_LIST */
	struct buyer_account *account;
	struct buyer_nodes *nodes;
	struct buyer_requests *requests;
};
void buyer_result_deinit(struct buyer_result *result);

struct buyer;

/* 0, -ENOMEM or -EINVAL. */
_must_check_ int buyer_new(const struct buyer_config *config, struct buyer **ret_buyer);
void buyer_free(struct buyer *buyer);
static inline void buyer_freep(struct buyer **buyer)
{
	buyer_free(*buyer);
}

extern const struct core_ops buyer_ops;

/*
 * Signs a request: fills the common part (salt from 16 fresh random bytes, audience, time), broker
 * and escrow, and appends the statement to out. Any thread may call it. A refusal names the field
 * whose rule the request breaks.
 */
_must_check_ enum refusal buyer_sign_request(const struct buyer_config *config,
	const uint8_t random[static 16], int64_t now_ns, struct request *request, struct buf *out,
	struct id *ret_id, const char **ret_field);

/*
 * What the EVENT_WORK kinds do, for callers inside a step. A refusal: REQUEST_UNKNOWN,
 * TOO_MANY_REQUESTS, or what is wrong with the statement; nothing was then done.
 */
_must_check_ enum refusal buyer_post(struct buyer *buyer, const struct event *event,
	struct span statement, uint64_t ticket, struct effects *fx, struct id *ret_request);
_must_check_ enum refusal buyer_query(struct buyer *buyer, const struct event *event,
	const struct id *request, uint64_t ticket, struct effects *fx);
_must_check_ enum refusal buyer_cancel(struct buyer *buyer, const struct event *event,
	const struct id *request, struct effects *fx);

/* Takes the next result. False where there is none. */
bool buyer_next_result(struct buyer *buyer, struct buyer_result *ret_result);
