/* What the checks of a place and of a measured value say, and whether the broker would ask a node. */
#include "broker/core/match.h"
#include "escrow/verify/checks.h"
#include "proto/core/rules.h"
#include "sensor-node/config.h"
#include "tests/table/table.h"

static bool place_of(const char *word, struct place *ret_place)
{
	static struct config config;
	struct config_error error;

	config_init(&config);
	if (config_option(&config, "place", word, &error) < 0)
		return false;
	*ret_place = config.place;
	return true;
}

/* Runs one check of that id alone, over what is set in request, type and output. */
static const char *check(
	const char *id, struct statement *request, struct span type, struct verify_output *output)
{
	static struct statement evidence;
	const struct verify_input input = { .request = request, .evidence = &evidence };
	struct request *r = &request->body.request;

	r->checks[0] = (struct check){
		.present = true, .id = SPAN_STR(id), .check_version = 1, .binding = true
	};
	r->n_checks = 1;
	evidence.body.evidence.payload.type = type;
	checks_run(&input, output);
	if (output->n_results != 1 || output->results[0].result != output->outcome)
		return "?";
	return output->outcome == CHECK_PASS ? "pass"
					     : refusal_name((enum refusal)output->results[0].code);
}

/* The verifiers' check and the broker's choice for an area and a place. */
static bool area(
	const struct place *centre, int64_t radius_m, const struct place *place, struct buf *out)
{
	static struct statement request;
	static struct verify_output output;
	struct match *match = match_new(4);
	const struct match_offering offering = {
		.kind = SPAN_STR("kind"),
		.lat_e7 = (int32_t)place->lat_e7,
		.lon_e7 = (int32_t)place->lon_e7,
	};
	struct match_query query = {
		.lat_e7 = (int32_t)centre->lat_e7,
		.lon_e7 = (int32_t)centre->lon_e7,
		.radius_m = (uint32_t)radius_m,
		.want = 1,
	};
	struct match_result result;
	bool ok = match && match_insert(match, 0, &offering) == 0 &&
		  match_kind(match, offering.kind, &query.kind) == 0 &&
		  match_best(match, &query, &result) == 0;

	memset(&output, 0, sizeof(output));
	request.body.request.area = *centre;
	request.body.request.area.radius_m = radius_m;
	output.claims.place = *place;
	if (ok)
		buf_printf(out, "%s, %s",
			check(CHECK_PLACE, &request, SPAN_STR(JPEG_TYPE), &output),
			result.n == 1 ? "asked" : "not asked");
	match_free(match);
	return ok;
}

/* "distance A B" in metres; "area CENTRE RADIUS place PLACE". */
static bool place_then(char *const *words, size_t n, struct buf *out)
{
	struct place a, b;
	int64_t radius_m;

	if (n == 3 && strcmp(words[0], "distance") == 0 && place_of(words[1], &a) &&
		place_of(words[2], &b)) {
		buf_printf(out, "%lld",
			(long long)rules_distance_m(a.lat_e7, a.lon_e7, b.lat_e7, b.lon_e7));
		return rules_distance_m(a.lat_e7, a.lon_e7, b.lat_e7, b.lon_e7) ==
		       rules_distance_m(b.lat_e7, b.lon_e7, a.lat_e7, a.lon_e7);
	}
	return n == 5 && strcmp(words[0], "area") == 0 && strcmp(words[3], "place") == 0 &&
	       place_of(words[1], &a) && table_int(words[2], &radius_m) && radius_m > 0 &&
	       radius_m <= MATCH_RADIUS_MAX_M && place_of(words[4], &b) &&
	       area(&a, radius_m, &b, out);
}

/* "VALUE EXPONENT UNIT within LOW HIGH EXPONENT UNIT" */
static bool unit_range_then(char *const *words, size_t n, struct buf *out)
{
	static struct statement request;
	static struct verify_output output;
	uint8_t bytes[512];
	struct buf plain = BUF(bytes);
	struct measurement m = { .present = true, .at_ns = 1 };
	struct parameters *p = &request.body.request.parameters;

	if (n != 8 || strcmp(words[3], "within") != 0 || !table_int(words[0], &m.mantissa) ||
		!table_int(words[1], &m.exponent))
		return false;
	*p = (struct parameters){ .present = true, .unit = SPAN_STR(words[7]) };
	if (!table_int(words[4], &p->low) || !table_int(words[5], &p->high) ||
		!table_int(words[6], &p->exponent))
		return false;
	m.quantity = SPAN_STR("quantity");
	m.unit = SPAN_STR(words[2]);
	m.raw = m.identity = SPAN_STR("raw");
	if (schema_encode(&measurement_schema, &m, &plain, NULL) != REFUSED_NOT)
		return false;
	memset(&output, 0, sizeof(output));
	output.plain = bytes;
	output.n_plain = plain.n;
	buf_str(out, check(CHECK_UNIT_RANGE, &request, SPAN_STR(MEASUREMENT_TYPE), &output));
	return true;
}

const struct table evidence_tables[] = {
	{ "place", place_then, NULL },
	{ "unit_range", unit_range_then, NULL },
};
const size_t evidence_n_tables = ARRAY_SIZE(evidence_tables);
