#include "escrow/verify/gates.h"

#include "proto/base/sha256.h"
#include "proto/seal/digest.h"
#include "proto/seal/seal.h"
#include "proto/tlog/proof.h"

#include <stdlib.h>

/* A gate returns 0, the positive enum refusal of the rule that is broken, or a negative errno. */
typedef int gate(
	const struct verify_input *in, struct verify_output *out, struct check_result *result);

static bool is(const struct statement *s, enum statement_kind kind)
{
	return s && s->kind == kind;
}

static int gate_decode(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	(void)out; /* ignored: the gates' shape */
	(void)result; /* ignored: the gates' shape */
	if (!is(in->request, STATEMENT_REQUEST) || !is(in->hold, STATEMENT_HOLD) ||
		!is(in->assignment, STATEMENT_ASSIGNMENT) || !is(in->evidence, STATEMENT_EVIDENCE))
		return REFUSED_BUNDLE_INCOMPLETE;
	if ((in->earmark && in->earmark->kind != STATEMENT_EARMARK) ||
		(in->draw && in->draw->kind != STATEMENT_DRAW))
		return REFUSED_STATEMENT_KIND;
	if (!in->earmark && !in->hold->body.hold.earmark.present)
		return REFUSED_BUNDLE_INCOMPLETE;
	if ((in->receipt.n == 0) != (in->note.n == 0))
		return REFUSED_BUNDLE_INCOMPLETE;
	return 0;
}

/* Who had to sign what. */
static int gate_signature(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	const struct request *request = &in->request->body.request;
	const struct {
		const struct statement *statement;
		const struct did *issuer;
	} all[] = {
		{ in->request, &in->request->issuer },
		{ in->hold, &request->escrow },
		{ in->earmark, &request->escrow },
		{ in->assignment, &request->broker },
		{ in->evidence, &in->assignment->body.assignment.node },
		{ in->draw, &request->escrow },
	};

	(void)out; /* ignored: the gates' shape */
	(void)result; /* ignored: the gates' shape */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].statement && !did_eq(&all[i].statement->issuer, all[i].issuer))
			return REFUSED_STATEMENT_ISSUER;
	for (size_t i = 0; i < ARRAY_SIZE(all) && !in->verified; i++) {
		enum refusal refusal = REFUSED_NOT;

		if (all[i].statement)
			refusal = keyring_verify(in->keyring, all[i].statement);
		if (refusal != REFUSED_NOT)
			return (int)refusal;
	}
	return 0;
}

static int gate_challenge(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	const struct assignment *a = &in->assignment->body.assignment;
	struct id challenge = statement_challenge(
		&in->request->id, &a->node, a->slot, a->attempt, a->c.salt, a->checkpoint);

	(void)out; /* ignored: the gates' shape */
	(void)result; /* ignored: the gates' shape */
	if (!id_eq(&a->challenge, &challenge) ||
		!id_eq(&in->evidence->body.evidence.challenge, &challenge))
		return REFUSED_CHALLENGE_WRONG;
	return 0;
}

static bool covers(const struct verify_input *in)
{
	const struct assignment *a = &in->assignment->body.assignment;
	const struct earmarked *mark = &in->hold->body.hold.earmark;
	const struct id *mark_id = &in->hold->id;

	if (!id_eq(&in->hold->body.hold.request, &in->request->id))
		return false;
	if (in->earmark) {
		const struct earmark *e = &in->earmark->body.earmark;

		if (!id_eq(&e->request, &in->request->id) || !id_eq(&e->hold, &in->hold->id))
			return false;
		mark = &e->earmark;
		mark_id = &in->earmark->id;
	}
	return id_eq(&a->hold, &in->hold->id) && id_eq(&a->earmark, mark_id) &&
	       did_eq(&a->node, &mark->node) && a->slot == mark->slot &&
	       a->attempt == mark->attempt && a->price_micros <= mark->price_micros;
}

static bool same_market(const struct verify_input *in)
{
	struct span market = in->request->body.head.c.market;
	const struct statement *others[] = { in->hold, in->earmark, in->assignment, in->evidence,
		in->draw };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i] && !span_eq(others[i]->body.head.c.market, market))
			return false;
	return true;
}

/* That all of them are about one another, and the source is one that the request allows. */
static int gate_request(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	const struct request *request = &in->request->body.request;
	const struct assignment *a = &in->assignment->body.assignment;
	const struct evidence *e = &in->evidence->body.evidence;

	(void)out; /* ignored: the gates' shape */
	(void)result; /* ignored: the gates' shape */
	if (!same_market(in))
		return REFUSED_STATEMENT_MARKET;
	if (!id_eq(&e->request, &in->request->id) || !id_eq(&e->assignment, &in->assignment->id) ||
		!id_eq(&a->request, &in->request->id))
		return REFUSED_EVIDENCE_MISMATCH;
	if (!covers(in) || a->slot >= request->slots || a->attempt >= request->attempts ||
		a->price_micros > request->price_micros)
		return REFUSED_HOLD_MISMATCH;
	if (in->draw && (!id_eq(&in->draw->body.draw.request, &in->request->id) ||
				!id_eq(&in->draw->body.draw.evidence, &in->evidence->id)))
		return REFUSED_DRAW_INVALID;
	if ((e->source & (e->source - 1)) != 0 || (e->source & request->sources) == 0)
		return REFUSED_NODE_SOURCE_REFUSED;
	return 0;
}

/* The log's key at the time is whichever the receipt names, if it is the broker's and stood. */
static int check_receipt(const struct verify_input *in)
{
	const struct did *broker = &in->request->body.request.broker;
	struct entry entry = { .type = ENTRY_EVIDENCE, .id = in->evidence->id };
	struct receipt receipt;
	enum refusal refusal = receipt_parse(in->receipt, &receipt);

	if (refusal != REFUSED_NOT)
		return (int)refusal;

	const struct keyring_entry *key = keyring_find_key(
		in->keyring, broker, SPAN_OF(receipt.key));

	if (!key)
		return REFUSED_KEY_UNKNOWN;
	if (key->revoked_since_ns && in->evidence->body.evidence.c.at_ns >= key->revoked_since_ns)
		return REFUSED_KEY_REVOKED;
	return (int)proof_inclusion(
		keyring_proofs(in->keyring), in->receipt, in->note, broker, receipt.key, &entry);
}

/*
 * Times are 0 to INT64_MAX by their tables, so that differences cannot overflow. The capture may
 * begin before the assignment by the difference of two honest clocks and no more, whatever
 * uncertainty it states; GATES_UNCERTAINTY_MAX_NS bounds that as well.
 */
static int gate_time(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	const struct request *request = &in->request->body.request;
	const struct assignment *a = &in->assignment->body.assignment;
	const struct evidence *e = &in->evidence->body.evidence;

	(void)out; /* ignored: the gates' shape */
	if (in->receipt.n > 0) {
		int r = check_receipt(in);

		if (r != 0)
			return r;
	}
	verify_figure(result, "after_assignment", e->start_ns - a->c.at_ns, 0, SPAN_STR("ns"));
	verify_figure(result, "duration", e->end_ns - e->start_ns, 0, SPAN_STR("ns"));
	if (e->start_ns < a->c.at_ns - CLOCK_SKEW_NS || e->end_ns < e->start_ns ||
		e->uncertainty_ns > GATES_UNCERTAINTY_MAX_NS ||
		e->end_ns - CLOCK_SKEW_NS > e->c.at_ns)
		return REFUSED_CAPTURE_TIME;
	if (e->end_ns - CLOCK_SKEW_NS > a->commit_by_ns ||
		e->c.at_ns - CLOCK_SKEW_NS > a->commit_by_ns)
		return REFUSED_EVIDENCE_LATE;
	if (request->freshness_ms > 0 &&
		MAX(e->c.at_ns, e->end_ns) - e->start_ns > request->freshness_ms * NS_PER_MS)
		return REFUSED_CAPTURE_TIME;
	if (request->window.present &&
		(e->start_ns < request->window.from_ns || e->end_ns > request->window.to_ns))
		return REFUSED_CAPTURE_TIME;
	return 0;
}

static enum refusal open_claims(
	const struct verify_input *in, const struct seal_bound *bound, struct verify_output *out)
{
	struct buf room = BUF(out->claims_room);
	enum refusal refusal = seal_open_small(
		SEAL_CLAIMS, in->content_key, bound, in->evidence->body.evidence.claims, &room);

	if (refusal == REFUSED_NOT)
		refusal = schema_decode(&claims_schema, buf_span(&room), &out->claims, NULL);
	return refusal;
}

/* Both digests of the plaintext. False without memory. */
static bool digest_plain(const struct verify_output *out, struct id *ret_salted, struct id *ret_id)
{
	struct span plain = SPAN(out->plain, out->n_plain);
	struct digest digest;

	if (digest_init(&digest) < 0)
		return false;
	digest_update(&digest, out->claims.plain_salt);
	digest_update(&digest, plain);
	*ret_salted = digest_final(&digest);
	digest_update(&digest, plain);
	*ret_id = digest_final(&digest);
	digest_deinit(&digest);
	return true;
}

static int gate_payload(
	const struct verify_input *in, struct verify_output *out, struct check_result *result)
{
	const struct payload *p = &in->evidence->body.evidence.payload;
	struct seal_bound bound = { .request = in->request->id, .subject = in->assignment->id };
	struct id digest;
	struct id salted;

	verify_figure(result, "size", p->size, 0, SPAN_STR("By"));
	if (!span_is(p->algorithm, VERIFY_ALGORITHM))
		return REFUSED_PAYLOAD_KEY;
	if (p->size < 0 || p->size > (int64_t)SEAL_PAYLOAD_MAX ||
		in->ciphertext.n != seal_size((size_t)p->size))
		return REFUSED_PAYLOAD_SIZE;
	digest = digest_of(in->ciphertext);
	if (!id_eq(&digest, &p->cipher_digest))
		return REFUSED_PAYLOAD_DIGEST;

	enum refusal refusal = open_claims(in, &bound, out);

	if (refusal != REFUSED_NOT)
		return (int)refusal;
	/* One byte more, so that an empty payload has an address too. */
	out->plain = malloc((size_t)p->size + 1);
	if (!out->plain)
		return -ENOMEM;

	struct buf plain = buf_over(out->plain, (size_t)p->size);

	refusal = seal_open(in->content_key, &bound, in->ciphertext, &plain);
	out->n_plain = plain.n;
	if (refusal != REFUSED_NOT)
		return (int)refusal;
	if (!digest_plain(out, &salted, &digest))
		return -ENOMEM;
	if (!id_eq(&salted, &p->plain_digest))
		return REFUSED_PAYLOAD_DIGEST;
	out->plain_digest = digest;
	out->opened = true;
	return 0;
}

int gates_run(const struct verify_input *input, struct verify_output *output)
{
	static const struct {
		const char *id;
		gate *run;
	} gates[VERIFY_GATES] = {
		{ "gate.decode", gate_decode },
		{ "gate.signature", gate_signature },
		{ "gate.challenge", gate_challenge },
		{ "gate.request", gate_request },
		{ "gate.time", gate_time },
		{ "gate.payload", gate_payload },
	};

	for (size_t i = 0; i < VERIFY_GATES; i++) {
		struct check_result *result = &output->results[output->n_results++];

		*result = (struct check_result){
			.present = true,
			.id = SPAN_STR(gates[i].id),
			.check_version = 1,
			.result = CHECK_PASS,
		};

		int r = gates[i].run(input, output, result);

		if (r > 0) {
			result->result = CHECK_FAIL;
			result->code = r;
		}
		if (r != 0)
			return r;
	}
	return 0;
}

enum refusal gates_draw(const struct statement *request, const struct statement *hold,
	const struct statement *evidence, const struct statement *draw)
{
	const struct request *r = &request->body.request;
	const struct draw *d = &draw->body.draw;
	struct id commitment = SHA256(SPAN_OF(d->draw_secret));
	struct did panel[PANEL_MAX];

	if (!did_eq(&draw->issuer, &r->escrow) || !did_eq(&hold->issuer, &r->escrow) ||
		!id_eq(&d->request, &request->id) || !id_eq(&d->evidence, &evidence->id) ||
		!id_eq(&hold->body.hold.request, &request->id))
		return REFUSED_DRAW_INVALID;
	if (!id_eq(&commitment, &hold->body.hold.draw_commitment))
		return REFUSED_DRAW_MISMATCH;

	struct id seed = statement_draw_seed(
		&d->draw_secret, r->c.salt, &evidence->id, d->checkpoint);
	size_t n = statement_draw_panel(&seed, r->pool, r->n_pool, (size_t)r->panel_n, panel);

	if (n == 0 || n != d->n_panel)
		return REFUSED_DRAW_MISMATCH;
	for (size_t i = 0; i < n; i++)
		if (!did_eq(&panel[i], &d->panel[i]))
			return REFUSED_DRAW_MISMATCH;
	return REFUSED_NOT;
}
