#include "escrow/verify/verifier.h"

#include "escrow/verify/gates.h"
#include "proto/base/sha256.h"
#include "proto/core/idmap.h"
#include "proto/seal/seal.h"

#include <stdlib.h>

enum ticket_state { TICKET_FREE, TICKET_PULLING, TICKET_CHECKING, TICKET_ANSWERED };

struct ticket {
	enum ticket_state state;
	uint64_t number; /* of the pull or check that runs */
	struct id draw;
	struct id request;
	struct id assignment;
	struct id evidence;
	struct id cipher_digest;
	struct id log_view; /* zero: none */
	struct did broker;
	int64_t size; /* of the ciphertext */
	bool pulled_twice;
	bool from_escrow;
	uint8_t content_key[SEAL_KEY];
	struct verifier_job *job;

	struct id verdict;
	uint8_t bytes[VERIFIER_VERDICT_MAX];
	size_t n_bytes;
	int64_t repeat_ns; /* when to send it again; INT64_MAX: never */
	int64_t wait_ns;
	int64_t late_ns; /* when the escrow no longer counts it */
};

struct verifier {
	struct verifier_config config;
	struct idmap by_draw;
	struct ticket *tickets;
	size_t hand; /* where the next ticket is looked for */
	uint64_t number;
	size_t n_active;
	int64_t held;
	bool connected;
	int64_t enlist_ns;
	int64_t repeat_ns; /* no ticket repeats before */
	struct verifier_counts counts;
};

/* One event being worked on. */
struct turn {
	struct verifier *v;
	const struct event *event;
	struct effects *fx;
	uint32_t counter;
};

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

static bool active(const struct ticket *t)
{
	return t->state == TICKET_PULLING || t->state == TICKET_CHECKING;
}

/* The ticket stops being worked on: answered, or forgotten. */
static void settle(struct verifier *v, struct ticket *t, enum ticket_state state)
{
	assert(active(t));
	v->n_active--;
	v->held -= t->size;
	verifier_job_free(take(&t->job));
	explicit_bzero(t->content_key, sizeof(t->content_key));
	t->state = state;
	if (state == TICKET_FREE)
		idmap_remove(&v->by_draw, t->draw.b);
}

/* A free ticket, or the one that was answered the longest ago. There are more than may be active.
 */
static struct ticket *ticket_new(struct verifier *v, const struct id *draw)
{
	struct ticket *t;

	static_assert(VERIFIER_TICKETS_MAX > VERIFIER_ACTIVE_MAX, "one can always be had");
	do {
		t = &v->tickets[v->hand];
		v->hand = (v->hand + 1) % VERIFIER_TICKETS_MAX;
	} while (active(t));
	if (t->state == TICKET_ANSWERED)
		idmap_remove(&v->by_draw, t->draw.b);
	memset(t, 0, sizeof(*t));
	t->draw = *draw;
	t->repeat_ns = INT64_MAX;

	bool put = idmap_put(&v->by_draw, draw->b, (uint32_t)(t - v->tickets));

	assert(put);
	return t;
}

static struct ticket *ticket_find(struct verifier *v, const struct id *draw)
{
	uint32_t at = idmap_get(&v->by_draw, draw->b);

	return at == IDMAP_NONE ? NULL : &v->tickets[at];
}

static struct ticket *ticket_numbered(struct verifier *v, uint64_t number)
{
	struct ticket *t = &v->tickets[number % VERIFIER_TICKETS_MAX];

	return active(t) && t->number == number ? t : NULL;
}

/* Numbers of works are never used twice and name their ticket. */
static uint64_t next_number(struct verifier *v, const struct ticket *t)
{
	return ++v->number * VERIFIER_TICKETS_MAX + (uint64_t)(t - v->tickets);
}

/* With the statement, in case the shell's cache has dropped it since. */
static void send_verdict(struct turn *turn, struct ticket *t)
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

static void repeat_later(struct verifier *v, struct ticket *t, int64_t now_ns)
{
	t->repeat_ns = now_ns < t->late_ns ? now_ns + t->wait_ns : INT64_MAX;
	t->wait_ns = MIN(2 * t->wait_ns, VERIFIER_REPEAT_MOST_NS);
	v->repeat_ns = MIN(v->repeat_ns, t->repeat_ns);
}

static void check(struct turn *turn, struct ticket *t)
{
	struct verifier_task *task;

	t->number = next_number(turn->v, t);
	t->job->ticket = t->number;
	t->state = TICKET_CHECKING;
	task = effects_work(turn->fx, VERIFIER_WORK_CHECK, t->number, sizeof(*task));
	task->job = take(&t->job);
}

static void pull(struct turn *turn, struct ticket *t)
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
	struct ticket *t = ticket_new(v, &d->s[VERIFIER_DRAW]->id);

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
		check(turn, t);
		return;
	}
	/* Each FETCH carries the draw. */
	effects_keep(turn->fx, d->s[VERIFIER_DRAW], &t->request);
	pull(turn, t);
}

static enum refusal take_draw(struct turn *turn)
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
	known = ticket_find(v, &d.s[VERIFIER_DRAW]->id);
	if (known && known->state == TICKET_ANSWERED)
		send_verdict(turn, known);
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

static void on_draw(struct turn *turn)
{
	enum refusal refusal = take_draw(turn);

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
	struct ticket *t = ticket_numbered(turn->v, work->ticket);

	assert(task && task->job && t && t->state == TICKET_CHECKING);
	if (work->status < 0) {
		settle(turn->v, t, TICKET_FREE);
	} else {
		sign(turn, t, &task->job->output);
		settle(turn->v, t, TICKET_ANSWERED);
		t->wait_ns = VERIFIER_REPEAT_FIRST_NS;
		send_verdict(turn, t);
		repeat_later(turn->v, t, turn->event->now_ns);
	}
	verifier_job_free(task->job);
}

static void on_pulled(struct turn *turn)
{
	const struct work_result *work = turn->event->work;
	const struct span *payload = work->detail;
	struct ticket *t = ticket_numbered(turn->v, work->ticket);

	assert(t && t->state == TICKET_PULLING);
	if (work->status == 0 && work->refusal == REFUSED_NOT && payload &&
		verifier_job_payload(t->job, *payload) == 0) {
		check(turn, t);
	} else if (!t->pulled_twice) {
		t->pulled_twice = true;
		t->from_escrow = !t->from_escrow;
		pull(turn, t);
	} else {
		settle(turn->v, t, TICKET_FREE);
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
			send_verdict(turn, t);
			repeat_later(v, t, now_ns);
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

		n_active += active(t);
		held += active(t) ? t->size : 0;
		n_known += t->state != TICKET_FREE;
		assert((t->job != NULL) == (t->state == TICKET_PULLING));
		assert(active(t) || memcmp(t->content_key, no_key, SEAL_KEY) == 0);
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
