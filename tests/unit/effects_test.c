/*
 * Effects beyond their bounds: nothing is written past them, the overflow stays until the next
 * step, and a shell whose core overflowed sends and stores nothing of that batch.
 */
#include "tests/support/shell_rig.h"
#include "shelltest_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct effects fx;
static const struct did to = { { 1 } };

static void every_kind_beyond_the_number(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		effects_init(&fx);
		for (size_t i = 0; i < 3 * EFFECTS_MAX; i++) {
			if (kind == 0)
				assert_non_null(effects_send(&fx, &to, MESSAGE_STATUS));
			else if (kind == 1)
				row_int(effects_put(&fx, TABLE_STATEMENT, PUT_INSERT), (int64_t)i);
			else
				assert_non_null(effects_work(&fx, WORK_OWN, i, 8));
			assert_int_equal(fx.overflow, i >= EFFECTS_MAX);
			assert_int_equal(fx.n, i < EFFECTS_MAX ? i + 1 : (size_t)EFFECTS_MAX);
		}
	}
	effects_init(&fx);
	assert_false(fx.overflow);
	assert_int_equal(fx.n, 0);
	assert_int_equal(fx.arena.n, 0);
}

/* What a core writes after the overflow lands in the arena, never beyond it. */
static void arena_beyond_its_room(void **state)
{
	static uint8_t bytes[100 * 1024];
	const uint8_t *end = fx.arena_room + sizeof(fx.arena_room);
	struct row *row;
	size_t copied = 0;

	(void)state;
	memset(bytes, 0xab, sizeof(bytes));
	effects_init(&fx);
	while (!fx.overflow) {
		row = effects_put(&fx, TABLE_PAYLOAD, PUT_INSERT);
		row_copy(&fx, row, SPAN_OF(bytes));
		copied += sizeof(bytes);
		assert_true(copied <= EFFECTS_ARENA + sizeof(bytes));
	}
	/* The room was used up before it was said to be. */
	assert_true(copied > EFFECTS_ARENA);
	for (int i = 0; i < 50; i++) {
		row = effects_put(&fx, TABLE_PAYLOAD, PUT_INSERT);
		row_copy(&fx, row, SPAN_OF(bytes));
		assert_true(row->cells[0].b.p >= fx.arena_room);
		assert_true(row->cells[0].b.p + row->cells[0].b.n <= end);
		assert_memory_equal(row->cells[0].b.p, bytes, sizeof(bytes));
		assert_true(fx.overflow);
	}
	effects_init(&fx);
	row = effects_put(&fx, TABLE_PAYLOAD, PUT_INSERT);
	row_copy(&fx, row, SPAN(NULL, 0));
	assert_int_equal(row->cells[0].b.n, 0);
	assert_false(fx.overflow);
}

#define ALMOST_ALL (EFFECTS_ARENA - 16) /* less what aligning may take */

/* One that needs all of the arena still fits; details of works begin as zeros. */
static void arena_to_the_last_byte(void **state)
{
	uint8_t *all;
	uint8_t *one;

	(void)state;
	effects_init(&fx);
	memset(fx.arena_room, 0xff, sizeof(fx.arena_room));
	all = effects_work(&fx, WORK_OWN, 1, ALMOST_ALL);
	assert_false(fx.overflow);
	assert_int_equal(all[0] | all[ALMOST_ALL / 2] | all[ALMOST_ALL - 1], 0);
	one = effects_work(&fx, WORK_OWN, 2, 17);
	assert_true(fx.overflow);
	assert_int_equal(one[0] | one[16], 0);
}

/* --- in a shell --- */

static struct core_ops ops;

/* A CLOSE makes the core answer, and then ask for more than fits. */
static void step(void *core, const struct event *event, struct effects *out)
{
	rig_ops.step(core, event, out);
	if (event->type != EVENT_MESSAGE || event->opened->message.message != MESSAGE_CLOSE)
		return;
	for (size_t i = 0; i <= EFFECTS_MAX; i++)
		effects_send(out, &event->from, MESSAGE_STATUS);
}

static int64_t ask(struct bare *bare, struct message *m, enum message_type type)
{
	m->message = type;
	bare_send_message(bare, m);
	return bare_wait(bare);
}

static void shell_ends_and_sends_nothing(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct bare *bare = calloc(1, sizeof(*bare));
	struct message *m = calloc(1, sizeof(*m));

	(void)state;
	assert_true(rig && bare && m);
	rig_init(rig);
	rig_open(rig, "tcp://127.0.0.1:0");
	ops = rig_ops;
	ops.step = step;
	rig->options.ops = &ops;
	rig_start(rig);
	bare_init(bare, rig);
	bare_greet(bare);
	assert_int_equal(ask(bare, m, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(ask(bare, m, MESSAGE_CLOSE), MESSAGE_NONE);
	assert_int_equal(rig_join(rig), -ENOBUFS);

	/* What the lost batch counted is not there either: this is the second, not the third. */
	rig->result = 0;
	rig_open(rig, "tcp://127.0.0.1:0");
	rig_start(rig);
	bare_dial(bare, rig);
	bare_greet(bare);
	assert_int_equal(ask(bare, m, MESSAGE_QUERY), MESSAGE_STATUS);
	assert_int_equal(bare->opened->message.cursor, 2);
	assert_int_equal(rig_stop(rig), 0);
	bare_deinit(bare);
	rig_deinit(rig);
	free(m);
	free(bare);
	free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_beyond_the_number),
		cmocka_unit_test(arena_beyond_its_room),
		cmocka_unit_test(arena_to_the_last_byte),
		cmocka_unit_test(shell_ends_and_sends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
