#include "proto/seal/digest.h"

#include "proto/seal/evp.h"

int digest_init(struct digest *d)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestInit_ex2(ctx, evp_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return -ENOMEM;
	}
	d->ctx = ctx;
	return 0;
}

void digest_update(struct digest *d, struct span bytes)
{
	evp_must(EVP_DigestUpdate(d->ctx, bytes.p, bytes.n));
}

struct id digest_final(struct digest *d)
{
	struct id id;

	evp_must(EVP_DigestFinal_ex(d->ctx, id.b, NULL));
	evp_must(EVP_DigestInit_ex2(d->ctx, NULL, NULL));
	return id;
}

void digest_deinit(struct digest *d)
{
	EVP_MD_CTX_free(take(&d->ctx));
}

struct id digest_of(struct span bytes)
{
	struct id id;

	evp_must(EVP_Digest(bytes.p, bytes.n, id.b, NULL, evp_sha256(), NULL));
	return id;
}
