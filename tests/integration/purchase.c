#include "tests/integration/purchase.h"

#include "proto/os/clock.h"
#include "proto/os/file.h"
#include "proto/seal/digest.h"

#define BALANCES_MAX 32
#define SLICE_MS     20

static void expect(assay_t *assay, const char *what, assay_status_t status, assay_status_t expected)
{
	if (status != expected)
		fail_msg("%s: %s instead of %s: %s", what, assay_status_name(status),
			assay_status_name(expected), assay_error(assay));
}

assay_t *purchase_open(struct market *m, const char *party)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;
	char keys[MARKET_PATH_MAX];
	assay_t *assay = NULL;

	market_make_keys(m, party);
	assert_true(
		snprintf(keys, sizeof(keys), "%s/keys", market_path(m, party)) < (int)sizeof(keys));
	options.dir = m->dir;
	options.keys_dir = keys;
	expect(NULL, "assay_open", assay_open(&options, &assay), ASSAY_OK);
	return assay;
}

int64_t purchase_balance(assay_t *assay, const char *purpose)
{
	assay_balance_t balances[BALANCES_MAX];
	size_t n = 0;

	expect(assay, "assay_balances", assay_balances(assay, balances, BALANCES_MAX, &n),
		ASSAY_OK);
	assert_true(n <= BALANCES_MAX);
	for (size_t i = 0; i < n; i++)
		if (strcmp(balances[i].purpose, purpose) == 0)
			return balances[i].amount_micros;
	return 0;
}

void purchase_deposit(assay_t *assay, int64_t amount_micros)
{
	expect(assay, "assay_deposit", assay_deposit(assay, "XTS", amount_micros, NULL), ASSAY_OK);
}

assay_buy_options_t purchase_measurement(void)
{
	assay_buy_options_t o = ASSAY_BUY_OPTIONS_INIT;

	o.kind = "voltage.dc";
	o.lat_e7 = PURCHASE_LAT_E7;
	o.lon_e7 = PURCHASE_LON_E7;
	o.radius_m = 500;
	o.unit = "V";
	o.low = -1000;
	o.high = 1000;
	o.price_max_micros = 200000;
	return o;
}

assay_buy_options_t purchase_photo(void)
{
	assay_buy_options_t o = purchase_measurement();

	o.kind = "camera.still";
	o.unit = NULL;
	o.low = 0;
	o.high = 0;
	o.width = 320;
	o.height = 240;
	o.freshness_ms = 60000;
	return o;
}

void purchase_post(
	assay_t *assay, const assay_buy_options_t *options, char id[static ASSAY_ID_SIZE])
{
	expect(assay, "assay_post", assay_post(assay, options, id), ASSAY_OK);
}

assay_result_t *purchase_wait(assay_t *assay, const char *id, assay_status_t expected)
{
	assay_result_t *result = NULL;
	assay_status_t status = assay_wait(assay, id, PURCHASE_END_MS, &result);

	if (status != expected && result)
		fprintf(stderr, "request %s is %s, reason %s\n", id, assay_result_state(result),
			assay_status_name(assay_result_reason(result)));
	expect(assay, "assay_wait", status, expected);
	assert_non_null(result);
	assert_string_equal(assay_result_request(result), id);
	return result;
}

assay_result_t *purchase_buy(
	assay_t *assay, const assay_buy_options_t *options, assay_status_t expected)
{
	char id[ASSAY_ID_SIZE];

	purchase_post(assay, options, id);
	return purchase_wait(assay, id, expected);
}

void purchase_until(assay_t *assay, const char *id, const char *state)
{
	int64_t deadline = clock_mono_ns() + PURCHASE_END_MS * NS_PER_MS;

	while (clock_mono_ns() < deadline) {
		assay_result_t *result = NULL;
		assay_status_t status = assay_wait(assay, id, SLICE_MS, &result);
		bool there = result && strcmp(assay_result_state(result), state) == 0;

		assay_result_free(result);
		if (there)
			return;
		expect(assay, state, status, ASSAY_TIMEOUT);
	}
	fail_msg("the request did not become %s in time", state);
}

bool purchase_went_through(const assay_result_t *result, const char *state)
{
	const char *name;
	int64_t at_ns;

	for (size_t i = 0; assay_result_moment(result, i, &name, &at_ns); i++)
		if (strcmp(name, state) == 0)
			return true;
	return false;
}

void purchase_check_bundle(const assay_result_t *result, size_t n_flips)
{
	const uint8_t *bundle = NULL;
	assay_result_t *again = NULL;
	size_t n = 0;

	expect(NULL, "assay_result_bundle", assay_result_bundle(result, &bundle, &n), ASSAY_OK);
	expect(NULL, "assay_verify", assay_verify(bundle, n, &again), ASSAY_OK);
	assert_string_equal(assay_result_request(again), assay_result_request(result));
	assay_result_free(again);

	uint8_t *copy = malloc(n);

	assert_non_null(copy);
	memcpy(copy, bundle, n);
	for (size_t i = 0; i < n_flips; i++) {
		size_t at = n_flips > 1 ? i * (n - 1) / (n_flips - 1) : n / 2;
		uint8_t bit = (uint8_t)(1U << i % 8);

		copy[at] ^= bit;
		if (assay_verify(copy, n, NULL) != ASSAY_VERIFY_FAILED)
			fail_msg("a bundle with another bit %zu of byte %zu of %zu passes", i % 8,
				at, n);
		copy[at] ^= bit;
	}
	free(copy);
	assert_int_equal(assay_verify(bundle, n - 1, NULL), ASSAY_VERIFY_FAILED);
}

void purchase_digest(const assay_result_t *result, char out[static ID_TEXT_MAX])
{
	struct span payload;

	expect(NULL, "assay_result_payload", assay_result_payload(result, &payload.p, &payload.n),
		ASSAY_OK);

	struct id digest = digest_of(payload);

	id_text(&digest, out);
}

void purchase_file_digest(const char *path, char out[static ID_TEXT_MAX])
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t n;

	assert_int_equal(file_read(path, (size_t)MARKET_FILE_MAX, &bytes, &n), 0);

	struct id digest = digest_of(SPAN(bytes, n));

	id_text(&digest, out);
}
