/* Deposits, good requests, requests that must be refused, and cancels. */
#include "tests/sim/sim.h"

#include "proto/core/rules.h"
#include "tests/sim/person.h"

#include <stdlib.h>

#define AWAY_NS  (120 * NS_PER_S) /* from the last request to the end of the faults, at least */
#define RETRY_NS (7 * NS_PER_S) /* a buyer that died before its first commit is told again */
#define DEPOSITS 3

/* What is wrong with a request, and what it must be refused with. */
static const enum refusal bad[] = {
	REFUSED_HOLD_TOO_SHORT, REFUSED_MAX_TOTAL_TOO_SMALL, REFUSED_REQUEST_EXPIRED,
	REFUSED_PRICE_NOT_POSITIVE, REFUSED_AREA_IMPOSSIBLE, REFUSED_POOL_TOO_SMALL,
	REFUSED_PERSON_TRACKING, REFUSED_QUORUM_NOT_SERVED, REFUSED_DECAY_NOT_SERVED,
	REFUSED_RETENTION_NOT_SERVED, REFUSED_CHECK_UNKNOWN, REFUSED_ATTEMPT_FEE_TOO_HIGH,
	REFUSED_REQUEST_TOO_FAR, REFUSED_REQUEST_FROM_FUTURE, REFUSED_STATEMENT_AUDIENCE,
	REFUSED_STATEMENT_MARKET, REFUSED_WINDOW_IMPOSSIBLE,
	REFUSED_EXCEEDS_AVAILABLE, /* the escrow's word, by way of the broker */
	REFUSED_ASSET_UNKNOWN, /* the same */
};

struct sim_request *workload_find(struct world *w, const struct id *request)
{
	for (size_t i = 0; i < w->n_requests; i++)
		if (id_eq(&w->requests[i].id, request))
			return &w->requests[i];
	return NULL;
}

bool workload_done(const struct world *w)
{
	if (w->n_requests < w->o.requests)
		return false;
	for (size_t i = 0; i < w->n_parties; i++) {
		const struct sim_party *p = &w->parties[i];

		if (p->kind != SIM_BUYER)
			continue;
		if (!p->core || p->store.tables[PERSON_TABLE_DEPOSIT].n != DEPOSITS ||
			person_open(p->core) > 0)
			return false;
	}
	for (size_t i = 0; i < w->n_requests; i++)
		if (!w->requests[i].ended)
			return false;
	return true;
}

/* long: one table of ways to spoil a request, a case each */
static void spoil(struct world *w, struct request *r, enum refusal how, int64_t now_ns)
{
	static const struct check strange = { .present = true,
		.id = { (const uint8_t *)"smell", 5 },
		.check_version = 1,
		.binding = true };

	switch ((int)how) { /* those of the table above */
	case REFUSED_HOLD_TOO_SHORT:
		r->c.expires_ns -= rng_between(&w->load, 61, 80) * NS_PER_S;
		break;
	case REFUSED_MAX_TOTAL_TOO_SMALL:
		r->max_total_micros = r->price_micros - 1;
		break;
	case REFUSED_REQUEST_EXPIRED:
		r->c.at_ns = now_ns - 86400 * NS_PER_S;
		r->c.expires_ns = now_ns - 10 * NS_PER_S;
		break;
	case REFUSED_PRICE_NOT_POSITIVE:
		r->price_micros = -(int64_t)rng_below(&w->load, 2);
		r->attempt_fee_micros = 0;
		break;
	case REFUSED_AREA_IMPOSSIBLE:
		r->area.radius_m = 0;
		break;
	case REFUSED_POOL_TOO_SMALL:
		r->panel_k = r->panel_n + 1;
		break;
	case REFUSED_PERSON_TRACKING:
		r->purpose = SPAN_STR("follow that man home");
		break;
	case REFUSED_QUORUM_NOT_SERVED:
		r->slots = 3;
		break;
	case REFUSED_DECAY_NOT_SERVED:
		r->decay = (struct decay){ .present = true, .soft_deadline_ms = 1, .ppm_per_s = 1 };
		break;
	case REFUSED_RETENTION_NOT_SERVED:
		r->retention_s = RETENTION_MAX_S + 1;
		break;
	case REFUSED_CHECK_UNKNOWN:
		r->checks[r->n_checks++] = strange;
		break;
	case REFUSED_ATTEMPT_FEE_TOO_HIGH:
		r->attempt_fee_micros = r->price_micros + 1;
		break;
	case REFUSED_REQUEST_TOO_FAR:
		r->c.expires_ns = now_ns + REQUEST_HORIZON_NS + 3600 * NS_PER_S;
		break;
	case REFUSED_REQUEST_FROM_FUTURE:
		r->c.at_ns = now_ns + 3600 * NS_PER_S;
		r->c.expires_ns += 3600 * NS_PER_S;
		break;
	case REFUSED_STATEMENT_AUDIENCE:
		r->c.n_audience = 1;
		break;
	case REFUSED_STATEMENT_MARKET:
		r->c.market = SPAN_STR("another");
		break;
	case REFUSED_WINDOW_IMPOSSIBLE:
		r->window = (struct window){ true, now_ns - 20 * NS_PER_S, now_ns - 10 * NS_PER_S };
		break;
	case REFUSED_EXCEEDS_AVAILABLE:
		r->price_micros = INT64_C(1000000) * 1000000;
		r->max_total_micros = 2 * r->price_micros;
		break;
	case REFUSED_ASSET_UNKNOWN:
		r->asset = SPAN_STR("EUR");
		break;
	default:
		abort();
	}
}

static int64_t least_ms(const struct request *r)
{
	return r->t_fund_ms + r->t_open_ms +
	       r->attempts * (r->t_commit_ms + r->t_deliver_ms + r->t_verify_ms + r->t_dispute_ms) +
	       r->t_arbitrate_ms;
}

static void fill_panel(struct world *w, struct request *r)
{
	int64_t most;

	for (size_t i = 0; i < w->n_parties; i++)
		if (w->parties[i].kind == SIM_VERIFIER)
			r->pool[r->n_pool++] = w->parties[i].author.signer.issuer;
	most = (int64_t)r->n_pool;
	if (most >= 2 && rng_chance(&w->load, 300000)) {
		r->t_dispute_ms = rng_between(&w->load, 1000, 20000);
		most /= 2;
	}
	r->panel_n = rng_between(&w->load, 1, most);
	r->panel_k = rng_between(&w->load, 1, r->panel_n);
}

static void fill(struct world *w, const struct sim_party *p, struct request *r, int64_t now_ns)
{
	bool photo = rng_chance(&w->load, 400000);
	const char *kind = photo ? "photo" : "measurement";

	if (rng_chance(&w->load, 30000))
		kind = "sculpture"; /* nobody offers it */
	*r = (struct request){ .kind = SPAN_STR(kind),
		.parameters = { .present = true },
		.area = { true, 481200000, 112300000, 5000 },
		.sources = SOURCE_LIVE,
		.slots = 1,
		.broker = w->parties[w->broker].author.signer.issuer,
		.escrow = w->parties[w->escrow].author.signer.issuer,
		.asset = SPAN_STR(SIM_ASSET),
		.price_micros = rng_between(&w->load, 210000, 400000),
		.fee_ppm = rng_between(&w->load, 0, 50000),
		.verifier_ppm = rng_between(&w->load, 0, 200000),
		.attempts = rng_between(&w->load, 1, 3),
		.t_fund_ms = rng_between(&w->load, 5000, 30000),
		.t_open_ms = rng_between(&w->load, 5000, 60000),
		.t_commit_ms = rng_between(&w->load, 8000, 40000),
		.t_deliver_ms = rng_between(&w->load, 5000, 30000),
		.t_verify_ms = rng_between(&w->load, 5000, 40000),
		.t_arbitrate_ms = rng_between(&w->load, 1000, 20000),
		.on_silence = rng_between(&w->load, SILENCE_REFUND, SILENCE_PAY),
		.encryption_key = SPAN_OF(p->encryption_public) };
	if (!photo)
		r->parameters.unit = SPAN_STR("Cel");
	if (rng_chance(&w->load, 500000))
		r->attempt_fee_micros = rng_between(&w->load, 1, r->price_micros / 4);
	r->checks[r->n_checks++] = (struct check){ true, SPAN_STR(CHECK_DECODES), 1, { 0 }, true };
	r->max_total_micros = r->price_micros * rng_between(&w->load, 2, 3);
	fill_panel(w, r);
	r->c.at_ns = now_ns;
	r->c.expires_ns = now_ns + least_ms(r) * NS_PER_MS +
			  rng_between(&w->load, 12, 60) * NS_PER_S;
	r->c.market = SPAN_STR(SIM_MARKET);
	r->c.audience[0] = r->broker;
	r->c.audience[1] = r->escrow;
	r->c.n_audience = 2;
}

static void give(struct world *w, uint8_t buyer, int kind, const void *detail, size_t size)
{
	struct sim_done *done = calloc(1, sizeof(*done) + size);

	if (!done)
		abort();
	done->result.kind = kind;
	done->size = size;
	memcpy(done->detail, detail, size);
	if (w->parties[buyer].core)
		party_give(w, &w->parties[buyer], EVENT_WORK, buyer, done);
	else
		free(done);
}

static void post_new(struct world *w)
{
	struct sim_request *x = &w->requests[w->n_requests];
	static struct request r; /* large */
	struct person_post *post = &x->post;
	struct buf out = BUF(post->bytes);
	uint8_t salt[16];
	struct sim_party *p = NULL;

	while (!p || p->kind != SIM_BUYER)
		p = &w->parties[rng_below(&w->load, w->n_parties)];
	rng_fill(&w->load, salt, sizeof(salt));
	fill(w, p, &r, party_now(w, p));
	r.c.salt = SPAN_OF(salt);
	*x = (struct sim_request){ .buyer = p->index, .posted_ns = w->now_ns };
	if (rng_chance(&w->load, 150000)) {
		x->expect = bad[rng_below(&w->load, ARRAY_SIZE(bad))];
		spoil(w, &r, x->expect, party_now(w, p));
	}
	if (statement_sign(STATEMENT_REQUEST, &r, &p->author.signer, &out, &x->id, NULL) !=
		REFUSED_NOT)
		abort();
	post->request = x->id;
	post->n = out.n;
	w->n_requests++;
	give(w, p->index, PERSON_WORK_POST, post, sizeof(*post));
	world_say(w, "%s posts a request, expecting %s", p->name, refusal_name(x->expect));
	if (!w->calm && rng_chance(&w->load, w->o.faults == FAULTS_HEAVY ? 120000 : 50000))
		world_at(w, w->now_ns + rng_between(&w->load, 0, 40 * NS_PER_S), W_CANCEL, p->index,
			0, sim_copy(&x->id, sizeof(x->id)));
}

static void deposit_missing(struct world *w)
{
	for (uint8_t i = 0; i < w->n_parties; i++) {
		struct sim_party *p = &w->parties[i];
		bool poor = w->o.faults != FAULTS_OFF && w->o.seed % 5 == 0;

		if (p->kind != SIM_BUYER)
			continue;
		for (uint8_t k = 0; k < DEPOSITS; k++) {
			struct person_deposit d = { .operation = { 'd', i, k, (uint8_t)w->o.seed },
				.amount_micros = poor ? 1000000 : 100000000 + k };

			if (!store_find(&p->store, PERSON_TABLE_DEPOSIT, SPAN_OF(d.operation)))
				give(w, i, PERSON_WORK_DEPOSIT, &d, sizeof(d));
		}
	}
}

/* Tells buyers again what they forgot by a crash before their first commit. */
static bool post_missing(struct world *w)
{
	bool missing = false;

	for (size_t i = 0; i < w->n_requests; i++) {
		struct sim_request *x = &w->requests[i];
		struct sim_party *p = &w->parties[x->buyer];

		if (x->known || w->now_ns - x->posted_ns < RETRY_NS)
			continue;
		if (store_find(&p->store, PERSON_TABLE_REQUEST, SPAN_OF(x->id))) {
			x->known = true;
			continue;
		}
		missing = true;
		x->posted_ns = w->now_ns;
		give(w, x->buyer, PERSON_WORK_POST, &x->post, sizeof(x->post));
	}
	return missing;
}

void workload_begin(struct world *w)
{
	world_at(w, w->now_ns + 2 * NS_PER_S, W_POST, 0, 0, NULL);
}

void workload_post(struct world *w)
{
	int64_t pause = rng_between(&w->load, 0, 3 * NS_PER_S);

	if (w->now_ns >= w->told_ns + RETRY_NS) {
		w->told_ns = w->now_ns;
		deposit_missing(w);
		(void)post_missing(w); /* ignored: asked again until the run ends */
	}
	if (w->n_requests < w->o.requests && w->now_ns > SIM_START_NS + 3 * NS_PER_S) {
		post_new(w);
		if (w->n_requests == w->o.requests)
			world_at(w, w->now_ns + AWAY_NS + rng_between(&w->load, 0, 2 * AWAY_NS),
				W_CALM, 0, 0, NULL);
	}
	if (!workload_done(w))
		world_at(w, w->now_ns + pause, W_POST, 0, 0, NULL);
}

void workload_cancel(struct world *w, struct sim_party *p, const struct id *request)
{
	w->faults[FAULT_CANCEL]++;
	give(w, p->index, PERSON_WORK_CANCEL, request, sizeof(*request));
}
