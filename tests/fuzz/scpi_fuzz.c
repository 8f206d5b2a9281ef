#include "tests/fuzz/fuzz.h"

#include "proto/base/buf.h"
#include "sensor-node/drivers/scpi_number.h"

#define INPUT_MAX 512

/* Prints mantissa * 10^exponent; an exponent that has no such form is put into zeros of a fraction. */
static void print(int64_t mantissa, int32_t exponent, struct buf *out)
{
	uint64_t magnitude = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
	int32_t places = exponent < -SCPI_EXPONENT_MAX ? -SCPI_EXPONENT_MAX - exponent : 0;
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)magnitude);

	buf_str(out, mantissa < 0 ? "-" : "");
	if (places > 0) {
		/* All digits behind the point: zeros first, where there are fewer than places. */
		int32_t whole = n > places ? n - places : 0;

		buf_printf(out, "%.*s.", (int)whole, digits);
		for (int32_t i = n; i < places; i++)
			buf_byte(out, '0');
		buf_str(out, digits + whole);
	} else {
		buf_str(out, digits);
	}
	buf_printf(out, "E%d", (int)(exponent + places));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t bytes[2 * INPUT_MAX];
	struct buf out = BUF(bytes);
	int64_t mantissa = 1234, again_mantissa;
	int32_t exponent = 56, again_exponent;

	if (n > INPUT_MAX)
		return 0;

	int r = scpi_number_parse(SPAN(data, n), &mantissa, &exponent);

	FUZZ_PROMISE(r == 0 || r == -EINVAL || r == -ENODATA || r == -EOVERFLOW || r == -ERANGE);
	if (r < 0) {
		FUZZ_PROMISE(mantissa == 1234 && exponent == 56);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		FUZZ_PROMISE((data[i] && strchr("0123456789+-.eE", data[i])) != 0);
	FUZZ_PROMISE(exponent <= SCPI_EXPONENT_MAX);
	FUZZ_PROMISE(exponent >= -SCPI_EXPONENT_MAX - INPUT_MAX);
	print(mantissa, exponent, &out);
	FUZZ_PROMISE(buf_ok(&out));
	FUZZ_PROMISE(scpi_number_parse(buf_span(&out), &again_mantissa, &again_exponent) == 0);
	FUZZ_PROMISE(mantissa == again_mantissa && exponent == again_exponent);
	return 0;
}
