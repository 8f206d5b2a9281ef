/*
 * Strangers against a real broker and a real escrow: bytes that are no messages, statements that
 * break a rule each. The named refusal comes back, no money moves, and the daemons live on.
 */
#include "proto/os/clock.h"
#include "proto/os/entropy.h"
#include "proto/os/file.h"
#include "tests/attack/stranger.h"
#include "tests/integration/purchase.h"

#define DEPOSIT 10000000

static struct market market;
static struct market closed; /* whose broker admits nobody but the escrow's friends */

static int start_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	market_init(&market);
	market_start(&market, 1, NULL, NULL);
	market_start_instrument(&market);
	MARKET_NODE(&market, "node", "--instrument", market.instrument_address);
	return 0;
}

static int stop_all(void **state)
{
	(void)state; /* ignored: one market for all tests */
	return market_stop(&market);
}

/* Somebody honest is still served: the daemons live, and work. */
static void check_served(void)
{
	assay_buy_options_t want = purchase_measurement();
	assay_t *buyer = purchase_open(&market, "honest");

	purchase_deposit(buyer, want.price_max_micros * 2);

	assay_result_t *result = purchase_buy(buyer, &want, ASSAY_OK);

	assay_result_free(result);
	assay_close(buyer);
	market_check_alive(&market);
}

static void join_broker(struct stranger *s, const char *name)
{
	stranger_init(s, &market, name);
	stranger_join(s, &market.broker_contact, ROLE_BUYER);
}

/* No message at all, in many ways. */
static void test_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum refusal code;
	} cases[] = {
		{ "", 0, REFUSED_CBOR_TRUNCATED },
		{ "\xff", 1, REFUSED_CBOR_MALFORMED },
		{ "GET / HTTP/1.1\r\n\r\n", 18, REFUSED_CBOR_TRAILING },
		{ "\xa1\x01", 2, REFUSED_CBOR_TRUNCATED },
		{ "\xa1\x01\x18\x01", 4, REFUSED_CBOR_NOT_SHORTEST },
		{ "\xbf\x01\x01\xff", 4, REFUSED_CBOR_INDEFINITE },
		{ "\xa2\x02\x01\x01\x01", 5, REFUSED_CBOR_UNSORTED },
		{ "\xa2\x01\x01\x01\x01", 5, REFUSED_CBOR_DUPLICATE_KEY },
		{ "\xa1\x01\x01\x00", 4, REFUSED_CBOR_TRAILING },
		{ "\xa1\x01\xf9\x3c\x00", 5, REFUSED_CBOR_FLOAT },
		{ "\xa1\x01\xc1\x01", 4, REFUSED_CBOR_TAG },
	};
	struct stranger s;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	stranger_init(&s, &market, "garbage");
	stranger_dial(&s, &market.broker_contact);
	assert_int_equal(stranger_event(&s), NET_EVENT_CONNECTED);
	for (int greeted = 0; greeted < 2; greeted++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			stranger_send(&s, SPAN((const uint8_t *)cases[i].bytes, cases[i].n));
			stranger_refused(&s, cases[i].code);
		}
		stranger_hello(
			&s, &s.identity, ROLE_BUYER, &s.identity.curve.public_key, clock_now_ns());
		assert_int_equal(stranger_next(&s), MESSAGE_WELCOME);
	}
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

static void test_random_bytes(void **state)
{
	uint8_t bytes[4096];
	struct stranger s;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	join_broker(&s, "noise");
	for (size_t i = 0; i < 200; i++) {
		entropy_fill(bytes, sizeof(bytes));
		stranger_send(&s, SPAN(bytes, 1 + bytes[0] * (size_t)16));
		assert_int_equal(stranger_next(&s), MESSAGE_REFUSED);
		assert_true(s.opened->message.code > 0);
	}
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

/* A frame over the limit ends the connection, and nothing else. */
static void test_oversized(void **state)
{
	uint8_t *bytes = calloc(1, NET_MESSAGE_MAX + 1);
	struct stranger s;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	assert_non_null(bytes);
	join_broker(&s, "large");
	/* Within the frame, but more than a message may have. */
	bytes[0] = 0xa1;
	stranger_send(&s, SPAN(bytes, MESSAGE_MAX + 1));
	assert_int_equal(stranger_next(&s), MESSAGE_REFUSED);
	assert_int_equal(net_client_send(s.client, SPAN(bytes, NET_MESSAGE_MAX + 1)), -EMSGSIZE);
	free(bytes);
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

static void test_greetings(void **state)
{
	struct stranger s, other;
	struct request r;
	struct id id;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	stranger_init(&s, &market, "greeter");
	stranger_init(&other, &market, "other");
	stranger_dial(&s, &market.broker_contact);
	assert_int_equal(stranger_event(&s), NET_EVENT_CONNECTED);
	/* Nothing before the greeting. */
	r = stranger_request(&s, &market);
	stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&s, STATEMENT_REQUEST, &r, &id));
	stranger_refused(&s, REFUSED_GREETING_REQUIRED);
	/* A greeting that names another connection's key, of one's own and of somebody else. */
	stranger_hello(
		&s, &s.identity, ROLE_BUYER, &other.identity.curve.public_key, clock_now_ns());
	stranger_refused(&s, REFUSED_GREETING_CARRIER);
	stranger_hello(
		&s, &other.identity, ROLE_BUYER, &other.identity.curve.public_key, clock_now_ns());
	stranger_refused(&s, REFUSED_GREETING_CARRIER);
	stranger_hello(&s, &s.identity, ROLE_BUYER, &s.identity.curve.public_key,
		clock_now_ns() - 2 * IDENTITY_GREETING_NS);
	stranger_refused(&s, REFUSED_KEY_NOT_VALID_YET);
	stranger_hello(&s, &s.identity, ROLE_BUYER, &s.identity.curve.public_key,
		clock_now_ns() + 60 * NS_PER_S);
	stranger_refused(&s, REFUSED_STATEMENT_FROM_FUTURE);
	/* And the right one. */
	stranger_hello(&s, &s.identity, ROLE_BUYER, &s.identity.curve.public_key, clock_now_ns());
	assert_int_equal(stranger_next(&s), MESSAGE_WELCOME);
	/* Somebody else's request on it. */
	r = stranger_request(&other, &market);
	{
		_cleanup_(freep) struct message *m = calloc(1, sizeof(*m));

		assert_non_null(m);
		m->message = MESSAGE_REQUEST;
		m->statements[m->n_statements++] = identity_keys(&other.identity);
		m->statements[m->n_statements++] = stranger_sign(
			&other, STATEMENT_REQUEST, &r, &id);
		stranger_send_message(&s, m);
	}
	stranger_refused(&s, REFUSED_STATEMENT_ISSUER);
	stranger_deinit(&other);
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

/* A statement whose signature, header or content is spoilt by one byte. */
static void test_signatures(void **state)
{
	struct stranger s, unknown;
	struct request r;
	struct span bytes;
	struct id id;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	join_broker(&s, "signer");
	r = stranger_request(&s, &market);
	bytes = stranger_sign(&s, STATEMENT_REQUEST, &r, &id);
	s.room[(size_t)(bytes.p - s.room) + bytes.n - 1] ^= 1;
	stranger_give(&s, MESSAGE_REQUEST, bytes);
	stranger_refused(&s, REFUSED_COSE_SIGNATURE);
	s.room[(size_t)(bytes.p - s.room) + bytes.n - 1] ^= 1;
	/* In the payload: somewhere in the salt, which no rule looks at. */
	const uint8_t *salt = memmem(bytes.p, bytes.n, r.c.salt.p, 16);

	assert_non_null(salt);
	s.room[salt - s.room] ^= 1;
	stranger_give(&s, MESSAGE_REQUEST, bytes);
	stranger_refused(&s, REFUSED_COSE_SIGNATURE);
	/* Signed well, by a key that nobody has introduced. */
	stranger_init(&unknown, &market, "unknown");
	r = stranger_request(&unknown, &market);
	stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&unknown, STATEMENT_REQUEST, &r, &id));
	stranger_refused(&s, REFUSED_KEY_UNKNOWN);
	/* Another statement than the message is about, and none. */
	struct claim claim = { .c = stranger_common(&s), .request = id, .target = id };

	stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&s, STATEMENT_CANCEL, &claim, &id));
	stranger_refused(&s, REFUSED_MESSAGE_SHAPE);
	stranger_give(&s, MESSAGE_REQUEST, SPAN(NULL, 0));
	stranger_refused(&s, REFUSED_MESSAGE_SHAPE);
	stranger_deinit(&unknown);
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

static void expired(struct request *r)
{
	r->c.expires_ns = r->c.at_ns + 1;
}

static void from_future(struct request *r)
{
	r->c.at_ns += 3600 * NS_PER_S;
	r->c.expires_ns += 3600 * NS_PER_S;
}

static void too_far(struct request *r)
{
	r->c.expires_ns = r->c.at_ns + 31 * INT64_C(86400) * NS_PER_S;
}

static void price_zero(struct request *r)
{
	r->price_micros = 0;
}

static void price_negative(struct request *r)
{
	r->price_micros = -1;
}

static void price_least(struct request *r)
{
	r->price_micros = INT64_MIN;
	r->max_total_micros = INT64_MIN;
}

static void price_overflow(struct request *r)
{
	r->price_micros = INT64_MAX;
	r->max_total_micros = INT64_MAX;
}

static void price_just_over(struct request *r)
{
	r->price_micros = MICROS_MAX;
	r->max_total_micros = INT64_MAX;
}

static void total_small(struct request *r)
{
	r->max_total_micros = r->price_micros;
}

static void radius_none(struct request *r)
{
	r->area.radius_m = 0;
}

static void radius_of_earth(struct request *r)
{
	r->area.radius_m = 20000001;
}

static void asset_unknown(struct request *r)
{
	r->asset = SPAN_STR("XAU");
}

static void hold_short(struct request *r)
{
	r->c.expires_ns = r->c.at_ns + 30 * NS_PER_S;
}

static void attempts_many(struct request *r)
{
	r->attempts = 8;
	r->t_verify_ms = 100000;
}

static void window_over(struct request *r)
{
	r->window.present = true;
	r->window.from_ns = r->c.at_ns - 3600 * NS_PER_S;
	r->window.to_ns = r->c.at_ns - 1800 * NS_PER_S;
}

static void window_empty(struct request *r)
{
	r->window.present = true;
	r->window.from_ns = r->c.at_ns + 60 * NS_PER_S;
	r->window.to_ns = r->window.from_ns;
}

static void pool_small(struct request *r)
{
	r->panel_n = 2;
}

static void pool_twice(struct request *r)
{
	r->pool[r->n_pool] = r->pool[0];
	r->n_pool++;
	r->panel_n = 2;
}

static void k_over_n(struct request *r)
{
	r->panel_k = 2;
}

static void other_market(struct request *r)
{
	r->c.market = SPAN_STR("elsewhere");
}

static void other_audience(struct request *r)
{
	r->c.n_audience = 1;
}

static void other_escrow(struct request *r)
{
	r->escrow = r->broker;
}

static void fee_high(struct request *r)
{
	r->attempt_fee_micros = r->price_micros + 1;
}

static void slots_three(struct request *r)
{
	r->slots = 3;
}

static void with_decay(struct request *r)
{
	r->decay = (struct decay){
		.present = true, .soft_deadline_ms = 1000, .ppm_per_s = 10, .floor_micros = 1
	};
}

static void check_strange(struct request *r)
{
	r->checks[0].id = SPAN_STR("clairvoyance");
}

static void check_newer(struct request *r)
{
	r->checks[0].check_version = 2;
}

static void hunt(struct request *r)
{
	r->purpose = SPAN_STR("find this person and follow them");
}

static void keep_long(struct request *r)
{
	r->retention_s = 10 * INT64_C(31622400);
}

static const struct rule {
	const char *name;
	void (*spoil)(struct request *r);
	enum refusal code;
} rules[] = {
	{ "expired", expired, REFUSED_REQUEST_EXPIRED },
	{ "from the future", from_future, REFUSED_REQUEST_FROM_FUTURE },
	{ "too far", too_far, REFUSED_REQUEST_TOO_FAR },
	{ "price 0", price_zero, REFUSED_PRICE_NOT_POSITIVE },
	{ "price -1", price_negative, REFUSED_PRICE_NOT_POSITIVE },
	{ "price -2^63", price_least, REFUSED_PRICE_NOT_POSITIVE },
	{ "price 2^63-1", price_overflow, REFUSED_PRICE_OVERFLOW },
	{ "price and fee over the most", price_just_over, REFUSED_PRICE_OVERFLOW },
	{ "max_total", total_small, REFUSED_MAX_TOTAL_TOO_SMALL },
	{ "radius 0", radius_none, REFUSED_AREA_IMPOSSIBLE },
	{ "radius 20,001 km", radius_of_earth, REFUSED_AREA_IMPOSSIBLE },
	{ "hold too short", hold_short, REFUSED_HOLD_TOO_SHORT },
	{ "hold too short for all attempts", attempts_many, REFUSED_HOLD_TOO_SHORT },
	{ "window over", window_over, REFUSED_WINDOW_IMPOSSIBLE },
	{ "window empty", window_empty, REFUSED_WINDOW_IMPOSSIBLE },
	{ "pool small", pool_small, REFUSED_POOL_TOO_SMALL },
	{ "pool twice", pool_twice, REFUSED_POOL_TOO_SMALL },
	{ "k over n", k_over_n, REFUSED_POOL_TOO_SMALL },
	{ "market", other_market, REFUSED_STATEMENT_MARKET },
	{ "audience", other_audience, REFUSED_STATEMENT_AUDIENCE },
	{ "escrow", other_escrow, REFUSED_STATEMENT_AUDIENCE },
	{ "attempt fee", fee_high, REFUSED_ATTEMPT_FEE_TOO_HIGH },
	{ "three slots", slots_three, REFUSED_QUORUM_NOT_SERVED },
	{ "decay", with_decay, REFUSED_DECAY_NOT_SERVED },
	{ "unknown check", check_strange, REFUSED_CHECK_UNKNOWN },
	{ "newer check", check_newer, REFUSED_CHECK_UNKNOWN },
	{ "a hunt", hunt, REFUSED_PERSON_TRACKING },
	{ "retention", keep_long, REFUSED_RETENTION_NOT_SERVED },
};

static void test_rules(void **state)
{
	assay_t *wallet = purchase_open(&market, "breaker");
	struct stranger s;
	struct id id;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	purchase_deposit(wallet, DEPOSIT);
	join_broker(&s, "breaker");
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct request r = stranger_request(&s, &market);

		rules[i].spoil(&r);
		stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&s, STATEMENT_REQUEST, &r, &id));
		if (stranger_next(&s) != MESSAGE_REFUSED ||
			s.opened->message.code != (int64_t)rules[i].code)
			fail_msg("%s: %s", rules[i].name,
				s.opened->message.message == MESSAGE_REFUSED
					? refusal_name((enum refusal)s.opened->message.code)
					: "accepted");
		assert_true(id_eq(&s.opened->message.request, &id));
	}
	assert_int_equal(purchase_balance(wallet, "available"), DEPOSIT);
	assert_int_equal(purchase_balance(wallet, "held"), 0);
	/* What only the escrow knows ends as LAPSED, with the reason, and holds nothing either. */
	struct request r = stranger_request(&s, &market);

	asset_unknown(&r);
	stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&s, STATEMENT_REQUEST, &r, &id));
	while (stranger_await(&s, MESSAGE_STATUS)->state != 20)
		;
	assert_int_equal(s.opened->message.code, REFUSED_ASSET_UNKNOWN);
	assert_int_equal(purchase_balance(wallet, "available"), DEPOSIT);
	/* And the one that breaks none is served. */
	r = stranger_request(&s, &market);
	stranger_give(&s, MESSAGE_REQUEST, stranger_sign(&s, STATEMENT_REQUEST, &r, &id));
	(void)stranger_await(&s, MESSAGE_BUNDLE); /* ignored: that it came */
	assert_int_equal(purchase_balance(wallet, "available"), DEPOSIT - PURCHASE_TOTAL);
	stranger_deinit(&s);
	assay_close(wallet);
	market_end(&market);
}

/* The escrow's own door: only parties are heard, whatever they bring. */
static void test_escrow_door(void **state)
{
	static const enum message_type types[] = { MESSAGE_FUND, MESSAGE_CLOSE, MESSAGE_SUBMISSION,
		MESSAGE_VERDICT, MESSAGE_EVIDENCE };
	struct stranger s;
	struct request r;
	struct id id;

	(void)state; /* ignored: one market for all tests */
	market_begin(&market);
	stranger_init(&s, &market, "thief");
	stranger_join(&s, &market.escrow_contact, ROLE_BROKER);
	r = stranger_request(&s, &market);

	struct span request = stranger_sign(&s, STATEMENT_REQUEST, &r, &id);

	stranger_give(&s, MESSAGE_FUND, request);
	stranger_refused(&s, REFUSED_NOT_A_PARTY);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		stranger_give(&s, types[i], SPAN(NULL, 0));
		assert_int_equal(stranger_next(&s), MESSAGE_REFUSED);
	}
	/* Play money in impossible amounts. */
	static const int64_t amounts[] = { 0, -1, INT64_MIN, INT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(amounts); i++) {
		_cleanup_(freep) struct message *m = calloc(1, sizeof(*m));
		uint8_t operation[16];

		assert_non_null(m);
		entropy_fill(operation, sizeof(operation));
		m->message = MESSAGE_DEPOSIT;
		m->operation = SPAN_OF(operation);
		m->asset = SPAN_STR("XTS");
		m->amount_micros = amounts[i];
		stranger_send_message(&s, m);
		stranger_refused(&s, REFUSED_AMOUNT_RANGE);
	}
	stranger_deinit(&s);
	check_served();
	market_end(&market);
}

/* A broker with an allow-list: who is not on it is told so by the handshake. */
static void test_not_admitted(void **state)
{
	struct stranger friend, s;
	char line[80];
	struct contact contact;

	(void)state; /* ignored: a market of its own */
	market_init(&closed);
	market_begin(&closed);
	stranger_init(&friend, &closed, "friend");
	stranger_init(&s, &closed, "stranger");
	hex_encode(friend.identity.curve.public_key.b, 32, line);
	strcat(line, "\n");

	const char *list = market_path(&closed, "admitted");

	assert_int_equal(file_write_durable(list, SPAN_STR(line), 0600), 0);
	market_start(&closed, 0, NULL, (const char *const[]){ "--admit", list, NULL });
	contact = closed.broker_contact;
	stranger_dial(&s, &contact);
	assert_int_equal(stranger_event(&s), NET_EVENT_NOT_ADMITTED);
	stranger_join(&friend, &contact, ROLE_BUYER);
	stranger_deinit(&s);
	stranger_deinit(&friend);
	market_end(&closed);
	assert_int_equal(market_stop(&closed), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_oversized),
		cmocka_unit_test(test_greetings),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_escrow_door),
		cmocka_unit_test(test_not_admitted),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
