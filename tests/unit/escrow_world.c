#include "tests/unit/escrow_world.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

static void start(struct world *w)
{
	struct event event = { .type = EVENT_START };

	world_event(w, &event);
}

void world_init(struct world *w)
{
	w->n_rows = 0;
	w->n_steps = 0;
	if (market_init(&w->m) < 0)
		abort();
	w->fx = calloc(1, sizeof(*w->fx));
	w->config = (struct escrow_config){
		.author = { w->m.escrow.signer, w->m.name },
		.draw_secret_key = { 1, 2, 3 },
		.keyring = w->m.keyring,
		.assets = { SPAN_STR("XTS"), SPAN_STR("EUR") },
		.n_assets = 2,
		.play_money = true,
		.open = 8,
		.holds = 12,
		.accounts = 128,
		.transfers = 256,
		.operations = 8,
		.seen = 4,
	};
	memcpy(w->config.encryption_secret, w->m.escrow.encryption_secret, 32);
	memcpy(w->config.encryption_public, w->m.escrow.encryption_public, 32);
	if (!w->fx || escrow_new(&w->config, &w->escrow) < 0)
		abort();
	start(w);
}

void world_deinit(struct world *w)
{
	escrow_free(w->escrow);
	free(w->fx);
	market_deinit(&w->m);
}

static int cell_order(const struct cell *a, const struct cell *b)
{
	if (a->type == CELL_INT)
		return a->i < b->i ? -1 : a->i > b->i;

	int r = memcmp(a->b.p, b->b.p, MIN(a->b.n, b->b.n));

	return r != 0 ? r : (a->b.n > b->b.n) - (a->b.n < b->b.n);
}

static int row_order(const struct world_row *a, const struct world_row *b)
{
	int r = (a->table > b->table) - (a->table < b->table);

	for (size_t i = 0; r == 0 && i < escrow_ops.tables[a->table].n_key; i++)
		r = cell_order(&a->cells[i], &b->cells[i]);
	return r;
}

static int row_compare(const void *a, const void *b)
{
	return row_order(a, b);
}

static void apply(struct world *w, const struct row *row)
{
	const struct table_info *info = &escrow_ops.tables[row->table];
	struct world_row copy = { .table = row->table, .n = row->n };
	size_t at = 0;

	for (size_t i = 0; i < row->n; i++) {
		copy.cells[i] = row->cells[i];
		if (row->cells[i].type == CELL_BLOB || row->cells[i].type == CELL_TEXT)
			copy.cells[i].b = buf_copy(&w->m.room, row->cells[i].b);
	}
	while (at < w->n_rows && row_order(&w->rows[at], &copy) != 0)
		at++;
	if (row->op == PUT_DELETE) {
		assert(row->n == info->n_key && at < w->n_rows);
		w->rows[at] = w->rows[--w->n_rows];
		return;
	}
	assert(row->n == info->n_cells);
	assert(row->op == PUT_REPLACE || at == w->n_rows);
	if (at == w->n_rows)
		w->n_rows++;
	assert(w->n_rows <= WORLD_ROWS);
	w->rows[at] = copy;
}

void world_event(struct world *w, const struct event *wanted)
{
	struct event event = *wanted;
	struct id entropy = SHA256(SPAN_STR("entropy"), SPAN_OF(w->n_steps));

	w->n_steps++;
	event.now_ns = w->m.now_ns;
	memcpy(event.entropy, entropy.b, 32);
	effects_init(w->fx);
	escrow_ops.step(w->escrow, &event, w->fx);
	assert(!w->fx->overflow);
	for (size_t i = 0; i < w->fx->n; i++)
		if (w->fx->v[i].type == EFFECT_PUT)
			apply(w, &w->fx->v[i].row);
	escrow_ops.check(w->escrow);
	if (event.type != EVENT_START &&
		(w->crash_after == UINT64_MAX || w->crash_after == w->n_steps))
		world_crash(w);
}

void world_crash(struct world *w)
{
	struct effects *sent = w->fx;
	uint64_t crash_after = w->crash_after;
	uint64_t n_steps = w->n_steps;

	escrow_free(w->escrow);
	w->escrow = NULL;
	if (escrow_new(&w->config, &w->escrow) < 0)
		abort();
	qsort(w->rows, w->n_rows, sizeof(w->rows[0]), row_compare);
	for (size_t i = 0; i < w->n_rows; i++) {
		struct row row = { .table = w->rows[i].table, .n = w->rows[i].n };

		memcpy(row.cells, w->rows[i].cells, sizeof(row.cells));
		if (row.table > TABLE_PAYLOAD && escrow_ops.load(w->escrow, &row) < 0)
			abort();
	}
	/* What was sent before the crash is on its way: the start must not hide it. */
	w->fx = calloc(1, sizeof(*w->fx));
	if (!w->fx)
		abort();
	w->crash_after = 0;
	start(w);
	free(w->fx);
	w->fx = sent;
	w->crash_after = crash_after;
	w->n_steps = n_steps;
}

void world_message(struct world *w, const struct market_party *from)
{
	struct event event = { .type = EVENT_MESSAGE, .from = from->did, .opened = w->m.opened };

	world_event(w, &event);
}

void world_wake(struct world *w)
{
	struct event event = { .type = EVENT_TICK };

	w->m.now_ns = MAX(w->m.now_ns, escrow_ops.wake_at(w->escrow));
	world_event(w, &event);
}

void world_pass(struct world *w, int64_t ns)
{
	int64_t until = w->m.now_ns + ns;

	while (escrow_ops.wake_at(w->escrow) <= until)
		world_wake(w);
	w->m.now_ns = until;
}

const struct send *world_sent(
	const struct world *w, const struct market_party *to, enum message_type type)
{
	const struct send *found = NULL;

	for (size_t i = 0; i < w->fx->n; i++)
		if (w->fx->v[i].type == EFFECT_SEND && did_eq(&w->fx->v[i].send->to, &to->did) &&
			w->fx->v[i].send->message.message == type)
			found = w->fx->v[i].send;
	return found;
}

enum refusal world_refusal(const struct world *w)
{
	for (size_t i = 0; i < w->fx->n; i++)
		if (w->fx->v[i].type == EFFECT_SEND &&
			w->fx->v[i].send->message.message == MESSAGE_REFUSED)
			return (enum refusal)w->fx->v[i].send->message.code;
	return REFUSED_NOT;
}

const struct work *world_work(const struct world *w, int kind)
{
	for (size_t i = 0; i < w->fx->n; i++)
		if (w->fx->v[i].type == EFFECT_WORK && w->fx->v[i].work.kind == kind)
			return &w->fx->v[i].work;
	return NULL;
}

size_t world_puts(const struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->fx->n; i++)
		n += w->fx->v[i].type == EFFECT_PUT;
	return n;
}

struct statement *world_statement(struct world *w, const struct id *id)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == TABLE_STATEMENT &&
			span_eq(w->rows[i].cells[0].b, SPAN_OF(*id)))
			return market_take(&w->m, w->rows[i].cells[3].b);
	return NULL;
}

struct statement *world_newest(struct world *w, enum statement_kind kind, const struct id *request)
{
	struct statement *newest = NULL;

	for (size_t i = 0; i < w->n_rows; i++) {
		const struct world_row *row = &w->rows[i];

		if (row->table != TABLE_STATEMENT || row->cells[1].i != (int64_t)kind ||
			!span_eq(row->cells[2].b, SPAN_OF(*request)))
			continue;

		struct statement *s = market_take(&w->m, row->cells[3].b);

		if (!newest || s->body.head.c.at_ns >= newest->body.head.c.at_ns)
			newest = s;
	}
	return newest;
}

int64_t world_balance(
	const struct world *w, const struct market_party *who, enum account_purpose purpose)
{
	for (size_t i = 0; i < w->n_rows; i++) {
		const struct world_row *row = &w->rows[i];

		if (row->table == ESCROW_TABLE_ACCOUNT &&
			span_eq(row->cells[1].b, SPAN_OF(who->did)) &&
			row->cells[2].i == (int64_t)purpose && span_is(row->cells[3].b, "XTS"))
			return row->cells[4].i;
	}
	return 0;
}

size_t world_count(const struct world *w, uint16_t table)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_rows; i++)
		n += w->rows[i].table == table;
	return n;
}

enum slot_state world_state(const struct world *w, const struct id *request)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == ESCROW_TABLE_SLOT &&
			span_eq(w->rows[i].cells[0].b, SPAN_OF(*request)))
			return (enum slot_state)w->rows[i].cells[1].i;
	return SLOT_NONE;
}

const struct market_party *world_verifier(const struct world *w, const struct did *did)
{
	for (size_t i = 0; i < MARKET_VERIFIERS; i++)
		if (did_eq(&w->m.verifiers[i].did, did))
			return &w->m.verifiers[i];
	abort();
}

void world_deposit(struct world *w, const struct market_party *who, int64_t micros)
{
	struct message *m = market_message(&w->m, MESSAGE_DEPOSIT);
	struct id operation = SHA256(SPAN_STR("operation"), SPAN_OF(w->m.counter));
	struct span copy = buf_copy(&w->m.room, SPAN(operation.b, 16));

	m->operation = copy;
	m->asset = SPAN_STR("XTS");
	m->amount_micros = micros;
	world_message(w, who);
}

void deal_init(struct world *w, struct deal *d)
{
	*d = (struct deal){
		.request_body = market_request(&w->m),
		.offering_body = market_offering(&w->m, &w->m.nodes[0]),
		.type = JPEG_TYPE,
		.plain = "a picture of a lake",
	};
}

void deal_fund(struct world *w, struct deal *d)
{
	struct market *m = &w->m;
	struct message *fund = market_message(m, MESSAGE_FUND);
	const struct send *funded;

	if (!d->request)
		d->request = market_sign(m, &m->buyer, STATEMENT_REQUEST, &d->request_body);
	if (!d->offering)
		d->offering = market_sign(m, &m->nodes[0], STATEMENT_OFFERING, &d->offering_body);
	market_attach(m, d->request);
	fund->attempt = d->attempt;
	if (!d->without_node) {
		market_attach(m, d->offering);
		fund->price_micros = d->offering_body.price_micros;
	}
	world_message(w, &m->broker);
	funded = world_sent(w, &m->broker, MESSAGE_FUNDED);
	if (!funded)
		return;
	d->hold = world_statement(w, &funded->statements[0]);
	d->earmark = funded->n_statements > 1 ? world_statement(w, &funded->statements[1]) : NULL;
}

void deal_assign(struct world *w, struct deal *d)
{
	struct assignment a = market_assignment(
		&w->m, d->request, d->hold, d->earmark, &d->offering->id);

	d->assignment = market_sign(&w->m, &w->m.broker, STATEMENT_ASSIGNMENT, &a);
}

void deal_capture(struct world *w, struct deal *d)
{
	struct evidence e = market_evidence(
		&w->m, d->assignment, SPAN_STR(d->plain), d->type, &d->blob);

	d->evidence = market_sign(&w->m, &w->m.nodes[0], STATEMENT_EVIDENCE, &e);
	market_receipt(&w->m, &w->m.broker, &d->evidence->id, &d->receipt, &d->note);
}

void deal_submit(struct world *w, struct deal *d)
{
	struct message *m = market_message(&w->m, MESSAGE_SUBMISSION);

	m->receipt = d->receipt;
	m->note = d->note;
	m->blob = d->blob;
	market_attach(&w->m, d->assignment);
	market_attach(&w->m, d->evidence);
	world_message(w, &w->m.broker);
	if (world_refusal(w) == REFUSED_NOT)
		d->draw = world_newest(w, STATEMENT_DRAW, &d->request->id);
}

void deal_knock(struct world *w, struct deal *d, bool with_blob)
{
	struct message *m = market_message(&w->m, MESSAGE_EVIDENCE);

	if (with_blob)
		m->blob = d->blob;
	market_attach(&w->m, d->request);
	market_attach(&w->m, d->hold);
	market_attach(&w->m, d->assignment);
	market_attach(&w->m, d->evidence);
	world_message(w, &w->m.nodes[0]);
	if (world_refusal(w) == REFUSED_NOT)
		d->draw = world_newest(w, STATEMENT_DRAW, &d->request->id);
}

void deal_verify(struct world *w, struct deal *d)
{
	deal_fund(w, d);
	deal_assign(w, d);
	deal_capture(w, d);
	deal_submit(w, d);
}

void deal_vote(struct world *w, struct deal *d, size_t i, enum check_result_value outcome)
{
	const struct market_party *verifier = world_verifier(w, &d->draw->body.draw.panel[i]);
	struct verdict v = market_verdict(
		&w->m, d->evidence, &d->draw->id, SPAN_STR(d->plain), outcome);
	struct statement *s = market_sign(&w->m, verifier, STATEMENT_VERDICT, &v);

	market_message(&w->m, MESSAGE_VERDICT);
	market_attach(&w->m, s);
	world_message(w, verifier);
}

void deal_close(struct world *w, struct deal *d, enum basis basis, const struct statement *with)
{
	struct message *m = market_message(&w->m, MESSAGE_CLOSE);

	m->request = d->request->id;
	m->state = basis;
	market_attach(&w->m, with);
	world_message(w, &w->m.broker);
}
