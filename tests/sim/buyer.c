#include "tests/sim/buyer.h"

#include "proto/core/slot.h"

#include <stdlib.h>

#define REPEAT_FIRST_NS (2 * NS_PER_S)
#define REPEAT_MOST_NS  (30 * NS_PER_S)

struct wanted {
	struct id request;
	struct id cancel; /* zero: none */
	int64_t state; /* enum slot_state, 0: nothing heard; or BUYER_STATE_REFUSED */
	int64_t code;
	int64_t expires_ns;
	int64_t next_ns;
	int64_t wait_ns;
	bool cancelled; /* answered */
};

struct deposit {
	struct buyer_deposit d;
	bool done;
	int64_t next_ns;
	int64_t wait_ns;
};

struct buyer {
	struct author author;
	struct did escrow;
	struct did broker;
	size_t n;
	struct wanted wanted[BUYER_REQUESTS_MAX];
	size_t n_deposits;
	struct deposit deposits[BUYER_DEPOSITS_MAX];
};

void *buyer_new(const struct author *author, const struct did *escrow, const struct did *broker)
{
	struct buyer *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->author = *author;
	b->escrow = *escrow;
	b->broker = *broker;
	return b;
}

static bool ended(const struct wanted *x)
{
	return x->state == BUYER_STATE_REFUSED || slot_ended((enum slot_state)x->state);
}

size_t buyer_open(const void *core)
{
	const struct buyer *b = core;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += !ended(&b->wanted[i]);
	for (size_t i = 0; i < b->n_deposits; i++)
		n += !b->deposits[i].done;
	return n;
}

static void put(struct effects *fx, const struct wanted *x)
{
	struct row *row = effects_put(fx, BUYER_TABLE_REQUEST, PUT_REPLACE);

	row_copy(fx, row, SPAN_OF(x->request));
	row_int(row, x->state);
	row_int(row, x->code);
	row_int(row, x->expires_ns);
	row_copy(fx, row, SPAN_OF(x->cancel));
}

static void put_deposit(struct effects *fx, const struct deposit *d)
{
	struct row *row = effects_put(fx, BUYER_TABLE_DEPOSIT, PUT_REPLACE);

	row_copy(fx, row, SPAN_OF(d->d.operation));
	row_int(row, d->d.amount_micros);
	row_int(row, d->done);
}

static struct wanted *find(struct buyer *b, const struct id *request)
{
	for (size_t i = 0; i < b->n; i++)
		if (id_eq(&b->wanted[i].request, request))
			return &b->wanted[i];
	return NULL;
}

/* Posted until something is heard, then asked for; a cancel until it is answered. */
static void send_wanted(struct buyer *b, struct effects *fx, struct wanted *x, int64_t now_ns)
{
	bool silent = x->state == SLOT_NONE;
	struct send *send = effects_send(fx, &b->broker, silent ? MESSAGE_REQUEST : MESSAGE_QUERY);

	send->message.request = x->request;
	if (silent)
		send_attach(send, &x->request);
	if (!id_is_zero(&x->cancel) && !x->cancelled && !silent) {
		send = effects_send(fx, &b->broker, MESSAGE_CANCEL);
		send->message.request = x->request;
		send_attach(send, &x->cancel);
	}
	if (now_ns > x->expires_ns) {
		/* The escrow's own door, where the broker is silent; it answers with the outcome.
		 */
		send = effects_send(fx, &b->escrow, MESSAGE_RELEASE_QUERY);
		send->message.request = x->request;
	}
	x->next_ns = now_ns + x->wait_ns;
	x->wait_ns = MIN(2 * x->wait_ns, REPEAT_MOST_NS);
}

static int64_t number_of(const struct deposit *d)
{
	int64_t n = 1;

	for (size_t i = 0; i < 6; i++)
		n = n << 8 | d->d.operation[i];
	return n;
}

static void send_deposit(struct buyer *b, struct effects *fx, struct deposit *d, int64_t now_ns)
{
	struct send *send = effects_send(fx, &b->escrow, MESSAGE_DEPOSIT);

	send->message.number = number_of(d);
	send->message.operation = SPAN_OF(d->d.operation);
	send->message.asset = SPAN_STR("XTS");
	send->message.amount_micros = d->d.amount_micros;
	d->next_ns = now_ns + d->wait_ns;
	d->wait_ns = MIN(2 * d->wait_ns, REPEAT_MOST_NS);
}

static void due(struct buyer *b, struct effects *fx, int64_t now_ns)
{
	for (size_t i = 0; i < b->n_deposits && fx->n < EFFECTS_MAX - 8; i++)
		if (!b->deposits[i].done && b->deposits[i].next_ns <= now_ns)
			send_deposit(b, fx, &b->deposits[i], now_ns);
	for (size_t i = 0; i < b->n && fx->n < EFFECTS_MAX - 8; i++)
		if (!ended(&b->wanted[i]) && b->wanted[i].next_ns <= now_ns)
			send_wanted(b, fx, &b->wanted[i], now_ns);
}

static void hasten(struct buyer *b, int64_t now_ns)
{
	for (size_t i = 0; i < b->n; i++) {
		b->wanted[i].next_ns = now_ns;
		b->wanted[i].wait_ns = REPEAT_FIRST_NS;
	}
	for (size_t i = 0; i < b->n_deposits; i++) {
		b->deposits[i].next_ns = now_ns;
		b->deposits[i].wait_ns = REPEAT_FIRST_NS;
	}
}

static void post(struct buyer *b, struct effects *fx, const struct buyer_post *post, int64_t now_ns)
{
	struct row *row;
	struct wanted *x;

	if (find(b, &post->request))
		return;
	if (b->n == BUYER_REQUESTS_MAX)
		abort();
	x = &b->wanted[b->n++];
	*x = (struct wanted){
		.request = post->request, .expires_ns = post->expires_ns, .wait_ns = REPEAT_FIRST_NS
	};
	row = effects_put(fx, TABLE_STATEMENT, PUT_REPLACE);
	row_copy(fx, row, SPAN_OF(post->request));
	row_int(row, STATEMENT_REQUEST);
	row_copy(fx, row, SPAN_OF(post->request));
	row_copy(fx, row, SPAN(post->bytes, post->n));
	put(fx, x);
	send_wanted(b, fx, x, now_ns);
}

static void cancel(
	struct buyer *b, struct effects *fx, const struct event *event, const struct id *id)
{
	struct wanted *x = find(b, id);
	struct claim claim = { .request = *id, .target = *id, .side = ROLE_BUYER };
	uint32_t counter = 0;
	struct send *send;

	if (!x || ended(x) || !id_is_zero(&x->cancel))
		return;
	author_common(&b->author, event, &counter, fx, &claim.c);
	claim.c.audience[0] = b->broker;
	claim.c.audience[1] = b->escrow;
	claim.c.n_audience = 2;
	x->cancel = effects_sign(fx, &b->author, STATEMENT_CANCEL, &claim, id, NULL);
	put(fx, x);
	send = effects_send(fx, &b->broker, MESSAGE_CANCEL);
	send->message.request = *id;
	send_attach(send, &x->cancel);
}

static void on_refused(struct buyer *b, struct effects *fx, const struct event *event)
{
	const struct message *m = &event->opened->message;
	struct wanted *x = find(b, &m->request);
	bool passing = m->code == REFUSED_GREETING_REQUIRED || m->code == REFUSED_PEER_BUSY ||
		       m->code == REFUSED_TOO_MANY_REQUESTS || m->code == REFUSED_DISK_FULL;

	if (!x || ended(x) || !did_eq(&event->from, &b->broker) || passing)
		return;
	if (m->code == REFUSED_CANCEL_TOO_LATE || m->code == REFUSED_ALREADY_ENDED ||
		m->code == REFUSED_REQUEST_UNKNOWN) {
		x->cancelled = m->code != REFUSED_REQUEST_UNKNOWN;
		return;
	}
	/* What it was told already counts more than a late answer to a repeated posting. */
	if (x->state != SLOT_NONE)
		return;
	x->state = BUYER_STATE_REFUSED;
	x->code = m->code;
	put(fx, x);
}

static void on_state(struct buyer *b, struct effects *fx, const struct event *event)
{
	const struct message *m = &event->opened->message;
	const struct statement *s = message_find(event->opened, STATEMENT_SETTLEMENT);
	struct wanted *x = find(b, &m->request);
	bool broker = did_eq(&event->from, &b->broker);

	if (!x || ended(x) || m->state <= SLOT_NONE || m->state >= SLOT_STATES)
		return;
	if (!broker && (!did_eq(&event->from, &b->escrow) || !s))
		return;
	if (broker && (m->state == SLOT_CANCELLED || m->state == SLOT_CANCELLED_LATE ||
			      m->state == SLOT_REFUNDING))
		x->cancelled = true;
	if (x->state == m->state && x->code == m->code)
		return;
	/* An end that names money needs the escrow's word. */
	if ((m->state == SLOT_SETTLED || m->state == SLOT_REFUNDED) &&
		(!s || !did_eq(&s->issuer, &b->escrow) || s->body.settlement.outcome != m->state ||
			!id_eq(&s->body.settlement.request, &x->request)))
		return;
	if (s)
		effects_keep(fx, s, &x->request);
	x->state = m->state;
	x->code = m->code;
	put(fx, x);
}

static void on_account(struct buyer *b, struct effects *fx, const struct event *event)
{
	for (size_t i = 0; i < b->n_deposits; i++) {
		struct deposit *d = &b->deposits[i];

		if (!d->done && number_of(d) == event->opened->message.reply_to) {
			d->done = true;
			put_deposit(fx, d);
		}
	}
}

static void on_message(struct buyer *b, struct effects *fx, const struct event *event)
{
	int64_t type = event->opened->message.message;

	if (type == MESSAGE_REFUSED)
		on_refused(b, fx, event);
	else if (type == MESSAGE_STATUS || type == MESSAGE_BUNDLE || type == MESSAGE_OUTCOME)
		on_state(b, fx, event);
	else if (type == MESSAGE_ACCOUNT)
		on_account(b, fx, event);
}

static void on_work(struct buyer *b, struct effects *fx, const struct event *event)
{
	const struct work_result *work = event->work;

	if (work->kind == BUYER_WORK_POST) {
		post(b, fx, work->detail, event->now_ns);
	} else if (work->kind == BUYER_WORK_CANCEL) {
		cancel(b, fx, event, work->detail);
	} else if (work->kind == BUYER_WORK_DEPOSIT) {
		struct deposit *d;

		for (size_t i = 0; i < b->n_deposits; i++)
			if (memcmp(b->deposits[i].d.operation, work->detail, 16) == 0)
				return;
		if (b->n_deposits == BUYER_DEPOSITS_MAX)
			abort();
		d = &b->deposits[b->n_deposits++];
		*d = (struct deposit){ .wait_ns = REPEAT_FIRST_NS };
		memcpy(&d->d, work->detail, sizeof(d->d));
		put_deposit(fx, d);
		send_deposit(b, fx, d, event->now_ns);
	}
}

static void buyer_step(void *core, const struct event *event, struct effects *fx)
{
	struct buyer *b = core;

	switch (event->type) {
	case EVENT_START:
	case EVENT_CONNECTED:
		hasten(b, event->now_ns);
		break;
	case EVENT_TICK:
		due(b, fx, event->now_ns);
		break;
	case EVENT_MESSAGE:
		on_message(b, fx, event);
		break;
	case EVENT_WORK:
		on_work(b, fx, event);
		break;
	case EVENT_LOST:
	case EVENT_SEAL:
		break;
	}
}

static int buyer_load(void *core, const struct row *row)
{
	struct buyer *b = core;

	if (row->table == BUYER_TABLE_REQUEST) {
		struct wanted *x = &b->wanted[b->n++];

		*x = (struct wanted){ .state = row->cells[1].i,
			.code = row->cells[2].i,
			.expires_ns = row->cells[3].i };
		memcpy(x->request.b, row->cells[0].b.p, 32);
		memcpy(x->cancel.b, row->cells[4].b.p, 32);
	} else {
		struct deposit *d = &b->deposits[b->n_deposits++];

		*d = (struct deposit){ .done = row->cells[2].i != 0 };
		memcpy(d->d.operation, row->cells[0].b.p, 16);
		d->d.amount_micros = row->cells[1].i;
	}
	return 0;
}

static int64_t buyer_wake_at(const void *core)
{
	const struct buyer *b = core;
	int64_t at_ns = INT64_MAX;

	for (size_t i = 0; i < b->n_deposits; i++)
		if (!b->deposits[i].done)
			at_ns = MIN(at_ns, b->deposits[i].next_ns);
	for (size_t i = 0; i < b->n; i++)
		if (!ended(&b->wanted[i]))
			at_ns = MIN(at_ns, b->wanted[i].next_ns);
	return at_ns;
}

static void buyer_check(const void *core)
{
	const struct buyer *b = core;

	assert(b->n <= BUYER_REQUESTS_MAX && b->n_deposits <= BUYER_DEPOSITS_MAX);
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
	[BUYER_TABLE_REQUEST] = { .name = "request", .n_key = 1, .n_cells = 5 },
	[BUYER_TABLE_DEPOSIT] = { .name = "deposit", .n_key = 1, .n_cells = 3 },
};

const struct core_ops buyer_ops = { .name = "buyer",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = buyer_load,
	.step = buyer_step,
	.wake_at = buyer_wake_at,
	.check = buyer_check };
