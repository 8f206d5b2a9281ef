#include "tests/support/cbor_again.h"

#include "proto/base/text.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CASE_MAX 256

/* What the profile says to a class of cases: hex starts with prefix, then this refusal. */
struct expectation {
	const char *class;
	const char *prefix;
	enum refusal refusal;
};

/* All cases of RFC 8949, appendix A, that match none of these must decode and encode again. */
static const struct expectation expectations[] = {
	{ "half-precision float", "f9", REFUSED_CBOR_FLOAT },
	{ "single-precision float", "fa", REFUSED_CBOR_FLOAT },
	{ "double-precision float", "fb", REFUSED_CBOR_FLOAT },
	{ "undefined", "f7", REFUSED_CBOR_SIMPLE },
	{ "simple(16)", "f0", REFUSED_CBOR_SIMPLE },
	{ "simple(24) and above", "f8", REFUSED_CBOR_SIMPLE },
	{ "tag 0, date", "c0", REFUSED_CBOR_TAG },
	{ "tag 1, epoch", "c1", REFUSED_CBOR_TAG },
	{ "tag 2, bignum", "c2", REFUSED_CBOR_TAG },
	{ "tag 3, negative bignum", "c3", REFUSED_CBOR_TAG },
	{ "tag 23, base16", "d7", REFUSED_CBOR_TAG },
	{ "tags 24 and 32", "d8", REFUSED_CBOR_TAG },
	{ "negative beyond int64", "3bffffffffffffffff", REFUSED_CBOR_RANGE },
	{ "indefinite bytes", "5f", REFUSED_CBOR_INDEFINITE },
	{ "indefinite text", "7f", REFUSED_CBOR_INDEFINITE },
	{ "indefinite array", "9f", REFUSED_CBOR_INDEFINITE },
	{ "indefinite map", "bf", REFUSED_CBOR_INDEFINITE },
	{ "indefinite at the end of an array", "83018202039f", REFUSED_CBOR_INDEFINITE },
	{ "indefinite inside an array", "83019f", REFUSED_CBOR_INDEFINITE },
	{ "indefinite map in an array", "826161bf", REFUSED_CBOR_INDEFINITE },
};

static struct span from_hex(const char *hex, uint8_t bytes[static CASE_MAX])
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= CASE_MAX);
	assert_int_equal(hex_decode(SPAN_STR(hex), bytes, n), 0);
	return SPAN(bytes, n);
}

static void assert_refused(const char *hex, enum refusal expected)
{
	uint8_t bytes[CASE_MAX];
	enum refusal refusal = cbor_check(from_hex(hex, bytes));

	if (refusal != expected)
		fail_msg("%s: %s, not %s", hex, refusal_name(refusal), refusal_name(expected));
}

static void assert_round_trip(const char *hex)
{
	uint8_t bytes[CASE_MAX];
	uint8_t again_bytes[CASE_MAX];
	struct buf again = BUF(again_bytes);
	struct span data = from_hex(hex, bytes);

	assert_refused(hex, REFUSED_NOT);
	assert_true(cbor_again(data, &again));
	assert_true(span_eq(buf_span(&again), data));
}

static void free_json(json_t **json)
{
	json_decref(*json);
}

/* NULL where the vectors are not on this machine. */
static json_t *load_appendix_a(void)
{
	const char *vectors = getenv("ASSAY_VECTORS");
	char path[4096];
	json_error_t error;

	snprintf(path, sizeof(path), "%s/cbor/appendix_a.json",
		vectors ? vectors : "../shared/vectors");

	FILE *file = fopen(path, "r");

	if (!file) {
		print_message("skipped: %s is not there; set ASSAY_VECTORS\n", path);
		return NULL;
	}

	json_t *cases = json_loadf(file, JSON_DECODE_INT_AS_REAL, &error);

	fclose(file);
	if (!cases)
		fail_msg("%s: %s", path, error.text);
	return cases;
}

static void test_appendix_a(void **state)
{
	_cleanup_(free_json) json_t *cases = load_appendix_a();
	size_t hits[ARRAY_SIZE(expectations)] = { 0 };
	size_t n_allowed = 0;
	size_t i;
	json_t *one;

	(void)state;
	if (!cases)
		skip();
	json_array_foreach(cases, i, one)
	{
		const char *hex = json_string_value(json_object_get(one, "hex"));
		size_t e = 0;

		assert_non_null(hex);
		while (e < ARRAY_SIZE(expectations) &&
			strncmp(hex, expectations[e].prefix, strlen(expectations[e].prefix)) != 0)
			e++;
		if (e < ARRAY_SIZE(expectations)) {
			assert_refused(hex, expectations[e].refusal);
			hits[e]++;
		} else {
			assert_true(json_is_true(json_object_get(one, "roundtrip")));
			assert_round_trip(hex);
			n_allowed++;
		}
	}
	for (i = 0; i < ARRAY_SIZE(expectations); i++)
		if (hits[i] == 0)
			fail_msg("no case of %s", expectations[i].class);
	assert_true(n_allowed >= 35);
}

struct malformed {
	const char *hex;
	enum refusal refusal;
};

static const struct malformed malformed[] = {
	/* ends early */
	{ "", REFUSED_CBOR_TRUNCATED },
	{ "18", REFUSED_CBOR_TRUNCATED },
	{ "1b00000001000000", REFUSED_CBOR_TRUNCATED },
	{ "420a", REFUSED_CBOR_TRUNCATED },
	{ "6261", REFUSED_CBOR_TRUNCATED },
	{ "8201", REFUSED_CBOR_TRUNCATED },
	{ "a1", REFUSED_CBOR_TRUNCATED },
	{ "a101", REFUSED_CBOR_TRUNCATED },
	{ "d2", REFUSED_CBOR_TRUNCATED },
	{ "f97c", REFUSED_CBOR_TRUNCATED },
	{ "5bffffffffffffffff", REFUSED_CBOR_TRUNCATED },
	{ "7affffffff61", REFUSED_CBOR_TRUNCATED },
	{ "9bffffffffffffffff00", REFUSED_CBOR_TRUNCATED },
	{ "bbffffffffffffffff00", REFUSED_CBOR_TRUNCATED },
	{ "bb800000000000000000", REFUSED_CBOR_TRUNCATED },
	/* goes on */
	{ "0000", REFUSED_CBOR_TRAILING },
	{ "8000", REFUSED_CBOR_TRAILING },
	{ "00ff", REFUSED_CBOR_TRAILING },
	/* not the shortest form */
	{ "1800", REFUSED_CBOR_NOT_SHORTEST },
	{ "1817", REFUSED_CBOR_NOT_SHORTEST },
	{ "1900ff", REFUSED_CBOR_NOT_SHORTEST },
	{ "1a0000ffff", REFUSED_CBOR_NOT_SHORTEST },
	{ "1b00000000ffffffff", REFUSED_CBOR_NOT_SHORTEST },
	{ "3800", REFUSED_CBOR_NOT_SHORTEST },
	{ "580161", REFUSED_CBOR_NOT_SHORTEST },
	{ "780161", REFUSED_CBOR_NOT_SHORTEST },
	{ "980100", REFUSED_CBOR_NOT_SHORTEST },
	{ "b8010000", REFUSED_CBOR_NOT_SHORTEST },
	{ "d81200", REFUSED_CBOR_NOT_SHORTEST },
	/* keys: bytewise, not by length first */
	{ "a202010102", REFUSED_CBOR_UNSORTED },
	{ "a2616201616102", REFUSED_CBOR_UNSORTED },
	{ "a220010002", REFUSED_CBOR_UNSORTED },
	{ "a2200118ff02", REFUSED_CBOR_UNSORTED }, /* -1 before 255: length first */
	{ "a1a202010102f6", REFUSED_CBOR_UNSORTED },
	{ "a201010102", REFUSED_CBOR_DUPLICATE_KEY },
	{ "a3010102020203", REFUSED_CBOR_DUPLICATE_KEY },
	{ "81a2616101616102", REFUSED_CBOR_DUPLICATE_KEY },
	/* text */
	{ "62c0af", REFUSED_CBOR_UTF8 },
	{ "61ff", REFUSED_CBOR_UTF8 },
	{ "63eda080", REFUSED_CBOR_UTF8 },
	{ "64f4908080", REFUSED_CBOR_UTF8 },
	{ "62c361", REFUSED_CBOR_UTF8 },
	{ "61c3", REFUSED_CBOR_UTF8 },
	{ "a161c300", REFUSED_CBOR_UTF8 },
	/* integers */
	{ "3b8000000000000000", REFUSED_CBOR_RANGE },
	/* reserved additional information and a lone break */
	{ "1c", REFUSED_CBOR_MALFORMED },
	{ "3d", REFUSED_CBOR_MALFORMED },
	{ "5e", REFUSED_CBOR_MALFORMED },
	{ "fc", REFUSED_CBOR_MALFORMED },
	{ "ff", REFUSED_CBOR_MALFORMED },
	{ "81ff", REFUSED_CBOR_MALFORMED },
	/* simple values that exist twice */
	{ "f814", REFUSED_CBOR_SIMPLE },
	{ "e0", REFUSED_CBOR_SIMPLE },
	/* forbidden inside of something allowed */
	{ "82f90000f5", REFUSED_CBOR_FLOAT },
	{ "a100c100", REFUSED_CBOR_TAG },
	{ "d2d9d9f700", REFUSED_CBOR_TAG },
	{ "815f4100ff", REFUSED_CBOR_INDEFINITE },
};

static void test_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++)
		assert_refused(malformed[i].hex, malformed[i].refusal);
}

static void test_every_prefix_is_truncated(void **state)
{
	static const char hex[] = "d28443a10127a04161a2616101626162820203";
	uint8_t bytes[CASE_MAX];
	struct span data = from_hex(hex, bytes);

	(void)state;
	assert_int_equal(cbor_check(data), REFUSED_NOT);
	for (size_t n = 0; n < data.n; n++)
		assert_int_equal(cbor_check(SPAN(data.p, n)), REFUSED_CBOR_TRUNCATED);
}

static void test_depth(void **state)
{
	uint8_t bytes[CBOR_DEPTH_MAX + 2];

	(void)state;
	memset(bytes, 0x81, sizeof(bytes));
	bytes[CBOR_DEPTH_MAX] = 0x00;
	assert_int_equal(cbor_check(SPAN(bytes, CBOR_DEPTH_MAX + 1)), REFUSED_NOT);
	bytes[CBOR_DEPTH_MAX] = 0x81;
	bytes[CBOR_DEPTH_MAX + 1] = 0x00;
	assert_int_equal(cbor_check(SPAN(bytes, CBOR_DEPTH_MAX + 2)), REFUSED_CBOR_DEPTH);
	/* Tags count as levels, too. */
	memset(bytes, 0xd2, CBOR_DEPTH_MAX + 1);
	assert_int_equal(cbor_check(SPAN(bytes, CBOR_DEPTH_MAX + 2)), REFUSED_CBOR_DEPTH);
}

static void test_sorted_maps(void **state)
{
	(void)state;
	assert_round_trip("a30a011864022003"); /* RFC 8949, 4.2.1: 10, 100, -1 */
	assert_round_trip("a4187f001901000020006161f6"); /* 127, 256, -1, "a" */
	assert_round_trip("a2811864018120f5"); /* arrays as keys */
	assert_round_trip("a261610162616102"); /* "a" before "aa": the head sorts first */
	assert_round_trip("3b7fffffffffffffff");
	assert_round_trip("d28443a10127a0f640");
}

static void test_integers(void **state)
{
	static const int64_t values[] = { 0, 23, 24, 255, 256, 65535, 65536, UINT32_MAX,
		INT64_C(1) << 32, INT64_MAX, -1, -24, -25, -256, -257, INT64_MIN };
	uint8_t bytes[16];
	struct cbor_item item;
	int64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct buf b = BUF(bytes);

		cbor_put_int(&b, values[i]);
		assert_int_equal(cbor_check(buf_span(&b)), REFUSED_NOT);

		struct cbor_reader r = cbor_over(buf_span(&b));

		assert_int_equal(cbor_read(&r, &item), REFUSED_NOT);
		assert_true(cbor_int(&item, &value));
		assert_true(value == values[i]);
	}

	struct buf b = BUF(bytes);

	cbor_put_uint(&b, (uint64_t)INT64_MAX + 1);

	struct cbor_reader r = cbor_over(buf_span(&b));

	value = 7;
	assert_int_equal(cbor_read(&r, &item), REFUSED_NOT);
	assert_false(cbor_int(&item, &value));
	assert_true(value == 7);
	item.type = CBOR_BOOL;
	item.value = 1;
	assert_false(cbor_int(&item, &value));
}

static void test_skip_stops_after_one_item(void **state)
{
	uint8_t bytes[CASE_MAX];
	struct span data = from_hex("a1018202038100", bytes);
	struct cbor_reader r = cbor_over(data);

	(void)state;
	assert_int_equal(cbor_skip(&r), REFUSED_NOT);
	assert_int_equal(r.p - data.p, 5);
	assert_int_equal(cbor_skip(&r), REFUSED_NOT);
	assert_ptr_equal(r.p, r.end);
	assert_int_equal(cbor_skip(&r), REFUSED_CBOR_TRUNCATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appendix_a),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_prefix_is_truncated),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_sorted_maps),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_skip_stops_after_one_item),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
