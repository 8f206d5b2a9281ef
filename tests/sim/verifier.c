#include "tests/sim/person.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

#define ENLIST_NS (10 * NS_PER_S)

enum job_state { JOB_NONE, JOB_PULLING, JOB_JUDGING, JOB_DONE };

struct job {
	enum job_state state;
	struct verifier_job what;
	int64_t size;
	struct id verdict;
};

struct verifier {
	struct author author;
	const struct keyring *keyring;
	struct did escrow;
	struct did broker;
	int64_t enlist_ns;
	size_t next;
	struct job jobs[VERIFIER_JOBS_MAX]; /* a ring: the oldest is forgotten */
};

void *verifier_new(const struct author *author, const struct keyring *keyring,
	const struct did *escrow, const struct did *broker)
{
	struct verifier *v = calloc(1, sizeof(*v));

	if (!v)
		abort();
	v->author = *author;
	v->keyring = keyring;
	v->escrow = *escrow;
	v->broker = *broker;
	return v;
}

static struct job *find(struct verifier *v, const struct id *draw)
{
	for (size_t i = 0; i < VERIFIER_JOBS_MAX; i++)
		if (v->jobs[i].state != JOB_NONE && id_eq(&v->jobs[i].what.draw, draw))
			return &v->jobs[i];
	return NULL;
}

static uint64_t ticket_of(const struct verifier *v, const struct job *job)
{
	return (uint64_t)(job - v->jobs);
}

static void enlist(struct verifier *v, const struct event *event, struct effects *fx)
{
	(void)effects_send(fx, &v->escrow, MESSAGE_ENLIST); /* ignored: nothing to fill in */
	v->enlist_ns = event->now_ns + ENLIST_NS;
}

static void judge(struct verifier *v, struct effects *fx, struct job *job)
{
	struct verifier_job *detail = effects_work(
		fx, VERIFIER_WORK_JUDGE, ticket_of(v, job), sizeof(*detail));

	*detail = job->what;
	job->state = JOB_JUDGING;
}

static void pull(struct verifier *v, struct effects *fx, struct job *job)
{
	struct work_pull *detail = effects_work(fx, WORK_PULL, ticket_of(v, job), sizeof(*detail));

	*detail = (struct work_pull){ .from = v->broker,
		.request = job->what.request,
		.digest = job->what.digest,
		.size = job->size,
		.ticket = job->what.draw };
	job->state = JOB_PULLING;
}

static void send_verdict(struct verifier *v, struct effects *fx, const struct job *job)
{
	struct send *send = effects_send(fx, &v->escrow, MESSAGE_VERDICT);

	send->message.request = job->what.request;
	send_attach(send, &job->verdict);
}

static void on_draw(struct verifier *v, const struct event *event, struct effects *fx)
{
	const struct opened *o = event->opened;
	const struct statement *draw = message_find(o, STATEMENT_DRAW);
	const struct statement *evidence = message_find(o, STATEMENT_EVIDENCE);
	struct row *row;
	struct job *job;

	if (!draw || !evidence || !did_eq(&draw->issuer, &v->escrow) ||
		!id_eq(&draw->body.draw.evidence, &evidence->id) ||
		o->message.wrapped.n != SEAL_WRAPPED)
		return;
	job = find(v, &draw->id);
	if (job) {
		if (job->state == JOB_DONE)
			send_verdict(v, fx, job);
		return;
	}
	job = &v->jobs[v->next++ % VERIFIER_JOBS_MAX];
	*job = (struct job){ .what = { .request = draw->body.draw.request,
				     .assignment = evidence->body.evidence.assignment,
				     .evidence = evidence->id,
				     .draw = draw->id,
				     .digest = evidence->body.evidence.payload.cipher_digest },
		.size = o->message.size };
	memcpy(job->what.wrapped, o->message.wrapped.p, SEAL_WRAPPED);
	effects_keep(fx, draw, &job->what.request);
	effects_keep(fx, evidence, &job->what.request);
	if (o->message.blob.n == 0) {
		pull(v, fx, job);
		return;
	}
	row = effects_put(fx, TABLE_PAYLOAD, PUT_REPLACE);
	row_copy(fx, row, SPAN_OF(job->what.digest));
	row_copy(fx, row, SPAN_OF(job->what.request));
	row_blob(row, o->message.blob);
	judge(v, fx, job);
}

static void on_word(struct verifier *v, const struct event *event, struct effects *fx)
{
	const struct verifier_word *word = event->work->detail;
	struct job *job = find(v, &word->job.draw);
	uint32_t counter = 0;
	struct verdict verdict = { .request = word->job.request,
		.assignment = word->job.assignment,
		.evidence = word->job.evidence,
		.draw = word->job.draw,
		.outcome = word->outcome,
		.checks = { { .present = true,
			.id = SPAN_STR("decodes"),
			.check_version = 1,
			.result = word->outcome } },
		.n_checks = 1,
		.engine = SPAN_STR("sim"),
		.tier = TIER_LIVE_CLAIMED };

	if (!job)
		return;
	if (word->has_digest)
		verdict.sealed_digest = SPAN_OF(word->sealed_digest);
	author_common(&v->author, event, &counter, fx, &verdict.c);
	verdict.c.audience[0] = v->escrow;
	verdict.c.n_audience = 1;
	job->verdict = effects_sign(
		fx, &v->author, STATEMENT_VERDICT, &verdict, &job->what.request, NULL);
	job->state = JOB_DONE;
	send_verdict(v, fx, job);
}

static void on_work(struct verifier *v, const struct event *event, struct effects *fx)
{
	const struct work_result *work = event->work;

	if (work->kind == WORK_PULL && work->ticket < VERIFIER_JOBS_MAX) {
		struct job *job = &v->jobs[work->ticket];

		if (job->state != JOB_PULLING)
			return;
		if (work->status == 0 && work->refusal == REFUSED_NOT)
			judge(v, fx, job);
		else
			job->state = JOB_NONE; /* the next DRAW tries again */
	} else if (work->kind == VERIFIER_WORK_JUDGE && work->detail) {
		on_word(v, event, fx);
	}
}

static void verifier_step(void *core, const struct event *event, struct effects *fx)
{
	struct verifier *v = core;

	switch (event->type) {
	case EVENT_START:
		v->enlist_ns = event->now_ns + ENLIST_NS;
		break;
	case EVENT_TICK:
		if (v->enlist_ns <= event->now_ns)
			enlist(v, event, fx);
		break;
	case EVENT_CONNECTED:
		if (did_eq(&event->from, &v->escrow))
			enlist(v, event, fx);
		break;
	case EVENT_MESSAGE:
		if (event->opened->message.message == MESSAGE_DRAW &&
			did_eq(&event->from, &v->escrow))
			on_draw(v, event, fx);
		break;
	case EVENT_WORK:
		on_work(v, event, fx);
		break;
	case EVENT_LOST:
	case EVENT_SEAL:
		break;
	}
}

static int verifier_load(void *core, const struct row *row)
{
	(void)core; /* ignored: there are no rows beyond statement and payload */
	(void)row; /* ignored: the same */
	return -EBADMSG;
}

static int64_t verifier_wake_at(const void *core)
{
	return ((const struct verifier *)core)->enlist_ns;
}

static void verifier_check(const void *core)
{
	const struct verifier *v = core;

	for (size_t i = 0; i < VERIFIER_JOBS_MAX; i++)
		assert(v->jobs[i].state != JOB_DONE || !id_is_zero(&v->jobs[i].verdict));
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
};

const struct core_ops verifier_ops = { .name = "verifier",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = verifier_load,
	.step = verifier_step,
	.wake_at = verifier_wake_at,
	.check = verifier_check };
