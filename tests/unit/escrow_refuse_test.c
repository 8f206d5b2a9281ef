/* Every rule for which the escrow must say no, each with the one thing spoiled that breaks it. */
#include "tests/unit/escrow_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	world_init(w);
	world_deposit(w, &w->m.buyer, 10 * MARKET_PRICE);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_deinit(*state);
	free(*state);
	return 0;
}

/* A step that refused must have changed nothing. */
static void assert_refused(const struct world *w, enum refusal expected)
{
	if (world_refusal(w) != expected)
		fail_msg("%s was expected, not %s", refusal_name(expected),
			refusal_name(world_refusal(w)));
	assert_int_equal(world_puts(w), 0);
}

struct fund_case {
	enum refusal expected;
	void (*spoil)(struct world *w, struct request *r, struct offering *o);
};

#define SPOIL(name, statement) \
	static void name(struct world *w, struct request *r, struct offering *o) \
	{ \
		(void)w; /* ignored: */ \
		(void)r; /* one of the three is what */ \
		(void)o; /* the statement spoils */ \
		statement; \
	}

SPOIL(no_audience, r->c.n_audience = 0)
SPOIL(other_audience, r->c.audience[1] = w->m.other_broker.did)
SPOIL(other_escrow, r->escrow = w->m.other_broker.did)
SPOIL(other_market, r->c.market = SPAN_STR("elsewhere"))
SPOIL(asset_unknown, r->asset = o->asset = SPAN_STR("USD"))
SPOIL(price_zero, r->price_micros = 0)
SPOIL(price_negative, r->price_micros = -5)
SPOIL(price_huge, r->price_micros = INT64_MAX)
SPOIL(max_total_small, r->max_total_micros = MARKET_PRICE * 107 / 100 - 1)
SPOIL(balance_small, r->price_micros = r->max_total_micros = 9900000; r->max_total_micros *= 2)
SPOIL(expired, r->c.expires_ns = w->m.now_ns)
SPOIL(from_future, r->c.at_ns = w->m.now_ns + 6 * NS_PER_S)
SPOIL(too_far, r->c.expires_ns = w->m.now_ns + INT64_C(31) * 86400 * NS_PER_S)
SPOIL(hold_short, r->c.expires_ns = w->m.now_ns + 320 * NS_PER_S - 1)
SPOIL(hold_short_dispute, r->t_dispute_ms = 3600000)
SPOIL(attempt_fee, r->attempt_fee_micros = MARKET_PRICE + 1)
SPOIL(pool_small, r->n_pool = 2; r->panel_n = 3)
SPOIL(pool_small_dispute, r->n_pool = 3; r->panel_n = 2; r->t_dispute_ms = 1000)
SPOIL(panel_k_large, r->panel_k = 2)
SPOIL(pool_duplicates, r->pool[1] = r->pool[0])
SPOIL(two_slots, r->slots = 2)
SPOIL(quorum, r->quorum.present = true; r->quorum.agree_k = 1)
SPOIL(decay, r->decay.present = true; r->decay.ppm_per_s = 1)
SPOIL(bond, o->bond_micros = 1)
SPOIL(bids, o->assign_without_asking = false)
SPOIL(node_not_broker, o->brokers[0] = w->m.other_broker.did)
SPOIL(node_not_escrow, o->escrows[0] = w->m.other_broker.did)
SPOIL(node_not_verifier, o->verifiers[0] = w->m.buyer.did)
SPOIL(node_not_check, o->accepts[0] = SPAN_STR("other"))
SPOIL(node_not_dispute, o->t_dispute_max_ms = 0; r->t_dispute_ms = 1000)
SPOIL(node_dear, o->price_micros = MARKET_PRICE + 1)
SPOIL(node_asset, o->asset = SPAN_STR("EUR"))
SPOIL(node_kind, o->kind = SPAN_STR("other"))
SPOIL(node_source, o->sources = SOURCE_REPLAY)
SPOIL(node_market, o->c.market = SPAN_STR("elsewhere"))
SPOIL(check_unknown, r->checks[0].id = SPAN_STR("magic"))

static void low_order_key(struct world *w, struct request *r, struct offering *o)
{
	static const uint8_t zero[32];

	(void)w; /* ignored: the request alone */
	(void)o; /* ignored: is spoiled */
	r->encryption_key = SPAN_OF(zero);
}

static const struct fund_case fund_cases[] = {
	{ REFUSED_STATEMENT_AUDIENCE, no_audience },
	{ REFUSED_STATEMENT_AUDIENCE, other_audience },
	{ REFUSED_STATEMENT_AUDIENCE, other_escrow },
	{ REFUSED_STATEMENT_MARKET, other_market },
	{ REFUSED_ASSET_UNKNOWN, asset_unknown },
	{ REFUSED_PRICE_NOT_POSITIVE, price_zero },
	{ REFUSED_PRICE_NOT_POSITIVE, price_negative },
	{ REFUSED_PRICE_OVERFLOW, price_huge },
	{ REFUSED_MAX_TOTAL_TOO_SMALL, max_total_small },
	{ REFUSED_EXCEEDS_AVAILABLE, balance_small },
	{ REFUSED_REQUEST_EXPIRED, expired },
	{ REFUSED_REQUEST_FROM_FUTURE, from_future },
	{ REFUSED_REQUEST_TOO_FAR, too_far },
	{ REFUSED_HOLD_TOO_SHORT, hold_short },
	{ REFUSED_HOLD_TOO_SHORT, hold_short_dispute },
	{ REFUSED_ATTEMPT_FEE_TOO_HIGH, attempt_fee },
	{ REFUSED_POOL_TOO_SMALL, pool_small },
	{ REFUSED_POOL_TOO_SMALL, pool_small_dispute },
	{ REFUSED_POOL_TOO_SMALL, panel_k_large },
	{ REFUSED_POOL_TOO_SMALL, pool_duplicates },
	{ REFUSED_QUORUM_NOT_SERVED, two_slots },
	{ REFUSED_QUORUM_NOT_SERVED, quorum },
	{ REFUSED_DECAY_NOT_SERVED, decay },
	{ REFUSED_BOND_NOT_SERVED, bond },
	{ REFUSED_BIDS_NOT_SERVED, bids },
	{ REFUSED_NODE_PARTY_NOT_ACCEPTED, node_not_broker },
	{ REFUSED_NODE_PARTY_NOT_ACCEPTED, node_not_escrow },
	{ REFUSED_NODE_PARTY_NOT_ACCEPTED, node_not_verifier },
	{ REFUSED_NODE_PARTY_NOT_ACCEPTED, node_not_check },
	{ REFUSED_NODE_PARTY_NOT_ACCEPTED, node_not_dispute },
	{ REFUSED_NODE_PRICE_TOO_LOW, node_dear },
	{ REFUSED_ASSET_UNKNOWN, node_asset },
	{ REFUSED_NODE_KIND_NOT_OFFERED, node_kind },
	{ REFUSED_NODE_SOURCE_REFUSED, node_source },
	{ REFUSED_STATEMENT_MARKET, node_market },
	{ REFUSED_CHECK_UNKNOWN, check_unknown },
	{ REFUSED_STATEMENT_FIELD_RANGE, low_order_key },
};

static void test_fund(void **state)
{
	struct world *w = *state;
	struct deal d;

	for (size_t i = 0; i < ARRAY_SIZE(fund_cases); i++) {
		deal_init(w, &d);
		fund_cases[i].spoil(w, &d.request_body, &d.offering_body);
		deal_fund(w, &d);
		assert_refused(w, fund_cases[i].expected);
	}
	/* And the same deal unspoiled. */
	deal_init(w, &d);
	deal_fund(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
}

static void test_fund_message(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct message *m;

	deal_init(w, &d);
	d.attempt = 1;
	deal_fund(w, &d);
	assert_refused(w, REFUSED_HOLD_UNKNOWN);
	/* From another broker than the request names. */
	world_message(w, &w->m.other_broker);
	assert_refused(w, REFUSED_NOT_A_PARTY);
	w->m.opened->message.attempt = 0;
	w->m.opened->message.slot = 1;
	world_message(w, &w->m.broker);
	assert_refused(w, REFUSED_QUORUM_NOT_SERVED);
	w->m.opened->message.slot = 0;
	w->m.opened->message.price_micros++;
	world_message(w, &w->m.broker);
	assert_refused(w, REFUSED_MESSAGE_SHAPE);
	market_message(&w->m, MESSAGE_FUND);
	world_message(w, &w->m.broker);
	assert_refused(w, REFUSED_MESSAGE_SHAPE);
	d.attempt = 0;
	deal_fund(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	d.attempt = 1;
	deal_fund(w, &d);
	assert_refused(w, REFUSED_ATTEMPTS_USED_UP);
	m = market_message(&w->m, MESSAGE_ASSIGN);
	world_message(w, &w->m.broker);
	assert_refused(w, REFUSED_MESSAGE_UNEXPECTED);
	m->message = MESSAGE_REFUSED;
	world_message(w, &w->m.broker);
	assert_int_equal(w->fx->n, 0);
}

static void test_open_holds_are_bounded(void **state)
{
	struct world *w = *state;
	struct deal d;

	world_deposit(w, &w->m.buyer, 20 * MARKET_PRICE);
	for (size_t i = 0; i < w->config.open; i++) {
		deal_init(w, &d);
		deal_fund(w, &d);
		assert_int_equal(world_refusal(w), REFUSED_NOT);
	}
	deal_init(w, &d);
	deal_fund(w, &d);
	assert_refused(w, REFUSED_TOO_MANY_REQUESTS);
}

static void test_not_served(void **state)
{
	struct world *w = *state;
	struct claim body = market_cancel(&w->m, &(struct id){ { 1 } });
	static const struct {
		enum statement_kind kind;
		enum refusal expected;
	} cases[] = {
		{ STATEMENT_DISPUTE, REFUSED_DISPUTE_NOT_SERVED },
		{ STATEMENT_RULING, REFUSED_DISPUTE_NOT_SERVED },
		{ STATEMENT_BOND, REFUSED_BOND_NOT_SERVED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		market_message(&w->m, MESSAGE_CLOSE);
		market_attach(&w->m, market_sign(&w->m, &w->m.buyer, cases[i].kind, &body));
		world_message(w, &w->m.buyer);
		assert_refused(w, cases[i].expected);
	}
}

struct submit_case {
	enum refusal expected;
	void (*spoil)(struct world *w, struct assignment *a, struct evidence *e, struct deal *d);
};

#define SPOIL_SUBMIT(name, statement) \
	static void name( \
		struct world *w, struct assignment *a, struct evidence *e, struct deal *d) \
	{ \
		(void)w; /* ignored: */ \
		(void)a; /* the statement */ \
		(void)e; /* spoils one */ \
		(void)d; /* of these */ \
		statement; \
	}

SPOIL_SUBMIT(a_hold, a->hold.b[0] ^= 1)
SPOIL_SUBMIT(a_earmark, a->earmark.b[0] ^= 1)
SPOIL_SUBMIT(a_offering, a->offering.b[0] ^= 1)
SPOIL_SUBMIT(a_node, a->node = w->m.nodes[1].did)
SPOIL_SUBMIT(a_attempt, a->attempt = 1)
SPOIL_SUBMIT(a_slot, a->slot = 1)
SPOIL_SUBMIT(a_price, a->price_micros++)
SPOIL_SUBMIT(a_deliver, a->deliver_by_ns += 11 * NS_PER_S)
SPOIL_SUBMIT(a_commit, a->commit_by_ns = a->deliver_by_ns + 1)
SPOIL_SUBMIT(a_challenge, a->challenge.b[0] ^= 1)
SPOIL_SUBMIT(a_market, a->c.market = SPAN_STR("elsewhere"))
SPOIL_SUBMIT(a_request, a->request.b[0] ^= 1)
SPOIL_SUBMIT(e_assignment, e->assignment.b[0] ^= 1)
SPOIL_SUBMIT(e_challenge, e->challenge.b[0] ^= 1)
SPOIL_SUBMIT(e_market, e->c.market = SPAN_STR("elsewhere"))
SPOIL_SUBMIT(e_audience, e->c.audience[1] = w->m.other_broker.did)
SPOIL_SUBMIT(e_future, e->c.at_ns += 6 * NS_PER_S)
SPOIL_SUBMIT(e_wrapped_short, e->payload.wrapped_key.n--)
SPOIL_SUBMIT(e_size, e->payload.size++)
SPOIL_SUBMIT(e_digest, e->payload.cipher_digest.b[0] ^= 1)
SPOIL_SUBMIT(no_receipt, d->receipt.n = 0)
SPOIL_SUBMIT(no_note, d->note.n = 0)

static void e_wrapped(struct world *w, struct assignment *a, struct evidence *e, struct deal *d)
{
	static uint8_t other[SEAL_WRAPPED];

	(void)w; /* ignored: only */
	(void)a; /* the evidence */
	(void)d; /* is spoiled */
	memcpy(other, e->payload.wrapped_key.p, SEAL_WRAPPED);
	other[SEAL_WRAPPED - 1] ^= 1;
	e->payload.wrapped_key = SPAN_OF(other);
}

static const struct submit_case submit_cases[] = {
	{ REFUSED_HOLD_MISMATCH, a_hold },
	{ REFUSED_HOLD_MISMATCH, a_earmark },
	{ REFUSED_HOLD_MISMATCH, a_offering },
	{ REFUSED_HOLD_MISMATCH, a_node },
	{ REFUSED_HOLD_MISMATCH, a_attempt },
	{ REFUSED_HOLD_MISMATCH, a_slot },
	{ REFUSED_HOLD_MISMATCH, a_price },
	{ REFUSED_HOLD_MISMATCH, a_deliver },
	{ REFUSED_HOLD_MISMATCH, a_commit },
	{ REFUSED_CHALLENGE_WRONG, a_challenge },
	{ REFUSED_STATEMENT_MARKET, a_market },
	{ REFUSED_EVIDENCE_MISMATCH, a_request },
	{ REFUSED_EVIDENCE_MISMATCH, e_assignment },
	{ REFUSED_CHALLENGE_WRONG, e_challenge },
	{ REFUSED_STATEMENT_MARKET, e_market },
	{ REFUSED_STATEMENT_AUDIENCE, e_audience },
	{ REFUSED_STATEMENT_FROM_FUTURE, e_future },
	{ REFUSED_PAYLOAD_KEY, e_wrapped },
	{ REFUSED_PAYLOAD_KEY, e_wrapped_short },
	{ REFUSED_PAYLOAD_SIZE, e_size },
	{ REFUSED_PAYLOAD_DIGEST, e_digest },
	{ REFUSED_RECEIPT_INVALID, no_receipt },
	{ REFUSED_RECEIPT_INVALID, no_note },
};

/* Signs what is spoiled anew, so that the one rule alone is broken. */
static void submit_spoiled(struct world *w, struct deal *d, const struct submit_case *c)
{
	struct market *m = &w->m;
	struct assignment a = market_assignment(m, d->request, d->hold, NULL, &d->offering->id);
	struct statement *good = market_sign(m, &m->broker, STATEMENT_ASSIGNMENT, &a);
	struct evidence e = market_evidence(m, good, SPAN_STR(d->plain), d->type, &d->blob);
	struct id assignment;
	struct deal spoiled = *d;

	if (c)
		c->spoil(w, &a, &e, &spoiled);
	assignment = good->id;
	spoiled.assignment = market_sign(m, &m->broker, STATEMENT_ASSIGNMENT, &a);
	if (id_eq(&e.assignment, &assignment))
		e.assignment = spoiled.assignment->id;
	spoiled.evidence = market_sign(m, &m->nodes[0], STATEMENT_EVIDENCE, &e);
	market_receipt(m, &m->broker, &spoiled.evidence->id, &d->receipt, &d->note);
	spoiled.receipt = d->receipt;
	spoiled.note = d->note;
	if (c)
		c->spoil(w, &a, &e, &spoiled);
	deal_submit(w, &spoiled);
}

static void test_submission(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	for (size_t i = 0; i < ARRAY_SIZE(submit_cases); i++) {
		submit_spoiled(w, &d, &submit_cases[i]);
		assert_refused(w, submit_cases[i].expected);
	}
	submit_spoiled(w, &d, NULL);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	assert_int_equal(world_state(w, &d.request->id), SLOT_VERIFYING);
	/* Another evidence for the same assignment. */
	submit_spoiled(w, &d, NULL);
	assert_refused(w, REFUSED_EVIDENCE_TWICE);
}

static void test_submission_signers(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct statement *good;
	struct evidence e;
	struct assignment a;
	struct span receipt;
	struct span note;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	deal_capture(w, &d);
	receipt = d.receipt;
	note = d.note;
	/* Signed by another node, by another broker, or proven by another log or for another entry.
	 */
	good = d.evidence;
	e = good->body.evidence;
	d.evidence = market_sign(&w->m, &w->m.nodes[1], STATEMENT_EVIDENCE, &e);
	deal_submit(w, &d);
	assert_refused(w, REFUSED_STATEMENT_ISSUER);
	d.evidence = good;
	good = d.assignment;
	a = good->body.assignment;
	d.assignment = market_sign(&w->m, &w->m.other_broker, STATEMENT_ASSIGNMENT, &a);
	deal_submit(w, &d);
	assert_refused(w, REFUSED_STATEMENT_ISSUER);
	d.assignment = good;
	market_receipt(&w->m, &w->m.other_broker, &d.evidence->id, &d.receipt, &d.note);
	deal_submit(w, &d);
	assert_refused(w, REFUSED_RECEIPT_INVALID);
	market_receipt(&w->m, &w->m.broker, &d.request->id, &d.receipt, &d.note);
	deal_submit(w, &d);
	assert_refused(w, REFUSED_RECEIPT_INVALID);
	d.receipt = receipt; /* a true receipt, and the checkpoint of another tree */
	deal_submit(w, &d);
	assert_refused(w, REFUSED_RECEIPT_INVALID);
	d.note = note;
	/* The right bytes from somebody else. */
	deal_submit(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	world_message(w, &w->m.other_broker);
	assert_refused(w, REFUSED_NOT_A_PARTY);
	w->m.opened->message.message = MESSAGE_EVIDENCE;
	world_message(w, &w->m.nodes[1]);
	assert_refused(w, REFUSED_NOT_A_PARTY);
	market_message(&w->m, MESSAGE_SUBMISSION);
	market_attach(&w->m, d.evidence);
	world_message(w, &w->m.broker);
	assert_refused(w, REFUSED_MESSAGE_SHAPE);
}

static void test_evidence_late(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	w->m.now_ns += 66 * NS_PER_S; /* beyond commit_by and the skew */
	deal_capture(w, &d);
	deal_submit(w, &d);
	assert_refused(w, REFUSED_EVIDENCE_LATE);
	/* Signed in time, but at the own door after the earmark. */
	w->m.now_ns -= 20 * NS_PER_S;
	deal_capture(w, &d);
	w->m.now_ns = d.hold->body.hold.earmark.until_ns + 1;
	deal_knock(w, &d, true);
	assert_refused(w, REFUSED_EVIDENCE_LATE);
	deal_close(w, &d, BASIS_NO_SHOW, NULL);
	deal_knock(w, &d, true);
	assert_int_equal(
		world_sent(w, &w->m.nodes[0], MESSAGE_OUTCOME)->message.state, SLOT_REFUNDED);
}

static void test_verdict(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct verdict v;
	struct verdict spoiled;
	const struct market_party *verifier;
	const struct market_party *other = NULL;

	deal_init(w, &d);
	deal_verify(w, &d);
	verifier = world_verifier(w, &d.draw->body.draw.panel[0]);
	for (size_t i = 0; i < MARKET_VERIFIERS; i++)
		if (&w->m.verifiers[i] != verifier)
			other = &w->m.verifiers[i];
	v = market_verdict(&w->m, d.evidence, &d.draw->id, SPAN_STR(d.plain), CHECK_PASS);

#define TRY(who, expected, statement) \
	do { \
		spoiled = v; \
		statement; \
		market_message(&w->m, MESSAGE_VERDICT); \
		market_attach(&w->m, market_sign(&w->m, who, STATEMENT_VERDICT, &spoiled)); \
		world_message(w, who); \
		assert_refused(w, expected); \
	} while (false)

	TRY(other, REFUSED_DRAW_INVALID, );
	TRY(verifier, REFUSED_VERDICT_MISMATCH, spoiled.draw.b[0] ^= 1);
	TRY(verifier, REFUSED_VERDICT_MISMATCH, spoiled.evidence.b[0] ^= 1);
	TRY(verifier, REFUSED_VERDICT_MISMATCH, spoiled.assignment.b[0] ^= 1);
	TRY(verifier, REFUSED_HOLD_UNKNOWN, spoiled.request.b[0] ^= 1);
	TRY(verifier, REFUSED_VERDICT_MISMATCH, spoiled.sealed_digest = SPAN_STR("none"));
	TRY(verifier, REFUSED_STATEMENT_MARKET, spoiled.c.market = SPAN_STR("elsewhere"));
	TRY(verifier, REFUSED_STATEMENT_AUDIENCE, spoiled.c.audience[0] = w->m.buyer.did);
	TRY(verifier, REFUSED_STATEMENT_FROM_FUTURE, spoiled.c.at_ns += 6 * NS_PER_S);
	/* Another's verdict, forwarded. */
	spoiled = v;
	market_message(&w->m, MESSAGE_VERDICT);
	market_attach(&w->m, market_sign(&w->m, verifier, STATEMENT_VERDICT, &spoiled));
	world_message(w, other);
	assert_refused(w, REFUSED_DRAW_INVALID);
	world_message(w, verifier);
	assert_int_equal(world_state(w, &d.request->id), SLOT_SETTLED);
}

static void test_play_money_off(void **state)
{
	struct world *w = *state;

	w->config.play_money = false;
	world_crash(w);
	world_deposit(w, &w->m.buyer, 1);
	assert_refused(w, REFUSED_PLAY_MONEY_OFF);
}

static void test_operations_are_bounded(void **state)
{
	struct world *w = *state;

	for (size_t i = 1; i < w->config.operations; i++) {
		world_deposit(w, &w->m.buyer, 1);
		assert_int_equal(world_refusal(w), REFUSED_NOT);
	}
	world_deposit(w, &w->m.buyer, 1);
	assert_refused(w, REFUSED_PEER_BUSY);
	w->m.now_ns += INT64_C(26) * 3600 * NS_PER_S;
	world_deposit(w, &w->m.buyer, 1);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	assert_int_equal(world_count(w, ESCROW_TABLE_OPERATION), w->config.operations);
}

/* A row that was altered on the disk is noticed when it is loaded. */
static void test_altered_rows(void **state)
{
	struct world *w = *state;
	struct deal d;
	size_t n_refused = 0;

	deal_init(w, &d);
	deal_verify(w, &d);
	for (size_t i = 0; i < w->n_rows; i++) {
		struct world_row *kept = &w->rows[i];
		struct escrow *e = NULL;
		int r = 0;

		if (kept->table != ESCROW_TABLE_TRANSFER)
			continue;
		kept->cells[9].i++;
		assert_int_equal(escrow_new(&w->config, &e), 0);
		for (size_t k = 0; k < w->n_rows && r == 0; k++) {
			struct row row = { .table = w->rows[k].table, .n = w->rows[k].n };

			memcpy(row.cells, w->rows[k].cells, sizeof(row.cells));
			if (row.table == ESCROW_TABLE_TRANSFER)
				r = escrow_ops.load(e, &row);
		}
		escrow_free(e);
		assert_int_equal(r, -EBADMSG);
		kept->cells[9].i--;
		n_refused++;
	}
	assert_int_equal(n_refused, 2);
	world_crash(w);
}

/* An operator who lost the encryption key learns it at the start, not at a settlement. */
static void test_other_encryption_key(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct escrow *e = NULL;
	int r = 0;

	deal_init(w, &d);
	deal_verify(w, &d);
	w->config.encryption_secret[0] ^= 8;
	assert_int_equal(escrow_new(&w->config, &e), 0);
	for (size_t i = 0; i < w->n_rows; i++) {
		struct row row = { .table = w->rows[i].table, .n = w->rows[i].n };

		memcpy(row.cells, w->rows[i].cells, sizeof(row.cells));
		if (row.table == ESCROW_TABLE_SLOT)
			r = escrow_ops.load(e, &row);
	}
	escrow_free(e);
	assert_int_equal(r, -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fund),
		TEST(test_fund_message),
		TEST(test_open_holds_are_bounded),
		TEST(test_not_served),
		TEST(test_submission),
		TEST(test_submission_signers),
		TEST(test_evidence_late),
		TEST(test_verdict),
		TEST(test_play_money_off),
		TEST(test_operations_are_bounded),
		TEST(test_altered_rows),
		TEST(test_other_encryption_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
