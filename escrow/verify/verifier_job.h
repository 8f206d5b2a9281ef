#pragma once
/*
 * One piece of evidence to check, with everything that needs: it is made by the verifier's core in
 * the shell's thread, run in the worker's, and goes back. Whoever has the pointer owns it.
 */
#include "escrow/verify/verify.h"

enum verifier_statement {
	VERIFIER_REQUEST,
	VERIFIER_HOLD,
	VERIFIER_EARMARK, /* empty where it is in the hold */
	VERIFIER_ASSIGNMENT,
	VERIFIER_EVIDENCE,
	VERIFIER_DRAW,
	VERIFIER_STATEMENTS,
};

/* Of all statements, keys, receipt and note of one job; honest ones have less than a tenth. */
#define VERIFIER_ROOM_MAX (128 * 1024)
/* Statements about the keys of the broker, that the receipt is checked under. */
#define VERIFIER_KEYS_MAX 2

struct verifier_job {
	struct verifier_job *next; /* in the worker's queue */
	uint64_t ticket;
	uint8_t content_key[32];
	struct span bytes[VERIFIER_STATEMENTS]; /* signatures are verified */
	struct span keys[VERIFIER_KEYS_MAX];
	struct span receipt;
	struct span note;
	uint8_t *ciphertext; /* malloc'd */
	size_t n_ciphertext;
	/* The result. output's spans point into statements. */
	struct verify_output output;
	struct statement statements[VERIFIER_STATEMENTS];
	uint8_t room[];
};

/*
 * Copies all of what `from` points to, but for the ciphertext. NULL without memory, or where it is
 * more than VERIFIER_ROOM_MAX. The caller frees.
 */
struct verifier_job *verifier_job_new(const struct verifier_job *from);
/* Copies the ciphertext in. -ENOMEM. */
_must_check_ int verifier_job_payload(struct verifier_job *job, struct span ciphertext);
/* Clears the keys and the plaintext. Takes NULL. */
void verifier_job_free(struct verifier_job *job);

/*
 * Runs gates and checks into job->output, and gives payload and plaintext back to the system.
 * keyring: the calling thread's own; learns the broker's keys. 0; a negative errno for a fault of
 * ours, the sandbox's too: then there is nothing to sign.
 */
_must_check_ int verifier_job_run(
	struct verifier_job *job, struct keyring *keyring, struct sandbox *sandbox);
