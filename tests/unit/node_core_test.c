/* The node's core: one capture and one piece of evidence for each earmark, whatever happens. */
#include "sensor-node/core/node.h"
#include "tests/unit/trade_fixture.h"

#include "proto/core/slot.h"
#include "proto/seal/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

#define PRICE 900000

struct world {
	struct trade *t;
	struct node *node;
	struct effects fx;
	int64_t now_ns;
	uint8_t n_events;
	struct capture_result result;
	/* what the store holds of the node's own tables */
	struct row rows[64];
	uint8_t row_bytes[64][ROW_CELLS_MAX][1200];
	size_t n_rows;
	struct node_capture capture;
	uint64_t ticket;
	size_t n_captures;
};

static void new_node(struct world *w)
{
	struct node_config config = {
		.author = w->t->node.author,
		.keyring = w->t->keyring,
		.broker = w->t->broker.root.issuer,
		.escrow = w->t->escrow.root.issuer,
		.offerings = { { .kind = SPAN_STR("photo"),
			.parameters = { .width = 1920, .height = 1080 },
			.price_micros = PRICE,
			.asset = SPAN_STR("XTS"),
			.sources = SOURCE_REPLAY,
			.place = { .present = true, .lat_e7 = 525012345, .lon_e7 = 134012345 },
			.escrows = { w->t->escrow.root.issuer },
			.n_escrows = 1,
			.verifiers = { w->t->verifiers[0].root.issuer,
				w->t->verifiers[1].root.issuer, w->t->verifiers[2].root.issuer },
			.n_verifiers = 3,
			.accepts = { SPAN_STR("decodes") },
			.n_accepts = 1 } },
		.n_offerings = 1,
		.refused_words = { SPAN_STR("Number plate") },
		.n_refused_words = 1,
		.capacity = 8,
	};

	assert_int_equal(node_new(&config, &w->node), 0);
}

/* Keeps the effects' rows as a store would. */
static void commit(struct world *w)
{
	assert_false(w->fx.overflow);
	for (size_t i = 0; i < w->fx.n; i++) {
		const struct effect *e = &w->fx.v[i];

		if (e->type == EFFECT_WORK && e->work.kind == NODE_WORK_CAPTURE) {
			memcpy(&w->capture, e->work.detail, sizeof(w->capture));
			w->ticket = e->work.ticket;
			w->n_captures++;
		}
		if (e->type != EFFECT_PUT || e->row.table < NODE_TABLE_ASSIGNMENT)
			continue;

		size_t at = 0;

		while (at < w->n_rows &&
			(w->rows[at].table != e->row.table ||
				w->rows[at].cells[0].type != e->row.cells[0].type ||
				w->rows[at].cells[0].i != e->row.cells[0].i ||
				!span_eq(w->rows[at].cells[0].b, e->row.cells[0].b)))
			at++;
		if (e->row.op == PUT_DELETE) {
			if (at < w->n_rows)
				w->rows[at].table = 0;
			continue;
		}
		if (at == w->n_rows)
			w->n_rows++;
		assert_true(w->n_rows <= ARRAY_SIZE(w->rows));
		w->rows[at] = e->row;
		for (size_t c = 0; c < e->row.n; c++) {
			struct span b = e->row.cells[c].b;

			assert_true(b.n <= sizeof(w->row_bytes[0][0]));
			if (b.n > 0)
				memcpy(w->row_bytes[at][c], b.p, b.n);
			w->rows[at].cells[c].b = SPAN(w->row_bytes[at][c], b.n);
		}
	}
}

static void step(struct world *w, struct event *event)
{
	event->now_ns = w->now_ns;
	memset(event->entropy, ++w->n_events, sizeof(event->entropy));
	effects_init(&w->fx);
	node_ops.step(w->node, event, &w->fx);
	node_ops.check(w->node);
	commit(w);
}

static void tick_until(struct world *w, int64_t until_ns)
{
	while (node_ops.wake_at(w->node) <= until_ns) {
		w->now_ns = MAX(w->now_ns, node_ops.wake_at(w->node));
		step(w, &(struct event){ .type = EVENT_TICK });
	}
	w->now_ns = until_ns;
}

static const struct send *sent(const struct world *w, enum message_type type)
{
	for (size_t i = 0; i < w->fx.n; i++)
		if (w->fx.v[i].type == EFFECT_SEND && w->fx.v[i].send->message.message == type)
			return w->fx.v[i].send;
	return NULL;
}

static void from(struct world *w, const struct trade_party *who, struct message *m,
	const struct trade_statement *const *statements, size_t n)
{
	struct event event = { .type = EVENT_MESSAGE, .from = who->root.issuer };

	event.opened = trade_open(w->t, m, statements, n);
	step(w, &event);
}

static void assign(struct world *w)
{
	const struct trade_statement *const all[] = { &w->t->request, &w->t->hold,
		&w->t->assignment };
	struct message m = { .message = MESSAGE_ASSIGN };

	from(w, &w->t->broker, &m, all, 3);
}

static void captured(struct world *w, int status)
{
	struct work_result work = { .ticket = w->ticket,
		.kind = NODE_WORK_CAPTURE,
		.status = status,
		.detail = status == 0 ? &w->result : NULL };

	step(w, &(struct event){ .type = EVENT_WORK, .work = &work });
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->t = trade_new();
	w->now_ns = TRADE_NOW;
	new_node(w);
	step(w, &(struct event){ .type = EVENT_START });
	step(w, &(struct event){ .type = EVENT_TICK });

	const struct send *offer = sent(w, MESSAGE_OFFER);

	assert_non_null(offer);
	w->t->offering = offer->statements[0];
	trade_request(w->t);
	trade_assign(w->t, PRICE);
	w->result = (struct capture_result){ .start_ns = TRADE_NOW,
		.end_ns = TRADE_NOW,
		.source = SOURCE_REPLAY,
		.device = "cam",
		.pipeline = "replay",
		.type = "image/jpeg",
		.size = 4,
		.cipher_size = (int64_t)seal_size(4),
		.n_ciphertext = seal_size(4),
		.cipher_digest = { { 1, 2, 3 } },
		.content_key = { 5 },
		.n_claims = 40 };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	node_free(w->node);
	trade_free(w->t);
	free(w);
	return 0;
}

static void restart(struct world *w)
{
	node_free(w->node);
	new_node(w);
	for (uint16_t table = NODE_TABLE_ASSIGNMENT; table <= NODE_TABLE_RESULT; table++)
		for (size_t i = 0; i < w->n_rows; i++)
			if (w->rows[i].table == table)
				assert_int_equal(node_ops.load(w->node, &w->rows[i]), 0);
	step(w, &(struct event){ .type = EVENT_START });
}

static void receipt(struct world *w, const struct id *evidence)
{
	struct message m = { .message = MESSAGE_RECEIPT, .target = *evidence };

	m.receipt = w->t->receipt;
	m.note = w->t->note;
	from(w, &w->t->broker, &m, NULL, 0);
}

/* long: one sale from assignment to settlement, read from top to bottom */
static void happy_path(void **state)
{
	struct world *w = *state;
	struct message offered = { .message = MESSAGE_OFFERED, .target = w->t->offering };

	from(w, &w->t->broker, &offered, NULL, 0);
	tick_until(w, w->now_ns + 60 * NS_PER_S / 10);
	assert_null(sent(w, MESSAGE_OFFER));
	assign(w);
	assert_int_equal(w->n_captures, 1);
	assert_string_equal(w->capture.job.kind, "photo");
	assert_int_equal(w->capture.job.sources, SOURCE_REPLAY);
	assert_int_equal(w->capture.deadline_ns, TRADE_NOW + 30 * NS_PER_S);
	assign(w); /* twice is once */
	assert_int_equal(w->n_captures, 1);
	captured(w, 0);

	const struct send *send = sent(w, MESSAGE_EVIDENCE);

	assert_non_null(send);
	assert_true(did_eq(&send->to, &w->t->broker.root.issuer));
	assert_true(id_eq(&send->blob, &w->result.cipher_digest));

	struct id evidence = send->statements[0];

	tick_until(w, w->now_ns + 2 * NS_PER_S);
	assert_true(
		node_ops.may_fetch(w->node, &w->t->escrow.root.issuer, &w->result.cipher_digest));
	assert_false(
		node_ops.may_fetch(w->node, &w->t->stranger.root.issuer, &w->result.cipher_digest));
	/* A receipt for something else is none. */
	trade_log(w->t, &w->t->request.id);
	receipt(w, &evidence);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_COMMITTED);
	trade_log(w->t, &evidence);
	receipt(w, &evidence);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_RECEIPTED);
	assert_true(node_ops.wake_at(w->node) > w->now_ns + 20 * NS_PER_S);

	struct settlement st = { .present = true,
		.request = w->t->request.id,
		.hold = w->t->hold.id,
		.basis = BASIS_VERDICTS,
		.evidence = evidence,
		.lines = { { true, w->t->node.root.issuer, ACCOUNT_AVAILABLE, PRICE } },
		.n_lines = 1,
		.asset = SPAN_STR("XTS"),
		.sequence = 1,
		.outcome = SLOT_SETTLED };
	struct trade_statement forged = trade_sign(w->t, &w->t->broker, STATEMENT_SETTLEMENT, &st);
	struct trade_statement real = trade_sign(w->t, &w->t->escrow, STATEMENT_SETTLEMENT, &st);
	struct message m = {
		.message = MESSAGE_OUTCOME, .request = w->t->request.id, .state = SLOT_SETTLED
	};
	struct message m2 = m;
	const struct trade_statement *list[] = { &forged };

	from(w, &w->t->escrow, &m, list, 1);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_RECEIPTED);
	list[0] = &real;
	from(w, &w->t->escrow, &m2, list, 1);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_DONE);
	assert_false(
		node_ops.may_fetch(w->node, &w->t->escrow.root.issuer, &w->result.cipher_digest));
	/* A late duplicate must not start anything anew. */
	assign(w);
	assert_int_equal(w->n_captures, 1);
	assert_int_equal(sent(w, MESSAGE_REFUSED)->message.code, REFUSED_ALREADY_ENDED);
	tick_until(w, TRADE_NOW + 400 * NS_PER_S);
	assert_int_equal(node_counts(w->node).n_rows, 0);
}

static void lost_receipt_takes_the_other_door(void **state)
{
	struct world *w = *state;
	bool escrow = false;

	assign(w);
	captured(w, 0);
	while (w->now_ns < TRADE_NOW + 40 * NS_PER_S) {
		w->now_ns = node_ops.wake_at(w->node);
		step(w, &(struct event){ .type = EVENT_TICK });

		const struct send *send = sent(w, MESSAGE_EVIDENCE);

		if (!send || !did_eq(&send->to, &w->t->escrow.root.issuer))
			continue;
		assert_true(w->now_ns >= TRADE_NOW + 30 * NS_PER_S);
		assert_int_equal(send->n_statements, 4);
		escrow = true;
	}
	assert_true(escrow);
}

static void restart_at_every_step(void **state)
{
	struct world *w = *state;

	assign(w);
	restart(w);
	assert_int_equal(w->n_captures, 2); /* nothing was signed: once more */
	assert_int_equal(w->capture.job.width, 640);
	captured(w, 0);

	restart(w);
	assert_int_equal(w->n_captures, 2);
	assert_int_equal(node_counts(w->node).sequence, 1);
	captured(w, -EIO); /* of the life before: nobody's */
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_COMMITTED);
}

static void stale_work(void **state)
{
	struct world *w = *state;

	assign(w);
	captured(w, 0);

	struct id evidence = sent(w, MESSAGE_EVIDENCE)->statements[0];

	restart(w);
	assign(w);
	assert_int_equal(w->n_captures, 1);
	/* The same evidence again, never another one. */
	assert_true(id_eq(&sent(w, MESSAGE_EVIDENCE)->statements[0], &evidence));
	trade_log(w->t, &evidence);
	receipt(w, &evidence);
	restart(w);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_RECEIPTED);
	assign(w);
	assert_true(id_eq(&sent(w, MESSAGE_EVIDENCE)->statements[0], &evidence));
	assert_int_equal(node_counts(w->node).sequence, 1);
}

static void failed_capture(void **state)
{
	struct world *w = *state;

	assign(w);
	captured(w, -EIO);

	struct id decline = sent(w, MESSAGE_DECLINE)->statements[0];

	assert_null(sent(w, MESSAGE_EVIDENCE));
	restart(w);
	assert_int_equal(w->n_captures, 1);
	assign(w);
	assert_true(id_eq(&sent(w, MESSAGE_DECLINE)->statements[0], &decline));
}

static void late_capture(void **state)
{
	struct world *w = *state;

	assign(w);
	tick_until(w, TRADE_NOW + 31 * NS_PER_S);
	captured(w, 0);
	assert_null(sent(w, MESSAGE_EVIDENCE));
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_DONE);
}

/* A device's words that no statement may hold. */
static void control_characters(void **state)
{
	struct world *w = *state;

	assign(w);
	strcpy(w->result.device, "bell\a");
	captured(w, 0);
	assert_non_null(sent(w, MESSAGE_DECLINE));
}

static void expect(struct world *w, enum refusal reason)
{
	assign(w);
	assert_int_equal(w->n_captures, 0);
	assert_non_null(sent(w, MESSAGE_DECLINE));
	for (size_t i = 0; i < w->fx.n; i++) {
		const struct effect *e = &w->fx.v[i];
		struct statement *st;

		if (e->type != EFFECT_PUT || e->row.table != TABLE_STATEMENT)
			continue;
		st = calloc(1, sizeof(*st));
		assert_int_equal(statement_decode(e->row.cells[3].b, st, NULL), REFUSED_NOT);
		assert_int_equal(st->body.answer.reason, reason);
		free(st);
	}
}

static void again(struct world *w)
{
	w->t->request_body.c.salt = SPAN(NULL, 0);
	trade_request(w->t);
	trade_assign(w->t, PRICE);
}

static void declines(void **state)
{
	struct world *w = *state;
	struct request original = w->t->request_body;
	struct request *r = &w->t->request_body;

#define CASE(change, reason) \
	do { \
		change; \
		again(w); \
		expect(w, (reason)); \
		*r = original; \
		tick_until(w, w->now_ns); \
	} while (0)
	CASE(r->kind = SPAN_STR("sound"), REFUSED_NODE_KIND_NOT_OFFERED);
	CASE(r->parameters.width = 4000, REFUSED_NODE_KIND_NOT_OFFERED);
	CASE(r->area.lat_e7 = 0, REFUSED_NODE_OUT_OF_AREA);
	CASE(r->sources = SOURCE_LIVE, REFUSED_NODE_SOURCE_REFUSED);
	CASE(r->pool[0] = w->t->stranger.root.issuer, REFUSED_NODE_PARTY_NOT_ACCEPTED);
	CASE(r->purpose = SPAN_STR("read a NUMBER plate"), REFUSED_NODE_DECLINED);
	CASE(r->persons_in_view = true, REFUSED_NODE_DECLINED);
	CASE(r->asset = SPAN_STR("EUR"), REFUSED_HOLD_MISMATCH);
#undef CASE
}

static void expect_assignment(struct world *w, struct assignment *a, enum refusal reason)
{
	w->t->assignment = trade_sign(w->t, &w->t->broker, STATEMENT_ASSIGNMENT, a);
	expect(w, reason);
}

static void wrong_money_and_challenge(void **state)
{
	struct world *w = *state;
	struct trade *t = w->t;
	struct assignment a = trade_assignment_body(t, PRICE);

	a.challenge.b[0] ^= 1;
	expect_assignment(w, &a, REFUSED_CHALLENGE_WRONG);
	a = trade_assignment_body(t, PRICE);
	a.checkpoint = SPAN_STR("assay/x\n0\n");
	expect_assignment(w, &a, REFUSED_RECEIPT_INVALID);
	a = trade_assignment_body(t, PRICE - 1);
	expect_assignment(w, &a, REFUSED_HOLD_MISMATCH);
	a = trade_assignment_body(t, PRICE);
	a.deliver_by_ns = TRADE_NOW + 121 * NS_PER_S; /* past the escrow's promise */
	expect_assignment(w, &a, REFUSED_HOLD_MISMATCH);
	trade_hold(t, PRICE - 1);
	a = trade_assignment_body(t, PRICE - 1);
	expect_assignment(w, &a, REFUSED_NODE_PRICE_TOO_LOW);
	trade_hold(t, PRICE);
	a = trade_assignment_body(t, PRICE);
	memset(&a.offering, 9, sizeof(a.offering));
	expect_assignment(w, &a, REFUSED_NODE_KIND_NOT_OFFERED);
}

static void strangers(void **state)
{
	struct world *w = *state;
	struct trade *t = w->t;
	struct assignment a = trade_assignment_body(t, PRICE);

	t->assignment = trade_sign(t, &t->stranger, STATEMENT_ASSIGNMENT, &a);
	assign(w);
	assert_int_equal(w->n_captures, 0);
	assert_null(sent(w, MESSAGE_DECLINE));
	assert_int_equal(sent(w, MESSAGE_REFUSED)->message.code, REFUSED_NOT_A_PARTY);
	a = trade_assignment_body(t, PRICE);
	a.commit_by_ns = TRADE_NOW;
	t->assignment = trade_sign(t, &t->broker, STATEMENT_ASSIGNMENT, &a);
	assign(w);
	assert_int_equal(sent(w, MESSAGE_REFUSED)->message.code, REFUSED_EVIDENCE_LATE);
	assert_int_equal(node_counts(w->node).n_rows, 0);
}

/* A broker that signs two assignments over one earmark gets work for one. */
static void one_earmark_one_work(void **state)
{
	struct world *w = *state;
	struct assignment a = trade_assignment_body(w->t, PRICE);

	assign(w);
	captured(w, 0);
	w->t->assignment = trade_sign(w->t, &w->t->broker, STATEMENT_ASSIGNMENT, &a);
	assign(w);
	assert_int_equal(w->n_captures, 1);
	assert_non_null(sent(w, MESSAGE_DECLINE));
}

static void both_doors_refuse(void **state)
{
	struct world *w = *state;

	assign(w);
	captured(w, 0);

	struct message m = { .message = MESSAGE_REFUSED,
		.target = sent(w, MESSAGE_EVIDENCE)->statements[0],
		.code = REFUSED_PEER_BUSY };
	struct message late = m;
	struct message late2 = m;

	from(w, &w->t->broker, &m, NULL, 0);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_COMMITTED);
	late.code = late2.code = REFUSED_EVIDENCE_LATE;
	from(w, &w->t->broker, &late, NULL, 0);
	step(w, &(struct event){ .type = EVENT_TICK });
	assert_true(did_eq(&sent(w, MESSAGE_EVIDENCE)->to, &w->t->escrow.root.issuer));
	from(w, &w->t->escrow, &late2, NULL, 0);
	assert_int_equal(node_state_of(w->node, &w->t->assignment.id), NODE_DONE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(happy_path),
		TEST(lost_receipt_takes_the_other_door),
		TEST(restart_at_every_step),
		TEST(stale_work),
		TEST(failed_capture),
		TEST(late_capture),
		TEST(control_characters),
		TEST(declines),
		TEST(wrong_money_and_challenge),
		TEST(strangers),
		TEST(one_earmark_one_work),
		TEST(both_doors_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
