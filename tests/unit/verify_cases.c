#include "verify_cases.h"

#include <stdlib.h>

#include <turbojpeg.h>

struct cases cases;

/* A grey ramp. The bytes are tjFree()d. */
static struct span picture(int width, int height)
{
	uint8_t *grey = malloc((size_t)width * (size_t)height);
	tjhandle tj = tjInitCompress();
	unsigned char *bytes = NULL;
	unsigned long n = 0;

	assert_true(grey && tj);
	for (int i = 0; i < width * height; i++)
		grey[i] = (uint8_t)(i * 255 / (width * height));
	assert_int_equal(
		tjCompress2(tj, grey, width, 0, height, TJPF_GRAY, &bytes, &n, TJSAMP_GRAY, 90, 0),
		0);
	tjDestroy(tj);
	free(grey);
	return SPAN(bytes, n);
}

int cases_setup(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases.photo = picture(64, 48);
	cases.small_photo = picture(63, 48);
	return sandbox_new(&(struct sandbox_options){ .helper = DECODER, .n_per_worker = 100 },
		&cases.sandbox);
}

int cases_teardown(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	sandbox_free(cases.sandbox);
	tjFree((unsigned char *)cases.photo.p);
	tjFree((unsigned char *)cases.small_photo.p);
	return 0;
}

void cases_run(struct span plain, fixture_tamper *tamper)
{
	fixture_make(&cases.fixture, plain, tamper);
	if (!cases.fixture.input.sandbox)
		cases.fixture.input.sandbox = cases.sandbox;
	assert_int_equal(verify_run(&cases.fixture.input, &cases.output), 0);
}

void cases_done(void)
{
	verify_output_deinit(&cases.output);
	fixture_deinit(&cases.fixture);
}

const struct check_result *cases_result(const char *id)
{
	for (size_t i = 0; i < cases.output.n_results; i++)
		if (span_is(cases.output.results[i].id, id))
			return &cases.output.results[i];
	fail_msg("no result for %s", id);
	return NULL;
}

void cases_expect(const char *id, int64_t value, enum refusal code)
{
	const struct check_result *r = cases_result(id);

	if (r->result != value || r->code != (int64_t)code)
		fail_msg("%s: result %d, code %s", id, (int)r->result,
			refusal_name((enum refusal)r->code));
}

void cases_refused_by(const char *gate, enum refusal code, fixture_tamper *tamper)
{
	cases_run(cases.photo, tamper);
	cases_expect(gate, CHECK_FAIL, code);
	assert_true(span_is(cases.output.results[cases.output.n_results - 1].id, gate));
	for (size_t i = 0; i + 1 < cases.output.n_results; i++)
		assert_int_equal(cases.output.results[i].result, CHECK_PASS);
	assert_int_equal(cases.output.outcome, CHECK_FAIL);
	cases_done();
}

void cases_pass(fixture_tamper *tamper)
{
	cases_run(cases.photo, tamper);
	for (size_t i = 0; i < cases.output.n_results; i++)
		if (cases.output.results[i].result != CHECK_PASS)
			fail_msg("%.*s: %s", (int)cases.output.results[i].id.n,
				(const char *)cases.output.results[i].id.p,
				refusal_name((enum refusal)cases.output.results[i].code));
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	cases_done();
}

void cases_check_fails(struct span plain, fixture_tamper *tamper, const char *id, enum refusal code)
{
	cases_run(plain, tamper);
	assert_int_equal(cases.output.outcome, CHECK_FAIL);
	cases_expect("gate.payload", CHECK_PASS, REFUSED_NOT);
	cases_expect(id, CHECK_FAIL, code);
	cases_done();
}
