/* The buyer's core, and the bundle: nothing that was changed anywhere is believed. */
#include "buyer-sdk/src/buyer.h"
#include "tests/unit/trade_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

struct world {
	struct trade *t;
	struct buyer *buyer;
	struct effects fx;
	int64_t now_ns;
	uint8_t n_events;
	struct buyer_call call;
	struct buyer_result result;
	uint8_t big[40000];
};

static void step(struct world *w, struct event *event)
{
	event->now_ns = w->now_ns;
	memset(event->entropy, ++w->n_events, sizeof(event->entropy));
	effects_init(&w->fx);
	buyer_ops.step(w->buyer, event, &w->fx);
	buyer_ops.check(w->buyer);
	assert_false(w->fx.overflow);
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

static void call(struct world *w, enum buyer_call_kind kind, uint64_t ticket)
{
	struct work_result work = { .ticket = ticket, .kind = (int)kind, .detail = &w->call };

	step(w, &(struct event){ .type = EVENT_WORK, .work = &work });
}

static bool next(struct world *w)
{
	buyer_result_deinit(&w->result);
	return buyer_next_result(w->buyer, &w->result);
}

static void post(struct world *w)
{
	memcpy(w->call.statement, w->t->request.bytes.p, w->t->request.bytes.n);
	w->call.n_statement = w->t->request.bytes.n;
	w->call.request = w->t->request.id;
	call(w, BUYER_CALL_POST, 7);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct buyer_config config = { .n_encryption_secrets = 1 };

	w->t = trade_new();
	w->now_ns = TRADE_NOW;
	trade_request(w->t);
	trade_assign(w->t, 900000);
	config.author = w->t->buyer.author;
	memcpy(config.encryption_secrets[0], w->t->buyer.encryption_secret, 32);
	config.keyring = w->t->keyring;
	config.broker = w->t->broker.root.issuer;
	config.escrow = w->t->escrow.root.issuer;
	assert_int_equal(buyer_new(&config, &w->buyer), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	buyer_result_deinit(&w->result);
	buyer_free(w->buyer);
	trade_free(w->t);
	free(w);
	return 0;
}

static void bundle(struct world *w, bool inlined)
{
	const struct trade *t = w->t;
	const struct trade_statement *const all[] = { &t->request, &t->hold, &t->assignment,
		&t->evidence, &t->draw, &t->verdicts[0], &t->verdicts[1], &t->release,
		&t->settlement };
	struct message m = {
		.message = MESSAGE_BUNDLE,
		.request = t->request.id,
		.state = SLOT_SETTLED,
		.receipt = t->receipt,
		.note = t->note,
	};

	if (inlined)
		m.blob = t->ciphertext;
	from(w, &t->broker, &m, all, ARRAY_SIZE(all));
}

static void status(struct world *w, enum slot_state state)
{
	struct message m = { .message = MESSAGE_STATUS, .request = w->t->request.id };

	m.state = state;
	m.history[0] = (struct moment){ true, state, w->now_ns };
	m.n_history = 1;
	from(w, &w->t->broker, &m, NULL, 0);
}

static void happy_path(void **state)
{
	struct world *w = *state;

	post(w);
	assert_true(id_eq(&sent(w, MESSAGE_REQUEST)->statements[0], &w->t->request.id));
	assert_false(next(w));
	status(w, SLOT_ASSIGNED);
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_STATUS);
	assert_int_equal(w->result.state, SLOT_ASSIGNED);
	assert_int_equal(w->result.ticket, 7);
	status(w, SLOT_ASSIGNED);
	assert_false(next(w));
	trade_settle(w->t);
	bundle(w, true);
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_BUNDLE);
	assert_true(w->result.ended);
	assert_true(w->result.logged);
	assert_int_equal(w->result.tier, TIER_REPLAY);
	assert_int_equal(w->result.paid_micros, 900000);
	assert_string_equal(w->result.type, JPEG_TYPE);
	assert_int_equal(w->result.n_payload, w->t->plain.n);
	assert_memory_equal(w->result.payload, w->t->plain.p, w->t->plain.n);
	bundle(w, true); /* late: nobody waits for it */
	assert_false(next(w));
	assert_int_equal(buyer_ops.wake_at(w->buyer), INT64_MAX);
}

static void repeats_and_resumes(void **state)
{
	struct world *w = *state;

	post(w);
	for (size_t i = 0; i < 6; i++) {
		int64_t wait_ns = buyer_ops.wake_at(w->buyer) - w->now_ns;

		assert_true(wait_ns >= NS_PER_S && wait_ns <= 10 * NS_PER_S);
		w->now_ns += wait_ns;
		step(w, &(struct event){ .type = EVENT_TICK });
		assert_non_null(sent(w, MESSAGE_REQUEST));
	}
	status(w, SLOT_OPEN);
	step(w, &(struct event){ .type = EVENT_CONNECTED, .from = w->t->broker.root.issuer });
	step(w, &(struct event){ .type = EVENT_TICK });
	assert_non_null(sent(w, MESSAGE_QUERY));
	call(w, BUYER_CALL_CANCEL, 8);

	struct id cancel = sent(w, MESSAGE_CANCEL)->statements[0];

	call(w, BUYER_CALL_CANCEL, 8);
	assert_true(id_eq(&sent(w, MESSAGE_CANCEL)->statements[0], &cancel));
	status(w, SLOT_REFUNDED);
	assert_true(next(w));
	assert_true(w->result.ended);
}

static void refused(void **state)
{
	struct world *w = *state;
	struct message m = { .message = MESSAGE_REFUSED,
		.request = w->t->request.id,
		.code = REFUSED_EXCEEDS_AVAILABLE,
		.text = SPAN_STR("deposit first") };
	struct message again = m;

	post(w);
	from(w, &w->t->stranger, &m, NULL, 0);
	assert_false(next(w));
	from(w, &w->t->broker, &again, NULL, 0);
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_REFUSED);
	assert_int_equal(w->result.code, REFUSED_EXCEEDS_AVAILABLE);
	assert_string_equal(w->result.field, "deposit first");
	/* Somebody else's request is not posted. */
	w->t->request = trade_sign(w->t, &w->t->stranger, STATEMENT_REQUEST, &w->t->request_body);
	post(w);
	assert_null(sent(w, MESSAGE_REQUEST));
	assert_true(next(w));
	assert_int_equal(w->result.code, REFUSED_STATEMENT_ISSUER);
}

/* The answer to a cancel that came too late, twice as networks do, ends nothing but the cancel. */
static void cancel_refused_twice(void **state)
{
	struct world *w = *state;
	const struct message m = { .message = MESSAGE_REFUSED,
		.request = w->t->request.id,
		.code = REFUSED_CANCEL_TOO_LATE };
	struct message first = m;
	struct message again = m;

	post(w);
	status(w, SLOT_VERIFYING);
	assert_true(next(w));
	call(w, BUYER_CALL_CANCEL, 8);
	from(w, &w->t->broker, &first, NULL, 0);
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_REFUSED);
	assert_false(w->result.ended);
	from(w, &w->t->broker, &again, NULL, 0);
	assert_false(next(w));
	status(w, SLOT_REFUNDED);
	assert_true(next(w));
	assert_true(w->result.ended);
}

static void large_payload(void **state)
{
	struct world *w = *state;
	const struct work_pull *pull = NULL;
	struct work_result work = { .kind = WORK_PULL };

	memset(w->big, 3, sizeof(w->big));
	w->t->plain = SPAN_OF(w->big);
	trade_settle(w->t);
	post(w);
	bundle(w, false);
	for (size_t i = 0; i < w->fx.n; i++)
		if (w->fx.v[i].type == EFFECT_WORK) {
			pull = w->fx.v[i].work.detail;
			work.ticket = w->fx.v[i].work.ticket;
		}
	assert_non_null(pull);
	assert_int_equal(pull->size, w->t->ciphertext.n);
	work.status = -ETIMEDOUT;
	step(w, &(struct event){ .type = EVENT_WORK, .work = &work });
	assert_false(next(w));
	bundle(w, false);
	for (size_t i = 0; i < w->fx.n; i++)
		if (w->fx.v[i].type == EFFECT_WORK)
			work.ticket = w->fx.v[i].work.ticket;
	work.status = 0;
	work.detail = &w->t->ciphertext;
	step(w, &(struct event){ .type = EVENT_WORK, .work = &work });
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_BUNDLE);
	assert_int_equal(w->result.n_payload, sizeof(w->big));
}

static void another_purchase(void **state)
{
	struct world *w = *state;
	struct trade_statement mine = w->t->request;

	post(w);
	w->t->request_body.c.salt = SPAN(NULL, 0);
	trade_request(w->t);
	trade_assign(w->t, 900000);
	trade_settle(w->t);

	struct message m = { .message = MESSAGE_BUNDLE,
		.request = mine.id,
		.receipt = w->t->receipt,
		.note = w->t->note,
		.blob = w->t->ciphertext };
	const struct trade *t = w->t;
	const struct trade_statement *const all[] = { &t->request, &t->hold, &t->assignment,
		&t->evidence, &t->draw, &t->verdicts[0], &t->verdicts[1], &t->release,
		&t->settlement };

	from(w, &t->broker, &m, all, ARRAY_SIZE(all));
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_BAD_BUNDLE);
	assert_int_equal(w->result.code, REFUSED_EVIDENCE_MISMATCH);
	assert_false(w->result.ended);
}

static void wallet(void **state)
{
	struct world *w = *state;
	struct message m = { .message = MESSAGE_ACCOUNT };

	strcpy(w->call.asset, "XTS");
	w->call.amount_micros = 5;
	memset(w->call.operation, 4, 16);
	call(w, BUYER_CALL_DEPOSIT, 20);
	assert_int_equal(sent(w, MESSAGE_DEPOSIT)->message.amount_micros, 5);
	call(w, BUYER_CALL_BALANCE, 21);
	assert_null(sent(w, MESSAGE_BALANCE)); /* one after the other */
	m.operation = SPAN_OF(w->call.operation);
	m.balances[0] = (struct balance){ true, w->t->buyer.root.issuer, ACCOUNT_AVAILABLE,
		SPAN_STR("XTS"), 5 };
	m.n_balances = 1;

	struct message twice = m;

	from(w, &w->t->escrow, &m, NULL, 0);
	assert_non_null(sent(w, MESSAGE_BALANCE));

	struct id nonce = sent(w, MESSAGE_BALANCE)->message.target;

	assert_true(next(w));
	assert_int_equal(w->result.ticket, 20);
	assert_int_equal(w->result.account->balances[0].amount_micros, 5);
	from(w, &w->t->escrow, &twice, NULL, 0); /* the deposit's answer again is no balance */
	assert_false(next(w));

	struct message no = {
		.message = MESSAGE_REFUSED, .target = nonce, .code = REFUSED_ACCOUNT_UNKNOWN
	};

	from(w, &w->t->escrow, &no, NULL, 0);
	assert_true(next(w));
	assert_int_equal(w->result.code, REFUSED_ACCOUNT_UNKNOWN);
	assert_int_equal(w->result.ticket, 21);
}

/* An escrow that names no operation: the second answer to a repeated question is no deposit. */
static void wallet_without_echo(void **state)
{
	struct world *w = *state;

	call(w, BUYER_CALL_BALANCE, 30);
	w->now_ns = buyer_ops.wake_at(w->buyer);
	step(w, &(struct event){ .type = EVENT_TICK });
	assert_non_null(sent(w, MESSAGE_BALANCE));
	strcpy(w->call.asset, "XTS");
	w->call.amount_micros = 5;
	call(w, BUYER_CALL_DEPOSIT, 31);
	for (int i = 0; i < 3; i++) {
		struct message m = { .message = MESSAGE_ACCOUNT };

		from(w, &w->t->escrow, &m, NULL, 0);
		assert_int_equal(next(w), i != 1);
		if (i != 1)
			assert_int_equal(w->result.ticket, i == 0 ? 30 : 31);
	}
}

static enum refusal check_file(struct span file, struct statement *room, struct buf *plain)
{
	_cleanup_(keyring_freep) struct keyring *keyring = keyring_new(32);
	struct bundle_facts facts;
	struct bundle b;
	const char *link;
	enum refusal refusal = bundle_read(file, &b);

	if (refusal == REFUSED_NOT)
		refusal = bundle_check_links(&b, keyring, room, &facts, &link);
	if (refusal == REFUSED_NOT)
		refusal = bundle_extract(&b, &facts, plain, &link);
	return refusal;
}

static void every_byte_matters(void **state)
{
	struct world *w = *state;
	struct statement *room = calloc(MESSAGE_STATEMENTS_MAX, sizeof(*room));
	uint8_t bytes[1024];
	struct buf plain = BUF(bytes);

	trade_settle(w->t);
	post(w);
	bundle(w, true);
	assert_true(next(w));
	assert_int_equal(w->result.kind, BUYER_BUNDLE);
	assert_int_equal(
		check_file(SPAN(w->result.bundle, w->result.n_bundle), room, &plain), REFUSED_NOT);
	for (size_t i = 0; i < w->result.n_bundle; i++) {
		uint8_t flip = (uint8_t)(1u << (i % 8));

		plain.n = 0;
		w->result.bundle[i] ^= flip;
		if (check_file(SPAN(w->result.bundle, w->result.n_bundle), room, &plain) ==
			REFUSED_NOT)
			fail_msg("byte %zu of %zu does not matter", i, w->result.n_bundle);
		w->result.bundle[i] ^= flip;
	}
	free(room);
}

/* A bundle made of other parts than it was: what an insider could try who can sign. */
/* long: one forgery after the other, each against the same sale */
static void forged(void **state)
{
	struct world *w = *state;
	struct trade *t = w->t;
	struct statement *room = calloc(MESSAGE_STATEMENTS_MAX, sizeof(*room));
	struct bundle b;
	struct bundle good;
	struct bundle_facts facts;
	const char *link = NULL;

	trade_settle(t);
	post(w);
	bundle(w, true);
	assert_true(next(w));
	assert_int_equal(
		bundle_read(SPAN(w->result.bundle, w->result.n_bundle), &good), REFUSED_NOT);

	size_t last = good.n_statements - 1;

#define REFUSES(change, name) \
	do { \
		b = good; \
		change; \
		assert_int_not_equal( \
			bundle_check_links(&b, t->keyring, room, &facts, &link), REFUSED_NOT); \
		assert_string_equal(link, (name)); \
	} while (0)
	REFUSES(b.n_statements--, "settlement");
	REFUSES(b.statements[0] = b.statements[1], "keys");
	REFUSES((b.statements[last - 2] = good.statements[last - 3]), "settlement.verdicts");
	REFUSES((b.statements[last - 2] = good.statements[last - 3],
			b.statements[last - 3] = good.statements[last - 2]),
		"settlement.verdicts");
	REFUSES(b.statements[b.n_statements++] = t->settlement.bytes, "statements");
	REFUSES(b.receipt = b.note = SPAN(NULL, 0), "receipt");
	REFUSES(b.content_key = SPAN_OF(t->draw_secret), "content_key");
	REFUSES(b.ciphertext = SPAN(b.ciphertext.p, b.ciphertext.n - 1),
		"evidence.payload.cipher_digest");

	/* A settlement that loses a micro, and one that pays the node too little. */
	for (int i = 0; i < 2; i++) {
		struct statement *s = calloc(1, sizeof(*s));

		assert_int_equal(statement_decode(t->settlement.bytes, s, NULL), REFUSED_NOT);
		s->body.settlement.lines[0].amount_micros--;
		s->body.settlement.lines[4].amount_micros += i;

		struct trade_statement other = trade_sign(
			t, &t->escrow, STATEMENT_SETTLEMENT, &s->body.settlement);

		REFUSES(b.statements[last] = other.bytes, "settlement.lines");
		other = trade_sign(t, &t->broker, STATEMENT_SETTLEMENT, &s->body.settlement);
		REFUSES(b.statements[last] = other.bytes, "settlement");
		free(s);
	}

	/* An escrow that picks its own panel. */
	struct statement *s = calloc(1, sizeof(*s));

	assert_int_equal(statement_decode(t->draw.bytes, s, NULL), REFUSED_NOT);

	struct did first = s->body.draw.panel[0];

	s->body.draw.panel[0] = s->body.draw.panel[1];
	s->body.draw.panel[1] = first;

	struct trade_statement draw = trade_sign(t, &t->escrow, STATEMENT_DRAW, &s->body.draw);

	REFUSES(b.statements[last - 4] = draw.bytes, "draw.panel");
	s->body.draw.draw_secret.b[0] ^= 1;
	draw = trade_sign(t, &t->escrow, STATEMENT_DRAW, &s->body.draw);
	REFUSES(b.statements[last - 4] = draw.bytes, "draw.draw_secret");
	free(s);
	free(room);
}

static void unknown_key_in_the_file(void **state)
{
	struct world *w = *state;
	struct bundle b;

	trade_settle(w->t);
	post(w);
	bundle(w, true);
	assert_true(next(w));

	struct span file = SPAN(w->result.bundle, w->result.n_bundle);
	uint8_t *longer = malloc(file.n + 4);

	/* One more entry, of a key that nothing knows: {..., 60000: 0}. */
	memcpy(longer, file.p, file.n);
	memcpy(longer + file.n, "\x19\xea\x60\x00", 4);
	longer[0]++;
	assert_int_equal(bundle_read(SPAN(longer, file.n + 4), &b), REFUSED_BUNDLE_SHAPE);
	free(longer);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(happy_path),
		TEST(repeats_and_resumes),
		TEST(refused),
		TEST(cancel_refused_twice),
		TEST(large_payload),
		TEST(another_purchase),
		TEST(wallet),
		TEST(wallet_without_echo),
		TEST(every_byte_matters),
		TEST(forged),
		TEST(unknown_key_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
