#include "tests/unit/trade_fixture.h"

#include "proto/base/sha256.h"
#include "proto/core/rules.h"
#include "proto/core/slot.h"
#include "proto/seal/digest.h"
#include "proto/seal/seal.h"
#include "proto/tlog/proof.h"

#include <sodium.h>
#include <stdlib.h>

static void party(struct trade *t, struct trade_party *p, uint8_t number)
{
	uint8_t seed[32] = { number };
	uint8_t working_public[32];
	uint8_t encryption_public[32];
	bool is_new;
	struct statement *s = calloc(1, sizeof(*s));

	crypto_sign_seed_keypair(p->root.public_key, p->root.secret_key, seed);
	memcpy(p->root.issuer.b, p->root.public_key, 32);
	seed[1] = 1;
	p->author.signer.issuer = p->root.issuer;
	crypto_sign_seed_keypair(working_public, p->author.signer.secret_key, seed);
	memcpy(p->author.signer.public_key, working_public, 32);
	p->author.market = SPAN_STR("test");
	memset(p->encryption_secret, number, 32);
	seal_public_key(p->encryption_secret, encryption_public);

	struct keys body = {
		.present = true,
		.working_key = SPAN_OF(working_public),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(seed),
		.encryption_key = SPAN_OF(encryption_public),
		.valid_until_ns = INT64_MAX,
	};
	struct trade_party root = { .author = { .signer = p->root, .market = SPAN_STR("test") } };

	p->keys = trade_sign(t, &root, STATEMENT_KEYS_OF, &body).bytes;
	if (statement_decode(p->keys, s, NULL) != REFUSED_NOT ||
		keyring_learn(t->keyring, s, &is_new) != REFUSED_NOT)
		abort();
	free(s);
}

static struct span note(struct trade *t, uint64_t size, const struct id *root)
{
	char origin[PROOF_ORIGIN_MAX];
	uint8_t text[CHECKPOINT_TEXT_MAX];
	uint8_t bytes[1024];
	struct buf text_buf = BUF(text);
	struct buf out = BUF(bytes);
	struct checkpoint c = {
		.origin = SPAN_STR(proof_origin(&t->broker.root.issuer, origin)),
		.size = size,
		.root = *root,
	};

	checkpoint_write(&c, &text_buf);
	if (!note_sign(&t->broker.author.signer, c.origin, buf_span(&text_buf), &out))
		abort();
	return buf_copy(&t->arena, buf_span(&out));
}

struct trade *trade_new(void)
{
	struct trade *t = calloc(1, sizeof(*t));
	struct id empty = merkle_empty();

	if (sodium_init() < 0 || !t)
		abort();
	t->arena = BUF(t->room);
	t->keyring = keyring_new(64);
	party(t, &t->buyer, 1);
	party(t, &t->node, 2);
	party(t, &t->broker, 3);
	party(t, &t->escrow, 4);
	for (uint8_t i = 0; i < TRADE_VERIFIERS; i++)
		party(t, &t->verifiers[i], (uint8_t)(10 + i));
	party(t, &t->stranger, 99);
	t->checkpoint = note(t, 0, &empty);
	memset(t->draw_secret.b, 7, 32);
	memset(t->content_key, 8, 32);
	t->plain = SPAN_STR("a frame of light");

	static uint8_t encryption_public[32];

	seal_public_key(t->buyer.encryption_secret, encryption_public);
	t->request_body = (struct request){
		.present = true,
		.c = { .audience = { t->broker.root.issuer, t->escrow.root.issuer },
			.n_audience = 2,
			.expires_ns = TRADE_NOW + 3600 * NS_PER_S },
		.kind = SPAN_STR("photo"),
		.parameters = { .present = true, .width = 640 },
		.area = { .present = true,
			.lat_e7 = 525000000,
			.lon_e7 = 134000000,
			.radius_m = 1000 },
		.sources = SOURCE_REPLAY | SOURCE_LIVE,
		.purpose = SPAN_STR("how full is the square"),
		.slots = 1,
		.broker = t->broker.root.issuer,
		.escrow = t->escrow.root.issuer,
		.asset = SPAN_STR("XTS"),
		.price_micros = 1000000,
		.max_total_micros = 2000000,
		.fee_ppm = 10000,
		.verifier_ppm = 20000,
		.attempts = 1,
		.n_pool = TRADE_VERIFIERS,
		.panel_n = TRADE_PANEL,
		.panel_k = TRADE_PANEL,
		.checks = { { .present = true,
			.id = SPAN_STR("decodes"),
			.check_version = 1,
			.binding = true } },
		.n_checks = 1,
		.t_fund_ms = 5000,
		.t_open_ms = 5000,
		.t_commit_ms = 30000,
		.t_deliver_ms = 30000,
		.t_verify_ms = 30000,
		.t_arbitrate_ms = 1000,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(encryption_public),
	};
	for (size_t i = 0; i < TRADE_VERIFIERS; i++)
		t->request_body.pool[i] = t->verifiers[i].root.issuer;
	return t;
}

void trade_free(struct trade *t)
{
	keyring_free(t->keyring);
	free(t);
}

struct trade_statement trade_sign(
	struct trade *t, const struct trade_party *who, enum statement_kind kind, void *body)
{
	struct common *c = &((struct common_head *)body)->c;
	struct trade_statement st = { .kind = kind };
	uint8_t salt[16] = { ++t->n_salts };
	uint8_t bytes[COSE_MAX];
	struct buf out = BUF(bytes);
	const char *field;

	c->market = SPAN_STR("test");
	if (c->salt.n == 0)
		c->salt = buf_copy(&t->arena, SPAN_OF(salt));
	if (c->at_ns == 0)
		c->at_ns = kind == STATEMENT_KEYS_OF ? NS_PER_S : TRADE_NOW;
	if (statement_sign(kind, body, &who->author.signer, &out, &st.id, &field) != REFUSED_NOT)
		abort();
	st.bytes = buf_copy(&t->arena, buf_span(&out));
	return st;
}

void trade_request(struct trade *t)
{
	t->request = trade_sign(t, &t->buyer, STATEMENT_REQUEST, &t->request_body);
}

void trade_hold(struct trade *t, int64_t price_micros)
{
	struct rules_money money;

	if (rules_money(&t->request_body, t->request_body.price_micros, &money) != REFUSED_NOT)
		abort();

	struct hold h = {
		.present = true,
		.request = t->request.id,
		.amounts = { { .present = true,
			.account_purpose = ACCOUNT_HELD,
			.amount_micros = money.total_micros } },
		.n_amounts = 1,
		.asset = SPAN_STR("XTS"),
		.until_ns = t->request_body.c.expires_ns,
		.draw_commitment = SHA256(SPAN_OF(t->draw_secret)),
		.sequence = 1,
		.earmark = { .present = true,
			.node = t->node.root.issuer,
			.price_micros = price_micros,
			.until_ns = TRADE_NOW + 120 * NS_PER_S },
	};

	t->hold = trade_sign(t, &t->escrow, STATEMENT_HOLD, &h);
}

struct assignment trade_assignment_body(struct trade *t, int64_t price_micros)
{
	uint8_t salt[16] = { 200, ++t->n_salts };
	struct assignment a = {
		.present = true,
		.request = t->request.id,
		.offering = t->offering,
		.hold = t->hold.id,
		.earmark = t->hold.id,
		.node = t->node.root.issuer,
		.price_micros = price_micros,
		.checkpoint = t->checkpoint,
		.commit_by_ns = TRADE_NOW + 30 * NS_PER_S,
		.deliver_by_ns = TRADE_NOW + 60 * NS_PER_S,
	};

	a.c.salt = buf_copy(&t->arena, SPAN_OF(salt));
	a.challenge = statement_challenge(
		&a.request, &a.node, a.slot, a.attempt, a.c.salt, a.checkpoint);
	return a;
}

void trade_assign(struct trade *t, int64_t price_micros)
{
	trade_hold(t, price_micros);

	struct assignment a = trade_assignment_body(t, price_micros);

	t->assignment = trade_sign(t, &t->broker, STATEMENT_ASSIGNMENT, &a);
}

void trade_log(struct trade *t, const struct id *evidence)
{
	char origin[PROOF_ORIGIN_MAX];
	uint8_t bytes[RECEIPT_MAX];
	struct buf out = BUF(bytes);
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = *evidence };
	struct id root = entry_leaf(&entry);
	struct receipt_place place = { .size = 1 };

	t->note = note(t, 1, &root);
	if (!receipt_write(&t->broker.author.signer,
		    SPAN_STR(proof_origin(&t->broker.root.issuer, origin)), &place, &root, &out))
		abort();
	t->receipt = buf_copy(&t->arena, buf_span(&out));
}

static struct span wrap(struct trade *t, const struct trade_party *to, const struct id *scope)
{
	struct seal_context context = {
		.request = t->request.id, .scope = *scope, .recipient = to->root.issuer
	};
	uint8_t ephemeral[32] = { 55 };
	uint8_t public_key[32];
	uint8_t bytes[SEAL_WRAPPED];
	struct buf out = BUF(bytes);

	seal_public_key(to->encryption_secret, public_key);
	if (!seal_wrap(t->content_key, public_key, ephemeral, &context, &out))
		abort();
	return buf_copy(&t->arena, buf_span(&out));
}

static void evidence(struct trade *t)
{
	struct seal_bound bound = { .request = t->request.id, .subject = t->assignment.id };
	uint8_t salt[16] = { 77 };
	struct claims claims = { .present = true,
		.plain_salt = SPAN_OF(salt),
		.place = { .present = true, .lat_e7 = 525000001, .lon_e7 = 134000001 },
		.at_ns = TRADE_NOW };
	uint8_t small[512];
	uint8_t sealed_claims[512];
	uint8_t nonce[SEAL_SMALL_NONCE] = { 1 };
	struct buf doc = BUF(small);
	struct buf sealed = BUF(sealed_claims);
	size_t n = seal_size(t->plain.n);
	uint8_t *room = malloc(n);
	struct buf cipher = buf_over(room, n);
	struct statement *assignment = calloc(1, sizeof(*assignment));

	if (schema_encode(&claims_schema, &claims, &doc, NULL) != REFUSED_NOT ||
		!seal_small(SEAL_CLAIMS, t->content_key, nonce, &bound, buf_span(&doc), &sealed) ||
		!seal_content(t->content_key, nonce, &bound, t->plain, &cipher) ||
		statement_decode(t->assignment.bytes, assignment, NULL) != REFUSED_NOT)
		abort();
	t->ciphertext = buf_copy(&t->arena, buf_span(&cipher));
	free(room);

	struct evidence e = {
		.present = true,
		.request = t->request.id,
		.assignment = t->assignment.id,
		.challenge = assignment->body.assignment.challenge,
		.sequence = 1,
		.start_ns = TRADE_NOW,
		.end_ns = TRADE_NOW,
		.source = SOURCE_REPLAY,
		.device = SPAN_STR("file"),
		.pipeline = SPAN_STR("replay"),
		.payload = { .present = true,
			.type = SPAN_STR(JPEG_TYPE),
			.size = (int64_t)t->plain.n,
			.plain_digest = SHA256(SPAN_OF(salt), t->plain),
			.cipher_digest = digest_of(t->ciphertext),
			.algorithm = SPAN_STR("assay-content-v1"),
			.wrapped_key = wrap(t, &t->escrow, &t->assignment.id) },
		.claims = buf_span(&sealed),
		.final = true,
	};

	t->evidence = trade_sign(t, &t->node, STATEMENT_EVIDENCE, &e);
	free(assignment);
}

static void verdicts(struct trade *t, const struct draw *d)
{
	struct seal_bound bound = { .request = t->request.id, .subject = t->evidence.id };
	struct id plain = digest_of(t->plain);
	uint8_t bytes[128];
	uint8_t nonce[SEAL_SMALL_NONCE] = { 9 };

	for (size_t i = 0; i < TRADE_PANEL; i++) {
		struct buf sealed = BUF(bytes);
		struct verdict v = {
			.present = true,
			.request = t->request.id,
			.assignment = t->assignment.id,
			.evidence = t->evidence.id,
			.draw = t->draw.id,
			.outcome = CHECK_PASS,
			.checks = { { .present = true,
				.id = SPAN_STR("decodes"),
				.check_version = 1,
				.result = CHECK_PASS } },
			.n_checks = 1,
			.engine = SPAN_STR("test"),
			.tier = TIER_REPLAY,
		};

		if (!seal_small(
			    SEAL_DIGEST, t->content_key, nonce, &bound, SPAN_OF(plain), &sealed))
			abort();
		v.sealed_digest = buf_span(&sealed);
		for (size_t k = 0; k < TRADE_VERIFIERS; k++)
			if (did_eq(&t->verifiers[k].root.issuer, &d->panel[i]))
				t->verdicts[i] = trade_sign(
					t, &t->verifiers[k], STATEMENT_VERDICT, &v);
	}
}

void trade_settle(struct trade *t)
{
	struct rules_money money, held;

	evidence(t);
	trade_log(t, &t->evidence.id);

	struct id seed = statement_draw_seed(
		&t->draw_secret, t->request_body.c.salt, &t->evidence.id, t->note);
	struct draw d = {
		.present = true,
		.request = t->request.id,
		.evidence = t->evidence.id,
		.draw_secret = t->draw_secret,
		.checkpoint = t->note,
	};

	d.n_panel = statement_draw_panel(
		&seed, t->request_body.pool, TRADE_VERIFIERS, TRADE_PANEL, d.panel);
	t->draw = trade_sign(t, &t->escrow, STATEMENT_DRAW, &d);
	verdicts(t, &d);

	struct release rel = {
		.present = true,
		.request = t->request.id,
		.evidence = t->evidence.id,
		.verdicts = { t->verdicts[0].id, t->verdicts[1].id },
		.n_verdicts = 2,
		.recipient = t->buyer.root.issuer,
		.wrapped_key = wrap(t, &t->buyer, &t->evidence.id),
	};

	t->release = trade_sign(t, &t->escrow, STATEMENT_RELEASE, &rel);
	if (rules_money(&t->request_body, 900000, &money) != REFUSED_NOT ||
		rules_money(&t->request_body, t->request_body.price_micros, &held) != REFUSED_NOT)
		abort();

	struct settlement st = {
		.present = true,
		.request = t->request.id,
		.hold = t->hold.id,
		.basis = BASIS_VERDICTS,
		.evidence = t->evidence.id,
		.verdicts = { t->verdicts[0].id, t->verdicts[1].id },
		.n_verdicts = 2,
		.draw_secret = t->draw_secret,
		.lines = { { true, t->node.root.issuer, ACCOUNT_AVAILABLE, 900000 },
			{ true, t->escrow.root.issuer, ACCOUNT_FEE, money.fee_micros },
			{ true, d.panel[0], ACCOUNT_VERIFIER_PAY, money.verifier_each_micros },
			{ true, d.panel[1], ACCOUNT_VERIFIER_PAY, money.verifier_each_micros },
			{ true, t->buyer.root.issuer, ACCOUNT_AVAILABLE,
				held.total_micros - 900000 - money.fee_micros -
					2 * money.verifier_each_micros } },
		.n_lines = 5,
		.asset = SPAN_STR("XTS"),
		.sequence = 1,
		.outcome = SLOT_SETTLED,
	};

	t->settlement = trade_sign(t, &t->escrow, STATEMENT_SETTLEMENT, &st);
}

const struct opened *trade_open(struct trade *t, struct message *m,
	const struct trade_statement *const *statements, size_t n)
{
	struct buf out = BUF(t->frame);

	for (size_t i = 0; i < n; i++)
		m->statements[m->n_statements++] = statements[i]->bytes;
	if (!message_encode(m, &out) ||
		message_open(buf_span(&out), t->keyring, NULL, NULL, &t->opened) != REFUSED_NOT)
		abort();
	return &t->opened;
}
