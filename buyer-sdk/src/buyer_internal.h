#pragma once
/* What the files of the buyer's core share; buyer.h says what it is. */
#include "buyer-sdk/src/buyer.h"
#include "proto/core/heap.h"
#include "proto/core/idmap.h"

struct pending {
	uint8_t *bytes; /* what the bundle's spans point into */
	struct bundle bundle;
	uint64_t ticket; /* of the pull */
	uint8_t content_key[SEAL_KEY];
};

struct open_request {
	bool used;
	bool posting; /* REQUEST is repeated; else QUERY */
	bool ended;
	bool dirty; /* a result waits */
	bool forgotten;
	enum buyer_result_kind kind; /* of the waiting result */
	uint64_t ticket;
	struct id id;
	struct id cancel; /* zero: none */
	bool asked; /* by a query that has no answer yet */
	int64_t state;
	enum refusal code;
	char field[65];
	struct moment history[MESSAGE_HISTORY_MAX];
	size_t n_history;
	struct did node;
	int64_t price_micros;
	int64_t next_ns;
	int64_t wait_ns;
	struct pending *pending;
	struct buyer_result *ready; /* the opened bundle */
};

struct wallet_call {
	bool used;
	bool done;
	enum buyer_call_kind kind;
	struct buyer_call call;
	struct id nonce; /* echoed by refusals as their target */
	struct buyer_result result; /* once done */
};

struct buyer {
	struct buyer_config config;
	struct open_request requests[BUYER_REQUESTS_MAX];
	struct idmap by_id;
	struct heap deadlines;
	size_t next_result;
	uint64_t n_tickets;
	struct wallet_call wallet[BUYER_WALLET_MAX]; /* a ring */
	size_t wallet_first;
	size_t n_wallet;
	int64_t wallet_next_ns;
	int64_t wallet_wait_ns;
	size_t wallet_sent; /* times the call under way was sent */
	size_t wallet_owed; /* answers to earlier calls that may still come */
	struct statement room[MESSAGE_STATEMENTS_MAX];
};

struct buyer_step {
	struct buyer *buyer;
	const struct event *event;
	struct effects *fx;
	size_t n_sent;
};

/* buyer.c */
struct open_request *buyer_find(struct buyer *buyer, const struct id *id);
void buyer_schedule(struct buyer *buyer, struct open_request *r, int64_t at_ns, int64_t wait_ns);
void buyer_end(struct buyer_step *s, struct open_request *r);

/* buyer_bundle.c */
void buyer_bundle_take(struct buyer_step *s, struct open_request *r);
void buyer_bundle_pulled(struct buyer_step *s);
void buyer_bundle_pending_free(struct pending *pending);

/* buyer_wallet.c */
void buyer_wallet_call(struct buyer_step *s, const struct buyer_call *call);
void buyer_wallet_send(struct buyer_step *s);
void buyer_wallet_message(struct buyer_step *s);
void buyer_wallet_refused(struct buyer_step *s);
bool buyer_wallet_result(struct buyer *buyer, struct buyer_result *ret_result);
