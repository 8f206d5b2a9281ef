#pragma once
/*
 * One sold observation in signed statements, for the tests of the verifier: five parties with their
 * keys, and request, hold, assignment, evidence, receipt, note and draw that belong together. A
 * test's tamper function sees each body right before it is signed, when all that it must cite is
 * filled in, so that a wrong field still comes under a right signature.
 */
#include "escrow/verify/verify.h"
#include "proto/seal/seal.h"
#include "proto/tlog/receipt.h"

#define FIXTURE_NOW_NS    (INT64_C(1800000000) * NS_PER_S)
#define FIXTURE_PLAIN_MAX (256 * 1024)

enum fixture_party {
	FIXTURE_BUYER,
	FIXTURE_BROKER,
	FIXTURE_ESCROW,
	FIXTURE_NODE,
	FIXTURE_VERIFIER, /* the first of the pool */
	FIXTURE_STRANGER, /* the second of the pool */
	FIXTURE_PARTIES,
};

/* When the tamper function is called: before a statement of that kind is signed, or: */
enum fixture_stage {
	FIXTURE_SEAL = 100, /* before payload and claims are sealed */
	FIXTURE_LOG = 101, /* before receipt and note are made */
	FIXTURE_DONE = 102, /* everything is there */
};

struct fixture {
	struct signer signers[FIXTURE_PARTIES];
	uint8_t encryption_secret[FIXTURE_PARTIES][32];
	struct keyring *keyring;
	uint8_t salts[64][16];
	size_t n_salts;

	struct request request;
	struct hold hold;
	struct earmark earmark;
	struct assignment assignment;
	struct evidence evidence;
	struct draw draw;
	bool own_earmark; /* it travels beside the hold */
	bool direct; /* without receipt and note */

	const uint8_t *plain;
	size_t n_plain;
	struct claims claims;
	struct id draw_secret;
	struct id logged; /* what the log's entry says */
	enum fixture_party log_signer;
	enum fixture_party signed_by[STATEMENT_KINDS];

	uint8_t bytes[STATEMENT_KINDS][8192];
	struct statement statements[STATEMENT_KINDS];
	uint8_t sealed[FIXTURE_PLAIN_MAX + 4096];
	uint8_t sealed_claims[1024];
	uint8_t wrapped[SEAL_WRAPPED];
	uint8_t receipt[RECEIPT_MAX];
	uint8_t note[NOTE_MAX];

	struct verify_input input;
};

typedef void fixture_tamper(struct fixture *f, int stage);

/*
 * Makes all of it anew; tamper may be NULL. The request asks for a photograph of 64 x 48 near
 * (52.5, 13.4) with the checks decodes, dimensions and place binding. jpeg: the payload.
 */
void fixture_make(struct fixture *f, struct span plain, fixture_tamper *tamper);
void fixture_deinit(struct fixture *f);

/* The keys statement of a party, as bytes appended to out. */
void fixture_keys(const struct fixture *f, enum fixture_party party, struct buf *out);

/* Asks for a measurement in unit within low..high * 10^exponent instead, and only for unit-range.
 */
void fixture_ask_value(
	struct fixture *f, const char *unit, int64_t low, int64_t high, int64_t exponent);

/* An encoded measurement of mantissa * 10^exponent. Returns its bytes, in room. */
struct span fixture_measurement(
	const char *unit, int64_t mantissa, int64_t exponent, struct buf *room);
