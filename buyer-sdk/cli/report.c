#include "buyer-sdk/cli/report.h"

#include "buyer-sdk/cli/print.h"
#include "proto/base/text.h"
#include "proto/os/file.h"
#include "proto/seal/digest.h"

static void set_text(json_t *j, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(j, name, json_string(text));
}

static json_t *states_json(const assay_result_t *result)
{
	json_t *list = json_array();
	const char *state;
	int64_t at_ns;
	char at[40];

	for (size_t i = 0; assay_result_moment(result, i, &state, &at_ns); i++)
		json_array_append_new(
			list, json_pack("{s:s,s:s,s:I}", "state", state, "at", cli_time(at_ns, at),
				      "at_ns", (json_int_t)at_ns));
	return list;
}

static json_t *checks_json(const assay_result_t *result)
{
	json_t *list = json_array();
	const char *name, *outcome, *detail;

	for (size_t i = 0; assay_result_check(result, i, &name, &outcome, &detail); i++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "name", name, "result",
						    outcome, "detail", detail));
	return list;
}

static bool payload_digest(
	const assay_result_t *result, char out[static ID_TEXT_MAX], size_t *ret_n)
{
	const uint8_t *bytes;
	struct id digest;

	if (assay_result_payload(result, &bytes, ret_n) != ASSAY_OK)
		return false;
	digest = digest_of(SPAN(bytes, *ret_n));
	id_text(&digest, out);
	return true;
}

static void add_error(json_t *j, assay_status_t status, const char *sentence)
{
	if (status == ASSAY_OK || status == ASSAY_TIMEOUT)
		return;
	json_object_set_new(j, "error",
		json_pack("{s:s,s:i,s:s}", "name", assay_status_name(status), "code", (int)status,
			"text", sentence && *sentence ? sentence : assay_status_text(status)));
}

json_t *report_json(const struct report *report)
{
	const assay_result_t *r = report->result;
	json_t *j = json_pack("{s:s,s:s,s:I}", "request_id", assay_result_request(r), "state",
		assay_result_state(r), "price_micros", (json_int_t)assay_result_price_micros(r));
	char digest[ID_TEXT_MAX], value[PRINT_DECIMAL_MAX];
	const char *unit;
	int64_t mantissa;
	int32_t exponent;
	size_t n;

	if (!j)
		return NULL;
	set_text(j, "node", assay_result_node(r));
	set_text(j, "currency", report->currency);
	set_text(j, "source", assay_result_source(r));
	set_text(j, "tier", assay_result_tier(r));
	set_text(j, "type", assay_result_type(r));
	set_text(j, "payload", report->payload);
	set_text(j, "bundle", report->bundle);
	if (report->elapsed_ms >= 0)
		json_object_set_new(j, "elapsed_ms", json_integer(report->elapsed_ms));
	if (payload_digest(r, digest, &n)) {
		json_object_set_new(j, "payload_sha256", json_string(digest));
		json_object_set_new(j, "payload_size", json_integer((json_int_t)n));
	}
	if (assay_result_measurement(r, &mantissa, &exponent, &unit) == ASSAY_OK) {
		set_text(j, "value", print_decimal(mantissa, exponent, value));
		set_text(j, "unit", unit);
	}
	json_object_set_new(j, "states", states_json(r));
	json_object_set_new(j, "checks", checks_json(r));
	if (assay_result_reason(r) != ASSAY_OK)
		json_object_set_new(
			j, "reason", json_string(assay_status_name(assay_result_reason(r))));
	add_error(j, report->status, report->sentence);
	return j;
}

static void print_states(const assay_result_t *result)
{
	const char *state;
	int64_t first_ns = 0;
	int64_t at_ns;
	char at[40];

	for (size_t i = 0; assay_result_moment(result, i, &state, &at_ns); i++) {
		if (i == 0)
			first_ns = at_ns;
		printf("  %-15s %s  +%lld ms\n", state, cli_time(at_ns, at),
			(long long)((at_ns - first_ns) / NS_PER_MS));
	}
}

static void print_checks(const struct cli *cli, const assay_result_t *result)
{
	const char *name, *outcome, *detail;
	char shown[PRINT_TEXT_MAX], figures[PRINT_TEXT_MAX];

	for (size_t i = 0; assay_result_check(result, i, &name, &outcome, &detail); i++) {
		const char *colour = strcmp(outcome, "pass") == 0   ? print_green(cli)
				     : strcmp(outcome, "fail") == 0 ? print_red(cli)
								    : print_yellow(cli);

		printf("  %-15s %s%s%s%s%s\n", print_safe(name, shown), colour, outcome,
			print_plain(cli), *detail ? "  " : "", print_safe(detail, figures));
	}
}

static void print_payload(const struct report *report)
{
	const assay_result_t *r = report->result;
	char digest[ID_TEXT_MAX], value[PRINT_DECIMAL_MAX], shown[PRINT_TEXT_MAX];
	const char *unit;
	int64_t mantissa;
	int32_t exponent;
	size_t n;

	if (assay_result_measurement(r, &mantissa, &exponent, &unit) == ASSAY_OK)
		printf("value    %s %s\n", print_decimal(mantissa, exponent, value),
			print_safe(unit, shown));
	if (payload_digest(r, digest, &n))
		printf("payload  %s, %zu bytes, SHA-256 %s\n",
			print_safe(assay_result_type(r), shown), n, digest);
	if (report->payload)
		printf("         in %s\n", report->payload);
	if (report->bundle)
		printf("bundle   in %s\n", report->bundle);
}

void report_print(const struct cli *cli, const struct report *report)
{
	const assay_result_t *r = report->result;
	char money[32], shown[PRINT_TEXT_MAX];

	printf("request  %s\nstate    %s%s%s\n", assay_result_request(r), print_bold(cli),
		assay_result_state(r), print_plain(cli));
	print_states(r);
	if (*assay_result_node(r))
		printf("node     %s\n", assay_result_node(r));
	if (*assay_result_source(r))
		printf("source   %s, tier %s\n", assay_result_source(r), assay_result_tier(r));
	printf("price    %s%s%s%s\n", strcmp(assay_result_state(r), "SETTLED") == 0 ? "" : "up to ",
		cli_money(assay_result_price_micros(r), money), report->currency ? " " : "",
		report->currency ? print_safe(report->currency, shown) : "");
	print_payload(report);
	if (assay_result_check(
		    r, 0, &(const char *){ 0 }, &(const char *){ 0 }, &(const char *){ 0 }))
		printf("checks\n");
	print_checks(cli, r);
	if (assay_result_reason(r) != ASSAY_OK)
		printf("because  %s: %s\n", assay_status_name(assay_result_reason(r)),
			assay_status_text(assay_result_reason(r)));
}

static int save(const struct cli *cli, const char *path, const uint8_t *bytes, size_t n)
{
	int r = file_write_durable(path, SPAN(bytes, n), 0644);
	char text[CLI_PATH_MAX + 128];

	if (r == 0)
		return EXIT_DONE;
	snprintf(text, sizeof(text), "%s could not be written: %s", path, strerror(-r));
	return cli_fail(cli, ASSAY_SYSTEM, text);
}

int report_save(const struct cli *cli, const assay_result_t *result, const char *payload,
	const char *bundle)
{
	const uint8_t *bytes;
	size_t n;
	int code = EXIT_DONE;

	if (payload && assay_result_payload(result, &bytes, &n) == ASSAY_OK)
		code = save(cli, payload, bytes, n);
	if (code == EXIT_DONE && bundle && assay_result_bundle(result, &bytes, &n) == ASSAY_OK)
		code = save(cli, bundle, bytes, n);
	return code;
}
