#pragma once
/*
 * Integers of 64 bits as eight bytes, the most significant first: inside hashes and packed cells, the
 * same on every machine.
 */
#include "proto/base/base.h"

static inline void be64_put(uint8_t out[static 8], uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		out[i] = (uint8_t)value;
}

static inline uint64_t be64_get(const uint8_t p[static 8])
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | p[i];
	return value;
}
