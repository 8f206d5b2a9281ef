#pragma once
/* What a test buys in a market, through the SDK alone. Whatever is not as expected fails the cmocka
 * test. */
#include "tests/integration/market.h"

#include <assay/assay.h>

#define PURCHASE_END_MS 120000 /* what a request may take to end; only a failing test waits so */
#define PURCHASE_LAT_E7 473769000 /* MARKET_PLACE */
#define PURCHASE_LON_E7 85417000
/* What nodes ask by default, and what the SDK's requests add to it: 2 % for the escrow, 3 % for the
 * verifiers. */
#define PURCHASE_PRICE    50000
#define PURCHASE_FEE      1000
#define PURCHASE_VERIFIER 1500
#define PURCHASE_TOTAL    (PURCHASE_PRICE + PURCHASE_FEE + PURCHASE_VERIFIER)

/* A connected handle for the identity in DIR/party/keys, which is made where it is missing. */
assay_t *purchase_open(struct market *m, const char *party);
/* A balance by purpose, "available". */
int64_t purchase_balance(assay_t *assay, const char *purpose);
void purchase_deposit(assay_t *assay, int64_t amount_micros);
/* A measurement, or a photograph, where the nodes are, for at most 0.20. */
assay_buy_options_t purchase_measurement(void);
assay_buy_options_t purchase_photo(void);
/* Posts; fails where that is refused. */
void purchase_post(
	assay_t *assay, const assay_buy_options_t *options, char id[static ASSAY_ID_SIZE]);
/* Waits until the request has ended, with that status. The caller frees the result. */
assay_result_t *purchase_wait(assay_t *assay, const char *id, assay_status_t expected);
/* Both. */
assay_result_t *purchase_buy(
	assay_t *assay, const assay_buy_options_t *options, assay_status_t expected);
/* Waits until it is in that state; fails where it ends without. */
void purchase_until(assay_t *assay, const char *id, const char *state);
/* Whether the result's request went through a state. */
bool purchase_went_through(const assay_result_t *result, const char *state);
/*
 * Checks the bundle offline as it is, and that no byte of it may differ: n_flips single bits, from
 * the first byte to the last, each in a copy, must be refused.
 */
void purchase_check_bundle(const assay_result_t *result, size_t n_flips);
/* SHA-256 of the payload as hex. */
void purchase_digest(const assay_result_t *result, char out[static ID_TEXT_MAX]);
/* Of a file's content. */
void purchase_file_digest(const char *path, char out[static ID_TEXT_MAX]);
