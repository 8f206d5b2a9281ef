#include "buyer-sdk/src/handle.h"

#include "proto/os/entropy.h"

static bool any_result(const struct buyer_result *result)
{
	(void)result; /* ignored: a call has one result */
	return true;
}

/* One call to the escrow and its answer, which the caller deinits. */
static assay_status_t ask(assay_t *a, enum buyer_call_kind kind, struct buyer_call *call,
	struct buyer_result *ret_result)
{
	uint64_t number = handle_call(a, kind, call, NULL);
	assay_status_t status = ASSAY_OK;

	if (number == 0)
		return handle_fail(a, ASSAY_UNREACHABLE,
			"Too many calls are open, or the network has stopped.");
	if (!handle_wait(a, number, HANDLE_CALL_MS, any_result, ret_result))
		status = handle_fail(a, ASSAY_UNREACHABLE,
			"The market did not answer in %d seconds.", HANDLE_CALL_MS / 1000);
	else if (ret_result->kind == BUYER_REFUSED)
		status = handle_status(a, (assay_status_t)ret_result->code);
	if (status != ASSAY_OK && status != ASSAY_UNREACHABLE)
		buyer_result_deinit(ret_result);
	pthread_mutex_lock(&a->lock);

	struct ticket *ticket = handle_ticket(a, number);

	if (ticket)
		handle_release(ticket);
	pthread_mutex_unlock(&a->lock);
	return status;
}

assay_status_t wallet_ask(
	assay_t *a, enum buyer_call_kind kind, int64_t cursor, struct buyer_result *ret_result)
{
	struct buyer_call *call = calloc(1, sizeof(*call));

	if (!call)
		return handle_status(a, ASSAY_NO_MEMORY);
	call->cursor = cursor;

	assay_status_t status = ask(a, kind, call, ret_result);

	free(call);
	return status;
}

assay_status_t assay_deposit(
	assay_t *assay, const char *asset, int64_t amount_micros, const uint8_t operation[16])
{
	struct buyer_result result;

	if (!assay)
		return handle_null(NULL);

	struct buyer_call *call = calloc(1, sizeof(*call));

	if (!call)
		return handle_status(assay, ASSAY_NO_MEMORY);
	if (!asset)
		asset = assay->market.asset;
	if (strlen(asset) >= sizeof(call->asset)) {
		free(call);
		return handle_fail(assay, ASSAY_USAGE, "The asset's name is too long.");
	}
	strcpy(call->asset, asset);
	call->amount_micros = amount_micros;
	if (operation)
		memcpy(call->operation, operation, sizeof(call->operation));
	else
		entropy_fill(call->operation, sizeof(call->operation));

	assay_status_t status = ask(assay, BUYER_CALL_DEPOSIT, call, &result);

	free(call);
	if (status == ASSAY_OK)
		buyer_result_deinit(&result);
	return status;
}

const char *wallet_purpose(int64_t purpose)
{
	static const char *const names[] = { "", "available", "held", "bond", "fee", "verifier_pay",
		"rail_clearing" };

	return purpose > 0 && purpose < (int64_t)ARRAY_SIZE(names) ? names[purpose] : "unknown";
}

assay_status_t assay_balances(
	assay_t *assay, assay_balance_t *ret_balances, size_t max, size_t *ret_n)
{
	struct buyer_result result;

	if (!assay || !ret_n || (!ret_balances && max > 0))
		return handle_null(assay);

	assay_status_t status = wallet_ask(assay, BUYER_CALL_BALANCE, 0, &result);

	if (status != ASSAY_OK)
		return status;
	*ret_n = result.account ? result.account->n_balances : 0;
	for (size_t i = 0; i < *ret_n && i < max; i++) {
		const struct buyer_balance *from = &result.account->balances[i];
		size_t n = MIN(strlen(from->asset), sizeof(ret_balances[i].asset) - 1);

		memcpy(ret_balances[i].asset, from->asset, n);
		ret_balances[i].asset[n] = '\0';
		ret_balances[i].purpose = wallet_purpose(from->account_purpose);
		ret_balances[i].amount_micros = from->amount_micros;
	}
	buyer_result_deinit(&result);
	return ASSAY_OK;
}
