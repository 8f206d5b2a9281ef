#include "proto/base/sha256.h"

#include <sodium.h>

struct id sha256(const struct span *parts, size_t n)
{
	crypto_hash_sha256_state state;
	struct id digest;

	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < n; i++)
		crypto_hash_sha256_update(&state, parts[i].p, parts[i].n);
	crypto_hash_sha256_final(&state, digest.b);
	return digest;
}
