#include "escrow/verify/verifier_internal.h"

bool verifier_ticket_active(const struct ticket *t)
{
	return t->state == TICKET_PULLING || t->state == TICKET_CHECKING;
}

void verifier_ticket_end(struct verifier *v, struct ticket *t, enum ticket_state state)
{
	assert(verifier_ticket_active(t));
	v->n_active--;
	v->held -= t->size;
	verifier_job_free(take(&t->job));
	explicit_bzero(t->content_key, sizeof(t->content_key));
	t->state = state;
	if (state == TICKET_FREE)
		idmap_remove(&v->by_draw, t->draw.b);
}

struct ticket *verifier_ticket_new(struct verifier *v, const struct id *draw)
{
	struct ticket *t;

	static_assert(VERIFIER_TICKETS_MAX > VERIFIER_ACTIVE_MAX, "one can always be had");
	do {
		t = &v->tickets[v->hand];
		v->hand = (v->hand + 1) % VERIFIER_TICKETS_MAX;
	} while (verifier_ticket_active(t));
	if (t->state == TICKET_ANSWERED)
		idmap_remove(&v->by_draw, t->draw.b);
	memset(t, 0, sizeof(*t));
	t->draw = *draw;
	t->repeat_ns = INT64_MAX;

	bool put = idmap_put(&v->by_draw, draw->b, (uint32_t)(t - v->tickets));

	assert(put);
	return t;
}

struct ticket *verifier_ticket_find(struct verifier *v, const struct id *draw)
{
	uint32_t at = idmap_get(&v->by_draw, draw->b);

	return at == IDMAP_NONE ? NULL : &v->tickets[at];
}

struct ticket *verifier_ticket_numbered(struct verifier *v, uint64_t number)
{
	struct ticket *t = &v->tickets[number % VERIFIER_TICKETS_MAX];

	return verifier_ticket_active(t) && t->number == number ? t : NULL;
}

/* Numbers of works are never used twice and name their ticket. */
static uint64_t next_number(struct verifier *v, const struct ticket *t)
{
	return ++v->number * VERIFIER_TICKETS_MAX + (uint64_t)(t - v->tickets);
}

void verifier_ticket_send(struct turn *turn, struct ticket *t)
{
	struct row *row = effects_put(turn->fx, TABLE_STATEMENT, PUT_REPLACE);
	struct send *send = effects_send(turn->fx, &turn->v->config.escrow, MESSAGE_VERDICT);

	row_copy(turn->fx, row, SPAN_OF(t->verdict));
	row_int(row, STATEMENT_VERDICT);
	row_copy(turn->fx, row, SPAN_OF(t->request));
	row_copy(turn->fx, row, SPAN(t->bytes, t->n_bytes));
	send->message.request = t->request;
	send->message.target = t->verdict;
	send_attach(send, &t->verdict);
}

void verifier_ticket_repeat(struct verifier *v, struct ticket *t, int64_t now_ns)
{
	t->repeat_ns = now_ns < t->late_ns ? now_ns + t->wait_ns : INT64_MAX;
	t->wait_ns = MIN(2 * t->wait_ns, VERIFIER_REPEAT_MOST_NS);
	v->repeat_ns = MIN(v->repeat_ns, t->repeat_ns);
}

void verifier_ticket_check(struct turn *turn, struct ticket *t)
{
	struct verifier_task *task;

	t->number = next_number(turn->v, t);
	t->job->ticket = t->number;
	t->state = TICKET_CHECKING;
	task = effects_work(turn->fx, VERIFIER_WORK_CHECK, t->number, sizeof(*task));
	task->job = take(&t->job);
}

void verifier_ticket_pull(struct turn *turn, struct ticket *t)
{
	struct work_pull *want;

	t->number = next_number(turn->v, t);
	t->state = TICKET_PULLING;
	want = effects_work(turn->fx, WORK_PULL, t->number, sizeof(*want));
	*want = (struct work_pull){
		.from = t->from_escrow ? turn->v->config.escrow : t->broker,
		.request = t->request,
		.digest = t->cipher_digest,
		.size = t->size,
		.ticket = t->draw,
	};
}
