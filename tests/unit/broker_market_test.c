/* The broker's core among many: offerings, matching, the log's batches, lists and limits. */
#include "tests/unit/broker_world.h"

#include "proto/tlog/proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

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

static void revisions(void **state)
{
	struct broker_world *w = *state;
	struct offering o = market_offering(&w->m, &w->m.nodes[0]);
	struct sale s;

	o.revision = 5;
	broker_world_offer(w, 0, &o);
	o.price_micros = MARKET_PRICE;
	broker_world_offer(w, 0, &o); /* another statement of the same number */
	assert_int_equal(broker_world_refusal(w), REFUSED_EXISTS_WITH_DIFFERENT_CONTENT);
	o.revision = 4;
	broker_world_offer(w, 0, &o);
	assert_int_equal(broker_world_refusal(w), REFUSED_STATEMENT_EXPIRED);
	o.revision = 6;
	o.price_micros = 0;
	broker_world_offer(w, 0, &o);
	assert_int_equal(broker_world_refusal(w), REFUSED_PRICE_NOT_POSITIVE);
	/* None of these took the fifth away. */
	broker_world_restart(w);
	sale_init(w, &s);
	sale_post(w, &s);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND)->message.price_micros,
		MARKET_PRICE * 8 / 10);
	o.price_micros = MARKET_PRICE / 2;
	broker_world_offer(w, 0, &o);
	assert_int_equal(broker_world_refusal(w), REFUSED_NOT);
	assert_int_equal(broker_counts(w->broker).offerings, 1);
	assert_int_equal(broker_world_count(w, BROKER_TABLE_OFFERING), 1);
	sale_init(w, &s);
	sale_post(w, &s);
	assert_int_equal(broker_world_sent(w, &w->m.escrow, MESSAGE_FUND)->message.price_micros,
		MARKET_PRICE / 2);
}

static void offering_of_another(void **state)
{
	struct broker_world *w = *state;
	struct offering o = market_offering(&w->m, &w->m.nodes[0]);
	struct statement *s = market_sign(&w->m, &w->m.nodes[0], STATEMENT_OFFERING, &o);

	(void)market_message(&w->m, MESSAGE_OFFER); /* ignored: nothing to fill in */
	market_attach(&w->m, s);
	broker_world_message(w, &w->m.nodes[1]);
	assert_int_equal(broker_world_refusal(w), REFUSED_STATEMENT_ISSUER);
	o.c.market = SPAN_STR("elsewhere");
	broker_world_offer(w, 0, &o);
	assert_int_equal(broker_world_refusal(w), REFUSED_STATEMENT_MARKET);
	assert_int_equal(broker_counts(w->broker).offerings, 0);
}

static void kinds_and_limits(void **state)
{
	struct broker_world *w = *state;
	static char kinds[BROKER_NODE_OFFERINGS_MAX + 1][8];
	struct sale s;
	struct message *m;
	size_t seen = 0;
	int64_t cursor = 0;

	for (size_t i = 0; i <= BROKER_NODE_OFFERINGS_MAX; i++)
		for (size_t node = 0; node < 2; node++) {
			struct offering o = market_offering(&w->m, &w->m.nodes[node]);

			kinds[i][0] = 'k';
			kinds[i][1] = (char)('a' + i);
			o.kind = SPAN_STR(kinds[i]);
			broker_world_offer(w, node, &o);
			assert_int_equal(broker_world_refusal(w),
				i < BROKER_NODE_OFFERINGS_MAX ? REFUSED_NOT
							      : REFUSED_TOO_MANY_REQUESTS);
		}
	assert_int_equal(broker_counts(w->broker).offerings, 2 * BROKER_NODE_OFFERINGS_MAX);
	broker_world_connect(w, 1, false);
	/* In pages, each offering once. */
	do {
		m = market_message(&w->m, MESSAGE_NODES);
		m->cursor = cursor;
		broker_world_message(w, &w->m.buyer);

		const struct send *page = broker_world_sent(w, &w->m.buyer, MESSAGE_OFFERINGS);

		for (size_t i = 0; i < page->n_statements; i++) {
			const struct statement *o = broker_world_statement(w, &page->statements[i]);

			assert_int_equal((page->message.connected >> i) & 1,
				did_eq(&o->issuer, &w->m.nodes[0].did));
		}
		seen += page->n_statements;
		cursor = page->message.cursor;
	} while (cursor != 0);
	assert_int_equal(seen, 2 * BROKER_NODE_OFFERINGS_MAX);
	m = market_message(&w->m, MESSAGE_NODES);
	m->cursor = INT64_MAX;
	broker_world_message(w, &w->m.buyer);
	assert_int_equal(broker_world_sent(w, &w->m.buyer, MESSAGE_OFFERINGS)->message.cursor, 0);

	w->restarts = true;
	sale_init(w, &s);
	s.body.kind = SPAN_STR("kc");
	sale_to(w, &s, SLOT_SETTLED);
	assert_int_equal(state_of(w, &s), SLOT_SETTLED);
}

static const struct market_party *chosen(struct broker_world *w)
{
	struct sale s;

	sale_init(w, &s);
	sale_post(w, &s);
	sale_fund(w, &s);
	return sale_take_assignment(w, &s) ? s.node : NULL;
}

static void which_node(void **state)
{
	struct broker_world *w = *state;
	struct offering o[2] = { market_offering(&w->m, &w->m.nodes[0]),
		market_offering(&w->m, &w->m.nodes[1]) };
	const struct market_party *first;

	broker_world_offer(w, 0, &o[0]);
	broker_world_offer(w, 1, &o[1]);
	/* The same place and price: in turns. */
	first = chosen(w);
	assert_true(chosen(w) != first);
	assert_true(chosen(w) == first);
	/* Cheaper in the same place; a new revision does not change whose turn it is. */
	o[1].revision = 2;
	o[1].price_micros--;
	broker_world_offer(w, 1, &o[1]);
	assert_true(chosen(w) == &w->m.nodes[1]);
	assert_true(chosen(w) == &w->m.nodes[1]);
	/* Nearer comes before cheaper. */
	o[1].revision = 3;
	o[1].cell.lat_e7 += 50000;
	broker_world_offer(w, 1, &o[1]);
	assert_true(chosen(w) == &w->m.nodes[0]);
	/* Who is gone is not asked. */
	broker_world_connect(w, 0, false);
	assert_true(chosen(w) == &w->m.nodes[1]);
	/* Too far, too dear, over, or another trade. */
	o[1].revision = 4;
	o[1].cell.lat_e7 += 900000;
	broker_world_offer(w, 1, &o[1]);
	assert_null(chosen(w));
	o[1].revision = 5;
	o[1].cell.lat_e7 = 523000000;
	o[1].price_micros = MARKET_PRICE + 1;
	broker_world_offer(w, 1, &o[1]);
	assert_null(chosen(w));
	o[1].revision = 6;
	o[1].price_micros = MARKET_PRICE;
	o[1].c.expires_ns = w->m.now_ns + NS_PER_S;
	broker_world_offer(w, 1, &o[1]);
	assert_true(chosen(w) == &w->m.nodes[1]);
	w->m.now_ns += NS_PER_S;
	assert_null(chosen(w));
}

/* A request that waits hears of a node that comes, and of one that comes back. */
static void open_requests_wake(void **state)
{
	struct broker_world *w = *state;
	struct offering other = market_offering(&w->m, &w->m.nodes[1]);
	struct sale s;

	other.kind = SPAN_STR("sound");
	broker_world_offer(w, 0, NULL);
	broker_world_connect(w, 0, false);
	sale_init(w, &s);
	sale_post(w, &s);
	sale_fund(w, &s);
	broker_world_pass(w, 3 * NS_PER_S);
	assert_true(broker_ops.wake_at(w->broker) > w->m.now_ns + 20 * NS_PER_S);
	broker_world_offer(w, 1, &other);
	assert_true(broker_ops.wake_at(w->broker) > w->m.now_ns);
	broker_world_connect(w, 0, true);
	assert_int_equal(broker_ops.wake_at(w->broker), w->m.now_ns);
	broker_world_wake(w);
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_ASSIGNED);

	struct offering late = market_offering(&w->m, &w->m.nodes[1]);

	broker_world_connect(w, 0, false);
	sale_init(w, &s);
	sale_post(w, &s);
	sale_fund(w, &s);
	broker_world_pass(w, 3 * NS_PER_S);
	broker_world_offer(w, 1, &late);
	broker_world_wake(w);
	sale_fund(w, &s);
	assert_int_equal(state_of(w, &s), SLOT_ASSIGNED);
}

static uint64_t size_of_note(const struct broker_world *w, struct span note, uint64_t least)
{
	struct checkpoint cp;

	assert_int_equal(
		proof_checkpoint(NULL, note, &w->m.broker.did, w->m.broker.signer.public_key, &cp),
		REFUSED_NOT);
	assert_true(cp.size >= least);
	return cp.size;
}

/* Two in one batch stand under one checkpoint; a challenge is made from the newest. */
static void the_log(void **state)
{
	struct broker_world *w = *state;
	struct sale s[3];
	struct span note[2] = { 0 };

	broker_world_offer(w, 0, NULL);
	for (size_t i = 0; i < 2; i++) {
		sale_init(w, &s[i]);
		sale_to(w, &s[i], SLOT_ASSIGNED);
		sale_capture(w, &s[i]);
		assert_int_equal(
			size_of_note(w, s[i].assignment->body.assignment.checkpoint, 0), 0);
	}
	w->open_batch = true;
	sale_give(w, &s[0], true);
	assert_null(broker_world_sent(w, &w->m.nodes[0], MESSAGE_RECEIPT));
	sale_give(w, &s[1], true);
	w->open_batch = false;
	broker_world_seal(w);
	for (size_t i = 0; i < w->n_sent; i++) {
		const struct message *m = &w->sent[i].message;

		if (m->message != MESSAGE_RECEIPT)
			continue;

		size_t which = id_eq(&m->target, &s[0].evidence->id) ? 0 : 1;
		struct entry entry = { .type = ENTRY_EVIDENCE, .id = m->target };

		note[which] = m->note;
		assert_int_equal(proof_entry(NULL, m->receipt, m->note, &w->m.broker.did,
					 w->m.broker.signer.public_key, &entry),
			REFUSED_NOT);
		entry.id = s[1 - which].evidence->id;
		assert_int_equal(proof_entry(NULL, m->receipt, m->note, &w->m.broker.did,
					 w->m.broker.signer.public_key, &entry),
			REFUSED_RECEIPT_INVALID);
	}
	assert_true(note[0].n > 0 && span_eq(note[0], note[1]));
	assert_int_equal(size_of_note(w, note[0], 2), 2);
	broker_world_restart(w);
	assert_int_equal(broker_counts(w->broker).log_size, 2);
	sale_init(w, &s[2]);
	sale_to(w, &s[2], SLOT_VERIFYING);
	assert_int_equal(size_of_note(w, s[2].assignment->body.assignment.checkpoint, 0), 2);
	assert_int_equal(broker_world_count(w, BROKER_TABLE_ENTRY), 3);
}

/* More evidence in one batch than one step's effects can answer. */
static void large_batch(void **state)
{
	enum { MANY = 60 };
	struct broker_world *w = *state;
	static struct sale s[MANY];

	broker_world_offer(w, 0, NULL);
	for (size_t i = 0; i < MANY; i++) {
		sale_init(w, &s[i]);
		sale_to(w, &s[i], SLOT_ASSIGNED);
		sale_capture(w, &s[i]);
	}
	w->open_batch = true;
	for (size_t i = 0; i < MANY; i++)
		sale_give(w, &s[i], true);
	broker_world_seal(w);
	w->open_batch = false;
	assert_int_equal(broker_world_count(w, BROKER_TABLE_RECEIPT), MANY);
	for (size_t i = 0; i < MANY; i += 7) {
		sale_give(w, &s[i], true);
		assert_non_null(broker_world_sent(w, &w->m.nodes[0], MESSAGE_RECEIPT));
	}
	broker_world_restart(w);
	assert_int_equal(broker_counts(w->broker).log_size, MANY);
}

/* A tree that is not the checkpoint's does not start. */
static void damaged_log(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct row row = { 0 };
	struct broker *broker;
	uint8_t *tree;

	broker_world_offer(w, 0, NULL);
	sale_init(w, &s);
	sale_to(w, &s, SLOT_VERIFYING);
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == BROKER_TABLE_LOG)
			row = w->rows[i];
	tree = (uint8_t *)row.cells[1].b.p;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(broker_new(&w->config, &broker), 0);
		assert_int_equal(broker_ops.load(broker, &row), i == 0 ? 0 : -EBADMSG);
		broker_free(broker);
		tree[row.cells[1].b.n - 1] ^= 1;
	}
}

static void lists(void **state)
{
	enum { MANY = MESSAGE_REQUESTS_MAX + 10 };
	struct broker_world *w = *state;
	static struct id posted[MANY];
	struct message *m;
	size_t at = MANY;
	int64_t cursor = 0;

	for (size_t i = 0; i < MANY; i++) {
		struct sale s;

		sale_init(w, &s);
		sale_post(w, &s);
		posted[i] = s.request->id;
		if (i % 3 == 0)
			sale_refuse(w, &s, REFUSED_EXCEEDS_AVAILABLE);
	}
	broker_world_restart(w);
	do {
		m = market_message(&w->m, MESSAGE_QUERY);
		m->cursor = cursor;
		broker_world_message(w, &w->m.buyer);

		const struct message *page =
			&broker_world_sent(w, &w->m.buyer, MESSAGE_REQUESTS)->message;

		for (size_t i = 0; i < page->n_requests; i++) {
			at--;
			assert_true(id_eq(&page->requests[i].request, &posted[at]));
			assert_int_equal(
				page->requests[i].state, at % 3 == 0 ? SLOT_LAPSED : SLOT_POSTED);
		}
		cursor = page->cursor;
	} while (cursor != 0);
	assert_int_equal(at, 0);
	m = market_message(&w->m, MESSAGE_QUERY);
	broker_world_message(w, &w->m.other_buyer);
	assert_int_equal(
		broker_world_sent(w, &w->m.other_buyer, MESSAGE_REQUESTS)->message.n_requests, 0);
}

/* Half of the table may be open; the other half remembers who ended last. */
static void full_table(void **state)
{
	struct broker_world *w = *state;
	struct sale s;
	struct sale first;
	size_t half = w->config.slots / 2;
	struct id open[128];

	assert_int_equal(half, ARRAY_SIZE(open));

	sale_init(w, &first);
	sale_post(w, &first);
	sale_refuse(w, &first, REFUSED_EXCEEDS_AVAILABLE);
	for (size_t i = 0; i < half; i++) {
		sale_init(w, &s);
		sale_post(w, &s);
		assert_int_equal(broker_world_refusal(w), REFUSED_NOT);
		open[i] = s.request->id;
	}
	sale_init(w, &s);
	sale_post(w, &s);
	assert_int_equal(broker_world_refusal(w), REFUSED_TOO_MANY_REQUESTS);
	assert_int_equal(broker_counts(w->broker).open_slots, half);
	broker_world_pass(w, 10 * NS_PER_S); /* all lapse, and are closed when the escrow says so */
	for (size_t i = 0; i < half; i++) {
		struct statement request = { .id = open[i] };

		s.request = &request;
		sale_refuse(w, &s, REFUSED_HOLD_UNKNOWN);
	}
	assert_int_equal(broker_counts(w->broker).open_slots, 0);
	for (size_t i = 0; i < half; i++) {
		sale_init(w, &s);
		sale_post(w, &s);
		sale_refuse(w, &s, REFUSED_EXCEEDS_AVAILABLE);
	}
	assert_int_equal(broker_counts(w->broker).requests, w->config.slots);
	broker_world_restart(w);
	assert_int_equal(broker_counts(w->broker).requests, w->config.slots);

	struct message *m = market_message(&w->m, MESSAGE_QUERY);

	m->request = s.request->id;
	broker_world_message(w, &w->m.buyer);
	assert_int_equal(broker_world_refusal(w), REFUSED_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(revisions, setup, teardown),
		cmocka_unit_test_setup_teardown(offering_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(kinds_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(which_node, setup, teardown),
		cmocka_unit_test_setup_teardown(open_requests_wake, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(large_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_log, setup, teardown),
		cmocka_unit_test_setup_teardown(lists, setup, teardown),
		cmocka_unit_test_setup_teardown(full_table, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
