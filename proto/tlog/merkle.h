#pragma once
/*
 * The Merkle tree of RFC 9162, 2.1, with SHA-256: hashing, and the two proofs that a reader checks.
 * Making proofs needs a tree, and that is the broker's log. No memory is allocated.
 */
#include "proto/base/base.h"
#include "proto/base/refusal.h"

/* Hashes in a proof: a tree of 2^64 leaves is 64 high. A consistency proof may hold one more. */
#define MERKLE_PROOF_MAX 64

/* RFC 9162, 2.1.1: SHA-256(00 || entry), SHA-256(01 || left || right), and the root of no entries.
 */
struct id merkle_leaf(struct span entry);
struct id merkle_node(const struct id *left, const struct id *right);
struct id merkle_empty(void);

/*
 * The root that follows from leaf at index in a tree of size leaves (RFC 9162, 2.1.3.2). The root
 * says nothing about index and size beyond the shape of the path: whoever needs them compares with
 * a checkpoint. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal merkle_inclusion_root(const struct id *leaf, uint64_t index,
	uint64_t size, const struct id *proof, size_t n_proof, struct id *ret_root);

/* The same, and the root must be this one. */
_must_check_ enum refusal merkle_verify_inclusion(const struct id *leaf, uint64_t index,
	uint64_t size, const struct id *proof, size_t n_proof, const struct id *root);

/*
 * That the tree of size2 leaves begins with the tree of size1 (RFC 9162, 2.1.4.2). Equal sizes need
 * equal roots and no proof, and an empty tree has merkle_empty(); nothing can be proven about an
 * empty tree and a larger one, which is refused. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal merkle_verify_consistency(uint64_t size1, const struct id *root1,
	uint64_t size2, const struct id *root2, const struct id *proof, size_t n_proof);
