#include "escrow/verify/gates.h"
#include "verify_cases.h"

#include "proto/base/sha256.h"
#include "proto/core/rules.h"

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
	struct id digest = SHA256(cases.photo);

	(void)state; /* ignored: cmocka's shape */
	cases_run(cases.photo, NULL);
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	assert_int_equal(cases.output.tier, TIER_LIVE_CLAIMED);
	assert_int_equal(cases.output.n_results, VERIFY_GATES + 3);
	assert_true(span_is(cases.output.results[0].id, "gate.decode"));
	assert_true(span_is(cases.output.results[8].id, CHECK_PLACE));
	assert_int_equal(cases_result(CHECK_PLACE)->n_figures, 0);
	assert_int_equal(cases_result(CHECK_DIMENSIONS)->figures[0].value, 64);
	assert_int_equal(cases_result(CHECK_DIMENSIONS)->figures[1].value, 48);
	assert_true(cases.output.opened && id_eq(&cases.output.plain_digest, &digest));
	assert_true(span_eq(SPAN(cases.output.plain, cases.output.n_plain), cases.photo));
	assert_int_equal(cases.output.claims.accuracy_m, 5);
	cases_done();
	cases_pass(own_earmark);
	cases_pass(direct);
	cases_run(cases.photo, replayed);
	assert_int_equal(cases.output.outcome, CHECK_PASS);
	assert_int_equal(cases.output.tier, TIER_REPLAY);
	cases_done();
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
	cases_run(cases.photo, NULL);
	cases.fixture.input.verified = true;
	assert_int_equal(verify_run(&cases.fixture.input, &again), 0);
	signer = cases.fixture.signers[FIXTURE_VERIFIER];

	struct verify_output *outputs[] = { &cases.output, &again };
	struct buf bytes[] = { BUF(first), BUF(second) };

	for (int i = 0; i < 2; i++) {
		struct id id;

		verdict.c = cases.fixture.draw.c;
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
	cases_done();
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
	cases_refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_hold);
	cases_refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_evidence);
	cases_refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, hold_for_request);
	cases_refused_by("gate.decode", REFUSED_STATEMENT_KIND, hold_for_earmark);
	cases_refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_note);
	cases_refused_by("gate.decode", REFUSED_BUNDLE_INCOMPLETE, no_earmark);
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
	cases_refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_evidence);
	cases_refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_hold);
	cases_refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_draw);
	cases_refused_by("gate.signature", REFUSED_STATEMENT_ISSUER, others_assignment);
	cases_refused_by("gate.signature", REFUSED_COSE_SIGNATURE, bent_signature);
	cases_refused_by("gate.signature", REFUSED_COSE_SIGNATURE, bent_request);
	cases_refused_by("gate.signature", REFUSED_KEY_NOT_VALID_YET, early_key);
	cases_refused_by("gate.signature", REFUSED_KEY_UNKNOWN, no_keys);
}

TAMPER(evidence_challenge, STATEMENT_EVIDENCE, f->evidence.challenge.b[0] ^= 1)
TAMPER(own_challenge, STATEMENT_ASSIGNMENT, f->assignment.challenge.b[31] ^= 1)
TAMPER(other_checkpoint, STATEMENT_ASSIGNMENT, f->assignment.checkpoint = SPAN_STR("another\n"))
TAMPER(other_attempt, STATEMENT_ASSIGNMENT, f->assignment.attempt = 1)

static void test_challenge(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases_refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, evidence_challenge);
	cases_refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, own_challenge);
	cases_refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, other_checkpoint);
	cases_refused_by("gate.challenge", REFUSED_CHALLENGE_WRONG, other_attempt);
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

static void over_attempts(struct fixture *f, int stage)
{
	struct assignment *a = &f->assignment;

	if (stage == STATEMENT_HOLD)
		f->hold.earmark.attempt = 2;
	if (stage == STATEMENT_ASSIGNMENT) {
		a->attempt = 2;
		a->challenge = statement_challenge(
			&a->request, &a->node, 0, 2, a->c.salt, a->checkpoint);
	}
}

static void over_slots(struct fixture *f, int stage)
{
	struct assignment *a = &f->assignment;

	if (stage == STATEMENT_HOLD)
		f->hold.earmark.slot = 1;
	if (stage == STATEMENT_ASSIGNMENT) {
		a->slot = 1;
		a->challenge = statement_challenge(
			&a->request, &a->node, 1, 0, a->c.salt, a->checkpoint);
	}
}

static void over_price(struct fixture *f, int stage)
{
	if (stage == STATEMENT_HOLD)
		f->hold.earmark.price_micros++;
	if (stage == STATEMENT_ASSIGNMENT)
		f->assignment.price_micros++;
}

static void test_request(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases_refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, evidence_request);
	cases_refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, evidence_assignment);
	cases_refused_by("gate.request", REFUSED_EVIDENCE_MISMATCH, assignment_request);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_hold);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_earmark);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, assignment_price);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_request);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_node);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, hold_attempt);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, earmark_hold);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, over_attempts);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, over_slots);
	cases_refused_by("gate.request", REFUSED_HOLD_MISMATCH, over_price);
	cases_refused_by("gate.request", REFUSED_DRAW_INVALID, draw_evidence);
	cases_refused_by("gate.request", REFUSED_STATEMENT_MARKET, market);
	cases_refused_by("gate.request", REFUSED_NODE_SOURCE_REFUSED, synthetic);
	cases_refused_by("gate.request", REFUSED_NODE_SOURCE_REFUSED, two_sources);
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
TAMPER(uncertain, STATEMENT_EVIDENCE, f->evidence.uncertainty_ns = GATES_UNCERTAINTY_MAX_NS)
TAMPER(too_uncertain, STATEMENT_EVIDENCE, f->evidence.uncertainty_ns = GATES_UNCERTAINTY_MAX_NS + 1)
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

TIMES(instant, FIXTURE_NOW_NS, FIXTURE_NOW_NS)
TAMPER(ahead, STATEMENT_EVIDENCE, f->evidence.end_ns = f->evidence.c.at_ns + CLOCK_SKEW_NS)
TAMPER(signed_late, STATEMENT_EVIDENCE, f->evidence.c.at_ns = FIXTURE_NOW_NS + 35 * NS_PER_S + 1)

/* The broker says afterwards that its log's key was no longer its own from then on. */
static void revoke_log_key(struct fixture *f, int64_t since_ns)
{
	uint8_t bytes[2048];
	struct buf out = BUF(bytes);
	struct statement s;
	struct id id;
	bool is_new;

	fixture_keys(f, FIXTURE_BROKER, &out);
	assert_int_equal(statement_decode(buf_span(&out), &s, NULL), REFUSED_NOT);

	struct keys keys = s.body.keys;
	uint8_t again[2048];
	struct buf revoking = BUF(again);

	keys.revokes[keys.n_revokes++] = (struct revoked){ true, keys.working_key, since_ns };
	assert_int_equal(statement_sign(STATEMENT_KEYS_OF, &keys, &f->signers[FIXTURE_BROKER],
				 &revoking, &id, NULL),
		REFUSED_NOT);
	assert_int_equal(statement_decode(buf_span(&revoking), &s, NULL), REFUSED_NOT);
	assert_int_equal(keyring_learn(f->keyring, &s, &is_new), REFUSED_NOT);
	f->input.verified = true;
}

TAMPER(revoked_then, FIXTURE_DONE, revoke_log_key(f, f->evidence.c.at_ns))
TAMPER(revoked_later, FIXTURE_DONE, revoke_log_key(f, f->evidence.c.at_ns + 1))

static void test_time(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	cases_pass(earliest);
	cases_pass(latest);
	cases_pass(uncertain);
	cases_pass(fresh);
	cases_pass(in_window);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, too_early);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, backwards);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, from_future);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, farthest);
	cases_refused_by("gate.time", REFUSED_EVIDENCE_LATE, late);
	cases_refused_by("gate.time", REFUSED_EVIDENCE_LATE, signed_late);
	cases_refused_by("gate.time", REFUSED_KEY_REVOKED, revoked_then);
	cases_pass(revoked_later);
	cases_pass(instant);
	cases_pass(ahead);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, too_uncertain);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, stale);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, before_window);
	cases_refused_by("gate.time", REFUSED_CAPTURE_TIME, after_window);
	cases_refused_by("gate.time", REFUSED_RECEIPT_INVALID, others_receipt);
	cases_refused_by("gate.time", REFUSED_KEY_UNKNOWN, strangers_log);
	cases_refused_by("gate.time", REFUSED_RECEIPT_INVALID, bent_note);
	cases_refused_by("gate.time", REFUSED_RECEIPT_INVALID, cut_receipt);
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
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, size);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, huge);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_SIZE, no_ciphertext);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, cipher_digest);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, bent_ciphertext);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, plain_digest);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_DIGEST, other_salt);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_KEY, algorithm);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_KEY, wrong_key);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_KEY, bent_claims);
	cases_refused_by("gate.payload", REFUSED_PAYLOAD_KEY, altered);
}

TAMPER(wrong_secret, STATEMENT_DRAW, f->draw.draw_secret.b[0] ^= 1)
TAMPER(chosen_panel, STATEMENT_DRAW, f->draw.panel[0] = f->signers[FIXTURE_STRANGER].issuer)
TAMPER(larger_panel, STATEMENT_DRAW,
	f->draw.panel[f->draw.n_panel++] = f->signers[FIXTURE_STRANGER].issuer)

TAMPER(draw_request, STATEMENT_DRAW, f->draw.request.b[0] ^= 1)

static enum refusal draw_of(fixture_tamper *tamper)
{
	fixture_make(&cases.fixture, cases.photo, tamper);

	enum refusal refusal = gates_draw(cases.fixture.input.request, cases.fixture.input.hold,
		cases.fixture.input.evidence, cases.fixture.input.draw);

	fixture_deinit(&cases.fixture);
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
	assert_int_equal(draw_of(others_hold), REFUSED_DRAW_INVALID);
	assert_int_equal(draw_of(draw_request), REFUSED_DRAW_INVALID);
	assert_int_equal(draw_of(hold_request), REFUSED_DRAW_INVALID);
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
		cmocka_unit_test(test_draw),
	};

	return cmocka_run_group_tests(tests, cases_setup, cases_teardown);
}
