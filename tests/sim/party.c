/* The shell of every party: events in, rows in one transaction, then messages and work. */
#include "tests/sim/sim.h"

#include "broker/core/broker.h"
#include "escrow/core/escrow.h"
#include "sensor-node/core/node.h"

#include <stdlib.h>

int64_t party_now(const struct world *w, const struct sim_party *p)
{
	return w->now_ns + p->skew_ns;
}

static void load_keys(struct sim_party *p)
{
	struct statement s;
	size_t n;
	struct store_row **rows = store_sorted(&p->store, STORE_KEYS, &n);
	bool is_new;

	for (size_t i = 0; i < n; i++)
		if (statement_decode(rows[i]->cells[2].b, &s, NULL) != REFUSED_NOT ||
			keyring_learn(p->keyring, &s, &is_new) != REFUSED_NOT)
			abort();
	free(rows);
	if (statement_decode(SPAN(p->keys, p->n_keys), &s, NULL) != REFUSED_NOT ||
		keyring_learn(p->keyring, &s, &is_new) != REFUSED_NOT)
		abort();
}

static void store_keys(void *ctx, const struct statement *keys)
{
	struct sim_party *p = ctx;
	struct row row = { .table = STORE_KEYS, .op = PUT_REPLACE };

	row_blob(&row, SPAN_OF(keys->issuer));
	row_blob(&row, keys->body.keys.working_key);
	row_blob(&row, keys->bytes);
	if (!store_put(&p->store, &row))
		abort();
}

void party_learn(struct world *w, struct sim_party *p, const struct sim_party *of)
{
	struct statement s;
	bool is_new;

	(void)w; /* ignored: nothing of the world changes */
	if (statement_decode(SPAN(of->keys, of->n_keys), &s, NULL) != REFUSED_NOT ||
		keyring_learn(p->keyring, &s, &is_new) != REFUSED_NOT)
		abort();
	if (is_new)
		store_keys(p, &s);
}

static void load_rows(struct world *w, struct sim_party *p)
{
	for (uint16_t t = 2; t < p->ops->n_tables; t++) {
		size_t n;
		struct store_row **rows = store_sorted(&p->store, t, &n);

		for (size_t i = 0; i < n; i++) {
			struct row row = { .table = t, .n = rows[i]->n };
			int r;

			memcpy(row.cells, rows[i]->cells, sizeof(row.cells));
			r = p->ops->load(p->core, &row);
			if (r < 0)
				world_broken(w, "rows-not-loaded", "%s: row %zu of %s: %s", p->name,
					i, p->ops->tables[t].name, strerror(-r));
		}
		free(rows);
	}
}

void party_start(struct world *w, struct sim_party *p)
{
	p->keyring = keyring_new(64);
	if (!p->keyring)
		abort();
	p->life++;
	p->started_ns = w->now_ns;
	p->tick_at_ns = INT64_MAX;
	p->process_set = false;
	load_keys(p);
	p->core = cores_new(w, p);
	if (p->life > 1)
		checks_restarted(w, p);
	load_rows(w, p);
	if (w->broken)
		return;
	party_give(w, p, EVENT_START, p->index, NULL);
}

static void clear_batch(struct sim_party *p)
{
	for (size_t i = 0; i < p->n_outs; i++)
		free(p->outs[i].letter);
	for (size_t i = 0; i < p->n_works; i++)
		free(p->works[i]);
	p->n_outs = 0;
	p->n_works = 0;
}

static void clear_inbox(struct sim_party *p)
{
	for (size_t i = 0; i < p->n_inbox; i++)
		free(p->inbox[i].data);
	p->n_inbox = 0;
}

void party_crash(struct world *w, struct sim_party *p, int64_t away_ns)
{
	if (!p->core)
		return;
	world_say(w, "%s crashes for %.3f s", p->name, (double)away_ns / 1e9);
	w->crashes[p->kind]++;
	clear_batch(p);
	clear_inbox(p);
	cores_free(p);
	keyring_free(take(&p->keyring));
	if (w->o.plant == PLANT_SKIPPED_FSYNC)
		store_rollback(&p->store);
	if (w->o.plant == PLANT_DROPPED_OUTBOX && p->kind == SIM_NODE) {
		store_begin(&p->store);
		store_wipe_table(&p->store, NODE_TABLE_ASSIGNMENT);
		store_wipe_table(&p->store, NODE_TABLE_CHAIN);
		store_wipe_table(&p->store, TABLE_STATEMENT);
		store_wipe_table(&p->store, TABLE_PAYLOAD);
	}
	if (p->kind == SIM_VERIFIER)
		store_wipe(&p->store); /* keeps nothing */
	p->life++; /* what was on its way to the old life is passed over */
	network_party_down(w, p->index);
	world_at(w, w->now_ns + away_ns, W_RESTART, p->index, p->index, NULL);
}

void party_give(
	struct world *w, struct sim_party *p, enum event_type type, uint8_t from, void *data)
{
	if (p->n_inbox == p->cap_inbox) {
		p->cap_inbox = MAX(p->cap_inbox * 2, (size_t)64);
		p->inbox = reallocarray(p->inbox, p->cap_inbox, sizeof(*p->inbox));
		if (!p->inbox)
			abort();
	}
	p->inbox[p->n_inbox++] = (struct sim_item){ .type = type, .from = from, .data = data };
	if (!p->process_set) {
		p->process_set = true;
		world_at(w, w->now_ns + rng_between(&w->chance, 0, 2 * NS_PER_MS), W_PROCESS,
			p->index, p->index, NULL);
	}
}

static const struct row *paying_transfer(const struct effects *fx)
{
	for (size_t i = 0; i < fx->n; i++) {
		const struct row *row = &fx->v[i].row;

		if (fx->v[i].type == EFFECT_PUT && row->table == ESCROW_TABLE_TRANSFER &&
			row->cells[3].i == TRANSFER_PAY)
			return row;
	}
	return NULL;
}

/* The plant: the receiver's account gets what it got once more. */
static void pay_twice(const struct sim_party *p, const struct row *paid, struct row *row)
{
	if (p->kind != SIM_ESCROW || !paid || row->table != ESCROW_TABLE_ACCOUNT ||
		!span_eq(row->cells[1].b, paid->cells[6].b) || row->cells[2].i != paid->cells[7].i)
		return;
	row->cells[4].i += paid->cells[9].i;
}

static void ask_work(struct sim_party *p, const struct work *work)
{
	struct sim_done *done = calloc(1, sizeof(*done) + work->size);

	if (!done)
		abort();
	done->result = (struct work_result){ .ticket = work->ticket, .kind = work->kind };
	done->size = work->size;
	if (work->size > 0)
		memcpy(done->detail, work->detail, work->size);
	if (p->n_works == p->cap_works) {
		p->cap_works = MAX(p->cap_works * 2, (size_t)16);
		p->works = reallocarray(p->works, p->cap_works, sizeof(struct sim_done *));
		if (!p->works)
			abort();
	}
	p->works[p->n_works++] = done;
}

/* Rows first: a send of the same step may name a statement among them. */
static void take_effects(struct world *w, struct sim_party *p)
{
	struct effects *fx = w->fx;
	const struct row *paid = w->o.plant == PLANT_DOUBLE_RELEASE ? paying_transfer(fx) : NULL;

	if (fx->overflow)
		world_broken(w, "effects-overflow", "%s: %zu effects", p->name, fx->n);
	for (size_t i = 0; i < fx->n; i++) {
		struct effect *e = &fx->v[i];

		if (e->type != EFFECT_PUT)
			continue;
		pay_twice(p, paid, &e->row);
		if (!store_put(&p->store, &e->row))
			world_broken(w, "row-refused", "%s: %s of %u cells, operation %u", p->name,
				p->ops->tables[e->row.table].name, e->row.n, e->row.op);
	}
	for (size_t i = 0; i < fx->n && !w->broken; i++) {
		if (fx->v[i].type == EFFECT_SEND)
			attach_send(w, p, fx->v[i].send);
		else if (fx->v[i].type == EFFECT_WORK)
			ask_work(p, &fx->v[i].work);
	}
}

static void step(struct world *w, struct sim_party *p, struct event *event)
{
	event->now_ns = party_now(w, p);
	rng_fill(&w->entropy, event->entropy, sizeof(event->entropy));
	effects_init(w->fx);
	p->ops->step(p->core, event, w->fx);
	w->steps++;
	p->ops->check(p->core);
	take_effects(w, p);
}

static void refuse(struct world *w, struct sim_party *p, const struct did *to, enum refusal code)
{
	static struct send send; /* large */
	const struct message *about = &w->opened->message;

	if (about->message == MESSAGE_REFUSED)
		return;
	memset(&send, 0, sizeof(send));
	send.to = *to;
	send.message.message = MESSAGE_REFUSED;
	send.message.code = code;
	send.message.reply_to = about->number;
	send.message.request = about->request;
	send.message.target = about->target;
	send.message.text = SPAN_STR(refusal_sentence(code));
	attach_send(w, p, &send);
}

static void take_letter(struct world *w, struct sim_party *p, const struct sim_item *item)
{
	const struct sim_letter *letter = item->data;
	struct event event = { .type = EVENT_MESSAGE, .opened = w->opened };
	enum refusal refusal;

	event.from = w->parties[item->from].author.signer.issuer;
	refusal = message_open(
		SPAN(letter->bytes, letter->n), p->keyring, store_keys, p, w->opened);
	if (refusal != REFUSED_NOT) {
		w->refusals[refusal % ARRAY_SIZE(w->refusals)]++;
		if (!letter->tampered)
			world_broken(w, "message-refused", "%s does not take %s of %s: %s (%s)",
				p->name, message_type_name(letter->type),
				w->parties[item->from].name, refusal_name(refusal),
				w->opened->field ? w->opened->field : "-");
		refuse(w, p, &event.from, refusal);
		return;
	}
	world_say(w, "%s <- %s %s state %s code %s", p->name, w->parties[item->from].name,
		message_type_name(w->opened->message.message),
		slot_state_name(w->opened->message.state),
		refusal_name((enum refusal)w->opened->message.code));
	checks_taken(w, p);
	/* As in the real shell: a FETCH without a ticket is the shell's own. */
	if (letter->type == MESSAGE_FETCH && w->opened->n_statements == 0)
		return;
	step(w, p, &event);
}

static void take_item(struct world *w, struct sim_party *p, const struct sim_item *item)
{
	struct event event = { .type = item->type };
	static const int64_t roles[SIM_KINDS] = { [SIM_BROKER] = ROLE_BROKER,
		[SIM_ESCROW] = ROLE_ESCROW,
		[SIM_NODE] = ROLE_NODE,
		[SIM_VERIFIER] = ROLE_VERIFIER,
		[SIM_BUYER] = ROLE_BUYER };
	const struct sim_party *from = &w->parties[item->from];
	struct sim_done *done = item->data;

	switch (item->type) {
	case EVENT_MESSAGE:
		take_letter(w, p, item);
		return;
	case EVENT_CONNECTED:
		party_learn(w, p, from);
		event.from = from->author.signer.issuer;
		event.role = roles[from->kind];
		break;
	case EVENT_LOST:
		event.from = from->author.signer.issuer;
		event.role = roles[from->kind];
		break;
	case EVENT_WORK:
		event.work = &done->result;
		done->result.detail = done->size > 0 ? done->detail : NULL;
		break;
	case EVENT_START:
	case EVENT_TICK:
	case EVENT_SEAL:
		break;
	}
	step(w, p, &event);
}

static void send_all(struct world *w, struct sim_party *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		checks_left(w, p, &p->outs[i]);
		network_send(w, p->index, &p->outs[i]);
	}
}

/* Commit, then sends and works, with a crash at any point between. */
static void finish(struct world *w, struct sim_party *p)
{
	int crash = faults_crash(w, p);

	if (crash == CRASH_BEFORE) {
		w->faults[FAULT_CRASH_BEFORE_COMMIT]++;
		store_rollback(&p->store);
		party_crash(w, p, faults_away(w));
		return;
	}
	checks_committed(w, p);
	if (crash == CRASH_AFTER || crash == CRASH_AMID) {
		w->faults[crash == CRASH_AFTER ? FAULT_CRASH_AFTER_COMMIT
					       : FAULT_CRASH_AMID_SENDS]++;
		if (crash == CRASH_AMID && p->n_outs > 0)
			send_all(w, p, rng_below(&w->chance, p->n_outs) + 1);
		party_crash(w, p, faults_away(w));
		return;
	}
	send_all(w, p, p->n_outs);
	for (size_t i = 0; i < p->n_works; i++)
		work_start(w, p, p->works[i]);
	p->n_works = 0;
	clear_batch(p);
}

void party_process(struct world *w, struct sim_party *p)
{
	struct event seal = { .type = EVENT_SEAL };
	struct sim_item batch[SIM_BATCH_MAX];
	size_t n = MIN(p->n_inbox, (size_t)SIM_BATCH_MAX);
	int64_t wake_ns;

	memcpy(batch, p->inbox, n * sizeof(batch[0]));
	p->n_inbox -= n;
	memmove(p->inbox, p->inbox + n, p->n_inbox * sizeof(batch[0]));
	p->process_set = false;
	store_begin(&p->store);
	for (size_t i = 0; i < n && !w->broken; i++)
		take_item(w, p, &batch[i]);
	for (size_t i = 0; i < n; i++)
		free(batch[i].data);
	if (w->broken)
		return;
	step(w, p, &seal);
	if (w->broken)
		return;
	finish(w, p);
	if (!p->core)
		return;
	if (p->n_inbox > 0 && !p->process_set) {
		p->process_set = true;
		world_at(w, w->now_ns, W_PROCESS, p->index, p->index, NULL);
	}
	wake_ns = p->ops->wake_at(p->core);
	if (wake_ns == INT64_MAX)
		return;
	wake_ns = MAX(wake_ns - p->skew_ns, w->now_ns + NS_PER_MS);
	if (wake_ns < p->tick_at_ns) {
		p->tick_at_ns = wake_ns;
		world_at(w, wake_ns, W_TICK, p->index, p->index, NULL);
	}
}

void party_deinit(struct sim_party *p)
{
	clear_batch(p);
	clear_inbox(p);
	cores_free(p);
	keyring_free(take(&p->keyring));
	store_deinit(&p->store);
	free(p->inbox);
	free(p->outs);
	free(p->works);
}
