#pragma once
/*
 * COSE Receipts (RFC 9942) of inclusion in an RFC9162_SHA256 tree, in the one form that this market
 * writes: tag 18, protected {1: -8, 4: key, 15: {1: iss, 2: origin}, 395: 1}, unprotected
 * {396: {-1: [<<[size, index, path]>>]}}, detached payload = root. Anything else is refused.
 *
 * Only root, issuer and origin are signed. Another size and index with a path of the same shape
 * lead to the same root, so they are the log's word only when a checkpoint shows the same root and
 * size.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"
#include "proto/cose/cose.h"
#include "proto/tlog/merkle.h"
#include "proto/tlog/note.h"

/* 64 hashes with their heads, 255 bytes of origin, issuer, key, signature and framing. */
#define RECEIPT_MAX 3072

/* Where an entry stands in the tree. */
struct receipt_place {
	uint64_t size;
	uint64_t index;
	size_t n_path;
	struct id path[MERKLE_PROOF_MAX];
};

/* A receipt as it stands; spans point into the source. */
struct receipt {
	struct receipt_place place;
	struct did issuer;
	struct span origin;
	uint8_t key[32];
	struct cose_parts parts;
};

/*
 * Appends the receipt of a tree with that root to out. False where origin is longer than
 * NOTE_NAME_MAX or empty, the path too long, or out too small.
 */
_must_check_ bool receipt_write(const struct signer *signer, struct span origin,
	const struct receipt_place *place, const struct id *root, struct buf *out);

/* Checks the form alone. REFUSED_NOT or RECEIPT_INVALID. */
_must_check_ enum refusal receipt_parse(struct span bytes, struct receipt *ret_receipt);

/*
 * Checks that key signed the root which follows from leaf and the path; the receipt must name that
 * key. Whether the key belongs to issuer, and issuer to origin, is the caller's to know. ret_root,
 * unless NULL, gets the root. REFUSED_NOT or RECEIPT_INVALID.
 */
_must_check_ enum refusal receipt_verify(const struct receipt *receipt, const struct id *leaf,
	const uint8_t key[static 32], struct id *ret_root);
