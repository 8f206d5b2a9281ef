#include "proto/seal/seal.h"

#include "proto/cbor/cbor.h"
#include "proto/seal/evp.h"

#include <openssl/err.h>
#include <sodium.h>
#include <stdatomic.h>

/* RFC 9053: tables 1 (header), 14 and 19 (algorithms), 17, 18 and 20 (OKP keys). */
#define HEADER_ALG         1
#define HEADER_EPHEMERAL   (-1)
#define ALG_ECDH_ES_A256KW (-31)
#define ALG_A256KW         (-5)
#define KEY_KTY            1
#define KEY_CRV            (-1)
#define KEY_X              (-2)
#define KTY_OKP            1
#define CRV_X25519         4

#define WRAPPED_KEY (SEAL_KEY + 8) /* RFC 3394, 2.2.1: one block of 64 bits more */

static atomic_uint_fast64_t n_wraps;
static atomic_uint_fast64_t n_unwraps;

static void protected_put(struct buf *b)
{
	uint8_t header[8];
	struct buf h = BUF(header);

	cbor_put_map(&h, 1);
	cbor_put_int(&h, HEADER_ALG);
	cbor_put_int(&h, ALG_ECDH_ES_A256KW);
	cbor_put_bytes(b, buf_span(&h));
}

static void recipient_put(struct buf *b, struct span ephemeral, struct span wrapped_key)
{
	cbor_put_array(b, 3);
	protected_put(b);
	cbor_put_map(b, 1);
	cbor_put_int(b, HEADER_EPHEMERAL);
	cbor_put_map(b, 3);
	cbor_put_int(b, KEY_KTY);
	cbor_put_int(b, KTY_OKP);
	cbor_put_int(b, KEY_CRV);
	cbor_put_int(b, CRV_X25519);
	cbor_put_int(b, KEY_X);
	cbor_put_bytes(b, ephemeral);
	cbor_put_bytes(b, wrapped_key);
}

static void party_put(struct buf *b, struct span identity)
{
	cbor_put_array(b, 3);
	cbor_put_bytes(b, identity);
	cbor_put_null(b);
	cbor_put_null(b);
}

/* The key-encryption key (RFC 9053, 6.3 and 5.2). False for a public key of low order (RFC
 * 7748, 6.1). */
static bool kek(const uint8_t secret[static 32], const uint8_t public[static 32],
	const struct seal_context *context, uint8_t ret_kek[static 32])
{
	uint8_t info[192];
	struct buf b = BUF(info);
	uint8_t shared[32];

	if (crypto_scalarmult(shared, secret, public) != 0)
		return false;
	cbor_put_array(&b, 4);
	cbor_put_int(&b, ALG_A256KW);
	party_put(&b, SPAN_OF(context->request.b));
	party_put(&b, SPAN_OF(context->recipient.b));
	cbor_put_array(&b, 3);
	cbor_put_uint(&b, 256);
	protected_put(&b);
	cbor_put_bytes(&b, SPAN_OF(context->scope.b));
	assert(buf_ok(&b));
	evp_hkdf(shared, buf_span(&b), ret_kek);
	sodium_memzero(shared, sizeof(shared));
	return true;
}

/* AES Key Wrap with the default initial value (RFC 3394, 2.2.3.1). */
static EVP_CIPHER_CTX *key_wrap_ctx(uint8_t key[static 32], int encrypt)
{
	EVP_CIPHER_CTX *ctx = evp_ctx();

	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	evp_must(EVP_CipherInit_ex2(ctx, evp_aes_wrap(), key, NULL, encrypt, NULL));
	sodium_memzero(key, 32);
	return ctx;
}

void seal_public_key(const uint8_t secret[static 32], uint8_t ret_public[static 32])
{
	evp_must(crypto_scalarmult_base(ret_public, secret) == 0);
}

bool seal_wrap(const uint8_t content_key[static SEAL_KEY],
	const uint8_t recipient_public[static 32], const uint8_t ephemeral_secret[static 32],
	const struct seal_context *context, struct buf *out)
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t key[32];
	uint8_t ephemeral[32];
	uint8_t wrapped_key[WRAPPED_KEY];
	int n = 0;

	if (out->overflow || out->cap - out->n < SEAL_WRAPPED ||
		!kek(ephemeral_secret, recipient_public, context, key))
		return false;
	seal_public_key(ephemeral_secret, ephemeral);
	ctx = key_wrap_ctx(key, 1);
	evp_must(EVP_CipherUpdate(ctx, wrapped_key, &n, content_key, SEAL_KEY));
	assert(n == WRAPPED_KEY);
	recipient_put(out, SPAN_OF(ephemeral), SPAN_OF(wrapped_key));
	atomic_fetch_add_explicit(&n_wraps, 1, memory_order_relaxed);
	return true;
}

enum refusal seal_unwrap(struct span wrapped, const uint8_t recipient_secret[static 32],
	const struct seal_context *context, uint8_t ret_content_key[static SEAL_KEY])
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	const size_t at_key = SEAL_WRAPPED - WRAPPED_KEY;
	const size_t at_x = at_key - 2 - 32; /* the wrapped key's head takes two bytes */
	uint8_t expected[SEAL_WRAPPED];
	uint8_t content_key[WRAPPED_KEY];
	uint8_t key[32];
	struct buf b = BUF(expected);
	int n = 0;

	/* The encoding is deterministic and of one size: every bit that is not x or the key is
	 * known. */
	if (wrapped.n != SEAL_WRAPPED)
		return REFUSED_PAYLOAD_KEY;
	recipient_put(&b, SPAN(wrapped.p + at_x, 32), SPAN(wrapped.p + at_key, WRAPPED_KEY));
	if (!buf_ok(&b) || !span_eq(buf_span(&b), wrapped))
		return REFUSED_PAYLOAD_KEY;
	/* X25519 ignores the highest bit of x: with it set there would be two forms of one wrap. */
	if (wrapped.p[at_x + 31] & 0x80)
		return REFUSED_PAYLOAD_KEY;
	if (!kek(recipient_secret, wrapped.p + at_x, context, key))
		return REFUSED_PAYLOAD_KEY;
	ctx = key_wrap_ctx(key, 0);
	atomic_fetch_add_explicit(&n_unwraps, 1, memory_order_relaxed);
	if (EVP_CipherUpdate(ctx, content_key, &n, wrapped.p + at_key, WRAPPED_KEY) != 1 ||
		n != SEAL_KEY) {
		sodium_memzero(content_key, sizeof(content_key));
		ERR_clear_error(); /* a refusal: it must not look like the next TLS call's fault */
		return REFUSED_PAYLOAD_KEY;
	}
	memcpy(ret_content_key, content_key, SEAL_KEY);
	sodium_memzero(content_key, sizeof(content_key));
	return REFUSED_NOT;
}

struct seal_counts seal_counts(void)
{
	return (struct seal_counts){
		.wraps = atomic_load_explicit(&n_wraps, memory_order_relaxed),
		.unwraps = atomic_load_explicit(&n_unwraps, memory_order_relaxed),
	};
}
