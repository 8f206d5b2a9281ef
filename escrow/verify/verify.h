#pragma once
/*
 * Whether evidence is what its request asked for: the gates that every evidence must pass, cheapest
 * first, and then the checks that the request names. Used by the verifier, by the escrow when the
 * verifiers stay silent, and by whoever checks a bundle afterwards. The same input gives the same
 * results, byte for byte. Leaves "seen before" to the escrow, which alone knows what was sold, and
 * decoding of media to the sandbox.
 *
 * Results come in this order: "gate.decode", "gate.signature", "gate.challenge", "gate.request",
 * "gate.time", "gate.payload", up to the first that fails; then one for each of the request's
 * checks, in its order. Where a request asks for so many checks that not all results fit in
 * CHECKS_MAX, the gates that passed are left out: no check runs before all of them did.
 */
#include "escrow/verify/sandbox.h"
#include "proto/statement/keyring.h"
#include "proto/statement/payload.h"

#define VERIFY_ENGINE     "assay-verify/1 " JPEG_PROFILE
#define VERIFY_ALGORITHM  "assay-content-v1" /* seal/seal.h: AES-256-GCM in records */
#define VERIFY_GATES      6
#define VERIFY_DECODE_MS  10000 /* for one picture; see sandbox_decode_jpeg() */
#define VERIFY_CLAIMS_MAX 512 /* bytes of the opened claims */

struct verify_input {
	/* Decoded statements; earmark is NULL where it travelled inside the hold. */
	const struct statement *request;
	const struct statement *hold;
	const struct statement *earmark;
	const struct statement *assignment;
	const struct statement *evidence;
	const struct statement *draw; /* NULL where there is none yet */
	/*
	 * The caller has already put every one of them through keyring_verify() (message_open()
	 * does). The gate of signatures then only looks at who signed what.
	 */
	bool verified;
	struct span receipt; /* both empty where the evidence came to the escrow's own door */
	struct span note;
	struct span ciphertext;
	uint8_t content_key[32];
	struct keyring *keyring; /* the broker's keys at least; all signers' unless `verified` */
	struct sandbox *sandbox; /* NULL: pictures are not decoded, such checks are inconclusive */
};

/* Results hold spans into static memory and into the request's bytes. Not to be copied: the spans
 * of claims point into it. */
struct verify_output {
	int64_t outcome; /* enum check_result_value */
	int64_t tier; /* enum tier, from the evidence's source */
	struct check_result results[CHECKS_MAX];
	size_t n_results;
	bool opened; /* the payload is what the evidence says; the rest below is set */
	struct id plain_digest; /* SHA-256 of the plaintext, unsalted */
	uint8_t *plain; /* malloc'd; verify_output_deinit() clears and frees it */
	size_t n_plain;
	struct claims claims;
	int sandbox_error; /* negative errno of a fault on our side that made a check inconclusive,
			      or 0 */
	uint8_t claims_room[VERIFY_CLAIMS_MAX];
};

/*
 * Runs gates and checks. Returns 0 with ret_output filled, whatever the evidence is; or -ENOMEM,
 * and then there is nothing to deinit. outcome: FAIL where a gate or a binding check fails, else
 * INCONCLUSIVE where a binding check is, else PASS. Advice never changes it.
 */
_must_check_ int verify_run(const struct verify_input *input, struct verify_output *ret_output);
/* Takes one of zeros. */
void verify_output_deinit(struct verify_output *output);

/* What a source says at best. TIER_SYNTHETIC for what is none. */
_const_ enum tier verify_tier(int64_t source);

/* Adds a figure to a result; name and unit must be static or outlive it. unit: UCUM, or empty. */
void verify_figure(struct check_result *result, const char *name, int64_t value, int64_t exponent,
	struct span unit);
