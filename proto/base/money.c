#include "proto/base/money.h"

#define PPM 1000000u

int money_add(struct money a, struct money b, struct money *ret_sum)
{
	int64_t sum;

	if (__builtin_add_overflow(a.micros, b.micros, &sum))
		return -ERANGE;
	ret_sum->micros = sum;
	return 0;
}

int money_sub(struct money a, struct money b, struct money *ret_difference)
{
	int64_t difference;

	if (__builtin_sub_overflow(a.micros, b.micros, &difference))
		return -ERANGE;
	ret_difference->micros = difference;
	return 0;
}

int money_share(struct money a, uint32_t parts_ppm, struct money *ret_share)
{
	if (a.micros < 0 || parts_ppm > PPM)
		return -ERANGE;
	/* Split so that the product of the whole part cannot leave 64 bits. */
	int64_t whole = a.micros / PPM;
	int64_t rest = a.micros % PPM;

	ret_share->micros = whole * (int64_t)parts_ppm + rest * (int64_t)parts_ppm / PPM;
	return 0;
}

int money_split(struct money a, uint32_t n, struct money *ret_each)
{
	if (a.micros < 0 || n == 0)
		return -ERANGE;
	ret_each->micros = a.micros / (int64_t)n;
	return 0;
}
