#pragma once
/*
 * Amounts of money as a checked type: integer micro-units of one asset. Which asset it is stands
 * beside it in the statement or the row; this file only makes sure that no sum can wrap.
 */
#include "proto/base/base.h"

struct money {
	int64_t micros;
};

#define MONEY_ZERO ((struct money){ 0 })

/* Sum. Returns 0, or -ERANGE and leaves *ret_sum untouched where it would overflow. */
_must_check_ int money_add(struct money a, struct money b, struct money *ret_sum);

/* Difference. Returns 0, or -ERANGE on overflow; the result may be negative. */
_must_check_ int money_sub(struct money a, struct money b, struct money *ret_difference);

/*
 * a * parts / 1,000,000, rounded towards zero (statements.md rule 7: shares round down).
 * parts_ppm: 0 to 1,000,000. a must not be negative. Returns 0 or -ERANGE.
 */
_must_check_ int money_share(struct money a, uint32_t parts_ppm, struct money *ret_share);

/* a / n, rounded down. n > 0 and a >= 0, or -ERANGE. */
_must_check_ int money_split(struct money a, uint32_t n, struct money *ret_each);
