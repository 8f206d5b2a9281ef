/* The escrow's core: silence, its own door, and crashes anywhere. */
#include "tests/unit/escrow_checks.h"

#include "proto/base/sha256.h"

static void escalate(struct world *w, struct deal *d, enum silence silence)
{
	deal_init(w, d);
	d->request_body.on_silence = silence;
	deal_verify(w, d);
	deal_vote(w, d, 0, CHECK_INCONCLUSIVE);
	assert_int_equal(world_state(w, &d->request->id), SLOT_ESCALATED);
	world_pass(w, 59 * NS_PER_S);
	assert_int_equal(world_state(w, &d->request->id), SLOT_ESCALATED);
	world_pass(w, 2 * NS_PER_S);
}

static void test_inconclusive_then_silence_refunds(void **state)
{
	struct deal d;

	escalate(*state, &d, SILENCE_REFUND);
	assert_refunded(*state, &d, BASIS_SILENCE, VERIFY);
}

static void test_inconclusive_then_silence_pays(void **state)
{
	struct deal d;

	escalate(*state, &d, SILENCE_PAY);
	assert_paid(*state, &d);
}

/* The verifiers say nothing: the escrow's own worker is asked. */
static void silent_verifiers(struct world *w, struct deal *d)
{
	const struct work *work;

	deal_init(w, d);
	deal_verify(w, d);
	while (world_state(w, &d->request->id) == SLOT_VERIFYING)
		world_wake(w);
	assert_int_equal(world_state(w, &d->request->id), SLOT_DEFAULTED);
	work = world_work(w, ESCROW_WORK_VERIFY);
	assert_non_null(work);

	const struct escrow_verify_job *job = work->detail;

	assert_memory_equal(&job->evidence, &d->evidence->id, 32);
	assert_memory_equal(job->content_key, market_content_key, SEAL_KEY);
}

static void worker_says(struct world *w, const struct work_result *said)
{
	struct event event = { .type = EVENT_WORK, .work = said };

	world_event(w, &event);
}

static void worker_result(struct world *w, enum check_result_value outcome)
{
	const struct work *work = world_work(w, ESCROW_WORK_VERIFY);
	struct escrow_verify_result result = { .outcome = outcome };
	struct work_result said = {
		.ticket = work->ticket, .kind = ESCROW_WORK_VERIFY, .detail = &result
	};

	worker_says(w, &said);
}

static void test_default_pass_pays(void **state)
{
	struct world *w = *state;
	struct deal d;

	silent_verifiers(w, &d);
	worker_result(w, CHECK_PASS);
	assert_int_equal(world_state(w, &d.request->id), SLOT_SETTLED);
	assert_int_equal(
		world_newest(w, STATEMENT_SETTLEMENT, &d.request->id)->body.settlement.basis,
		BASIS_DEFAULT);
	assert_non_null(world_newest(w, STATEMENT_RELEASE, &d.request->id));
	/* Silent verifiers are not paid. */
	assert_int_equal(available(w, &w->m.buyer), FUNDS - PRICE - FEE);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_int_equal(world_refusal(w), REFUSED_VERDICT_LATE);
}

static void test_default_fail_refunds(void **state)
{
	struct deal d;

	silent_verifiers(*state, &d);
	worker_result(*state, CHECK_FAIL);
	assert_refunded(*state, &d, BASIS_DEFAULT, 0);
}

static void test_default_worker_broken(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct work_result said = { .kind = ESCROW_WORK_VERIFY, .status = -EIO };

	silent_verifiers(w, &d);
	said.ticket = world_work(w, ESCROW_WORK_VERIFY)->ticket;
	worker_says(w, &said);
	world_wake(w); /* tried again */
	assert_non_null(world_work(w, ESCROW_WORK_VERIFY));
	/* A result of the first piece of work does not count any more. */
	said.status = 0;
	worker_says(w, &said);
	assert_int_equal(world_state(w, &d.request->id), SLOT_DEFAULTED);
	world_pass(w, 61 * NS_PER_S);
	assert_refunded(w, &d, BASIS_SILENCE, 0);
}

static void test_draw_is_repeated_with_back_off(void **state)
{
	struct world *w = *state;
	struct deal d;
	int64_t first;
	struct event hello = { .type = EVENT_CONNECTED, .role = ROLE_VERIFIER };

	deal_init(w, &d);
	deal_verify(w, &d);

	const struct market_party *verifier = world_verifier(w, &d.draw->body.draw.panel[0]);

	first = w->m.now_ns;
	world_wake(w);
	assert_non_null(world_sent(w, verifier, MESSAGE_DRAW));
	assert_int_equal(w->m.now_ns - first, 2 * NS_PER_S);
	world_wake(w);
	assert_int_equal(w->m.now_ns - first, 6 * NS_PER_S);
	/* It connects: at once. */
	hello.from = verifier->did;
	world_event(w, &hello);
	assert_int_equal(escrow_ops.wake_at(w->escrow), w->m.now_ns);
	world_wake(w);
	assert_non_null(world_sent(w, verifier, MESSAGE_DRAW));
}

static void test_hold_expires(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	world_pass(w, 3599 * NS_PER_S);
	assert_int_equal(world_state(w, &d.request->id), SLOT_ASSIGNED);
	world_pass(w, NS_PER_S);
	assert_refunded(w, &d, BASIS_EXPIRED, 0);
}

static void test_hold_does_not_expire_right_after_a_start(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	deal_capture(w, &d);
	w->m.now_ns += 3700 * NS_PER_S;
	world_crash(w);
	world_pass(w, 29 * NS_PER_S);
	assert_int_equal(world_state(w, &d.request->id), SLOT_ASSIGNED);
	/* The broker had it in time and brings it now. */
	deal_submit(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
}

static void test_own_door(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	deal_capture(w, &d);
	deal_knock(w, &d, true);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	assert_int_equal(world_state(w, &d.request->id), SLOT_VERIFYING);
	assert_non_null(world_sent(w, &w->m.nodes[0], MESSAGE_RECEIPT));
	assert_int_equal(d.draw->body.draw.checkpoint.n, 0);
	/* The broker comes as well. */
	deal_submit(w, &d);
	assert_int_equal(world_refusal(w), REFUSED_NOT);
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
}

static void test_own_door_pulls_large_payloads(void **state)
{
	struct world *w = *state;
	struct deal d;
	struct work_result said = { .kind = WORK_PULL };

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	deal_capture(w, &d);
	deal_knock(w, &d, false);
	assert_int_equal(world_state(w, &d.request->id), SLOT_COMMITTED);

	const struct work *work = world_work(w, WORK_PULL);

	assert_non_null(work);

	const struct work_pull *pull = work->detail;

	assert_memory_equal(&pull->from, &w->m.nodes[0].did, 32);
	assert_int_equal(pull->size, d.blob.n);
	said.ticket = work->ticket;
	worker_says(w, &said);
	assert_int_equal(world_state(w, &d.request->id), SLOT_VERIFYING);
	d.draw = world_newest(w, STATEMENT_DRAW, &d.request->id);
	assert_true(escrow_ops.may_fetch(w->escrow, &d.draw->body.draw.panel[0],
		&d.evidence->body.evidence.payload.cipher_digest));
	assert_true(!escrow_ops.may_fetch(
		w->escrow, &w->m.buyer.did, &d.evidence->body.evidence.payload.cipher_digest));
	deal_vote(w, &d, 0, CHECK_PASS);
	assert_paid(w, &d);
	assert_true(escrow_ops.may_fetch(
		w->escrow, &w->m.buyer.did, &d.evidence->body.evidence.payload.cipher_digest));
}

static void test_withheld_payload(void **state)
{
	struct world *w = *state;
	struct deal d;

	deal_init(w, &d);
	deal_fund(w, &d);
	deal_assign(w, &d);
	deal_capture(w, &d);
	deal_knock(w, &d, false);
	world_pass(w, 140 * NS_PER_S);
	assert_refunded(w, &d, BASIS_WITHHELD, 0);
}

/* One of everything, with the core rebuilt from its rows in between; must end as without. */
static void story(struct world *w)
{
	struct deal a;
	struct deal b;
	struct deal c;

	deal_init(w, &a);
	a.request_body.panel_n = 3;
	a.request_body.panel_k = 2;
	deal_verify(w, &a);
	deal_init(w, &b);
	b.request_body.attempts = 2;
	b.plain = "something else";
	deal_verify(w, &b);
	deal_vote(w, &a, 1, CHECK_PASS);
	deal_vote(w, &b, 0, CHECK_FAIL);
	deal_vote(w, &a, 0, CHECK_PASS);
	b.attempt = 1;
	b.plain = "something better";
	w->m.now_ns += NS_PER_S;
	deal_fund(w, &b);
	deal_assign(w, &b);
	deal_capture(w, &b);
	deal_knock(w, &b, true);
	deal_submit(w, &b);
	deal_vote(w, &b, 0, CHECK_PASS);
	deal_init(w, &c);
	deal_fund(w, &c);
	deal_close(w, &c, BASIS_NO_SHOW, NULL);
	w->m.now_ns = c.hold->body.hold.earmark.until_ns;
	deal_close(w, &c, BASIS_NO_SHOW, NULL);
	deal_close(w, &c, BASIS_NO_SHOW, NULL);
	world_deposit(w, &w->m.other_buyer, 77);
	deal_submit(w, &a);
}

/* All rows, order apart. */
static struct id digest_of_rows(const struct world *w)
{
	struct id sum = { 0 };

	for (size_t i = 0; i < w->n_rows; i++) {
		struct id hash = SHA256(SPAN_OF(w->rows[i].table));

		for (size_t k = 0; k < w->rows[i].n; k++) {
			const struct cell *cell = &w->rows[i].cells[k];

			hash = SHA256(
				SPAN_OF(hash), cell->type == CELL_INT ? SPAN_OF(cell->i) : cell->b);
		}
		for (size_t k = 0; k < sizeof(sum.b); k++)
			sum.b[k] ^= hash.b[k];
	}
	return sum;
}

static void test_crash_anywhere(void **state)
{
	struct world *w = *state;
	struct id expected;
	uint64_t n_steps;

	story(w);
	expected = digest_of_rows(w);
	n_steps = w->n_steps;
	assert_int_equal(world_count(w, ESCROW_TABLE_SLOT), 3);
	for (uint64_t at = 2; at <= n_steps + 1; at++) {
		struct world *other;
		void *fresh = NULL;

		assert_int_equal(setup(&fresh), 0);
		other = fresh;
		/* The last round crashes after each step. */
		other->crash_after = at <= n_steps ? at : UINT64_MAX;
		story(other);

		struct id digest = digest_of_rows(other);

		assert_int_equal(other->n_steps, n_steps);
		assert_memory_equal(&digest, &expected, 32);
		teardown(&fresh);
	}
}

static void test_timeouts_after_a_crash(void **state)
{
	struct world *w = *state;
	struct deal d;

	w->crash_after = UINT64_MAX;
	deal_init(w, &d);
	deal_verify(w, &d);
	for (int i = 0; i < 1000 && world_state(w, &d.request->id) == SLOT_VERIFYING; i++) {
		w->m.now_ns += 31 * NS_PER_S;
		world_wake(w);
	}
	assert_int_equal(world_state(w, &d.request->id), SLOT_DEFAULTED);
	/* The work was lost with the crash, and is asked for again. */
	w->crash_after = 0;
	world_wake(w);
	assert_non_null(world_work(w, ESCROW_WORK_VERIFY));
	worker_result(w, CHECK_PASS);
	assert_int_equal(available(w, &w->m.buyer), FUNDS - PRICE - FEE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inconclusive_then_silence_refunds),
		TEST(test_inconclusive_then_silence_pays),
		TEST(test_default_pass_pays),
		TEST(test_default_fail_refunds),
		TEST(test_default_worker_broken),
		TEST(test_draw_is_repeated_with_back_off),
		TEST(test_hold_expires),
		TEST(test_hold_does_not_expire_right_after_a_start),
		TEST(test_own_door),
		TEST(test_own_door_pulls_large_payloads),
		TEST(test_withheld_payload),
		TEST(test_crash_anywhere),
		TEST(test_timeouts_after_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
