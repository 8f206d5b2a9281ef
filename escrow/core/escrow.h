#pragma once
/*
 * The escrow's core: whether money moves. It keeps a ledger in double entry, holds money against a
 * buyer's signed request, draws the verifiers, counts their verdicts, hands the content key to the
 * buyer and settles; ../DESIGN.md. Driven through escrow_ops (proto/core/core.h). Leaves signatures
 * of incoming statements to the shell, and media to the verifiers.
 *
 * All memory is taken by escrow_new(); pages that were never used cost address space alone.
 */
#include "proto/core/core.h"

/* Defaults of the capacities in escrow_config. */
#define ESCROW_OPEN_DEFAULT       65536 /* holds that have not ended */
#define ESCROW_HOLDS_DEFAULT      131072 /* the same and those that ended and are still remembered */
#define ESCROW_ACCOUNTS_DEFAULT   262144
#define ESCROW_TRANSFERS_DEFAULT  16384 /* newest transfers, for HISTORY */
#define ESCROW_OPERATIONS_DEFAULT 65536 /* deposits whose repetition is recognised */
#define ESCROW_SEEN_DEFAULT       262144 /* plaintext digests that were sold */

#define ESCROW_ASSETS_MAX  16
#define ESCROW_DEPOSIT_MAX (INT64_C(1000000) * 1000000) /* micros, in one DEPOSIT */
#define ESCROW_SUPPLY_MAX  (MICROS_MAX / 4) /* micros of play money of one asset, in all */

#define ESCROW_RETRY_FIRST_NS   (2 * NS_PER_S) /* DRAW and PULL are repeated, doubling up to: */
#define ESCROW_RETRY_MOST_NS    (30 * NS_PER_S)
#define ESCROW_START_GRACE_NS   (30 * NS_PER_S) /* after a start silence ends nothing for so long */
#define ESCROW_EARMARK_GRACE_NS (2 * CLOCK_SKEW_NS) /* beyond t_commit + t_deliver */
#define ESCROW_OPERATION_NS \
	(INT64_C(86400) * NS_PER_S) /* a deposit's id is kept at least so long */

/* Rows beyond statement and payload; the numbers are those of escrow_ops.tables. */
enum escrow_table {
	ESCROW_TABLE_ACCOUNT = 2, /* id | owner, purpose, asset, balance */
	ESCROW_TABLE_TRANSFER = 3, /* seq | hash, at, kind, from, purpose, to, purpose, asset,
				      amount, request */
	ESCROW_TABLE_SLOT = 4, /* request | state, deadline, progress */
	ESCROW_TABLE_HOLD = 5, /* request | terms: what the request fixed; loaded after slots */
	ESCROW_TABLE_PROOF = 6, /* request | receipt, note */
	ESCROW_TABLE_OPERATION = 7, /* expires bucket, id | seq */
	ESCROW_TABLE_SEEN = 8, /* seq | digest, evidence */
	ESCROW_TABLE_CHAIN = 9, /* 1 | sequence, newest hold or settlement */
	ESCROW_TABLES = 10,
};

/* transfer.kind, on disk and on the wire: append only. */
enum transfer_kind {
	TRANSFER_DEPOSIT = 1,
	TRANSFER_HOLD = 2,
	TRANSFER_PAY = 3, /* price, fee and attempt fee */
	TRANSFER_VERIFIER = 4,
	TRANSFER_REFUND = 5,
};

struct escrow_config {
	struct author author; /* who signs: the escrow's did, working key, market */
	/* X25519, as in its keys statement. Neither this nor draw_secret_key may change while holds
	 * are open: evidence is wrapped for the one, commitments are made with the other. */
	uint8_t encryption_public[32];
	uint8_t encryption_secret[32];
	uint8_t draw_secret_key[32]; /* draw secret of a request = SHA-256(this || request id) */
	const struct keyring *keyring; /* must outlive the core */
	struct span assets[ESCROW_ASSETS_MAX]; /* served, e.g. "XTS"; copied */
	size_t n_assets;
	bool play_money; /* DEPOSIT creates money */
	size_t open; /* capacities; 0: default */
	size_t holds;
	size_t accounts;
	size_t transfers;
	size_t operations;
	size_t seen;
};

/* Work that the escrow's shell does for the core. */
enum escrow_work {
	/*
	 * The verifiers stayed silent: the escrow's own worker runs the gates and binding checks.
	 * Detail: struct escrow_verify_job; the payload is in the store, the statements too.
	 * Result: status 0 and struct escrow_verify_result, or a negative errno (tried again).
	 */
	ESCROW_WORK_VERIFY = WORK_OWN + 0,
};

struct escrow_verify_job {
	struct id request;
	struct id hold;
	struct id earmark; /* the hold's id where it travelled inside */
	struct id assignment;
	struct id evidence;
	struct id draw;
	struct id cipher_digest;
	uint8_t content_key[32];
};

struct escrow_verify_result {
	int64_t outcome; /* enum check_result_value */
	bool has_digest;
	struct id plain_digest; /* SHA-256 of the plaintext, for "seen before" */
	struct check_result checks[CHECKS_MAX]; /* for the log; spans are the shell's */
	size_t n_checks;
};

struct escrow;

/* 0, -ENOMEM, or -EINVAL where an asset is no name of 3 to 128 bytes. The caller frees. */
_must_check_ int escrow_new(const struct escrow_config *config, struct escrow **ret_escrow);
/* Clears the keys. Takes NULL. */
void escrow_free(struct escrow *escrow);

extern const struct core_ops escrow_ops;

struct escrow_counts {
	uint64_t open_holds;
	uint64_t ended_holds; /* remembered */
	uint64_t accounts;
	uint64_t transfers; /* ever */
	uint64_t sequence; /* of the chain of holds and settlements */
};

struct escrow_counts escrow_counts(const struct escrow *escrow);
