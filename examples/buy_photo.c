/*
 * Buys a photograph of a place and keeps it: buy_photo DIR [FILE.jpg]
 * DIR is what `assay up --demo --dir DIR` runs in. Build: cc buy_photo.c $(pkg-config --cflags --libs assay)
 */
#include <assay/assay.h>

#include <stdio.h>
#include <string.h>

#define PRICE_MICROS 200000 /* 0.20 */

static int failed(const char *what, assay_status_t status, const assay_t *assay)
{
	fprintf(stderr, "%s: %s: %s\n", what, assay_status_name(status), assay_error(assay));
	return 1;
}

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
	const char *name, *outcome, *detail;
	const uint8_t *bytes;
	size_t n;
	FILE *file = fopen(path, "wb");

	if (!file || assay_result_payload(result, &bytes, &n) != ASSAY_OK ||
		fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
		perror(path);
		return 1;
	}
	printf("%s: %zu bytes from %s\n", path, n, assay_result_node(result));
	for (size_t i = 0; assay_result_check(result, i, &name, &outcome, &detail); i++)
		printf("  %s: %s %s\n", name, outcome, detail);
	return 0;
}

int main(int argc, char **argv)
{
	assay_options_t options = ASSAY_OPTIONS_INIT;
	assay_buy_options_t buy = ASSAY_BUY_OPTIONS_INIT;
	assay_result_t *result = NULL;
	assay_t *assay;
	assay_status_t status;

	options.dir = argc > 1 ? argv[1] : NULL;
	status = assay_open(&options, &assay);
	if (status != ASSAY_OK)
		return failed("open", status, NULL);
	buy.kind = "camera.still";
	buy.lat_e7 = 473769000;
	buy.lon_e7 = 85417000;
	buy.radius_m = 500;
	buy.price_max_micros = PRICE_MICROS;
	status = fill_account(assay);
	if (status == ASSAY_OK)
		status = assay_buy(assay, &buy, &result);

	int code = status == ASSAY_OK ? keep(result, argc > 2 ? argv[2] : "photo.jpg")
				      : failed("buy", status, assay);

	assay_result_free(result);
	assay_close(assay);
	return code;
}
