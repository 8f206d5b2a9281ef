#include "buyer-sdk/cli/print.h"

#include "proto/base/buf.h"
#include "proto/base/text.h"

/* Bytes of the UTF-8 sequence that begins at p, or 0. */
static size_t sequence(const char *p, size_t left)
{
	uint8_t first = (uint8_t)*p;
	size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	return n <= left && utf8_valid(SPAN(p, n)) ? n : 0;
}

static uint32_t code_point(const char *p, size_t n)
{
	uint32_t c = n == 1 ? (uint8_t)*p : (uint8_t)*p & (0xffU >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)p[i] & 0x3f);
	return c;
}

/* Controls, and marks that reorder or hide what is around them. */
static bool has_power(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

const char *print_safe(const char *text, char out[static PRINT_TEXT_MAX])
{
	struct buf b = buf_over(out, PRINT_TEXT_MAX - 1);
	size_t left = strlen(text);

	while (left > 0) {
		size_t n = sequence(text, left);
		bool plain = n > 0 && !has_power(code_point(text, n));

		n = MAX(n, (size_t)1);
		if (b.cap - b.n < 4 * n)
			break;
		if (plain)
			buf_put(&b, text, n);
		for (size_t i = 0; !plain && i < n; i++)
			buf_printf(&b, "\\x%02x", (unsigned)(uint8_t)text[i]);
		text += n;
		left -= n;
	}
	out[b.n] = '\0';
	return out;
}

const char *print_green(const struct cli *cli)
{
	return cli->colour ? "\033[32m" : "";
}

const char *print_red(const struct cli *cli)
{
	return cli->colour ? "\033[31m" : "";
}

const char *print_yellow(const struct cli *cli)
{
	return cli->colour ? "\033[33m" : "";
}

const char *print_bold(const struct cli *cli)
{
	return cli->colour ? "\033[1m" : "";
}

const char *print_plain(const struct cli *cli)
{
	return cli->colour ? "\033[0m" : "";
}

const char *print_decimal(int64_t mantissa, int64_t exponent, char out[static PRINT_DECIMAL_MAX])
{
	uint64_t magnitude = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
	const char *sign = mantissa < 0 ? "-" : "";
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)magnitude);

	if (exponent > 18 || exponent < -18) {
		snprintf(out, PRINT_DECIMAL_MAX, "%s%se%lld", sign, digits, (long long)exponent);
		return out;
	}
	if (exponent >= 0) {
		int zeros = magnitude ? (int)exponent : 0;

		snprintf(out, PRINT_DECIMAL_MAX, "%s%s%.*s", sign, digits, zeros,
			"000000000000000000");
		return out;
	}

	int after = (int)-exponent;

	if (n > after)
		snprintf(out, PRINT_DECIMAL_MAX, "%s%.*s.%s", sign, n - after, digits,
			digits + (n - after));
	else
		snprintf(out, PRINT_DECIMAL_MAX, "%s0.%.*s%s", sign, after - n,
			"000000000000000000", digits);
	return out;
}

const char *print_degrees(int64_t e7, char out[static PRINT_DECIMAL_MAX])
{
	size_t n;

	print_decimal(e7, -7, out);
	n = strlen(out);
	while (n > 2 && out[n - 1] == '0' && out[n - 2] != '.')
		out[--n] = '\0';
	return out;
}
