#include "tests/unit/market_fixture.h"

#include "proto/base/sha256.h"

#include <sodium.h>
#include <stdlib.h>

#define ARENA (64u << 20)

const uint8_t market_content_key[SEAL_KEY] = { 0xc0, 0xff, 0xee, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

static void *take_room(struct market *m, size_t n)
{
	void *p = buf_alloc(&m->room, n);

	if (!p)
		abort();
	return p;
}

static struct span salt(struct market *m, size_t n)
{
	struct id random = SHA256(SPAN_STR("fixture"), SPAN_OF(m->counter));
	uint8_t *p = take_room(m, n);

	m->counter++;
	memcpy(p, random.b, n);
	return SPAN(p, n);
}

static struct common common(struct market *m)
{
	return (struct common){ .market = m->name, .salt = salt(m, 16), .at_ns = m->now_ns };
}

static void for_escrow(const struct market *m, struct common *c)
{
	c->audience[0] = m->broker.did;
	c->audience[1] = m->escrow.did;
	c->n_audience = 2;
}

struct statement *market_take(struct market *m, struct span bytes)
{
	struct statement *s = take_room(m, sizeof(*s));
	struct span copy = buf_copy(&m->room, bytes);

	if (!copy.p || statement_decode(copy, s, NULL) != REFUSED_NOT)
		abort();
	return s;
}

struct statement *market_sign(
	struct market *m, const struct market_party *party, enum statement_kind kind, void *body)
{
	uint8_t bytes[COSE_MAX];
	struct buf out = BUF(bytes);
	struct id id;

	if (statement_sign(kind, body, &party->signer, &out, &id, NULL) != REFUSED_NOT)
		abort();
	return market_take(m, buf_span(&out));
}

static void seed(uint8_t out[static 32], const char *name, const char *use)
{
	struct id hash = SHA256(SPAN_STR("market fixture"), SPAN_STR(name), SPAN_STR(use));

	memcpy(out, hash.b, 32);
}

static void make_party(struct market *m, struct market_party *party, const char *name)
{
	uint8_t bytes[32];
	uint8_t curve[32];
	struct signer root = { 0 };
	bool is_new;

	seed(bytes, name, "root");
	crypto_sign_seed_keypair(root.public_key, root.secret_key, bytes);
	memcpy(party->did.b, root.public_key, 32);
	root.issuer = party->did;
	seed(bytes, name, "working");
	party->signer.issuer = party->did;
	crypto_sign_seed_keypair(party->signer.public_key, party->signer.secret_key, bytes);
	seed(party->encryption_secret, name, "encryption");
	seal_public_key(party->encryption_secret, party->encryption_public);
	seed(bytes, name, "curve");
	seal_public_key(bytes, curve);

	struct keys keys = {
		.c = common(m),
		.working_key = SPAN_OF(party->signer.public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(curve),
		.encryption_key = SPAN_OF(party->encryption_public),
		.valid_from_ns = MARKET_START_NS - 3600 * NS_PER_S,
		.valid_until_ns = MARKET_START_NS + INT64_C(365) * 86400 * NS_PER_S,
	};
	struct market_party by_root = { .signer = root };

	party->keys = market_sign(m, &by_root, STATEMENT_KEYS_OF, &keys);
	if (keyring_learn(m->keyring, party->keys, &is_new) != REFUSED_NOT)
		abort();
}

int market_init(struct market *m)
{
	*m = (struct market){ .name = SPAN_STR("test"), .now_ns = MARKET_START_NS };
	if (sodium_init() < 0)
		return -ENOMEM;
	m->keyring = keyring_new(64);
	m->opened = calloc(1, sizeof(*m->opened));
	m->arena = malloc(ARENA);
	if (!m->keyring || !m->opened || !m->arena) {
		market_deinit(m);
		return -ENOMEM;
	}
	m->room = buf_over(m->arena, ARENA);
	make_party(m, &m->buyer, "buyer");
	make_party(m, &m->other_buyer, "other buyer");
	make_party(m, &m->broker, "broker");
	make_party(m, &m->other_broker, "other broker");
	make_party(m, &m->escrow, "escrow");
	for (size_t i = 0; i < MARKET_NODES; i++)
		make_party(m, &m->nodes[i], i ? "node 1" : "node 0");
	for (size_t i = 0; i < MARKET_VERIFIERS; i++)
		make_party(m, &m->verifiers[i], (const char[]){ 'v', (char)('0' + i), 0 });
	return 0;
}

void market_deinit(struct market *m)
{
	keyring_free(m->keyring);
	free(m->opened);
	free(m->arena);
	*m = (struct market){ 0 };
}

struct request market_request(struct market *m)
{
	struct request r = {
		.c = common(m),
		.kind = SPAN_STR("photo"),
		.parameters = { .present = true, .width = 640, .height = 480 },
		.area = { .present = true,
			.lat_e7 = 523000000,
			.lon_e7 = 134000000,
			.radius_m = 500 },
		.sources = SOURCE_LIVE,
		.slots = 1,
		.broker = m->broker.did,
		.escrow = m->escrow.did,
		.asset = SPAN_STR("XTS"),
		.price_micros = MARKET_PRICE,
		.max_total_micros = 2 * MARKET_PRICE,
		.fee_ppm = 20000,
		.verifier_ppm = 50000,
		.attempt_fee_micros = MARKET_PRICE / 10,
		.attempts = 1,
		.panel_n = 1,
		.panel_k = 1,
		.checks = { { .present = true,
			.id = SPAN_STR(CHECK_DECODES),
			.check_version = 1,
			.binding = true } },
		.n_checks = 1,
		.t_fund_ms = 10000,
		.t_open_ms = 60000,
		.t_commit_ms = 60000,
		.t_deliver_ms = 60000,
		.t_verify_ms = 60000,
		.t_arbitrate_ms = 60000,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(m->buyer.encryption_public),
	};

	for_escrow(m, &r.c);
	r.c.expires_ns = m->now_ns + 3600 * NS_PER_S;
	for (size_t i = 0; i < 4; i++)
		r.pool[r.n_pool++] = m->verifiers[i].did;
	return r;
}

struct offering market_offering(struct market *m, const struct market_party *node)
{
	struct offering o = {
		.c = common(m),
		.asset = SPAN_STR("XTS"),
		.price_micros = MARKET_PRICE * 8 / 10,
		.kind = SPAN_STR("photo"),
		.revision = 1,
		.cell = { .present = true,
			.lat_e7 = 523000000,
			.lon_e7 = 134000000,
			.radius_m = 5000 },
		.brokers = { m->broker.did },
		.n_brokers = 1,
		.escrows = { m->escrow.did },
		.n_escrows = 1,
		.accepts = { SPAN_STR(CHECK_DECODES), SPAN_STR(CHECK_DIMENSIONS),
			SPAN_STR(CHECK_UNIT_RANGE) },
		.n_accepts = 3,
		.t_dispute_max_ms = 3600000,
		.assign_without_asking = true,
		.sources = SOURCE_LIVE,
	};

	(void)node; /* ignored: an offering names its node by who signs it */
	for (size_t i = 0; i < MARKET_VERIFIERS; i++)
		o.verifiers[o.n_verifiers++] = m->verifiers[i].did;
	return o;
}

static void note_of(struct market *m, const struct market_party *broker, const struct id *root,
	struct span *ret_note)
{
	char origin[PROOF_ORIGIN_MAX];
	uint8_t text[512];
	uint8_t note[1024];
	struct buf text_out = BUF(text);
	struct buf note_out = BUF(note);
	struct checkpoint checkpoint = {
		.origin = SPAN_STR(proof_origin(&broker->did, origin)), .size = 1, .root = *root
	};

	checkpoint_write(&checkpoint, &text_out);
	if (!buf_ok(&text_out) ||
		!note_sign(&broker->signer, checkpoint.origin, buf_span(&text_out), &note_out))
		abort();
	*ret_note = buf_copy(&m->room, buf_span(&note_out));
}

void market_receipt(struct market *m, const struct market_party *broker, const struct id *evidence,
	struct span *ret_receipt, struct span *ret_note)
{
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = *evidence };
	struct id leaf = entry_leaf(&entry);
	struct receipt_place place = { .size = 1 };
	char origin[PROOF_ORIGIN_MAX];
	uint8_t receipt[RECEIPT_MAX];
	struct buf out = BUF(receipt);

	if (!receipt_write(&broker->signer, SPAN_STR(proof_origin(&broker->did, origin)), &place,
		    &leaf, &out))
		abort();
	*ret_receipt = buf_copy(&m->room, buf_span(&out));
	note_of(m, broker, &leaf, ret_note);
}

struct assignment market_assignment(struct market *m, const struct statement *request,
	const struct statement *hold, const struct statement *earmark, const struct id *offering)
{
	const struct earmarked *e = earmark ? &earmark->body.earmark.earmark
					    : &hold->body.hold.earmark;
	struct id nothing = merkle_empty();
	struct assignment a = {
		.c = common(m),
		.request = request->id,
		.offering = *offering,
		.hold = hold->id,
		.earmark = earmark ? earmark->id : hold->id,
		.node = e->node,
		.slot = e->slot,
		.attempt = e->attempt,
		.price_micros = e->price_micros,
		.commit_by_ns = m->now_ns + request->body.request.t_commit_ms * NS_PER_MS,
	};

	a.deliver_by_ns = a.commit_by_ns + request->body.request.t_deliver_ms * NS_PER_MS;
	note_of(m, &m->broker, &nothing, &a.checkpoint);
	a.challenge = statement_challenge(
		&a.request, &a.node, a.slot, a.attempt, a.c.salt, a.checkpoint);
	return a;
}

struct evidence market_evidence(struct market *m, const struct statement *assignment,
	struct span plain, const char *type, struct span *ret_blob)
{
	const struct assignment *a = &assignment->body.assignment;
	struct seal_bound bound = { .request = a->request, .subject = assignment->id };
	struct seal_context context = {
		.request = a->request, .scope = assignment->id, .recipient = m->escrow.did
	};
	size_t n = seal_size(plain.n);
	struct buf blob = buf_over(take_room(m, n), n);
	struct buf wrapped = buf_over(take_room(m, SEAL_WRAPPED), SEAL_WRAPPED);
	struct span plain_salt = salt(m, 16);

	if (!seal_content(market_content_key, salt(m, SEAL_NONCE).p, &bound, plain, &blob) ||
		!seal_wrap(market_content_key, m->escrow.encryption_public, salt(m, 32).p, &context,
			&wrapped))
		abort();
	*ret_blob = buf_span(&blob);

	struct evidence e = {
		.c = common(m),
		.request = a->request,
		.assignment = assignment->id,
		.challenge = a->challenge,
		.sequence = 1,
		.start_ns = m->now_ns,
		.end_ns = m->now_ns,
		.uncertainty_ns = NS_PER_MS,
		.source = SOURCE_LIVE,
		.device = SPAN_STR("fixture"),
		.pipeline = SPAN_STR("none"),
		.payload = { .present = true,
			.type = SPAN_STR(type),
			.size = (int64_t)plain.n,
			.plain_digest = SHA256(plain_salt, plain),
			.cipher_digest = SHA256(buf_span(&blob)),
			.algorithm = SPAN_STR("A256GCM"),
			.wrapped_key = buf_span(&wrapped) },
		.claims = SPAN_STR("sealed"),
		.final = true,
	};

	for_escrow(m, &e.c);
	return e;
}

struct verdict market_verdict(struct market *m, const struct statement *evidence,
	const struct id *draw, struct span plain, enum check_result_value outcome)
{
	struct seal_bound bound = { .request = evidence->body.evidence.request,
		.subject = evidence->id };
	struct id digest = SHA256(plain);
	struct buf sealed = buf_over(take_room(m, 32 + SEAL_SMALL_EXTRA), 32 + SEAL_SMALL_EXTRA);

	if (!seal_small(SEAL_DIGEST, market_content_key, salt(m, SEAL_SMALL_NONCE).p, &bound,
		    SPAN_OF(digest), &sealed))
		abort();

	struct verdict v = {
		.c = common(m),
		.request = evidence->body.evidence.request,
		.assignment = evidence->body.evidence.assignment,
		.evidence = evidence->id,
		.draw = *draw,
		.outcome = outcome,
		.checks = { { .present = true,
			.id = SPAN_STR(CHECK_DECODES),
			.check_version = 1,
			.result = outcome } },
		.n_checks = 1,
		.engine = SPAN_STR("fixture/1"),
		.sealed_digest = buf_span(&sealed),
		.tier = TIER_LIVE_CLAIMED,
	};

	v.c.audience[0] = m->escrow.did;
	v.c.n_audience = 1;
	return v;
}

struct claim market_cancel(struct market *m, const struct id *request)
{
	return (struct claim){ .c = common(m), .request = *request, .side = ROLE_BUYER };
}

struct answer market_decline(
	struct market *m, const struct id *request, const struct id *assignment)
{
	return (struct answer){ .c = common(m),
		.request = *request,
		.assignment = *assignment,
		.reason = REFUSED_NODE_BUSY };
}

struct message *market_message(struct market *m, enum message_type type)
{
	m->opened->message = (struct message){
		.present = true, .message = type, .number = (int64_t)++m->counter
	};
	m->opened->n_statements = 0;
	return &m->opened->message;
}

void market_attach(struct market *m, const struct statement *s)
{
	if (s)
		m->opened->statements[m->opened->n_statements++] = *s;
}
