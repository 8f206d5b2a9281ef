/* The rules that every program checks by itself: money, requests, offerings, distance, purposes. */
#include "proto/core/purpose.h"
#include "tests/unit/market_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static int setup(void **state)
{
	struct market *m = calloc(1, sizeof(*m));

	*state = m;
	return market_init(m);
}

static int teardown(void **state)
{
	market_deinit(*state);
	free(*state);
	return 0;
}

#define SAYS(got, wanted) \
	do { \
		enum refusal got_ = (got); \
		assert_string_equal(refusal_name(got_), refusal_name(wanted)); \
	} while (0)

static void money(void **state)
{
	struct request r = { .fee_ppm = 20000, .verifier_ppm = 50000, .panel_n = 3 };
	struct rules_money m;

	(void)state; /* ignored: no market needed */
	SAYS(rules_money(&r, 1000000, &m), REFUSED_NOT);
	assert_int_equal(m.fee_micros, 20000);
	assert_int_equal(m.verifier_each_micros, 16666); /* 50000 / 3, rounded down */
	assert_int_equal(m.verifiers_micros, 49998); /* the remainder is the buyer's */
	assert_int_equal(m.total_micros, 1069998);
	SAYS(rules_money(&r, 1, &m), REFUSED_NOT);
	assert_int_equal(m.total_micros, 1); /* every share is less than one */
	SAYS(rules_money(&r, 49, &m), REFUSED_NOT);
	assert_int_equal(m.fee_micros, 0);
	SAYS(rules_money(&r, 50, &m), REFUSED_NOT);
	assert_int_equal(m.fee_micros, 1);
	SAYS(rules_money(&r, 0, &m), REFUSED_PRICE_NOT_POSITIVE);
	SAYS(rules_money(&r, INT64_MIN, &m), REFUSED_PRICE_NOT_POSITIVE);
	SAYS(rules_money(&r, MICROS_MAX, &m), REFUSED_PRICE_OVERFLOW);
	SAYS(rules_money(&r, INT64_MAX, &m), REFUSED_PRICE_OVERFLOW);
	r.fee_ppm = 0;
	r.verifier_ppm = 0;
	SAYS(rules_money(&r, MICROS_MAX, &m), REFUSED_NOT);
	assert_int_equal(m.total_micros, MICROS_MAX);
	SAYS(rules_money(&r, MICROS_MAX + 1, &m), REFUSED_PRICE_OVERFLOW);
	r.fee_ppm = 1000000;
	r.verifier_ppm = 1000000;
	r.panel_n = 7;
	SAYS(rules_money(&r, MICROS_MAX / 3, &m), REFUSED_NOT);
	SAYS(rules_money(&r, MICROS_MAX / 2, &m), REFUSED_PRICE_OVERFLOW);
}

static enum refusal ask(struct market *m, struct request r)
{
	struct statement *s = market_sign(m, &m->buyer, STATEMENT_REQUEST, &r);

	return rules_request(s, m->name, &m->broker.did, &m->escrow.did, m->now_ns);
}

#define CASE(change, code) \
	do { \
		r = good; \
		change; \
		SAYS(ask(m, r), (code)); \
	} while (0)

static void request(void **state)
{
	struct market *m = *state;
	const struct request good = market_request(m);
	struct request r;

	SAYS(ask(m, good), REFUSED_NOT);
	CASE(r.c.market = SPAN_STR("tes"), REFUSED_STATEMENT_MARKET);
	CASE(r.c.audience[1] = m->buyer.did, REFUSED_STATEMENT_AUDIENCE);
	CASE(r.c.audience[0] = m->buyer.did, REFUSED_STATEMENT_AUDIENCE);
	CASE(r.c.n_audience = 0, REFUSED_STATEMENT_AUDIENCE);
	CASE(r.broker = m->other_broker.did, REFUSED_STATEMENT_AUDIENCE);
	CASE(r.escrow = m->broker.did, REFUSED_STATEMENT_AUDIENCE);
	CASE(r.price_micros = 0, REFUSED_PRICE_NOT_POSITIVE);
	CASE(r.price_micros = -1, REFUSED_PRICE_NOT_POSITIVE);
	CASE(r.price_micros = MICROS_MAX, REFUSED_PRICE_OVERFLOW);
	CASE(r.max_total_micros = 1069999, REFUSED_MAX_TOTAL_TOO_SMALL);
	CASE(r.max_total_micros = 1070000, REFUSED_NOT);
	CASE(r.attempt_fee_micros = MARKET_PRICE + 1, REFUSED_ATTEMPT_FEE_TOO_HIGH);
}

static void request_times(void **state)
{
	struct market *m = *state;
	const struct request good = market_request(m);
	struct request r;

	CASE(r.c.expires_ns = m->now_ns, REFUSED_REQUEST_EXPIRED);
	CASE(r.c.expires_ns = 0, REFUSED_REQUEST_EXPIRED);
	CASE(r.c.at_ns = m->now_ns + 5 * NS_PER_S + 1, REFUSED_REQUEST_FROM_FUTURE);
	CASE(r.c.at_ns = m->now_ns + 5 * NS_PER_S, REFUSED_NOT);
	CASE(r.c.expires_ns = m->now_ns + REQUEST_HORIZON_NS + 1, REFUSED_REQUEST_TOO_FAR);
	CASE(r.c.expires_ns = m->now_ns + REQUEST_HORIZON_NS, REFUSED_NOT);
	/* 10 + 60 + 1 x 180 + 60 s, and twice the skew. */
	CASE(r.c.expires_ns = m->now_ns + 320 * NS_PER_S, REFUSED_NOT);
	CASE(r.c.expires_ns = m->now_ns + 320 * NS_PER_S - 1, REFUSED_HOLD_TOO_SHORT);
	CASE((r.attempts = 2, r.c.expires_ns = m->now_ns + 499 * NS_PER_S), REFUSED_HOLD_TOO_SHORT);
	CASE((r.attempts = 2, r.c.expires_ns = m->now_ns + 500 * NS_PER_S), REFUSED_NOT);
	CASE((r.t_dispute_ms = 10000, r.c.expires_ns = m->now_ns + 329 * NS_PER_S),
		REFUSED_HOLD_TOO_SHORT);
	/* It lay about: long enough when it was signed, too short now. */
	CASE((r.c.at_ns = m->now_ns - 3600 * NS_PER_S, r.c.expires_ns = m->now_ns + 299 * NS_PER_S),
		REFUSED_HOLD_TOO_SHORT);
	CASE((r.attempts = 8, r.t_verify_ms = TIMEOUT_MAX_MS, r.t_deliver_ms = TIMEOUT_MAX_MS,
		     r.t_commit_ms = TIMEOUT_MAX_MS, r.t_dispute_ms = TIMEOUT_MAX_MS),
		REFUSED_HOLD_TOO_SHORT);
	CASE((r.window.present = true, r.window.from_ns = 2, r.window.to_ns = 1),
		REFUSED_WINDOW_IMPOSSIBLE);
	CASE((r.window.present = true, r.window.from_ns = 1, r.window.to_ns = m->now_ns),
		REFUSED_WINDOW_IMPOSSIBLE);
	CASE((r.window.present = true, r.window.from_ns = 1, r.window.to_ns = m->now_ns + 1),
		REFUSED_NOT);
}

static void request_sense(void **state)
{
	struct market *m = *state;
	const struct request good = market_request(m);
	struct request r;

	CASE(r.area.radius_m = 0, REFUSED_AREA_IMPOSSIBLE);
	CASE(r.area.radius_m = 20000001, REFUSED_AREA_IMPOSSIBLE);
	CASE(r.area.radius_m = 20000000, REFUSED_NOT);
	CASE((r.panel_n = 2, r.panel_k = 3), REFUSED_POOL_TOO_SMALL);
	CASE(r.panel_n = 5, REFUSED_POOL_TOO_SMALL);
	CASE(r.panel_n = 4, REFUSED_NOT);
	/* With disputes there must be a second panel. */
	CASE((r.panel_n = 3, r.t_dispute_ms = 1), REFUSED_POOL_TOO_SMALL);
	CASE(r.pool[3] = r.pool[0], REFUSED_POOL_TOO_SMALL);
	CASE(r.purpose = SPAN_STR("find my wife"), REFUSED_PERSON_TRACKING);
	CASE(r.slots = 2, REFUSED_QUORUM_NOT_SERVED);
	CASE((r.quorum = (struct quorum){ .present = true, .agree_k = 1 }),
		REFUSED_QUORUM_NOT_SERVED);
	CASE((r.decay = (struct decay){ .present = true, .soft_deadline_ms = 1 }),
		REFUSED_DECAY_NOT_SERVED);
	CASE(r.retention_s = RETENTION_MAX_S + 1, REFUSED_RETENTION_NOT_SERVED);
	CASE(r.checks[0].id = SPAN_STR("sharpness"), REFUSED_CHECK_UNKNOWN);
	CASE(r.checks[0].check_version = 2, REFUSED_CHECK_UNKNOWN);
	CASE((r.checks[0].id = SPAN_STR("sharpness"), r.checks[0].binding = false), REFUSED_NOT);
}
#undef CASE

static void large_request(void **state)
{
	struct market *m = *state;
	struct request r = market_request(m);
	struct statement s = *market_sign(m, &m->buyer, STATEMENT_REQUEST, &r);

	s.bytes.n = REQUEST_BYTES_MAX;
	SAYS(rules_request(&s, m->name, &m->broker.did, &m->escrow.did, m->now_ns), REFUSED_NOT);
	s.bytes.n++;
	SAYS(rules_request(&s, m->name, &m->broker.did, &m->escrow.did, m->now_ns),
		REFUSED_STATEMENT_TOO_LARGE);
}

static void offering(void **state)
{
	struct market *m = *state;
	const struct request request = market_request(m);
	const struct offering good = market_offering(m, &m->nodes[0]);
	struct request r = request;
	struct offering o;

	SAYS(rules_offering(&good, &request, m->now_ns), REFUSED_NOT);
#define CASE(change, code) \
	do { \
		o = good; \
		r = request; \
		change; \
		SAYS(rules_offering(&o, &r, m->now_ns), (code)); \
	} while (0)
	CASE(o.kind = SPAN_STR("sound"), REFUSED_NODE_KIND_NOT_OFFERED);
	CASE(o.c.expires_ns = m->now_ns, REFUSED_STATEMENT_EXPIRED);
	CASE(o.c.expires_ns = m->now_ns + 1, REFUSED_NOT);
	CASE(o.asset = SPAN_STR("EUR"), REFUSED_ASSET_UNKNOWN);
	CASE(o.price_micros = MARKET_PRICE + 1, REFUSED_NODE_PRICE_TOO_LOW);
	CASE(o.price_micros = MARKET_PRICE, REFUSED_NOT);
	CASE(o.sources = SOURCE_REPLAY | SOURCE_SYNTHETIC, REFUSED_NODE_SOURCE_REFUSED);
	CASE(r.sources = SOURCE_REPLAY, REFUSED_NODE_SOURCE_REFUSED);
	CASE(r.sources = SOURCE_REPLAY | SOURCE_LIVE, REFUSED_NOT);
	CASE(o.bond_micros = 1, REFUSED_BOND_NOT_SERVED);
	CASE(o.assign_without_asking = false, REFUSED_BIDS_NOT_SERVED);
	CASE(o.brokers[0] = m->other_broker.did, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE(o.n_brokers = 0, REFUSED_NOT); /* any broker */
	CASE(o.n_escrows = 0, REFUSED_NODE_PARTY_NOT_ACCEPTED); /* but no escrow unless named */
	CASE(o.escrows[0] = m->broker.did, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE(o.n_verifiers = 3, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE(o.n_verifiers = 4, REFUSED_NOT);
	CASE(r.t_dispute_ms = o.t_dispute_max_ms + 1, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE(o.n_accepts = 0, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE((o.n_accepts = 0, r.checks[0].binding = false), REFUSED_NOT);
	CASE(r.checks[0].id = SPAN_STR(CHECK_PLACE), REFUSED_NODE_PARTY_NOT_ACCEPTED);
#undef CASE
}

static void near(int64_t got, int64_t wanted, int64_t slack)
{
	assert_in_range(got, wanted - slack, wanted + slack);
}

static void distance(void **state)
{
	const int64_t degree = 10000000;

	(void)state; /* ignored: no market needed */
	assert_int_equal(rules_distance_m(523000000, 134000000, 523000000, 134000000), 0);
	/* One degree of a meridian on this sphere is 111,195.08 m, everywhere. */
	near(rules_distance_m(0, 0, degree, 0), 111195, 0);
	near(rules_distance_m(89 * degree, 0, 90 * degree, 0), 111195, 1);
	near(rules_distance_m(0, 0, 0, degree), 111195, 0);
	near(rules_distance_m(60 * degree, 0, 60 * degree, degree), 55597, 5);
	/* Berlin to Paris, by Vincenty 879.7 km on the ellipsoid: a sphere is within 0.5 %. */
	near(rules_distance_m(525200000, 134050000, 488566000, 23522000), 877500, 4400);
	/* Over the antimeridian it is near, not around the world. */
	near(rules_distance_m(0, 1799000000, 0, -1799000000), 22239, 1);
	assert_int_equal(rules_distance_m(0, 1800000000, 0, -1800000000), 0);
	/* At a pole every longitude is the same place. */
	assert_int_equal(rules_distance_m(90 * degree, 0, 90 * degree, 1230000000), 0);
	assert_int_equal(rules_distance_m(-90 * degree, 0, -90 * degree, -1800000000), 0);
	near(rules_distance_m(890000000, 0, 890000000, 180 * degree), 222390, 1);
	/* Half of the circumference, from pole to pole and to the point opposite. */
	near(rules_distance_m(90 * degree, 0, -90 * degree, 0), 20015114, 1);
	near(rules_distance_m(0, 0, 0, 180 * degree), 20015114, 1);
	near(rules_distance_m(450000000, 0, -450000000, 180 * degree), 20015114, 1);
	/* Some metres. */
	near(rules_distance_m(0, 0, 90, 0), 1, 0);
	near(rules_distance_m(523000000, 134000000, 523000449, 134000000), 4, 1);
}

static void purposes_of_hunters(void **state)
{
	static const char *const refused[] = {
		"find my wife",
		"Find the person who lives there",
		"FOLLOW THAT MAN",
		"I want you to follow a woman home",
		"identify the faces at the demonstration",
		"who is he? identify this man",
		"tracking people",
		"track him",
		"watch my neighbour's house",
		"watching the children in the yard",
		"facial recognition of one person",
		"locate my ex-husband",
		"stalk her",
		"the man I want to find",
		"is this the girl that we are locating?",
		"the whereabouts of my daughter",
		"find\nher",
		"find -- the -- woman",
		"no hurry. find the man",
		"spy on somebody",
	};

	(void)state; /* ignored: no market needed */
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (!purpose_tracks_person(SPAN_STR(refused[i])))
			fail_msg("not refused: %s", refused[i]);
}

static void ordinary_purposes(void **state)
{
	static const char *const allowed[] = {
		"",
		"?",
		"is the lake frozen",
		"Find out whether the man-made lake is full",
		"find out how many people wait at the ferry",
		"follow up on yesterday's picture of the square, people may pass",
		"count people at the ferry",
		"how crowded is the market: are there people?",
		"Is the race track dry? No people needed.",
		"track the level of the river",
		"identify the bird on the nest",
		"watch the harbour without people in view",
		"do not follow any person; the ships are what matters",
		"find a free parking lot. My wife drives.",
		"the face of the clock must be readable",
		"time on the tower clock, to follow the schedule of trains along the long line to the man",
		"measure the voltage of the panel",
		"manhole covers: find those that are open",
		"personal interest: recognise the type of the aircraft",
		"the tracker of her bicycle",
		"watchtower and chairperson",
		"Surface of the road; identify cracks",
	};

	(void)state; /* ignored: no market needed */
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (purpose_tracks_person(SPAN_STR(allowed[i])))
			fail_msg("refused: %s", allowed[i]);
}

/* Any bytes at all, and no reading beyond them. */
static void purposes_of_noise(void **state)
{
	uint32_t x = 2463534242u;

	(void)state; /* ignored: no market needed */
	for (size_t n = 0; n < 400; n++) {
		uint8_t *text = malloc(n + 1);

		for (size_t i = 0; i < n; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			text[i] = (uint8_t)x;
		}
		assert_false(purpose_tracks_person(SPAN(text, n)));
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(money),
		cmocka_unit_test_setup_teardown(request, setup, teardown),
		cmocka_unit_test_setup_teardown(request_times, setup, teardown),
		cmocka_unit_test_setup_teardown(request_sense, setup, teardown),
		cmocka_unit_test_setup_teardown(large_request, setup, teardown),
		cmocka_unit_test_setup_teardown(offering, setup, teardown),
		cmocka_unit_test(distance),
		cmocka_unit_test(purposes_of_hunters),
		cmocka_unit_test(ordinary_purposes),
		cmocka_unit_test(purposes_of_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
