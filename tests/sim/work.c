/* Work of the shells: captures, judgements and payloads that are pulled. */
#include "tests/sim/sim.h"

#include "escrow/core/escrow.h"
#include "proto/base/sha256.h"
#include "proto/seal/digest.h"
#include "proto/statement/payload.h"
#include "sensor-node/core/node.h"
#include "tests/sim/person.h"

#include <stdlib.h>

#define PLAIN_MAX     (160 * 1024)
#define PULL_TRY_NS   (150 * NS_PER_MS)
#define PULL_AGAIN_NS (2 * NS_PER_S)

struct span store_payload(const struct sim_party *p, const struct id *digest)
{
	const struct store_row *row = store_find(&p->store, TABLE_PAYLOAD, SPAN_OF(*digest));

	if (row)
		return row->cells[2].b;
	row = store_find(&p->store, STORE_FILES, SPAN_OF(*digest));
	return row ? row->cells[1].b : SPAN(NULL, 0);
}

static void put_file(struct sim_party *p, const struct id *digest, struct span bytes)
{
	struct row row = { .table = STORE_FILES, .op = PUT_REPLACE };

	row_blob(&row, SPAN_OF(*digest));
	row_blob(&row, bytes);
	store_put_apart(&p->store, &row);
}

static void end_later(
	struct world *w, const struct sim_party *p, struct sim_done *done, int64_t in_ns)
{
	world_at(w, w->now_ns + in_ns, W_DONE, p->index, p->index, done);
}

static struct sim_done *done_of(const struct work_result *result, const void *detail, size_t size)
{
	struct sim_done *done = calloc(1, sizeof(*done) + size);

	if (!done)
		abort();
	done->result = *result;
	done->size = size;
	if (size > 0)
		memcpy(done->detail, detail, size);
	return done;
}

/* A measurement in the unit asked for, or a picture that begins and ends as a JPEG does. */
static struct span make_plain(struct world *w, const struct sim_party *p,
	const struct node_capture *work, bool junk, uint8_t room[static PLAIN_MAX])
{
	bool measured = strcmp(work->job.kind, "measurement") == 0;
	struct buf out = buf_over(room, PLAIN_MAX);
	struct measurement m = { .quantity = SPAN_STR("temperature"),
		.unit = SPAN_STR(junk ? "m" : "Cel"),
		.mantissa = rng_between(&w->load, -200, 400),
		.exponent = -1,
		.raw = SPAN_STR("+2.15E+01"),
		.identity = SPAN_STR("ASSAY,SIM,0,1"),
		.at_ns = party_now(w, p) };
	size_t n;

	if (measured) {
		if (schema_encode(&measurement_schema, &m, &out, NULL) != REFUSED_NOT)
			abort();
		return buf_span(&out);
	}
	n = rng_chance(&w->load, 800000) ? 2000 + rng_below(&w->load, 20000)
					 : 40000 + rng_below(&w->load, 100000);
	rng_fill(&w->entropy, room, n);
	room[0] = 0xff;
	room[1] = 0xd8;
	room[n - 2] = 0xff;
	room[n - 1] = junk ? 0x00 : 0xd9;
	return SPAN(room, n);
}

static bool plain_good(struct span plain, struct span type)
{
	struct measurement m;

	if (span_is(type, JPEG_TYPE))
		return plain.n > 4 && plain.p[0] == 0xff && plain.p[1] == 0xd8 &&
		       plain.p[plain.n - 2] == 0xff && plain.p[plain.n - 1] == 0xd9;
	return schema_decode(&measurement_schema, plain, &m, NULL) == REFUSED_NOT &&
	       span_is(m.unit, "Cel");
}

static void set_text(char *out, const char *text)
{
	memcpy(out, text, strlen(text) + 1);
}

static void seal_capture(struct world *w, struct sim_party *p, const struct node_capture *work,
	struct span plain, struct capture_result *c)
{
	static uint8_t sealed_room[PLAIN_MAX + 1024];
	struct seal_bound bound = { .request = work->request, .subject = work->assignment };
	struct buf sealed = BUF(sealed_room);
	uint8_t claims_room[NODE_CLAIMS_MAX];
	struct buf claims_bytes = BUF(claims_room);
	struct buf claims_sealed = BUF(c->claims);
	uint8_t salt[16];
	uint8_t nonce[SEAL_SMALL_NONCE];
	struct claims claims = { .plain_salt = SPAN_OF(salt),
		.place = work->place,
		.accuracy_m = 5,
		.at_ns = party_now(w, p) };

	rng_fill(&w->entropy, salt, sizeof(salt));
	rng_fill(&w->entropy, nonce, sizeof(nonce));
	rng_fill(&w->entropy, c->content_key, sizeof(c->content_key));
	if (!seal_content(c->content_key, nonce, &bound, plain, &sealed) ||
		schema_encode(&claims_schema, &claims, &claims_bytes, NULL) != REFUSED_NOT ||
		!seal_small(SEAL_CLAIMS, c->content_key, nonce, &bound, buf_span(&claims_bytes),
			&claims_sealed))
		abort();
	c->n_claims = claims_sealed.n;
	c->size = (int64_t)plain.n;
	c->plain_digest = SHA256(SPAN_OF(salt), plain);
	c->cipher_digest = digest_of(buf_span(&sealed));
	c->cipher_size = (int64_t)sealed.n;
	if (sealed.n <= PAYLOAD_INLINE_MAX) {
		c->n_ciphertext = sealed.n;
		memcpy(c->ciphertext, sealed.p, sealed.n);
	} else {
		put_file(p, &c->cipher_digest, buf_span(&sealed));
	}
}

static void capture(struct world *w, struct sim_party *p, struct work_result *result,
	const struct node_capture *work)
{
	static struct capture_result c; /* large */
	static uint8_t room[PLAIN_MAX];
	int fault = faults_capture(w, p, &work->assignment);
	int64_t takes_ns = rng_between(&w->load, 20 * NS_PER_MS, 3 * NS_PER_S);
	struct span plain;

	if (fault == FAULT_NODE_CAPTURE_FAILS) {
		result->status = -EIO;
		end_later(w, p, done_of(result, NULL, 0), takes_ns);
		return;
	}
	memset(&c, 0, sizeof(c));
	plain = make_plain(w, p, work, fault == FAULT_NODE_JUNK, room);
	c.start_ns = party_now(w, p);
	c.end_ns = c.start_ns + takes_ns / 2;
	c.uncertainty_ns = NS_PER_MS;
	c.source = SOURCE_LIVE;
	set_text(c.device, "sim");
	set_text(c.pipeline, "sim");
	set_text(c.type, strcmp(work->job.kind, "measurement") == 0 ? MEASUREMENT_TYPE : JPEG_TYPE);
	seal_capture(w, p, work, plain, &c);
	end_later(w, p, done_of(result, &c, sizeof(c)), takes_ns);
}

struct work_truth work_judge(struct world *w, const struct sim_party *p,
	const struct seal_bound *bound, const uint8_t key[static 32],
	const struct statement *evidence)
{
	static uint8_t room[PLAIN_MAX];
	const struct payload *payload = &evidence->body.evidence.payload;
	struct span sealed = store_payload(p, &payload->cipher_digest);
	struct work_truth truth = { .outcome = CHECK_FAIL };
	uint8_t claims_room[NODE_CLAIMS_MAX];
	struct buf claims_bytes = BUF(claims_room);
	struct buf plain = BUF(room);
	struct claims claims;
	struct id digest;

	if (sealed.n == 0) {
		world_broken(w, "payload-lost", "%s has no payload to judge", p->name);
		return truth;
	}
	if (seal_open(key, bound, sealed, &plain) != REFUSED_NOT ||
		seal_open_small(SEAL_CLAIMS, key, bound, evidence->body.evidence.claims,
			&claims_bytes) != REFUSED_NOT ||
		schema_decode(&claims_schema, buf_span(&claims_bytes), &claims, NULL) !=
			REFUSED_NOT)
		return truth;
	digest = SHA256(claims.plain_salt, buf_span(&plain));
	if (!id_eq(&digest, &payload->plain_digest) || !plain_good(buf_span(&plain), payload->type))
		return truth;
	truth.outcome = CHECK_PASS;
	truth.digest = digest_of(buf_span(&plain));
	truth.has_digest = true;
	return truth;
}

/* The statement of that id in the party's store, decoded; large, and valid until the next call. */
static const struct statement *stored(const struct sim_party *p, const struct id *id)
{
	static struct statement s;
	const struct store_row *row = store_find(&p->store, TABLE_STATEMENT, SPAN_OF(*id));

	if (!row || statement_decode(row->cells[3].b, &s, NULL) != REFUSED_NOT)
		abort();
	return &s;
}

static void judge(struct world *w, struct sim_party *p, struct work_result *result,
	const struct verifier_job *job)
{
	struct seal_context context = { .request = job->request,
		.scope = job->evidence,
		.recipient = p->author.signer.issuer };
	struct seal_bound bound = { .request = job->request, .subject = job->assignment };
	struct seal_bound digest_bound = { .request = job->request, .subject = job->evidence };
	struct verifier_word word = { .job = *job };
	int64_t takes_ns = rng_between(&w->load, 5 * NS_PER_MS, 2 * NS_PER_S);
	struct buf out = BUF(word.sealed_digest);
	uint8_t nonce[SEAL_SMALL_NONCE] = { 1 };
	uint8_t key[SEAL_KEY];
	struct work_truth truth;
	int fault = faults_verifier(w, p, &job->draw);

	if (fault == FAULT_VERIFIER_SILENT)
		return;
	if (seal_unwrap(SPAN_OF(job->wrapped), p->encryption_secret, &context, key) !=
		REFUSED_NOT) {
		world_broken(w, "ticket-key", "%s cannot unwrap the content key", p->name);
		return;
	}
	truth = work_judge(w, p, &bound, key, stored(p, &job->evidence));
	word.outcome = truth.outcome;
	if (fault == FAULT_VERIFIER_LIES)
		word.outcome = CHECK_FAIL;
	else if (fault == FAULT_VERIFIER_UNSURE)
		word.outcome = CHECK_INCONCLUSIVE;
	if (truth.has_digest) {
		word.has_digest = true;
		if (!seal_small(
			    SEAL_DIGEST, key, nonce, &digest_bound, SPAN_OF(truth.digest), &out))
			abort();
	}
	if (fault == FAULT_VERIFIER_LATE)
		takes_ns += rng_between(&w->load, 10 * NS_PER_S, 90 * NS_PER_S);
	end_later(w, p, done_of(result, &word, sizeof(word)), takes_ns);
	/* It signs again: another statement of the same judgement. */
	if (fault == FAULT_VERIFIER_TWICE)
		end_later(w, p, done_of(result, &word, sizeof(word)), takes_ns + NS_PER_S);
}

static void judge_by_default(struct world *w, struct sim_party *p, struct work_result *result,
	const struct escrow_verify_job *job)
{
	static struct escrow_verify_result out; /* large */
	struct seal_bound bound = { .request = job->request, .subject = job->assignment };
	struct work_truth truth;

	if (!w->calm && w->o.faults != FAULTS_OFF && rng_chance(&w->chance, 100000)) {
		result->status = -EIO; /* the worker died: it is asked again */
		end_later(w, p, done_of(result, NULL, 0), NS_PER_S);
		return;
	}
	truth = work_judge(w, p, &bound, job->content_key, stored(p, &job->evidence));
	memset(&out, 0, sizeof(out));
	out.outcome = truth.outcome;
	out.has_digest = truth.has_digest;
	out.plain_digest = truth.digest;
	checks_default(w, &job->evidence, truth.outcome);
	end_later(w, p, done_of(result, &out, sizeof(out)), 200 * NS_PER_MS);
}

static void fetch(struct world *w, struct sim_party *p, const struct sim_pull *pull)
{
	static struct send send; /* large */
	size_t n = p->n_outs;

	memset(&send, 0, sizeof(send));
	send.to = pull->want.from;
	send.message.message = MESSAGE_FETCH;
	send.message.request = pull->want.request;
	send.message.target = pull->want.digest;
	send.message.size = MIN(pull->want.size, (int64_t)PAYLOAD_CHUNK);
	send_attach(&send, &pull->want.ticket);
	attach_send(w, p, &send);
	if (p->n_outs == n)
		return;
	p->n_outs = n;
	network_send(w, p->index, &p->outs[n]);
	free(p->outs[n].letter);
}

/* A buyer keeps no files: it gets the bytes. */
static void end_pull(struct world *w, const struct sim_party *p, const struct work_result *result,
	const struct id *digest)
{
	struct span bytes = store_payload(p, digest);
	bool given = p->kind == SIM_BUYER && bytes.n > 0;

	end_later(w, p, done_of(result, &bytes, given ? sizeof(bytes) : 0), NS_PER_MS);
}

static void begin_pull(struct world *w, struct sim_party *p, const struct work_result *result,
	const struct work_pull *want)
{
	struct sim_pull pull = { .ticket = result->ticket, .begun_ns = w->now_ns, .want = *want };

	if (store_payload(p, &want->digest).n > 0) {
		end_pull(w, p, result, &want->digest);
		return;
	}
	if (want->size <= 0 || want->size > PAYLOAD_MAX + (1 << 20)) {
		struct work_result refused = *result;

		refused.refusal = REFUSED_PAYLOAD_SIZE;
		end_later(w, p, done_of(&refused, NULL, 0), NS_PER_MS);
		return;
	}
	fetch(w, p, &pull);
	world_at(w, w->now_ns + PULL_TRY_NS, W_PULL, p->index, p->index,
		sim_copy(&pull, sizeof(pull)));
}

/* The chunks as one: they come where the source is there, connected and willing. */
void work_pull(struct world *w, struct sim_party *p, struct sim_pull *pull)
{
	struct sim_party *from = world_party(w, &pull->want.from);
	struct work_result result = { .ticket = pull->ticket, .kind = WORK_PULL };
	const struct sim_link *link = from ? network_link(w, p->index, from->index) : NULL;
	bool reached = link && link->up && link->blocked_until_ns <= w->now_ns && from->core;
	struct span bytes = SPAN(NULL, 0);

	if (reached && from->ops->may_fetch &&
		from->ops->may_fetch(from->core, &p->author.signer.issuer, &pull->want.digest))
		bytes = store_payload(from, &pull->want.digest);
	if (bytes.n == 0 && w->now_ns - pull->begun_ns < PULL_SILENCE_NS) {
		fetch(w, p, pull);
		world_at(w, w->now_ns + PULL_AGAIN_NS, W_PULL, p->index, p->index, pull);
		return;
	}
	if (bytes.n == 0)
		result.status = -ETIMEDOUT;
	else if ((int64_t)bytes.n != pull->want.size)
		result.refusal = REFUSED_PAYLOAD_SIZE;
	else if (from->kind == SIM_NODE && faults_lies(w, from, &pull->want.digest))
		result.refusal = REFUSED_PAYLOAD_DIGEST;
	else
		put_file(p, &pull->want.digest, bytes);
	end_pull(w, p, &result, &pull->want.digest);
	free(pull);
}

void work_start(struct world *w, struct sim_party *p, struct sim_done *work)
{
	struct work_result result = work->result;
	struct row row = { .table = STORE_FILES, .op = PUT_DELETE };

	if (result.kind == WORK_PULL) {
		begin_pull(w, p, &result, (const void *)work->detail);
	} else if (p->kind == SIM_NODE && result.kind == NODE_WORK_CAPTURE) {
		capture(w, p, &result, (const void *)work->detail);
	} else if (p->kind == SIM_NODE && result.kind == NODE_WORK_FORGET) {
		row_blob(&row, SPAN(work->detail, 32));
		store_put_apart(&p->store, &row);
	} else if (p->kind == SIM_VERIFIER) {
		judge(w, p, &result, (const void *)work->detail);
	} else if (p->kind == SIM_ESCROW) {
		judge_by_default(w, p, &result, (const void *)work->detail);
	}
	free(work);
}
