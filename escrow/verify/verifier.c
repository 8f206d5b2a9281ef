#include "escrow/verify/verifier.h"

#include "escrow/verify/verifier_internal.h"
#include "proto/base/sha256.h"

#include <stdlib.h>

int verifier_new(const struct verifier_config *config, struct verifier **ret_verifier)
{
	struct verifier *v = calloc(1, sizeof(*v));
	struct id secret = SHA256(SPAN_OF(config->author.signer.secret_key), SPAN_STR("tickets"));
	uint64_t mix;

	memcpy(&mix, secret.b, sizeof(mix));
	if (!v)
		return -ENOMEM;
	v->config = *config;
	v->enlist_ns = INT64_MAX;
	v->repeat_ns = INT64_MAX;
	v->tickets = calloc(VERIFIER_TICKETS_MAX, sizeof(*v->tickets));
	if (!v->tickets || idmap_init(&v->by_draw, VERIFIER_TICKETS_MAX, mix) < 0) {
		verifier_free(v);
		return -ENOMEM;
	}
	*ret_verifier = v;
	return 0;
}

void verifier_free(struct verifier *verifier)
{
	if (!verifier)
		return;
	for (size_t i = 0; verifier->tickets && i < VERIFIER_TICKETS_MAX; i++) {
		verifier_job_free(verifier->tickets[i].job);
		explicit_bzero(verifier->tickets[i].content_key, SEAL_KEY);
	}
	idmap_deinit(&verifier->by_draw);
	free(verifier->tickets);
	explicit_bzero(verifier, sizeof(*verifier));
	free(verifier);
}

static void on_draw(struct turn *turn)
{
	enum refusal refusal = verifier_draw_take(turn);

	if (refusal == REFUSED_NOT)
		return;
	turn->v->counts.refused++;
	effects_refuse(turn->fx, turn->event, refusal, NULL);
}

/* The escrow has it, or will not have it: no more repetition. */
static void on_reply(struct turn *turn)
{
	const struct message *m = &turn->event->opened->message;
	struct verifier *v = turn->v;

	if (!did_eq(&turn->event->from, &v->config.escrow) || id_is_zero(&m->target))
		return;
	for (size_t i = 0; i < VERIFIER_TICKETS_MAX; i++)
		if (v->tickets[i].state == TICKET_ANSWERED &&
			id_eq(&v->tickets[i].verdict, &m->target))
			v->tickets[i].repeat_ns = INT64_MAX;
}

static void sign(struct turn *turn, struct ticket *t, const struct verify_output *output)
{
	struct verifier *v = turn->v;
	struct seal_bound bound = { .request = t->request, .subject = t->evidence };
	struct id nonce = event_random(turn->event, "nonce", turn->counter++);
	uint8_t digest[32 + SEAL_SMALL_EXTRA];
	struct buf sealed = BUF(digest);
	struct span bytes;
	struct verdict verdict = {
		.request = t->request,
		.assignment = t->assignment,
		.evidence = t->evidence,
		.draw = t->draw,
		.outcome = output->outcome,
		.n_checks = output->n_results,
		.engine = SPAN_STR(VERIFY_ENGINE),
		.log_view = t->log_view,
		.tier = output->tier,
	};

	memcpy(verdict.checks, output->results, sizeof(verdict.checks));
	author_common(&v->config.author, turn->event, &turn->counter, turn->fx, &verdict.c);
	verdict.c.audience[verdict.c.n_audience++] = v->config.escrow;
	if (output->opened) {
		bool fits = seal_small(SEAL_DIGEST, t->content_key, nonce.b, &bound,
			SPAN_OF(output->plain_digest), &sealed);

		assert(fits);
		verdict.sealed_digest = buf_span(&sealed);
	}
	t->verdict = effects_sign(
		turn->fx, &v->config.author, STATEMENT_VERDICT, &verdict, &t->request, &bytes);
	/* Results have few figures with short names, whatever the peers said. */
	assert(!turn->fx->overflow && bytes.n <= sizeof(t->bytes));
	memcpy(t->bytes, bytes.p, bytes.n);
	t->n_bytes = bytes.n;
	v->counts.verdicts++;
}

static void on_checked(struct turn *turn)
{
	const struct work_result *work = turn->event->work;
	const struct verifier_task *task = work->detail;
	struct ticket *t = verifier_ticket_numbered(turn->v, work->ticket);

	assert(task && task->job && t && t->state == TICKET_CHECKING);
	if (work->status < 0) {
		verifier_ticket_end(turn->v, t, TICKET_FREE);
	} else {
		sign(turn, t, &task->job->output);
		verifier_ticket_end(turn->v, t, TICKET_ANSWERED);
		t->wait_ns = VERIFIER_REPEAT_FIRST_NS;
		verifier_ticket_send(turn, t);
		verifier_ticket_repeat(turn->v, t, turn->event->now_ns);
	}
	verifier_job_free(task->job);
}

static void on_pulled(struct turn *turn)
{
	const struct work_result *work = turn->event->work;
	const struct span *payload = work->detail;
	struct ticket *t = verifier_ticket_numbered(turn->v, work->ticket);

	assert(t && t->state == TICKET_PULLING);
	if (work->status == 0 && work->refusal == REFUSED_NOT && payload &&
		verifier_job_payload(t->job, *payload) == 0) {
		verifier_ticket_check(turn, t);
	} else if (!t->pulled_twice) {
		t->pulled_twice = true;
		t->from_escrow = !t->from_escrow;
		verifier_ticket_pull(turn, t);
	} else {
		verifier_ticket_end(turn->v, t, TICKET_FREE);
	}
}

static void enlist(struct turn *turn)
{
	effects_send(turn->fx, &turn->v->config.escrow, MESSAGE_ENLIST);
	turn->v->enlist_ns = turn->event->now_ns + VERIFIER_ENLIST_NS;
}

/* At most this many verdicts are sent again in one event: the effects' arena is bounded. */
#define REPEATS_MAX 8

static void on_tick(struct turn *turn)
{
	struct verifier *v = turn->v;
	int64_t now_ns = turn->event->now_ns;
	size_t n = 0;

	if (v->connected && now_ns >= v->enlist_ns)
		enlist(turn);
	if (now_ns < v->repeat_ns)
		return;
	v->repeat_ns = INT64_MAX;
	for (size_t i = 0; i < VERIFIER_TICKETS_MAX; i++) {
		struct ticket *t = &v->tickets[i];

		if (t->state != TICKET_ANSWERED)
			continue;
		if (t->repeat_ns <= now_ns && n < REPEATS_MAX) {
			n++;
			verifier_ticket_send(turn, t);
			verifier_ticket_repeat(v, t, now_ns);
		}
		v->repeat_ns = MIN(v->repeat_ns, t->repeat_ns);
	}
}

static void on_message(struct turn *turn)
{
	switch (turn->event->opened->message.message) {
	case MESSAGE_DRAW:
		on_draw(turn);
		break;
	case MESSAGE_VERDICT_TAKEN:
	case MESSAGE_REFUSED:
		on_reply(turn);
		break;
	default: /* message is a number from the wire, not an enum */
		effects_refuse(turn->fx, turn->event, REFUSED_MESSAGE_UNEXPECTED, NULL);
		break;
	}
}

static void step(void *core, const struct event *event, struct effects *fx)
{
	struct turn turn = { .v = core, .event = event, .fx = fx };

	switch (event->type) {
	case EVENT_MESSAGE:
		on_message(&turn);
		break;
	case EVENT_CONNECTED:
		if (!did_eq(&event->from, &turn.v->config.escrow))
			break;
		turn.v->connected = true;
		enlist(&turn);
		break;
	case EVENT_LOST:
		if (did_eq(&event->from, &turn.v->config.escrow))
			turn.v->connected = false;
		break;
	case EVENT_WORK:
		if (event->work->kind == WORK_PULL)
			on_pulled(&turn);
		else
			on_checked(&turn);
		break;
	case EVENT_TICK:
		on_tick(&turn);
		break;
	case EVENT_START:
	case EVENT_SEAL:
		break;
	}
}

static int load(void *core, const struct row *row)
{
	(void)core; /* ignored: there are no rows */
	(void)row; /* ignored: there are no rows */
	return -EBADMSG;
}

static int64_t wake_at(const void *core)
{
	const struct verifier *v = core;

	return v->connected ? MIN(v->enlist_ns, v->repeat_ns) : v->repeat_ns;
}

static bool may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	(void)core; /* ignored: nobody may */
	(void)who; /* ignored: nobody may */
	(void)digest; /* ignored: nobody may */
	return false;
}

static void check_invariants(const void *core)
{
	const struct verifier *v = core;
	static const uint8_t no_key[SEAL_KEY];
	size_t n_active = 0;
	size_t n_known = 0;
	int64_t held = 0;

	for (size_t i = 0; i < VERIFIER_TICKETS_MAX; i++) {
		const struct ticket *t = &v->tickets[i];

		n_active += verifier_ticket_active(t);
		held += verifier_ticket_active(t) ? t->size : 0;
		n_known += t->state != TICKET_FREE;
		assert((t->job != NULL) == (t->state == TICKET_PULLING));
		assert(verifier_ticket_active(t) || memcmp(t->content_key, no_key, SEAL_KEY) == 0);
		assert(t->state == TICKET_FREE || idmap_get(&v->by_draw, t->draw.b) == i);
	}
	assert(n_active == v->n_active && n_active <= VERIFIER_ACTIVE_MAX);
	assert(held == v->held && held <= VERIFIER_HELD_MAX);
	assert(n_known == v->by_draw.n);
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
};

const struct core_ops verifier_ops = {
	.name = "verifier",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = load,
	.step = step,
	.wake_at = wake_at,
	.check = check_invariants,
	.may_fetch = may_fetch,
};

struct verifier_counts verifier_counts(const struct verifier *verifier)
{
	struct verifier_counts counts = verifier->counts;

	counts.active = verifier->n_active;
	counts.held = (uint64_t)verifier->held;
	return counts;
}
