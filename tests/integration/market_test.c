/* One market, bought from in every way that ends well or with the money back. */
#include "tests/integration/purchase.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXCEEDS_AVAILABLE 120 /* the number on the wire, which is kept */
#define DEPOSIT           10000000
/* Nodes that others must not meet stand far from each other. */
#define EDGE_PLACE  "30.0099,40.0099" /* in a corner of its cell */
#define EDGE_LAT_E7 300050000 /* the cell's middle */
#define EDGE_LON_E7 400050000
#define TWO_PLACE   "-33.865,151.205"
#define TWO_LAT_E7  (-338650000)
#define TWO_LON_E7  1512050000

static struct market market;
static assay_t *buyer;

static const char demo_photo[] = "replay:" DEMO_PHOTO;

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	MARKET_NODE(
		&market, "node", "--camera", demo_photo, "--instrument", market.instrument_address);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, DEPOSIT);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	assay_close(buyer);
	return market_stop(&market);
}

/* What everybody has. */
struct books {
	int64_t buyer, node, verifier, fee;
};

static int64_t balance_of(const char *party, const char *purpose)
{
	assay_t *assay = purchase_open(&market, party);
	int64_t balance = purchase_balance(assay, purpose);

	assay_close(assay);
	return balance;
}

static struct books read_books(void)
{
	return (struct books){
		.buyer = purchase_balance(buyer, "available"),
		.node = balance_of("node", "available"),
		.verifier = balance_of("verifier-0", "verifier_pay"),
		.fee = balance_of("escrow", "fee"),
	};
}

static void check_paid(const struct books *before, const assay_result_t *result)
{
	struct books after = read_books();

	assert_int_equal(assay_result_price_micros(result), PURCHASE_PRICE);
	assert_int_equal(after.buyer, before->buyer - PURCHASE_TOTAL);
	assert_int_equal(after.node, before->node + PURCHASE_PRICE);
	assert_int_equal(after.verifier, before->verifier + PURCHASE_VERIFIER);
	assert_int_equal(after.fee, before->fee + PURCHASE_FEE);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
}

/* Nobody got anything, and nothing is held. */
static void check_refunded(const struct books *before)
{
	struct books after = read_books();

	assert_int_equal(after.buyer, before->buyer);
	assert_int_equal(after.node, before->node);
	assert_int_equal(after.verifier, before->verifier);
	assert_int_equal(after.fee, before->fee);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
}

static void check_checks(const assay_result_t *result, const char *const *wanted)
{
	const char *name, *verdict, *detail;
	size_t found = 0;

	for (size_t i = 0; assay_result_check(result, i, &name, &verdict, &detail); i++) {
		assert_string_equal(verdict, "pass");
		for (const char *const *w = wanted; *w; w++)
			found += strcmp(*w, name) == 0;
	}
	for (; *wanted; wanted++)
		found--;
	assert_int_equal(found, 0);
}

static void test_measurement(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	const char *unit;
	int64_t mantissa;
	int32_t exponent;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);

	assert_string_equal(assay_result_state(result), "SETTLED");
	assert_string_equal(assay_result_source(result), "live");
	assert_string_equal(assay_result_tier(result), "live-claimed");
	assert_int_equal(assay_result_measurement(result, &mantissa, &exponent, &unit), ASSAY_OK);
	assert_string_equal(unit, "V");
	check_checks(result, (const char *const[]){ "place", "unit-range", NULL });
	check_paid(&before, result);
	purchase_check_bundle(result, 64);
	assay_result_free(result);
	market_end(&market);
}

static void test_photo(void **state)
{
	assay_buy_options_t want = purchase_photo();
	char paid[ID_TEXT_MAX], whole[ID_TEXT_MAX];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);

	assert_string_equal(assay_result_state(result), "SETTLED");
	assert_string_equal(assay_result_source(result), "replay");
	assert_string_equal(assay_result_tier(result), "replay");
	assert_string_equal(assay_result_type(result), "image/jpeg");
	assert_int_equal(assay_result_measurement(
				 result, &(int64_t){ 0 }, &(int32_t){ 0 }, &(const char *){ NULL }),
		ASSAY_USAGE);
	purchase_digest(result, paid);
	purchase_file_digest(DEMO_PHOTO, whole);
	assert_string_equal(paid, whole);
	check_checks(result, (const char *const[]){ "decodes", "dimensions", "place", NULL });
	check_paid(&before, result);
	purchase_check_bundle(result, 48);
	assay_result_free(result);
	market_end(&market);
}

/* The same photograph a second time: paid to the verifier, who worked, but not to the node. */
static void test_seen_before(void **state)
{
	assay_buy_options_t want = purchase_photo();

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	want.attempts = 1;

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_REFUNDED);
	struct books after = read_books();

	assert_string_equal(assay_result_state(result), "REFUNDED");
	assert_string_equal(assay_status_name(assay_result_reason(result)), "SEEN_BEFORE");
	assert_int_equal(after.node, before.node);
	assert_int_equal(after.fee, before.fee);
	assert_int_equal(after.verifier - before.verifier, before.buyer - after.buyer);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	assert_int_equal(assay_result_payload(result, &(const uint8_t *){ NULL }, &(size_t){ 0 }),
		ASSAY_UNKNOWN_REQUEST);
	assay_result_free(result);
	market_end(&market);
}

/* Nobody serves it: open until its time is over, then the money is back. */
static void buy_unmatched(assay_buy_options_t *want)
{
	market_begin(&market);
	want->timeout_ms = 1000;

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, want, ASSAY_REFUNDED);

	assert_string_equal(assay_result_state(result), "REFUNDED");
	assert_true(purchase_went_through(result, "EXPIRED"));
	assert_false(purchase_went_through(result, "ASSIGNED"));
	assert_string_equal(assay_result_node(result), "");
	check_refunded(&before);
	assay_result_free(result);
	market_end(&market);
}

static void test_live_only(void **state)
{
	assay_buy_options_t want = purchase_photo();

	(void)state; /* ignored: one market for all tests */
	want.sources = ASSAY_SOURCE_LIVE;
	buy_unmatched(&want);
}

static void test_price_below(void **state)
{
	assay_buy_options_t want = purchase_measurement();

	(void)state; /* ignored: one market for all tests */
	want.price_max_micros = PURCHASE_PRICE - 1;
	buy_unmatched(&want);
}

static void test_nobody_there(void **state)
{
	assay_buy_options_t want = purchase_measurement();

	(void)state; /* ignored: one market for all tests */
	want.lat_e7 = -want.lat_e7;
	buy_unmatched(&want);
}

/* The cell lies within the area, the node in its corner does not: it declines. */
static void test_out_of_area(void **state)
{
	assay_buy_options_t want = purchase_measurement();

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);

	struct child *node = MARKET_NODE(&market, "node-edge", "--place", EDGE_PLACE,
		"--instrument", market.instrument_address);

	want.lat_e7 = EDGE_LAT_E7;
	want.lon_e7 = EDGE_LON_E7;
	want.radius_m = 100;
	want.attempts = 1;
	want.timeout_ms = 5000;

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_REFUNDED);

	assert_true(purchase_went_through(result, "ASSIGNED"));
	assert_string_equal(assay_status_name(assay_result_reason(result)), "NODE_OUT_OF_AREA");
	check_refunded(&before);
	assert_true(market_logged(node, "declined"));
	assay_result_free(result);
	market_end(&market);
}

/* The nearest and cheapest node hears nothing and dies: the other one takes over, and is paid. */
static void test_node_vanishes(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	char id[ASSAY_ID_SIZE], second[DID_TEXT_MAX];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);

	struct child *mute = MARKET_NODE(&market, "node-mute", "--place", TWO_PLACE, "--price",
		"0.04", "--instrument", market.instrument_address);
	struct child *other = MARKET_NODE(&market, "node-other", "--place", TWO_PLACE,
		"--instrument", market.instrument_address);

	want.lat_e7 = TWO_LAT_E7;
	want.lon_e7 = TWO_LON_E7;
	want.timeout_ms = 3000;
	market_wait_received(&market, mute, "OFFERED", 1);
	market_wait_received(&market, other, "OFFERED", 1);
	assert_int_equal(kill(mute->pid, SIGSTOP), 0);

	struct books before = read_books();

	purchase_post(buyer, &want, id);
	purchase_until(buyer, id, "ASSIGNED");
	market_kill(&market, mute, SIGKILL);

	assay_result_t *result = purchase_wait(buyer, id, ASSAY_OK);

	market_did(other, second);
	assert_string_equal(assay_result_node(result), second);
	assert_true(purchase_went_through(result, "OPEN"));
	assert_int_equal(before.buyer - purchase_balance(buyer, "available"), PURCHASE_TOTAL);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	purchase_check_bundle(result, 8);
	assay_result_free(result);
	market_restart(&market, mute);
	market_end(&market);
}

/* No value lies there: the verdict fails, the verifiers have worked, the node is not paid. */
static void test_value_outside(void **state)
{
	assay_buy_options_t want = purchase_measurement();

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	want.low = 900;
	want.attempts = 1;

	struct books before = read_books();
	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_REFUNDED);
	struct books after = read_books();

	assert_string_equal(assay_status_name(assay_result_reason(result)), "VALUE_OUTSIDE");
	assert_true(purchase_went_through(result, "FAILED"));
	assert_int_equal(after.node, before.node);
	assert_int_equal(after.fee, before.fee);
	assert_int_equal(before.buyer - after.buyer, PURCHASE_VERIFIER);
	assert_int_equal(after.verifier - before.verifier, PURCHASE_VERIFIER);
	assay_result_free(result);
	market_end(&market);
}

/* Before a node was found a cancel costs nothing. */
static void test_cancel(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	char id[ASSAY_ID_SIZE];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	want.lat_e7 = -want.lat_e7;

	struct books before = read_books();

	purchase_post(buyer, &want, id);
	purchase_until(buyer, id, "OPEN");
	assert_true(purchase_balance(buyer, "held") > 0);
	assert_int_equal(assay_cancel(buyer, id), ASSAY_OK);

	assay_result_t *result = purchase_wait(buyer, id, ASSAY_REFUNDED);

	assert_true(purchase_went_through(result, "CANCELLED"));
	check_refunded(&before);
	assay_result_free(result);
	market_end(&market);
}

/* Refused at the door: nothing is held for a moment. */
static void test_balance_too_small(void **state)
{
	assay_t *poor;
	assay_buy_options_t want = purchase_measurement();

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	poor = purchase_open(&market, "poor");
	purchase_deposit(poor, PURCHASE_TOTAL - 1);
	want.price_max_micros = PURCHASE_PRICE;

	assay_result_t *result = purchase_buy(poor, &want, EXCEEDS_AVAILABLE);

	assert_string_equal(assay_result_state(result), "LAPSED");
	assert_string_equal(assay_status_name(assay_result_reason(result)), "EXCEEDS_AVAILABLE");
	assert_int_equal(purchase_balance(poor, "available"), PURCHASE_TOTAL - 1);
	assert_int_equal(purchase_balance(poor, "held"), 0);
	assay_result_free(result);
	/* With the missing unit it is bought. */
	purchase_deposit(poor, 1);
	result = purchase_buy(poor, &want, ASSAY_OK);
	assert_int_equal(purchase_balance(poor, "available"), 0);
	assay_result_free(result);
	assay_close(poor);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measurement),
		cmocka_unit_test(test_photo),
		cmocka_unit_test(test_seen_before),
		cmocka_unit_test(test_live_only),
		cmocka_unit_test(test_price_below),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_out_of_area),
		cmocka_unit_test(test_balance_too_small),
		cmocka_unit_test(test_value_outside),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_node_vanishes),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
