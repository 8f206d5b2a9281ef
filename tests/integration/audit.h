#pragma once
/*
 * What must hold in a market at rest, read from snapshots of its daemons and from nothing else:
 * money, requests, evidence, log. It shares no code with the cores but the decoding of statements
 * and the hashes of the log.
 */
#include "proto/base/base.h"

#include <sqlite3.h>

#define AUDIT_PATH_MAX      512
#define AUDIT_COMPLAINT_MAX 512
#define AUDIT_EVIDENCE_MAX  16384

/* Evidence for which a node holds the broker's receipt. */
struct audit_receipt {
	struct id assignment;
	struct id evidence;
	struct id digest; /* of the ciphertext */
};

struct audit {
	/* Directories of snapshots. */
	char escrow[AUDIT_PATH_MAX];
	char broker[AUDIT_PATH_MAX];
	char node[AUDIT_PATH_MAX];
	/* Collected while the market ran. */
	struct audit_receipt receipts[AUDIT_EVIDENCE_MAX];
	size_t n_receipts;
	/* Results of audit_run(). */
	size_t n_transfers, n_requests, n_settled, n_evidence, n_entries;
	char complaint[AUDIT_COMPLAINT_MAX];
};

/* Adds the receipts that the node of this snapshot holds now. False where it cannot be read. */
_must_check_ bool audit_collect(struct audit *audit, const char *node_dir);
/*
 * True where all holds; else `complaint` says what does not:
 * - the balances of each asset add up to nothing, none is negative but that of the rail, and each
 *   equals what its transfers come to; no transfer is missing; nothing is held any more;
 * - every request has ended, at broker and escrow alike, and has at most one settlement;
 * - all evidence that a node got a receipt for, or was paid for, is at the broker with its payload
 *   and its entry in the log; the log's entries give the root of its checkpoint;
 * - no two pieces of evidence, wherever they lie, are for the same assignment.
 */
_must_check_ bool audit_run(struct audit *audit);
