#pragma once
/* Decimal numbers of IEEE 488.2 (8.7.2 to 8.7.4: NR1, NR2, NR3) without floats. */
#include "proto/base/base.h"

#define SCPI_EXPONENT_MAX 99 /* of a number as it is written */

/*
 * The whole text must be one number: [+-] digits [. digits] [E [+-] digits], with a digit before or
 * after the point. "+4.99873E+00" gives 499873 and -5: trailing zeros of a fraction are kept, they
 * say how finely was measured. Returns 0, -EINVAL (not such a number), -ENODATA (9.91E37, SCPI-99
 * volume 1, 7.2.1.5: not a number), -EOVERFLOW (9.9E37 or more in magnitude: an overload), or
 * -ERANGE (the digits do not fit 64 bits, or the exponent is over SCPI_EXPONENT_MAX).
 */
_must_check_ int scpi_number_parse(struct span text, int64_t *ret_mantissa, int32_t *ret_exponent);
