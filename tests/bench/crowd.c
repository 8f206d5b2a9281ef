#include "tests/bench/crowd.h"

#include "proto/core/rules.h"
#include "proto/os/clock.h"
#include "proto/seal/seal.h"
#include "proto/shell/identity.h"

#include <sodium.h>
#include <zmq.h>

#include <stdio.h>
#include <stdlib.h>

#define AT_A_TIME  64 /* connections that are being made */
#define STALLED_MS 20000
#define VALID_NS   (3600 * NS_PER_S)
#define ROOM       8192 /* bytes of a message */

enum step { STEP_HELLO, STEP_OFFER, STEP_DONE };

struct peer {
	void *socket;
	enum step step;
	size_t number; /* which of the crowd it is */
};

struct crowd {
	const struct market_bench *market; /* NULL: plain connections */
	const char *endpoint;
	struct net_key server_key;
	void *context;
	void **sockets;
	size_t n;
};

/* The keys of number i, the same in every run. */
static void identity_of(size_t number, struct identity *ret, uint8_t *root_secret)
{
	uint8_t seed[32] = { 0xc0, (uint8_t)number, (uint8_t)(number >> 8) };
	uint8_t root_public[32];

	*ret = (struct identity){ .author.market = SPAN_STR(MARKET_NAME) };
	crypto_sign_seed_keypair(root_public, root_secret, seed);
	memcpy(ret->did.b, root_public, sizeof(ret->did.b));
	ret->author.signer.issuer = ret->did;
	seed[3] = 1;
	crypto_sign_seed_keypair(
		ret->author.signer.public_key, ret->author.signer.secret_key, seed);
	seed[3] = 2;
	memcpy(ret->curve.secret_key.b, seed, sizeof(seed));
	ret->curve.public_key = net_key_public(&ret->curve.secret_key);
	seed[3] = 3;
	seal_public_key(seed, ret->encryption_public);
}

static void sign_keys(
	struct identity *identity, const uint8_t root_secret[static 64], int64_t now_ns)
{
	struct signer root = { .issuer = identity->did };
	uint8_t salt[16] = { 1 };
	struct buf out = BUF(identity->keys);
	struct id id;
	struct keys keys = {
		.c = { .market = identity->author.market, .salt = SPAN_OF(salt), .at_ns = now_ns },
		.working_key = SPAN_OF(identity->author.signer.public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(identity->curve.public_key),
		.encryption_key = SPAN_OF(identity->encryption_public),
		.valid_from_ns = now_ns,
		.valid_until_ns = now_ns + VALID_NS,
	};

	memcpy(root.public_key, identity->did.b, sizeof(root.public_key));
	memcpy(root.secret_key, root_secret, sizeof(root.secret_key));
	if (statement_sign(STATEMENT_KEYS_OF, &keys, &root, &out, &id, NULL) != REFUSED_NOT)
		market_die("a node's keys were not signed");
	identity->n_keys = out.n;
}

static void send_message(void *socket, struct message *m)
{
	static uint8_t room[ROOM];
	struct buf out = BUF(room);

	m->present = true;
	if (!message_encode(m, &out))
		market_die("a message does not fit");
	if (zmq_send(socket, room, out.n, 0) != (int)out.n)
		market_die("zmq_send: %s", zmq_strerror(zmq_errno()));
}

static void say_hello(const struct crowd *crowd, const struct peer *peer)
{
	struct identity identity;
	uint8_t root_secret[64];
	uint8_t greeting[1024];
	struct buf out = BUF(greeting);
	struct message m = { .message = MESSAGE_HELLO, .number = 1, .n_statements = 2 };
	int64_t now_ns = clock_now_ns();

	if (!crowd->market) {
		if (zmq_send(peer->socket, "word", 4, 0) != 4)
			market_die("zmq_send: %s", zmq_strerror(zmq_errno()));
		return;
	}
	identity_of(peer->number, &identity, root_secret);
	sign_keys(&identity, root_secret, now_ns);
	if (!identity_greeting(&identity, ROLE_NODE, &identity.curve.public_key, now_ns, &out))
		market_die("a greeting was not signed");
	m.statements[0] = identity_keys(&identity);
	m.statements[1] = buf_span(&out);
	send_message(peer->socket, &m);
}

static void offer(const struct crowd *crowd, const struct peer *peer)
{
	struct identity identity;
	uint8_t root_secret[64];
	uint8_t salt[16] = { 2 };
	uint8_t bytes[4096];
	struct buf out = BUF(bytes);
	struct id id;
	struct message m = { .message = MESSAGE_OFFER, .number = 2, .n_statements = 1 };
	struct offering body = {
		.present = true,
		.c = { .market = SPAN_STR(MARKET_NAME),
			.salt = SPAN_OF(salt),
			.at_ns = clock_now_ns() },
		.revision = 1,
		.kind = SPAN_STR(KIND_CAMERA_STILL),
		.cell = { .present = true,
			.lat_e7 = 400000000 + (int64_t)peer->number * 100000,
			.lon_e7 = 80000000,
			.radius_m = 800 },
		.price_micros = 50000,
		.asset = SPAN_STR("XTS"),
		.brokers = { crowd->market->broker.did },
		.n_brokers = 1,
		.escrows = { crowd->market->escrow.did },
		.n_escrows = 1,
		.n_verifiers = 1,
		.accepts = { SPAN_STR(CHECK_DECODES), SPAN_STR(CHECK_PLACE),
			SPAN_STR(CHECK_DIMENSIONS) },
		.n_accepts = 3,
		.assign_without_asking = true,
		.sources = SOURCE_REPLAY,
	};

	identity_of(peer->number, &identity, root_secret);
	if (did_parse(SPAN_STR(crowd->market->verifier), &body.verifiers[0]) < 0 ||
		statement_sign(STATEMENT_OFFERING, &body, &identity.author.signer, &out, &id,
			NULL) != REFUSED_NOT)
		market_die("an offering was not signed");
	m.statements[0] = buf_span(&out);
	send_message(peer->socket, &m);
}

static void open_peer(struct crowd *crowd, struct peer *peer, size_t number)
{
	const int no_linger = 0;
	struct identity identity;
	uint8_t root_secret[64];

	identity_of(number, &identity, root_secret);
	*peer = (struct peer){ .socket = zmq_socket(crowd->context, ZMQ_DEALER), .number = number };
	if (!peer->socket ||
		zmq_setsockopt(peer->socket, ZMQ_LINGER, &no_linger, sizeof(no_linger)) < 0 ||
		zmq_setsockopt(peer->socket, ZMQ_CURVE_SERVERKEY, crowd->server_key.b, 32) < 0 ||
		zmq_setsockopt(peer->socket, ZMQ_CURVE_PUBLICKEY, identity.curve.public_key.b, 32) <
			0 ||
		zmq_setsockopt(peer->socket, ZMQ_CURVE_SECRETKEY, identity.curve.secret_key.b, 32) <
			0 ||
		zmq_connect(peer->socket, crowd->endpoint) < 0)
		market_die("connection %zu: %s", number, zmq_strerror(zmq_errno()));
	crowd->sockets[number] = peer->socket;
	say_hello(crowd, peer);
}

/* One answer came. */
static void go_on(const struct crowd *crowd, struct peer *peer)
{
	static struct message m;
	static uint8_t room[ROOM];
	const char *field = NULL;
	int n = zmq_recv(peer->socket, room, sizeof(room), 0);

	if (n < 0 || (size_t)n > sizeof(room))
		market_die("zmq_recv: %s", zmq_strerror(zmq_errno()));
	if (!crowd->market) {
		peer->step = STEP_DONE;
		return;
	}
	m = (struct message){ 0 };
	if (schema_decode(&message_schema, SPAN(room, (size_t)n), &m, &field) != REFUSED_NOT)
		market_die("the broker's answer is no message");
	if (m.message == MESSAGE_WELCOME && peer->step == STEP_HELLO) {
		peer->step = STEP_OFFER;
		offer(crowd, peer);
	} else if (m.message == MESSAGE_OFFERED && peer->step == STEP_OFFER) {
		peer->step = STEP_DONE;
	} else {
		market_die("the broker answers %s %s", message_type_name(m.message),
			refusal_name((enum refusal)m.code));
	}
}

static void gather(struct crowd *crowd)
{
	struct peer peers[AT_A_TIME];
	size_t begun = 0;
	size_t n = 0;

	while (begun < crowd->n || n > 0) {
		zmq_pollitem_t items[AT_A_TIME];

		while (n < AT_A_TIME && begun < crowd->n)
			open_peer(crowd, &peers[n++], begun++);
		for (size_t i = 0; i < n; i++)
			items[i] = (zmq_pollitem_t){ .socket = peers[i].socket,
				.events = ZMQ_POLLIN };
		if (zmq_poll(items, (int)n, STALLED_MS) <= 0)
			market_die("%zu connections were made, and no more", begun - n);
		/* From the last, since the last takes the place of one that is done. */
		for (size_t i = n; i-- > 0;) {
			if (items[i].revents & ZMQ_POLLIN)
				go_on(crowd, &peers[i]);
			if (peers[i].step == STEP_DONE)
				peers[i] = peers[--n];
		}
	}
}

static struct crowd *crowd_new(const struct market_bench *m, const char *endpoint,
	const struct net_key *server_key, size_t n)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	if (!crowd)
		market_die("no memory");
	*crowd = (struct crowd){ .market = m,
		.endpoint = endpoint,
		.server_key = *server_key,
		.context = zmq_ctx_new(),
		.sockets = calloc(n, sizeof(void *)),
		.n = n };
	if (!crowd->sockets || !crowd->context ||
		zmq_ctx_set(crowd->context, ZMQ_MAX_SOCKETS, (int)n + 16) < 0)
		market_die("no context for %zu sockets", n);
	gather(crowd);
	return crowd;
}

struct crowd *crowd_plain(const char *endpoint, const struct net_key *server_key, size_t n)
{
	return crowd_new(NULL, endpoint, server_key, n);
}

struct crowd *crowd_of_nodes(const struct market_bench *m, size_t n)
{
	return crowd_new(m, m->broker.endpoint, &m->broker.curve_key, n);
}

struct crowd *crowd_free(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->n; i++)
		zmq_close(crowd->sockets[i]);
	zmq_ctx_term(crowd->context);
	free(crowd->sockets);
	free(crowd);
	return NULL;
}
