#include "broker/core/internal.h"

#include "proto/tlog/checkpoint.h"

#include <stdlib.h>

static const struct table_info tables[BROKER_TABLES] = {
	[TABLE_STATEMENT] = { "statement", 1, 4 },
	[TABLE_PAYLOAD] = { "payload", 1, 3 },
	[BROKER_TABLE_OFFERING] = { "offering", 2, 4 },
	[BROKER_TABLE_SLOT] = { "slot", 1, 16 },
	[BROKER_TABLE_OPEN_REQUEST] = { "open_request", 1, 2 },
	[BROKER_TABLE_RECEIPT] = { "receipt", 1, 3 },
	[BROKER_TABLE_ENTRY] = { "entry", 1, 3 },
	[BROKER_TABLE_LOG] = { "log", 1, 3 },
};

static int init_tables(struct broker *b)
{
	uint64_t secret;

	memcpy(&secret, b->config.author.signer.secret_key, sizeof(secret));
	b->slots = calloc(b->n_slots, sizeof(*b->slots));
	b->free_slots = calloc(b->n_slots, sizeof(*b->free_slots));
	b->buyers = calloc(b->n_slots, sizeof(*b->buyers));
	b->free_buyers = calloc(b->n_slots, sizeof(*b->free_buyers));
	b->offers = calloc(b->n_offers, sizeof(*b->offers));
	b->free_offers = calloc(b->n_offers, sizeof(*b->free_offers));
	b->match = match_new((uint32_t)b->n_offers);
	if (!b->slots || !b->free_slots || !b->buyers || !b->free_buyers || !b->offers ||
		!b->free_offers || !b->match ||
		idmap_init(&b->by_request, b->n_slots, secret) < 0 ||
		idmap_init(&b->by_payload, b->n_slots, secret) < 0 ||
		idmap_init(&b->by_buyer, b->n_slots, secret) < 0 ||
		idmap_init(&b->by_node, b->n_offers, secret) < 0 ||
		heap_init(&b->timers, b->n_slots) < 0)
		return -ENOMEM;
	for (size_t i = b->n_slots; i-- > 0;)
		b->free_slots[b->n_free++] = b->free_buyers[b->n_free_buyers++] = (uint32_t)i;
	b->ended_first = BROKER_NONE;
	b->ended_last = BROKER_NONE;
	for (size_t i = b->n_offers; i-- > 0;)
		b->free_offers[b->n_free_offers++] = (uint32_t)i;
	return 0;
}

int broker_new(const struct broker_config *config, struct broker **ret_broker)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->config = *config;
	b->n_slots = config->slots ? config->slots : BROKER_SLOTS_DEFAULT;
	b->n_offers = config->offerings ? config->offerings : BROKER_OFFERINGS_DEFAULT;
	if (config->n_escrows > BROKER_ESCROWS_MAX || b->n_slots > UINT32_MAX / 2 ||
		b->n_offers > MATCH_CAPACITY_MAX) {
		free(b);
		return -EINVAL;
	}
	b->origin_span = SPAN_STR(proof_origin(&config->author.signer.issuer, b->origin));
	log_init(&b->log);
	if (init_tables(b) < 0) {
		broker_free(b);
		return -ENOMEM;
	}
	*ret_broker = b;
	return 0;
}

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	for (size_t i = 0; broker->slots && i < broker->n_slots; i++)
		if (broker->slots[i].used)
			slots_drop(broker, &broker->slots[i]);
	for (size_t i = 0; broker->offers && i < broker->n_offers; i++)
		free(broker->offers[i].bytes);
	free(broker->slots);
	free(broker->free_slots);
	free(broker->buyers);
	free(broker->free_buyers);
	free(broker->offers);
	free(broker->free_offers);
	if (broker->match)
		match_free(broker->match);
	idmap_deinit(&broker->by_request);
	idmap_deinit(&broker->by_payload);
	idmap_deinit(&broker->by_buyer);
	idmap_deinit(&broker->by_node);
	heap_deinit(&broker->timers);
	free(broker);
}

struct broker_counts broker_counts(const struct broker *broker)
{
	struct broker_counts counts = {
		.requests = broker->n_used,
		.open_slots = broker->n_open,
		.offerings = broker->n_offers_used,
		.log_size = broker->log.size,
	};

	for (size_t i = 0; i < broker->offers_top; i++)
		counts.connected_nodes += broker->offers[i].used && broker->offers[i].connected;
	return counts;
}

/* Whether the newest checkpoint, which we signed, is about the tree that was loaded. */
static bool checkpoint_fits(struct broker *b)
{
	struct span text = SPAN(b->checkpoint, b->checkpoint_n);
	const uint8_t *end = memmem(text.p, text.n, "\n\n", 2);
	struct checkpoint checkpoint;
	struct id root;

	if (!end || checkpoint_parse(SPAN(text.p, (size_t)(end - text.p) + 1), &checkpoint) !=
			    REFUSED_NOT)
		return false;
	log_seal(&b->log);
	root = log_root(&b->log);
	return checkpoint.size == log_size(&b->log) && id_eq(&checkpoint.root, &root);
}

static int load_log(struct broker *b, const struct row *row)
{
	if (row->n != 3 || row->cells[1].type != CELL_BLOB || row->cells[2].type != CELL_BLOB ||
		row->cells[2].b.n > sizeof(b->checkpoint) || log_load(&b->log, row->cells[1].b) < 0)
		return -EBADMSG;
	b->checkpoint_n = row->cells[2].b.n;
	memcpy(b->checkpoint, row->cells[2].b.p, b->checkpoint_n);
	return checkpoint_fits(b) ? 0 : -EBADMSG;
}

static int broker_load(void *core, const struct row *row)
{
	struct broker *b = core;

	switch ((enum broker_table)row->table) {
	case BROKER_TABLE_OFFERING:
		return offers_load(b, row);
	case BROKER_TABLE_SLOT:
		return slot_row_load(b, row);
	case BROKER_TABLE_OPEN_REQUEST:
		return slot_row_load_request(b, row);
	case BROKER_TABLE_RECEIPT:
		return slot_row_load_receipt(b, row);
	case BROKER_TABLE_LOG:
		return load_log(b, row);
	case BROKER_TABLE_ENTRY:
	case BROKER_TABLES:
		return 0;
	}
	return -EBADMSG;
}

/* After a restart whatever waited for an answer asks again at once. */
static void on_start(struct turn *t)
{
	struct broker *b = t->b;

	log_seal(&b->log);
	/* The first checkpoint of all, of size 0: the challenge of the first request is made from
	 * it. */
	if (b->checkpoint_n == 0 && !seal_checkpoint(b))
		t->fx->overflow = true;
	log_next(&b->log);
	for (size_t i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];

		if (!slot->used || (!slot->open && !slot->closing))
			continue;
		slot->retry_ns = BROKER_RETRY_FIRST_NS;
		slot->retry_at_ns = t->event->now_ns;
		slots_time(b, slot);
	}
}

static void on_message(struct turn *t)
{
	switch ((enum message_type)t->event->opened->message.message) {
	case MESSAGE_OFFER:
		offers_on_offer(t);
		return;
	case MESSAGE_NODES:
		offers_on_nodes(t);
		return;
	case MESSAGE_REQUEST:
		post_on_request(t);
		return;
	case MESSAGE_CANCEL:
		post_on_cancel(t);
		return;
	case MESSAGE_QUERY:
		outcome_on_query(t);
		return;
	case MESSAGE_FUNDED:
		post_on_funded(t);
		return;
	case MESSAGE_OUTCOME:
		outcome_on_outcome(t);
		return;
	case MESSAGE_REFUSED:
		outcome_on_refused(t);
		return;
	case MESSAGE_DECLINE:
		assign_on_decline(t);
		return;
	case MESSAGE_EVIDENCE:
		assign_on_evidence(t);
		return;
	case MESSAGE_FETCH:
		outcome_on_fetch(t);
		return;
	case MESSAGE_NONE:
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME:
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_OFFERED:
	case MESSAGE_ASSIGN:
	case MESSAGE_RECEIPT:
	case MESSAGE_STATUS:
	case MESSAGE_BUNDLE:
	case MESSAGE_REQUESTS:
	case MESSAGE_OFFERINGS:
	case MESSAGE_FUND:
	case MESSAGE_CLOSE:
	case MESSAGE_SUBMISSION:
	case MESSAGE_ENLIST:
	case MESSAGE_DRAW:
	case MESSAGE_VERDICT:
	case MESSAGE_VERDICT_TAKEN:
	case MESSAGE_CHUNK:
	case MESSAGE_DEPOSIT:
	case MESSAGE_BALANCE:
	case MESSAGE_HISTORY:
	case MESSAGE_ACCOUNT:
	case MESSAGE_RELEASE_QUERY:
		break;
	}
	effects_refuse(t->fx, t->event, REFUSED_MESSAGE_UNEXPECTED, NULL);
}

static void on_work(struct turn *t)
{
	const struct work_result *work = t->event->work;
	struct broker *b = t->b;
	uint32_t at = (uint32_t)work->ticket;
	struct slot *slot = at < b->n_slots ? &b->slots[at] : NULL;

	/* The slot may be another request's by now: the number tells. */
	if (work->kind != WORK_PULL || !slot || slot->pull == 0 || slot->pull != work->ticket >> 32)
		return;
	slot->pull = 0;
	if (slot->state != SLOT_COMMITTED)
		return;
	if (work->status == 0 && work->refusal == REFUSED_NOT &&
		t->event->now_ns <= slot->deliver_by_ns) {
		assign_payload_done(t, slot);
		outcome_tell(t, slot, 0);
		slot_row_put(t, slot);
		return;
	}
	/* It may yet come before deliver_by: pull again. */
	slots_repeat(t, slot, BROKER_ASSIGN_RETRY_FIRST_NS);
	slots_time(b, slot);
}

static void broker_step(void *core, const struct event *event, struct effects *fx)
{
	struct turn t = { .b = core, .event = event, .fx = fx };

	switch (event->type) {
	case EVENT_START:
		on_start(&t);
		return;
	case EVENT_TICK:
		time_tick(&t);
		return;
	case EVENT_MESSAGE:
		on_message(&t);
		return;
	case EVENT_CONNECTED:
	case EVENT_LOST:
		/* The same identity may come and go as a buyer while its node works. */
		if (event->role == ROLE_NODE)
			offers_connected(&t, &event->from, event->type == EVENT_CONNECTED);
		return;
	case EVENT_WORK:
		on_work(&t);
		return;
	case EVENT_SEAL:
		seal_batch(&t);
		return;
	}
}

static int64_t broker_wake_at(const void *core)
{
	return heap_next(&((const struct broker *)core)->timers);
}

static void broker_check(const void *core)
{
	const struct broker *b = core;
	size_t used = 0;
	size_t open = 0;

	for (size_t i = 0; i < b->n_slots; i++) {
		const struct slot *slot = &b->slots[i];

		if (!slot->used)
			continue;
		used++;
		open += slot->open != NULL;
		assert(idmap_get(&b->by_request, slot->request.b) == i);
		assert(did_eq(&b->buyers[slot->buyer_at].did, &slot->buyer));
		assert(slot->older == BROKER_NONE || b->slots[slot->older].order < slot->order);
		assert(slot->newer == BROKER_NONE ? b->buyers[slot->buyer_at].newest == i
						  : b->slots[slot->newer].older == i);
		assert(!slot->closing || slot->retry_at_ns != INT64_MAX);
		assert(slot->ended == (!slot->open && !slot->closing));
		if (!slot->open) {
			assert(slot_ended(slot->state));
			continue;
		}
		assert(slot->deadline_ns != INT64_MAX || slot->retry_at_ns != INT64_MAX ||
			slot->pull != 0);
		if (slot->state == SLOT_ASSIGNED || slot->state == SLOT_COMMITTED ||
			slot->state == SLOT_VERIFYING) {
			assert(!id_is_zero(&slot->links[LINK_HOLD]));
			assert(!id_is_zero(&slot->links[LINK_ASSIGNMENT]));
		}
		if (slot->state == SLOT_VERIFYING)
			assert(!id_is_zero(&slot->links[LINK_EVIDENCE]));
	}
	assert(used == b->n_used && open == b->n_open);
	assert(used + b->n_free == b->n_slots);
	log_check(&b->log);
}

const struct core_ops broker_ops = {
	.name = "broker",
	.tables = tables,
	.n_tables = BROKER_TABLES,
	.load = broker_load,
	.step = broker_step,
	.wake_at = broker_wake_at,
	.check = broker_check,
	.may_fetch = outcome_may_fetch,
};
