/* Every table of statements, messages and documents: what it writes it reads, and what breaks a
 * rule is refused by the field's name. Walks the tables, so that a new field is tested by being
 * there. */
#include "proto/base/text.h"
#include "proto/cbor/cbor.h"
#include "tests/support/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define ROOM (512 * 1024)

static uint8_t arena_room[FILL_ARENA];
static uint8_t encoded_room[ROOM];
static uint8_t edited_room[ROOM];
static uint8_t pairs_room[ROOM];
/* Larger than any struct with a table; aligned like the structs. */
static union any {
	union statement_body body;
	struct message message;
	struct claims claims;
	struct measurement measurement;
	struct bundle bundle;
} value, decoded;

static const struct schema *schemas[FILL_SCHEMAS_MAX];
static size_t n_schemas;

static int setup(void **state)
{
	(void)state;
	n_schemas = fill_schemas(schemas);
	return 0;
}

static struct span fill_and_encode(const struct schema *schema, enum fill_how how, uint64_t seed)
{
	struct buf arena = BUF(arena_room);
	struct buf out = BUF(encoded_room);
	const char *field;

	fill_struct(schema, &value, how, seed, &arena);
	if (schema_encode(schema, &value, &out, &field) != REFUSED_NOT)
		fail_msg("%s.%s does not encode", schema->name, field);
	return buf_span(&out);
}

/*
 * The map again, with the value of key replaced by the bytes `with`; without the pair where they
 * are NULL; with a pair more at the end where the key is new.
 */
static struct span edit(struct span map, int64_t key, struct span with)
{
	struct cbor_reader r = cbor_over(map);
	struct buf out = BUF(edited_room);
	struct buf pairs = BUF(pairs_room);
	struct cbor_item item;
	size_t n = 0;
	bool found = false;

	assert_int_equal(cbor_read(&r, &item), REFUSED_NOT);
	for (uint64_t left = item.value; left > 0; left--) {
		const uint8_t *start = r.p;
		int64_t k;

		assert_int_equal(cbor_read(&r, &item), REFUSED_NOT);
		assert_true(cbor_int(&item, &k));

		const uint8_t *content = r.p;

		assert_int_equal(cbor_skip(&r), REFUSED_NOT);
		found = found || k == key;
		if (k == key && !with.p)
			continue;
		n++;
		buf_put(&pairs, start, (size_t)((k == key ? content : r.p) - start));
		if (k == key)
			buf_put(&pairs, with.p, with.n);
	}
	if (!found && with.p) {
		n++;
		cbor_put_int(&pairs, key);
		buf_put(&pairs, with.p, with.n);
	}
	cbor_put_map(&out, n);
	buf_put(&out, pairs.p, pairs.n);
	assert_true(buf_ok(&out) && buf_ok(&pairs));
	return buf_span(&out);
}

static void expect(
	const struct schema *schema, struct span data, enum refusal refusal, const char *field)
{
	const char *got = "untouched";
	enum refusal r = schema_decode(schema, data, &decoded, &got);

	if (r != refusal || (got == NULL) != (field == NULL) || (got && strcmp(got, field) != 0))
		fail_msg("%s.%s: expected %s, got %s about %s", schema->name, field ? field : "-",
			refusal_name(refusal), refusal_name(r), got ? got : "-");
}

/* --- the tables themselves --- */

static const char *name_of_key(int key)
{
	switch (key) {
#define X(number, name) \
	case number: \
		return #name;
		STATEMENT_KEYS(X)
#undef X
	default: /* no key of ours */
		return NULL;
	}
}

static void tables_are_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		const struct schema *s = schemas[i];

		assert_true(s->n_fields > 0 && s->n_fields <= SCHEMA_FIELDS_MAX);
		assert_true(s->size <= sizeof(value));
		for (size_t j = 0; j < s->n_fields; j++) {
			const struct field *f = &s->fields[j];
			const char *name = name_of_key(f->key);

			if (!name || strcmp(name, f->name) != 0)
				fail_msg("%s.%s: key %d", s->name, f->name, f->key);
			/* All keys are positive, and so sort as numbers. */
			if (f->key < 0 || (j > 0 && f->key <= s->fields[j - 1].key))
				fail_msg("%s.%s is out of order", s->name, f->name);
			assert_true(f->min <= f->max);
			assert_int_equal(f->type == FIELD_MAP, f->map != NULL);
			assert_true(f->offset >= sizeof(bool) && f->offset < s->size);
			assert_int_equal(f->most > 0, f->stride > 0);
			/* An optional string of no bytes would read as absent. */
			if (f->type == FIELD_BYTES || f->type == FIELD_TEXT ||
				f->type == FIELD_LINES)
				assert_true(f->min > 0);
		}
	}
}

static unsigned depth_of(const struct schema *schema)
{
	unsigned deepest = 0;

	for (size_t i = 0; i < schema->n_fields; i++)
		if (schema->fields[i].map)
			deepest = MAX(deepest, depth_of(schema->fields[i].map));
	return deepest + 1;
}

static void tables_are_shallow(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++)
		assert_true(depth_of(schemas[i]) <= SCHEMA_DEPTH_MAX);
}

/* A new field that starts in the middle of another one would be found here. */
static void fields_do_not_overlap(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++)
		for (size_t j = 0; j < schemas[i]->n_fields; j++)
			for (size_t k = 0; k < j; k++)
				assert_int_not_equal(
					schemas[i]->fields[j].offset, schemas[i]->fields[k].offset);
}

/* --- what is written is read --- */

static void filled_structs_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			enum fill_how how = seed == 0   ? FILL_LEAST
					    : seed == 1 ? FILL_MOST
							: FILL_SOME;
			struct span map = fill_and_encode(schemas[i], how, seed);
			struct buf again = BUF(edited_room);
			const char *field = NULL;

			expect(schemas[i], map, REFUSED_NOT, NULL);
			if (!fill_same(schemas[i], &value, &decoded, &field))
				fail_msg("%s.%s, seed %d", schemas[i]->name, field, (int)seed);
			assert_int_equal(
				schema_encode(schemas[i], &decoded, &again, NULL), REFUSED_NOT);
			assert_true(span_eq(buf_span(&again), map));
		}
	}
}

static void no_room_is_refused(void **state)
{
	struct span map = fill_and_encode(&measurement_schema, FILL_SOME, 1);

	(void)state;
	for (size_t cap = 0; cap < map.n; cap++) {
		struct buf out = buf_over(edited_room, cap);

		assert_int_equal(schema_encode(&measurement_schema, &value, &out, NULL),
			REFUSED_STATEMENT_TOO_LARGE);
	}
}

/* --- what breaks a rule is refused --- */

static void missing_fields(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];
			struct span map = fill_and_encode(schemas[i], FILL_SOME, j);

			map = edit(map, f->key, SPAN(NULL, 0));
			if (f->required)
				expect(schemas[i], map, REFUSED_STATEMENT_FIELD_MISSING, f->name);
			else
				expect(schemas[i], map, REFUSED_NOT, NULL);
			n += f->required;
		}
	}
	assert_true(n > 200);
}

/* The value as an element of an array of one, where the field is an array. */
static struct buf begin(const struct field *f, uint8_t *bytes, size_t cap)
{
	struct buf with = buf_over(bytes, cap);

	if (f->most > 0)
		cbor_put_array(&with, 1);
	return with;
}

static void replaced(const struct schema *schema, const struct field *f, const struct buf *with,
	enum refusal refusal)
{
	struct span map = fill_and_encode(schema, FILL_SOME, 7);

	assert_true(buf_ok(with));
	expect(schema, edit(map, f->key, buf_span(with)), refusal, f->name);
}

static void wrong_types(void **state)
{
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];
			struct buf with = begin(f, bytes, sizeof(bytes));

			cbor_put_null(&with);
			replaced(schemas[i], f, &with, REFUSED_STATEMENT_FIELD_TYPE);
			if (f->most == 0)
				continue;
			with = BUF(bytes); /* no array at all */
			cbor_put_null(&with);
			replaced(schemas[i], f, &with, REFUSED_STATEMENT_FIELD_TYPE);
		}
	}
}

static void int_range(const struct schema *schema, const struct field *f)
{
	uint8_t bytes[16];
	struct buf with;

	if (f->max < INT64_MAX) {
		with = begin(f, bytes, sizeof(bytes));
		cbor_put_int(&with, f->max + 1);
		replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_RANGE);
	}
	if (f->min > INT64_MIN) {
		with = begin(f, bytes, sizeof(bytes));
		cbor_put_int(&with, f->min - 1);
		replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_RANGE);
	}
	with = begin(f, bytes, sizeof(bytes));
	cbor_put_uint(&with, UINT64_MAX);
	replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_RANGE);
}

static void string_range(const struct schema *schema, const struct field *f, bool text)
{
	static uint8_t bytes[128 * 1024];
	static uint8_t long_string[128 * 1024];
	struct buf with = begin(f, bytes, sizeof(bytes));

	memset(long_string, 'a', sizeof(long_string));
	if (f->max + 16 < (int64_t)sizeof(bytes)) {
		struct span longer = SPAN(long_string, (size_t)f->max + 1);

		if (text)
			cbor_put_text(&with, longer);
		else
			cbor_put_bytes(&with, longer);
		replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_RANGE);
	}

	struct span shorter = SPAN(long_string, (size_t)f->min - 1);

	with = begin(f, bytes, sizeof(bytes));
	if (text)
		cbor_put_text(&with, shorter);
	else
		cbor_put_bytes(&with, shorter);
	replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_RANGE);
	/* The other kind of string. */
	with = begin(f, bytes, sizeof(bytes));
	if (text)
		cbor_put_bytes(&with, SPAN(long_string, (size_t)f->min));
	else
		cbor_put_text(&with, SPAN(long_string, (size_t)f->min));
	replaced(schema, f, &with, REFUSED_STATEMENT_FIELD_TYPE);
}

static void out_of_range(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];

			switch ((enum field_type)f->type) {
			case FIELD_INT:
				int_range(schemas[i], f);
				break;
			case FIELD_ID:
			case FIELD_DID:
			case FIELD_BYTES:
				string_range(schemas[i], f, false);
				break;
			case FIELD_TEXT:
			case FIELD_LINES:
				string_range(schemas[i], f, true);
				break;
			case FIELD_BOOL:
			case FIELD_MAP:
				break;
			}
		}
	}
}

/* One element too many, and none. */
static void array_lengths(void **state)
{
	static uint8_t bytes[64 * 1024];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];
			struct buf with = BUF(bytes);

			if (f->most == 0)
				continue;
			n++;
			cbor_put_array(&with, 0);
			replaced(schemas[i], f, &with, REFUSED_STATEMENT_FIELD_RANGE);
			with = BUF(bytes);
			cbor_put_array(&with, (size_t)f->most + 1);
			for (size_t k = 0; k <= f->most; k++)
				cbor_put_null(&with);
			replaced(schemas[i], f, &with, REFUSED_STATEMENT_FIELD_RANGE);
		}
	}
	assert_true(n > 20);
}

/* What says nothing must not stand there: a struct has one encoding. */
static void optional_zero_is_refused(void **state)
{
	static const uint8_t zeros[32];

	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];
			uint8_t bytes[64];
			struct buf with = BUF(bytes);

			if (f->required || f->most > 0)
				continue;
			if (f->type == FIELD_INT)
				cbor_put_int(&with, 0);
			else if (f->type == FIELD_BOOL)
				cbor_put_bool(&with, false);
			else if (f->type == FIELD_ID || f->type == FIELD_DID)
				cbor_put_bytes(&with, SPAN_OF(zeros));
			else
				continue;
			replaced(schemas[i], f, &with, REFUSED_STATEMENT_FIELD_RANGE);
		}
	}
}

static void control_characters(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		for (size_t j = 0; j < schemas[i]->n_fields; j++) {
			const struct field *f = &schemas[i]->fields[j];
			static const char *const bad[] = { "abc\tdef", "abc\x1b[0m",
				"abc\x7f"
				"def",
				"abc\ndef" };

			if (f->type != FIELD_TEXT && f->type != FIELD_LINES)
				continue;
			for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
				uint8_t bytes[64];
				struct buf with = begin(f, bytes, sizeof(bytes));

				cbor_put_str(&with, bad[k]);
				if (f->type == FIELD_LINES && k == 3)
					expect(schemas[i],
						edit(fill_and_encode(schemas[i], FILL_SOME, 7),
							f->key, buf_span(&with)),
						REFUSED_NOT, NULL);
				else
					replaced(schemas[i], f, &with, REFUSED_STATEMENT_TEXT);
			}
		}
	}
}

static void unknown_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schemas; i++) {
		struct span map = fill_and_encode(schemas[i], FILL_SOME, 3);

		expect(schemas[i], edit(map, 9999, SPAN("\x82\x01\xf6", 3)), REFUSED_NOT, NULL);

		const char *field;

		assert_true(fill_same(schemas[i], &value, &decoded, &field));
		expect(schemas[i], edit(map, -1, SPAN("\x01", 1)), REFUSED_STATEMENT_CRITICAL_KEY,
			NULL);
	}
	/* A map with a text key, and no map at all. */
	expect(&place_schema, SPAN("\xa1\x61\x61\x01", 4), REFUSED_STATEMENT_FIELD_TYPE, NULL);
	expect(&place_schema, SPAN("\x80", 1), REFUSED_STATEMENT_FIELD_TYPE, NULL);
	expect(&place_schema, SPAN(NULL, 0), REFUSED_CBOR_TRUNCATED, NULL);
}

/* A program that fills a struct from a user's words learns the rule before it sends. */
static void encoder_knows_the_rules(void **state)
{
	struct measurement m = {
		.quantity = SPAN_STR("temperature"),
		.unit = SPAN_STR("Cel"),
		.raw = SPAN_STR("21.5"),
		.identity = SPAN_STR("X"),
	};
	static uint8_t long_text[1024];
	struct buf out;
	const char *field;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
#define TRY(change, name) \
	({ \
		struct measurement bad = m; \
		bad.change; \
		out = BUF(edited_room); \
		assert_int_equal( \
			schema_encode(&measurement_schema, &bad, &out, &field), REFUSED_##name); \
		field; \
	})
	assert_null(TRY(at_ns = 1, NOT));
	assert_string_equal(TRY(exponent = 31, STATEMENT_FIELD_RANGE), "exponent");
	assert_string_equal(TRY(at_ns = -1, STATEMENT_FIELD_RANGE), "at_ns");
	assert_string_equal(TRY(unit = SPAN_OF(long_text), STATEMENT_FIELD_RANGE), "unit");
	assert_string_equal(TRY(unit.n = 0, STATEMENT_FIELD_RANGE), "unit");
	assert_string_equal(TRY(raw = SPAN_STR("a\rb"), STATEMENT_TEXT), "raw");
	assert_string_equal(TRY(raw = SPAN_STR("\xff"), CBOR_UTF8), "raw");
#undef TRY
	value.message = (struct message){ .message = 1,
		.n_statements = MESSAGE_STATEMENTS_MAX + 1 };
	out = BUF(edited_room);
	assert_int_equal(schema_encode(&message_schema, &value.message, &out, &field),
		REFUSED_STATEMENT_FIELD_RANGE);
	assert_string_equal(field, "statements");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_in_order),
		cmocka_unit_test(tables_are_shallow),
		cmocka_unit_test(fields_do_not_overlap),
		cmocka_unit_test(filled_structs_come_back),
		cmocka_unit_test(no_room_is_refused),
		cmocka_unit_test(missing_fields),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(out_of_range),
		cmocka_unit_test(array_lengths),
		cmocka_unit_test(optional_zero_is_refused),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(encoder_knows_the_rules),
	};

	return cmocka_run_group_tests_name("statement tables", tests, setup, NULL);
}
