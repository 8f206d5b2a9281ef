#include "verify_fixture.h"

#include "proto/base/sha256.h"
#include "proto/core/rules.h"
#include "proto/seal/digest.h"
#include "proto/tlog/proof.h"

#include <sodium.h>

#define BODY(f, kind) fixture_body((f), (kind))

static void *fixture_body(struct fixture *f, int kind)
{
	switch (kind) {
	case STATEMENT_REQUEST:
		return &f->request;
	case STATEMENT_HOLD:
		return &f->hold;
	case STATEMENT_EARMARK:
		return &f->earmark;
	case STATEMENT_ASSIGNMENT:
		return &f->assignment;
	case STATEMENT_EVIDENCE:
		return &f->evidence;
	default:
		assert(kind == STATEMENT_DRAW);
		return &f->draw;
	}
}

static void common(struct fixture *f, struct common *c, int64_t at_ns)
{
	uint8_t *salt = f->salts[f->n_salts];

	memset(salt, (int)++f->n_salts, 16);
	*c = (struct common){
		.version = STATEMENT_VERSION,
		.market = SPAN_STR("test"),
		.salt = SPAN(salt, 16),
		.at_ns = at_ns,
		.expires_ns = at_ns + 3600 * NS_PER_S,
	};
}

void fixture_keys(const struct fixture *f, enum fixture_party party, struct buf *out)
{
	uint8_t encryption[32];
	uint8_t curve[32];
	uint8_t salt[16] = { (uint8_t)party };
	struct id id;
	struct keys keys = {
		.present = true,
		.c = { .market = SPAN_STR("test"),
			.salt = SPAN_OF(salt),
			.at_ns = FIXTURE_NOW_NS - 60 * NS_PER_S },
		.working_key = SPAN_OF(f->signers[party].public_key),
		.working_alg = COSE_ALG_EDDSA,
		.curve_key = SPAN_OF(curve),
		.encryption_key = SPAN_OF(encryption),
		.valid_from_ns = FIXTURE_NOW_NS - 60 * NS_PER_S,
		.valid_until_ns = FIXTURE_NOW_NS + 3600 * NS_PER_S,
	};

	memset(curve, (int)party + 1, sizeof(curve));
	seal_public_key(f->encryption_secret[party], encryption);
	assert(statement_sign(STATEMENT_KEYS_OF, &keys, &f->signers[party], out, &id, NULL) ==
		REFUSED_NOT);
}

static void make_party(struct fixture *f, enum fixture_party party)
{
	struct signer *signer = &f->signers[party];
	uint8_t seed[32] = { 7, (uint8_t)party };
	uint8_t bytes[2048];
	struct buf out = BUF(bytes);
	struct statement keys;
	bool is_new;

	assert(crypto_sign_seed_keypair(signer->public_key, signer->secret_key, seed) == 0);
	memcpy(signer->issuer.b, signer->public_key, 32);
	memset(f->encryption_secret[party], (int)party + 101, 32);
	fixture_keys(f, party, &out);
	assert(statement_decode(buf_span(&out), &keys, NULL) == REFUSED_NOT);
	assert(keyring_learn(f->keyring, &keys, &is_new) == REFUSED_NOT && is_new);
}

static void ask(struct fixture *f)
{
	static const char *const checks[] = { CHECK_DECODES, CHECK_DIMENSIONS, CHECK_PLACE };
	struct request *r = &f->request;

	*r = (struct request){
		.present = true,
		.kind = SPAN_STR("photo"),
		.parameters = { .present = true, .width = 64, .height = 48 },
		.area = { true, 525000000, 134000000, 1000 },
		.sources = SOURCE_LIVE | SOURCE_REPLAY,
		.slots = 1,
		.broker = f->signers[FIXTURE_BROKER].issuer,
		.escrow = f->signers[FIXTURE_ESCROW].issuer,
		.asset = SPAN_STR("XTS"),
		.price_micros = 1000000,
		.max_total_micros = 2000000,
		.attempts = 2,
		.pool = { f->signers[FIXTURE_VERIFIER].issuer,
			f->signers[FIXTURE_STRANGER].issuer },
		.n_pool = 1,
		.panel_n = 1,
		.panel_k = 1,
		.n_checks = ARRAY_SIZE(checks),
		.t_fund_ms = 1000,
		.t_open_ms = 1000,
		.t_commit_ms = 30000,
		.t_deliver_ms = 30000,
		.t_verify_ms = 30000,
		.t_arbitrate_ms = 1000,
		.on_silence = SILENCE_REFUND,
		.encryption_key = SPAN_OF(f->signers[FIXTURE_BUYER].public_key),
	};
	common(f, &r->c, FIXTURE_NOW_NS);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		r->checks[i] = (struct check){ .present = true,
			.id = SPAN_STR(checks[i]),
			.check_version = 1,
			.binding = true };
}

void fixture_ask_value(
	struct fixture *f, const char *unit, int64_t low, int64_t high, int64_t exponent)
{
	struct request *r = &f->request;

	r->kind = SPAN_STR("scpi");
	r->parameters = (struct parameters){ .present = true,
		.unit = SPAN_STR(unit),
		.low = low,
		.high = high,
		.exponent = exponent,
		.quantity = SPAN_STR("voltage") };
	r->checks[0].id = SPAN_STR(CHECK_UNIT_RANGE);
	r->n_checks = 1;
}

struct span fixture_measurement(
	const char *unit, int64_t mantissa, int64_t exponent, struct buf *room)
{
	struct measurement m = {
		.present = true,
		.quantity = SPAN_STR("voltage"),
		.unit = SPAN_STR(unit),
		.mantissa = mantissa,
		.exponent = exponent,
		.raw = SPAN_STR("1.5"),
		.identity = SPAN_STR("ASSAY,TEST,1,1"),
		.at_ns = FIXTURE_NOW_NS,
	};
	size_t at = room->n;

	assert(schema_encode(&measurement_schema, &m, room, NULL) == REFUSED_NOT);
	return SPAN(room->p + at, room->n - at);
}

static void sign(struct fixture *f, int kind, fixture_tamper *tamper)
{
	struct buf out = BUF(f->bytes[kind]);
	struct id id;

	if (tamper)
		tamper(f, kind);
	assert(statement_sign((enum statement_kind)kind, BODY(f, kind),
		       &f->signers[f->signed_by[kind]], &out, &id, NULL) == REFUSED_NOT);
	assert(statement_decode(buf_span(&out), &f->statements[kind], NULL) == REFUSED_NOT);
}

static const struct id *id_of(const struct fixture *f, int kind)
{
	return &f->statements[kind].id;
}

static void promise(struct fixture *f, fixture_tamper *tamper)
{
	struct earmarked mark = { true, f->signers[FIXTURE_NODE].issuer, 0, 0, 1000000,
		FIXTURE_NOW_NS + 100 * NS_PER_S };

	memset(f->draw_secret.b, 0x5a, sizeof(f->draw_secret.b));
	f->hold = (struct hold){
		.present = true,
		.request = *id_of(f, STATEMENT_REQUEST),
		.amounts = { { true, ACCOUNT_HELD, 1000000 } },
		.n_amounts = 1,
		.asset = SPAN_STR("XTS"),
		.until_ns = FIXTURE_NOW_NS + 3600 * NS_PER_S,
		.draw_commitment = SHA256(SPAN_OF(f->draw_secret)),
		.sequence = 1,
	};
	common(f, &f->hold.c, FIXTURE_NOW_NS);
	if (!f->own_earmark)
		f->hold.earmark = mark;
	sign(f, STATEMENT_HOLD, tamper);
	f->earmark = (struct earmark){ .present = true,
		.request = *id_of(f, STATEMENT_REQUEST),
		.hold = *id_of(f, STATEMENT_HOLD),
		.earmark = mark };
	common(f, &f->earmark.c, FIXTURE_NOW_NS);
	if (f->own_earmark)
		sign(f, STATEMENT_EARMARK, tamper);
}

static void assign(struct fixture *f, fixture_tamper *tamper)
{
	struct assignment *a = &f->assignment;

	*a = (struct assignment){
		.present = true,
		.request = *id_of(f, STATEMENT_REQUEST),
		.hold = *id_of(f, STATEMENT_HOLD),
		.earmark = *id_of(f, f->own_earmark ? STATEMENT_EARMARK : STATEMENT_HOLD),
		.node = f->signers[FIXTURE_NODE].issuer,
		.price_micros = 1000000,
		.checkpoint = SPAN_STR("a checkpoint\n"),
		.commit_by_ns = FIXTURE_NOW_NS + 30 * NS_PER_S,
		.deliver_by_ns = FIXTURE_NOW_NS + 60 * NS_PER_S,
	};
	memset(a->offering.b, 9, sizeof(a->offering.b));
	common(f, &a->c, FIXTURE_NOW_NS);
	a->challenge = statement_challenge(&a->request, &a->node, 0, 0, a->c.salt, a->checkpoint);
	sign(f, STATEMENT_ASSIGNMENT, tamper);
}

static void seal(struct fixture *f, struct payload *payload)
{
	struct seal_bound bound = { *id_of(f, STATEMENT_REQUEST), *id_of(f, STATEMENT_ASSIGNMENT) };
	struct seal_context context = { bound.request, bound.subject,
		f->signers[FIXTURE_ESCROW].issuer };
	uint8_t room[VERIFY_CLAIMS_MAX];
	uint8_t escrow_key[32];
	struct buf claims = BUF(room);
	struct buf sealed = BUF(f->sealed);
	struct buf sealed_claims = BUF(f->sealed_claims);
	struct buf wrapped = BUF(f->wrapped);
	const uint8_t *key = f->input.content_key;

	assert(schema_encode(&claims_schema, &f->claims, &claims, NULL) == REFUSED_NOT);
	assert(seal_content(key, (const uint8_t[SEAL_NONCE]){ 1 }, &bound,
		SPAN(f->plain, f->n_plain), &sealed));
	assert(seal_small(SEAL_CLAIMS, key, (const uint8_t[SEAL_SMALL_NONCE]){ 2 }, &bound,
		buf_span(&claims), &sealed_claims));
	seal_public_key(f->encryption_secret[FIXTURE_ESCROW], escrow_key);
	assert(seal_wrap(key, escrow_key, (const uint8_t[32]){ 3 }, &context, &wrapped));
	payload->size = (int64_t)f->n_plain;
	payload->plain_digest = SHA256(f->claims.plain_salt, SPAN(f->plain, f->n_plain));
	payload->cipher_digest = digest_of(buf_span(&sealed));
	payload->wrapped_key = buf_span(&wrapped);
	f->evidence.claims = buf_span(&sealed_claims);
	f->input.ciphertext = buf_span(&sealed);
}

static void capture(struct fixture *f, fixture_tamper *tamper)
{
	struct evidence *e = &f->evidence;
	bool measured = f->request.n_checks > 0 &&
			span_is(f->request.checks[0].id, CHECK_UNIT_RANGE);

	f->claims = (struct claims){ .present = true,
		.plain_salt = SPAN_STR("0123456789abcdef"),
		.place = { true, 525010000, 134010000, 0 },
		.accuracy_m = 5,
		.at_ns = FIXTURE_NOW_NS + NS_PER_S };
	*e = (struct evidence){
		.present = true,
		.request = *id_of(f, STATEMENT_REQUEST),
		.assignment = *id_of(f, STATEMENT_ASSIGNMENT),
		.challenge = f->assignment.challenge,
		.sequence = 1,
		.start_ns = FIXTURE_NOW_NS + NS_PER_S,
		.end_ns = FIXTURE_NOW_NS + NS_PER_S + 1000,
		.uncertainty_ns = 1000000,
		.source = SOURCE_LIVE,
		.device = SPAN_STR("camera"),
		.pipeline = SPAN_STR("none"),
		.payload = { .present = true,
			.type = SPAN_STR(measured ? MEASUREMENT_TYPE : JPEG_TYPE),
			.algorithm = SPAN_STR(VERIFY_ALGORITHM) },
		.final = true,
	};
	common(f, &e->c, FIXTURE_NOW_NS + 2 * NS_PER_S);
	memset(f->input.content_key, 0xc0, sizeof(f->input.content_key));
	if (tamper)
		tamper(f, FIXTURE_SEAL);
	seal(f, &e->payload);
	sign(f, STATEMENT_EVIDENCE, tamper);
}

/* A log of two entries; the evidence is the second. */
static void log_it(struct fixture *f, fixture_tamper *tamper)
{
	struct did broker = f->signers[FIXTURE_BROKER].issuer;
	char origin[PROOF_ORIGIN_MAX];
	uint8_t text[CHECKPOINT_TEXT_MAX];
	struct buf out = BUF(text);
	struct buf receipt = BUF(f->receipt);
	struct buf note = BUF(f->note);

	f->logged = *id_of(f, STATEMENT_EVIDENCE);
	if (tamper)
		tamper(f, FIXTURE_LOG);

	struct entry entry = { .type = ENTRY_EVIDENCE, .id = f->logged };
	struct id leaf = entry_leaf(&entry);
	struct id other = merkle_leaf(SPAN_STR("other"));
	struct id root = merkle_node(&other, &leaf);
	struct receipt_place place = { .size = 2, .index = 1, .n_path = 1, .path = { other } };
	const struct signer *signer = &f->signers[f->log_signer];

	proof_origin(&broker, origin);
	checkpoint_write(&(struct checkpoint){ SPAN_STR(origin), 2, root }, &out);
	assert(note_sign(signer, SPAN_STR(origin), buf_span(&out), &note));
	assert(receipt_write(signer, SPAN_STR(origin), &place, &root, &receipt));
	f->input.note = buf_span(&note);
	f->input.receipt = buf_span(&receipt);
}

static void draw(struct fixture *f, fixture_tamper *tamper)
{
	struct draw *d = &f->draw;

	*d = (struct draw){ .present = true,
		.request = *id_of(f, STATEMENT_REQUEST),
		.evidence = *id_of(f, STATEMENT_EVIDENCE),
		.draw_secret = f->draw_secret,
		.checkpoint = f->input.note };

	struct id seed = statement_draw_seed(
		&d->draw_secret, f->request.c.salt, &d->evidence, d->checkpoint);

	d->n_panel = statement_draw_panel(
		&seed, f->request.pool, f->request.n_pool, (size_t)f->request.panel_n, d->panel);
	common(f, &d->c, FIXTURE_NOW_NS + 3 * NS_PER_S);
	sign(f, STATEMENT_DRAW, tamper);
}

void fixture_make(struct fixture *f, struct span plain, fixture_tamper *tamper)
{
	memset(f, 0, sizeof(*f));
	f->keyring = keyring_new(16);
	assert(f->keyring && plain.n <= FIXTURE_PLAIN_MAX);
	for (int party = 0; party < FIXTURE_PARTIES; party++)
		make_party(f, (enum fixture_party)party);
	f->plain = plain.p;
	f->n_plain = plain.n;
	f->log_signer = FIXTURE_BROKER;
	f->signed_by[STATEMENT_REQUEST] = FIXTURE_BUYER;
	f->signed_by[STATEMENT_HOLD] = FIXTURE_ESCROW;
	f->signed_by[STATEMENT_EARMARK] = FIXTURE_ESCROW;
	f->signed_by[STATEMENT_ASSIGNMENT] = FIXTURE_BROKER;
	f->signed_by[STATEMENT_EVIDENCE] = FIXTURE_NODE;
	f->signed_by[STATEMENT_DRAW] = FIXTURE_ESCROW;
	ask(f);
	sign(f, STATEMENT_REQUEST, tamper);
	promise(f, tamper);
	assign(f, tamper);
	capture(f, tamper);
	if (!f->direct)
		log_it(f, tamper);
	draw(f, tamper);
	f->input.request = &f->statements[STATEMENT_REQUEST];
	f->input.hold = &f->statements[STATEMENT_HOLD];
	f->input.earmark = f->own_earmark ? &f->statements[STATEMENT_EARMARK] : NULL;
	f->input.assignment = &f->statements[STATEMENT_ASSIGNMENT];
	f->input.evidence = &f->statements[STATEMENT_EVIDENCE];
	f->input.draw = &f->statements[STATEMENT_DRAW];
	f->input.keyring = f->keyring;
	if (tamper)
		tamper(f, FIXTURE_DONE);
}

void fixture_deinit(struct fixture *f)
{
	keyring_free(f->keyring);
	f->keyring = NULL;
}
