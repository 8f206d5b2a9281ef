/* The broker's core: the way of a request, whatever is lost, repeated or forgotten on it. */
#include "tests/unit/broker_world.h"

#include "proto/tlog/proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

/* What a vanished node's earmark still has to live at its commit_by: t_deliver and the escrow's grace. */
#define VANISHED_WAIT_NS (60 * NS_PER_S + 2 * CLOCK_SKEW_NS)

static int setup(void **state)
{
	struct broker_world *w = calloc(1, sizeof(*w));

	broker_world_init(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	broker_world_deinit(*state);
	free(*state);
	return 0;
}

static enum slot_state state_of(const struct broker_world *w, const struct sale *s)
{
	return broker_world_state(w, &s->request->id);
}

static bool attached(const struct send *send, const struct statement *s)
{
	for (size_t i = 0; s && i < send->n_statements; i++)
		if (id_eq(&send->statements[i], &s->id))
			return true;
	return false;
}

static void check_receipt(
	const struct broker_world *w, const struct send *send, const struct statement *evidence)
{
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = evidence->id };

	assert_int_equal(proof_entry(NULL, send->message.receipt, send->message.note,
				 &w->m.broker.did, w->m.broker.signer.public_key, &entry),
		REFUSED_NOT);
}

static void play(struct broker_world *w, bool with_blob)
{
	struct sale s;
	const struct send *send;

	sale_init(w, &s);
	broker_world_offer(w, 0, NULL);
	assert_non_null(broker_world_sent(w, &w->m.nodes[0], MESSAGE_OFFERED));
	sale_post(w, &s);
	send = broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS);
	assert_int_equal(send->message.state, SLOT_POSTED);
	assert_true(attached(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND), s.request));
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_ASSIGNED);
	assert_true(sale_take_assignment(w, &s));
	assert_int_equal(s.assignment->body.assignment.price_micros, MARKET_PRICE * 8 / 10);
	send = broker_world_sent(w, &w->m.nodes[0], MESSAGE_ASSIGN);
	assert_true(attached(send, s.request) && attached(send, s.hold));
	sale_capture(w, &s);
	sale_give(w, &s, with_blob);
	if (!with_blob) {
		assert_int_equal(state_of(w, &s), SLOT_COMMITTED);
		/* The pull of the life before is gone, and asked for again. */
		if (w->restarts) {
			w->restarts = false;
			broker_world_wake(w);
		}

		struct work_result done = { .ticket = w->ticket, .kind = WORK_PULL };

		assert_true(w->ticket != 0 && did_eq(&w->pull.from, &w->m.nodes[0].did));
		assert_int_equal(w->pull.size, s.blob.n);
		broker_world_event(w, &(struct event){ .type = EVENT_WORK, .work = &done });
	}
	assert_int_equal(state_of(w, &s), SLOT_VERIFYING);
	send = broker_world_sent(w, &w->m.nodes[0], MESSAGE_RECEIPT);
	assert_true(id_eq(&send->message.target, &s.evidence->id));
	check_receipt(w, send, s.evidence);
	send = broker_world_sent(w, &w->m.escrow, MESSAGE_SUBMISSION);
	assert_true(attached(send, s.assignment) && attached(send, s.evidence));
	assert_int_equal(!id_is_zero(&send->blob), with_blob);
	check_receipt(w, send, s.evidence);

	sale_outcome(w, &s, SLOT_SETTLED, BASIS_VERDICTS, 0);
	assert_int_equal(state_of(w, &s), SLOT_SETTLED);
	send = broker_world_sent(w, &w->m.buyer, MESSAGE_BUNDLE);
	assert_non_null(send);
	assert_true(attached(send, s.request) && attached(send, s.hold) &&
		    attached(send, s.assignment) && attached(send, s.evidence) &&
		    attached(send, s.draw) && attached(send, s.verdict) &&
		    attached(send, s.release) && attached(send, s.settlement));
	check_receipt(w, send, s.evidence);
	assert_true(attached(broker_world_sent(w, &w->m.nodes[0], MESSAGE_OUTCOME), s.settlement));
	assert_int_equal(send->message.history[send->message.n_history - 1].state, SLOT_SETTLED);
	assert_int_equal(broker_world_count(w, BROKER_TABLE_OPEN_REQUEST), 0);
	assert_int_equal(broker_counts(w->broker).open_slots, 0);
	assert_int_equal(broker_ops.wake_at(w->broker), INT64_MAX);
	assert_true(broker_ops.may_fetch(
		w->broker, &w->m.buyer.did, &s.evidence->body.evidence.payload.cipher_digest));
	assert_false(broker_ops.may_fetch(w->broker, &w->m.other_buyer.did,
		&s.evidence->body.evidence.payload.cipher_digest));
}

static void happy_path(void **state)
{
	play(*state, true);
}

static void happy_path_with_restarts(void **state)
{
	struct broker_world *w = *state;

	w->restarts = true;
	play(w, true);
}

static void pulled_payload(void **state)
{
	play(*state, false);
}

static void pull_after_restart(void **state)
{
	struct broker_world *w = *state;

	w->restarts = true;
	play(w, false);
}

/* Each message twice: the same answer, and nothing happens twice. */
static void everything_twice(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct statement *offering = broker_world_offer(w, 0, NULL);
	struct id assignment;

	(void)market_message(&w->m, MESSAGE_OFFER); /* ignored: nothing to fill in */
	market_attach(&w->m, offering);
	broker_world_message(w, &w->m.nodes[0]);
	assert_non_null(broker_world_sent(w, &w->m.nodes[0], MESSAGE_OFFERED));
	assert_int_equal(w->n_puts, 0);

	sale_init(w, &s);
	sale_to(w, &s, SLOT_ASSIGNED);
	assignment = s.assignment->id;
	sale_post(w, &s);
	assert_int_equal(w->n_puts, 0);
	assert_int_equal(
		broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS)->message.state, SLOT_ASSIGNED);

	struct message *m = market_message(&w->m, MESSAGE_FUNDED);

	m->request = s.request->id;
	market_attach(&w->m, s.hold);
	broker_world_message(w, &w->m.escrow);
	assert_int_equal(w->n_puts + w->n_sent, 0);
	broker_world_pass(w, NS_PER_S);
	assert_true(sale_take_assignment(w, &s));
	assert_true(id_eq(&s.assignment->id, &assignment));

	sale_capture(w, &s);
	sale_give(w, &s, true);

	struct span receipt = broker_world_sent(w, s.node, MESSAGE_RECEIPT)->message.receipt;

	sale_give(w, &s, true);
	assert_int_equal(w->n_puts, 0);
	assert_true(
		span_eq(broker_world_sent(w, s.node, MESSAGE_RECEIPT)->message.receipt, receipt));
	assert_int_equal(broker_counts(w->broker).log_size, 1);

	sale_outcome(w, &s, SLOT_SETTLED, BASIS_VERDICTS, 0);
	sale_outcome(w, &s, SLOT_SETTLED, BASIS_VERDICTS, 0);
	assert_int_equal(w->n_puts + w->n_sent, 0);
	sale_post(w, &s);
	assert_non_null(broker_world_sent(w, &w->m.buyer, MESSAGE_BUNDLE));
	assert_int_equal(w->n_puts, 0);
	assert_int_equal(broker_counts(w->broker).requests, 1);
}

/* Whoever waits for an answer asks again. */
static void silence_is_asked_again(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	broker_world_offer(w, 0, NULL);
	sale_post(w, &s);
	broker_world_pass(w, 3 * NS_PER_S);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND));
	sale_fund(w, &s);
	sale_take_assignment(w, &s);
	broker_world_pass(w, 2 * NS_PER_S);
	assert_non_null(broker_world_sent(w, s.node, MESSAGE_ASSIGN));
	sale_capture(w, &s);
	sale_give(w, &s, true);
	broker_world_pass(w, 600 * NS_PER_S);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_SUBMISSION));
	assert_in_range(w->n_sent, 20, 24); /* at 2, 4, 8, 16, and every 30 s */
	assert_int_equal(state_of(w, &s), SLOT_VERIFYING);
}

static void two_attempts(struct broker_world *w, struct sale *s)
{
	struct offering dear = market_offering(&w->m, &w->m.nodes[1]);

	dear.price_micros = MARKET_PRICE * 9 / 10;
	broker_world_offer(w, 0, NULL);
	broker_world_offer(w, 1, &dear);
	s->body.attempts = 2;
	sale_to(w, s, SLOT_ASSIGNED);
	assert_true(s->node == &w->m.nodes[0]);
}

static void second_attempt(struct broker_world *w, struct sale *s)
{
	struct id first = s->assignment->id;
	const struct send *fund = broker_world_sent(w, &w->m.escrow, MESSAGE_FUND);

	assert_int_equal(fund->message.attempt, 1);
	assert_int_equal(fund->message.price_micros, MARKET_PRICE * 9 / 10);
	sale_fund(w, s);
	assert_true(sale_take_assignment(w, s));
	assert_true(s->node == &w->m.nodes[1] && !id_eq(&first, &s->assignment->id));
	assert_int_equal(s->assignment->body.assignment.attempt, 1);
	assert_true(id_eq(&s->assignment->body.assignment.earmark, &s->earmark->id));
	sale_capture(w, s);
	sale_give(w, s, true);
	assert_int_equal(state_of(w, s), SLOT_VERIFYING);
	sale_outcome(w, s, SLOT_SETTLED, BASIS_VERDICTS, 1);

	const struct send *bundle = broker_world_sent(w, &w->m.buyer, MESSAGE_BUNDLE);

	assert_true(attached(bundle, s->earmark) && attached(bundle, s->evidence));
	assert_int_equal(bundle->message.code, REFUSED_NOT);
	check_receipt(w, bundle, s->evidence);
}

static void decline_next_node(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	w->restarts = true;
	sale_init(w, &s);
	two_attempts(w, &s);
	sale_decline(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	second_attempt(w, &s);
}

static void vanished_next_node(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	two_attempts(w, &s);
	broker_world_pass(w, 60 * NS_PER_S);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	/* What comes from the first node now is too late, and says so. */
	sale_capture(w, &s);
	sale_give(w, &s, true);
	assert_int_equal(broker_world_refusal(w), REFUSED_EVIDENCE_LATE);
	/* Its earmark lives on for t_deliver and twice the skew; so long there is no other. */
	broker_world_pass(w, 69 * NS_PER_S);
	assert_null(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND));
	broker_world_pass(w, NS_PER_S);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND));
	sale_refuse(w, &s, REFUSED_EARMARK_LIVE);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	broker_world_pass(w, 2 * NS_PER_S);
	second_attempt(w, &s);
}

/* An answer of the first attempt that comes again while the second is asked for. */
static void late_duplicate_of_funded(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct message *m;

	sale_init(w, &s);
	two_attempts(w, &s);
	sale_decline(w, &s);
	m = market_message(&w->m, MESSAGE_FUNDED);
	m->request = s.request->id;
	market_attach(&w->m, s.hold);
	broker_world_message(w, &w->m.escrow);
	assert_int_equal(w->n_puts, 0);
	broker_world_pass(w, 3 * NS_PER_S);
	second_attempt(w, &s);
}

static void failed_next_node(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct id first;

	sale_init(w, &s);
	two_attempts(w, &s);
	sale_capture(w, &s);
	sale_give(w, &s, true);
	first = s.evidence->body.evidence.payload.cipher_digest;
	w->restarts = true;
	sale_outcome(w, &s, SLOT_OPEN, 0, 0);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	assert_false(broker_ops.may_fetch(w->broker, &w->m.buyer.did, &first));
	/* The news of the first attempt once more changes nothing. */
	sale_outcome(w, &s, SLOT_FAILED, 0, 0);
	assert_int_equal(w->n_puts, 0);
	broker_world_pass(w, 31 * NS_PER_S);
	second_attempt(w, &s);
}

static void no_show(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	broker_world_offer(w, 0, NULL);
	sale_to(w, &s, SLOT_ASSIGNED);
	broker_world_pass(w, 60 * NS_PER_S);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);

	const struct send *close = broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE);

	assert_int_equal(close->message.state, BASIS_NO_SHOW);
	sale_refuse(w, &s, REFUSED_EARMARK_LIVE);
	broker_world_pass(w, 60 * NS_PER_S);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE));
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_NO_SHOW, 0);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDED);
	assert_true(attached(broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS), s.settlement));
}

static void never_funded(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	sale_post(w, &s);
	broker_world_pass(w, 10 * NS_PER_S);
	assert_int_equal(state_of(w, &s), SLOT_LAPSED);
	assert_int_equal(broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS)->message.code,
		REFUSED_ESCROW_UNREACHABLE);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE));
	sale_refuse(w, &s, REFUSED_HOLD_UNKNOWN);
	assert_int_equal(broker_world_count(w, BROKER_TABLE_OPEN_REQUEST), 0);
	assert_int_equal(broker_ops.wake_at(w->broker), INT64_MAX);

	/* The FUND was on its way all the time: its hold is closed, until that is heard. */
	w->restarts = true;
	struct message *m = market_message(&w->m, MESSAGE_FUNDED);

	m->request = s.request->id;
	broker_world_message(w, &w->m.escrow);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE));
	broker_world_pass(w, 5 * NS_PER_S);
	assert_non_null(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE));
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_EXPIRED, 0);
	assert_int_equal(state_of(w, &s), SLOT_LAPSED);
	assert_int_equal(broker_ops.wake_at(w->broker), INT64_MAX);
}

static void never_matched(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	sale_post(w, &s);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND)->n_statements, 1);
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	broker_world_pass(w, 60 * NS_PER_S);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	assert_int_equal(
		broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE)->message.state, BASIS_EXPIRED);
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_EXPIRED, 0);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDED);
}

static void pull_fails_then_withheld(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct work_result bad = { .kind = WORK_PULL, .refusal = REFUSED_PAYLOAD_DIGEST };

	sale_init(w, &s);
	broker_world_offer(w, 0, NULL);
	sale_to(w, &s, SLOT_ASSIGNED);
	sale_capture(w, &s);
	sale_give(w, &s, false);
	bad.ticket = w->ticket;
	broker_world_event(w, &(struct event){ .type = EVENT_WORK, .work = &bad });
	broker_world_pass(w, 2 * NS_PER_S);
	assert_true(w->ticket != 0 && w->ticket != bad.ticket);

	/* The first pull's end, heard twice, is not the second's. */
	struct work_result stale = { .kind = WORK_PULL, .ticket = bad.ticket };

	broker_world_event(w, &(struct event){ .type = EVENT_WORK, .work = &stale });
	assert_int_equal(state_of(w, &s), SLOT_COMMITTED);
	broker_world_pass(w, 120 * NS_PER_S);
	assert_int_equal(state_of(w, &s), SLOT_WITHHELD);
	assert_int_equal(
		broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE)->message.state, BASIS_WITHHELD);
	assert_true(attached(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE), s.evidence));
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_WITHHELD, 0);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDED);
}

/* The node came to the escrow's own door, with other evidence than it had shown here. */
static void judged_elsewhere(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct sale other;
	const struct send *bundle;
	struct message *m;

	sale_init(w, &s);
	broker_world_offer(w, 0, NULL);
	sale_to(w, &s, SLOT_VERIFYING);
	sale_refuse(w, &s, REFUSED_EVIDENCE_TWICE);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	other = s;
	sale_capture(w, &other);
	w->restarts = true;
	other.own_door = true;
	sale_outcome(w, &other, SLOT_SETTLED, BASIS_VERDICTS, 0);
	m = market_message(&w->m, MESSAGE_QUERY);
	m->request = s.request->id;
	broker_world_message(w, &w->m.buyer);
	bundle = broker_world_sent(w, &w->m.buyer, MESSAGE_BUNDLE);
	assert_true(attached(bundle, other.evidence));
	assert_false(attached(bundle, s.evidence));
	assert_int_equal(bundle->message.receipt.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(happy_path, setup, teardown),
		cmocka_unit_test_setup_teardown(happy_path_with_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(pulled_payload, setup, teardown),
		cmocka_unit_test_setup_teardown(pull_after_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_is_asked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(decline_next_node, setup, teardown),
		cmocka_unit_test_setup_teardown(vanished_next_node, setup, teardown),
		cmocka_unit_test_setup_teardown(late_duplicate_of_funded, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_next_node, setup, teardown),
		cmocka_unit_test_setup_teardown(no_show, setup, teardown),
		cmocka_unit_test_setup_teardown(never_funded, setup, teardown),
		cmocka_unit_test_setup_teardown(never_matched, setup, teardown),
		cmocka_unit_test_setup_teardown(pull_fails_then_withheld, setup, teardown),
		cmocka_unit_test_setup_teardown(judged_elsewhere, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
