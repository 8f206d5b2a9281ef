#include "escrow/verify/gates.h"
#include "verify_fixture.h"

#include "proto/base/sha256.h"
#include "proto/core/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <turbojpeg.h>

static struct sandbox *sandbox;
static struct span photo; /* 64 x 48 */
static struct span small_photo; /* 63 x 48 */
static struct fixture fixture;
static struct verify_output output;

/* A grey ramp. The bytes are tjFree()d. */
static struct span picture(int width, int height)
{
	uint8_t *grey = malloc((size_t)width * (size_t)height);
	tjhandle tj = tjInitCompress();
	unsigned char *bytes = NULL;
	unsigned long n = 0;

	assert_true(grey && tj);
	for (int i = 0; i < width * height; i++)
		grey[i] = (uint8_t)(i * 255 / (width * height));
	assert_int_equal(
		tjCompress2(tj, grey, width, 0, height, TJPF_GRAY, &bytes, &n, TJSAMP_GRAY, 90, 0),
		0);
	tjDestroy(tj);
	free(grey);
	return SPAN(bytes, n);
}

static int setup(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	photo = picture(64, 48);
	small_photo = picture(63, 48);
	return sandbox_new(
		&(struct sandbox_options){ .helper = DECODER, .n_per_worker = 100 }, &sandbox);
}

static int teardown(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	sandbox_free(sandbox);
	tjFree((unsigned char *)photo.p);
	tjFree((unsigned char *)small_photo.p);
	return 0;
}

/* Makes it, runs it, and leaves fixture and output to look at until done(). */
static void run(struct span plain, fixture_tamper *tamper)
{
	fixture_make(&fixture, plain, tamper);
	if (!fixture.input.sandbox)
		fixture.input.sandbox = sandbox;
	assert_int_equal(verify_run(&fixture.input, &output), 0);
}

static void done(void)
{
	verify_output_deinit(&output);
	fixture_deinit(&fixture);
}

static const struct check_result *result_of(const char *id)
{
	for (size_t i = 0; i < output.n_results; i++)
		if (span_is(output.results[i].id, id))
			return &output.results[i];
	fail_msg("no result for %s", id);
	return NULL;
}

static void expect(const char *id, int64_t value, enum refusal code)
{
	const struct check_result *r = result_of(id);

	if (r->result != value || r->code != (int64_t)code)
		fail_msg("%s: result %d, code %s", id, (int)r->result,
			refusal_name((enum refusal)r->code));
}

/* The gate refuses with that code, it is the last result, and those before it passed. */
static void refused_by(const char *gate, enum refusal code, fixture_tamper *tamper)
{
	run(photo, tamper);
	expect(gate, CHECK_FAIL, code);
	assert_true(span_is(output.results[output.n_results - 1].id, gate));
	for (size_t i = 0; i + 1 < output.n_results; i++)
		assert_int_equal(output.results[i].result, CHECK_PASS);
	assert_int_equal(output.outcome, CHECK_FAIL);
	done();
}

static void passes(fixture_tamper *tamper)
{
	run(photo, tamper);
	for (size_t i = 0; i < output.n_results; i++)
		if (output.results[i].result != CHECK_PASS)
			fail_msg("%.*s: %s", (int)output.results[i].id.n,
				(const char *)output.results[i].id.p,
				refusal_name((enum refusal)output.results[i].code));
	assert_int_equal(output.outcome, CHECK_PASS);
	done();
}

#define TAMPER(name, at, ...) \
	static void name(struct fixture *f, int stage) \
	{ \
		if (stage == (at)) { \
			__VA_ARGS__; \
		} \
	}

TAMPER(own_earmark, STATEMENT_REQUEST, f->own_earmark = true)
TAMPER(direct, STATEMENT_REQUEST, f->direct = true)
TAMPER(synthetic_allowed, STATEMENT_REQUEST, f->request.sources = SOURCE_REPLAY)
static void replayed(struct fixture *f, int stage)
{
	synthetic_allowed(f, stage);
	if (stage == STATEMENT_EVIDENCE)
		f->evidence.source = SOURCE_REPLAY;
}

static void test_passes(void **state)
{
	struct id digest = SHA256(photo);

	(void)state; /* ignored: cmocka's shape */
	run(photo, NULL);
	assert_int_equal(output.outcome, CHECK_PASS);
	assert_int_equal(output.tier, TIER_LIVE_CLAIMED);
	assert_int_equal(output.n_results, VERIFY_GATES + 3);
	assert_true(span_is(output.results[0].id, "gate.decode"));
	assert_true(span_is(output.results[8].id, CHECK_PLACE));
	assert_int_equal(result_of(CHECK_PLACE)->n_figures, 0);
	assert_int_equal(result_of(CHECK_DIMENSIONS)->figures[0].value, 64);
	assert_int_equal(result_of(CHECK_DIMENSIONS)->figures[1].value, 48);
	assert_true(output.opened && id_eq(&output.plain_digest, &digest));
	assert_true(span_eq(SPAN(output.plain, output.n_plain), photo));
	assert_int_equal(output.claims.accuracy_m, 5);
	done();
	passes(own_earmark);
	passes(direct);
	run(photo, replayed);
	assert_int_equal(output.outcome, CHECK_PASS);
	assert_int_equal(output.tier, TIER_REPLAY);
	done();
}

/* Two runs give the same bytes, whoever verified the signatures. */
static void test_repeats(void **state)
{
	static struct verify_output again;
	static uint8_t first[16384];
	static uint8_t second[16384];
	struct verdict verdict = { .present = true };
	struct signer signer;

	(void)state; /* ignored: cmocka's shape */
	run(photo, NULL);
	fixture.input.verified = true;
	assert_int_equal(verify_run(&fixture.input, &again), 0);
	signer = fixture.signers[FIXTURE_VERIFIER];

	struct verify_output *outputs[] = { &output, &again };
	struct buf bytes[] = { BUF(first), BUF(second) };

	for (int i = 0; i < 2; i++) {
		struct id id;

		verdict.c = fixture.draw.c;
		verdict.outcome = outputs[i]->outcome;
		verdict.tier = outputs[i]->tier;
		verdict.engine = SPAN_STR(VERIFY_ENGINE);
		verdict.n_checks = outputs[i]->n_results;
		memcpy(verdict.checks, outputs[i]->results, sizeof(verdict.checks));
		assert_int_equal(
			statement_sign(STATEMENT_VERDICT, &verdict, &signer, &bytes[i], &id, NULL),
			REFUSED_NOT);
	}
	assert_true(span_eq(buf_span(&bytes[0]), buf_span(&bytes[1])));
	verify_output_deinit(&again);
	done();
}

TAMPER(no_hold, FIXTURE_DONE, f->input.hold = NULL)
TAMPER(no_evidence, FIXTURE_DONE, f->input.evidence = NULL)
TAMPER(hold_for_request, FIXTURE_DONE, f->input.request = f->input.hold)
TAMPER(hold_for_earmark, FIXTURE_DONE, f->input.earmark = f->input.hold)
TAMPER(no_note, FIXTURE_DONE, f->input.note = SPAN(NULL, 0))
static void no_earmark(struct fixture *f, int stage)
{
	own_earmark(f, stage);
	if (stage == FIXTURE_DONE)
		f->input.earmark = NULL;
}

static void test_decode(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_hold);
	refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_evidence);
	refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, hold_for_request);
	refused_by("gate.decode", REFUSED_STATEMENT_KIND, hold_for_earmark);
	refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_note);
	refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_earmark);
}

TAMPER(others_evidence, STATEMENT_REQUEST, f->signed_by[STATEMENT_EVIDENCE] = FIXTURE_STRANGER)
TAMPER(others_hold, STATEMENT_REQUEST, f->signed_by[STATEMENT_HOLD] = FIXTURE_BROKER)
TAMPER(others_draw, STATEMENT_REQUEST, f->signed_by[STATEMENT_DRAW] = FIXTURE_BROKER)
TAMPER(others_assignment, STATEMENT_REQUEST, f->signed_by[STATEMENT_ASSIGNMENT] = FIXTURE_NODE)
/* After decoding: only the signature can tell. */
TAMPER(bent_signature, FIXTURE_DONE,
	((uint8_t *)f->input.evidence->envelope.parts.signature.p)[5] ^= 1)
TAMPER(bent_request, FIXTURE_DONE,
	((uint8_t *)f->input.request->envelope.parts.signature.p)[5] ^= 1)
TAMPER(early_key, STATEMENT_REQUEST, f->request.c.at_ns -= 3600 * NS_PER_S)
static void no_keys(struct fixture *f, int stage)
{
	if (stage == FIXTURE_DONE) {
		keyring_free(f->keyring);
		f->input.keyring = f->keyring = keyring_new(4);
	}
}

static void test_signature(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_evidence);
	refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_hold);
	refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_draw);
	refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_assignment);
	refused_by("gate.signature", REFUSED_COSE_SIGNATURE, bent_signature);
	refused_by("gate.signature", REFUSED_COSE_SIGNATURE, bent_request);
	refused_by("gate.signature", REFUSED_KEY_NOT_VALID_YET, early_key);
	refused_by("gate.signature", REFUSED_KEY_UNKNOWN, no_keys);
}

TAMPER(evidence_challenge, STATEMENT_EVIDENCE, f->evidence.challenge.b[0] ^= 1)
TAMPER(own_challenge, STATEMENT_ASSIGNMENT, f->assignment.challenge.b[31] ^= 1)
TAMPER(other_checkpoint, STATEMENT_ASSIGNMENT, f->assignment.checkpoint = SPAN_STR("another\n"))
TAMPER(other_attempt, STATEMENT_ASSIGNMENT, f->assignment.attempt = 1)

static void test_challenge(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, evidence_challenge);
	refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, own_challenge);
	refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, other_checkpoint);
	refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, other_attempt);
}

TAMPER(evidence_request, STATEMENT_EVIDENCE, f->evidence.request.b[0] ^= 1)
TAMPER(evidence_assignment, STATEMENT_EVIDENCE, f->evidence.assignment.b[0] ^= 1)
TAMPER(assignment_request, STATEMENT_ASSIGNMENT, f->assignment.request.b[0] ^= 1)
TAMPER(assignment_hold, STATEMENT_ASSIGNMENT, f->assignment.hold.b[0] ^= 1)
TAMPER(assignment_earmark, STATEMENT_ASSIGNMENT, f->assignment.earmark.b[0] ^= 1)
TAMPER(assignment_price, STATEMENT_ASSIGNMENT, f->assignment.price_micros += 1)
TAMPER(hold_request, STATEMENT_HOLD, f->hold.request.b[0] ^= 1)
TAMPER(hold_node, STATEMENT_HOLD, f->hold.earmark.node.b[0] ^= 1)
TAMPER(hold_attempt, STATEMENT_HOLD, f->hold.earmark.attempt = 1)
TAMPER(draw_evidence, STATEMENT_DRAW, f->draw.evidence.b[0] ^= 1)
TAMPER(market, STATEMENT_EVIDENCE, f->evidence.c.market = SPAN_STR("other"))
TAMPER(synthetic, STATEMENT_EVIDENCE, f->evidence.source = SOURCE_SYNTHETIC)
TAMPER(two_sources, STATEMENT_EVIDENCE, f->evidence.source = SOURCE_LIVE | SOURCE_REPLAY)
static void earmark_hold(struct fixture *f, int stage)
{
	own_earmark(f, stage);
	if (stage == STATEMENT_EARMARK)
		f->earmark.hold.b[0] ^= 1;
}

static void test_request(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, evidence_request);
	refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, evidence_assignment);
	refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, assignment_request);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_hold);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_earmark);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_price);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_request);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_node);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_attempt);
	refused_by("gate.request", REFUSED_HOLD_MISMATCH, earmark_hold);
	refused_by("gate.request", REFUSED_DRAW_INVALID, draw_evidence);
	refused_by("gate.request", REFUSED_STATEMENT_MARKET, market);
	refused_by("gate.request", REFUSED_NODE_SOURCE_REFUSED, synthetic);
	refused_by("gate.request", REFUSED_NODE_SOURCE_REFUSED, two_sources);
}

#define TIMES(name, start, end) \
	TAMPER(name, STATEMENT_EVIDENCE, f->evidence.start_ns = (start); f->evidence.end_ns = (end))
TIMES(earliest, FIXTURE_NOW_NS - CLOCK_SKEW_NS, FIXTURE_NOW_NS)
TIMES(too_early, FIXTURE_NOW_NS - CLOCK_SKEW_NS - 1, FIXTURE_NOW_NS)
TIMES(backwards, FIXTURE_NOW_NS + 5, FIXTURE_NOW_NS + 4)
TIMES(from_future, FIXTURE_NOW_NS, FIXTURE_NOW_NS + 8 * NS_PER_S)
TIMES(farthest, INT64_MAX, INT64_MAX)
TAMPER(latest, STATEMENT_EVIDENCE,
	f->evidence.end_ns = f->evidence.c.at_ns = FIXTURE_NOW_NS + 35 * NS_PER_S)
TAMPER(late, STATEMENT_EVIDENCE,
	f->evidence.end_ns = f->evidence.c.at_ns = FIXTURE_NOW_NS + 35 * NS_PER_S + 1)
TAMPER(uncertain, STATEMENT_EVIDENCE, f->evidence.uncertainty_ns = CLOCK_SKEW_NS)
TAMPER(too_uncertain, STATEMENT_EVIDENCE, f->evidence.uncertainty_ns = CLOCK_SKEW_NS + 1)
TAMPER(fresh, STATEMENT_REQUEST, f->request.freshness_ms = 1000)
TAMPER(stale, STATEMENT_REQUEST, f->request.freshness_ms = 999)
TAMPER(in_window, STATEMENT_REQUEST, f->request.window.present = true;
	f->request.window.from_ns = FIXTURE_NOW_NS + NS_PER_S;
	f->request.window.to_ns = FIXTURE_NOW_NS + NS_PER_S + 1000)
TAMPER(before_window, STATEMENT_REQUEST, f->request.window.present = true;
	f->request.window.from_ns = FIXTURE_NOW_NS + NS_PER_S + 1;
	f->request.window.to_ns = FIXTURE_NOW_NS + 9 * NS_PER_S)
TAMPER(after_window, STATEMENT_REQUEST, f->request.window.present = true;
	f->request.window.from_ns = FIXTURE_NOW_NS;
	f->request.window.to_ns = FIXTURE_NOW_NS + NS_PER_S + 999)
TAMPER(others_receipt, FIXTURE_LOG, f->logged.b[0] ^= 1)
TAMPER(strangers_log, STATEMENT_REQUEST, f->log_signer = FIXTURE_STRANGER)
TAMPER(bent_note, FIXTURE_DONE, f->note[3] ^= 1)
TAMPER(cut_receipt, FIXTURE_DONE, f->input.receipt.n--)

static void test_time(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	passes(earliest);
	passes(latest);
	passes(uncertain);
	passes(fresh);
	passes(in_window);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, too_early);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, backwards);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, from_future);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, farthest);
	refused_by("gate.time", REFUSED_EVIDENCE_LATE, late);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, too_uncertain);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, stale);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, before_window);
	refused_by("gate.time", REFUSED_CAPTURE_TIME, after_window);
	refused_by("gate.time", REFUSED_RECEIPT_INVALID, others_receipt);
	refused_by("gate.time", REFUSED_KEY_UNKNOWN, strangers_log);
	refused_by("gate.time", REFUSED_RECEIPT_INVALID, bent_note);
	refused_by("gate.time", REFUSED_RECEIPT_INVALID, cut_receipt);
}

TAMPER(size, STATEMENT_EVIDENCE, f->evidence.payload.size++)
TAMPER(huge, STATEMENT_EVIDENCE, f->evidence.payload.size = 64 << 20)
TAMPER(cipher_digest, STATEMENT_EVIDENCE, f->evidence.payload.cipher_digest.b[0] ^= 1)
TAMPER(plain_digest, STATEMENT_EVIDENCE, f->evidence.payload.plain_digest.b[0] ^= 1)
TAMPER(algorithm, STATEMENT_EVIDENCE, f->evidence.payload.algorithm = SPAN_STR("none"))
TAMPER(no_ciphertext, FIXTURE_DONE, f->input.ciphertext = SPAN(NULL, 0))
TAMPER(bent_ciphertext, FIXTURE_DONE, f->sealed[40] ^= 1)
TAMPER(wrong_key, FIXTURE_DONE, f->input.content_key[0] ^= 1)
TAMPER(bent_claims, STATEMENT_EVIDENCE, f->sealed_claims[20] ^= 1)
/* The digest is of another salt than the claims hold. */
TAMPER(other_salt, STATEMENT_EVIDENCE,
	f->evidence.payload.plain_digest = SHA256(
		SPAN_STR("0123456789abcdeF"), SPAN(f->plain, f->n_plain)))
/* Bytes that were changed after sealing, under a digest that fits them: the key tells. */
static void altered(struct fixture *f, int stage)
{
	if (stage == STATEMENT_EVIDENCE) {
		f->sealed[40] ^= 1;
		f->evidence.payload.cipher_digest = SHA256(f->input.ciphertext);
	}
}

static void test_payload(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, size);
	refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, huge);
	refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, no_ciphertext);
	refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, cipher_digest);
	refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, bent_ciphertext);
	refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, plain_digest);
	refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, other_salt);
	refused_by("gate.payload", REFUSED_PAYLOAD_KEY, algorithm);
	refused_by("gate.payload", REFUSED_PAYLOAD_KEY, wrong_key);
	refused_by("gate.payload", REFUSED_PAYLOAD_KEY, bent_claims);
	refused_by("gate.payload", REFUSED_PAYLOAD_KEY, altered);
}

static void check_fails(
	struct span plain, fixture_tamper *tamper, const char *id, enum refusal code)
{
	run(plain, tamper);
	assert_int_equal(output.outcome, CHECK_FAIL);
	expect("gate.payload", CHECK_PASS, REFUSED_NOT);
	expect(id, CHECK_FAIL, code);
	done();
}

TAMPER(no_sandbox, FIXTURE_DONE, f->input.sandbox = NULL)
TAMPER(png_type, STATEMENT_EVIDENCE, f->evidence.payload.type = SPAN_STR("image/png"))
TAMPER(own_width, STATEMENT_REQUEST, f->request.checks[1].parameters.present = true;
	f->request.checks[1].parameters.width = 65)

static void test_media(void **state)
{
	static const uint8_t png[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13 };

	(void)state; /* ignored: cmocka's shape */
	check_fails(small_photo, NULL, CHECK_DIMENSIONS, REFUSED_MEDIA_TOO_SMALL);
	check_fails(photo, own_width, CHECK_DIMENSIONS, REFUSED_MEDIA_TOO_SMALL);
	check_fails(SPAN(photo.p, photo.n - 40), NULL, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
	check_fails(SPAN(photo.p, photo.n - 40), NULL, CHECK_DIMENSIONS, REFUSED_MEDIA_UNDECODABLE);
	check_fails(SPAN_OF(png), NULL, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
	check_fails(photo, png_type, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
	check_fails(SPAN(NULL, 0), NULL, CHECK_DECODES, REFUSED_MEDIA_UNDECODABLE);
}

/* Our own fault is no verdict about the picture. */
static void test_no_sandbox(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	fixture_make(&fixture, photo, no_sandbox);
	assert_int_equal(verify_run(&fixture.input, &output), 0);
	expect(CHECK_DECODES, CHECK_INCONCLUSIVE, REFUSED_CHECK_NOT_RUN);
	expect(CHECK_PLACE, CHECK_PASS, REFUSED_NOT);
	assert_int_equal(output.outcome, CHECK_INCONCLUSIVE);
	assert_int_equal(output.sandbox_error, -ENOENT);
	done();
}

#define PLACES(name, lat, lon, lat2, lon2, radius) \
	static void name(struct fixture *f, int stage) \
	{ \
		if (stage == STATEMENT_REQUEST) \
			f->request.area = (struct place){ true, lat, lon, radius }; \
		if (stage == FIXTURE_SEAL) \
			f->claims.place = (struct place){ true, lat2, lon2, 0 }; \
	}
/* One degree of latitude is 111,195.08 m on that sphere. */
PLACES(at_edge, 0, 0, 10000000, 0, 111195)
PLACES(over_edge, 0, 0, 10000000, 0, 111194)
PLACES(across_antimeridian, 0, 1799999000, 0, -1799999000, 23)
PLACES(far_across_antimeridian, 0, 1799999000, 0, -1799999000, 21)
PLACES(antipode, 900000000, 0, -900000000, 0, 20000000)

static void test_place(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	passes(at_edge);
	passes(across_antimeridian);
	check_fails(photo, over_edge, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
	check_fails(photo, far_across_antimeridian, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
	check_fails(photo, antipode, CHECK_PLACE, REFUSED_PLACE_OUTSIDE);
}

/* 1.200 V to 1.500 V */
TAMPER(volts, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3))
TAMPER(no_range, STATEMENT_REQUEST, fixture_ask_value(f, "V", 0, 0, 0))
TAMPER(other_quantity, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3);
	f->request.parameters.quantity = SPAN_STR("current"))
TAMPER(other_channel, STATEMENT_REQUEST, fixture_ask_value(f, "V", 1200, 1500, -3);
	f->request.parameters.channel = SPAN_STR("2"))

static void measures(const char *unit, int64_t mantissa, int64_t exponent, fixture_tamper *tamper,
	enum refusal code)
{
	uint8_t bytes[1024];
	struct buf room = BUF(bytes);

	run(fixture_measurement(unit, mantissa, exponent, &room), tamper);
	expect(CHECK_UNIT_RANGE, code == REFUSED_NOT ? CHECK_PASS : CHECK_FAIL, code);
	assert_int_equal(output.outcome, code == REFUSED_NOT ? CHECK_PASS : CHECK_FAIL);
	assert_int_equal(result_of(CHECK_UNIT_RANGE)->figures[0].value, mantissa);
	assert_int_equal(result_of(CHECK_UNIT_RANGE)->figures[0].exponent, exponent);
	done();
}

static void test_unit_range(void **state)
{
	uint8_t bytes[1024];
	struct buf room = BUF(bytes);
	struct span cut;

	(void)state; /* ignored: cmocka's shape */
	measures("V", 15, -1, volts, REFUSED_NOT);
	measures("V", 1500000000, -9, volts, REFUSED_NOT);
	measures("V", 1500000001, -9, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 12, -1, volts, REFUSED_NOT);
	measures("V", 119999999999999999, -17, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 1, 30, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 1, -30, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", -15, -1, volts, REFUSED_VALUE_OUTSIDE);
	measures("mV", 1300, -3, volts, REFUSED_VALUE_OUTSIDE);
	measures("V", 99, 0, no_range, REFUSED_NOT);
	measures("V", 13, -1, other_quantity, REFUSED_VALUE_OUTSIDE);
	measures("V", 13, -1, other_channel, REFUSED_VALUE_OUTSIDE);
	cut = fixture_measurement("V", 13, -1, &room);
	cut.n--;
	check_fails(cut, volts, CHECK_UNIT_RANGE, REFUSED_MEDIA_UNDECODABLE);
}

TAMPER(unknown_advice, STATEMENT_REQUEST, f->request.n_checks = 4;
	f->request.checks[3] = (struct check){
		.present = true, .id = SPAN_STR("sharpness"), .check_version = 1 })
TAMPER(unknown_binding, STATEMENT_REQUEST, f->request.n_checks = 4;
	f->request.checks[3] = (struct check){
		.present = true, .id = SPAN_STR("decodes"), .check_version = 2, .binding = true })
TAMPER(advice_fails, STATEMENT_REQUEST, f->request.checks[1].binding = false)
static void many_checks(struct fixture *f, int stage)
{
	if (stage != STATEMENT_REQUEST)
		return;
	f->request.n_checks = CHECKS_MAX;
	for (size_t i = 3; i < CHECKS_MAX; i++)
		f->request.checks[i] = f->request.checks[2];
}

static void test_outcome(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	run(photo, unknown_advice);
	expect("sharpness", CHECK_INCONCLUSIVE, REFUSED_CHECK_UNKNOWN);
	assert_int_equal(output.outcome, CHECK_PASS);
	done();
	run(photo, unknown_binding);
	assert_int_equal(output.outcome, CHECK_INCONCLUSIVE);
	done();
	run(small_photo, advice_fails);
	expect(CHECK_DIMENSIONS, CHECK_FAIL, REFUSED_MEDIA_TOO_SMALL);
	assert_int_equal(output.outcome, CHECK_PASS);
	done();
	run(small_photo, unknown_binding);
	assert_int_equal(output.outcome, CHECK_FAIL);
	done();
	run(photo, many_checks);
	assert_int_equal(output.outcome, CHECK_PASS);
	assert_int_equal(output.n_results, CHECKS_MAX);
	assert_true(span_is(output.results[0].id, CHECK_DECODES));
	done();
}

TAMPER(wrong_secret, STATEMENT_DRAW, f->draw.draw_secret.b[0] ^= 1)
TAMPER(chosen_panel, STATEMENT_DRAW, f->draw.panel[0] = f->signers[FIXTURE_STRANGER].issuer)
TAMPER(larger_panel, STATEMENT_DRAW,
	f->draw.panel[f->draw.n_panel++] = f->signers[FIXTURE_STRANGER].issuer)

static enum refusal draw_of(fixture_tamper *tamper)
{
	fixture_make(&fixture, photo, tamper);

	enum refusal refusal = gates_draw(fixture.input.request, fixture.input.hold,
		fixture.input.evidence, fixture.input.draw);

	fixture_deinit(&fixture);
	return refusal;
}

static void test_draw(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(draw_of(NULL), REFUSED_NOT);
	assert_int_equal(draw_of(direct), REFUSED_NOT);
	assert_int_equal(draw_of(wrong_secret), REFUSED_DRAW_MISMATCH);
	assert_int_equal(draw_of(chosen_panel), REFUSED_DRAW_MISMATCH);
	assert_int_equal(draw_of(larger_panel), REFUSED_DRAW_MISMATCH);
	assert_int_equal(draw_of(draw_evidence), REFUSED_DRAW_INVALID);
	assert_int_equal(draw_of(others_draw), REFUSED_DRAW_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_challenge),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_media),
		cmocka_unit_test(test_no_sandbox),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_unit_range),
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_draw),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
