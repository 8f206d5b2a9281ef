#pragma once
/*
 * Who stands behind the programs that keep nothing. A person is the durable part of an application
 * around the SDK's core (buyer-sdk/src/buyer.h): it knows what it wanted, and after a restart wants
 * it again. A verifier judges what it is drawn for, and forgets.
 */
#include "proto/core/core.h"
#include "proto/seal/seal.h"

#define PERSON_REQUESTS_MAX  900 /* fewer than the SDK has room for */
#define PERSON_DEPOSITS_MAX  8
#define PERSON_STATE_REFUSED 255 /* beside enum slot_state: the broker did not take it */

enum {
	PERSON_WORK_POST = WORK_OWN + 100, /* detail: struct person_post */
	PERSON_WORK_CANCEL, /* detail: struct id */
	PERSON_WORK_DEPOSIT, /* detail: struct person_deposit */
};

enum person_table {
	PERSON_TABLE_REQUEST = 2, /* request | state, code, bytes */
	PERSON_TABLE_DEPOSIT = 3, /* operation | amount, done */
};

struct person_post {
	struct id request;
	size_t n;
	uint8_t bytes[4096];
};

struct person_deposit {
	uint8_t operation[16];
	int64_t amount_micros;
};

enum {
	VERIFIER_WORK_JUDGE = WORK_OWN, /* detail: verifier_job; ends with verifier_word */
};

#define VERIFIER_JOBS_MAX 512

struct verifier_job {
	struct id request;
	struct id assignment;
	struct id evidence;
	struct id draw;
	struct id digest; /* of the ciphertext, which is in the store */
	uint8_t wrapped[SEAL_WRAPPED];
};

struct verifier_word {
	struct verifier_job job;
	int64_t outcome;
	bool has_digest;
	uint8_t sealed_digest[32 + SEAL_SMALL_EXTRA];
};

/* Whom a person's SDK core works for. secret: X25519. */
void *person_new(const struct author *author, struct keyring *keyring, const struct did *escrow,
	const struct did *broker, const uint8_t secret[static 32]);
void person_free(void *core);
/* Requests that have not ended, and deposits that were not confirmed. */
size_t person_open(const void *core);
/* What was wrong with a bundle that the broker sent, or NULL. */
const char *person_complaint(const void *core);

void *verifier_new(const struct author *author, const struct keyring *keyring,
	const struct did *escrow, const struct did *broker);

extern const struct core_ops person_ops;
extern const struct core_ops verifier_ops;
