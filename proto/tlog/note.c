#include "proto/tlog/note.h"

#include "proto/base/sha256.h"
#include "proto/base/text.h"

#include <sodium.h>

#define NOTE_TYPE_ED25519 0x01
#define NOTE_BLOB         (4 + 64) /* key id and signature */
#define NOTE_BLOB_MAX     256 /* of an unknown key: room for other algorithms */
#define NOTE_DASH         "\xe2\x80\x94 "

static bool note_name_valid(struct span name)
{
	if (name.n == 0 || name.n > NOTE_NAME_MAX || !utf8_valid(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] == '+' || name.p[i] == 0x7f)
			return false;
	return true;
}

/* Base64 in its one canonical spelling (RFC 4648, 4, with padding and zero pad bits). */
static bool note_base64(struct span text, uint8_t *ret_bytes, size_t cap, size_t *ret_n)
{
	char again[sodium_base64_ENCODED_LEN(NOTE_BLOB_MAX, sodium_base64_VARIANT_ORIGINAL)];
	size_t n;

	if (text.n >= sizeof(again) || cap > NOTE_BLOB_MAX ||
		sodium_base642bin(ret_bytes, cap, (const char *)text.p, text.n, NULL, &n, NULL,
			sodium_base64_VARIANT_ORIGINAL) != 0)
		return false;
	sodium_bin2base64(again, sizeof(again), ret_bytes, n, sodium_base64_VARIANT_ORIGINAL);
	if (!span_is(text, again))
		return false;
	*ret_n = n;
	return true;
}

int note_key_init(struct note_key *ret_key, struct span name, const uint8_t public_key[static 32])
{
	static const uint8_t middle[2] = { '\n', NOTE_TYPE_ED25519 };
	struct id digest;

	if (!note_name_valid(name))
		return -EINVAL;
	*ret_key = (struct note_key){ 0 };
	memcpy(ret_key->name, name.p, name.n);
	memcpy(ret_key->public_key, public_key, sizeof(ret_key->public_key));
	digest = SHA256(name, SPAN_OF(middle), SPAN(public_key, 32));
	memcpy(ret_key->id, digest.b, sizeof(ret_key->id));
	return 0;
}

int note_key_parse(struct span vkey, struct note_key *ret_key)
{
	const uint8_t *plus = memchr(vkey.p, '+', vkey.n);
	struct span name;
	struct span rest;
	uint8_t id[4];
	uint8_t blob[33];
	size_t n;
	struct note_key key;

	if (plus == NULL)
		return -EINVAL;
	name = SPAN(vkey.p, (size_t)(plus - vkey.p));
	rest = SPAN(plus + 1, vkey.n - name.n - 1);
	if (rest.n < 10 || rest.p[8] != '+' || hex_decode(SPAN(rest.p, 8), id, sizeof(id)) < 0)
		return -EINVAL;
	if (!note_base64(SPAN(rest.p + 9, rest.n - 9), blob, sizeof(blob), &n) ||
		n != sizeof(blob) || blob[0] != NOTE_TYPE_ED25519)
		return -EINVAL;
	if (note_key_init(&key, name, blob + 1) < 0 || memcmp(key.id, id, sizeof(id)) != 0)
		return -EINVAL;
	*ret_key = key;
	return 0;
}

char *note_key_text(const struct note_key *key, char out[static NOTE_VKEY_MAX])
{
	uint8_t blob[33] = { NOTE_TYPE_ED25519 };
	size_t n = strlen(key->name);

	memcpy(blob + 1, key->public_key, sizeof(key->public_key));
	memcpy(out, key->name, n);
	out[n++] = '+';
	hex_encode(key->id, sizeof(key->id), out + n);
	n += 2 * sizeof(key->id);
	out[n++] = '+';
	sodium_bin2base64(
		out + n, NOTE_VKEY_MAX - n, blob, sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
	return out;
}

static bool note_bytes_valid(struct span bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		if (bytes.p[i] < ' ' && bytes.p[i] != '\n')
			return false;
	return utf8_valid(bytes);
}

bool note_sign(const struct signer *signer, struct span name, struct span text, struct buf *out)
{
	struct note_key key;
	uint8_t blob[NOTE_BLOB];
	char encoded[sodium_base64_ENCODED_LEN(NOTE_BLOB, sodium_base64_VARIANT_ORIGINAL)];
	size_t before = out->n;

	if (text.n == 0 || text.p[text.n - 1] != '\n' || !note_bytes_valid(text) ||
		note_key_init(&key, name, signer->public_key) < 0)
		return false;
	memcpy(blob, key.id, sizeof(key.id));
	if (crypto_sign_detached(blob + 4, NULL, text.p, text.n, signer->secret_key) != 0)
		return false;
	cose_count_signature();
	sodium_bin2base64(
		encoded, sizeof(encoded), blob, sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
	buf_put(out, text.p, text.n);
	buf_str(out, "\n" NOTE_DASH);
	buf_put(out, name.p, name.n);
	buf_byte(out, ' ');
	buf_str(out, encoded);
	buf_byte(out, '\n');
	return buf_ok(out) && out->n - before <= NOTE_MAX;
}

/* Where the text ends: after the newline before the last blank line. 0 where there is none. */
static size_t note_text_length(struct span note)
{
	for (size_t i = note.n; i >= 2; i--)
		if (note.p[i - 1] == '\n' && note.p[i - 2] == '\n')
			return i - 1;
	return 0;
}

struct note_line {
	struct span name;
	uint8_t blob[NOTE_BLOB_MAX];
	size_t n_blob;
};

/* Takes one signature line off *rest. */
static bool note_line_next(struct span *rest, struct note_line *ret_line)
{
	const size_t n_dash = strlen(NOTE_DASH);
	const uint8_t *end = memchr(rest->p, '\n', rest->n);
	const uint8_t *space;
	struct span line;

	if (end == NULL)
		return false;
	line = SPAN(rest->p, (size_t)(end - rest->p));
	*rest = SPAN(end + 1, rest->n - line.n - 1);
	if (line.n <= n_dash || memcmp(line.p, NOTE_DASH, n_dash) != 0)
		return false;
	line = SPAN(line.p + n_dash, line.n - n_dash);
	space = memchr(line.p, ' ', line.n);
	if (space == NULL)
		return false;
	ret_line->name = SPAN(line.p, (size_t)(space - line.p));
	line = SPAN(space + 1, line.n - ret_line->name.n - 1);
	return note_name_valid(ret_line->name) &&
	       note_base64(line, ret_line->blob, sizeof(ret_line->blob), &ret_line->n_blob) &&
	       ret_line->n_blob > 4;
}

static bool note_line_is_by(const struct note_line *line, const struct note_key *key)
{
	return span_is(line->name, key->name) && memcmp(line->blob, key->id, sizeof(key->id)) == 0;
}

enum refusal note_verify(struct span note, const struct note_key *keys, size_t n_keys,
	struct span *ret_text, uint32_t *ret_signed)
{
	struct span text;
	struct span rest;
	uint32_t signed_by = 0;
	size_t n_lines = 0;

	assert(n_keys <= NOTE_KEYS_MAX);
	if (note.n > NOTE_MAX || !note_bytes_valid(note))
		return REFUSED_RECEIPT_INVALID;
	text = SPAN(note.p, note_text_length(note));
	if (text.n == 0)
		return REFUSED_RECEIPT_INVALID;
	rest = SPAN(note.p + text.n + 1, note.n - text.n - 1);
	while (rest.n > 0) {
		struct note_line line;

		if (++n_lines > NOTE_SIGNATURES_MAX || !note_line_next(&rest, &line))
			return REFUSED_RECEIPT_INVALID;
		for (size_t k = 0; k < n_keys; k++) {
			if (!note_line_is_by(&line, &keys[k]))
				continue;
			cose_count_verification();
			if (line.n_blob != NOTE_BLOB ||
				crypto_sign_verify_detached(
					line.blob + 4, text.p, text.n, keys[k].public_key) != 0)
				return REFUSED_RECEIPT_INVALID;
			signed_by |= UINT32_C(1) << k;
		}
	}
	if (signed_by == 0)
		return REFUSED_RECEIPT_INVALID;
	*ret_text = text;
	if (ret_signed != NULL)
		*ret_signed = signed_by;
	return REFUSED_NOT;
}
