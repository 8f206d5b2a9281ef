/* Signed statements: every kind signs and decodes to the same, what does not agree is refused by
 * name, and challenge and draw follow from their inputs alone. */
#include "proto/base/text.h"
#include "proto/cbor/cbor.h"
#include "tests/support/fill.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static uint8_t arena_room[FILL_ARENA];
static uint8_t signed_room[2 * COSE_MAX];
static union statement_body body;
static struct statement decoded;

static struct buf sign(enum statement_kind kind, enum fill_how how, struct id *ret_id)
{
	struct signer signer = fill_signer(1);
	struct buf arena = BUF(arena_room);
	struct buf out = BUF(signed_room);
	const char *field;

	fill_struct(statement_schema(kind), &body, how, (uint64_t)kind, &arena);
	if (statement_sign(kind, &body, &signer, &out, ret_id, &field) != REFUSED_NOT)
		fail_msg("%s.%s", statement_kind_name(kind), field);
	return out;
}

static void every_kind_comes_back(void **state)
{
	struct signer signer = fill_signer(1);

	(void)state;
	for (int k = STATEMENT_NONE + 1; k < STATEMENT_KINDS; k++) {
		for (int how = FILL_LEAST; how <= FILL_MOST; how++) {
			enum statement_kind kind = (enum statement_kind)k;
			struct id id;
			struct buf out = sign(kind, (enum fill_how)how, &id);
			const char *field = "untouched";

			assert_int_equal(
				statement_decode(buf_span(&out), &decoded, &field), REFUSED_NOT);
			assert_null(field);
			assert_int_equal(decoded.kind, kind);
			assert_true(id_eq(&decoded.id, &id));
			assert_true(did_eq(&decoded.issuer, &signer.issuer));
			assert_true(span_eq(decoded.bytes, buf_span(&out)));
			assert_int_equal(decoded.body.head.c.version, STATEMENT_VERSION);
			if (!fill_same(statement_schema(kind), &body, &decoded.body, &field))
				fail_msg("%s.%s", statement_kind_name(kind), field);
			assert_int_equal(cose_verify(&decoded.envelope.parts, decoded.envelope.alg,
						 decoded.envelope.kid, SPAN(NULL, 0)),
				REFUSED_NOT);
		}
	}
}

static void every_byte_counts(void **state)
{
	struct id id;
	struct buf out = sign(STATEMENT_REQUEST, FILL_LEAST, &id);
	struct signer signer = fill_signer(1);

	(void)state;
	for (size_t i = 0; i < out.n; i++) {
		signed_room[i] ^= 1;

		enum refusal refusal = statement_decode(buf_span(&out), &decoded, NULL);

		if (refusal == REFUSED_NOT)
			refusal = cose_verify(&decoded.envelope.parts, decoded.envelope.alg,
				SPAN_OF(signer.public_key), SPAN(NULL, 0));
		else
			assert_int_equal(decoded.kind, STATEMENT_NONE);
		assert_int_not_equal(refusal, REFUSED_NOT);
		signed_room[i] ^= 1;
	}
}

static void kinds_have_names(void **state)
{
	(void)state;
	for (int k = STATEMENT_NONE + 1; k < STATEMENT_KINDS; k++) {
		enum statement_kind kind = (enum statement_kind)k;
		char type[96];

		snprintf(
			type, sizeof(type), "application/assay-%s+cbor", statement_kind_name(kind));
		assert_string_equal(type, statement_content_type(kind));
		assert_int_equal(statement_kind_of_type(SPAN_STR(type)), kind);
	}
	for (int k = -1; k <= STATEMENT_KINDS; k += STATEMENT_KINDS + 1) {
		assert_string_equal(statement_kind_name((enum statement_kind)k), "none");
		assert_null(statement_schema((enum statement_kind)k));
	}
	assert_int_equal(
		statement_kind_of_type(SPAN_STR("application/assay-none+cbor")), STATEMENT_NONE);
	assert_int_equal(statement_kind_of_type(SPAN(NULL, 0)), STATEMENT_NONE);
}

/* A hold whose envelope was made by another program than ours: `change` is what it got wrong. */
struct maker {
	const char *type;
	const char *subject;
	int64_t iat;
	int64_t version;
};

static enum refusal decode_made(const struct maker *maker)
{
	static uint8_t payload_room[COSE_MAX];
	struct signer signer = fill_signer(1);
	struct buf arena = BUF(arena_room);
	struct buf payload = BUF(payload_room);
	struct buf out = BUF(signed_room);
	char subject[ID_TEXT_MAX];
	struct id id;

	fill_struct(statement_schema(STATEMENT_HOLD), &body, FILL_LEAST, 1, &arena);
	body.hold.c.version = maker->version;
	body.hold.c.at_ns = 1700000000 * NS_PER_S + 999999999;
	assert_int_equal(schema_encode(statement_schema(STATEMENT_HOLD), &body, &payload, NULL),
		REFUSED_NOT);

	struct cose_header header = { .content_type = SPAN_STR(maker->type),
		.subject = SPAN_STR(
			maker->subject ? maker->subject : id_text(&body.hold.request, subject)),
		.issued_at_s = maker->iat };

	assert_true(cose_sign(&signer, &header, buf_span(&payload), &out, &id));
	return statement_decode(buf_span(&out), &decoded, NULL);
}

static void envelope_must_agree(void **state)
{
	const struct maker good = { "application/assay-hold+cbor", NULL, 1700000000, 1 };
	struct maker bad;

	(void)state;
	assert_int_equal(decode_made(&good), REFUSED_NOT);
#define REFUSES(field, value, name) \
	bad = good; \
	bad.field = value; \
	assert_int_equal(decode_made(&bad), REFUSED_##name)

	REFUSES(iat, 1700000001, COSE_HEADER);
	REFUSES(iat, 1699999999, COSE_HEADER);
	REFUSES(subject, "", COSE_HEADER);
	REFUSES(subject, "0000000000000000000000000000000000000000000000000000000000000000",
		COSE_HEADER);
	REFUSES(type, "application/assay-holds+cbor", STATEMENT_KIND);
	REFUSES(type, "application/assay-earmark+cbor", STATEMENT_FIELD_MISSING);
	REFUSES(version, 2, STATEMENT_VERSION);
#undef REFUSES
}

static void signing_refuses_by_field(void **state)
{
	struct signer signer = fill_signer(1);
	struct buf arena = BUF(arena_room);
	struct buf out = BUF(signed_room);
	struct buf small = buf_over(signed_room, 100);
	const char *field;
	struct id id;

	(void)state;
	fill_struct(statement_schema(STATEMENT_REQUEST), &body, FILL_LEAST, 1, &arena);
	body.request.panel_n = PANEL_MAX + 1;
	assert_int_equal(statement_sign(STATEMENT_REQUEST, &body, &signer, &out, &id, &field),
		REFUSED_STATEMENT_FIELD_RANGE);
	assert_string_equal(field, "panel_n");
	body.request.panel_n = 1;
	body.request.n_pool = 0;
	assert_int_equal(statement_sign(STATEMENT_REQUEST, &body, &signer, &out, &id, &field),
		REFUSED_STATEMENT_FIELD_RANGE);
	assert_string_equal(field, "pool");
	body.request.n_pool = 1;
	assert_int_equal(statement_sign(STATEMENT_REQUEST, &body, &signer, &small, &id, &field),
		REFUSED_STATEMENT_TOO_LARGE);
	assert_int_equal(statement_sign(STATEMENT_NONE, &body, &signer, &out, &id, &field),
		REFUSED_STATEMENT_KIND);
	assert_int_equal(out.n, 0);
	assert_int_equal(statement_decode(SPAN_OF(signed_room), &decoded, &field),
		REFUSED_STATEMENT_TOO_LARGE);
}

/* --- challenge and draw --- */

static void challenge_differs_by_every_input(void **state)
{
	struct id request[] = { { { 1 } }, { { 2 } } };
	struct did node[] = { { { 3 } }, { { 4 } } };
	struct span salt[] = { SPAN("0123456789abcdef", 16), SPAN("0123456789abcdeF", 16) };
	struct span note[] = { SPAN("a\n", 2), SPAN("b\n", 2) };
	struct id seen[64];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		struct id c = statement_challenge(&request[i & 1], &node[i >> 1 & 1], i >> 2 & 1,
			i >> 3 & 1, salt[i >> 4 & 1], note[i >> 5 & 1]);

		for (size_t j = 0; j < n; j++)
			assert_false(id_eq(&seen[j], &c));
		seen[n++] = c;
	}

	struct id again = statement_challenge(&request[0], &node[0], 0, 0, salt[0], note[0]);

	assert_true(id_eq(&again, &seen[0]));
}

/* What the bundle's readers compute: the bytes of the two hashes, written down once. */
static void hashes_to_the_byte(void **state)
{
	struct id request;
	struct did node;
	uint8_t bytes[256];
	struct buf b = BUF(bytes);
	struct id want;

	(void)state;
	memset(request.b, 0x11, 32);
	memset(node.b, 0x22, 32);
	buf_str(&b, "assay challenge v1");
	buf_put(&b, request.b, 32);
	buf_put(&b, node.b, 32);
	buf_put(&b, "\0\0\0\0\0\0\0\3\0\0\0\0\0\0\1\2", 16);
	buf_str(&b, "saltsaltsaltsaltnote\n");
	crypto_hash_sha256(want.b, b.p, b.n);

	struct id got = statement_challenge(
		&request, &node, 3, 0x102, SPAN_STR("saltsaltsaltsalt"), SPAN_STR("note\n"));

	assert_memory_equal(got.b, want.b, 32);
	b = BUF(bytes);
	buf_str(&b, "assay draw v1");
	buf_put(&b, request.b, 32);
	buf_str(&b, "saltsaltsaltsalt");
	buf_put(&b, node.b, 32);
	buf_str(&b, "note\n");
	crypto_hash_sha256(want.b, b.p, b.n);

	struct id evidence;

	memcpy(evidence.b, node.b, 32);
	got = statement_draw_seed(
		&request, SPAN_STR("saltsaltsaltsalt"), &evidence, SPAN_STR("note\n"));
	assert_memory_equal(got.b, want.b, 32);
}

static struct id seed_of(uint32_t number)
{
	struct id seed = { { 0 } };

	memcpy(seed.b, &number, sizeof(number));
	return seed;
}

static void draw_is_distinct_and_repeats(void **state)
{
	struct did pool[POOL_MAX];

	(void)state;
	for (size_t i = 0; i < POOL_MAX; i++)
		memset(pool[i].b, (int)i + 1, 32);
	for (uint32_t s = 0; s < 200; s++) {
		struct id seed = seed_of(s);
		struct did panel[PANEL_MAX];
		struct did again[PANEL_MAX];
		size_t n_pool = PANEL_MAX + s % (POOL_MAX - PANEL_MAX + 1);

		assert_int_equal(
			statement_draw_panel(&seed, pool, n_pool, PANEL_MAX, panel), PANEL_MAX);
		assert_int_equal(
			statement_draw_panel(&seed, pool, n_pool, PANEL_MAX, again), PANEL_MAX);
		assert_memory_equal(panel, again, sizeof(panel));
		for (size_t i = 0; i < PANEL_MAX; i++) {
			assert_true(panel[i].b[0] >= 1 && panel[i].b[0] <= n_pool);
			for (size_t j = 0; j < i; j++)
				assert_false(did_eq(&panel[i], &panel[j]));
		}
	}
}

/* 3 of 10, 10,000 times: each member is drawn 3,000 times, give or take five deviations. */
static void draw_is_fair(void **state)
{
	unsigned drawn[10] = { 0 };
	struct did pool[10];

	(void)state;
	for (size_t i = 0; i < 10; i++)
		memset(pool[i].b, (int)i, 32);
	for (uint32_t s = 0; s < 10000; s++) {
		struct id seed = seed_of(s);
		struct did panel[PANEL_MAX];

		assert_int_equal(statement_draw_panel(&seed, pool, 10, 3, panel), 3);
		for (size_t i = 0; i < 3; i++)
			drawn[panel[i].b[0]]++;
	}
	for (size_t i = 0; i < 10; i++)
		assert_in_range(drawn[i], 3000 - 230, 3000 + 230);
}

static void draw_refuses_small_pools(void **state)
{
	struct did pool[POOL_MAX + 1] = { { { 1 } }, { { 2 } }, { { 1 } }, { { 2 } } };
	struct did panel[PANEL_MAX];
	struct id seed = seed_of(1);

	(void)state;
	assert_int_equal(statement_draw_panel(&seed, pool, 2, 3, panel), 0);
	assert_int_equal(statement_draw_panel(&seed, pool, 0, 1, panel), 0);
	assert_int_equal(statement_draw_panel(&seed, pool, POOL_MAX + 1, 1, panel), 0);
	assert_int_equal(statement_draw_panel(&seed, pool, 4, PANEL_MAX + 1, panel), 0);
	/* Who stands in the pool twice is one verifier, and not twice as likely. */
	assert_int_equal(statement_draw_panel(&seed, pool, 4, 3, panel), 0);
	assert_int_equal(statement_draw_panel(&seed, pool, 4, 2, panel), 2);
	assert_false(did_eq(&panel[0], &panel[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_comes_back),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(envelope_must_agree),
		cmocka_unit_test(signing_refuses_by_field),
		cmocka_unit_test(challenge_differs_by_every_input),
		cmocka_unit_test(hashes_to_the_byte),
		cmocka_unit_test(draw_is_distinct_and_repeats),
		cmocka_unit_test(draw_is_fair),
		cmocka_unit_test(draw_refuses_small_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
