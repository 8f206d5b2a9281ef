#pragma once
/*
 * The append-only tree of RFC 9162 as its log keeps it in memory: the hashes of the complete
 * subtrees
 * ("frontier"), at most one per height, and the leaves of one open batch. Sealing a batch gives the
 * new root and an inclusion proof for each new leaf; older leaves' proofs are made from tiles by
 * whoever stores them. Files, signatures and entries are left to others.
 *
 * The order is: log_append() up to LOG_BATCH_MAX times, log_seal(), then read log_root(),
 * log_proof(), log_nodes() and log_save(), commit those to disk, log_next(), and again.
 *
 * Invariants, see log_check():
 * 1. frontier[h] counts where bit h of size is set, and is zero elsewhere.
 * 2. n_batch <= LOG_BATCH_MAX, and size + n_batch <= LOG_SIZE_MAX.
 * 3. Where sealed, each height's run of nodes is (size + n_batch >> h) - (size >> h) long.
 */
#include "proto/base/buf.h"
#include "proto/tlog/merkle.h"

#define LOG_BATCH_MAX 256 /* leaves in one batch */
#define LOG_HEIGHTS   63 /* heights of complete subtrees */
#define LOG_SIZE_MAX  ((uint64_t)INT64_MAX) /* leaves in all */
#define LOG_STATE_MAX (8 + LOG_HEIGHTS * 32) /* bytes of log_save() */
/* Complete nodes that one batch can finish: at most n/2^h + 1 at height h. */
#define LOG_NODES_MAX (2 * LOG_BATCH_MAX + LOG_HEIGHTS)

struct log {
	uint64_t size; /* leaves before the batch */
	struct id frontier[LOG_HEIGHTS]; /* complete subtree of 2^h leaves at the right end, by
					    height h */
	struct id
		nodes[LOG_NODES_MAX]; /* height 0: the batch's leaves; once sealed, all new nodes */
	struct id edge[LOG_HEIGHTS +
		       1]; /* the incomplete right end below height h, where there is one */
	uint16_t first[LOG_HEIGHTS + 1]; /* where in nodes the run of height h begins */
	size_t n_batch;
	struct id root;
	bool sealed;
};

/* An empty log with an empty batch. */
void log_init(struct log *log);
/*
 * The log of a state that log_save() wrote, with an empty batch. Whether it is the right state is
 * seen by log_seal() on the empty batch: the root must be that of the last checkpoint. 0 or
 * -EINVAL.
 */
_must_check_ int log_load(struct log *log, struct span state);

/*
 * Adds a leaf hash to the open batch; ret_index gets its index in the log. 0, -ENOBUFS where the
 * batch is full or sealed, or -EOVERFLOW where the log is.
 */
_must_check_ int log_append(struct log *log, const struct id *leaf, uint64_t *ret_index);
/* Closes the batch, which may be empty, and computes the new tree. Twice is once. */
void log_seal(struct log *log);
/* Makes the sealed tree the log and opens an empty batch. Not before log_seal(). */
void log_next(struct log *log);

/* Of a sealed log: leaves with the batch, and the root. */
uint64_t log_size(const struct log *log);
struct id log_root(const struct log *log);
/*
 * Of a sealed log: the inclusion proof (RFC 9162, 2.1.3.1) of the batch's i-th leaf in the new
 * tree, that of log_size() leaves. i < n_batch. Returns the number of hashes.
 */
size_t log_proof(const struct log *log, size_t i, struct id ret_path[static MERKLE_PROOF_MAX]);
/*
 * Of a sealed log: the hashes of the complete subtrees of 2^height leaves that the batch finished,
 * which is what tiles are made of. ret_first gets the first one's index at that height. They point
 * into log.
 */
const struct id *log_nodes(
	const struct log *log, unsigned height, uint64_t *ret_first, size_t *ret_n);
/* Of a sealed log: appends the new tree's state: u64be size, then its frontier from the highest
 * down. */
void log_save(const struct log *log, struct buf *out);

/* Asserts the invariants. */
void log_check(const struct log *log);
