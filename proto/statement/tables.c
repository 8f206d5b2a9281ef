#include "proto/statement/statement.h"
#include "proto/statement/tables.h"

#define NAME_MAX_BYTES 64
#define TEXT_MAX_BYTES 256
#define WRAPPED_MAX    256
#define CLAIMS_MAX     512
#define NOTE_MAX       1024

#define COMMON(S) \
	{ FIELD_(S, c.version, version, FIELD_INT, true, 1, 65535) }, \
		{ FIELD_(S, c.market, market, FIELD_TEXT, true, 1, NAME_MAX_BYTES) }, \
		{ FIELD_(S, c.salt, salt, FIELD_BYTES, true, 16, 16) }, \
		{ FIELD_(S, c.audience, audience, FIELD_DID, false, 32, 32), \
			.stride = sizeof(struct did), .most = AUDIENCE_MAX, \
			.count = offsetof(struct S, c.n_audience) }, \
		{ FIELD_(S, c.at_ns, at_ns, FIELD_INT, true, 0, INT64_MAX) }, \
	{ \
		FIELD_(S, c.expires_ns, expires_ns, FIELD_INT, false, 0, INT64_MAX) \
	}

static const struct field place_fields[] = {
	INT(place, lat_e7, true, -900000000, 900000000),
	INT(place, lon_e7, true, -1800000000, 1800000000),
	INT(place, radius_m, true, 0, 20004000),
};
const struct schema place_schema = SCHEMA(place, place_fields);

static const struct field price_fields[] = {
	MICROS(price, price_micros, true),
	TEXT(price, name, true, 1, NAME_MAX_BYTES),
};
static const struct schema price_schema = SCHEMA(price, price_fields);

static const struct field revoked_fields[] = {
	BYTES(revoked, key, true, 32, 33),
	TIME(revoked, since_ns, true),
};
static const struct schema revoked_schema = SCHEMA(revoked, revoked_fields);

static const struct field parameters_fields[] = {
	INT(parameters, width, false, 1, 65535),
	INT(parameters, height, false, 1, 65535),
	TEXT(parameters, unit, false, 1, 32),
	INT(parameters, low, false, -MICROS_MAX, MICROS_MAX),
	INT(parameters, high, false, -MICROS_MAX, MICROS_MAX),
	INT(parameters, exponent, false, -30, 30),
	TEXT(parameters, quantity, false, 1, NAME_MAX_BYTES),
	TEXT(parameters, channel, false, 1, NAME_MAX_BYTES),
};
static const struct schema parameters_schema = SCHEMA(parameters, parameters_fields);

static const struct field check_fields[] = {
	MAP(check, parameters, false, parameters_schema),
	TEXT(check, id, true, 1, NAME_MAX_BYTES),
	INT(check, check_version, true, 1, 65535),
	BOOLEAN(check, binding),
};
static const struct schema check_schema = SCHEMA(check, check_fields);

static const struct field figure_fields[] = {
	TEXT(figure, name, true, 1, NAME_MAX_BYTES),
	TEXT(figure, unit, false, 1, 32),
	INT(figure, exponent, false, -30, 30),
	INT(figure, value, true, INT64_MIN, INT64_MAX),
};
static const struct schema figure_schema = SCHEMA(figure, figure_fields);

static const struct field check_result_fields[] = {
	TEXT(check_result, id, true, 1, NAME_MAX_BYTES),
	INT(check_result, check_version, true, 1, 65535),
	INT(check_result, result, true, CHECK_PASS, CHECK_INCONCLUSIVE),
	INT(check_result, code, false, 0, 65535),
	MANY_MAPS(check_result, figures, false, figure_schema),
};
static const struct schema check_result_schema = SCHEMA(check_result, check_result_fields);

static const struct field amount_fields[] = {
	MICROS(amount, amount_micros, true),
	INT(amount, account_purpose, true, ACCOUNT_AVAILABLE, ACCOUNT_RAIL_CLEARING),
};
static const struct schema amount_schema = SCHEMA(amount, amount_fields);

static const struct field line_fields[] = {
	MICROS(line, amount_micros, true),
	DID(line, account, true),
	INT(line, account_purpose, true, ACCOUNT_AVAILABLE, ACCOUNT_RAIL_CLEARING),
};
static const struct schema line_schema = SCHEMA(line, line_fields);

static const struct field quorum_fields[] = {
	INT(quorum, agree_k, true, 1, 64),
	INT(quorum, tolerance, false, 0, MICROS_MAX),
	INT(quorum, exponent, false, -30, 30),
};
static const struct schema quorum_schema = SCHEMA(quorum, quorum_fields);

static const struct field decay_fields[] = {
	INT(decay, soft_deadline_ms, true, 0, TIMEOUT_MAX_MS),
	INT(decay, ppm_per_s, true, 0, 1000000),
	MICROS(decay, floor_micros, false),
};
static const struct schema decay_schema = SCHEMA(decay, decay_fields);

static const struct field window_fields[] = {
	TIME(window, from_ns, true),
	TIME(window, to_ns, true),
};
static const struct schema window_schema = SCHEMA(window, window_fields);

static const struct field payload_fields[] = {
	TEXT(payload, type, true, 1, NAME_MAX_BYTES),
	INT(payload, size, true, 0, 64 << 20),
	ID(payload, plain_digest, true),
	ID(payload, cipher_digest, true),
	TEXT(payload, algorithm, true, 1, NAME_MAX_BYTES),
	BYTES(payload, wrapped_key, true, 1, WRAPPED_MAX),
};
static const struct schema payload_schema = SCHEMA(payload, payload_fields);

static const struct field keys_fields[] = {
	COMMON(keys),
	BYTES(keys, working_key, true, 32, 33),
	INT(keys, working_alg, true, -65535, -1),
	BYTES(keys, curve_key, true, 32, 32),
	BYTES(keys, encryption_key, true, 32, 32),
	TIME(keys, valid_from_ns, true),
	TIME(keys, valid_until_ns, true),
	ID(keys, replaces, false),
	MANY_MAPS(keys, revokes, false, revoked_schema),
	DID(keys, recovery, false),
};

static const struct field greeting_fields[] = {
	COMMON(greeting),
	BYTES(greeting, carrier, true, 32, 32),
	INT(greeting, protocol, true, 1, 65535),
	INT(greeting, role, true, ROLE_BUYER, ROLE_VERIFIER),
	INT(greeting, message_max, false, 0, 64 << 20),
};

static const struct field offering_fields[] = {
	COMMON(offering),
	TEXT(offering, asset, true, 3, 128),
	MICROS(offering, price_micros, true),
	TEXT(offering, kind, true, 1, NAME_MAX_BYTES),
	INT(offering, revision, true, 1, INT64_MAX),
	TEXT(offering, schema, false, 1, TEXT_MAX_BYTES),
	MAP(offering, cell, true, place_schema),
	MANY_MAPS(offering, prices, false, price_schema),
	MANY(offering, brokers, FIELD_DID, false, 32, 32),
	MANY(offering, escrows, FIELD_DID, true, 32, 32),
	MANY(offering, verifiers, FIELD_DID, true, 32, 32),
	MANY(offering, accepts, FIELD_TEXT, false, 1, NAME_MAX_BYTES),
	INT(offering, t_dispute_max_ms, false, 0, TIMEOUT_MAX_MS),
	BOOLEAN(offering, assign_without_asking),
	MICROS(offering, bond_micros, false),
	TEXT(offering, payout_to, false, 1, 128),
	TEXT(offering, policy, false, 1, TEXT_MAX_BYTES),
	INT(offering, sources, true, 1, 7),
};

static const struct field request_fields[] = {
	COMMON(request),
	TEXT(request, asset, true, 3, 128),
	INT(request, price_micros, true, INT64_MIN, INT64_MAX),
	TEXT(request, kind, true, 1, NAME_MAX_BYTES),
	MANY_MAPS(request, checks, false, check_schema),
	BYTES(request, encryption_key, true, 32, 32),
	INT(request, sources, true, 1, 7),
	MAP(request, parameters, true, parameters_schema),
	MAP(request, area, true, place_schema),
	INT(request, freshness_ms, false, 0, TIMEOUT_MAX_MS),
	TEXT(request, purpose, false, 1, TEXT_MAX_BYTES),
	BOOLEAN(request, persons_in_view),
	INT(request, slots, true, 1, 64),
	MAP(request, quorum, false, quorum_schema),
	DID(request, broker, true),
	DID(request, escrow, true),
	INT(request, max_total_micros, true, INT64_MIN, INT64_MAX),
	INT(request, fee_ppm, false, 0, 1000000),
	INT(request, verifier_ppm, false, 0, 1000000),
	INT(request, attempt_fee_micros, false, 0, MICROS_MAX),
	INT(request, attempts, true, 1, 8),
	MAP(request, decay, false, decay_schema),
	MANY(request, pool, FIELD_DID, true, 32, 32),
	INT(request, panel_n, true, 1, PANEL_MAX),
	INT(request, panel_k, true, 1, PANEL_MAX),
	INT(request, t_fund_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, t_open_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, t_commit_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, t_deliver_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, t_verify_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, t_dispute_ms, false, 0, TIMEOUT_MAX_MS),
	INT(request, t_arbitrate_ms, true, 1, TIMEOUT_MAX_MS),
	INT(request, on_silence, true, SILENCE_REFUND, SILENCE_PAY),
	TEXT(request, refund_to, false, 1, 128),
	INT(request, retention_s, false, 0, INT64_C(31622400) * 10),
	MAP(request, window, false, window_schema),
};

static const struct field earmarked_fields[] = {
	INT(earmarked, slot, true, 0, 63),
	INT(earmarked, attempt, true, 0, 7),
	DID(earmarked, node, true),
	MICROS(earmarked, price_micros, true),
	TIME(earmarked, until_ns, true),
};
static const struct schema earmarked_schema = SCHEMA(earmarked, earmarked_fields);

static const struct field hold_fields[] = {
	COMMON(hold),
	ID(hold, request, true),
	TEXT(hold, asset, true, 3, 128),
	TIME(hold, until_ns, true),
	MAP(hold, earmark, false, earmarked_schema),
	MANY_MAPS(hold, amounts, true, amount_schema),
	ID(hold, draw_commitment, true),
	INT(hold, sequence, true, 1, INT64_MAX),
	ID(hold, previous, false),
};

static const struct field earmark_fields[] = {
	COMMON(earmark),
	ID(earmark, request, true),
	ID(earmark, hold, true),
	MAP(earmark, earmark, true, earmarked_schema),
};

static const struct field assignment_fields[] = {
	COMMON(assignment),
	ID(assignment, request, true),
	ID(assignment, hold, true),
	INT(assignment, slot, true, 0, 63),
	INT(assignment, attempt, true, 0, 7),
	DID(assignment, node, true),
	MICROS(assignment, price_micros, true),
	ID(assignment, challenge, true),
	ID(assignment, earmark, true),
	ID(assignment, offering, true),
	LINES(assignment, checkpoint, true, 1, NOTE_MAX),
	TIME(assignment, commit_by_ns, true),
	TIME(assignment, deliver_by_ns, true),
};

static const struct field answer_fields[] = {
	COMMON(answer),
	ID(answer, request, true),
	ID(answer, assignment, false),
	MICROS(answer, price_micros, false),
	MICROS(answer, bond_micros, false),
	INT(answer, reason, false, 0, 65535),
	TEXT(answer, text, false, 1, TEXT_MAX_BYTES),
};

static const struct field evidence_fields[] = {
	COMMON(evidence),
	ID(evidence, request, true),
	ID(evidence, assignment, true),
	ID(evidence, challenge, true),
	INT(evidence, sequence, true, 1, INT64_MAX),
	ID(evidence, previous, false),
	TIME(evidence, start_ns, true),
	TIME(evidence, end_ns, true),
	INT(evidence, uncertainty_ns, true, 0, INT64_MAX),
	INT(evidence, source, true, 1, 4),
	TEXT(evidence, device, true, 1, TEXT_MAX_BYTES),
	TEXT(evidence, calibration, false, 1, TEXT_MAX_BYTES),
	TEXT(evidence, pipeline, true, 1, 2 * TEXT_MAX_BYTES),
	TEXT(evidence, redactions, false, 1, TEXT_MAX_BYTES),
	MAP(evidence, payload, true, payload_schema),
	BYTES(evidence, claims, true, 1, CLAIMS_MAX),
	INT(evidence, segment, false, 0, INT64_MAX),
	BOOLEAN(evidence, final),
	TEXT(evidence, command, false, 1, TEXT_MAX_BYTES),
	TEXT(evidence, read_back, false, 1, TEXT_MAX_BYTES),
};

static const struct field verdict_fields[] = {
	COMMON(verdict),
	ID(verdict, request, true),
	ID(verdict, assignment, true),
	ID(verdict, evidence, true),
	INT(verdict, outcome, true, CHECK_PASS, CHECK_INCONCLUSIVE),
	MANY_MAPS(verdict, checks, true, check_result_schema),
	TEXT(verdict, engine, true, 1, NAME_MAX_BYTES),
	ID(verdict, log_view, false),
	BYTES(verdict, sealed_digest, false, 1, 128),
	ID(verdict, draw, true),
	INT(verdict, tier, true, TIER_LIVE_CLAIMED, TIER_SYNTHETIC),
};

static const struct field draw_fields[] = {
	COMMON(draw),
	ID(draw, request, true),
	ID(draw, evidence, true),
	LINES(draw, checkpoint, false, 1, NOTE_MAX),
	MANY(draw, panel, FIELD_DID, true, 32, 32),
	ID(draw, draw_secret, true),
};

static const struct field release_fields[] = {
	COMMON(release),
	ID(release, request, true),
	ID(release, evidence, true),
	MANY(release, verdicts, FIELD_ID, false, 32, 32),
	BYTES(release, wrapped_key, true, 1, WRAPPED_MAX),
	DID(release, recipient, true),
};

static const struct field settlement_fields[] = {
	COMMON(settlement),
	ID(settlement, request, true),
	ID(settlement, evidence, false),
	ID(settlement, hold, true),
	INT(settlement, slot, true, 0, 63),
	INT(settlement, attempt, true, 0, 8),
	TEXT(settlement, asset, true, 3, 128),
	INT(settlement, outcome, true, 1, 255),
	MANY(settlement, verdicts, FIELD_ID, false, 32, 32),
	INT(settlement, sequence, true, 1, INT64_MAX),
	ID(settlement, previous, false),
	ID(settlement, draw_secret, false),
	INT(settlement, basis, true, BASIS_VERDICTS, BASIS_EXPIRED),
	MANY_MAPS(settlement, lines, true, line_schema),
};

static const struct field claim_fields[] = {
	COMMON(claim),
	ID(claim, request, true),
	INT(claim, slot, false, 0, 63),
	TEXT(claim, asset, false, 3, 128),
	INT(claim, outcome, false, 0, 255),
	MICROS(claim, bond_micros, false),
	MANY_MAPS(claim, lines, false, line_schema),
	ID(claim, target, false),
	INT(claim, side, false, ROLE_BUYER, ROLE_VERIFIER),
	TEXT(claim, grounds, false, 1, NAME_MAX_BYTES),
	MANY(claim, proofs, FIELD_ID, false, 32, 32),
	TEXT(claim, text, false, 1, TEXT_MAX_BYTES),
};

static const struct field feed_fields[] = {
	COMMON(feed),
	MICROS(feed, price_micros, false),
	TEXT(feed, schema, false, 1, TEXT_MAX_BYTES),
	TIME(feed, from_ns, false),
	TIME(feed, to_ns, false),
	ID(feed, previous, false),
	TEXT(feed, topic, false, 1, NAME_MAX_BYTES),
	INT(feed, period_ms, false, 1, TIMEOUT_MAX_MS),
	BOOLEAN(feed, gap),
	INT(feed, key_epoch, false, 0, INT64_MAX),
	INT(feed, interval, false, 0, INT64_MAX),
	ID(feed, digest, false),
	ID(feed, feed, false),
};

#define KIND(number, text, S) \
	[number] = { .name = text, \
		.content_type = "application/assay-" text "+cbor", \
		.schema = { .name = text, \
			.fields = S##_fields, \
			.n_fields = ARRAY_SIZE(S##_fields), \
			.size = sizeof(struct S) } }

static const struct {
	const char *name;
	const char *content_type;
	struct schema schema;
} kinds[STATEMENT_KINDS] = {
	KIND(STATEMENT_KEYS_OF, "keys", keys),
	KIND(STATEMENT_GREETING, "greeting", greeting),
	KIND(STATEMENT_OFFERING, "offering", offering),
	KIND(STATEMENT_REQUEST, "request", request),
	KIND(STATEMENT_HOLD, "hold", hold),
	KIND(STATEMENT_EARMARK, "earmark", earmark),
	KIND(STATEMENT_ASSIGNMENT, "assignment", assignment),
	KIND(STATEMENT_BID, "bid", answer),
	KIND(STATEMENT_ACCEPT, "accept", answer),
	KIND(STATEMENT_DECLINE, "decline", answer),
	KIND(STATEMENT_EVIDENCE, "evidence", evidence),
	KIND(STATEMENT_VERDICT, "verdict", verdict),
	KIND(STATEMENT_DRAW, "draw", draw),
	KIND(STATEMENT_RELEASE, "release", release),
	KIND(STATEMENT_SETTLEMENT, "settlement", settlement),
	KIND(STATEMENT_CANCEL, "cancel", claim),
	KIND(STATEMENT_DISPUTE, "dispute", claim),
	KIND(STATEMENT_RULING, "ruling", claim),
	KIND(STATEMENT_BOND, "bond", claim),
	KIND(STATEMENT_FAULT, "fault", claim),
	KIND(STATEMENT_REPORT, "report", claim),
	KIND(STATEMENT_FEED, "feed", feed),
	KIND(STATEMENT_INTERVAL, "interval", feed),
};

const char *statement_kind_name(enum statement_kind kind)
{
	if (kind <= STATEMENT_NONE || kind >= STATEMENT_KINDS)
		return "none";
	return kinds[kind].name;
}

const struct schema *statement_schema(enum statement_kind kind)
{
	if (kind <= STATEMENT_NONE || kind >= STATEMENT_KINDS)
		return NULL;
	return &kinds[kind].schema;
}

const char *statement_content_type(enum statement_kind kind)
{
	if (kind <= STATEMENT_NONE || kind >= STATEMENT_KINDS)
		return "application/octet-stream";
	return kinds[kind].content_type;
}

enum statement_kind statement_kind_of_type(struct span content_type)
{
	for (int kind = STATEMENT_NONE + 1; kind < STATEMENT_KINDS; kind++)
		if (span_is(content_type, kinds[kind].content_type))
			return (enum statement_kind)kind;
	return STATEMENT_NONE;
}
