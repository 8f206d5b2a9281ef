#include "escrow/verify/checks.h"

#include "proto/core/rules.h"

/* What several checks of one run share: the payload is decoded once. */
struct subject {
	const struct verify_input *in;
	struct verify_output *out;
	bool is_jpeg;
	bool is_measurement;
	bool looked; /* the two below are known */
	int error; /* of the sandbox: a fault on our side */
	struct jpeg_facts facts;
	enum refusal misread; /* of the measurement */
	struct measurement measurement;
};

static void look(struct subject *s)
{
	struct span plain = SPAN(s->out->plain, s->out->n_plain);

	if (s->looked)
		return;
	s->looked = true;
	if (s->is_jpeg && !s->in->sandbox)
		s->error = -ENOENT;
	else if (s->is_jpeg)
		s->error = sandbox_decode_jpeg(s->in->sandbox, plain, VERIFY_DECODE_MS, &s->facts);
	if (s->error < 0)
		s->out->sandbox_error = s->error;
	if (s->is_measurement)
		s->misread = schema_decode(&measurement_schema, plain, &s->measurement, NULL);
}

static void set(struct check_result *result, enum check_result_value value, enum refusal code)
{
	result->result = value;
	result->code = code;
}

/*
 * Whether the payload is a picture that decodes; where not, the result is set. A picture that kills
 * the decoder or takes all its time fails: an honest camera writes none. A fault of ours says
 * nothing about it.
 */
static bool decoded_jpeg(struct subject *s, struct check_result *result)
{
	look(s);
	if (s->is_jpeg && s->error < 0)
		set(result, CHECK_INCONCLUSIVE, REFUSED_CHECK_NOT_RUN);
	else if (!s->is_jpeg || s->facts.outcome != JPEG_DECODED)
		set(result, CHECK_FAIL, REFUSED_MEDIA_UNDECODABLE);
	else
		return true;
	return false;
}

static bool decoded_measurement(struct subject *s, struct check_result *result)
{
	look(s);
	if (s->is_measurement && s->misread == REFUSED_NOT)
		return true;
	set(result, CHECK_FAIL, REFUSED_MEDIA_UNDECODABLE);
	return false;
}

static void run_decodes(
	struct subject *s, const struct parameters *parameters, struct check_result *result)
{
	(void)parameters; /* ignored: this check has none */
	if (s->is_measurement) {
		if (decoded_measurement(s, result))
			set(result, CHECK_PASS, REFUSED_NOT);
		return;
	}
	if (!decoded_jpeg(s, result))
		return;
	verify_figure(result, "mean_luma", s->facts.mean_luma_milli, -3, SPAN(NULL, 0));
	verify_figure(result, "luma_deviation", s->facts.luma_deviation_milli, -3, SPAN(NULL, 0));
	set(result, CHECK_PASS, REFUSED_NOT);
}

static void run_dimensions(
	struct subject *s, const struct parameters *parameters, struct check_result *result)
{
	if (!decoded_jpeg(s, result))
		return;
	verify_figure(result, "width", s->facts.width, 0, SPAN(NULL, 0));
	verify_figure(result, "height", s->facts.height, 0, SPAN(NULL, 0));
	if (s->facts.width >= parameters->width && s->facts.height >= parameters->height)
		set(result, CHECK_PASS, REFUSED_NOT);
	else
		set(result, CHECK_FAIL, REFUSED_MEDIA_TOO_SMALL);
}

static void run_place(
	struct subject *s, const struct parameters *parameters, struct check_result *result)
{
	const struct place *area = &s->in->request->body.request.area;
	const struct place *place = &s->out->claims.place;

	(void)parameters; /* ignored: the area is the request's */
	int64_t beyond_mm = rules_distance_mm(
				    area->lat_e7, area->lon_e7, place->lat_e7, place->lon_e7) -
			    area->radius_m * 1000;

	if (beyond_mm <= -RULES_PLACE_MARGIN_MM)
		set(result, CHECK_PASS, REFUSED_NOT);
	else if (beyond_mm >= RULES_PLACE_MARGIN_MM)
		set(result, CHECK_FAIL, REFUSED_PLACE_OUTSIDE);
	else
		set(result, CHECK_INCONCLUSIVE, REFUSED_PLACE_OUTSIDE);
}

static bool same_or_open(struct span asked, struct span got)
{
	return asked.n == 0 || span_eq(asked, got);
}

static void run_unit_range(
	struct subject *s, const struct parameters *parameters, struct check_result *result)
{
	const struct parameters *p = parameters;
	const struct measurement *m = &s->measurement;
	bool ranged = p->low != 0 || p->high != 0;

	if (!decoded_measurement(s, result))
		return;
	/* Spans of the payload do not outlive the output: the figure has the request's unit. */
	verify_figure(result, "value", m->mantissa, m->exponent,
		span_eq(p->unit, m->unit) ? p->unit : SPAN(NULL, 0));
	if (p->unit.n > 0 && span_eq(p->unit, m->unit) && same_or_open(p->quantity, m->quantity) &&
		same_or_open(p->channel, m->channel) &&
		(!ranged || (checks_compare(m->mantissa, m->exponent, p->low, p->exponent) >= 0 &&
				    checks_compare(
					    m->mantissa, m->exponent, p->high, p->exponent) <= 0)))
		set(result, CHECK_PASS, REFUSED_NOT);
	else
		set(result, CHECK_FAIL, REFUSED_VALUE_OUTSIDE);
}

int checks_compare(int64_t a, int64_t a_exponent, int64_t b, int64_t b_exponent)
{
	__int128 left = a;
	__int128 right = b;

	/* 10^19 is beyond any int64_t: with 19 places more, any number but 0 is the larger one. */
	for (int64_t i = b_exponent; i < a_exponent && i < b_exponent + 19; i++)
		left *= 10;
	for (int64_t i = a_exponent; i < b_exponent && i < a_exponent + 19; i++)
		right *= 10;
	return left < right ? -1 : left > right;
}

static const struct {
	const char *id;
	void (*run)(struct subject *s, const struct parameters *p, struct check_result *result);
} known[] = {
	{ CHECK_DECODES, run_decodes },
	{ CHECK_DIMENSIONS, run_dimensions },
	{ CHECK_PLACE, run_place },
	{ CHECK_UNIT_RANGE, run_unit_range },
};

static void run_one(struct subject *s, const struct check *check, struct check_result *result)
{
	const struct parameters *parameters = &s->in->request->body.request.parameters;

	if (check->parameters.present)
		parameters = &check->parameters;
	*result = (struct check_result){
		.present = true,
		.id = check->id,
		.check_version = check->check_version,
		.result = CHECK_INCONCLUSIVE,
		.code = REFUSED_CHECK_UNKNOWN,
	};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (span_is(check->id, known[i].id) && check->check_version == 1)
			known[i].run(s, parameters, result);
}

void checks_run(const struct verify_input *input, struct verify_output *output)
{
	const struct request *request = &input->request->body.request;
	struct span type = input->evidence->body.evidence.payload.type;
	struct subject subject = {
		.in = input,
		.out = output,
		.is_jpeg = span_is(type, JPEG_TYPE),
		.is_measurement = span_is(type, MEASUREMENT_TYPE),
	};

	if (output->n_results + request->n_checks > CHECKS_MAX)
		output->n_results = 0;
	output->outcome = CHECK_PASS;
	for (size_t i = 0; i < request->n_checks; i++) {
		const struct check *check = &request->checks[i];
		struct check_result *result = &output->results[output->n_results++];

		run_one(&subject, check, result);
		if (!check->binding || output->outcome == CHECK_FAIL)
			continue;
		if (result->result != CHECK_PASS)
			output->outcome = result->result;
	}
}
