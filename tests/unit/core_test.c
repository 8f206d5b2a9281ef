/*
 * What all cores share: the slot's table, the id map and the heap of deadlines against naive ones,
 * and the effects. `core_test --print` prints the slot's table as proto/DESIGN.md has it.
 */
#include "proto/core/core.h"
#include "proto/core/heap.h"
#include "proto/core/idmap.h"
#include "proto/core/slot.h"
#include "tests/support/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECTION  "## The slot's table\n"
#define ROUNDS   20000
#define CAPACITY 64

static uint64_t seed = 1;

static uint64_t draw(uint64_t n)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % n;
}

/* --- the slot's table --- */

static void print_table(struct buf *out)
{
	buf_str(out, "\n| state | event and next state |\n| --- | --- |\n");
	for (int s = SLOT_NONE + 1; s < SLOT_STATES; s++) {
		const char *between = "";

		buf_printf(out, "| %s |", slot_state_name(s));
		for (int e = 0; e < SLOT_EVENTS; e++) {
			enum slot_state next = slot_next((enum slot_state)s, (enum slot_event)e);

			if (next == SLOT_NONE)
				continue;
			buf_printf(out, "%s %s: %s", between, slot_event_name((enum slot_event)e),
				slot_state_name(next));
			between = ",";
		}
		buf_str(out, slot_ended((enum slot_state)s) ? " (ended) |\n" : " |\n");
	}
}

static void design_shows_the_table(void **state)
{
	static char text[64 * 1024];
	static uint8_t bytes[16 * 1024];
	struct buf table = BUF(bytes);
	FILE *file = fopen(DESIGN, "rb");

	(void)state;
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	assert_true(feof(file));
	fclose(file);
	print_table(&table);
	buf_byte(&table, '\0');
	assert_true(buf_ok(&table));

	const char *section = strstr(text, SECTION);

	if (!section || strcmp(section + strlen(SECTION), (char *)bytes) != 0)
		fail_msg("%s: replace all after \"%.*s\" by the output of core_test --print",
			DESIGN, (int)strlen(SECTION) - 1, SECTION);
}

static void slot_table_is_whole(void **state)
{
	bool reached[SLOT_STATES] = { [SLOT_POSTED] = true };
	bool used[SLOT_EVENTS] = { false };

	(void)state;
	for (int round = 0; round < SLOT_STATES; round++)
		for (int s = 1; s < SLOT_STATES; s++)
			for (int e = 0; e < SLOT_EVENTS; e++) {
				enum slot_state next = slot_next(
					(enum slot_state)s, (enum slot_event)e);

				used[e] = used[e] || next != SLOT_NONE;
				reached[next] = reached[next] || reached[s];
			}
	for (int s = 1; s < SLOT_STATES; s++) {
		bool leaves = false;

		for (int e = 0; e < SLOT_EVENTS; e++)
			leaves = leaves || slot_next((enum slot_state)s, (enum slot_event)e);
		assert_true(reached[s]);
		assert_int_equal(slot_ended((enum slot_state)s), !leaves);
		assert_string_not_equal(slot_state_name(s), "NONE");
	}
	for (int e = 0; e < SLOT_EVENTS; e++)
		assert_true(used[e]);
}

/* From every state that is not an end, money comes home: SETTLED, REFUNDED or LAPSED is in reach.
 */
static void slot_always_ends(void **state)
{
	bool ends[SLOT_STATES];

	(void)state;
	for (int s = 0; s < SLOT_STATES; s++)
		ends[s] = slot_ended((enum slot_state)s);
	for (int round = 0; round < SLOT_STATES; round++)
		for (int s = 1; s < SLOT_STATES; s++)
			for (int e = 0; e < SLOT_EVENTS; e++)
				ends[s] = ends[s] ||
					  ends[slot_next((enum slot_state)s, (enum slot_event)e)];
	for (int s = 1; s < SLOT_STATES; s++)
		assert_true(ends[s]);
}

static void slot_refuses_nonsense(void **state)
{
	(void)state;
	assert_int_equal(slot_next(SLOT_NONE, SLOT_ON_FUNDED), SLOT_NONE);
	assert_int_equal(slot_next((enum slot_state)SLOT_STATES, SLOT_ON_FUNDED), SLOT_NONE);
	assert_int_equal(slot_next((enum slot_state) - 1, SLOT_ON_FUNDED), SLOT_NONE);
	assert_int_equal(slot_next(SLOT_OPEN, (enum slot_event)SLOT_EVENTS), SLOT_NONE);
	assert_int_equal(slot_next(SLOT_OPEN, (enum slot_event) - 1), SLOT_NONE);
	assert_int_equal(slot_next(SLOT_SETTLED, SLOT_ON_REFUND), SLOT_NONE);
	/* The evidence came first: a cancel is nothing. */
	assert_int_equal(slot_next(SLOT_COMMITTED, SLOT_ON_CANCEL), SLOT_NONE);
	assert_string_equal(slot_state_name(-1), "NONE");
	assert_string_equal(slot_state_name(INT64_MAX), "NONE");
	assert_string_equal(slot_event_name((enum slot_event)SLOT_EVENTS), "NONE");
}

/* --- idmap against a list --- */

static struct id key_of(uint64_t number)
{
	struct id key = { 0 };

	memcpy(key.b, &number, sizeof(number));
	return key;
}

static void idmap_like_a_list(void **state)
{
	uint32_t naive[2 * CAPACITY];
	size_t n = 0;
	struct idmap map;

	(void)state;
	memset(naive, 0xff, sizeof(naive));
	assert_int_equal(idmap_init(&map, CAPACITY, draw(UINT64_MAX)), 0);
	for (int i = 0; i < ROUNDS; i++) {
		/* Long stretches of filling and of emptying, so that it is full and empty at times.
		 */
		bool filling = i / 500 % 2 == 0;
		uint64_t number = draw(2 * CAPACITY);
		struct id key = key_of(number);

		if (draw(4) < (filling ? 3 : 1)) {
			uint32_t value = (uint32_t)draw(1000);
			bool known = naive[number] != IDMAP_NONE;

			assert_int_equal(idmap_put(&map, key.b, value), known || n < CAPACITY);
			if (known || n < CAPACITY)
				naive[number] = value;
			n += !known && n < CAPACITY;
		} else {
			idmap_remove(&map, key.b);
			n -= naive[number] != IDMAP_NONE;
			naive[number] = IDMAP_NONE;
		}
		assert_int_equal(map.n, n);
		for (uint64_t k = 0; k < 2 * CAPACITY; k++) {
			key = key_of(k);
			if (idmap_get(&map, key.b) != naive[k])
				fail_msg("round %d of seed 1: key %d", i, (int)k);
		}
	}
	idmap_deinit(&map);
}

/* --- heap against a list --- */

static void heap_like_a_list(void **state)
{
	int64_t naive[CAPACITY];
	struct heap heap;

	(void)state;
	for (size_t i = 0; i < CAPACITY; i++)
		naive[i] = INT64_MAX;
	assert_int_equal(heap_init(&heap, CAPACITY), 0);
	assert_int_equal(heap_next(&heap), INT64_MAX);
	assert_int_equal(heap_due(&heap, INT64_MAX), UINT32_MAX);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t index = (uint32_t)draw(CAPACITY);
		int64_t least = INT64_MAX;

		/* Few different times, so that equal ones occur. */
		naive[index] = draw(3) ? (int64_t)draw(50) : INT64_MAX;
		heap_set(&heap, index, naive[index]);
		for (size_t k = 0; k < CAPACITY; k++)
			least = MIN(least, naive[k]);
		if (heap_next(&heap) != least)
			fail_msg("round %d of seed 1", i);
		if (least == INT64_MAX)
			continue;
		assert_int_equal(heap_due(&heap, least - 1), UINT32_MAX);
		assert_int_equal(naive[heap_due(&heap, least)], least);
	}
	heap_deinit(&heap);
}

/* --- effects --- */

static struct effects fx;

/* A step may send as often as it may have effects. */
static void effects_hold_a_full_step_of_sends(void **state)
{
	struct did to = { { 1 } };

	(void)state;
	effects_init(&fx);
	for (int i = 0; i < EFFECTS_MAX; i++)
		effects_send(&fx, &to, MESSAGE_STATUS)->message.number = i;
	assert_false(fx.overflow);
	assert_int_equal(fx.n, EFFECTS_MAX);
	for (int i = 0; i < EFFECTS_MAX; i++)
		assert_int_equal(fx.v[i].send->message.number, i);
	effects_put(&fx, TABLE_STATEMENT, PUT_INSERT);
	assert_true(fx.overflow);
	assert_int_equal(fx.n, EFFECTS_MAX);
	effects_init(&fx);
	assert_false(fx.overflow);
}

static void author_signs_what_decodes(void **state)
{
	static struct statement s;
	static struct earmark body;
	struct author author = { .signer = fill_signer(1), .market = SPAN_STR("test") };
	struct event event = { .now_ns = 5 * NS_PER_S, .entropy = { 9 } };
	struct id request = { { 3 } };
	struct span bytes[2];
	uint32_t counter = 0;

	(void)state;
	effects_init(&fx);
	for (int i = 0; i < 2; i++) {
		body = (struct earmark){ .request = request, .hold = { { 4 } } };
		author_common(&author, &event, &counter, &fx, &body.c);

		struct id id = effects_sign(
			&fx, &author, STATEMENT_EARMARK, &body, &request, &bytes[i]);

		assert_false(fx.overflow);
		assert_int_equal(statement_decode(bytes[i], &s, NULL), REFUSED_NOT);
		assert_true(id_eq(&s.id, &id));
		assert_int_equal(s.body.earmark.c.at_ns, event.now_ns);

		const struct row *row = &fx.v[i].row;

		assert_int_equal(row->table, TABLE_STATEMENT);
		assert_int_equal(row->n, core_statement_table.n_cells);
		assert_true(span_eq(row->cells[0].b, SPAN_OF(id)));
		assert_int_equal(row->cells[1].i, STATEMENT_EARMARK);
		assert_true(span_eq(row->cells[2].b, SPAN_OF(request)));
		assert_true(span_eq(row->cells[3].b, bytes[i]));
	}
	/* Each statement of an event has a salt of its own. */
	assert_false(span_eq(bytes[0], bytes[1]));
	/* A body that breaks a rule stops the shell. */
	body.earmark.slot = 64;
	effects_sign(&fx, &author, STATEMENT_EARMARK, &body, &request, NULL);
	assert_true(fx.overflow);
}

static void refusal_names_what_it_answers(void **state)
{
	static struct opened opened;
	struct event event = { .type = EVENT_MESSAGE, .from = { { 8 } }, .opened = &opened };

	(void)state;
	opened.message.number = 42;
	opened.message.request = (struct id){ { 6 } };
	effects_init(&fx);
	effects_refuse(&fx, &event, REFUSED_HOLD_UNKNOWN, NULL);
	effects_refuse(&fx, &event, REFUSED_STATEMENT_FIELD_MISSING, "asset");

	const struct send *send = fx.v[0].send;

	assert_true(did_eq(&send->to, &event.from));
	assert_int_equal(send->message.message, MESSAGE_REFUSED);
	assert_int_equal(send->message.reply_to, 42);
	assert_int_equal(send->message.code, REFUSED_HOLD_UNKNOWN);
	assert_true(id_eq(&send->message.request, &opened.message.request));
	assert_true(span_is(send->message.text, refusal_sentence(REFUSED_HOLD_UNKNOWN)));
	assert_true(span_is(fx.v[1].send->message.text, "asset"));
}

static void random_differs_by_all_inputs(void **state)
{
	struct event a = { .entropy = { 1 } };
	struct event b = { .entropy = { 2 } };
	struct id ids[] = { event_random(&a, "x", 0), event_random(&a, "x", 1),
		event_random(&a, "y", 0), event_random(&b, "x", 0) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		for (size_t j = 0; j < i; j++)
			assert_false(id_eq(&ids[i], &ids[j]));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(design_shows_the_table),
		cmocka_unit_test(slot_table_is_whole),
		cmocka_unit_test(slot_always_ends),
		cmocka_unit_test(slot_refuses_nonsense),
		cmocka_unit_test(idmap_like_a_list),
		cmocka_unit_test(heap_like_a_list),
		cmocka_unit_test(effects_hold_a_full_step_of_sends),
		cmocka_unit_test(author_signs_what_decodes),
		cmocka_unit_test(refusal_names_what_it_answers),
		cmocka_unit_test(random_differs_by_all_inputs),
	};

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		static uint8_t bytes[16 * 1024];
		struct buf out = BUF(bytes);

		print_table(&out);
		return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
