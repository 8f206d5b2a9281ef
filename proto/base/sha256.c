/*
 * The EVP interface costs more than the hash of a short statement does. First of all headers, since
 * ours makes a macro of a function's name.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "proto/base/sha256.h"

/*
 * libcrypto's, which uses the processor's SHA instructions: libsodium's takes eight times as long,
 * and every statement is hashed wherever it comes by.
 */
struct id sha256(const struct span *parts, size_t n)
{
	SHA256_CTX state;
	struct id digest;

	SHA256_Init(&state);
	for (size_t i = 0; i < n; i++)
		if (parts[i].n > 0)
			SHA256_Update(&state, parts[i].p, parts[i].n);
	SHA256_Final(digest.b, &state);
	return digest;
}
