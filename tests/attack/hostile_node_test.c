/*
 * A node that cheats, against a real market: evidence with the wrong challenge, of another
 * assignment, by somebody else, with another payload, a second time, too late, or with a payload
 * that is not what was asked for. Each is refused by name or fails its verdict; the node is never
 * paid and the buyer's money comes back.
 */
#include "proto/base/sha256.h"
#include "proto/os/entropy.h"
#include "proto/seal/seal.h"
#include "proto/statement/payload.h"
#include "tests/attack/stranger.h"
#include "tests/integration/purchase.h"

#define DEPOSIT 10000000
#define LAT_E7  100050000
#define LON_E7  200050000

static struct market market;
static struct stranger cheat;
static struct stranger other; /* another node, that was not asked */
static assay_t *buyer;
static assay_t *purse; /* of the cheat */

/* What the cheat was told. */
struct job {
	struct id request;
	struct id assignment;
	struct id challenge;
	uint8_t content_key[SEAL_KEY];
	struct span blob; /* ciphertext */
};

static void offer(struct stranger *s, int64_t price_micros)
{
	struct offering o = {
		.c = stranger_common(s),
		.revision = 1,
		.kind = SPAN_STR(KIND_VOLTAGE_DC),
		.cell = { .present = true, .lat_e7 = LAT_E7, .lon_e7 = LON_E7, .radius_m = 800 },
		.price_micros = price_micros,
		.asset = SPAN_STR("XTS"),
		.brokers = { market.broker_contact.did },
		.n_brokers = 1,
		.escrows = { market.escrow_contact.did },
		.n_escrows = 1,
		.accepts = { SPAN_STR(CHECK_DECODES), SPAN_STR(CHECK_PLACE),
			SPAN_STR(CHECK_UNIT_RANGE) },
		.n_accepts = 3,
		.assign_without_asking = true,
		.sources = SOURCE_LIVE,
	};
	struct id id;

	assert_int_equal(
		did_parse(SPAN_STR(market.verifier_dids[0]), &o.verifiers[o.n_verifiers++]), 0);
	stranger_give(s, MESSAGE_OFFER, stranger_sign(s, STATEMENT_OFFERING, &o, &id));
	(void)stranger_await(s, MESSAGE_OFFERED); /* ignored: that it came */
}

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	buyer = purchase_open(&market, "buyer");
	purchase_deposit(buyer, DEPOSIT);
	stranger_init(&cheat, &market, "cheat");
	stranger_init(&other, &market, "other");
	purse = purchase_open(&market, "cheat");
	stranger_join(&cheat, &market.broker_contact, ROLE_NODE);
	stranger_join(&other, &market.broker_contact, ROLE_NODE);
	offer(&cheat, 40000);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	assay_close(purse);
	assay_close(buyer);
	stranger_deinit(&other);
	stranger_deinit(&cheat);
	return market_stop(&market);
}

static assay_buy_options_t wanted(void)
{
	assay_buy_options_t want = purchase_measurement();

	want.lat_e7 = LAT_E7;
	want.lon_e7 = LON_E7;
	want.attempts = 1;
	return want;
}

static struct job await_job(const char *id)
{
	struct job job = { 0 };
	struct id request;

	assert_int_equal(id_parse(SPAN_STR(id), &request), 0);
	do
		(void)stranger_await(&cheat, MESSAGE_ASSIGN); /* ignored: opened has it */
	while (!id_eq(&message_find(cheat.opened, STATEMENT_ASSIGNMENT)->body.assignment.request,
		&request));

	const struct statement *a = message_find(cheat.opened, STATEMENT_ASSIGNMENT);

	job.request = request;
	job.assignment = a->id;
	job.challenge = a->body.assignment.challenge;
	entropy_fill(job.content_key, sizeof(job.content_key));
	return job;
}

static struct span room_for(struct stranger *s, size_t n)
{
	void *p = buf_alloc(&s->out, n);

	assert_non_null(p);
	return SPAN(p, n);
}

static struct buf room_buf(struct stranger *s, size_t n)
{
	struct span room = room_for(s, n);

	return buf_over((void *)(uintptr_t)room.p, n);
}

static struct span measured(struct stranger *s, int64_t at_ns)
{
	struct buf out = room_buf(s, 512);
	struct measurement m = {
		.present = true,
		.quantity = SPAN_STR("voltage-dc"),
		.unit = SPAN_STR("V"),
		.mantissa = 5,
		.raw = SPAN_STR("5"),
		.identity = SPAN_STR("CHEAT"),
		.error_queue = SPAN_STR("0,\"No error\""),
		.at_ns = at_ns,
	};

	assert_int_equal(schema_encode(&measurement_schema, &m, &out, NULL), REFUSED_NOT);
	return buf_span(&out);
}

/* Evidence that breaks nothing: plain, sealed for the job's assignment and the escrow, and the
 * claim to stand in the middle of the area. */
static struct evidence honest(struct stranger *s, struct job *job, struct span plain)
{
	struct seal_bound bound = { .request = job->request, .subject = job->assignment };
	struct seal_context context = {
		.request = job->request,
		.scope = job->assignment,
		.recipient = market.escrow_contact.did,
	};
	struct buf blob = room_buf(s, seal_size(plain.n));
	struct buf wrapped = room_buf(s, SEAL_WRAPPED);
	struct buf claims_plain = room_buf(s, 512);
	struct buf claims = room_buf(s, 512 + SEAL_SMALL_EXTRA);
	uint8_t random[64];
	struct evidence e = { .c = stranger_common(s) };
	struct claims c = {
		.present = true,
		.plain_salt = e.c.salt,
		.place = { .present = true, .lat_e7 = LAT_E7, .lon_e7 = LON_E7, .radius_m = 10 },
		.accuracy_m = 10,
		.at_ns = e.c.at_ns,
	};

	entropy_fill(random, sizeof(random));
	assert_true(seal_content(job->content_key, random, &bound, plain, &blob));
	assert_true(seal_wrap(job->content_key, market.escrow_contact.encryption_key, random + 16,
		&context, &wrapped));
	assert_int_equal(schema_encode(&claims_schema, &c, &claims_plain, NULL), REFUSED_NOT);
	assert_true(seal_small(SEAL_CLAIMS, job->content_key, random + 48, &bound,
		buf_span(&claims_plain), &claims));
	job->blob = buf_span(&blob);
	e.c.audience[e.c.n_audience++] = market.broker_contact.did;
	e.c.audience[e.c.n_audience++] = market.escrow_contact.did;
	e.request = job->request;
	e.assignment = job->assignment;
	e.challenge = job->challenge;
	e.sequence = 1;
	e.start_ns = e.c.at_ns;
	e.end_ns = e.c.at_ns;
	e.uncertainty_ns = NS_PER_MS;
	e.source = SOURCE_LIVE;
	e.device = SPAN_STR("cheat");
	e.pipeline = SPAN_STR("none");
	e.payload = (struct payload){
		.present = true,
		.type = SPAN_STR(MEASUREMENT_TYPE),
		.size = (int64_t)plain.n,
		.plain_digest = SHA256(c.plain_salt, plain),
		.cipher_digest = SHA256(job->blob),
		.algorithm = SPAN_STR("assay-content-v1"),
		.wrapped_key = buf_span(&wrapped),
	};
	e.claims = buf_span(&claims);
	e.final = true;
	return e;
}

/* Signed by `signer`, sent by `sender`. */
static void bring(
	struct stranger *sender, struct stranger *signer, struct evidence *e, struct span blob)
{
	_cleanup_(freep) struct message *m = calloc(1, sizeof(*m));
	struct id id;

	assert_non_null(m);
	m->message = MESSAGE_EVIDENCE;
	if (sender != signer)
		m->statements[m->n_statements++] = identity_keys(&signer->identity);
	m->statements[m->n_statements++] = stranger_sign(signer, STATEMENT_EVIDENCE, e, &id);
	m->blob = blob;
	m->size = (int64_t)blob.n;
	stranger_send_message(sender, m);
}

static void check_unpaid(int64_t before, const char *id, const char *reason, int64_t cost)
{
	assay_result_t *result = purchase_wait(buyer, id, ASSAY_REFUNDED);

	assert_string_equal(assay_result_state(result), "REFUNDED");
	assert_string_equal(assay_status_name(assay_result_reason(result)), reason);
	assert_int_equal(assay_result_payload(result, &(const uint8_t *){ NULL }, &(size_t){ 0 }),
		ASSAY_UNKNOWN_REQUEST);
	assay_result_free(result);
	assert_int_equal(purchase_balance(buyer, "available"), before - cost);
	assert_int_equal(purchase_balance(buyer, "held"), 0);
	assert_int_equal(purchase_balance(purse, "available"), 0);
}

static void test_at_the_door(void **state)
{
	assay_buy_options_t want = wanted();
	int64_t before = purchase_balance(buyer, "available");
	char id[ASSAY_ID_SIZE];
	uint8_t spoilt[2048];
	struct evidence e, good;
	struct job job;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	purchase_post(buyer, &want, id);
	job = await_job(id);
	good = honest(&cheat, &job, measured(&cheat, 1));

	e = good;
	e.challenge.b[7] ^= 1;
	bring(&cheat, &cheat, &e, job.blob);
	stranger_refused(&cheat, REFUSED_CHALLENGE_WRONG);
	e = good;
	e.assignment.b[0] ^= 1;
	bring(&cheat, &cheat, &e, job.blob);
	stranger_refused(&cheat, REFUSED_EVIDENCE_MISMATCH);
	e = good;
	e.request.b[0] ^= 1;
	bring(&cheat, &cheat, &e, job.blob);
	stranger_refused(&cheat, REFUSED_REQUEST_UNKNOWN);

	assert_true(job.blob.n <= sizeof(spoilt));
	memcpy(spoilt, job.blob.p, job.blob.n);
	spoilt[job.blob.n - 1] ^= 1;
	e = good;
	bring(&cheat, &cheat, &e, SPAN(spoilt, job.blob.n));
	stranger_refused(&cheat, REFUSED_PAYLOAD_DIGEST);
	e = good;
	bring(&cheat, &cheat, &e, SPAN(spoilt, job.blob.n - 1));
	stranger_refused(&cheat, REFUSED_PAYLOAD_SIZE);
	e = good;
	e.payload.size++;
	bring(&cheat, &cheat, &e, job.blob);
	stranger_refused(&cheat, REFUSED_PAYLOAD_SIZE);

	/* Another's evidence, brought by the one who was asked, and by the other himself. */
	e = good;
	bring(&cheat, &other, &e, job.blob);
	stranger_refused(&cheat, REFUSED_NOT_A_PARTY);
	e = good;
	bring(&other, &other, &e, job.blob);
	stranger_refused(&other, REFUSED_NOT_A_PARTY);

	/* Well-formed evidence of something that is no measurement, and then better evidence. */
	e = honest(&cheat, &job, SPAN_STR("five volts, more or less"));
	bring(&cheat, &cheat, &e, job.blob);
	(void)stranger_await(&cheat, MESSAGE_RECEIPT); /* ignored: that it came */
	good = honest(&cheat, &job, measured(&cheat, 2));
	bring(&cheat, &cheat, &good, job.blob);
	do
		assert_int_not_equal(stranger_next(&cheat), 0);
	while (cheat.opened->message.message != MESSAGE_REFUSED);
	/* The request may have ended by then; either way it is not taken. */
	assert_true(cheat.opened->message.code == REFUSED_EVIDENCE_TWICE ||
		    cheat.opened->message.code == REFUSED_EVIDENCE_LATE ||
		    cheat.opened->message.code == REFUSED_REQUEST_UNKNOWN);
	/* The verifier has worked: 3 % of 0.04. */
	check_unpaid(before, id, "MEDIA_UNDECODABLE", 1200);
	market_end(&market);
}

/* A key that does not open the payload: nobody could check it. */
static void test_wrong_key(void **state)
{
	assay_buy_options_t want = wanted();
	int64_t before = purchase_balance(buyer, "available");
	char id[ASSAY_ID_SIZE];
	struct evidence e;
	struct job job, locked;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	purchase_post(buyer, &want, id);
	job = await_job(id);
	locked = job;
	locked.content_key[0] ^= 1;
	e = honest(&cheat, &job, measured(&cheat, 3));

	struct evidence under_other = honest(&cheat, &locked, measured(&cheat, 3));

	/* The ciphertext under one key, the other wrapped. */
	e.payload.cipher_digest = under_other.payload.cipher_digest;
	bring(&cheat, &cheat, &e, locked.blob);
	(void)stranger_await(&cheat, MESSAGE_RECEIPT); /* ignored: that it came */
	check_unpaid(before, id, "PAYLOAD_KEY", 1200);
	market_end(&market);
}

/* The claimed place is elsewhere: the verdict says so without saying where. */
static void test_wrong_place(void **state)
{
	assay_buy_options_t want = wanted();
	int64_t before = purchase_balance(buyer, "available");
	char id[ASSAY_ID_SIZE];
	struct evidence e;
	struct job job;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	want.lat_e7 += 20000; /* 222 m away, while the claim is the middle */
	want.radius_m = 100;
	purchase_post(buyer, &want, id);
	job = await_job(id);
	e = honest(&cheat, &job, measured(&cheat, 4));
	bring(&cheat, &cheat, &e, job.blob);
	(void)stranger_await(&cheat, MESSAGE_RECEIPT); /* ignored: that it came */
	check_unpaid(before, id, "PLACE_OUTSIDE", 1200);
	market_end(&market);
}

/* An answer after commit_by is refused unopened, at both doors, and the money comes back. */
static void test_late(void **state)
{
	assay_buy_options_t want = wanted();
	int64_t before = purchase_balance(buyer, "available");
	char id[ASSAY_ID_SIZE];
	struct evidence e;
	struct job job;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	want.timeout_ms = 1500;
	purchase_post(buyer, &want, id);
	job = await_job(id);
	purchase_until(buyer, id, "REFUNDING");
	e = honest(&cheat, &job, measured(&cheat, 5));
	bring(&cheat, &cheat, &e, job.blob);
	stranger_refused(&cheat, REFUSED_EVIDENCE_LATE);

	assay_result_t *result = purchase_wait(buyer, id, ASSAY_REFUNDED);

	assert_true(purchase_went_through(result, "NO_SHOW"));
	assay_result_free(result);
	assert_int_equal(purchase_balance(buyer, "available"), before);
	assert_int_equal(purchase_balance(purse, "available"), 0);
	market_end(&market);
}

/* And when it plays by the rules it is paid: so the others were refused for what they broke. */
static void test_honest(void **state)
{
	assay_buy_options_t want = wanted();
	char id[ASSAY_ID_SIZE];
	struct evidence e;
	struct job job;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	purchase_post(buyer, &want, id);
	job = await_job(id);
	e = honest(&cheat, &job, measured(&cheat, 6));
	bring(&cheat, &cheat, &e, job.blob);
	(void)stranger_await(&cheat, MESSAGE_RECEIPT); /* ignored: that it came */

	assay_result_t *result = purchase_wait(buyer, id, ASSAY_OK);

	purchase_check_bundle(result, 8);
	assay_result_free(result);
	assert_int_equal(purchase_balance(purse, "available"), 40000);
	market_end(&market);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_the_door),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_wrong_place),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_honest),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
