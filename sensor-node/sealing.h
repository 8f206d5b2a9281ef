#pragma once
/*
 * Turns a plaintext into what the core can commit to: ciphertext, digests, content key and sealed
 * claims (proto/seal), with a large ciphertext already durable in the payload store. No random
 * numbers are drawn here, so that a test can repeat it.
 */
#include "proto/db/blob.h"
#include "sensor-node/core/node.h"

#define SEALING_SALT 16

/* All fresh for each payload. */
struct sealing_secrets {
	uint8_t content_key[SEAL_KEY];
	uint8_t nonce[SEAL_NONCE];
	uint8_t claims_nonce[SEAL_SMALL_NONCE];
	uint8_t salt[SEALING_SALT];
};

struct sealing_input {
	struct seal_bound bound; /* request and assignment */
	struct span plain;
	struct place place; /* exact; radius_m is how exact, and is claimed as the accuracy */
	int64_t at_ns; /* when the device says that it happened */
};

/*
 * Sets size, plain_digest, cipher_digest, cipher_size, content_key, claims and ciphertext of
 * *result and leaves its other fields as they are. A ciphertext over PAYLOAD_INLINE_MAX is a
 * durable file of the store when this returns, and result->n_ciphertext is 0. Returns 0, -EFBIG
 * (over SEAL_PAYLOAD_MAX), -ENOSPC, -ENOMEM, -EINVAL (a place or time that cannot be claimed) or
 * another negative errno of the store.
 */
_must_check_ int sealing_make(const struct sealing_input *input,
	const struct sealing_secrets *secrets, struct blob_store *blobs,
	struct capture_result *result);
