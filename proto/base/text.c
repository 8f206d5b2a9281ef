#include "proto/base/text.h"

#include <stdio.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base58_digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#define DID_PREFIX "did:key:z"
#define DID_RAW    34 /* multicodec ed25519-pub as a varint (ED 01) and the key */
#define DID_DIGITS 47

void hex_encode(const void *bytes, size_t n, char *out)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex_digits[b[i] >> 4];
		out[2 * i + 1] = hex_digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(struct span text, uint8_t *ret_bytes, size_t n)
{
	if (text.n != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++)
		if (hex_value(text.p[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		ret_bytes[i] = (uint8_t)(hex_value(text.p[2 * i]) << 4 |
					 hex_value(text.p[2 * i + 1]));
	return 0;
}

char *id_text(const struct id *id, char out[static ID_TEXT_MAX])
{
	hex_encode(id->b, sizeof(id->b), out);
	return out;
}

int id_parse(struct span text, struct id *ret_id)
{
	return hex_decode(text, ret_id->b, sizeof(ret_id->b));
}

char *did_text(const struct did *did, char out[static DID_TEXT_MAX])
{
	uint8_t raw[DID_RAW] = { 0xed, 0x01 };
	size_t at = DID_TEXT_MAX - 1;

	memcpy(raw + 2, did->b, sizeof(did->b));
	out[at] = '\0';
	/* ED 01 followed by 32 bytes always takes 47 digits, so every place is written. */
	for (size_t digit = 0; digit < DID_DIGITS; digit++) {
		unsigned rest = 0;

		for (size_t i = 0; i < DID_RAW; i++) {
			unsigned value = rest << 8 | raw[i];

			raw[i] = (uint8_t)(value / 58);
			rest = value % 58;
		}
		out[--at] = base58_digits[rest];
	}
	memcpy(out, DID_PREFIX, strlen(DID_PREFIX));
	return out;
}

int did_parse(struct span text, struct did *ret_did)
{
	size_t prefix = strlen(DID_PREFIX);
	uint8_t raw[DID_RAW] = { 0 };

	if (text.n != prefix + DID_DIGITS || memcmp(text.p, DID_PREFIX, prefix) != 0)
		return -EINVAL;
	for (size_t i = prefix; i < text.n; i++) {
		const char *digit = text.p[i] ? strchr(base58_digits, text.p[i]) : NULL;

		if (!digit)
			return -EINVAL;
		unsigned carry = (unsigned)(digit - base58_digits);

		for (size_t j = DID_RAW; j-- > 0;) {
			carry += 58u * raw[j];
			raw[j] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry)
			return -EINVAL;
	}
	if (raw[0] != 0xed || raw[1] != 0x01)
		return -EINVAL;
	memcpy(ret_did->b, raw + 2, sizeof(ret_did->b));
	return 0;
}

bool utf8_valid(struct span text)
{
	const uint8_t *p = text.p;
	const uint8_t *end = p + text.n;

	while (p < end) {
		unsigned lead = *p++;
		unsigned more;
		uint32_t value;
		uint32_t least;

		if (lead < 0x80)
			continue;
		if (lead >= 0xc2 && lead <= 0xdf) {
			more = 1;
			value = lead & 0x1f;
			least = 0x80;
		} else if ((lead & 0xf0) == 0xe0) {
			more = 2;
			value = lead & 0x0f;
			least = 0x800;
		} else if (lead >= 0xf0 && lead <= 0xf4) {
			more = 3;
			value = lead & 0x07;
			least = 0x10000;
		} else {
			return false;
		}
		if ((size_t)(end - p) < more)
			return false;
		for (; more > 0; more--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			value = value << 6 | (*p & 0x3f);
		}
		if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
			return false;
	}
	return true;
}
