#include "tests/attack/stranger.h"

#include "proto/os/clock.h"
#include "proto/os/entropy.h"

#define ROOM (4 << 20)

void stranger_init(struct stranger *s, const struct market *m, const char *name)
{
	char keys[MARKET_PATH_MAX];

	memset(s, 0, sizeof(*s));
	market_make_keys(m, name);
	assert_true(
		snprintf(keys, sizeof(keys), "%s/keys", market_path(m, name)) < (int)sizeof(keys));
	assert_int_equal(identity_load(keys, &s->identity), 0);
	assert_int_equal(net_new(&s->net), 0);
	s->keyring = keyring_new(256);
	s->opened = calloc(1, sizeof(*s->opened));
	s->room = malloc(ROOM);
	assert_true(s->keyring && s->opened && s->room);
	s->out = buf_over(s->room, ROOM);

	/* Whoever sends him something of his own leaves his keys out. */
	struct statement own;
	bool is_new;

	assert_int_equal(statement_decode(identity_keys(&s->identity), &own, NULL), REFUSED_NOT);
	assert_int_equal(keyring_learn(s->keyring, &own, &is_new), REFUSED_NOT);
}

void stranger_deinit(struct stranger *s)
{
	net_in_deinit(&s->in);
	net_client_free(s->client);
	net_free(s->net);
	keyring_free(s->keyring);
	free(s->opened);
	free(s->room);
	identity_deinit(&s->identity);
}

void stranger_dial(struct stranger *s, const struct contact *contact)
{
	const struct net_client_options options = {
		.endpoint = contact->endpoint,
		.server_key = contact->curve_key,
		.keys = s->identity.curve,
	};

	net_in_deinit(&s->in);
	net_client_free(take(&s->client));
	assert_int_equal(net_client_new(s->net, &options, &s->client), 0);
}

enum net_event stranger_event(struct stranger *s)
{
	enum net_event event;

	for (;;) {
		struct net_item item = { .client = s->client };

		if (net_client_event(s->client, &event) == 0)
			return event;
		assert_int_equal(net_poll(&item, 1, STRANGER_WAIT_MS), 1);
	}
}

void stranger_send(struct stranger *s, struct span bytes)
{
	assert_int_equal(net_client_send(s->client, bytes), 0);
}

void stranger_send_message(struct stranger *s, struct message *m)
{
	_cleanup_(freep) uint8_t *room = malloc(MESSAGE_MAX);
	struct buf out = buf_over(room, MESSAGE_MAX);

	assert_non_null(room);
	m->number = ++s->number;
	assert_true(message_encode(m, &out));
	stranger_send(s, buf_span(&out));
}

void stranger_give(struct stranger *s, enum message_type type, struct span statement)
{
	_cleanup_(freep) struct message *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->message = type;
	if (statement.n > 0)
		m->statements[m->n_statements++] = statement;
	stranger_send_message(s, m);
}

void stranger_hello(struct stranger *s, const struct identity *identity, enum role role,
	const struct net_key *carrier, int64_t at_ns)
{
	_cleanup_(freep) struct message *m = calloc(1, sizeof(*m));
	uint8_t room[2048];
	struct buf greeting = BUF(room);

	assert_non_null(m);
	assert_true(identity_greeting(identity, role, carrier, at_ns, &greeting));
	m->message = MESSAGE_HELLO;
	m->statements[m->n_statements++] = identity_keys(identity);
	m->statements[m->n_statements++] = buf_span(&greeting);
	stranger_send_message(s, m);
}

void stranger_join(struct stranger *s, const struct contact *contact, enum role role)
{
	stranger_dial(s, contact);
	assert_int_equal(stranger_event(s), NET_EVENT_CONNECTED);
	stranger_hello(s, &s->identity, role, &s->identity.curve.public_key, clock_now_ns());
	assert_int_equal(stranger_next(s), MESSAGE_WELCOME);
}

static int64_t receive(struct stranger *s)
{
	enum net_event event;
	int r;

	for (;;) {
		struct net_item item = { .client = s->client };

		net_in_deinit(&s->in);
		r = net_client_recv(s->client, &s->in);
		if (r == 0)
			break;
		assert_int_equal(r, -EAGAIN);
		while (net_client_event(s->client, &event) == 0)
			if (event == NET_EVENT_DISCONNECTED)
				return 0;
		if (net_poll(&item, 1, STRANGER_WAIT_MS) != 1)
			fail_msg("no answer came");
	}
	assert_int_equal(message_open(s->in.bytes, s->keyring, NULL, NULL, s->opened), REFUSED_NOT);
	return s->opened->message.message;
}

int64_t stranger_next(struct stranger *s)
{
	int64_t type;

	do
		type = receive(s);
	while (type == MESSAGE_PING || type == MESSAGE_PONG);
	return type;
}

const struct message *stranger_await(struct stranger *s, enum message_type type)
{
	int64_t came;

	do {
		came = stranger_next(s);
		if (came == 0)
			fail_msg("the connection ended before %s came", message_type_name(type));
		if (came == MESSAGE_REFUSED && type != MESSAGE_REFUSED)
			fail_msg("%s instead of %s",
				refusal_name((enum refusal)s->opened->message.code),
				message_type_name(type));
	} while (came != (int64_t)type);
	return &s->opened->message;
}

void stranger_refused(struct stranger *s, enum refusal code)
{
	const struct message *m = stranger_await(s, MESSAGE_REFUSED);

	assert_string_equal(refusal_name((enum refusal)m->code), refusal_name(code));
	assert_true(m->text.n >= strlen(refusal_sentence(code)));
	assert_memory_equal(m->text.p, refusal_sentence(code), strlen(refusal_sentence(code)));
}

struct common stranger_common(struct stranger *s)
{
	uint8_t salt[16];

	entropy_fill(salt, sizeof(salt));
	return (struct common){
		.market = s->identity.author.market,
		.salt = buf_copy(&s->out, SPAN_OF(salt)),
		.at_ns = clock_now_ns(),
	};
}

struct span stranger_sign(
	struct stranger *s, enum statement_kind kind, void *body, struct id *ret_id)
{
	size_t from = s->out.n;
	const char *field = NULL;
	enum refusal refusal = statement_sign(
		kind, body, &s->identity.author.signer, &s->out, ret_id, &field);

	if (refusal != REFUSED_NOT)
		fail_msg("cannot be signed: %s (%s)", refusal_name(refusal), field ? field : "");
	return SPAN(s->room + from, s->out.n - from);
}

struct request stranger_request(struct stranger *s, const struct market *m)
{
	struct request r = {
		.c = stranger_common(s),
		.kind = SPAN_STR(KIND_VOLTAGE_DC),
		.parameters = { .present = true },
		.area = { .present = true,
			.lat_e7 = 473769000,
			.lon_e7 = 85417000,
			.radius_m = 500 },
		.sources = SOURCE_LIVE | SOURCE_REPLAY | SOURCE_SYNTHETIC,
		.slots = 1,
		.broker = m->broker_contact.did,
		.escrow = m->escrow_contact.did,
		.asset = SPAN_STR("XTS"),
		.price_micros = 200000,
		.max_total_micros = 400000,
		.fee_ppm = 20000,
		.verifier_ppm = 30000,
		.attempts = 1,
		.panel_n = 1,
		.panel_k = 1,
		.checks = { { .present = true,
			.id = SPAN_STR(CHECK_PLACE),
			.check_version = 1,
			.binding = true } },
		.n_checks = 1,
		.t_fund_ms = 10000,
		.t_open_ms = 2000,
		.t_commit_ms = 10000,
		.t_deliver_ms = 10000,
		.t_verify_ms = 5000,
		.t_arbitrate_ms = 10000,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(s->identity.encryption_public),
	};

	r.c.audience[r.c.n_audience++] = r.broker;
	r.c.audience[r.c.n_audience++] = r.escrow;
	r.c.expires_ns = r.c.at_ns + 600 * NS_PER_S;
	for (size_t i = 0; i < m->n_verifiers; i++)
		assert_int_equal(did_parse(SPAN_STR(m->verifier_dids[i]), &r.pool[r.n_pool++]), 0);
	return r;
}
