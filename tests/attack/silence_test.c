/* Who is silent strands no money: verifiers that hang or are gone, and an escrow that is away. */
#include "tests/integration/purchase.h"

#include <signal.h>

#define ESCROW_UNREACHABLE 130 /* the number on the wire, which is kept */
#define DEPOSIT            10000000

static struct market market;
static struct child *node;
static assay_t *buyer;
static assay_t *seller;

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	node = MARKET_NODE(
		&market, "node", "--camera", "test", "--instrument", market.instrument_address);
	buyer = purchase_open(&market, "buyer");
	seller = purchase_open(&market, "node");
	purchase_deposit(buyer, DEPOSIT);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	assay_close(seller);
	assay_close(buyer);
	return market_stop(&market);
}

/* The escrow's own worker runs the checks after t_verify: the node is paid, the verifier is not. */
static void buy_by_default(assay_buy_options_t want)
{
	int64_t before = purchase_balance(buyer, "available");
	int64_t paid = purchase_balance(seller, "available");

	want.timeout_ms = 2000;

	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);

	assert_string_equal(assay_result_state(result), "SETTLED");
	assert_true(purchase_went_through(result, "DEFAULTED"));
	assert_int_equal(purchase_balance(seller, "available"), paid + PURCHASE_PRICE);
	assert_int_equal(
		purchase_balance(buyer, "available"), before - PURCHASE_PRICE - PURCHASE_FEE);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	purchase_check_bundle(result, 16);
	assay_result_free(result);
}

static void test_verifier_hangs(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	assert_int_equal(kill(market.verifiers[0]->pid, SIGSTOP), 0);
	buy_by_default(purchase_measurement());
	assert_int_equal(kill(market.verifiers[0]->pid, SIGCONT), 0);
	market_end(&market);
}

static void test_verifier_gone(void **state)
{
	assay_buy_options_t bad = purchase_measurement();
	assay_buy_options_t photo = purchase_photo();

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	market_kill(&market, market.verifiers[0], SIGKILL);
	buy_by_default(purchase_measurement());
	photo.freshness_ms = 0;
	buy_by_default(photo);
	/* And what does not pass is refunded, whole: nobody else worked for it. */
	int64_t before = purchase_balance(buyer, "available");
	int64_t paid = purchase_balance(seller, "available");

	bad.low = 900;
	bad.timeout_ms = 2000;
	bad.attempts = 1;

	assay_result_t *result = purchase_buy(buyer, &bad, ASSAY_REFUNDED);

	assert_int_equal(purchase_balance(seller, "available"), paid);
	assert_int_equal(purchase_balance(buyer, "available"), before);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	assay_result_free(result);
	market_restart(&market, market.verifiers[0]);
	market_end(&market);
}

static void test_escrow_away(void **state)
{
	assay_buy_options_t want = purchase_measurement();
	int64_t before;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	before = purchase_balance(buyer, "available");
	market_kill(&market, market.escrow, SIGKILL);

	assay_result_t *result = purchase_buy(buyer, &want, ESCROW_UNREACHABLE);

	assert_string_equal(assay_result_state(result), "LAPSED");
	assay_result_free(result);
	market_restart(&market, market.escrow);
	/* A handle of one's own: the old one may still be waiting to connect again. */
	assay_close(buyer);
	buyer = purchase_open(&market, "buyer");
	assert_int_equal(purchase_balance(buyer, "available"), before);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	result = purchase_buy(buyer, &want, ASSAY_OK);
	assert_int_equal(purchase_balance(buyer, "available"), before - PURCHASE_TOTAL);
	assay_result_free(result);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier_hangs),
		cmocka_unit_test(test_verifier_gone),
		cmocka_unit_test(test_escrow_away),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
