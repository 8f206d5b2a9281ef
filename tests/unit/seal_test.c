#include "proto/seal/digest.h"
#include "proto/seal/seal.h"

#include "proto/base/sha256.h"
#include "proto/base/text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEALED_RECORD (SEAL_RECORD + SEAL_TAG)

static json_t *vectors;
static uint8_t key[SEAL_KEY];
static struct seal_bound bound;

static void vector_bytes(const json_t *object, const char *name, uint8_t *out, size_t n)
{
	const char *text = json_string_value(json_object_get(object, name));

	assert_non_null(text);
	assert_int_equal(strlen(text), 2 * n);
	assert_int_equal(hex_decode(SPAN_STR(text), out, n), 0);
}

static size_t vector_size(const json_t *object, const char *name)
{
	return strlen(json_string_value(json_object_get(object, name))) / 2;
}

static int load(void **state)
{
	json_error_t error;

	(void)state; /* ignored: cmocka's shape */
	vectors = json_load_file(SEAL_VECTORS, 0, &error);
	if (!vectors)
		return -1;
	vector_bytes(vectors, "key", key, sizeof(key));
	vector_bytes(vectors, "request", bound.request.b, 32);
	vector_bytes(vectors, "subject", bound.subject.b, 32);
	return 0;
}

static int unload(void **state)
{
	(void)state; /* ignored: cmocka's shape */
	json_decref(vectors);
	return 0;
}

static uint8_t *payload(size_t n)
{
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	return p;
}

/* Seals and returns malloc'd bytes of exactly the size that seal_size() promised. */
static struct span sealed_of(struct span plain)
{
	static const uint8_t nonce[SEAL_NONCE] = { 1, 2, 3, 4, 5, 6, 7 };
	size_t n = seal_size(plain.n);
	struct buf b = buf_over(malloc(n), n);

	assert_non_null(b.p);
	assert_true(seal_content(key, nonce, &bound, plain, &b));
	assert_int_equal(b.n, n);
	return buf_span(&b);
}

static enum refusal open_as(const uint8_t *k, const struct seal_bound *to, struct span sealed)
{
	struct buf b = buf_over(malloc(sealed.n + 1), sealed.n + 1);

	assert_non_null(b.p);
	memset(b.p, 0x5a, b.cap);
	enum refusal refused = seal_open(k, to, sealed, &b);

	if (refused)
		assert_int_equal(b.n, 0);
	free(b.p);
	return refused;
}

static enum refusal stream_open(struct span sealed, size_t piece, struct buf *out)
{
	struct seal_stream *s = malloc(sizeof(*s));
	enum refusal refused = REFUSED_NOT;

	assert_non_null(s);
	seal_reader_init(s, key, &bound);
	while (sealed.n > 0 && !refused) {
		size_t n = MIN(piece, sealed.n);

		refused = seal_reader_put(s, SPAN(sealed.p, n), out);
		sealed = SPAN(sealed.p + n, sealed.n - n);
	}
	if (!refused)
		refused = seal_reader_end(s, out);
	seal_stream_deinit(s);
	free(s);
	return refused;
}

static void stream_seal(const uint8_t *nonce, struct span plain, size_t piece, struct buf *out)
{
	struct seal_stream *s = malloc(sizeof(*s));

	assert_non_null(s);
	assert_true(seal_writer_init(s, key, nonce, &bound, out));
	while (plain.n > 0) {
		size_t n = MIN(piece, plain.n);

		assert_true(seal_writer_put(s, SPAN(plain.p, n), out));
		plain = SPAN(plain.p + n, plain.n - n);
	}
	assert_true(seal_writer_end(s, out));
	seal_stream_deinit(s);
	free(s);
}

static void content_is_the_vectors(void **state)
{
	static const size_t pieces[] = { 1, 1000, SEAL_RECORD, SEAL_RECORD + 1, 1000000 };
	const json_t *cases = json_object_get(vectors, "content");
	const json_t *one;
	size_t at;

	(void)state; /* ignored: cmocka's shape */
	assert_true(json_array_size(cases) > 0);
	json_array_foreach(cases, at, one)
	{
		size_t n = (size_t)json_integer_value(json_object_get(one, "size"));
		uint8_t *plain = payload(n);
		uint8_t nonce[SEAL_NONCE];
		struct id expected;
		size_t room = n + 3 * SEALED_RECORD;
		struct buf out = buf_over(malloc(room), room);
		struct buf back = buf_over(malloc(room), room);

		vector_bytes(one, "nonce", nonce, sizeof(nonce));
		vector_bytes(one, "sha256", expected.b, 32);
		assert_true(seal_content(key, nonce, &bound, SPAN(plain, n), &out));
		assert_int_equal(out.n, seal_size(n));
		struct id got = digest_of(buf_span(&out));
		assert_true(id_eq(&got, &expected));
		size_t size = 1;
		assert_int_equal(seal_plain_size(out.n, &size), REFUSED_NOT);
		assert_int_equal(size, n);
		assert_int_equal(seal_open(key, &bound, buf_span(&out), &back), REFUSED_NOT);
		assert_true(span_eq(buf_span(&back), SPAN(plain, n)));
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			/* The room that a put asks for depends on its piece. */
			size_t more = seal_stream_max(pieces[i]) + room;
			struct buf streamed = buf_over(malloc(more), more);

			stream_seal(nonce, SPAN(plain, n), pieces[i], &streamed);
			assert_true(span_eq(buf_span(&streamed), buf_span(&out)));
			streamed.n = 0;
			assert_int_equal(
				stream_open(buf_span(&out), pieces[i], &streamed), REFUSED_NOT);
			assert_true(span_eq(buf_span(&streamed), SPAN(plain, n)));
			free(streamed.p);
		}
		free(plain);
		free(out.p);
		free(back.p);
	}
}

static void altered_content_is_refused(void **state)
{
	uint8_t *plain = payload(300);
	struct span sealed = sealed_of(SPAN(plain, 300));
	uint8_t *bytes = (uint8_t *)(uintptr_t)sealed.p;
	struct seal_bound other = bound;
	uint8_t other_key[SEAL_KEY] = { 0 };

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(open_as(key, &bound, sealed), REFUSED_NOT);
	assert_int_equal(open_as(other_key, &bound, sealed), REFUSED_PAYLOAD_KEY);
	other.request.b[31] ^= 1;
	assert_int_equal(open_as(key, &other, sealed), REFUSED_PAYLOAD_KEY);
	other = bound;
	other.subject.b[0] ^= 1;
	assert_int_equal(open_as(key, &other, sealed), REFUSED_PAYLOAD_KEY);
	for (size_t bit = 0; bit < 8 * sealed.n; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_as(key, &bound, sealed), REFUSED_PAYLOAD_KEY);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < sealed.n; n++)
		assert_int_equal(open_as(key, &bound, SPAN(bytes, n)),
			n < SEAL_NONCE + SEAL_TAG ? REFUSED_PAYLOAD_SIZE : REFUSED_PAYLOAD_KEY);
	free(bytes);
	free(plain);
}

static void both_refuse(struct span sealed, enum refusal whole, enum refusal streamed)
{
	size_t room = seal_stream_max(sealed.n);
	struct buf out = buf_over(malloc(2 * room), 2 * room);

	assert_non_null(out.p);
	assert_int_equal(open_as(key, &bound, sealed), whole);
	assert_int_equal(stream_open(sealed, SIZE_MAX, &out), streamed);
	free(out.p);
}

static void moved_records_are_refused(void **state)
{
	size_t n = 3 * SEAL_RECORD;
	uint8_t *plain = payload(n);
	struct span sealed = sealed_of(SPAN(plain, n));
	uint8_t *bad = malloc(sealed.n + SEALED_RECORD);
	uint8_t *first = bad + SEAL_NONCE;

	(void)state; /* ignored: cmocka's shape */
	assert_non_null(bad);
	memcpy(bad, sealed.p, sealed.n);
	both_refuse(SPAN(bad, sealed.n), REFUSED_NOT, REFUSED_NOT);
	/* cut at a record's end, then with an empty record in the last one's place */
	both_refuse(SPAN(bad, sealed.n - SEALED_RECORD), REFUSED_PAYLOAD_KEY, REFUSED_PAYLOAD_KEY);
	both_refuse(SPAN(bad, sealed.n - SEAL_RECORD), REFUSED_PAYLOAD_SIZE, REFUSED_PAYLOAD_KEY);
	both_refuse(SPAN(bad, sealed.n - 1), REFUSED_PAYLOAD_KEY, REFUSED_PAYLOAD_KEY);
	/* reordered */
	memcpy(first, sealed.p + SEAL_NONCE + SEALED_RECORD, SEALED_RECORD);
	memcpy(first + SEALED_RECORD, sealed.p + SEAL_NONCE, SEALED_RECORD);
	both_refuse(SPAN(bad, sealed.n), REFUSED_PAYLOAD_KEY, REFUSED_PAYLOAD_KEY);
	/* the last record twice */
	memcpy(bad, sealed.p, sealed.n);
	memcpy(first + 3 * SEALED_RECORD, first + 2 * SEALED_RECORD, SEALED_RECORD);
	both_refuse(SPAN(bad, sealed.n + SEALED_RECORD), REFUSED_PAYLOAD_KEY, REFUSED_PAYLOAD_KEY);
	free(bad);
	free((uint8_t *)(uintptr_t)sealed.p);
	free(plain);
}

static void sizes_are_bounded(void **state)
{
	uint8_t nonce[SEAL_NONCE] = { 0 };
	uint8_t small[64];
	struct buf out = BUF(small);
	uint8_t *plain = calloc(1, SEAL_PAYLOAD_MAX + 1);
	size_t size;

	(void)state; /* ignored: cmocka's shape */
	assert_non_null(plain);
	assert_int_equal(seal_size(SEAL_PAYLOAD_MAX), 7 + SEAL_PAYLOAD_MAX + 1024 * 16);
	assert_int_equal(seal_size(SEAL_PAYLOAD_MAX + 1), 0);
	assert_int_equal(
		seal_plain_size(seal_size(SEAL_PAYLOAD_MAX) + 1, &size), REFUSED_PAYLOAD_SIZE);
	assert_int_equal(seal_plain_size(SIZE_MAX, &size), REFUSED_PAYLOAD_SIZE);
	assert_false(seal_content(key, nonce, &bound, SPAN(plain, SEAL_PAYLOAD_MAX + 1), &out));
	assert_false(seal_content(key, nonce, &bound, SPAN(plain, 64), &out));
	assert_int_equal(out.n, 0);
	assert_true(seal_content(key, nonce, &bound, SPAN(plain, 41), &out));
	assert_false(seal_content(key, nonce, &bound, SPAN(plain, 0), &out));

	/* A stream that never ends is refused at the limit, not stored. */
	struct seal_stream *s = malloc(sizeof(*s));
	size_t room = SEAL_PAYLOAD_MAX + 2048 * SEAL_RECORD;
	struct buf big = buf_over(malloc(room), room);

	assert_true(s && big.p);
	assert_true(seal_writer_init(s, key, nonce, &bound, &big));
	assert_true(seal_writer_put(s, SPAN(plain, SEAL_PAYLOAD_MAX), &big));
	assert_false(seal_writer_put(s, SPAN(plain, 1), &big));
	assert_true(seal_writer_end(s, &big));
	seal_stream_deinit(s);
	assert_int_equal(big.n, seal_size(SEAL_PAYLOAD_MAX));
	struct buf back = buf_over(malloc(room), room);
	assert_int_equal(stream_open(buf_span(&big), SIZE_MAX, &back), REFUSED_NOT);
	assert_int_equal(back.n, SEAL_PAYLOAD_MAX);
	back.n = 0;
	big.n += SEALED_RECORD;
	assert_int_equal(stream_open(buf_span(&big), SIZE_MAX, &back), REFUSED_PAYLOAD_SIZE);
	free(back.p);
	free(big.p);
	free(s);
	free(plain);
}

static void small_things(void **state)
{
	const json_t *one;
	size_t at;

	(void)state; /* ignored: cmocka's shape */
	json_array_foreach(json_object_get(vectors, "small"), at, one)
	{
		bool claims = strcmp(json_string_value(json_object_get(one, "purpose")),
				      "claims") == 0;
		enum seal_purpose purpose = claims ? SEAL_CLAIMS : SEAL_DIGEST;
		size_t n = vector_size(one, "plain");
		uint8_t plain[128], expected[160], nonce[SEAL_SMALL_NONCE], out[160], back[128];
		struct buf b = BUF(out);
		struct buf p = BUF(back);
		struct seal_bound other = { .request = bound.subject, .subject = bound.request };

		vector_bytes(one, "plain", plain, n);
		vector_bytes(one, "sealed", expected, n + SEAL_SMALL_EXTRA);
		vector_bytes(one, "nonce", nonce, sizeof(nonce));
		assert_true(seal_small(purpose, key, nonce, &bound, SPAN(plain, n), &b));
		assert_true(span_eq(buf_span(&b), SPAN(expected, n + SEAL_SMALL_EXTRA)));
		assert_int_equal(
			seal_open_small(purpose, key, &bound, buf_span(&b), &p), REFUSED_NOT);
		assert_true(span_eq(buf_span(&p), SPAN(plain, n)));
		p.n = 0;
		assert_int_equal(seal_open_small(claims ? SEAL_DIGEST : SEAL_CLAIMS, key, &bound,
					 buf_span(&b), &p),
			REFUSED_PAYLOAD_KEY);
		assert_int_equal(seal_open_small(purpose, key, &other, buf_span(&b), &p),
			REFUSED_PAYLOAD_KEY);
		for (size_t bit = 0; bit < 8 * b.n; bit++) {
			out[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(seal_open_small(purpose, key, &bound, buf_span(&b), &p),
				REFUSED_PAYLOAD_KEY);
			out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		for (size_t cut = 0; cut < b.n; cut++)
			assert_int_not_equal(
				seal_open_small(purpose, key, &bound, SPAN(out, cut), &p),
				REFUSED_NOT);
		assert_int_equal(p.n, 0);
	}
}

static void wraps(void **state)
{
	const json_t *w = json_object_get(vectors, "wrap");
	struct seal_context context = { .request = bound.request, .scope = bound.subject };
	uint8_t secret[32], public[32], ephemeral[32], expected[SEAL_WRAPPED], out[100], got[32];
	uint8_t low_order[32] = { 1 };
	struct buf b = BUF(out);
	struct seal_counts before = seal_counts();

	(void)state; /* ignored: cmocka's shape */
	vector_bytes(w, "recipient_secret", secret, 32);
	vector_bytes(w, "recipient_public", expected, 32);
	seal_public_key(secret, public);
	assert_memory_equal(public, expected, 32);
	vector_bytes(w, "ephemeral_secret", ephemeral, 32);
	vector_bytes(w, "recipient_did", context.recipient.b, 32);
	vector_bytes(w, "wrapped", expected, SEAL_WRAPPED);
	assert_true(seal_wrap(key, public, ephemeral, &context, &b));
	assert_true(span_eq(buf_span(&b), SPAN_OF(expected)));
	assert_false(seal_wrap(key, public, ephemeral, &context, &b)); /* no room for a second */
	assert_int_equal(seal_unwrap(buf_span(&b), secret, &context, got), REFUSED_NOT);
	assert_memory_equal(got, key, 32);
	assert_int_equal(seal_counts().wraps, before.wraps + 1);
	assert_int_equal(seal_counts().unwraps, before.unwraps + 1);

	memset(got, 0x5a, sizeof(got));
	for (size_t bit = 0; bit < 8 * b.n; bit++) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(
			seal_unwrap(buf_span(&b), secret, &context, got), REFUSED_PAYLOAD_KEY);
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n <= sizeof(out); n++) {
		if (n != SEAL_WRAPPED)
			assert_int_equal(seal_unwrap(SPAN(out, n), secret, &context, got),
				REFUSED_PAYLOAD_KEY);
	}
	struct seal_context others[] = { context, context, context };

	others[0].request.b[0] ^= 1;
	others[1].scope.b[0] ^= 1;
	others[2].recipient.b[0] ^= 1;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(
			seal_unwrap(buf_span(&b), secret, &others[i], got), REFUSED_PAYLOAD_KEY);
	assert_int_equal(seal_unwrap(buf_span(&b), ephemeral, &context, got), REFUSED_PAYLOAD_KEY);
	assert_int_equal(got[0], 0x5a);
	b.n = 0;
	assert_false(seal_wrap(key, low_order, ephemeral, &context, &b));
	assert_int_equal(b.n, 0);
	/* an all-zero shared secret must not become a key that everybody knows */
	memset(expected + 16, 0, 32);
	assert_int_equal(
		seal_unwrap(SPAN_OF(expected), secret, &context, got), REFUSED_PAYLOAD_KEY);
}

static void digests(void **state)
{
	struct digest d = { 0 };
	uint8_t *bytes = payload(100000);
	struct id small = SHA256(SPAN(bytes, 100000));

	(void)state; /* ignored: cmocka's shape */
	assert_int_equal(digest_init(&d), 0);
	for (int again = 0; again < 2; again++) {
		digest_update(&d, SPAN(bytes, 1));
		digest_update(&d, SPAN(NULL, 0));
		digest_update(&d, SPAN(bytes + 1, 99999));
		struct id got = digest_final(&d);
		assert_true(id_eq(&got, &small));
	}
	struct id empty = digest_final(&d);
	struct id whole = digest_of(SPAN(NULL, 0));

	assert_true(id_eq(&empty, &whole));
	assert_false(id_eq(&empty, &small));
	digest_deinit(&d);
	digest_deinit(&d);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_is_the_vectors),
		cmocka_unit_test(altered_content_is_refused),
		cmocka_unit_test(moved_records_are_refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(small_things),
		cmocka_unit_test(wraps),
		cmocka_unit_test(digests),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
