#include "escrow/verify/checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_compare(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(checks_compare(1, 30, INT64_MAX, 0), 1);
	assert_int_equal(checks_compare(-1, 30, INT64_MIN, 0), -1);
	assert_int_equal(checks_compare(0, 30, 0, -30), 0);
	assert_int_equal(checks_compare(0, 30, 1, -30), -1);
	assert_int_equal(checks_compare(INT64_MAX, -18, 9223372036854775807, -18), 0);
	assert_int_equal(checks_compare(1, 18, 1000000000000000000, 0), 0);
	assert_int_equal(checks_compare(999999999999999999, 0, 1, 18), -1);
	assert_int_equal(checks_compare(INT64_MIN, 30, INT64_MAX, -30), -1);
}

/* Every pair of a ladder of values with many spellings compares as its rungs do. */
static void test_ladder(void **state)
{
	static const struct {
		int64_t mantissa;
		int64_t exponent;
		int rung;
	} values[] = {
		{ -1, 30, 0 },
		{ INT64_MIN, 0, 1 },
		{ -10, 0, 2 },
		{ -1, 1, 2 },
		{ -1000000000000000000, -17, 2 },
		{ -1, -30, 3 },
		{ 0, -30, 4 },
		{ 0, 0, 4 },
		{ 0, 30, 4 },
		{ 1, -30, 5 },
		{ 999999999999999999, -18, 6 },
		{ 1, 0, 7 },
		{ 1000000000000000000, -18, 7 },
		{ 1000000000000000001, -18, 8 },
		{ INT64_MAX, 0, 9 },
		{ 922337203685477581, 1, 10 },
		{ 1, 19, 11 },
		{ 1, 30, 12 },
	};

	(void)state; /* ignored: cmocka's shape */
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			int got = checks_compare(values[i].mantissa, values[i].exponent,
				values[k].mantissa, values[k].exponent);
			int rungs = values[i].rung - values[k].rung;

			assert_int_equal((got > 0) - (got < 0), (rungs > 0) - (rungs < 0));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_ladder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
