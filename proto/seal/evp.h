#pragma once
/*
 * OpenSSL's algorithm objects, fetched once for the process, since a fetch costs more than the work
 * done with the object. For this folder only. A missing provider or no memory is a fault
 * that no caller could do anything about, so it ends the process: it must never look like a wrong
 * key.
 */
#include <openssl/evp.h>

#include "proto/base/base.h"

const EVP_CIPHER *evp_aes_gcm(void);
const EVP_CIPHER *evp_aes_wrap(void);
const EVP_MD *evp_sha256(void);

/* Ends the process where ok is not 1, OpenSSL's word for success. */
void evp_must(int ok);
/* A cipher context; freed with EVP_CIPHER_CTX_free(), which clears the key in it. */
EVP_CIPHER_CTX *evp_ctx(void);

/* HKDF-SHA-256 (RFC 5869) without salt: 32 bytes from a 32-byte secret and info. */
void evp_hkdf(const uint8_t secret[static 32], struct span info, uint8_t ret_key[static 32]);

static inline void evp_ctx_freep(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}
