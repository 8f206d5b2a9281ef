#include "sensor-node/watch.h"

#include "proto/core/slot.h"
#include "proto/os/logline.h"

/* Why, as it was signed. */
static void watch_statement(const struct row *row)
{
	struct statement statement;

	if (row->op == PUT_DELETE || row->n != core_statement_table.n_cells ||
		row->cells[1].i != STATEMENT_DECLINE ||
		statement_decode(row->cells[3].b, &statement, NULL) != REFUSED_NOT)
		return;

	const struct answer *answer = &statement.body.answer;

	logline(LEVEL_WARNING, "declined", KV_HEX("assignment", SPAN_OF(answer->assignment)),
		KV_STR("reason", refusal_name((enum refusal)answer->reason)),
		KV_STR("why", refusal_sentence((enum refusal)answer->reason)));
}

static void watch_row(const struct row *row)
{
	const struct cell *c = row->cells;

	switch (row->table) {
	case TABLE_STATEMENT:
		watch_statement(row);
		break;
	case NODE_TABLE_CHAIN: /* once for each piece of evidence */
		logline(LEVEL_INFO, "committed", KV_INT("sequence", c[1].i),
			KV_HEX("evidence", c[2].b));
		break;
	case NODE_TABLE_RESULT: /* once for each that ended */
		logline(LEVEL_INFO, "settled", KV_HEX("assignment", c[0].b),
			KV_STR("state", slot_state_name(c[4].i)), KV_INT("paid_micros", c[5].i));
		break;
	default:
		break;
	}
}

static void step(void *core, const struct event *event, struct effects *fx)
{
	node_ops.step(core, event, fx);
	for (size_t i = 0; i < fx->n; i++)
		if (fx->v[i].type == EFFECT_PUT)
			watch_row(&fx->v[i].row);
}

struct core_ops watch_ops(void)
{
	struct core_ops ops = node_ops;

	ops.step = step;
	return ops;
}
