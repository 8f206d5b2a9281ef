#include "proto/seal/evp.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <stdlib.h>

static struct {
	EVP_CIPHER *gcm;
	EVP_CIPHER *wrap;
	EVP_MD *sha256;
	EVP_KDF *hkdf;
} fetched;

void evp_must(int ok)
{
	if (ok != 1)
		abort();
}

/* Never freed: OpenSSL's own exit handler takes them down with its library context. */
static void fetch(void)
{
	fetched.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	fetched.wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	fetched.hkdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	evp_must(fetched.gcm && fetched.wrap && fetched.sha256 && fetched.hkdf);
}

static void fetch_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	evp_must(pthread_once(&once, fetch) == 0);
}

const EVP_CIPHER *evp_aes_gcm(void)
{
	fetch_once();
	return fetched.gcm;
}

const EVP_CIPHER *evp_aes_wrap(void)
{
	fetch_once();
	return fetched.wrap;
}

const EVP_MD *evp_sha256(void)
{
	fetch_once();
	return fetched.sha256;
}

EVP_CIPHER_CTX *evp_ctx(void)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	evp_must(ctx != NULL);
	return ctx;
}

void evp_hkdf(const uint8_t secret[static 32], struct span info, uint8_t ret_key[static 32])
{
	char sha256[] = "SHA256";

	fetch_once();
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(fetched.hkdf);

	evp_must(ctx != NULL);
	/* OpenSSL's parameters are not const, but it only reads these. */
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, 32),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.p, info.n),
		OSSL_PARAM_construct_end(),
	};
	int ok = EVP_KDF_derive(ctx, ret_key, 32, params);

	EVP_KDF_CTX_free(ctx);
	evp_must(ok);
}
