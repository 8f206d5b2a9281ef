#pragma once
/*
 * What became of a request, for people and as JSON: states with their times, checks with their
 * figures, price, node, and where payload and bundle were put.
 */
#include "buyer-sdk/cli/cli.h"

struct report {
	const assay_result_t *result;
	assay_status_t status; /* of the call that gave the result */
	const char *sentence; /* why, where status is not OK */
	const char *currency; /* NULL: not known */
	int64_t elapsed_ms; /* -1: not measured */
	const char *payload; /* path, NULL: not written */
	const char *bundle;
};

/*
 * {"request_id", "state", "node", "price_micros", "currency", "elapsed_ms", "bundle", "payload",
 * "payload_sha256", "source", "tier", "type", "value", "unit", "states", "checks", "error"}:
 * members that have nothing to say are left out.
 */
json_t *report_json(const struct report *report);
void report_print(const struct cli *cli, const struct report *report);

/* Writes payload and bundle where a path is given. An exit code, after printing what is wrong. */
_must_check_ int report_save(const struct cli *cli, const assay_result_t *result,
	const char *payload, const char *bundle);
