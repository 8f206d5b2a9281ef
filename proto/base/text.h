#pragma once
/*
 * Text forms of bytes: hex, and did:key identities (https://w3c-ccg.github.io/did-key-spec/:
 * "did:key:" + multibase base58btc of the multicodec prefix ED 01 and the 32-byte key). Base64
 * comes from libsodium. Debian has no C library for base58.
 */
#include "proto/base/base.h"

#define ID_TEXT_MAX  65 /* 64 digits and NUL */
#define DID_TEXT_MAX 57 /* "did:key:" + 'z' + 47 + NUL; all Ed25519 keys give the same length */

/* Lower-case hex of n bytes into out[2n + 1]. */
void hex_encode(const void *bytes, size_t n, char *out);
/* Exactly n bytes from 2n digits of either case. Returns 0 or -EINVAL. */
_must_check_ int hex_decode(struct span text, uint8_t *ret_bytes, size_t n);

/* Writes the text of an id, with NUL, and returns out. */
char *id_text(const struct id *id, char out[static ID_TEXT_MAX]);
_must_check_ int id_parse(struct span text, struct id *ret_id);

char *did_text(const struct did *did, char out[static DID_TEXT_MAX]);
/* Only did:key with an Ed25519 key, in its one canonical spelling. Returns 0 or -EINVAL. */
_must_check_ int did_parse(struct span text, struct did *ret_did);

/* Strict UTF-8 (RFC 3629): no overlong forms, surrogates, or values over U+10FFFF. */
_must_check_ bool utf8_valid(struct span text);
