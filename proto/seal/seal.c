#include "proto/seal/seal.h"

#include "proto/cbor/cbor.h"
#include "proto/seal/evp.h"

#include <openssl/err.h>
#include <sodium.h>

#define SEALED_RECORD (SEAL_RECORD + SEAL_TAG)
#define IV            12

struct record {
	const uint8_t *prefix;
	uint32_t number;
	bool final;
	struct span aad;
};

static size_t aad_put(
	const char *label, const struct seal_bound *bound, uint8_t aad[static SEAL_AAD_MAX])
{
	struct buf b = buf_over(aad, SEAL_AAD_MAX);

	cbor_put_array(&b, 3);
	cbor_put_str(&b, label);
	cbor_put_bytes(&b, SPAN_OF(bound->request.b));
	cbor_put_bytes(&b, SPAN_OF(bound->subject.b));
	assert(buf_ok(&b));
	return b.n;
}

/* Writes in.n + SEAL_TAG bytes. in is at most a record, so that its size fits OpenSSL's int. */
static void gcm_seal(EVP_CIPHER_CTX *ctx, const uint8_t iv[static IV], struct span aad,
	struct span in, uint8_t *out)
{
	int n = 0;

	evp_must(EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL));
	evp_must(EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n));
	if (in.n > 0)
		evp_must(EVP_EncryptUpdate(ctx, out, &n, in.p, (int)in.n));
	evp_must(EVP_EncryptFinal_ex(ctx, out + in.n, &n));
	evp_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, out + in.n));
}

/* in.n is at least SEAL_TAG. Writes in.n - SEAL_TAG bytes, which count only where true comes back.
 */
static bool gcm_open(EVP_CIPHER_CTX *ctx, const uint8_t iv[static IV], struct span aad,
	struct span in, uint8_t *out)
{
	size_t n_plain = in.n - SEAL_TAG;
	uint8_t tag[SEAL_TAG];
	uint8_t none[SEAL_TAG];
	int n = 0;

	memcpy(tag, in.p + n_plain, SEAL_TAG);
	evp_must(EVP_DecryptInit_ex2(ctx, NULL, NULL, iv, NULL));
	evp_must(EVP_DecryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n));
	if (n_plain > 0)
		evp_must(EVP_DecryptUpdate(ctx, out, &n, in.p, (int)n_plain));
	evp_must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, tag));
	/* GCM has no last block: final writes nothing, it compares the tag. */
	if (EVP_DecryptFinal_ex(ctx, none, &n) == 1)
		return true;
	ERR_clear_error(); /* a refusal: it must not look like the next TLS call's fault */
	return false;
}

static void record_iv(const struct record *r, uint8_t iv[static IV])
{
	memcpy(iv, r->prefix, SEAL_NONCE);
	iv[SEAL_NONCE] = (uint8_t)(r->number >> 24);
	iv[SEAL_NONCE + 1] = (uint8_t)(r->number >> 16);
	iv[SEAL_NONCE + 2] = (uint8_t)(r->number >> 8);
	iv[SEAL_NONCE + 3] = (uint8_t)r->number;
	iv[SEAL_NONCE + 4] = r->final;
}

static void record_seal(
	EVP_CIPHER_CTX *ctx, const struct record *r, struct span plain, struct buf *out)
{
	uint8_t iv[IV];

	record_iv(r, iv);
	gcm_seal(ctx, iv, r->aad, plain, out->p + out->n);
	out->n += plain.n + SEAL_TAG;
}

static bool record_open(
	EVP_CIPHER_CTX *ctx, const struct record *r, struct span sealed, struct buf *out)
{
	uint8_t iv[IV];

	record_iv(r, iv);
	if (!gcm_open(ctx, iv, r->aad, sealed, out->p + out->n)) {
		sodium_memzero(out->p + out->n, sealed.n - SEAL_TAG);
		return false;
	}
	out->n += sealed.n - SEAL_TAG;
	return true;
}

static bool has_room(const struct buf *out, size_t n)
{
	return !out->overflow && out->cap - out->n >= n;
}

size_t seal_size(size_t n)
{
	if (n > SEAL_PAYLOAD_MAX)
		return 0;
	size_t records = n == 0 ? 1 : (n + SEAL_RECORD - 1) / SEAL_RECORD;

	return SEAL_NONCE + n + records * SEAL_TAG;
}

enum refusal seal_plain_size(size_t n, size_t *ret_size)
{
	if (n < SEAL_NONCE + SEAL_TAG || n > seal_size(SEAL_PAYLOAD_MAX))
		return REFUSED_PAYLOAD_SIZE;
	size_t records = (n - SEAL_NONCE + SEALED_RECORD - 1) / SEALED_RECORD;
	size_t last = n - SEAL_NONCE - (records - 1) * SEALED_RECORD;

	/* An empty record exists only for an empty payload. */
	if (last < SEAL_TAG || (last == SEAL_TAG && records > 1))
		return REFUSED_PAYLOAD_SIZE;
	*ret_size = n - SEAL_NONCE - records * SEAL_TAG;
	return REFUSED_NOT;
}

bool seal_content(const uint8_t key[static SEAL_KEY], const uint8_t nonce[static SEAL_NONCE],
	const struct seal_bound *bound, struct span plain, struct buf *out)
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t aad[SEAL_AAD_MAX];
	struct record r = { .prefix = nonce };

	if (plain.n > SEAL_PAYLOAD_MAX || !has_room(out, seal_size(plain.n)))
		return false;
	r.aad = SPAN(aad, aad_put("assay-content-v1", bound, aad));
	ctx = evp_ctx();
	evp_must(EVP_EncryptInit_ex2(ctx, evp_aes_gcm(), key, NULL, NULL));
	buf_put(out, nonce, SEAL_NONCE);
	while (!r.final) {
		size_t n = MIN(plain.n, (size_t)SEAL_RECORD);

		r.final = n == plain.n;
		record_seal(ctx, &r, SPAN(plain.p, n), out);
		plain = SPAN(n ? plain.p + n : plain.p, plain.n - n);
		r.number++;
	}
	return true;
}

enum refusal seal_open(const uint8_t key[static SEAL_KEY], const struct seal_bound *bound,
	struct span sealed, struct buf *out)
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t aad[SEAL_AAD_MAX];
	struct record r = { .prefix = sealed.p };
	size_t before = out->n;
	size_t size;
	enum refusal refused = seal_plain_size(sealed.n, &size);

	if (refused)
		return refused;
	if (!has_room(out, size))
		return REFUSED_PAYLOAD_SIZE;
	r.aad = SPAN(aad, aad_put("assay-content-v1", bound, aad));
	ctx = evp_ctx();
	evp_must(EVP_DecryptInit_ex2(ctx, evp_aes_gcm(), key, NULL, NULL));
	sealed = SPAN(sealed.p + SEAL_NONCE, sealed.n - SEAL_NONCE);
	while (!r.final) {
		size_t n = MIN(sealed.n, (size_t)SEALED_RECORD);

		r.final = n == sealed.n;
		if (!record_open(ctx, &r, SPAN(sealed.p, n), out)) {
			if (out->n > before)
				sodium_memzero(out->p + before, out->n - before);
			out->n = before;
			return REFUSED_PAYLOAD_KEY;
		}
		sealed = SPAN(sealed.p + n, sealed.n - n);
		r.number++;
	}
	return REFUSED_NOT;
}

static struct record stream_record(struct seal_stream *s, bool final)
{
	return (struct record){
		.prefix = s->nonce,
		.number = s->number++,
		.final = final,
		.aad = SPAN(s->aad, s->n_aad),
	};
}

static void stream_init(struct seal_stream *s, const struct seal_bound *bound)
{
	*s = (struct seal_stream){ 0 };
	s->n_aad = aad_put("assay-content-v1", bound, s->aad);
	s->ctx = evp_ctx();
}

bool seal_writer_init(struct seal_stream *s, const uint8_t key[static SEAL_KEY],
	const uint8_t nonce[static SEAL_NONCE], const struct seal_bound *bound, struct buf *out)
{
	if (!has_room(out, SEAL_NONCE))
		return false;
	stream_init(s, bound);
	evp_must(EVP_EncryptInit_ex2(s->ctx, evp_aes_gcm(), key, NULL, NULL));
	memcpy(s->nonce, nonce, SEAL_NONCE);
	buf_put(out, nonce, SEAL_NONCE);
	return true;
}

bool seal_writer_put(struct seal_stream *s, struct span plain, struct buf *out)
{
	if (plain.n > SEAL_PAYLOAD_MAX - s->n_total - s->n_held ||
		!has_room(out, seal_stream_max(plain.n)))
		return false;
	/* A record leaves only when a byte after it is there: the last one carries the final flag.
	 */
	while (plain.n > SEAL_RECORD - s->n_held) {
		size_t n = SEAL_RECORD - s->n_held;
		struct record r = stream_record(s, false);

		if (s->n_held > 0) {
			memcpy(s->held + s->n_held, plain.p, n);
			record_seal(s->ctx, &r, SPAN(s->held, SEAL_RECORD), out);
			s->n_held = 0;
		} else {
			record_seal(s->ctx, &r, SPAN(plain.p, SEAL_RECORD), out);
		}
		s->n_total += SEAL_RECORD;
		plain = SPAN(plain.p + n, plain.n - n);
	}
	if (plain.n > 0)
		memcpy(s->held + s->n_held, plain.p, plain.n);
	s->n_held += plain.n;
	return true;
}

bool seal_writer_end(struct seal_stream *s, struct buf *out)
{
	if (!has_room(out, s->n_held + SEAL_TAG))
		return false;
	struct record r = stream_record(s, true);

	record_seal(s->ctx, &r, SPAN(s->held, s->n_held), out);
	return true;
}

void seal_reader_init(
	struct seal_stream *s, const uint8_t key[static SEAL_KEY], const struct seal_bound *bound)
{
	stream_init(s, bound);
	evp_must(EVP_DecryptInit_ex2(s->ctx, evp_aes_gcm(), key, NULL, NULL));
}

enum refusal seal_reader_put(struct seal_stream *s, struct span sealed, struct buf *out)
{
	size_t n = MIN(sealed.n, SEAL_NONCE - s->n_nonce);

	if (!has_room(out, seal_stream_max(sealed.n)))
		return REFUSED_PAYLOAD_SIZE;
	if (n > 0) {
		memcpy(s->nonce + s->n_nonce, sealed.p, n);
		s->n_nonce += n;
		sealed = SPAN(sealed.p + n, sealed.n - n);
	}
	while (sealed.n > SEALED_RECORD - s->n_held) {
		struct record r = stream_record(s, false);
		struct span whole = SPAN(sealed.p, SEALED_RECORD);

		/* This record is full and not the last: with it the payload is over the limit. */
		if (s->n_total >= SEAL_PAYLOAD_MAX - SEAL_RECORD)
			return REFUSED_PAYLOAD_SIZE;
		n = SEALED_RECORD - s->n_held;
		if (s->n_held > 0) {
			memcpy(s->held + s->n_held, sealed.p, n);
			whole = SPAN_OF(s->held);
			s->n_held = 0;
		}
		if (!record_open(s->ctx, &r, whole, out))
			return REFUSED_PAYLOAD_KEY;
		s->n_total += SEAL_RECORD;
		sealed = SPAN(sealed.p + n, sealed.n - n);
	}
	if (sealed.n > 0)
		memcpy(s->held + s->n_held, sealed.p, sealed.n);
	s->n_held += sealed.n;
	return REFUSED_NOT;
}

enum refusal seal_reader_end(struct seal_stream *s, struct buf *out)
{
	if (s->n_held < SEAL_TAG || (s->n_held == SEAL_TAG && s->number > 0))
		return REFUSED_PAYLOAD_KEY;
	if (!has_room(out, s->n_held - SEAL_TAG))
		return REFUSED_PAYLOAD_SIZE;
	struct record r = stream_record(s, true);

	if (!record_open(s->ctx, &r, SPAN(s->held, s->n_held), out))
		return REFUSED_PAYLOAD_KEY;
	return REFUSED_NOT;
}

void seal_stream_deinit(struct seal_stream *s)
{
	EVP_CIPHER_CTX_free(take(&s->ctx));
	sodium_memzero(s, sizeof(*s));
}

static void small_key(enum seal_purpose purpose, const uint8_t key[static SEAL_KEY],
	const struct seal_bound *bound, uint8_t sub_key[static SEAL_KEY],
	uint8_t aad[static SEAL_AAD_MAX], size_t *n_aad)
{
	const char *info = NULL;
	const char *label = NULL;

	switch (purpose) {
	case SEAL_CLAIMS:
		info = "assay claims v1";
		label = "assay-claims-v1";
		break;
	case SEAL_DIGEST:
		info = "assay digest v1";
		label = "assay-digest-v1";
		break;
	}
	assert(info && label);
	evp_hkdf(key, SPAN_STR(info), sub_key);
	*n_aad = aad_put(label, bound, aad);
}

bool seal_small(enum seal_purpose purpose, const uint8_t key[static SEAL_KEY],
	const uint8_t nonce[static SEAL_SMALL_NONCE], const struct seal_bound *bound,
	struct span plain, struct buf *out)
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t sub_key[SEAL_KEY];
	uint8_t aad[SEAL_AAD_MAX];
	size_t n_aad;

	if (plain.n > SEAL_SMALL_MAX || !has_room(out, plain.n + SEAL_SMALL_EXTRA))
		return false;
	small_key(purpose, key, bound, sub_key, aad, &n_aad);
	ctx = evp_ctx();
	evp_must(EVP_EncryptInit_ex2(ctx, evp_aes_gcm(), sub_key, NULL, NULL));
	sodium_memzero(sub_key, sizeof(sub_key));
	buf_put(out, nonce, SEAL_SMALL_NONCE);
	gcm_seal(ctx, nonce, SPAN(aad, n_aad), plain, out->p + out->n);
	out->n += plain.n + SEAL_TAG;
	return true;
}

enum refusal seal_open_small(enum seal_purpose purpose, const uint8_t key[static SEAL_KEY],
	const struct seal_bound *bound, struct span sealed, struct buf *out)
{
	_cleanup_(evp_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t sub_key[SEAL_KEY];
	uint8_t aad[SEAL_AAD_MAX];
	size_t n_aad;

	if (sealed.n < SEAL_SMALL_EXTRA || sealed.n > SEAL_SMALL_MAX + SEAL_SMALL_EXTRA)
		return REFUSED_PAYLOAD_SIZE;
	size_t n_plain = sealed.n - SEAL_SMALL_EXTRA;

	if (!has_room(out, n_plain))
		return REFUSED_PAYLOAD_SIZE;
	small_key(purpose, key, bound, sub_key, aad, &n_aad);
	ctx = evp_ctx();
	evp_must(EVP_DecryptInit_ex2(ctx, evp_aes_gcm(), sub_key, NULL, NULL));
	sodium_memzero(sub_key, sizeof(sub_key));
	if (!gcm_open(ctx, sealed.p, SPAN(aad, n_aad),
		    SPAN(sealed.p + SEAL_SMALL_NONCE, sealed.n - SEAL_SMALL_NONCE),
		    out->p + out->n)) {
		if (n_plain > 0)
			sodium_memzero(out->p + out->n, n_plain);
		return REFUSED_PAYLOAD_KEY;
	}
	out->n += n_plain;
	return REFUSED_NOT;
}
