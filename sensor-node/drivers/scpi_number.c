#include "sensor-node/drivers/scpi_number.h"

/* SCPI's two numbers that are none, as 37 powers of ten over 9.9 and 9.91. */
#define SPECIAL_EXPONENT 37

struct number {
	int64_t mantissa; /* never negative while digits are read */
	int32_t exponent;
	bool negative;
	bool too_long;
};

static bool scpi_number_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool scpi_number_sign(struct span text, size_t *at)
{
	if (*at < text.n && (text.p[*at] == '+' || text.p[*at] == '-'))
		return text.p[(*at)++] == '-';
	return false;
}

/* Reads digits into n, counting those after the point. Returns how many there were. */
static size_t scpi_number_digits(struct span text, size_t *at, struct number *n, bool fraction)
{
	size_t from = *at;

	for (; *at < text.n && scpi_number_is_digit(text.p[*at]); (*at)++) {
		int64_t mantissa;

		if (__builtin_mul_overflow(n->mantissa, 10, &mantissa) ||
			__builtin_add_overflow(mantissa, text.p[*at] - '0', &mantissa)) {
			n->too_long = true;
			continue;
		}
		n->mantissa = mantissa;
		n->exponent -= fraction;
	}
	return *at - from;
}

/* Reads E, a sign and digits, if the text goes on with E. Returns 0, -EINVAL or -ERANGE. */
static int scpi_number_exponent(struct span text, size_t *at, int32_t *ret_exponent)
{
	int32_t exponent = 0;

	*ret_exponent = 0;
	if (*at >= text.n || (text.p[*at] != 'E' && text.p[*at] != 'e'))
		return 0;
	(*at)++;

	bool negative = scpi_number_sign(text, at);
	size_t from = *at;

	for (; *at < text.n && scpi_number_is_digit(text.p[*at]); (*at)++)
		if (exponent <= SCPI_EXPONENT_MAX)
			exponent = exponent * 10 + (text.p[*at] - '0');
	if (*at == from)
		return -EINVAL;
	*ret_exponent = negative ? -exponent : exponent;
	return exponent <= SCPI_EXPONENT_MAX ? 0 : -ERANGE;
}

/*
 * Compares the magnitude with 9.9E37 and 9.91E37 after bringing the mantissa to the form d.dd...:
 * with p digits, m * 10^e = (m / 10^(p-1)) * 10^(e+p-1). Returns 0, -ENODATA or -EOVERFLOW.
 */
static int scpi_number_special(const struct number *n)
{
	int64_t m = n->mantissa;
	int64_t scale = 1;
	int32_t power = n->exponent;

	while (m / scale >= 10) {
		scale *= 10;
		power++;
	}
	if (m == 0 || power < SPECIAL_EXPONENT)
		return 0;
	if (power > SPECIAL_EXPONENT)
		return -EOVERFLOW;
	/* digits after the leading one, from "9" on: 9.9 and 9.91 exactly, whatever zeros follow */
	while (m % 10 == 0)
		m /= 10;
	if (m == 991 && !n->negative)
		return -ENODATA;

	int64_t lead = n->mantissa / scale;
	int64_t next = scale > 1 ? n->mantissa / (scale / 10) % 10 : 0;

	return lead == 9 && next == 9 ? -EOVERFLOW : 0;
}

int scpi_number_parse(struct span text, int64_t *ret_mantissa, int32_t *ret_exponent)
{
	struct number n = { 0 };
	size_t at = 0;
	int32_t exponent;

	n.negative = scpi_number_sign(text, &at);

	size_t digits = scpi_number_digits(text, &at, &n, false);

	if (at < text.n && text.p[at] == '.') {
		at++;
		digits += scpi_number_digits(text, &at, &n, true);
	}
	if (digits == 0)
		return -EINVAL;

	int r = scpi_number_exponent(text, &at, &exponent);

	if (r == -EINVAL || at != text.n)
		return -EINVAL;
	if (r < 0 || n.too_long)
		return -ERANGE;
	/* both are bounded: by SCPI_EXPONENT_MAX and by the digits of an int64_t and leading zeros
	 */
	n.exponent += exponent;
	r = scpi_number_special(&n);
	if (r < 0)
		return r;
	*ret_mantissa = n.negative ? -n.mantissa : n.mantissa;
	*ret_exponent = n.exponent;
	return 0;
}
