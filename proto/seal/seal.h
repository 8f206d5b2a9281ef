#pragma once
/*
 * Encryption of payloads and of what only verifiers and the buyer may read, and the wrapping of the
 * content key for one recipient. Everything here is what a browser's WebCrypto can do as well; the
 * test vectors are vectors.json. No random numbers are drawn here: nonces, content keys and
 * ephemeral secrets come from the caller, so that pure cores can use it. Who gets which key and
 * when is the escrow's matter.
 *
 * Sealed content: 7-byte nonce prefix, then records back to back, each the AES-256-GCM (NIST SP
 * 800-38D) ciphertext of 65,536 bytes of plaintext (the last one: 1 to 65,536; the only one: 0 to
 * 65,536) with its 16-byte tag. Nonce of record i = prefix || u32be i || final flag (1 for the last
 * record). Associated data = CBOR ["assay-content-v1", bstr request id, bstr assignment id]. So
 * truncation, extension, reordered records and another request are refused.
 *
 * Sealed small things: 12-byte nonce || ciphertext || tag, under a sub-key of the content key:
 * HKDF-SHA-256 (RFC 5869; no salt) with the purpose as info; see enum seal_purpose.
 *
 * A content key must be fresh for each payload, a nonce must never be used twice under one key.
 * Where OpenSSL has no memory or no algorithm the process ends (evp.h): it must not look like a
 * wrong key.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"

#define SEAL_KEY         32
#define SEAL_TAG         16
#define SEAL_RECORD      65536 /* bytes of plaintext in a full record */
#define SEAL_NONCE       7 /* the random part of a content nonce */
#define SEAL_PAYLOAD_MAX (64u * 1024 * 1024) /* bytes of plaintext of one payload */
#define SEAL_SMALL_NONCE 12
#define SEAL_SMALL_EXTRA (SEAL_SMALL_NONCE + SEAL_TAG) /* sealed size less plain size */
#define SEAL_SMALL_MAX   16384 /* bytes of plaintext of a small thing */
#define SEAL_WRAPPED     90 /* bytes of one wrapped key, always */
#define SEAL_AAD_MAX     96 /* bytes of encoded associated data */

struct evp_cipher_ctx_st;

/* What sealed bytes belong to; opening them for anything else is refused. */
struct seal_bound {
	struct id request;
	struct id subject; /* the assignment; for SEAL_DIGEST the evidence */
};

/* Sealed size of n bytes of payload, exactly. 0 where n is over SEAL_PAYLOAD_MAX. */
_const_ size_t seal_size(size_t n);
/* Payload size inside n sealed bytes. REFUSED_NOT, or PAYLOAD_SIZE where no payload has that size.
 */
_must_check_ enum refusal seal_plain_size(size_t n, size_t *ret_size);

/*
 * Seals a whole payload and appends seal_size(plain.n) bytes to out, which must not overlap plain.
 * False where out is too small or the payload too large; out is then as before.
 */
_must_check_ bool seal_content(const uint8_t key[static SEAL_KEY],
	const uint8_t nonce[static SEAL_NONCE], const struct seal_bound *bound, struct span plain,
	struct buf *out);

/*
 * Opens a whole payload and appends its plaintext to out, which must not overlap sealed.
 * REFUSED_NOT, PAYLOAD_SIZE (over the limit, no possible size, or more than out has room for) or
 * PAYLOAD_KEY (wrong key or binding, or the bytes were altered); after a refusal out is as before,
 * and cleared.
 */
_must_check_ enum refusal seal_open(const uint8_t key[static SEAL_KEY],
	const struct seal_bound *bound, struct span sealed, struct buf *out);

/* The same, in pieces of any size. Large: keep it off the stack. Fields are private. */
struct seal_stream {
	struct evp_cipher_ctx_st *ctx;
	uint8_t nonce[SEAL_NONCE + 5];
	uint8_t aad[SEAL_AAD_MAX];
	size_t n_aad;
	size_t n_nonce; /* reader: bytes of the prefix that have come */
	size_t n_total; /* plaintext bytes of finished records */
	size_t n_held;
	uint32_t number;
	uint8_t held[SEAL_RECORD + SEAL_TAG];
};

/* The most that one put of n bytes (or an end: n = 0) can append, in either direction. */
static inline size_t seal_stream_max(size_t n)
{
	return n + SEAL_RECORD + SEAL_TAG * (n / SEAL_RECORD + 2);
}

/* Starts sealing and appends the nonce prefix to out. False where out is too small. Owes a
 * seal_stream_deinit(). */
_must_check_ bool seal_writer_init(struct seal_stream *s, const uint8_t key[static SEAL_KEY],
	const uint8_t nonce[static SEAL_NONCE], const struct seal_bound *bound, struct buf *out);
/*
 * Adds plaintext; appends the records that are complete. False where out has less than
 * seal_stream_max(plain.n) bytes left (nothing was then taken) or the payload grows over
 * SEAL_PAYLOAD_MAX.
 */
_must_check_ bool seal_writer_put(struct seal_stream *s, struct span plain, struct buf *out);
/* Appends the last record. False where out has less than seal_stream_max(0) bytes left. */
_must_check_ bool seal_writer_end(struct seal_stream *s, struct buf *out);

/* Starts opening. Owes a seal_stream_deinit(). */
void seal_reader_init(
	struct seal_stream *s, const uint8_t key[static SEAL_KEY], const struct seal_bound *bound);
/*
 * Adds sealed bytes; appends the plaintext of the records that are known to be complete and
 * authentic. They are the whole payload only when seal_reader_end() has said so. PAYLOAD_KEY, or
 * PAYLOAD_SIZE where the payload is over the limit or out has less than seal_stream_max(sealed.n)
 * bytes left. After a refusal only deinit.
 */
_must_check_ enum refusal seal_reader_put(
	struct seal_stream *s, struct span sealed, struct buf *out);
/* Opens the last record. PAYLOAD_KEY where the stream was cut or altered. */
_must_check_ enum refusal seal_reader_end(struct seal_stream *s, struct buf *out);

/* Frees and clears. Takes a zeroed one. */
void seal_stream_deinit(struct seal_stream *s);

/* What a small sealed thing is. Purposes share nothing but the content key. */
enum seal_purpose {
	SEAL_CLAIMS, /* info "assay claims v1", AAD ["assay-claims-v1", request, assignment] */
	SEAL_DIGEST, /* info "assay digest v1", AAD ["assay-digest-v1", request, evidence] */
};

/* Seals up to SEAL_SMALL_MAX bytes: appends plain.n + SEAL_SMALL_EXTRA. False where out is too
 * small. */
_must_check_ bool seal_small(enum seal_purpose purpose, const uint8_t key[static SEAL_KEY],
	const uint8_t nonce[static SEAL_SMALL_NONCE], const struct seal_bound *bound,
	struct span plain, struct buf *out);
/* Appends the plaintext. REFUSED_NOT, PAYLOAD_SIZE or PAYLOAD_KEY, as seal_open(). */
_must_check_ enum refusal seal_open_small(enum seal_purpose purpose,
	const uint8_t key[static SEAL_KEY], const struct seal_bound *bound, struct span sealed,
	struct buf *out);

/* What a wrapped key is bound to: it opens only for the same three. */
struct seal_context {
	struct id request;
	struct id scope; /* the statement that carries the wrap's subject: assignment or evidence */
	struct did recipient;
};

/* The X25519 public key of a secret one (RFC 7748). */
void seal_public_key(const uint8_t secret[static 32], uint8_t ret_public[static 32]);

/*
 * Wraps a content key for the holder of an X25519 key as a COSE_recipient (RFC 9052, 5.1) with
 * ECDH-ES+A256KW (RFC 9053, 6.4.1; alg -31): deterministic CBOR
 *   [<<{1: -31}>>, {-1: {1: 1, -1: 4, -2: ephemeral x}}, AES-KW (RFC 3394) of the key]
 * of SEAL_WRAPPED bytes, appended to out. KDF: HKDF-SHA-256 over COSE_KDF_Context (RFC 9053, 5.2)
 *   [-5, [request, null, null], [recipient, null, null], [256, <<{1: -31}>>, scope]].
 * ephemeral_secret: 32 fresh random bytes. False where out is too small or the public key is of low
 * order.
 */
_must_check_ bool seal_wrap(const uint8_t content_key[static SEAL_KEY],
	const uint8_t recipient_public[static 32], const uint8_t ephemeral_secret[static 32],
	const struct seal_context *context, struct buf *out);

/* Undoes seal_wrap(). REFUSED_NOT, or PAYLOAD_KEY on any other bytes, recipient or context. */
_must_check_ enum refusal seal_unwrap(struct span wrapped,
	const uint8_t recipient_secret[static 32], const struct seal_context *context,
	uint8_t ret_content_key[static SEAL_KEY]);

/* How many keys were wrapped and unwrapped in this process: the benches print them. */
struct seal_counts {
	uint64_t wraps;
	uint64_t unwraps;
};

/* A snapshot of the counters. */
struct seal_counts seal_counts(void);
