#include "sensor-node/core/node_internal.h"

#include <stdlib.h>

void node_repeat_start(struct repeat *repeat, int64_t at_ns, int64_t wait_ns)
{
	*repeat = (struct repeat){ .next_ns = at_ns, .wait_ns = wait_ns };
}

void node_repeat_next(struct repeat *repeat, int64_t now_ns, int64_t most_ns)
{
	repeat->next_ns = now_ns + repeat->wait_ns;
	repeat->wait_ns = MIN(2 * repeat->wait_ns, most_ns);
}

void node_repeat_stop(struct repeat *repeat)
{
	*repeat = (struct repeat){ .next_ns = INT64_MAX };
}

int node_new(const struct node_config *config, struct node **ret_node)
{
	_cleanup_(node_freep) struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	node->config = *config;
	node->config.max_captures = MAX(config->max_captures, (size_t)1);
	node->capacity = config->capacity ? config->capacity : NODE_CAPACITY_DEFAULT;
	if (config->n_offerings > NODE_OFFERINGS_MAX || config->n_refused_words > NODE_WORDS_MAX ||
		node->config.max_captures > NODE_CAPTURES_MAX || node->capacity > NODE_CAPACITY_MAX)
		return -EINVAL;

	int r = node_offer_init(node);

	if (r < 0)
		return r;
	node->rows = calloc(node->capacity, sizeof(*node->rows));
	node->spare = calloc(node->capacity, sizeof(*node->spare));
	if (!node->rows || !node->spare)
		return -ENOMEM;
	while (node->n_spare < node->capacity) {
		node->spare[node->n_spare] = (uint32_t)(node->capacity - 1 - node->n_spare);
		node->n_spare++;
	}

	struct idmap *const maps[] = { &node->by_assignment, &node->by_earmark, &node->by_answer,
		&node->by_digest };

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		r = idmap_init(maps[i], node->capacity, config->secret + i);
		if (r < 0)
			return r;
	}
	r = heap_init(&node->deadlines, node->capacity);
	if (r < 0)
		return r;
	*ret_node = take(&node);
	return 0;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	idmap_deinit(&node->by_assignment);
	idmap_deinit(&node->by_earmark);
	idmap_deinit(&node->by_answer);
	idmap_deinit(&node->by_digest);
	heap_deinit(&node->deadlines);
	free(node->rows);
	free(node->spare);
	free(node);
}

struct node_counts node_counts(const struct node *node)
{
	return (struct node_counts){
		.n_rows = node->capacity - node->n_spare,
		.n_capturing = node->n_capturing,
		.sequence = node->sequence,
	};
}

enum node_state node_state_of(const struct node *node, const struct id *assignment)
{
	uint32_t index = idmap_get(&node->by_assignment, assignment->b);

	return index == IDMAP_NONE ? (enum node_state)0 : node->rows[index].state;
}

static int load_chain(struct node *node, const struct row *row)
{
	const struct cell *c = row->cells;

	if (row->n != 3 || c[0].type != CELL_INT || c[1].type != CELL_INT || c[1].i < 1 ||
		c[2].type != CELL_BLOB || c[2].b.n != sizeof(node->last.b))
		return -EBADMSG;
	node->sequence = c[1].i;
	memcpy(node->last.b, c[2].b.p, sizeof(node->last.b));
	return 0;
}

static int node_load(void *core, const struct row *row)
{
	struct node *node = core;

	switch (row->table) {
	case NODE_TABLE_ASSIGNMENT:
		return node_row_load(node, row);
	case NODE_TABLE_CHAIN:
		return load_chain(node, row);
	case NODE_TABLE_OFFERING:
		return node_offer_load(node, row);
	case NODE_TABLE_RESULT:
		return 0; /* history, for people */
	default:
		return -EBADMSG;
	}
}

/* What was being captured when the last life ended is captured again: nothing was signed for it. */
static void start(struct node_step *s)
{
	struct node *node = s->node;

	node_offer_start(s);
	for (uint32_t i = 0; i < node->capacity; i++) {
		struct node_row *row = &node->rows[i];

		if (!row->used)
			continue;
		if (row->state == NODE_ASSIGNED && row->commit_by_ns > s->event->now_ns) {
			if (node->n_capturing < NODE_RESUMES_MAX &&
				node->n_capturing < node->config.max_captures)
				node_assign_capture(s, row);
			else /* at the next ticks: one step's effects are bounded */
				node_repeat_start(
					&row->broker, s->event->now_ns, NODE_REPEAT_MIN_NS);
		}
		if (row->state == NODE_COMMITTED || row->state == NODE_RECEIPTED)
			node_repeat_start(&row->escrow, s->event->now_ns, NODE_ASK_MIN_NS);
		if (row->state == NODE_COMMITTED) {
			node_repeat_start(&row->broker, s->event->now_ns, NODE_REPEAT_MIN_NS);
			node_repeat_start(&row->escrow,
				row->committed_at_ns +
					(row->deliver_by_ns - row->committed_at_ns) / 2,
				NODE_REPEAT_MIN_NS);
		}
		node_row_schedule(node, row);
	}
}

static void connected(struct node_step *s)
{
	bool broker = did_eq(&s->event->from, &s->node->config.broker);

	if (broker)
		node_offer_expedite(s);
	for (uint32_t i = 0; i < s->node->capacity; i++) {
		struct node_row *row = &s->node->rows[i];

		if (!row->used || row->state != NODE_COMMITTED)
			continue;
		if (broker && row->broker.next_ns != INT64_MAX)
			node_repeat_start(&row->broker, s->event->now_ns, NODE_REPEAT_MIN_NS);
		node_row_schedule(s->node, row);
	}
}

static void message(struct node_step *s)
{
	const struct message *m = &s->event->opened->message;

	switch ((enum message_type)m->message) { /* NOLINT: all others are not the node's */
	case MESSAGE_ASSIGN:
		node_assign(s);
		break;
	case MESSAGE_OFFERED:
		if (did_eq(&s->event->from, &s->node->config.broker))
			node_offer_confirmed(s, &m->target);
		break;
	case MESSAGE_RECEIPT:
		node_evidence_receipt(s);
		break;
	case MESSAGE_OUTCOME:
		node_evidence_outcome(s);
		break;
	case MESSAGE_REFUSED:
		node_evidence_refused(s);
		break;
	case MESSAGE_FETCH:
		node_evidence_fetch(s);
		break;
	case MESSAGE_NONE:
	case MESSAGE_HELLO:
	case MESSAGE_WELCOME:
	case MESSAGE_PING:
	case MESSAGE_PONG:
	case MESSAGE_CHUNK:
		break; /* the shell's */
	case MESSAGE_OFFER:
	case MESSAGE_EVIDENCE:
	case MESSAGE_DECLINE:
	case MESSAGE_REQUEST:
	case MESSAGE_QUERY:
	case MESSAGE_CANCEL:
	case MESSAGE_NODES:
	case MESSAGE_STATUS:
	case MESSAGE_BUNDLE:
	case MESSAGE_REQUESTS:
	case MESSAGE_OFFERINGS:
	case MESSAGE_FUND:
	case MESSAGE_CLOSE:
	case MESSAGE_SUBMISSION:
	case MESSAGE_FUNDED:
	case MESSAGE_ENLIST:
	case MESSAGE_DRAW:
	case MESSAGE_VERDICT:
	case MESSAGE_VERDICT_TAKEN:
	case MESSAGE_DEPOSIT:
	case MESSAGE_BALANCE:
	case MESSAGE_HISTORY:
	case MESSAGE_ACCOUNT:
	case MESSAGE_RELEASE_QUERY:
		effects_refuse(s->fx, s->event, REFUSED_MESSAGE_UNEXPECTED, NULL);
		break;
	}
}

static void tick(struct node_step *s)
{
	node_offer_due(s);
	/* Work per step is bounded; what is left makes wake_at() lie in the past. */
	while (s->n_sent < NODE_SENDS_MAX) {
		uint32_t index = heap_due(&s->node->deadlines, s->event->now_ns);

		if (index == UINT32_MAX)
			break;
		s->n_sent++;
		node_evidence_due(s, &s->node->rows[index]);
	}
}

static void node_step(void *core, const struct event *event, struct effects *fx)
{
	struct node_step s = { .node = core, .event = event, .fx = fx };

	switch (event->type) {
	case EVENT_START:
		start(&s);
		break;
	case EVENT_TICK:
		tick(&s);
		break;
	case EVENT_MESSAGE:
		message(&s);
		break;
	case EVENT_CONNECTED:
		connected(&s);
		break;
	case EVENT_WORK:
		if (event->work->kind == NODE_WORK_CAPTURE)
			node_evidence_captured(&s);
		break;
	case EVENT_LOST:
	case EVENT_SEAL:
		break;
	}
}

static int64_t node_wake_at(const void *core)
{
	const struct node *node = core;

	return MIN(node_offer_next(node), heap_next(&node->deadlines));
}

static void node_check(const void *core)
{
	node_row_check(core);
}

static bool node_may_fetch(const void *core, const struct did *who, const struct id *digest)
{
	const struct node *node = core;
	uint32_t index = idmap_get(&node->by_digest, digest->b);

	if (index == IDMAP_NONE)
		return false;
	if (did_eq(who, &node->config.broker) || did_eq(who, &node->config.escrow))
		return true;

	const struct node_row *row = &node->rows[index];

	for (size_t i = 0; i < row->n_panel; i++)
		if (did_eq(who, &row->panel[i]))
			return true;
	return false;
}

static const struct table_info tables[] = {
	{ .name = "statement", .n_key = 1, .n_cells = 4 },
	{ .name = "payload", .n_key = 1, .n_cells = 3 },
	[NODE_TABLE_ASSIGNMENT] = { .name = "assignment", .n_key = 1, .n_cells = 16 },
	[NODE_TABLE_CHAIN] = { .name = "chain", .n_key = 1, .n_cells = 3 },
	[NODE_TABLE_OFFERING] = { .name = "offering", .n_key = 1, .n_cells = 3 },
	[NODE_TABLE_RESULT] = { .name = "result", .n_key = 1, .n_cells = 7 },
};

const struct core_ops node_ops = {
	.name = "node",
	.tables = tables,
	.n_tables = ARRAY_SIZE(tables),
	.load = node_load,
	.step = node_step,
	.wake_at = node_wake_at,
	.check = node_check,
	.may_fetch = node_may_fetch,
};
