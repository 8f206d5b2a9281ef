/* What the broker's core says no to, by name and without a trace. */
#include "tests/unit/broker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

static int setup(void **state)
{
	struct broker_world *w = calloc(1, sizeof(*w));

	broker_world_init(w);
	broker_world_offer(w, 0, NULL);
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

static void expect(const struct broker_world *w, enum refusal code)
{
	assert_string_equal(refusal_name(broker_world_refusal(w)), refusal_name(code));
	assert_int_equal(w->n_puts, 0);
	assert_int_equal(w->n_sent, 1);
}

static void other_market(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored: all of these have one form */
	r->c.market = SPAN_STR("elsewhere");
}

static void no_audience(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->c.n_audience = 1;
}

static void other_broker(struct broker_world *w, struct request *r)
{
	r->broker = w->m.other_broker.did;
}

static void other_escrow(struct broker_world *w, struct request *r)
{
	r->escrow = w->m.other_broker.did;
}

static void no_price(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->price_micros = 0;
}

static void small_total(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->max_total_micros = r->price_micros;
}

static void expired(struct broker_world *w, struct request *r)
{
	r->c.expires_ns = w->m.now_ns;
}

static void too_short(struct broker_world *w, struct request *r)
{
	r->c.expires_ns = w->m.now_ns + 300 * NS_PER_S;
}

static void tracking(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->purpose = SPAN_STR("Follow that man");
}

static void small_pool(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->panel_n = 5;
}

static void several(struct broker_world *w, struct request *r)
{
	(void)w; /* ignored */
	r->slots = 3;
}

/* Which rule is which in full: rules_test.c. Here: that they are asked, and leave nothing. */
static void requests(void **state)
{
	static const struct {
		void (*spoil)(struct broker_world *w, struct request *r);
		enum refusal code;
	} cases[] = {
		{ other_market, REFUSED_STATEMENT_MARKET },
		{ no_audience, REFUSED_STATEMENT_AUDIENCE },
		{ other_broker, REFUSED_STATEMENT_AUDIENCE },
		{ other_escrow, REFUSED_STATEMENT_AUDIENCE },
		{ no_price, REFUSED_PRICE_NOT_POSITIVE },
		{ small_total, REFUSED_MAX_TOTAL_TOO_SMALL },
		{ expired, REFUSED_REQUEST_EXPIRED },
		{ too_short, REFUSED_HOLD_TOO_SHORT },
		{ tracking, REFUSED_PERSON_TRACKING },
		{ small_pool, REFUSED_POOL_TOO_SMALL },
		{ several, REFUSED_QUORUM_NOT_SERVED },
	};
	struct broker_world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sale s;

		sale_init(w, &s);
		cases[i].spoil(w, &s.body);
		sale_post(w, &s);
		expect(w, cases[i].code);
		assert_true(id_eq(&w->sent[0].message.request, &s.request->id));
		assert_int_equal(broker_counts(w->broker).requests, 0);
	}
}

/* A node that was shown a request, and whoever else has its bytes. */
static void request_by_another(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	sale_init(w, &s);
	s.request = market_sign(&w->m, &w->m.buyer, STATEMENT_REQUEST, &s.body);
	for (int i = 0; i < 2; i++) {
		(void)market_message(&w->m, MESSAGE_REQUEST); /* ignored: nothing to fill in */
		market_attach(&w->m, s.request);
		broker_world_message(w, &w->m.nodes[0]);
		expect(w, REFUSED_STATEMENT_ISSUER);
		if (i == 0)
			sale_post(w, &s);
		assert_int_equal(broker_counts(w->broker).requests, 1);
		if (i == 1)
			assert_int_equal(state_of(w, &s), SLOT_POSTED);
	}
}

static void query_by_a_stranger(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct message *m;

	sale_init(w, &s);
	sale_post(w, &s);
	m = market_message(&w->m, MESSAGE_QUERY);
	m->request = s.request->id;
	broker_world_message(w, &w->m.other_buyer);
	expect(w, REFUSED_NOT_A_PARTY);
	m->request.b[0] ^= 1;
	broker_world_message(w, &w->m.buyer);
	expect(w, REFUSED_REQUEST_UNKNOWN);
	/* Nor may a stranger speak for the escrow. */
	m = market_message(&w->m, MESSAGE_REFUSED);
	m->request = s.request->id;
	m->code = REFUSED_EXCEEDS_AVAILABLE;
	broker_world_message(w, &w->m.other_buyer);
	assert_int_equal(w->n_puts + w->n_sent, 0);
	sale_refuse(w, &s, REFUSED_EXCEEDS_AVAILABLE);
	assert_int_equal(state_of(w, &s), SLOT_LAPSED);
	assert_int_equal(broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS)->message.code,
		REFUSED_EXCEEDS_AVAILABLE);
}

static void give(struct broker_world *w, struct sale *s, const struct evidence *e, struct span blob,
	int64_t size, const struct market_party *by)
{
	struct message *m = market_message(&w->m, MESSAGE_EVIDENCE);

	m->blob = blob;
	m->size = size;
	market_attach(&w->m, market_sign(&w->m, by, STATEMENT_EVIDENCE, (struct evidence *)e));
	broker_world_message(w, by);
	(void)s; /* ignored: the evidence says whose it is */
}

static void evidence(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct evidence good;
	struct evidence e;

	sale_init(w, &s);
	sale_to(w, &s, SLOT_ASSIGNED);
	good = market_evidence(&w->m, s.assignment, SPAN_STR("lake"), "image/jpeg", &s.blob);
#define CASE(change, blob, size, by, code) \
	do { \
		e = good; \
		change; \
		give(w, &s, &e, (blob), (size), (by)); \
		expect(w, (code)); \
		assert_int_equal(state_of(w, &s), SLOT_ASSIGNED); \
	} while (0)
	const struct market_party *node = &w->m.nodes[0];
	struct span none = { 0 };
	struct span half = SPAN(s.blob.p, s.blob.n - 1);
	static uint8_t big[PAYLOAD_INLINE_MAX + 1];

	CASE(e.challenge.b[0] ^= 1, s.blob, 0, node, REFUSED_CHALLENGE_WRONG);
	CASE(e.assignment.b[0] ^= 1, s.blob, 0, node, REFUSED_EVIDENCE_MISMATCH);
	CASE(e.request.b[0] ^= 1, s.blob, 0, node, REFUSED_REQUEST_UNKNOWN);
	CASE(e.c.market = SPAN_STR("elsewhere"), s.blob, 0, node, REFUSED_STATEMENT_MARKET);
	CASE(e.payload.cipher_digest.b[0] ^= 1, s.blob, 0, node, REFUSED_PAYLOAD_DIGEST);
	CASE(e.payload.size++, s.blob, 0, node, REFUSED_PAYLOAD_SIZE);
	CASE(, half, 0, node, REFUSED_PAYLOAD_SIZE);
	CASE(, none, 0, node, REFUSED_PAYLOAD_SIZE);
	CASE(, none, (int64_t)s.blob.n + 1, node, REFUSED_PAYLOAD_SIZE);
	CASE(e.payload.size = sizeof(big) - 16, SPAN(big, sizeof(big)), 0, node,
		REFUSED_PAYLOAD_SIZE);
	CASE(, s.blob, 0, &w->m.nodes[1], REFUSED_NOT_A_PARTY);
#undef CASE
	w->m.now_ns += 60 * NS_PER_S + 1;
	give(w, &s, &good, s.blob, 0, node);
	expect(w, REFUSED_EVIDENCE_LATE);
	w->m.now_ns -= 1;
	give(w, &s, &good, s.blob, 0, node);
	assert_int_equal(state_of(w, &s), SLOT_VERIFYING);
	good.sequence = 2;
	give(w, &s, &good, s.blob, 0, node);
	expect(w, REFUSED_EVIDENCE_TWICE);
}

/* The node's own signature under somebody else's connection. */
static void evidence_of_another(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct message *m;

	sale_init(w, &s);
	sale_to(w, &s, SLOT_ASSIGNED);
	sale_capture(w, &s);
	m = market_message(&w->m, MESSAGE_EVIDENCE);
	m->blob = s.blob;
	market_attach(&w->m, s.evidence);
	broker_world_message(w, &w->m.nodes[1]);
	expect(w, REFUSED_NOT_A_PARTY);
	(void)market_message(&w->m, MESSAGE_EVIDENCE); /* ignored: nothing in it */
	broker_world_message(w, &w->m.nodes[0]);
	expect(w, REFUSED_MESSAGE_SHAPE);
}

/* Another request's ciphertext under a new name. */
static void evidence_seen_before(void **state)
{
	struct broker_world *w = *state;
	struct sale first;
	struct sale second;
	struct evidence e;

	sale_init(w, &first);
	sale_to(w, &first, SLOT_VERIFYING);
	sale_init(w, &second);
	sale_to(w, &second, SLOT_ASSIGNED);
	e = market_evidence(&w->m, second.assignment, SPAN_STR("a picture of a lake"), "image/jpeg",
		&second.blob);
	e.payload.cipher_digest = first.evidence->body.evidence.payload.cipher_digest;
	give(w, &second, &e, first.blob, 0, second.node);
	expect(w, REFUSED_SEEN_BEFORE);
	assert_true(broker_ops.may_fetch(w->broker, &w->m.escrow.did, &e.payload.cipher_digest));
}

/* Only the drawn verifiers get the ciphertext, and only with this evidence's draw. */
static void fetch_by_ticket(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct sale shown;
	const struct id *digest;

	sale_init(w, &s);
	sale_to(w, &s, SLOT_VERIFYING);
	shown = s;
	sale_outcome(w, &shown, SLOT_SETTLED, BASIS_VERDICTS, 0);
	digest = &s.evidence->body.evidence.payload.cipher_digest;
	for (size_t i = 0; i < 2; i++) {
		struct message *m = market_message(&w->m, MESSAGE_FETCH);

		m->target = *digest;
		market_attach(&w->m, shown.draw);
		assert_false(broker_ops.may_fetch(w->broker, &w->m.verifiers[i].did, digest));
		broker_world_message(w, &w->m.verifiers[i]);
		assert_int_equal(
			broker_ops.may_fetch(w->broker, &w->m.verifiers[i].did, digest), i == 0);
	}
}

static void cancels(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct claim c;

	/* POSTED: once the money is there, it goes back; the node is never asked. */
	sale_init(w, &s);
	sale_post(w, &s);
	c = market_cancel(&w->m, &s.request->id);
	(void)market_message(&w->m, MESSAGE_CANCEL); /* ignored: nothing to fill in */
	market_attach(&w->m, market_sign(&w->m, &w->m.other_buyer, STATEMENT_CANCEL, &c));
	broker_world_message(w, &w->m.other_buyer);
	expect(w, REFUSED_NOT_A_PARTY);
	sale_cancel(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_POSTED);
	broker_world_pass(w, 2 * NS_PER_S);
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	assert_null(broker_world_sent(w, &w->m.nodes[0], MESSAGE_ASSIGN));
	assert_int_equal(
		broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE)->message.state, BASIS_CANCELLED);
	/* Again: the same answer, one effect. */
	sale_cancel(w, &s);
	assert_int_equal(w->n_puts, 0);
	assert_non_null(broker_world_sent(w, &w->m.buyer, MESSAGE_STATUS));
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_CANCELLED, 0);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDED);
	sale_cancel(w, &s);
	assert_int_equal(broker_world_refusal(w), REFUSED_NOT);

	/* ASSIGNED: late, and evidence that comes after it is, too. */
	sale_init(w, &s);
	sale_to(w, &s, SLOT_ASSIGNED);
	sale_cancel(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_CLOSE)->n_statements, 2);
	sale_capture(w, &s);
	sale_give(w, &s, true);
	expect(w, REFUSED_EVIDENCE_LATE);
	/* The node had given its evidence to the escrow before. */
	sale_refuse(w, &s, REFUSED_CANCEL_TOO_LATE);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	s.own_door = true;
	sale_outcome(w, &s, SLOT_SETTLED, BASIS_VERDICTS, 0);
	assert_non_null(broker_world_sent(w, &w->m.buyer, MESSAGE_BUNDLE));

	/* VERIFYING: too late. */
	sale_init(w, &s);
	sale_to(w, &s, SLOT_VERIFYING);
	sale_cancel(w, &s);
	expect(w, REFUSED_CANCEL_TOO_LATE);
	sale_outcome(w, &s, SLOT_SETTLED, BASIS_VERDICTS, 0);
	sale_cancel(w, &s);
	expect(w, REFUSED_ALREADY_ENDED);

	/* OPEN: nobody to pay. */
	broker_world_connect(w, 0, false);
	sale_init(w, &s);
	sale_post(w, &s);
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_OPEN);
	sale_cancel(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
}

static void escrow_refusals(void **state)
{
	struct broker_world *w = *state;
	struct sale s;

	/* What passes is asked again. */
	sale_init(w, &s);
	sale_to(w, &s, SLOT_VERIFYING);
	sale_refuse(w, &s, REFUSED_PEER_BUSY);
	sale_refuse(w, &s, REFUSED_STATEMENT_FROM_FUTURE);
	assert_int_equal(state_of(w, &s), SLOT_VERIFYING);
	sale_refuse(w, &s, REFUSED_RECEIPT_INVALID);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);
	/* A CLOSE that is refused stays a CLOSE. */
	sale_refuse(w, &s, REFUSED_EARMARK_LIVE);
	assert_int_equal(state_of(w, &s), SLOT_REFUNDING);

	/* A settlement of somebody else's, for another request or of another end. */
	struct sale other;

	sale_init(w, &other);
	sale_post(w, &other);
	other.settlement = NULL;
	sale_outcome(w, &other, SLOT_REFUNDED, BASIS_EXPIRED, 0);
	s.settlement = other.settlement;
	sale_outcome(w, &s, SLOT_REFUNDED, BASIS_EXPIRED, 0);
	assert_int_equal(w->n_puts + w->n_sent, 0);
	s.settlement = NULL;

	/* An offering that the escrow does not take is not the request's fault. */
	struct offering dear = market_offering(&w->m, &w->m.nodes[1]);

	dear.price_micros = MARKET_PRICE;
	broker_world_offer(w, 1, &dear);
	sale_init(w, &s);
	sale_post(w, &s);
	sale_refuse(w, &s, REFUSED_STATEMENT_EXPIRED);
	assert_int_equal(state_of(w, &s), SLOT_POSTED);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND)->message.price_micros,
		MARKET_PRICE);
	sale_refuse(w, &s, REFUSED_STATEMENT_EXPIRED);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND)->n_statements, 1);
	sale_refuse(w, &s, REFUSED_STATEMENT_EXPIRED);
	assert_int_equal(state_of(w, &s), SLOT_LAPSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests, setup, teardown),
		cmocka_unit_test_setup_teardown(request_by_another, setup, teardown),
		cmocka_unit_test_setup_teardown(query_by_a_stranger, setup, teardown),
		cmocka_unit_test_setup_teardown(evidence, setup, teardown),
		cmocka_unit_test_setup_teardown(evidence_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(evidence_seen_before, setup, teardown),
		cmocka_unit_test_setup_teardown(fetch_by_ticket, setup, teardown),
		cmocka_unit_test_setup_teardown(cancels, setup, teardown),
		cmocka_unit_test_setup_teardown(escrow_refusals, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
