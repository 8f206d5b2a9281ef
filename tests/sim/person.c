#include "tests/sim/person.h"

#include "buyer-sdk/src/buyer.h"

#include <stdio.h>
#include <stdlib.h>

#define POSTS_OF_A_STEP 8
#define TICKET_DEPOSIT  100000 /* and the deposit's number; below: requests */

struct wanted {
	struct person_post post;
	int64_t state; /* enum slot_state, 0: nothing heard; or PERSON_STATE_REFUSED */
	int64_t code;
	bool told; /* the SDK's core has it */
};

struct deposit {
	struct person_deposit d;
	bool done;
	bool told;
};

struct person {
	struct buyer *sdk;
	size_t n;
	struct wanted wanted[PERSON_REQUESTS_MAX];
	size_t n_deposits;
	struct deposit deposits[PERSON_DEPOSITS_MAX];
	bool untold;
	int64_t start_ns;
	char complaint[160];
};

void *person_new(const struct author *author, struct keyring *keyring, const struct did *escrow,
	const struct did *broker, const uint8_t secret[static 32])
{
	struct person *p = calloc(1, sizeof(*p));
	struct buyer_config config = { .author = *author,
		.n_encryption_secrets = 1,
		.keyring = keyring,
		.broker = *broker,
		.escrow = *escrow,
		.secret = 1 };

	memcpy(config.encryption_secrets[0], secret, 32);
	if (!p || buyer_new(&config, &p->sdk) < 0)
		abort();
	return p;
}

void person_free(void *core)
{
	struct person *p = core;

	buyer_free(p->sdk);
	free(p);
}

const char *person_complaint(const void *core)
{
	const struct person *p = core;

	return p->complaint[0] ? p->complaint : NULL;
}

static bool ended(const struct wanted *x)
{
	return x->state == PERSON_STATE_REFUSED || slot_ended((enum slot_state)x->state);
}

size_t person_open(const void *core)
{
	const struct person *p = core;
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += !ended(&p->wanted[i]);
	for (size_t i = 0; i < p->n_deposits; i++)
		n += !p->deposits[i].done;
	return n;
}

static void put(struct effects *fx, const struct wanted *x)
{
	struct row *row = effects_put(fx, PERSON_TABLE_REQUEST, PUT_REPLACE);

	row_copy(fx, row, SPAN_OF(x->post.request));
	row_int(row, x->state);
	row_int(row, x->code);
	row_copy(fx, row, SPAN(x->post.bytes, x->post.n));
}

static void put_deposit(struct effects *fx, const struct deposit *d)
{
	struct row *row = effects_put(fx, PERSON_TABLE_DEPOSIT, PUT_REPLACE);

	row_copy(fx, row, SPAN_OF(d->d.operation));
	row_int(row, d->d.amount_micros);
	row_int(row, d->done);
}

static struct wanted *find(struct person *p, const struct id *request)
{
	for (size_t i = 0; i < p->n; i++)
		if (id_eq(&p->wanted[i].post.request, request))
			return &p->wanted[i];
	return NULL;
}

/* A call of the application into the SDK. */
static void call(struct person *p, const struct event *event, struct effects *fx, int kind,
	uint64_t ticket, const struct buyer_call *detail)
{
	const struct work_result work = { .ticket = ticket, .kind = kind, .detail = detail };
	struct event inner = *event;

	inner.type = EVENT_WORK;
	inner.work = &work;
	buyer_ops.step(p->sdk, &inner, fx);
}

static void tell_request(struct person *p, const struct event *event, struct effects *fx, size_t i)
{
	struct wanted *x = &p->wanted[i];
	struct id id;

	x->told = true;
	if (buyer_post(p->sdk, event, SPAN(x->post.bytes, x->post.n), i, fx, &id) != REFUSED_NOT)
		abort(); /* it was signed for it, and there is room */
}

static void tell_deposit(struct person *p, const struct event *event, struct effects *fx, size_t i)
{
	static struct buyer_call detail; /* large */
	struct deposit *d = &p->deposits[i];

	memset(&detail, 0, sizeof(detail));
	memcpy(detail.operation, d->d.operation, sizeof(detail.operation));
	snprintf(detail.asset, sizeof(detail.asset), "XTS");
	detail.amount_micros = d->d.amount_micros;
	d->told = true;
	call(p, event, fx, BUYER_CALL_DEPOSIT, TICKET_DEPOSIT + i, &detail);
}

/* What a new life wants again. */
static void tell_again(struct person *p, const struct event *event, struct effects *fx)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_deposits; i++)
		if (!p->deposits[i].done && !p->deposits[i].told)
			tell_deposit(p, event, fx, i);
	for (size_t i = 0; i < p->n && n < POSTS_OF_A_STEP; i++)
		if (!ended(&p->wanted[i]) && !p->wanted[i].told) {
			tell_request(p, event, fx, i);
			n++;
		}
	p->untold = n == POSTS_OF_A_STEP;
}

static void on_work(struct person *p, const struct event *event, struct effects *fx)
{
	const struct work_result *work = event->work;

	if (work->kind == PERSON_WORK_POST) {
		const struct person_post *post = work->detail;

		if (find(p, &post->request))
			return;
		if (p->n == PERSON_REQUESTS_MAX)
			abort();
		p->wanted[p->n] = (struct wanted){ .post = *post };
		put(fx, &p->wanted[p->n]);
		tell_request(p, event, fx, p->n++);
	} else if (work->kind == PERSON_WORK_CANCEL) {
		enum refusal refusal = buyer_cancel(p->sdk, event, work->detail, fx);

		(void)refusal; /* ignored: it may have ended, or not be told yet */
	} else if (work->kind == PERSON_WORK_DEPOSIT) {
		const struct person_deposit *d = work->detail;

		for (size_t i = 0; i < p->n_deposits; i++)
			if (memcmp(p->deposits[i].d.operation, d->operation, 16) == 0)
				return;
		if (p->n_deposits == PERSON_DEPOSITS_MAX)
			abort();
		p->deposits[p->n_deposits] = (struct deposit){ .d = *d };
		put_deposit(fx, &p->deposits[p->n_deposits]);
		tell_deposit(p, event, fx, p->n_deposits++);
	} else {
		buyer_ops.step(p->sdk, event, fx);
	}
}

static void take_result(struct person *p, const struct buyer_result *r, struct effects *fx)
{
	struct wanted *x = find(p, &r->request);

	if (r->kind == BUYER_ACCOUNT && r->ticket >= TICKET_DEPOSIT) {
		struct deposit *d = &p->deposits[r->ticket - TICKET_DEPOSIT];

		d->done = true;
		put_deposit(fx, d);
	}
	if (r->kind == BUYER_BAD_BUNDLE)
		snprintf(p->complaint, sizeof(p->complaint), "%s: %s", refusal_name(r->code),
			r->field);
	if (!x || ended(x) || (r->kind == BUYER_REFUSED && !r->ended))
		return;
	/* Settled only with a bundle that holds. */
	if (r->state == SLOT_SETTLED && r->kind != BUYER_BUNDLE)
		return;
	x->state = r->kind == BUYER_REFUSED ? PERSON_STATE_REFUSED : r->state;
	x->code = r->code;
	put(fx, x);
}

static void person_step(void *core, const struct event *event, struct effects *fx)
{
	struct person *p = core;
	struct buyer_result result;

	if (event->type == EVENT_START) {
		p->untold = true;
		p->start_ns = event->now_ns;
	}
	if (event->type == EVENT_WORK)
		on_work(p, event, fx);
	else
		buyer_ops.step(p->sdk, event, fx);
	if (event->type == EVENT_TICK && p->untold)
		tell_again(p, event, fx);
	while (fx->n + 4 < EFFECTS_MAX && buyer_next_result(p->sdk, &result)) {
		take_result(p, &result, fx);
		buyer_result_deinit(&result);
	}
}

static int person_load(void *core, const struct row *row)
{
	struct person *p = core;

	if (row->table == PERSON_TABLE_REQUEST) {
		struct wanted *x = &p->wanted[p->n++];

		*x = (struct wanted){ .state = row->cells[1].i, .code = row->cells[2].i };
		memcpy(x->post.request.b, row->cells[0].b.p, 32);
		x->post.n = row->cells[3].b.n;
		memcpy(x->post.bytes, row->cells[3].b.p, x->post.n);
	} else {
		struct deposit *d = &p->deposits[p->n_deposits++];

		*d = (struct deposit){ .done = row->cells[2].i != 0 };
		memcpy(d->d.operation, row->cells[0].b.p, 16);
		d->d.amount_micros = row->cells[1].i;
	}
	return 0;
}

static int64_t person_wake_at(const void *core)
{
	const struct person *p = core;

	return p->untold ? p->start_ns : buyer_ops.wake_at(p->sdk);
}

static void person_check(const void *core)
{
	const struct person *p = core;

	buyer_ops.check(p->sdk);
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
	[PERSON_TABLE_REQUEST] = { .name = "request", .n_key = 1, .n_cells = 4 },
	[PERSON_TABLE_DEPOSIT] = { .name = "deposit", .n_key = 1, .n_cells = 3 },
};

const struct core_ops person_ops = { .name = "person",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = person_load,
	.step = person_step,
	.wake_at = person_wake_at,
	.check = person_check };
