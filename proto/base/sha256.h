#pragma once
/*
 * SHA-256 (FIPS 180-4) for small things: ids, challenges, tree nodes. Payloads of megabytes go
 * through seal/digest.h, piece by piece as they arrive.
 */
#include "proto/base/base.h"

/* Hash of the concatenation of n spans. */
struct id sha256(const struct span *parts, size_t n);

#define SHA256(...) \
	sha256((const struct span[]){ __VA_ARGS__ }, \
		sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span))
