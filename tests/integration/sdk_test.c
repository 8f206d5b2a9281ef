/* The library's event-driven form, and what it answers to a program that uses it wrongly. */
#include "tests/integration/purchase.h"

#include "proto/os/clock.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#define REQUESTS       6 /* that are open at the same time */
#define NOWHERE        3 /* of them: where no node is */
#define STRANGE_IDS    1200 /* more than a handle has places for requests */
#define SHORT_MS       1000
#define CALL_END_MS    12000 /* a call into silence ends within its ten seconds */
#define MANY_REQUESTED "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab%04x"

static struct market market;
static assay_t *buyer;

struct watched {
	char id[ASSAY_ID_SIZE];
	unsigned calls;
	unsigned ended;
	char last[32];
};

struct watch {
	struct watched requests[REQUESTS];
	size_t n;
	pthread_t thread;
	bool in_dispatch;
	assay_t *takes; /* the callback takes results of this handle itself */
	unsigned taken;
};

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	MARKET_NODE(&market, "node", "--instrument", market.instrument_address);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, 10000000);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	assay_close(buyer);
	return market_stop(&market);
}

static void changed(void *context, const char *request_id, const char *state, int ended)
{
	struct watch *w = context;
	struct watched *r = NULL;

	assert_true(w->in_dispatch);
	assert_true(pthread_equal(pthread_self(), w->thread));
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->requests[i].id, request_id) == 0)
			r = &w->requests[i];
	assert_non_null(r);
	assert_int_equal(r->ended, 0);
	r->calls++;
	r->ended += ended != 0;
	snprintf(r->last, sizeof(r->last), "%s", state);
	if (ended && w->takes) {
		assay_result_t *result = NULL;

		assert_int_equal(assay_wait(w->takes, request_id, 0, &result), ASSAY_OK);
		assert_string_equal(assay_result_state(result), state);
		assay_result_free(result);
		w->taken++;
	}
}

static size_t n_ended(const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->requests[i].ended;
	return n;
}

static void dispatch(struct watch *w)
{
	w->in_dispatch = true;
	assert_int_equal(assay_dispatch(buyer), ASSAY_OK);
	w->in_dispatch = false;
}

/* What a program with a loop of its own does. */
static void loop(struct watch *w)
{
	int64_t deadline = clock_mono_ns() + PURCHASE_END_MS * NS_PER_MS;

	while (n_ended(w) < w->n) {
		struct pollfd p = { .fd = assay_fd(buyer), .events = POLLIN };
		int64_t left_ms = (deadline - clock_mono_ns()) / NS_PER_MS;

		assert_true(left_ms > 0);
		assert_int_equal(poll(&p, 1, (int)left_ms), 1);
		dispatch(w);
	}
}

static void check_silent(struct watch *w)
{
	struct pollfd p = { .fd = assay_fd(buyer), .events = POLLIN };
	unsigned before = 0;
	unsigned after = 0;

	for (size_t i = 0; i < w->n; i++)
		before += w->requests[i].calls;
	dispatch(w);
	assert_int_equal(poll(&p, 1, 0), 0);
	for (size_t i = 0; i < w->n; i++)
		after += w->requests[i].calls;
	assert_int_equal(after, before);
}

static void test_several_at_once(void **state)
{
	assay_buy_options_t here = purchase_measurement();
	assay_buy_options_t nowhere = here;
	struct watch w = { .n = REQUESTS, .thread = pthread_self() };

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	nowhere.lat_e7 = 0;
	nowhere.lon_e7 = 0;
	nowhere.timeout_ms = SHORT_MS;
	assay_on_change(buyer, changed, &w);
	for (size_t i = 0; i < REQUESTS; i++)
		purchase_post(buyer, i == NOWHERE ? &nowhere : &here, w.requests[i].id);
	loop(&w);
	check_silent(&w);
	for (size_t i = 0; i < REQUESTS; i++) {
		assay_result_t *result = NULL;
		assay_status_t expected = i == NOWHERE ? ASSAY_REFUNDED : ASSAY_OK;
		const uint8_t *bytes;
		size_t n;

		/* The result is there: nothing is left to wait for. */
		assert_int_equal(assay_wait(buyer, w.requests[i].id, 0, &result), expected);
		assert_string_equal(assay_result_state(result), w.requests[i].last);
		assert_string_equal(w.requests[i].last, i == NOWHERE ? "REFUNDED" : "SETTLED");
		assert_int_equal(assay_result_payload(result, &bytes, &n),
			i == NOWHERE ? ASSAY_UNKNOWN_REQUEST : ASSAY_OK);
		assay_result_free(result);
	}
	check_silent(&w);
	assay_on_change(buyer, NULL, NULL);
	market_end(&market);
}

static void test_callback_takes_result(void **state)
{
	assay_buy_options_t here = purchase_measurement();
	struct watch w = { .n = 2, .thread = pthread_self(), .takes = buyer };

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	assay_on_change(buyer, changed, &w);
	for (size_t i = 0; i < w.n; i++)
		purchase_post(buyer, &here, w.requests[i].id);
	loop(&w);
	assert_int_equal(w.taken, w.n);
	check_silent(&w);
	assay_on_change(buyer, NULL, NULL);
	/* Without a callback dispatching is harmless. */
	assert_int_equal(assay_dispatch(buyer), ASSAY_OK);
	market_end(&market);
}

/* A query neither takes the word from a later wait nor ends anything. */
static void test_query_and_wait(void **state)
{
	assay_buy_options_t nowhere = purchase_measurement();
	assay_result_t *result = NULL;
	char id[ASSAY_ID_SIZE];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	nowhere.lat_e7 = 0;
	purchase_post(buyer, &nowhere, id);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(assay_query(buyer, id, &result), ASSAY_OK);
		assert_string_equal(assay_result_request(result), id);
		assay_result_free(result);
		assert_int_equal(assay_wait(buyer, id, 0, &result), ASSAY_TIMEOUT);
		assert_non_null(result);
		assert_string_equal(assay_result_request(result), id);
		assay_result_free(result);
	}
	assert_int_equal(assay_cancel(buyer, id), ASSAY_OK);
	result = purchase_wait(buyer, id, ASSAY_REFUNDED);
	assay_result_free(result);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	market_end(&market);
}

static void test_sizes(void **state)
{
	assay_buy_options_t buy = purchase_measurement();
	assay_options_t options = ASSAY_OPTIONS_INIT;
	const size_t wrong[] = { 0, 1, sizeof(size_t) - 1, sizeof(buy) + 1, SIZE_MAX };
	char id[ASSAY_ID_SIZE] = "untouched";
	assay_t *other = NULL;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	options.dir = market.dir;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		buy.size = wrong[i];
		assert_int_equal(assay_post(buyer, &buy, id), ASSAY_USAGE);
		assert_non_null(strstr(assay_error(buyer), "size"));
		options.size = wrong[i];
		assert_int_equal(assay_open(&options, &other), ASSAY_USAGE);
		assert_non_null(strstr(assay_error(NULL), "size"));
	}
	assert_null(other);
	assert_string_equal(id, "untouched");

	/* A program that was built with fewer members says so, and the rest has its defaults. */
	options.size = offsetof(assay_options_t, keys_dir);
	assert_int_equal(assay_open(&options, &other), ASSAY_OK);
	buy.size = offsetof(assay_buy_options_t, asset);
	buy.asset = "EUR"; /* beyond the size: not read */
	assay_result_free(purchase_buy(other, &buy, ASSAY_OK));
	assay_close(other);
	market_end(&market);
}

static void check_null_results(void)
{
	const uint8_t *bytes;
	const char *text;
	int64_t number;
	int32_t exponent;
	size_t n;

	assert_string_equal(assay_result_request(NULL), "");
	assert_string_equal(assay_result_state(NULL), "");
	assert_string_equal(assay_result_node(NULL), "");
	assert_string_equal(assay_result_source(NULL), "");
	assert_string_equal(assay_result_tier(NULL), "");
	assert_string_equal(assay_result_type(NULL), "");
	assert_int_equal(assay_result_price_micros(NULL), 0);
	assert_int_equal(assay_result_reason(NULL), ASSAY_USAGE);
	assert_int_equal(assay_result_payload(NULL, &bytes, &n), ASSAY_UNKNOWN_REQUEST);
	assert_int_equal(assay_result_bundle(NULL, &bytes, &n), ASSAY_UNKNOWN_REQUEST);
	assert_int_equal(assay_result_measurement(NULL, &number, &exponent, &text), ASSAY_USAGE);
	assert_int_equal(assay_result_moment(NULL, 0, &text, &number), 0);
	assert_int_equal(assay_result_check(NULL, 0, &text, &text, &text), 0);
	assay_result_free(NULL);
}

static void test_nulls(void **state)
{
	assay_buy_options_t buy = purchase_measurement();
	assay_result_t *result = (assay_result_t *)&buy;
	char id[ASSAY_ID_SIZE];
	size_t n;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	assert_int_equal(assay_open(NULL, NULL), ASSAY_USAGE);
	assert_int_equal(assay_post(NULL, &buy, id), ASSAY_USAGE);
	assert_int_equal(assay_post(buyer, NULL, id), ASSAY_USAGE);
	assert_int_equal(assay_post(buyer, &buy, NULL), ASSAY_USAGE);
	assert_int_equal(assay_buy(NULL, &buy, &result), ASSAY_USAGE);
	assert_null(result);
	assert_int_equal(assay_wait(NULL, "", 0, NULL), ASSAY_USAGE);
	assert_int_equal(assay_wait(buyer, NULL, 0, NULL), ASSAY_USAGE);
	assert_int_equal(assay_query(NULL, "", &result), ASSAY_USAGE);
	assert_int_equal(assay_query(buyer, NULL, &result), ASSAY_USAGE);
	assert_int_equal(assay_query(buyer, "", NULL), ASSAY_USAGE);
	assert_int_equal(assay_cancel(NULL, ""), ASSAY_USAGE);
	assert_int_equal(assay_cancel(buyer, NULL), ASSAY_USAGE);
	assert_int_equal(assay_deposit(NULL, NULL, 1, NULL), ASSAY_USAGE);
	assert_int_equal(assay_balances(NULL, NULL, 0, &n), ASSAY_USAGE);
	assert_int_equal(assay_balances(buyer, NULL, 1, &n), ASSAY_USAGE);
	assert_int_equal(assay_balances(buyer, NULL, 0, NULL), ASSAY_USAGE);
	assert_int_equal(assay_verify(NULL, 1, &result), ASSAY_USAGE);
	assert_int_equal(assay_verify(NULL, 0, &result), ASSAY_VERIFY_FAILED);
	assert_int_equal(assay_dispatch(NULL), ASSAY_USAGE);
	assert_true(assay_fd(NULL) < 0);
	assert_string_equal(assay_identity(NULL), "");
	assay_on_change(NULL, changed, NULL);
	assay_close(NULL);
	check_null_results();

	/* How many there are may be asked alone; a result that nobody wants is dropped. */
	assert_int_equal(assay_balances(buyer, NULL, 0, &n), ASSAY_OK);
	assert_true(n > 0);
	buy.kind = NULL;
	assert_int_equal(assay_post(buyer, &buy, id), ASSAY_USAGE);
	buy.kind = "voltage.dc";
	assert_int_equal(assay_buy(buyer, &buy, NULL), ASSAY_OK);
	market_end(&market);
}

static void test_unknown_requests(void **state)
{
	static const char *const no_ids[] = { "", "x", "0123",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0" };
	assay_result_t *result;
	char id[ASSAY_ID_SIZE];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	for (size_t i = 0; i < ARRAY_SIZE(no_ids); i++) {
		assert_int_equal(assay_wait(buyer, no_ids[i], -1, &result), ASSAY_USAGE);
		assert_int_equal(assay_query(buyer, no_ids[i], &result), ASSAY_USAGE);
		assert_int_equal(assay_cancel(buyer, no_ids[i]), ASSAY_USAGE);
		assert_null(result);
	}
	/* Each is refused at once, also where nobody sets a limit, and none keeps a place. */
	for (unsigned i = 0; i < STRANGE_IDS; i++) {
		assay_status_t status;

		snprintf(id, sizeof(id), MANY_REQUESTED, i);
		status = i % 2 ? assay_wait(buyer, id, -1, &result)
			       : assay_query(buyer, id, &result);
		if (strcmp(assay_status_name(status), "REQUEST_UNKNOWN") != 0)
			fail_msg("request %u: %s", i, assay_status_name(status));
		assay_result_free(result);
	}
	assert_string_equal(assay_status_name(assay_cancel(buyer, id)), "REQUEST_UNKNOWN");
	market_end(&market);
}

/* Two programs of one person: both are served, and each knows the requests of the other. */
static void test_two_handles(void **state)
{
	assay_buy_options_t buy = purchase_measurement();
	assay_t *second;
	assay_t *handles[2];

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	second = purchase_open(&market, "buyer");
	handles[0] = buyer;
	handles[1] = second;
	assert_string_equal(assay_identity(buyer), assay_identity(second));
	for (size_t i = 0; i < 2; i++) {
		char id[ASSAY_ID_SIZE];

		purchase_post(handles[i % 2], &buy, id);
		assay_result_free(purchase_wait(handles[(i + 1) % 2], id, ASSAY_OK));
		assay_result_free(purchase_wait(handles[i % 2], id, ASSAY_OK));
		assert_int_equal(purchase_balance(buyer, "available"),
			purchase_balance(second, "available"));
	}
	assay_close(second);
	assay_result_free(purchase_buy(buyer, &buy, ASSAY_OK));
	market_end(&market);
}

/* The last one: the broker and the escrow are away, and come back. */
static void test_closed_market(void **state)
{
	assay_buy_options_t buy = purchase_measurement();
	assay_options_t options = ASSAY_OPTIONS_INIT;
	char id[ASSAY_ID_SIZE] = "";
	assay_balance_t balance;
	assay_t *other = NULL;
	int64_t since_ns;
	size_t n;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);

	int64_t before = purchase_balance(buyer, "available");

	market_kill(&market, market.broker, SIGKILL);
	market_kill(&market, market.escrow, SIGKILL);
	options.dir = market.dir;
	options.connect_timeout_ms = SHORT_MS;
	since_ns = clock_mono_ns();
	assert_int_equal(assay_open(&options, &other), ASSAY_UNREACHABLE);
	assert_null(other);
	assert_true(clock_mono_ns() - since_ns < 5 * SHORT_MS * NS_PER_MS);
	since_ns = clock_mono_ns();
	assert_int_equal(assay_balances(buyer, &balance, 1, &n), ASSAY_UNREACHABLE);
	assert_int_equal(assay_post(buyer, &buy, id), ASSAY_UNREACHABLE);
	assert_true(clock_mono_ns() - since_ns < 2 * CALL_END_MS * NS_PER_MS);
	assert_int_equal(strlen(id), ASSAY_ID_SIZE - 1);

	/* What was signed goes on by its id as soon as there is a market again, and is paid once. */
	market_restart(&market, market.escrow);
	market_restart(&market, market.broker);
	assay_result_free(purchase_wait(buyer, id, ASSAY_OK));
	assert_int_equal(purchase_balance(buyer, "available"), before - PURCHASE_TOTAL);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_callback_takes_result),
		cmocka_unit_test(test_query_and_wait),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_nulls),
		cmocka_unit_test(test_unknown_requests),
		cmocka_unit_test(test_two_handles),
		cmocka_unit_test(test_closed_market),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
