#include "escrow/verify/gates.h"
#include "escrow/verify/verifier_internal.h"
#include "proto/base/sha256.h"

/* The statements of a DRAW, in the order of enum verifier_statement. */
struct drawn {
	const struct statement *s[VERIFIER_STATEMENTS];
};

static enum refusal read_draw(const struct turn *turn, struct drawn *d)
{
	static const enum statement_kind kinds[VERIFIER_STATEMENTS] = { STATEMENT_REQUEST,
		STATEMENT_HOLD, STATEMENT_EARMARK, STATEMENT_ASSIGNMENT, STATEMENT_EVIDENCE,
		STATEMENT_DRAW };
	const struct verifier_config *config = &turn->v->config;
	enum refusal refusal;

	for (size_t i = 0; i < VERIFIER_STATEMENTS; i++) {
		d->s[i] = message_find(turn->event->opened, kinds[i]);
		if (!d->s[i] && i != VERIFIER_EARMARK)
			return REFUSED_MESSAGE_SHAPE;
	}

	const struct request *request = &d->s[VERIFIER_REQUEST]->body.request;
	const struct draw *draw = &d->s[VERIFIER_DRAW]->body.draw;

	if (!did_eq(&turn->event->from, &config->escrow) ||
		!did_eq(&request->escrow, &config->escrow))
		return REFUSED_NOT_A_PARTY;
	if (!span_eq(request->c.market, config->author.market))
		return REFUSED_STATEMENT_MARKET;
	refusal = gates_draw(d->s[VERIFIER_REQUEST], d->s[VERIFIER_HOLD], d->s[VERIFIER_EVIDENCE],
		d->s[VERIFIER_DRAW]);
	if (refusal != REFUSED_NOT)
		return refusal;
	for (size_t i = 0; i < draw->n_panel; i++)
		if (did_eq(&draw->panel[i], &config->author.signer.issuer))
			return REFUSED_NOT;
	return REFUSED_DRAW_INVALID;
}

/* The job, without its payload. NULL where it is too large. */
static struct verifier_job *make_job(
	const struct turn *turn, const struct drawn *d, const uint8_t content_key[static SEAL_KEY])
{
	const struct message *m = &turn->event->opened->message;
	const struct keyring *keyring = turn->v->config.keyring;
	const struct statement *assignment = d->s[VERIFIER_ASSIGNMENT];
	const struct did *broker = &d->s[VERIFIER_REQUEST]->body.request.broker;
	const struct keyring_entry *newest = keyring_find(keyring, broker);
	const struct keyring_entry *used = keyring_find_key(
		keyring, broker, assignment->envelope.kid);
	struct verifier_job from = { .receipt = m->receipt, .note = m->note };
	struct verifier_job *job;

	for (size_t i = 0; i < VERIFIER_STATEMENTS; i++)
		if (d->s[i])
			from.bytes[i] = d->s[i]->bytes;
	if (newest)
		from.keys[0] = newest->bytes;
	if (used && used != newest)
		from.keys[1] = used->bytes;
	memcpy(from.content_key, content_key, SEAL_KEY);
	job = verifier_job_new(&from);
	explicit_bzero(from.content_key, SEAL_KEY);
	return job;
}

static void start(struct turn *turn, const struct drawn *d,
	const uint8_t content_key[static SEAL_KEY], struct verifier_job *job)
{
	struct verifier *v = turn->v;
	const struct message *m = &turn->event->opened->message;
	const struct request *request = &d->s[VERIFIER_REQUEST]->body.request;
	const struct draw *draw = &d->s[VERIFIER_DRAW]->body.draw;
	struct ticket *t = verifier_ticket_new(v, &d->s[VERIFIER_DRAW]->id);

	t->request = d->s[VERIFIER_REQUEST]->id;
	t->assignment = d->s[VERIFIER_ASSIGNMENT]->id;
	t->evidence = d->s[VERIFIER_EVIDENCE]->id;
	t->cipher_digest = d->s[VERIFIER_EVIDENCE]->body.evidence.payload.cipher_digest;
	if (m->note.n > 0)
		t->log_view = SHA256(m->note);
	t->broker = request->broker;
	t->from_escrow = m->receipt.n == 0;
	t->late_ns = draw->c.at_ns > INT64_MAX / 2
			     ? INT64_MAX
			     : draw->c.at_ns + request->t_verify_ms * NS_PER_MS + CLOCK_SKEW_NS;
	t->size = m->blob.n > 0 ? (int64_t)m->blob.n : m->size;
	memcpy(t->content_key, content_key, SEAL_KEY);
	t->job = job;
	v->n_active++;
	v->held += t->size;
	if (m->blob.n > 0) {
		verifier_ticket_check(turn, t);
		return;
	}
	/* Each FETCH carries the draw. */
	effects_keep(turn->fx, d->s[VERIFIER_DRAW], &t->request);
	verifier_ticket_pull(turn, t);
}

enum refusal verifier_draw_take(struct turn *turn)
{
	struct verifier *v = turn->v;
	const struct message *m = &turn->event->opened->message;
	struct drawn d;
	enum refusal refusal = read_draw(turn, &d);
	int64_t size = m->blob.n > 0 ? (int64_t)m->blob.n : m->size;
	uint8_t key[SEAL_KEY];
	struct ticket *known;
	struct verifier_job *job;

	if (refusal != REFUSED_NOT)
		return refusal;
	known = verifier_ticket_find(v, &d.s[VERIFIER_DRAW]->id);
	if (known && known->state == TICKET_ANSWERED)
		verifier_ticket_send(turn, known);
	if (known)
		return REFUSED_NOT;
	if (size < 1 || size > (int64_t)seal_size(SEAL_PAYLOAD_MAX))
		return REFUSED_PAYLOAD_SIZE;
	if (v->n_active == VERIFIER_ACTIVE_MAX || v->held + size > VERIFIER_HELD_MAX)
		return REFUSED_PEER_BUSY;

	struct seal_context context = { .request = d.s[VERIFIER_REQUEST]->id,
		.scope = d.s[VERIFIER_EVIDENCE]->id,
		.recipient = v->config.author.signer.issuer };

	refusal = seal_unwrap(m->wrapped, v->config.encryption_secret, &context, key);
	if (refusal != REFUSED_NOT)
		return refusal;
	job = make_job(turn, &d, key);
	if (job && m->blob.n > 0 && verifier_job_payload(job, m->blob) < 0) {
		verifier_job_free(job);
		job = NULL;
	}
	if (job)
		start(turn, &d, key, job);
	explicit_bzero(key, sizeof(key));
	return job ? REFUSED_NOT : REFUSED_STATEMENT_TOO_LARGE;
}
