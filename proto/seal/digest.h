#pragma once
/*
 * SHA-256 (FIPS 180-4) of payloads while they arrive, over OpenSSL's fast code. Small fixed things
 * (ids, challenges, tree nodes) are base/sha256.h's. Updates allocate nothing.
 */
#include "proto/base/base.h"

struct evp_md_ctx_st;

struct digest {
	struct evp_md_ctx_st *ctx;
};

/* Starts a hash. Returns 0 or -ENOMEM; after 0 the caller owes a digest_deinit(). */
_must_check_ int digest_init(struct digest *d);
/* Adds bytes. */
void digest_update(struct digest *d, struct span bytes);
/* The hash of all bytes so far; d starts anew with an empty message. */
struct id digest_final(struct digest *d);
/* Frees. Takes a zeroed or already freed one. */
void digest_deinit(struct digest *d);

/* SHA-256 of one payload that lies in memory whole. */
struct id digest_of(struct span bytes);
