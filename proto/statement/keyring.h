#pragma once
/*
 * Which key belongs to whom: what the `keys` statements seen so far say. A bounded cache, filled
 * from statements that travel along with others and kept by the shells. Allocates at start and for
 * each identity's statement; the oldest entries make room when it is full.
 */
#include "proto/statement/statement.h"
#include "proto/tlog/proof.h"

/* Clocks of honest parties differ by at most this much. */
#define CLOCK_SKEW_NS (5 * NS_PER_S)
/* Statements kept of one identity; its oldest makes room. */
#define KEYRING_STATEMENTS_MAX 8

/* Statements whose right signature is remembered; a power of two, at most 65536. */
#define KEYRING_VERIFIED 4096

struct keyring;

struct keyring_entry {
	struct did did;
	struct id id; /* of the keys statement */
	uint8_t working_key[COSE_KEY_MAX];
	size_t working_key_n;
	uint8_t curve_key[32];
	uint8_t encryption_key[32];
	int64_t valid_from_ns;
	int64_t valid_until_ns;
	int64_t revoked_since_ns; /* 0: not revoked */
	struct span bytes; /* the keys statement, owned by the keyring */
};

/* capacity: identities kept at most. NULL without memory. */
struct keyring *keyring_new(size_t capacity);
void keyring_free(struct keyring *keyring);
void keyring_freep(struct keyring **keyring);

/*
 * Verifies a keys statement (the root key signs for itself) and remembers it. ret_new tells whether
 * it was not known before. A statement that replaces (with another working key) or revokes marks
 * the other key, in whichever order the two arrive. REFUSED_NOT, STATEMENT_KIND, COSE_ALGORITHM,
 * COSE_SIGNATURE, KEY_UNKNOWN (not signed by the root, or no memory to keep it).
 */
_must_check_ enum refusal keyring_learn(
	struct keyring *keyring, const struct statement *keys, bool *ret_new);

/*
 * Verifies a decoded statement's signature under its issuer's key, and that the key was valid and
 * not revoked at the statement's at_ns. The very same bytes are not verified twice within
 * KEYRING_VERIFIED others; the key's validity is looked at each time. REFUSED_NOT, COSE_SIGNATURE,
 * KEY_UNKNOWN, KEY_REVOKED, KEY_NOT_VALID_YET.
 */
_must_check_ enum refusal keyring_verify(
	struct keyring *keyring, const struct statement *statement);

/* Notes that were verified under this keyring's keys, for tlog/proof.h. Lives as long as the keyring. */
struct proof_memory *keyring_proofs(struct keyring *keyring);

/* Remembers a statement as verified that this process has just signed itself. */
void keyring_vouch(struct keyring *keyring, const struct statement *statement);

/* The newest entry of an identity, or NULL. Valid until the next keyring_learn(). */
const struct keyring_entry *keyring_find(const struct keyring *keyring, const struct did *did);
/* The newest entry whose working key is kid, or NULL. */
const struct keyring_entry *keyring_find_key(
	const struct keyring *keyring, const struct did *did, struct span kid);

/* Every entry, in no order, for tests. Returns NULL past the end. */
const struct keyring_entry *keyring_at(const struct keyring *keyring, size_t index);
