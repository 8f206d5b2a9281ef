#include "tests/unit/broker_world.h"

#include "proto/base/sha256.h"

#include <stdlib.h>

static void apply(struct broker_world *w, const struct row *row)
{
	const struct table_info *info = &broker_ops.tables[row->table];
	size_t at = 0;

	for (; at < w->n_rows; at++) {
		bool same = w->rows[at].table == row->table;

		for (size_t i = 0; i < info->n_key && same; i++)
			same = w->rows[at].cells[i].i == row->cells[i].i &&
			       span_eq(w->rows[at].cells[i].b, row->cells[i].b);
		if (same)
			break;
	}
	if (row->op == PUT_DELETE) {
		assert(row->n == info->n_key && at < w->n_rows);
		w->rows[at] = w->rows[--w->n_rows];
		return;
	}
	assert(row->n == info->n_cells);
	assert(row->op == PUT_REPLACE || at == w->n_rows);
	if (at == w->n_rows)
		w->n_rows++;
	assert(w->n_rows <= BROKER_WORLD_ROWS);
	w->rows[at] = *row;
	for (size_t i = 0; i < row->n; i++)
		w->rows[at].cells[i].b = buf_copy(&w->m.room, row->cells[i].b);
}

static bool on_disk(const struct broker_world *w, uint16_t table, const struct id *id)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == table && span_eq(w->rows[i].cells[0].b, SPAN_OF(*id)))
			return true;
	return false;
}

static void keep_sent(struct broker_world *w, const struct send *send)
{
	struct send *copy = &w->sent[w->n_sent++];

	assert(w->n_sent <= BROKER_WORLD_SENT);
	*copy = *send;
	copy->message.receipt = buf_copy(&w->m.room, send->message.receipt);
	copy->message.note = buf_copy(&w->m.room, send->message.note);
}

static void step(struct broker_world *w, const struct event *wanted)
{
	struct event event = *wanted;
	struct id entropy = SHA256(SPAN_STR("entropy"), SPAN_OF(w->n_steps));

	w->n_steps++;
	event.now_ns = w->m.now_ns;
	memcpy(event.entropy, entropy.b, 32);
	effects_init(w->fx);
	broker_ops.step(w->broker, &event, w->fx);
	assert(!w->fx->overflow);
	for (size_t i = 0; i < w->fx->n; i++) {
		const struct effect *e = &w->fx->v[i];

		if (e->type == EFFECT_PUT) {
			apply(w, &e->row);
			w->n_puts++;
		} else if (e->type == EFFECT_SEND) {
			keep_sent(w, e->send);
		} else {
			assert(e->work.kind == WORK_PULL && e->work.size == sizeof(w->pull));
			memcpy(&w->pull, e->work.detail, sizeof(w->pull));
			w->ticket = e->work.ticket;
		}
	}
	broker_ops.check(w->broker);
}

/* What leaves at the end of a batch can be attached from the disk. */
static void check_sent(const struct broker_world *w)
{
	for (size_t i = 0; i < w->n_sent; i++) {
		const struct send *s = &w->sent[i];

		for (size_t k = 0; k < s->n_statements; k++)
			assert(on_disk(w, TABLE_STATEMENT, &s->statements[k]));
		assert(id_is_zero(&s->blob) || on_disk(w, TABLE_PAYLOAD, &s->blob));
	}
}

static void connect_again(struct broker_world *w)
{
	for (size_t i = 0; i < MARKET_NODES; i++)
		if (w->connected[i])
			step(w, &(struct event){ .type = EVENT_CONNECTED,
					.from = w->m.nodes[i].did,
					.role = ROLE_NODE });
}

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left;
	const struct row *b = right;
	size_t n = MIN(a->cells[0].b.n, b->cells[0].b.n);
	int r = (a->table > b->table) - (a->table < b->table);

	if (r == 0 && n > 0)
		r = memcmp(a->cells[0].b.p, b->cells[0].b.p, n);
	return r;
}

void broker_world_restart(struct broker_world *w)
{
	size_t n_sent = w->n_sent;

	broker_free(w->broker);
	w->broker = NULL;
	if (broker_new(&w->config, &w->broker) < 0)
		abort();
	qsort(w->rows, w->n_rows, sizeof(w->rows[0]), compare_rows);
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table > TABLE_PAYLOAD && broker_ops.load(w->broker, &w->rows[i]) < 0)
			abort();
	step(w, &(struct event){ .type = EVENT_START });
	connect_again(w);
	/* What was sent before the crash is on its way: the start must not hide it. */
	w->n_sent = n_sent;
}

static void batch(struct broker_world *w, const struct event *event)
{
	step(w, event);
	if (w->open_batch)
		return;
	step(w, &(struct event){ .type = EVENT_SEAL });
	check_sent(w);
	if (w->restarts)
		broker_world_restart(w);
}

static void clear(struct broker_world *w)
{
	w->n_sent = 0;
	w->n_puts = 0;
	w->ticket = 0;
}

void broker_world_event(struct broker_world *w, const struct event *event)
{
	clear(w);
	batch(w, event);
}

void broker_world_seal(struct broker_world *w)
{
	clear(w);
	step(w, &(struct event){ .type = EVENT_SEAL });
	check_sent(w);
}

void broker_world_init(struct broker_world *w)
{
	*w = (struct broker_world){ 0 };
	if (market_init(&w->m) < 0)
		abort();
	w->fx = calloc(1, sizeof(*w->fx));
	w->rows = calloc(BROKER_WORLD_ROWS, sizeof(*w->rows));
	w->sent = calloc(BROKER_WORLD_SENT, sizeof(*w->sent));
	w->config = (struct broker_config){
		.author = { w->m.broker.signer, w->m.name },
		.escrows = { w->m.escrow.did },
		.n_escrows = 1,
		.slots = 256,
		.offerings = 64,
	};
	if (!w->fx || !w->rows || !w->sent || broker_new(&w->config, &w->broker) < 0)
		abort();
	step(w, &(struct event){ .type = EVENT_START });
}

void broker_world_deinit(struct broker_world *w)
{
	broker_free(w->broker);
	free(w->fx);
	free(w->rows);
	free(w->sent);
	market_deinit(&w->m);
}

void broker_world_message(struct broker_world *w, const struct market_party *from)
{
	broker_world_event(w,
		&(struct event){ .type = EVENT_MESSAGE, .from = from->did, .opened = w->m.opened });
}

void broker_world_connect(struct broker_world *w, size_t node, bool connected)
{
	w->connected[node] = connected;
	broker_world_event(w, &(struct event){ .type = connected ? EVENT_CONNECTED : EVENT_LOST,
				      .from = w->m.nodes[node].did,
				      .role = ROLE_NODE });
}

void broker_world_wake(struct broker_world *w)
{
	w->m.now_ns = MAX(w->m.now_ns, broker_ops.wake_at(w->broker));
	broker_world_event(w, &(struct event){ .type = EVENT_TICK });
}

void broker_world_pass(struct broker_world *w, int64_t ns)
{
	int64_t until = w->m.now_ns + ns;
	bool restarts = w->restarts;

	clear(w);
	/* A core that starts asks again at once, which would be for ever. */
	w->restarts = false;
	while (broker_ops.wake_at(w->broker) <= until) {
		w->m.now_ns = MAX(w->m.now_ns, broker_ops.wake_at(w->broker));
		batch(w, &(struct event){ .type = EVENT_TICK });
	}
	w->m.now_ns = until;
	w->restarts = restarts;
	if (restarts)
		broker_world_restart(w);
}

const struct send *broker_world_sent(
	const struct broker_world *w, const struct market_party *to, enum message_type type)
{
	for (size_t i = w->n_sent; i-- > 0;)
		if (did_eq(&w->sent[i].to, &to->did) && w->sent[i].message.message == type)
			return &w->sent[i];
	return NULL;
}

enum refusal broker_world_refusal(const struct broker_world *w)
{
	for (size_t i = w->n_sent; i-- > 0;)
		if (w->sent[i].message.message == MESSAGE_REFUSED)
			return (enum refusal)w->sent[i].message.code;
	return REFUSED_NOT;
}

struct statement *broker_world_statement(struct broker_world *w, const struct id *id)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == TABLE_STATEMENT &&
			span_eq(w->rows[i].cells[0].b, SPAN_OF(*id)))
			return market_take(&w->m, w->rows[i].cells[3].b);
	return NULL;
}

size_t broker_world_count(const struct broker_world *w, uint16_t table)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_rows; i++)
		n += w->rows[i].table == table;
	return n;
}

enum slot_state broker_world_state(const struct broker_world *w, const struct id *request)
{
	for (size_t i = 0; i < w->n_rows; i++)
		if (w->rows[i].table == BROKER_TABLE_SLOT &&
			span_eq(w->rows[i].cells[0].b, SPAN_OF(*request)))
			return (enum slot_state)w->rows[i].cells[4].i;
	return SLOT_NONE;
}

struct statement *broker_world_offer(
	struct broker_world *w, size_t node, const struct offering *body)
{
	struct offering o = body ? *body : market_offering(&w->m, &w->m.nodes[node]);
	struct statement *s = market_sign(&w->m, &w->m.nodes[node], STATEMENT_OFFERING, &o);

	w->connected[node] = true;
	(void)market_message(&w->m, MESSAGE_OFFER); /* ignored: nothing to fill in */
	market_attach(&w->m, s);
	broker_world_message(w, &w->m.nodes[node]);
	return s;
}
