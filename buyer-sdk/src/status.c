#include "proto/base/refusal.h"

#include <assay/assay.h>

#define REFUSAL_MAX 999

static const struct {
	assay_status_t status;
	const char *name;
	const char *text;
} statuses[] = {
	{ ASSAY_OK, "OK", "Done." },
	{ ASSAY_REFUNDED, "REFUNDED",
		"The request ended without evidence that passed; the money is back on your account." },
	{ ASSAY_TIMEOUT, "TIMEOUT",
		"The request has not ended yet: it goes on, wait for it again." },
	{ ASSAY_UNREACHABLE, "UNREACHABLE",
		"The market does not answer: is it running, and is the network up?" },
	{ ASSAY_NO_MARKET, "NO_MARKET",
		"No market is configured: name one with --dir, ASSAY_DIR or 'assay market add FILE'." },
	{ ASSAY_NO_KEYS, "NO_KEYS", "There is no identity yet: make one with 'assay key new'." },
	{ ASSAY_USAGE, "USAGE", "An argument is impossible." },
	{ ASSAY_NO_MEMORY, "NO_MEMORY", "There is not enough memory." },
	{ ASSAY_SYSTEM, "SYSTEM", "A file or the network failed." },
	{ ASSAY_VERIFY_FAILED, "VERIFY_FAILED",
		"The bundle does not prove what it says: do not trust it." },
	{ ASSAY_UNKNOWN_REQUEST, "UNKNOWN_REQUEST",
		"There is no such request, or it has no payload." },
};

const char *assay_status_name(assay_status_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].name;
	return status > 0 && status <= REFUSAL_MAX ? refusal_name((enum refusal)status) : "UNKNOWN";
}

const char *assay_status_text(assay_status_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return refusal_sentence(
		status > 0 && status <= REFUSAL_MAX ? (enum refusal)status : REFUSED_NOT);
}

const char *assay_version(void)
{
	return ASSAY_VERSION;
}
