#include "tests/sim/rng.h"

#include "proto/base/sha256.h"

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream)
{
	uint64_t x = seed ^ (stream * UINT64_C(0xd1342543de82ef95));

	for (size_t i = 0; i < 4; i++)
		rng->s[i] = splitmix(&x);
}

uint64_t rng_next(struct rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return rng_next(rng) % n;
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
	return low + (int64_t)rng_below(rng, (uint64_t)(high - low) + 1);
}

bool rng_chance(struct rng *rng, uint32_t ppm)
{
	return rng_below(rng, 1000000) < ppm;
}

void rng_fill(struct rng *rng, void *p, size_t n)
{
	uint8_t *out = p;

	for (size_t i = 0; i < n; i += 8) {
		uint64_t value = rng_next(rng);

		for (size_t k = 0; k < 8 && i + k < n; k++)
			out[i + k] = (uint8_t)(value >> (8 * k));
	}
}

uint64_t rng_hash(uint64_t seed, const char *tag, const void *p, size_t n)
{
	uint8_t s[8];

	for (size_t i = 0; i < 8; i++)
		s[i] = (uint8_t)(seed >> (8 * i));

	struct id id = SHA256(SPAN_OF(s), SPAN_STR(tag), SPAN(p, n));
	uint64_t value = 0;

	for (size_t i = 0; i < 8; i++)
		value = value << 8 | id.b[i];
	return value;
}
