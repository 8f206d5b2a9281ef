#include "proto/base/text.h"

#include <stdio.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base58_digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#define DID_PREFIX "did:key:z"
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

/* A big-endian number of 288 bits, of which a did takes 272. */
#define LIMBS      9
#define FIVE_RADIX UINT64_C(656356768) /* 58^5: five digits at a time */

char *did_text(const struct did *did, char out[static DID_TEXT_MAX])
{
	uint8_t raw[LIMBS * 4] = { [2] = 0xed, [3] = 0x01 };
	uint32_t limbs[LIMBS];
	size_t at = DID_TEXT_MAX - 1;

	memcpy(raw + LIMBS * 4 - sizeof(did->b), did->b, sizeof(did->b));
	for (size_t i = 0; i < LIMBS; i++)
		limbs[i] = (uint32_t)raw[4 * i] << 24 | (uint32_t)raw[4 * i + 1] << 16 |
			   (uint32_t)raw[4 * i + 2] << 8 | raw[4 * i + 3];
	out[at] = '\0';
	/* ED 01 followed by 32 bytes always takes 47 digits, so every place is written. */
	for (size_t digit = 0; digit < DID_DIGITS;) {
		uint64_t rest = 0;

		for (size_t i = 0; i < LIMBS; i++) {
			uint64_t value = rest << 32 | limbs[i];

			limbs[i] = (uint32_t)(value / FIVE_RADIX);
			rest = value % FIVE_RADIX;
		}
		for (size_t i = 0; i < 5 && digit < DID_DIGITS; i++, digit++, rest /= 58)
			out[--at] = base58_digits[rest % 58];
	}
	memcpy(out, DID_PREFIX, strlen(DID_PREFIX));
	return out;
}

/* One more than the digit's value; 0 for what is none. */
/* clang-format off */
static const uint8_t base58_values[128] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0,
	0, 10, 11, 12, 13, 14, 15, 16, 17, 0, 18, 19, 20, 21, 22, 0,
	23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 0, 0, 0, 0, 0,
	0, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 0, 45, 46, 47,
	48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 0, 0, 0, 0, 0,
};
/* clang-format on */

int did_parse(struct span text, struct did *ret_did)
{
	size_t prefix = strlen(DID_PREFIX);
	uint32_t limbs[LIMBS] = { 0 };
	uint64_t radix = 1;
	uint64_t group = 0;

	if (text.n != prefix + DID_DIGITS || memcmp(text.p, DID_PREFIX, prefix) != 0)
		return -EINVAL;
	for (size_t i = prefix; i < text.n; i++) {
		uint8_t value = text.p[i] < 128 ? base58_values[text.p[i]] : 0;

		if (value == 0)
			return -EINVAL;
		group = group * 58 + value - 1;
		radix *= 58;
		if (radix != FIVE_RADIX && i + 1 < text.n)
			continue;
		/* 58^47 is less than 2^288: nothing is carried out of the first limb. */
		for (size_t j = LIMBS; j-- > 0;) {
			group += radix * limbs[j];
			limbs[j] = (uint32_t)group;
			group >>= 32;
		}
		radix = 1;
	}
	if (limbs[0] != 0xed01)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(ret_did->b); i++)
		ret_did->b[i] = (uint8_t)(limbs[1 + i / 4] >> (24 - 8 * (i % 4)));
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
