#pragma once
/*
 * The simulator's own small cores. A buyer posts what the workload gives it, asks until each
 * request has ended, and never loses one. A verifier keeps nothing: it judges what it is drawn for.
 */
#include "proto/core/core.h"
#include "proto/seal/seal.h"

#define BUYER_REQUESTS_MAX  4096
#define BUYER_DEPOSITS_MAX  16
#define BUYER_STATE_REFUSED 255 /* beside enum slot_state: the broker did not take it */

enum {
	BUYER_WORK_POST = WORK_OWN, /* detail: struct buyer_post */
	BUYER_WORK_CANCEL, /* detail: struct id */
	BUYER_WORK_DEPOSIT, /* detail: struct buyer_deposit */
};

enum buyer_table { BUYER_TABLE_REQUEST = 2, BUYER_TABLE_DEPOSIT = 3 };

/* request | state, code, expires, cancel */
struct buyer_post {
	struct id request;
	int64_t expires_ns;
	size_t n;
	uint8_t bytes[4096];
};

struct buyer_deposit {
	uint8_t operation[16];
	int64_t amount_micros;
};

enum {
	VERIFIER_WORK_JUDGE =
		WORK_OWN, /* detail: struct verifier_job; ends with struct verifier_word */
};

#define VERIFIER_JOBS_MAX 512

struct verifier_job {
	struct id request;
	struct id assignment;
	struct id evidence;
	struct id draw;
	struct id digest; /* of the ciphertext, which is in the store */
	uint8_t wrapped[SEAL_WRAPPED];
	struct id log_view;
};

struct verifier_word {
	struct verifier_job job;
	int64_t outcome;
	bool has_digest;
	uint8_t sealed_digest[32 + SEAL_SMALL_EXTRA];
	bool late; /* the job is done long after t_verify: for the shell */
};

void *buyer_new(const struct author *author, const struct did *escrow, const struct did *broker);
void *verifier_new(const struct author *author, const struct keyring *keyring,
	const struct did *escrow, const struct did *broker);
/* Requests of the buyer that have not ended, and deposits that were not confirmed. */
size_t buyer_open(const void *core);
