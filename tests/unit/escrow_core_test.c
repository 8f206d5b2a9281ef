/* The escrow's core: money while everybody speaks. Silence and crashes: escrow_silence_test.c. */
#include "tests/unit/escrow_checks.h"

#include "proto/base/sha256.h"

/* What a third party would check about a settlement. */
static void check_settlement(struct world *w, struct deal *d)
{
	const struct statement *s = world_newest(w, STATEMENT_SETTLEMENT, &d->request->id);
	const struct settlement *body = &s->body.settlement;
	int64_t lines = 0;
	int64_t held = 0;
	struct id commitment = SHA256(SPAN_OF(body->draw_secret));

	for (size_t i = 0; i < body->n_lines; i++)
		lines += body->lines[i].amount_micros;
	for (size_t i = 0; i < d->hold->body.hold.n_amounts; i++)
		held += d->hold->body.hold.amounts[i].amount_micros;
	assert_int_equal(lines, held);
	assert_memory_equal(&commitment, &d->hold->body.hold.draw_commitment, 32);
	assert_memory_equal(&body->previous, &d->hold->id, 32);
	assert_int_equal(body->sequence, d->hold->body.hold.sequence + 1);
	assert_int_equal(keyring_verify(w->m.keyring, s), REFUSED_NOT);
}

static void test_happy_path(void **state)
{
	struct world *w = *state;
	struct deal d;
	const struct send *outcome;
	uint8_t key[SEAL_KEY];

	deal_init(w, &d);
	deal_fund(w, &d);
	assert_non_null(d.hold);
	assert_int_equal(world_balance(w, &w->m.buyer, ACCOUNT_HELD), MARKET_PRICE * 107 / 100);
	deal_assign(w, &d);
	deal_capture(w, &d);
	deal_submit(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);

	const struct market_party *verifier = world_verifier(w, &d.draw->body.draw.panel[0]);
	const struct send *ticket = world_sent(w, verifier, MESSAGE_DRAW);
	struct seal_context context = {
		.request = d.request->id, .scope = d.evidence->id, .recipient = verifier->did
	};

	assert_non_null(ticket);
	assert_int_equal(
		seal_unwrap(ticket->message.wrapped, verifier->encryption_secret, &context, key),
		REFUSED_NOT);
	assert_memory_equal(key, market_content_key, SEAL_KEY);
	assert_memory_equal(&ticket->blob, &d.evidence->body.evidence.payload.cipher_digest, 32);

	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
	outcome = world_sent(w, &w->m.broker, MESSAGE_OUTCOME);
	assert_non_null(outcome);
	assert_int_equal(outcome->message.state, SLOT_SETTLED);
	assert_int_equal(outcome->n_statements, 4); /* draw, verdict, release, settlement */
	assert_non_null(world_sent(w, &w->m.nodes[0], MESSAGE_OUTCOME));
	check_settlement(w, &d);

	const struct statement *release = world_newest(w, STATEMENT_RELEASE, &d.request->id);

	context.recipient = w->m.buyer.did;
	assert_int_equal(seal_unwrap(release->body.release.wrapped_key,
				 w->m.buyer.encryption_secret, &context, key),
		REFUSED_NOT);
	assert_memory_equal(key, market_content_key, SEAL_KEY);
}

static void test_draw_follows_from_its_seed(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct did panel[PANEL_MAX];

	deal_init(w, &d);
	d.request_body.panel_n = 3;
	d.request_body.panel_k = 2;
	deal_verify(w, &d);

	const struct draw *draw = &d.draw->body.draw;
	const struct request *r = &d.request->body.request;
	struct id commitment = SHA256(SPAN_OF(draw->draw_secret));
	struct id seed = statement_draw_seed(
		&draw->draw_secret, r->c.salt, &d.evidence->id, d.note);

	assert_memory_equal(&commitment, &d.hold->body.hold.draw_commitment, 32);
	assert_true(span_eq(draw->checkpoint, d.note));
	assert_int_equal(statement_draw_panel(&seed, r->pool, r->n_pool, 3, panel), 3);
	assert_memory_equal(panel, draw->panel, 3 * sizeof(panel[0]));
}

static void repeat(struct world *w, const struct market_party *from)
{
	world_message(w, from);
}

static void test_repeated_messages_have_one_effect(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct id hold;
	struct id settlement;

	deal_init(w, &d);
	deal_fund(w, &d);
	hold = d.hold->id;
	repeat(w, &w->m.broker);
	assert_int_equal(world_puts(w), 0);
	assert_memory_equal(&world_sent(w, &w->m.broker, MESSAGE_FUNDED)->statements[0], &hold, 32);
	deal_assign(w, &d);
	deal_capture(w, &d);
	deal_submit(w, &d);
	repeat(w, &w->m.broker);
	assert_int_equal(world_puts(w), 0);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_non_null(world_sent(
		w, world_verifier(w, &d.draw->body.draw.panel[0]), MESSAGE_VERDICT_TAKEN));
	settlement = world_newest(w, STATEMENT_SETTLEMENT, &d.request->id)->id;
	/* The verifier keeps nothing: it signs another verdict of the same kind. */
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_int_equal(world_puts(w), 0);
	assert_non_null(world_sent(
		w, world_verifier(w, &d.draw->body.draw.panel[0]), MESSAGE_VERDICT_TAKEN));
	/* FUND, SUBMISSION and CLOSE after the end are answered with the end. */
	deal_submit(w, &d);
	assert_int_equal(world_puts(w), 0);
	assert_memory_equal(
		&world_sent(w, &w->m.broker, MESSAGE_OUTCOME)->statements[3], &settlement, 32);
	deal_close(w, &d, BASIS_EXPIRED, NULL);
	assert_int_equal(world_puts(w), 0);
	assert_int_equal(world_sent(w, &w->m.broker, MESSAGE_OUTCOME)->message.state, SLOT_SETTLED);
	market_message(&w->m, MESSAGE_FUND);
	market_attach(&w->m, d.request);
	market_attach(&w->m, d.offering);
	world_message(w, &w->m.broker);
	assert_int_equal(world_puts(w), 0);
	assert_non_null(world_sent(w, &w->m.broker, MESSAGE_OUTCOME));
	assert_paid(w, &d);
}

static void test_quiet_time_before_settlement(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.request_body.t_dispute_ms = 120000;
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_int_equal(world_state(w, &d.request->id), SLOT_PASSED);
	assert_non_null(world_newest(w, STATEMENT_RELEASE, &d.request->id));
	assert_null(world_newest(w, STATEMENT_SETTLEMENT, &d.request->id));
	assert_int_equal(available(w, &w->m.nodes[0]), 0);
	world_pass(w, 119 * NS_PER_S);
	assert_int_equal(world_state(w, &d.request->id), SLOT_PASSED);
	world_pass(w, 2 * NS_PER_S);
	assert_paid(w, &d);
}

static void test_fail_refunds_but_pays_the_verifier(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_FAIL);
	assert_refunded(w, &d, BASIS_VERDICTS, VERIFY);
	check_settlement(w, &d);
	assert_int_equal(available(w, &w->m.nodes[0]), 0);
}

static void test_second_attempt_after_failure(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct id failed;

	deal_init(w, &d);
	d.request_body.attempts = 2;
	deal_verify(w, &d);
	failed = d.evidence->id;
	deal_vote(w, &d, 0, CHECK_FAIL);
	assert_int_equal(world_state(w, &d.request->id), SLOT_OPEN);
	assert_int_equal(world_sent(w, &w->m.broker, MESSAGE_OUTCOME)->message.state, SLOT_OPEN);
	/* The old SUBMISSION again: it has failed. */
	deal_submit(w, &d);
	assert_int_equal(world_sent(w, &w->m.broker, MESSAGE_OUTCOME)->message.state, SLOT_OPEN);
	d.attempt = 1;
	d.plain = "another picture";
	w->m.now_ns += NS_PER_S;
	deal_fund(w, &d);
	assert_non_null(d.earmark);
	deal_assign(w, &d);
	deal_capture(w, &d);
	assert_memory_not_equal(&failed, &d.evidence->id, 32);
	deal_submit(w, &d);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_int_equal(world_state(w, &d.request->id), SLOT_SETTLED);
	/* Both panels were paid, out of one hold. */
	assert_int_equal(available(w, &w->m.buyer), FUNDS - ALL_PAY - VERIFY);
	assert_int_equal(available(w, &w->m.nodes[0]), PRICE);
}

static void test_no_attempt_without_money_for_its_panel(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.request_body.attempts = 2;
	d.request_body.max_total_micros = MARKET_PRICE * 107 / 100;
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_FAIL);
	assert_refunded(w, &d, BASIS_VERDICTS, VERIFY);
}

static void test_panel_of_three(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.request_body.panel_n = 3;
	d.request_body.panel_k = 2;
	deal_verify(w, &d);
	deal_vote(w, &d, 2, CHECK_PASS);
	deal_vote(w, &d, 0, CHECK_FAIL);
	assert_int_equal(world_state(w, &d.request->id), SLOT_VERIFYING);
	assert_null(world_sent(w, &w->m.broker, MESSAGE_OUTCOME));
	deal_vote(w, &d, 1, CHECK_PASS);
	assert_int_equal(world_state(w, &d.request->id), SLOT_SETTLED);
	/* All three were in time, whatever they said. */
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(world_balance(w, world_verifier(w, &d.draw->body.draw.panel[i]),
					 ACCOUNT_VERIFIER_PAY),
			VERIFY / 3);
	assert_int_equal(available(w, &w->m.buyer), FUNDS - PRICE - FEE - VERIFY / 3 * 3);
	check_settlement(w, &d);
}

static void test_late_verdict_never_pays(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.request_body.panel_n = 2;
	d.request_body.panel_k = 1;
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_int_equal(world_state(w, &d.request->id), SLOT_SETTLED);
	deal_vote(w, &d, 1, CHECK_PASS);
	assert_int_equal(world_refusal(w), REFUSED_VERDICT_LATE);
	assert_int_equal(world_puts(w), 0);
	assert_int_equal(world_balance(w, world_verifier(w, &d.draw->body.draw.panel[1]),
				 ACCOUNT_VERIFIER_PAY),
		0);
}

static void test_close_waits_for_the_earmark(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_close(w, &d, BASIS_NO_SHOW, NULL);
	assert_int_equal(world_refusal(w), REFUSED_EARMARK_LIVE);
	w->m.now_ns = d.hold->body.hold.earmark.until_ns;
	deal_close(w, &d, BASIS_NO_SHOW, NULL);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	assert_refunded(w, &d, BASIS_NO_SHOW, 0);
}

static void test_close_with_a_decline(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct id none = { { 1 } };

	deal_init(w, &d);
	deal_fund(w, &d);

	struct answer body = market_decline(&w->m, &d.request->id, &none);
	struct statement *forged = market_sign(&w->m, &w->m.nodes[1], STATEMENT_DECLINE, &body);
	struct statement *decline = market_sign(&w->m, &w->m.nodes[0], STATEMENT_DECLINE, &body);

	deal_close(w, &d, BASIS_NO_SHOW, forged);
	assert_int_equal(world_refusal(w), REFUSED_EARMARK_LIVE);
	deal_close(w, &d, BASIS_NO_SHOW, decline);
	assert_refunded(w, &d, BASIS_NO_SHOW, 0);
}

static void test_next_node_after_a_decline(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct id none = { { 1 } };

	deal_init(w, &d);
	d.request_body.attempts = 3;
	deal_fund(w, &d);
	d.attempt = 1;
	deal_fund(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_EARMARK_LIVE);

	struct answer body = market_decline(&w->m, &d.request->id, &none);
	struct statement *decline = market_sign(&w->m, &w->m.nodes[0], STATEMENT_DECLINE, &body);
	struct message *fund;

	for (int64_t attempt = 1; attempt < 3; attempt++) {
		fund = market_message(&w->m, MESSAGE_FUND);
		fund->attempt = attempt;
		fund->price_micros = d.offering_body.price_micros;
		market_attach(&w->m, d.request);
		market_attach(&w->m, d.offering);
		market_attach(&w->m, decline);
		world_message(w, &w->m.broker);
		/* The same decline does not free a second earmark. */
		assert_int_equal(
			world_refusal(w), attempt == 1 ? REFUSED_NOT : REFUSED_EARMARK_LIVE);
	}
	assert_int_equal(world_state(w, &d.request->id), SLOT_ASSIGNED);
}

static void test_late_match(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.without_node = true;
	deal_fund(w, &d);
	assert_int_equal(world_state(w, &d.request->id), SLOT_OPEN);
	d.without_node = false;
	deal_verify(w, &d);
	assert_non_null(d.earmark);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
}

static void test_cancel(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	d.without_node = true;
	deal_fund(w, &d);

	struct claim body = market_cancel(&w->m, &d.request->id);
	struct statement *forged = market_sign(&w->m, &w->m.other_buyer, STATEMENT_CANCEL, &body);
	struct statement *cancel = market_sign(&w->m, &w->m.buyer, STATEMENT_CANCEL, &body);

	deal_close(w, &d, BASIS_CANCELLED, forged);
	assert_int_equal(world_refusal(w), REFUSED_STATEMENT_ISSUER);
	deal_close(w, &d, BASIS_CANCELLED, NULL);
	assert_int_equal(world_refusal(w), REFUSED_MESSAGE_SHAPE);
	deal_close(w, &d, BASIS_CANCELLED, cancel);
	assert_refunded(w, &d, BASIS_CANCELLED, 0);
}

static void test_cancel_late_costs_the_attempt_fee(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);

	struct claim body = market_cancel(&w->m, &d.request->id);
	struct statement *cancel = market_sign(&w->m, &w->m.buyer, STATEMENT_CANCEL, &body);

	/* By the buyer itself, at the escrow's own door. */
	market_message(&w->m, MESSAGE_CANCEL);
	market_attach(&w->m, cancel);
	world_message(w, &w->m.buyer);
	assert_refunded(w, &d, BASIS_CANCELLED, MARKET_PRICE / 10);
	assert_int_equal(available(w, &w->m.nodes[0]), MARKET_PRICE / 10);
	assert_non_null(world_sent(w, &w->m.buyer, MESSAGE_OUTCOME));
}

static void test_cancel_too_late(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_verify(w, &d);

	struct claim body = market_cancel(&w->m, &d.request->id);
	struct statement *cancel = market_sign(&w->m, &w->m.buyer, STATEMENT_CANCEL, &body);

	deal_close(w, &d, BASIS_CANCELLED, cancel);
	assert_int_equal(world_refusal(w), REFUSED_CANCEL_TOO_LATE);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
}

static void test_sold_before(void **state)
{
	struct world *w = *state;
	struct deal first;
	struct deal second;

	deal_init(w, &first);
	deal_verify(w, &first);
	deal_vote(w, &first, 0, CHECK_PASS);
	deal_init(w, &second);
	deal_verify(w, &second);
	deal_vote(w, &second, 0, CHECK_PASS);
	assert_int_equal(world_state(w, &second.request->id), SLOT_REFUNDED);

	const struct send *outcome = world_sent(w, &w->m.broker, MESSAGE_OUTCOME);

	assert_int_equal(outcome->message.code, REFUSED_SEEN_BEFORE);
	assert_memory_equal(&outcome->message.target, &first.evidence->id, 32);
	assert_int_equal(available(w, &w->m.nodes[0]), PRICE);
}

static void test_measurements_may_repeat(void **state)
{
	struct world *w = *state;
	struct deal d;

	for (int i = 0; i < 2; i++) {
		deal_init(w, &d);
		d.type = MEASUREMENT_TYPE;
		deal_verify(w, &d);
		deal_vote(w, &d, 0, CHECK_PASS);
	}
	assert_int_equal(available(w, &w->m.nodes[0]), 2 * PRICE);
}

static void test_query(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct message *m;

	deal_init(w, &d);
	deal_verify(w, &d);
	deal_vote(w, &d, 0, CHECK_PASS);
	m = market_message(&w->m, MESSAGE_RELEASE_QUERY);
	m->request = d.request->id;
	world_message(w, &w->m.other_buyer);
	assert_int_equal(world_refusal(w), REFUSED_NOT_A_PARTY);
	world_message(w, &w->m.buyer);
	assert_int_equal(world_sent(w, &w->m.buyer, MESSAGE_OUTCOME)->n_statements, 4);
	m->request = (struct id){ { 7 } };
	world_message(w, &w->m.buyer);
	assert_int_equal(world_refusal(w), REFUSED_HOLD_UNKNOWN);
}

static void test_wallet(void **state)
{
	struct world *w = *state;
	struct message *m;
	const struct send *account;

	/* The deposit of setup(), again. */
	world_deposit(w, &w->m.other_buyer, 500);
	world_message(w, &w->m.other_buyer);
	assert_int_equal(world_puts(w), 0);
	account = world_sent(w, &w->m.other_buyer, MESSAGE_ACCOUNT);
	assert_int_equal(account->message.balances[0].amount_micros, 500);
	assert_int_equal(account->message.n_lines, 1);
	assert_int_equal(account->message.lines[0].amount_micros, 500);
	w->m.opened->message.amount_micros = 501;
	world_message(w, &w->m.other_buyer);
	assert_int_equal(world_refusal(w), REFUSED_EXISTS_WITH_DIFFERENT_CONTENT);
	w->m.opened->message.amount_micros = 0;
	world_message(w, &w->m.other_buyer);
	assert_int_equal(world_refusal(w), REFUSED_AMOUNT_RANGE);
	w->m.opened->message.amount_micros = 500;
	w->m.opened->message.asset = SPAN_STR("USD");
	world_message(w, &w->m.other_buyer);
	assert_int_equal(world_refusal(w), REFUSED_ASSET_UNKNOWN);
	/* Nobody sees what is another's. */
	m = market_message(&w->m, MESSAGE_HISTORY);
	world_message(w, &w->m.other_buyer);
	account = world_sent(w, &w->m.other_buyer, MESSAGE_ACCOUNT);
	assert_int_equal(account->message.n_lines, 1);
	assert_int_equal(account->message.cursor, 2);
	m->message = MESSAGE_BALANCE;
	world_message(w, &w->m.escrow);
	account = world_sent(w, &w->m.escrow, MESSAGE_ACCOUNT);
	assert_int_equal(account->message.balances[1].account_purpose, ACCOUNT_RAIL_CLEARING);
	assert_int_equal(account->message.balances[1].amount_micros, -FUNDS - 500);
}

static void test_ended_holds_make_room(void **state)
{
	struct world *w = *state;
	struct deal d;

	for (size_t i = 0; i < w->config.holds; i++) {
		deal_init(w, &d);
		d.without_node = true;
		deal_fund(w, &d);
		assert_int_equal(world_refusal(w), REFUSED_NOT);
		deal_close(w, &d, BASIS_EXPIRED, NULL);
	}
	deal_init(w, &d);
	deal_fund(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_TOO_MANY_REQUESTS);
	w->m.now_ns += 3700 * NS_PER_S;
	deal_init(w, &d);
	deal_fund(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	assert_int_equal(world_count(w, ESCROW_TABLE_HOLD), w->config.holds);
	world_crash(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_happy_path),
		TEST(test_draw_follows_from_its_seed),
		TEST(test_repeated_messages_have_one_effect),
		TEST(test_quiet_time_before_settlement),
		TEST(test_fail_refunds_but_pays_the_verifier),
		TEST(test_second_attempt_after_failure),
		TEST(test_no_attempt_without_money_for_its_panel),
		TEST(test_panel_of_three),
		TEST(test_late_verdict_never_pays),
		TEST(test_close_waits_for_the_earmark),
		TEST(test_close_with_a_decline),
		TEST(test_next_node_after_a_decline),
		TEST(test_late_match),
		TEST(test_cancel),
		TEST(test_cancel_late_costs_the_attempt_fee),
		TEST(test_cancel_too_late),
		TEST(test_sold_before),
		TEST(test_measurements_may_repeat),
		TEST(test_query),
		TEST(test_wallet),
		TEST(test_ended_holds_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
