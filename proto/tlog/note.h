#pragma once
/*
 * Signed notes (C2SP signed-note 1.0.0) with Ed25519 keys of type 01: text that ends in a newline,
 * a blank line, and lines "U+2014 SP name SP base64(key id || signature)". What the text says is
 * left to checkpoint.h. No memory is allocated.
 */
#include "proto/base/buf.h"
#include "proto/base/refusal.h"
#include "proto/cose/cose.h"

#define NOTE_MAX            4096 /* bytes of a whole note */
#define NOTE_SIGNATURES_MAX 16 /* signature lines of one note, known keys or not */
#define NOTE_KEYS_MAX       32 /* verifier keys that one check may be given */
#define NOTE_NAME_MAX       255 /* bytes of a key's name */
/* name + 8 hex digits + base64 of 33 bytes, and NUL */
#define NOTE_VKEY_MAX (NOTE_NAME_MAX + 1 + 8 + 1 + 44 + 1)

/* Somebody whose signatures count. The id is SHA-256(name || 0A || 01 || public key)[0:4]. */
struct note_key {
	char name[NOTE_NAME_MAX + 1];
	uint8_t id[4];
	uint8_t public_key[32];
};

/*
 * A key from its parts. A name is UTF-8 of 1 to NOTE_NAME_MAX bytes without spaces, controls and
 * '+'. Returns 0 or -EINVAL.
 */
_must_check_ int note_key_init(
	struct note_key *ret_key, struct span name, const uint8_t public_key[static 32]);
/* Reads "name+hex(id)+base64(01 || key)"; the id must be the right one. Returns 0 or -EINVAL. */
_must_check_ int note_key_parse(struct span vkey, struct note_key *ret_key);
/* Writes that text, with NUL, and returns out. */
char *note_key_text(const struct note_key *key, char out[static NOTE_VKEY_MAX]);

/*
 * Appends text, a blank line and the signer's line under name to out. text must end in a newline
 * and hold no other control characters. False where it does not, where the name is none, or where
 * out or NOTE_MAX is too small; out then holds an unfinished note.
 */
_must_check_ bool note_sign(
	const struct signer *signer, struct span name, struct span text, struct buf *out);

/*
 * Checks a note against keys. Lines of other keys are ignored; a wrong signature by one of keys, or
 * no signature by any of them, refuses the note. ret_text is the signed text with its last newline,
 * in the source. ret_signed, unless NULL, has bit i set where keys[i] signed. REFUSED_NOT or
 * RECEIPT_INVALID.
 */
_must_check_ enum refusal note_verify(struct span note, const struct note_key *keys, size_t n_keys,
	struct span *ret_text, uint32_t *ret_signed);
