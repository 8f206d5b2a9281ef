/* Which statements of a message need no signature check of their own, and that no others do. */
#include "market_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct market market;
static struct opened opened;
static uint8_t message_bytes[MESSAGE_MAX];

static int setup(void **state)
{
	(void)state;
	opened = (struct opened){ .courier = false };
	return market_init(&market);
}

static int teardown(void **state)
{
	(void)state;
	market_deinit(&market);
	return 0;
}

/* The same statement with its signature spoilt: the id stays, as it does not cover the signature. */
static struct span spoilt(const struct statement *s, uint8_t room[static COSE_MAX])
{
	memcpy(room, s->bytes.p, s->bytes.n);
	room[s->bytes.n - 1] ^= 1;
	return SPAN(room, s->bytes.n);
}

static enum refusal open_with(enum message_type type, struct span a, struct span b)
{
	struct message m = {
		.message = type, .number = 1, .statements = { a, b }, .n_statements = b.n ? 2 : 1
	};
	struct buf out = BUF(message_bytes);

	assert_true(message_encode(&m, &out));
	return message_open(buf_span(&out), market.keyring, NULL, NULL, &opened);
}

static struct statement *hold_by(const struct market_party *escrow, const struct id *request)
{
	struct hold hold = { .request = *request,
		.amounts = { { true, ACCOUNT_AVAILABLE, MARKET_PRICE } },
		.n_amounts = 1,
		.asset = SPAN_STR("XTS"),
		.until_ns = MARKET_START_NS,
		.sequence = 1 };
	static const uint8_t salt[16] = { 1 };

	hold.draw_commitment.b[0] = 1;
	hold.c = (struct common){
		.market = market.name, .salt = SPAN_OF(salt), .at_ns = market.now_ns
	};
	return market_sign(&market, escrow, STATEMENT_HOLD, &hold);
}

static void hold_speaks_for_its_request(void **state)
{
	static uint8_t room[2][COSE_MAX];
	struct request body = market_request(&market);
	struct statement *request = market_sign(&market, &market.buyer, STATEMENT_REQUEST, &body);
	struct span bad = spoilt(request, room[0]);
	struct id other = request->id;

	(void)state;
	other.b[0] ^= 1;
	assert_int_equal(open_with(MESSAGE_ASSIGN, bad, SPAN(NULL, 0)), REFUSED_COSE_SIGNATURE);
	assert_int_equal(
		open_with(MESSAGE_ASSIGN, bad, hold_by(&market.escrow, &request->id)->bytes),
		REFUSED_NOT);
	/* Another request's hold, another issuer's, and a hold that does not verify say nothing. */
	assert_int_equal(open_with(MESSAGE_ASSIGN, bad, hold_by(&market.escrow, &other)->bytes),
		REFUSED_COSE_SIGNATURE);
	assert_int_equal(
		open_with(MESSAGE_ASSIGN, bad, hold_by(&market.broker, &request->id)->bytes),
		REFUSED_COSE_SIGNATURE);
	assert_int_equal(open_with(MESSAGE_ASSIGN, bad,
				 spoilt(hold_by(&market.escrow, &request->id), room[1])),
		REFUSED_COSE_SIGNATURE);
	/* It was not remembered as verified. */
	assert_int_equal(open_with(MESSAGE_REQUEST, bad, SPAN(NULL, 0)), REFUSED_COSE_SIGNATURE);
}

static struct statement *verdict(void)
{
	struct request request = market_request(&market);
	struct statement *r = market_sign(&market, &market.buyer, STATEMENT_REQUEST, &request);
	struct statement *hold = hold_by(&market.escrow, &r->id);
	struct assignment a = market_assignment(&market, r, hold, NULL, &r->id);
	struct statement *assignment = market_sign(
		&market, &market.broker, STATEMENT_ASSIGNMENT, &a);
	struct span blob;
	struct evidence e = market_evidence(
		&market, assignment, SPAN_STR("plain"), JPEG_TYPE, &blob);
	struct statement *evidence = market_sign(&market, &market.nodes[0], STATEMENT_EVIDENCE, &e);
	struct verdict v = market_verdict(&market, evidence, &r->id, SPAN_STR("plain"), CHECK_PASS);

	return market_sign(&market, &market.verifiers[0], STATEMENT_VERDICT, &v);
}

static void courier_carries_outcomes_alone(void **state)
{
	static uint8_t room[COSE_MAX];
	struct span bad = spoilt(verdict(), room);

	(void)state;
	assert_int_equal(open_with(MESSAGE_OUTCOME, bad, SPAN(NULL, 0)), REFUSED_COSE_SIGNATURE);
	opened.courier = true;
	assert_int_equal(open_with(MESSAGE_OUTCOME, bad, SPAN(NULL, 0)), REFUSED_NOT);
	assert_int_equal(open_with(MESSAGE_VERDICT, bad, SPAN(NULL, 0)), REFUSED_COSE_SIGNATURE);
	/* What the courier acts on itself is verified. */
	struct request body = market_request(&market);

	bad = spoilt(market_sign(&market, &market.buyer, STATEMENT_REQUEST, &body), room);
	assert_int_equal(open_with(MESSAGE_OUTCOME, bad, SPAN(NULL, 0)), REFUSED_COSE_SIGNATURE);
}

static void note_is_remembered_by_all_of_it(void **state)
{
	struct proof_memory memory = { 0 };
	struct checkpoint checkpoint;
	struct id evidence = { { 7 } };
	struct span receipt;
	struct span note;
	const struct did *log = &market.broker.did;
	const uint8_t *key = market.broker.signer.public_key;
	uint8_t changed[1024];

	(void)state;
	market_receipt(&market, &market.broker, &evidence, &receipt, &note);

	uint64_t before = cose_counts().verifications;

	assert_int_equal(proof_checkpoint(&memory, note, log, key, &checkpoint), REFUSED_NOT);
	assert_int_equal(proof_checkpoint(&memory, note, log, key, &checkpoint), REFUSED_NOT);
	assert_int_equal(cose_counts().verifications, before + 1);
	assert_int_equal(checkpoint.size, 1);
	/* Another byte, log or key is another note. */
	memcpy(changed, note.p, note.n);
	changed[note.n - 5] ^= 1;
	assert_int_not_equal(
		proof_checkpoint(&memory, SPAN(changed, note.n), log, key, &checkpoint),
		REFUSED_NOT);
	assert_int_not_equal(
		proof_checkpoint(&memory, note, &market.other_broker.did, key, &checkpoint),
		REFUSED_NOT);
	assert_int_not_equal(proof_checkpoint(&memory, note, log,
				     market.other_broker.signer.public_key, &checkpoint),
		REFUSED_NOT);
}

static void inclusion_needs_no_receipts_signature(void **state)
{
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = { { 7 } } };
	struct entry other = { .type = ENTRY_EVIDENCE, .id = { { 8 } } };
	const uint8_t *key = market.broker.signer.public_key;
	const struct did *log = &market.broker.did;
	uint8_t changed[RECEIPT_MAX];
	struct span receipt;
	struct span note;

	(void)state;
	market_receipt(&market, &market.broker, &entry.id, &receipt, &note);
	memcpy(changed, receipt.p, receipt.n);
	changed[receipt.n - 1] ^= 1;

	struct span bad = SPAN(changed, receipt.n);

	assert_int_equal(proof_entry(NULL, receipt, note, log, key, &entry), REFUSED_NOT);
	assert_int_equal(proof_inclusion(NULL, bad, note, log, key, &entry), REFUSED_NOT);
	assert_int_equal(proof_entry(NULL, bad, note, log, key, &entry), REFUSED_RECEIPT_INVALID);
	assert_int_equal(
		proof_inclusion(NULL, receipt, note, log, key, &other), REFUSED_RECEIPT_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hold_speaks_for_its_request, setup, teardown),
		cmocka_unit_test_setup_teardown(courier_carries_outcomes_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(note_is_remembered_by_all_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			inclusion_needs_no_receipts_signature, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
