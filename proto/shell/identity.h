#pragma once
/*
 * A party's keys as files. DIR (mode 0700) holds the secrets, one line of 64 hex digits each, mode
 * 0600: root.key, working.key (Ed25519 seeds), curve.key and encryption.key (X25519 secrets), and
 * keys.cose, the statement in which the root key names the other three. Loading does not touch
 * root.key, so that it may be kept elsewhere. How keys are trusted is statement/keyring.h.
 * Functions that can meet a refusal return 0, a positive enum refusal, or a negative errno.
 */
#include "proto/core/core.h"
#include "proto/net/net.h"

#define IDENTITY_VALID_NS    (5 * INT64_C(366) * 86400 * NS_PER_S) /* of the keys statement */
#define IDENTITY_GREETING_NS (3600 * NS_PER_S)
#define IDENTITY_KEYS_MAX    2048 /* bytes of keys.cose */
#define IDENTITY_MARKET_MAX  128

/* Must stay where it was loaded: author.market points into it. */
struct identity {
	struct did did;
	struct author author; /* the working key */
	struct net_keypair curve;
	uint8_t encryption_public[32];
	uint8_t encryption_secret[32];
	uint8_t keys[IDENTITY_KEYS_MAX]; /* keys.cose */
	size_t n_keys;
	uint8_t market[IDENTITY_MARKET_MAX];
};

/*
 * Makes dir where it is missing, and all files, durably; keys.cose last, so that an identity is
 * whole or is none. -EEXIST where dir holds one, -EPERM where others may enter dir, -EINVAL for a
 * market name that is empty or over IDENTITY_MARKET_MAX.
 */
_must_check_ int identity_new(const char *dir, const char *market);

/*
 * Reads it back and checks that the keys belong to the statement, that the statement is signed by
 * its root, and that it is valid now. REFUSED_KEY_FILE_OPEN, REFUSED_KEY_REVOKED (it is over),
 * another refusal of a damaged keys.cose, -EBADMSG for a malformed or foreign key, -ENOENT.
 */
_must_check_ int identity_load(const char *dir, struct identity *ret_identity);
/* Wipes the secrets. Takes one of zeros. */
void identity_deinit(struct identity *identity);

/* The keys statement, to attach. */
static inline struct span identity_keys(const struct identity *identity)
{
	return SPAN(identity->keys, identity->n_keys);
}

/*
 * Signs a greeting for the connection whose CURVE key is carrier and appends it to out. It holds
 * for IDENTITY_GREETING_NS. False where out is too small or the role is none.
 */
_must_check_ bool identity_greeting(const struct identity *identity, enum role role,
	const struct net_key *carrier, int64_t now_ns, struct buf *out);
