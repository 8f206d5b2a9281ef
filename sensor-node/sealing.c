#include "sensor-node/sealing.h"

#include "proto/os/file.h"
#include "proto/seal/digest.h"

static int seal_claims(const struct sealing_input *input, const struct sealing_secrets *secrets,
	struct capture_result *result)
{
	const struct claims claims = {
		.present = true,
		.plain_salt = SPAN_OF(secrets->salt),
		.place = input->place,
		.accuracy_m = input->place.radius_m,
		.at_ns = input->at_ns,
	};
	uint8_t room[NODE_CLAIMS_MAX - SEAL_SMALL_EXTRA];
	struct buf plain = BUF(room);
	struct buf sealed = BUF(result->claims);

	if (schema_encode(&claims_schema, &claims, &plain, NULL) != REFUSED_NOT || !buf_ok(&plain))
		return -EINVAL;
	if (!seal_small(SEAL_CLAIMS, secrets->content_key, secrets->claims_nonce, &input->bound,
		    buf_span(&plain), &sealed))
		return -EINVAL;
	result->n_claims = sealed.n;
	return 0;
}

static int store(struct blob_store *blobs, const struct id *digest, struct span ciphertext)
{
	_cleanup_(blob_write_freep) struct blob_write *write = NULL;
	int r = blob_write_new(blobs, ciphertext.n, &write);

	if (r == 0)
		r = blob_write_append(write, ciphertext);
	if (r == 0)
		r = blob_write_finish(write, digest, ciphertext.n);
	return r > 0 ? -EIO : r; /* size and digest are ours: a refusal means a disk that lies */
}

static int digest_plain(
	const struct sealing_input *input, const struct sealing_secrets *secrets, struct id *ret)
{
	struct digest digest;
	int r = digest_init(&digest);

	if (r < 0)
		return r;
	digest_update(&digest, SPAN_OF(secrets->salt));
	digest_update(&digest, input->plain);
	*ret = digest_final(&digest);
	digest_deinit(&digest);
	return 0;
}

int sealing_make(const struct sealing_input *input, const struct sealing_secrets *secrets,
	struct blob_store *blobs, struct capture_result *result)
{
	_cleanup_(freep) uint8_t *large = NULL;
	size_t n = seal_size(input->plain.n);
	bool fits = n <= sizeof(result->ciphertext);
	int r;

	if (n == 0)
		return -EFBIG;
	if (!fits) {
		large = malloc(n);
		if (!large)
			return -ENOMEM;
	}

	struct buf out = buf_over(fits ? result->ciphertext : large, n);

	if (!seal_content(secrets->content_key, secrets->nonce, &input->bound, input->plain, &out))
		return -EFBIG;
	r = digest_plain(input, secrets, &result->plain_digest);
	if (r == 0)
		r = seal_claims(input, secrets, result);
	if (r < 0)
		return r;
	result->cipher_digest = digest_of(buf_span(&out));
	result->cipher_size = (int64_t)n;
	result->size = (int64_t)input->plain.n;
	result->n_ciphertext = fits ? n : 0;
	memcpy(result->content_key, secrets->content_key, sizeof(result->content_key));
	return fits ? 0 : store(blobs, &result->cipher_digest, buf_span(&out));
}
