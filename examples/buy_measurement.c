/*
 * Buys a voltage and keeps the bundle that proves it: buy_measurement DIR [FILE.assay]
 * DIR is what `assay up --demo --dir DIR` runs in. Build: cc buy_measurement.c $(pkg-config --cflags --libs assay)
 */
#include <assay/assay.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PRICE_MICROS 200000 /* 0.20 */

/* Play money, where less than twice the price is there. */
static assay_status_t fill_account(assay_t *assay)
{
	assay_balance_t balances[16];
	int64_t available = 0;
	size_t n = 0;
	assay_status_t status = assay_balances(assay, balances, 16, &n);

	for (size_t i = 0; status == ASSAY_OK && i < n && i < 16; i++)
		if (strcmp(balances[i].purpose, "available") == 0)
			available = balances[i].amount_micros;
	if (status != ASSAY_OK || available >= 2 * PRICE_MICROS)
		return status;
	return assay_deposit(assay, NULL, 1000000, NULL);
}

static int keep(const assay_result_t *result, const char *path)
{
	const char *unit, *name, *outcome, *detail;
	const uint8_t *bytes;
	int64_t mantissa;
	int32_t exponent;
	size_t n;
	FILE *file = fopen(path, "wb");

	if (!file || assay_result_bundle(result, &bytes, &n) != ASSAY_OK ||
		fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
		perror(path);
		return 1;
	}
	if (assay_result_measurement(result, &mantissa, &exponent, &unit) == ASSAY_OK)
		printf("%" PRId64 "e%" PRId32 " %s, proved by %s\n", mantissa, exponent, unit,
			path);
	for (size_t i = 0; assay_result_check(result, i, &name, &outcome, &detail); i++)
		printf("  %s: %s %s\n", name, outcome, detail);
	return assay_verify(bytes, n, NULL) == ASSAY_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;
	assay_buy_options_t buy = ASSAY_BUY_OPTIONS_INIT;
	assay_result_t *result = NULL;
	assay_t *assay = NULL;
	assay_status_t status;
	int code = 1;

	options.dir = argc > 1 ? argv[1] : NULL;
	buy.kind = "voltage.dc";
	buy.lat_e7 = 473769000, buy.lon_e7 = 85417000, buy.radius_m = 500;
	buy.unit = "V";
	buy.low = 0, buy.high = 10;
	buy.price_max_micros = PRICE_MICROS;
	status = assay_open(&options, &assay);
	if (status == ASSAY_OK)
		status = fill_account(assay);
	if (status == ASSAY_OK)
		status = assay_buy(assay, &buy, &result);
	if (status == ASSAY_OK)
		code = keep(result, argc > 2 ? argv[2] : "voltage.assay");
	else
		fprintf(stderr, "%s: %s\n", assay_status_name(status), assay_error(assay));
	assay_result_free(result);
	assay_close(assay);
	return code;
}
