#include "escrow/verify/verifier_job.h"

#include <stdlib.h>

static struct span copy(uint8_t **at, struct span bytes)
{
	uint8_t *p = *at;

	if (bytes.n == 0)
		return SPAN(NULL, 0);
	memcpy(p, bytes.p, bytes.n);
	*at += bytes.n;
	return SPAN(p, bytes.n);
}

struct verifier_job *verifier_job_new(const struct verifier_job *from)
{
	struct verifier_job *job;
	size_t n = from->receipt.n + from->note.n;
	uint8_t *at;

	for (size_t i = 0; i < VERIFIER_STATEMENTS; i++)
		n += from->bytes[i].n;
	for (size_t i = 0; i < VERIFIER_KEYS_MAX; i++)
		n += from->keys[i].n;
	if (n > VERIFIER_ROOM_MAX)
		return NULL;
	job = calloc(1, sizeof(*job) + n);
	if (!job)
		return NULL;
	job->ticket = from->ticket;
	memcpy(job->content_key, from->content_key, sizeof(job->content_key));
	at = job->room;
	for (size_t i = 0; i < VERIFIER_STATEMENTS; i++)
		job->bytes[i] = copy(&at, from->bytes[i]);
	for (size_t i = 0; i < VERIFIER_KEYS_MAX; i++)
		job->keys[i] = copy(&at, from->keys[i]);
	job->receipt = copy(&at, from->receipt);
	job->note = copy(&at, from->note);
	return job;
}

int verifier_job_payload(struct verifier_job *job, struct span ciphertext)
{
	uint8_t *bytes = malloc(MAX(ciphertext.n, (size_t)1));

	if (!bytes)
		return -ENOMEM;
	if (ciphertext.n > 0)
		memcpy(bytes, ciphertext.p, ciphertext.n);
	free(job->ciphertext);
	job->ciphertext = bytes;
	job->n_ciphertext = ciphertext.n;
	return 0;
}

void verifier_job_free(struct verifier_job *job)
{
	if (!job)
		return;
	verify_output_deinit(&job->output);
	explicit_bzero(job->content_key, sizeof(job->content_key));
	free(job->ciphertext);
	free(job);
}

/* The statements were decoded once before, in message_open(): now they must decode again. */
static int decode(struct verifier_job *job, struct keyring *keyring)
{
	for (size_t i = 0; i < VERIFIER_STATEMENTS; i++)
		if (job->bytes[i].n > 0 &&
			statement_decode(job->bytes[i], &job->statements[i], NULL) != REFUSED_NOT)
			return -EBADMSG;
	for (size_t i = 0; i < VERIFIER_KEYS_MAX; i++) {
		struct statement keys;
		bool is_new;

		if (job->keys[i].n > 0 &&
			(statement_decode(job->keys[i], &keys, NULL) != REFUSED_NOT ||
				keyring_learn(keyring, &keys, &is_new) != REFUSED_NOT))
			return -EBADMSG;
	}
	return 0;
}

static const struct statement *statement_of(
	const struct verifier_job *job, enum verifier_statement which)
{
	return job->bytes[which].n > 0 ? &job->statements[which] : NULL;
}

int verifier_job_run(struct verifier_job *job, struct keyring *keyring, struct sandbox *sandbox)
{
	int r = decode(job, keyring);

	if (r < 0)
		return r;

	struct verify_input input = {
		.request = statement_of(job, VERIFIER_REQUEST),
		.hold = statement_of(job, VERIFIER_HOLD),
		.earmark = statement_of(job, VERIFIER_EARMARK),
		.assignment = statement_of(job, VERIFIER_ASSIGNMENT),
		.evidence = statement_of(job, VERIFIER_EVIDENCE),
		.draw = statement_of(job, VERIFIER_DRAW),
		.verified = true,
		.receipt = job->receipt,
		.note = job->note,
		.ciphertext = SPAN(job->ciphertext, job->n_ciphertext),
		.keyring = keyring,
		.sandbox = sandbox,
	};

	memcpy(input.content_key, job->content_key, sizeof(input.content_key));
	r = verify_run(&input, &job->output);
	explicit_bzero(input.content_key, sizeof(input.content_key));
	if (r < 0)
		return r;
	/* Only results and digest are needed from here on. */
	free(take(&job->ciphertext));
	if (job->output.plain)
		explicit_bzero(job->output.plain, job->output.n_plain);
	free(take(&job->output.plain));
	return job->output.sandbox_error;
}
