#include "buyer-sdk/src/handle.h"

#include "escrow/verify/verify.h"

#include <stdio.h>

#define DETAIL_MAX     256
#define CHECKS_ALL_MAX (CHECKS_MAX * PANEL_MAX)

struct check_text {
	char name[65];
	const char *result;
	char detail[DETAIL_MAX];
};

struct assay_result {
	char request[ASSAY_ID_SIZE];
	int64_t state;
	assay_status_t reason;
	char node[DID_TEXT_MAX];
	int64_t price_micros;
	int64_t source;
	int64_t tier;
	char type[65];
	uint8_t *payload;
	size_t n_payload;
	uint8_t *bundle;
	size_t n_bundle;
	struct moment history[MESSAGE_HISTORY_MAX];
	size_t n_history;
	struct check_text checks[CHECKS_ALL_MAX];
	size_t n_checks;
	bool is_measurement;
	int64_t mantissa;
	int64_t exponent;
	char unit[33];
};

static void copy_span(char *out, size_t cap, struct span text)
{
	size_t n = MIN(text.n, cap - 1);

	if (n > 0)
		memcpy(out, text.p, n);
	out[n] = '\0';
}

static const char *result_name(int64_t result)
{
	return result == CHECK_PASS ? "pass" : result == CHECK_FAIL ? "fail" : "inconclusive";
}

/* "width = 1920, height = 1080", or why it did not pass. */
static void describe(const struct check_result *check, char out[static DETAIL_MAX])
{
	struct buf b = buf_over(out, DETAIL_MAX - 1);

	for (size_t i = 0; i < check->n_figures; i++) {
		const struct figure *f = &check->figures[i];

		buf_printf(&b, "%s%.*s = %lld", i ? ", " : "", (int)f->name.n,
			(const char *)f->name.p, (long long)f->value);
		if (f->exponent != 0)
			buf_printf(&b, "e%lld", (long long)f->exponent);
		if (f->unit.n > 0)
			buf_printf(&b, " %.*s", (int)f->unit.n, (const char *)f->unit.p);
	}
	if (check->code != 0)
		buf_printf(&b, "%s%s", b.n ? "; " : "", refusal_name((enum refusal)check->code));
	out[b.n] = '\0';
}

static void add_checks(struct assay_result *r, const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->n_checks && r->n_checks < CHECKS_ALL_MAX; i++) {
		struct check_text *text = &r->checks[r->n_checks++];

		copy_span(text->name, sizeof(text->name), verdict->checks[i].id);
		text->result = result_name(verdict->checks[i].result);
		describe(&verdict->checks[i], text->detail);
	}
}

static void read_measurement(struct assay_result *r)
{
	struct measurement m;

	if (strcmp(r->type, MEASUREMENT_TYPE) != 0 ||
		schema_decode(&measurement_schema, SPAN(r->payload, r->n_payload), &m, NULL) !=
			REFUSED_NOT)
		return;
	r->is_measurement = true;
	r->mantissa = m.mantissa;
	r->exponent = m.exponent;
	copy_span(r->unit, sizeof(r->unit), m.unit);
}

/* What the bundle's statements say beyond the core's summary. They were checked before. */
static bool read_bundle(struct assay_result *r)
{
	struct bundle bundle;
	struct statement *s = calloc(1, sizeof(*s));
	bool ok = s && bundle_read(SPAN(r->bundle, r->n_bundle), &bundle) == REFUSED_NOT;

	for (size_t i = 0; ok && i < bundle.n_statements; i++) {
		ok = statement_decode(bundle.statements[i], s, NULL) == REFUSED_NOT;
		if (ok && s->kind == STATEMENT_VERDICT) {
			add_checks(r, &s->body.verdict);
			r->tier = s->body.verdict.tier;
		}
		if (ok && s->kind == STATEMENT_EVIDENCE) {
			r->source = s->body.evidence.source;
			copy_span(r->type, sizeof(r->type), s->body.evidence.payload.type);
			did_text(&s->issuer, r->node);
		}
	}
	free(s);
	if (ok)
		read_measurement(r);
	return ok;
}

assay_result_t *result_of(struct buyer_result *from)
{
	struct assay_result *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	id_text(&from->request, r->request);
	r->state = from->state;
	r->reason = (assay_status_t)from->code;
	if (!did_is_zero(&from->node))
		did_text(&from->node, r->node);
	r->price_micros = from->kind == BUYER_BUNDLE ? from->paid_micros : from->price_micros;
	r->payload = take(&from->payload);
	r->n_payload = from->n_payload;
	r->bundle = take(&from->bundle);
	r->n_bundle = from->n_bundle;
	r->n_history = from->n_history;
	memcpy(r->history, from->history, sizeof(r->history));
	if (r->bundle && !read_bundle(r)) {
		assay_result_free(r);
		return NULL;
	}
	return r;
}

void assay_result_free(assay_result_t *result)
{
	if (!result)
		return;
	free(result->payload);
	free(result->bundle);
	free(result);
}

const char *assay_result_request(const assay_result_t *result)
{
	return result ? result->request : "";
}

const char *assay_result_state(const assay_result_t *result)
{
	return result ? slot_state_name(result->state) : "";
}

assay_status_t assay_result_reason(const assay_result_t *result)
{
	return result ? result->reason : ASSAY_USAGE;
}

const char *assay_result_node(const assay_result_t *result)
{
	return result ? result->node : "";
}

int64_t assay_result_price_micros(const assay_result_t *result)
{
	return result ? result->price_micros : 0;
}

const char *assay_result_source(const assay_result_t *result)
{
	switch (result ? result->source : 0) {
	case SOURCE_LIVE:
		return "live";
	case SOURCE_REPLAY:
		return "replay";
	case SOURCE_SYNTHETIC:
		return "synthetic";
	default:
		return "";
	}
}

const char *assay_result_tier(const assay_result_t *result)
{
	switch (result ? result->tier : 0) {
	case TIER_LIVE_CLAIMED:
		return "live-claimed";
	case TIER_REPLAY:
		return "replay";
	case TIER_SYNTHETIC:
		return "synthetic";
	default:
		return "";
	}
}

const char *assay_result_type(const assay_result_t *result)
{
	return result ? result->type : "";
}

assay_status_t assay_result_payload(
	const assay_result_t *result, const uint8_t **ret_bytes, size_t *ret_n)
{
	if (!result || !result->payload)
		return ASSAY_UNKNOWN_REQUEST;
	*ret_bytes = result->payload;
	*ret_n = result->n_payload;
	return ASSAY_OK;
}

assay_status_t assay_result_bundle(
	const assay_result_t *result, const uint8_t **ret_bytes, size_t *ret_n)
{
	if (!result || !result->bundle)
		return ASSAY_UNKNOWN_REQUEST;
	*ret_bytes = result->bundle;
	*ret_n = result->n_bundle;
	return ASSAY_OK;
}

assay_status_t assay_result_measurement(const assay_result_t *result, int64_t *ret_mantissa,
	int32_t *ret_exponent, const char **ret_unit)
{
	if (!result || !result->is_measurement)
		return ASSAY_USAGE;
	*ret_mantissa = result->mantissa;
	*ret_exponent = (int32_t)result->exponent;
	*ret_unit = result->unit;
	return ASSAY_OK;
}

int assay_result_moment(
	const assay_result_t *result, size_t i, const char **ret_state, int64_t *ret_at_ns)
{
	if (!result || i >= result->n_history)
		return 0;
	*ret_state = slot_state_name(result->history[i].state);
	*ret_at_ns = result->history[i].at_ns;
	return 1;
}

int assay_result_check(const assay_result_t *result, size_t i, const char **ret_name,
	const char **ret_result, const char **ret_detail)
{
	if (!result || i >= result->n_checks)
		return 0;
	*ret_name = result->checks[i].name;
	*ret_result = result->checks[i].result;
	*ret_detail = result->checks[i].detail;
	return 1;
}

/* A check of the verdict must come out the same when it is run again. */
static bool same_results(const struct verdict *verdict, const struct verify_output *again)
{
	if (verdict->n_checks != again->n_results || verdict->outcome != again->outcome)
		return false;
	for (size_t i = 0; i < verdict->n_checks; i++) {
		struct check_text a;
		struct check_text b;

		describe(&verdict->checks[i], a.detail);
		describe(&again->results[i], b.detail);
		if (!span_eq(verdict->checks[i].id, again->results[i].id) ||
			verdict->checks[i].result != again->results[i].result ||
			strcmp(a.detail, b.detail) != 0)
			return false;
	}
	return true;
}

/* Runs the verifiers' checks again on the checked bundle. */
static assay_status_t run_again(const struct bundle *bundle, const struct bundle_facts *facts,
	struct keyring *keyring, struct assay_result *r)
{
	struct verify_input input = {
		.request = facts->request,
		.hold = facts->hold,
		.earmark = facts->earmark,
		.assignment = facts->assignment,
		.evidence = facts->evidence,
		.draw = facts->draw,
		.verified = true,
		.receipt = bundle->receipt,
		.note = bundle->note,
		.ciphertext = bundle->ciphertext,
		.keyring = keyring,
	};
	const struct sandbox_options sandbox = { 0 };
	struct verify_output *output = calloc(1, sizeof(*output));
	assay_status_t status = ASSAY_OK;

	memcpy(input.content_key, bundle->content_key.p, 32);
	if (!output)
		return handle_status(NULL, ASSAY_NO_MEMORY);
	if (span_is(facts->evidence->body.evidence.payload.type, JPEG_TYPE) &&
		sandbox_new(&sandbox, &input.sandbox) < 0)
		status = handle_fail(NULL, ASSAY_SYSTEM,
			"The decoder for pictures (assay-decoder) could not be started: is it installed?");
	else if (verify_run(&input, output) < 0)
		status = handle_status(NULL, ASSAY_NO_MEMORY);
	for (size_t i = 0; status == ASSAY_OK && i < facts->n_verdicts; i++)
		if (!same_results(&facts->verdicts[i]->body.verdict, output))
			status = handle_fail(NULL, ASSAY_VERIFY_FAILED, "%s",
				refusal_sentence(REFUSED_CHECKS_DIFFER));
	if (status == ASSAY_OK && output->opened) {
		r->payload = take(&output->plain);
		r->n_payload = output->n_plain;
	}
	sandbox_free(input.sandbox);
	verify_output_deinit(output);
	free(output);
	return status;
}

static assay_status_t verify_into(struct span data, struct assay_result *r)
{
	struct statement *room = calloc(MESSAGE_STATEMENTS_MAX, sizeof(*room));
	struct bundle_facts *facts = calloc(1, sizeof(*facts));
	struct keyring *keyring = keyring_new(64);
	struct bundle bundle;
	const char *link = NULL;
	assay_status_t status = ASSAY_OK;

	if (!room || !facts || !keyring) {
		status = handle_status(NULL, ASSAY_NO_MEMORY);
	} else {
		enum refusal refusal = bundle_read(data, &bundle);

		if (refusal == REFUSED_NOT)
			refusal = bundle_check_links(&bundle, keyring, room, facts, &link);
		if (refusal != REFUSED_NOT)
			status = handle_fail(NULL, ASSAY_VERIFY_FAILED, "%s: %s%s%s%s",
				refusal_name(refusal), refusal_sentence(refusal), link ? " (" : "",
				link ? link : "", link ? ")" : "");
	}
	if (status == ASSAY_OK)
		status = run_again(&bundle, facts, keyring, r);
	if (status == ASSAY_OK) {
		id_text(&facts->request->id, r->request);
		r->state = facts->settlement->body.settlement.outcome;
		r->price_micros = facts->paid_micros;
	}
	free(room);
	free(facts);
	keyring_free(keyring);
	return status;
}

assay_status_t assay_verify(const uint8_t *bundle, size_t n, assay_result_t **ret_result)
{
	struct assay_result *r = calloc(1, sizeof(*r));
	assay_status_t status;

	if (ret_result)
		*ret_result = NULL;
	if (!r)
		return handle_status(NULL, ASSAY_NO_MEMORY);
	if (!bundle && n > 0) {
		free(r);
		return handle_null(NULL);
	}
	status = verify_into(SPAN(bundle, n), r);
	if (status == ASSAY_OK) {
		r->bundle = malloc(n);
		r->n_bundle = n;
		if (!r->bundle) {
			status = handle_status(NULL, ASSAY_NO_MEMORY);
		} else {
			memcpy(r->bundle, bundle, n);
			if (!read_bundle(r))
				status = handle_status(NULL, ASSAY_VERIFY_FAILED);
		}
	}
	if (status == ASSAY_OK && ret_result) {
		*ret_result = r;
		return ASSAY_OK;
	}
	assay_result_free(r);
	return status;
}
