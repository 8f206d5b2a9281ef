#include "escrow/verify/checks.h"

#include "proto/core/rules.h"
#include "verify_cases.h"

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

TAMPER(no_sandbox, FIXTURE_DONE, f->input.sandbox = NULL)
TAMPER(png_type, STATEMENT_EVIDENCE, f->evidence.payload.type = SPAN_STR("image/png"))
TAMPER(own_width, STATEMENT_REQUEST, f->request.checks[1].parameters.present = true;
	f->request.checks[1].parameters.width = 65)

static void test_media(void **state)
{
	static const uint8_t png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13 };

	(void)state; /* ignored: cmocka's shape */
	cases_check_fails(cases.small_photo, NULL, CHECK_DIMENSIONS, REFUSED_MEDIA_TOO_SMALL);
	cases_check_fails(cases.photo, own_width, CHECK_DIMENSIONS, REFUSED_MEDIA_TOO_SMALL);
	cases_check_fails(SPAN(cases.photo.p, cases.photo.n - 40), NULL, CHECK_DECODES,
		REFUSED_MEDIA_UNDECODABLE);
	cases_check_fails(SPAN(cases.photo.p, cases.photo.n - 40), NULL, CHECK_DIMENSIONS,
		REFUSED_MEDIA_UNDECODABLE);
	cases_check_fails(SPAN_OF(png), NULL, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
	cases_check_fails(cases.photo, png_type, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
	cases_check_fails(SPAN(NULL, 0), NULL, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
}

/* Our own fault is no verdict about the picture. */
static void test_no_sandbox(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	fixture_make(&cases.fixture, cases.photo, no_sandbox);
	assert_int_equal(verify_run(&cases.fixture.input, &cases.output), 0);
	cases_expect(CHECK_DECODES, CHECK_INCONCLUSIVE, REFUSED_CHECK_NOT_RUN);
	cases_expect(CHECK_PLACE, CHECK_PASS, REFUSED_NOT);
	assert_int_equal(cases.output.outcome, CHECK_INCONCLUSIVE);
	assert_int_equal(cases.output.sandbox_error, -ENOENT);
	cases_done();
}

#define PLACES(name, lat, lon, lat2, lon2, radius) \
	static void name(struct fixture *f, int stage) \
	{ \
		if (stage == STATEMENT_REQUEST) \
			f->request.area = (struct place){ true, lat, lon, radius }; \
		if (stage == FIXTURE_SEAL) \
			f->claims.place = (struct place){ true, lat2, lon2, 0 }; \
	}
/* One degree of latitude is 111,195.08 m on that sphere. */
PLACES(inside_edge, 0, 0, 10000000, 0, 111196)
PLACES(on_edge, 0, 0, 10000000, 0, 111195)
PLACES(over_edge, 0, 0, 10000000, 0, 111194)
PLACES(across_antimeridian, 0, 1799999000, 0, -1799999000, 23)
PLACES(far_across_antimeridian, 0, 1799999000, 0, -1799999000, 21)
PLACES(antipode, 900000000, 0, -900000000, 0, 20000000)

static void test_place(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases_pass(inside_edge);
	/* 80 mm beyond: nearer than two machines need agree. */
	cases_run(cases.photo, on_edge);
	cases_expect(CHECK_PLACE, CHECK_INCONCLUSIVE, REFUSED_PLACE_OUTSIDE);
	assert_int_equal(cases.output.outcome, CHECK_INCONCLUSIVE);
	cases_done();
	cases_pass(across_antimeridian);
	cases_check_fails(cases.photo, over_edge, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
	cases_check_fails(cases.photo, far_across_antimeridian, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
	cases_check_fails(cases.photo, antipode, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
}

/* 1.200 V to 1.500 V */
TAMPER(volts, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3))
TAMPER(no_range, STATEMENT_REQUEST, fixture_ask_value(f, "V", 0, 0, 0))
TAMPER(other_quantity, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3);
	f->request.parameters.quantity = SPAN_STR("current"))
TAMPER(other_channel, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3);
	f->request.parameters.channel = SPAN_STR("2"))

static void measures(const char *unit, int64_t mantissa, int64_t exponent, fixture_tamper *tamper,
	enum refusal code)
{
	uint8_t bytes[1024];
	struct buf room = BUF(bytes);

	cases_run(fixture_measurement(unit, mantissa, exponent, &room), tamper);
	cases_expect(CHECK_UNIT_RANGE, code == REFUSED_NOT ? CHECK_PASS : CHECK_FAIL, code);
	assert_int_equal(cases.output.outcome, code == REFUSED_NOT ? CHECK_PASS : CHECK_FAIL);
	assert_int_equal(cases_result(CHECK_UNIT_RANGE)->figures[0].value, mantissa);
	assert_int_equal(cases_result(CHECK_UNIT_RANGE)->figures[0].exponent, exponent);
	cases_done();
}

TAMPER(up_to, STATEMENT_REQUEST, fixture_ask_value(f, "V", 0, 1500, -3))
TAMPER(down_to, STATEMENT_REQUEST, fixture_ask_value(f, "V", -1500, 0, -3))

static void test_unit_range(void **state)
{
	uint8_t bytes[1024];
	struct buf room = BUF(bytes);
	struct span cut;

	(void)state; /* ignored: cmocka's shape */
	measures("V", 15, -1, volts, REFUSED_NOT);
	measures("V", 1500000000, -9, volts, REFUSED_NOT);
	measures("V", 1500000001, -9, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 12, -1, volts, REFUSED_NOT);
	measures("V", 119999999999999999, -17, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 1, 30, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 1, -30, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", -15, -1, volts, REFUSED_VALUE_OUTSIDE);
	measures("mV", 1300, -3, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 99, 0, no_range, REFUSED_NOT);
	measures("V", 13, -1, other_quantity, REFUSED_VALUE_OUTSIDE);
	measures("V", 13, -1, other_channel, REFUSED_VALUE_OUTSIDE);
	/* A bound of 0 is a bound where the other one is not 0. */
	measures("V", 20, -1, up_to, REFUSED_VALUE_OUTSIDE);
	measures("V", -1, 0, up_to, REFUSED_VALUE_OUTSIDE);
	measures("V", 0, 0, up_to, REFUSED_NOT);
	measures("V", 1, -30, down_to, REFUSED_VALUE_OUTSIDE);
	measures("V", -2, 0, down_to, REFUSED_VALUE_OUTSIDE);
	cut = fixture_measurement("V", 13, -1, &room);
	cut.n--;
	cases_check_fails(cut, volts, CHECK_UNIT_RANGE, REFUSED_MEDIA_UNDECODABLE);
}

TAMPER(unknown_advice, STATEMENT_REQUEST, f->request.n_checks = 4;
	f->request.checks[3] = (struct check){
		.present = true, .id = SPAN_STR("sharpness"), .check_version = 1 })
TAMPER(unknown_binding, STATEMENT_REQUEST, f->request.n_checks = 4;
	f->request.checks[3] = (struct check){
		.present = true, .id = SPAN_STR("decodes"), .check_version = 2, .binding = true })
TAMPER(advice_fails, STATEMENT_REQUEST, f->request.checks[1].binding = false)
static void many_checks(struct fixture *f, int stage)
{
	if (stage != STATEMENT_REQUEST)
		return;
	f->request.n_checks = CHECKS_MAX;
	for (size_t i = 3; i < CHECKS_MAX; i++)
		f->request.checks[i] = f->request.checks[2];
}

static void all_results_fit(struct fixture *f, int stage)
{
	many_checks(f, stage);
	if (stage == STATEMENT_REQUEST)
		f->request.n_checks = CHECKS_MAX - VERIFY_GATES;
}

static void test_outcome(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases_run(cases.photo, unknown_advice);
	cases_expect("sharpness", CHECK_INCONCLUSIVE, REFUSED_CHECK_UNKNOWN);
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	cases_done();
	cases_run(cases.photo, unknown_binding);
	assert_int_equal(cases.output.outcome, CHECK_INCONCLUSIVE);
	cases_done();
	cases_run(cases.small_photo, advice_fails);
	cases_expect(CHECK_DIMENSIONS, CHECK_FAIL, REFUSED_MEDIA_TOO_SMALL);
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	cases_done();
	cases_run(cases.small_photo, unknown_binding);
	assert_int_equal(cases.output.outcome, CHECK_FAIL);
	cases_done();
	cases_run(cases.photo, many_checks);
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	assert_int_equal(cases.output.n_results, CHECKS_MAX);
	assert_true(span_is(cases.output.results[0].id, CHECK_DECODES));
	cases_done();
	cases_run(cases.photo, all_results_fit);
	assert_int_equal(cases.output.n_results, CHECKS_MAX);
	assert_true(span_is(cases.output.results[0].id, "gate.decode"));
	cases_done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_ladder),
		cmocka_unit_test(test_media),
		cmocka_unit_test(test_no_sandbox),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_unit_range),
		cmocka_unit_test(test_outcome),
	};

	return cmocka_run_group_tests(tests, cases_setup, cases_teardown);
}
