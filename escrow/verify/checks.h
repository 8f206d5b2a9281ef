#pragma once
/*
 * The checks that a request may ask for, version 1 of each (their names: proto/core/rules.h).
 * Integers only. They look at a payload that has passed the gates.
 *
 *	decodes     a JPEG decodes fully and without a warning; a measurement is strict CBOR with
 *		    all its fields. Figures of a JPEG: mean_luma, luma_deviation. Any other media
 *		    type fails.
 *	dimensions  a JPEG that decodes, at least parameters.width by parameters.height, as stored
 *		    (an EXIF orientation turns nothing). Figures: width, height.
 *	place       the claimed place is at most area.radius_m from the area's centre. No figure:
 *		    the verdict must not reveal the place (statements.md, rule 10).
 *	unit-range  a measurement in parameters.unit, of parameters.quantity and .channel where
 *		    given, within low..high, compared exactly. low and high both 0 mean no range.
 *		    Figure: value.
 *
 * Parameters are the check's own where it has some, and else the request's.
 */
#include "escrow/verify/verify.h"

/* Adds a result for each of the request's checks and sets output->outcome and sandbox_error. */
void checks_run(const struct verify_input *input, struct verify_output *output);

/* Below, at or above 0 as a * 10^a_exponent is below, at or above b * 10^b_exponent: exact. */
_const_ int checks_compare(int64_t a, int64_t a_exponent, int64_t b, int64_t b_exponent);
