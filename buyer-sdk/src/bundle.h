#pragma once
/*
 * The bundle: one purchase as a file that anybody can check offline, years later, with nothing but
 * this code. Every byte matters: a statement too many, one in another place, or a changed bit
 * anywhere refuses it. Who the parties are in the world is left to the reader, who gets their dids.
 *
 * Order of statements: `keys` in the ascending order of their ids, one for each key that signed
 * something here; then request, hold, [earmark], assignment, evidence, draw, the verdicts as the
 * settlement lists them, release, settlement.
 */
#include "proto/statement/keyring.h"
#include "proto/statement/payload.h"

#define BUNDLE_CLAIMS_MAX 512
#define BUNDLE_EXTRA_MAX \
	(MESSAGE_STATEMENTS_MAX * (COSE_MAX + 5) + 8192) /* beside the ciphertext */

/* What a bundle proves. Pointers and spans point into the caller's room, the bundle and this. */
struct bundle_facts {
	const struct statement *request;
	const struct statement *hold;
	const struct statement *earmark; /* NULL: it is inside the hold */
	const struct statement *assignment;
	const struct statement *evidence;
	const struct statement *draw;
	const struct statement *verdicts[PANEL_MAX];
	size_t n_verdicts;
	size_t n_passed;
	const struct statement *release;
	const struct statement *settlement;
	bool logged; /* with receipt and checkpoint; else it took the escrow's own door */
	uint64_t log_index;
	uint64_t log_size;
	int64_t paid_micros; /* to the node */
	int64_t tier; /* enum tier */
	struct claims claims;
	uint8_t claims_bytes[BUNDLE_CLAIMS_MAX];
};

/*
 * Reads a bundle file: exactly one map of the schema without unknown keys. Spans point into data.
 * REFUSED_NOT, BUNDLE_SHAPE, or what the schema refuses.
 */
_must_check_ enum refusal bundle_read(struct span data, struct bundle *ret_bundle);
/* Appends the file's bytes. False where out is too small or a part breaks a limit. */
_must_check_ bool bundle_write(const struct bundle *bundle, struct buf *out);

/*
 * Puts the statements of a BUNDLE message, and the keys they need, into a bundle's order; receipt
 * and note too. content_key and ciphertext are left to the caller. BUNDLE_INCOMPLETE or
 * KEY_UNKNOWN where something is missing. Spans point into the message and the keyring.
 */
_must_check_ enum refusal bundle_arrange(
	const struct opened *opened, const struct keyring *keyring, struct bundle *ret_bundle);

/*
 * Checks everything between the statements, and that content key and ciphertext belong to them.
 * keyring learns the bundle's keys; give an empty one to check against nothing else, or one that
 * knows of revocations. room holds the decoded statements that ret_facts points to. On a refusal
 * ret_link names the statement and the field that broke the chain ("draw.panel"; static text).
 */
_must_check_ enum refusal bundle_check_links(const struct bundle *bundle, struct keyring *keyring,
	struct statement room[static MESSAGE_STATEMENTS_MAX], struct bundle_facts *ret_facts,
	const char **ret_link);

/* Bytes of the plaintext of a checked bundle. */
size_t bundle_payload_size(const struct bundle_facts *facts);
/*
 * Opens the payload of a checked bundle, and compares its digests with the evidence and with what
 * the verifiers saw. Appends bundle_payload_size() bytes. PAYLOAD_KEY, PAYLOAD_SIZE, PAYLOAD_DIGEST
 * or VERDICT_MISMATCH.
 */
_must_check_ enum refusal bundle_extract(const struct bundle *bundle,
	const struct bundle_facts *facts, struct buf *out, const char **ret_link);
