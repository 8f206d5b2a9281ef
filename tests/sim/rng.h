#pragma once
/*
 * The simulator's only source of chance: xoshiro256** (Blackman, Vigna), seeded by splitmix64. The
 * streams of a world are apart, so that one more lost message does not change the workload.
 */
#include "proto/base/base.h"

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *rng);
/* 0 to n - 1; n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* low to high, both included. */
int64_t rng_between(struct rng *rng, int64_t low, int64_t high);
/* True ppm times in a million. */
bool rng_chance(struct rng *rng, uint32_t ppm);
void rng_fill(struct rng *rng, void *p, size_t n);
/* A number that depends on seed and bytes alone: for choices that must not change when repeated. */
uint64_t rng_hash(uint64_t seed, const char *tag, const void *p, size_t n);
